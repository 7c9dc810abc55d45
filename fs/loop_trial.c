// SPDX-License-Identifier: GPL-3.0-or-later
#include "fs/loop_trial.h"

#define MS INT64_C(1000000)

/* So long at the least, and so many requests. */
#define MEASURE_NS (32 * MS)
#define MEASURED   48
#define SETTLE_NS  (5 * MS)
#define KEEP_NS	   (2000 * MS)
/* While one is kept it is measured on, for so long each time. */
#define KEPT_NS (100 * MS)
/* Requests that are further apart are not worth it. */
#define APART_NS (4 * MS)
/* So much faster than the ways before it has a way to be, and than one that is kept. */
#define BETTER 1.1

static void begin(struct rfs_trial *t, int phase, enum rfs_trial_way way)
{
	t->phase = phase;
	t->way = way;
	t->since_ns = t->seen_ns;
	t->since = t->seen;
}

static double rate(const struct rfs_trial *t)
{
	return (double)(t->seen - t->since) /
	       (double)(t->seen_ns - t->since_ns);
}

/* One reader, which asks again and again: no more threads are there than for it. */
static bool is_for_us(struct rfs_trial *t, int64_t now_ns, unsigned long takes,
		      unsigned wanted, bool one_by_one)
{
	if (takes != t->seen)
		t->taken_ns = now_ns;
	t->seen_ns = now_ns;
	t->seen = takes;
	if (now_ns - t->taken_ns >= APART_NS) {
		t->tried_ns = 0; /* what comes next may be something else */
		return false;
	}
	return one_by_one && wanted <= 2;
}

/* Or 'way', if no other is clearly faster. */
static enum rfs_trial_way best(const struct rfs_trial *t,
			       enum rfs_trial_way way)
{
	double rate = t->rates[way] * BETTER;

	for (int i = 0; i < RFS_TRIAL_WAYS; i++)
		if (t->rates[i] > rate) {
			way = (enum rfs_trial_way)i;
			rate = t->rates[i] * BETTER;
		}
	return way;
}

static void try_next(struct rfs_trial *t)
{
	int way = t->way + 1;

	if (way == RFS_TRIAL_BESIDE &&
	    (!t->can_be_beside || t->seen_ns < t->shunned_ns)) {
		t->rates[way] = 0;
		way++;
	}
	if (way < RFS_TRIAL_WAYS) {
		begin(t, RFS_TRIAL_SETTLE, (enum rfs_trial_way)way);
	} else {
		t->tried_ns = t->seen_ns;
		begin(t, RFS_TRIAL_KEEP, best(t, RFS_TRIAL_ONE));
	}
}

static void measure(struct rfs_trial *t)
{
	if (t->seen_ns - t->since_ns < MEASURE_NS ||
	    t->seen - t->since < MEASURED)
		return;
	t->rates[t->way] = rate(t);
	try_next(t);
}

/* What was fast by chance, as one thread that shares the reader's processor until the
 * scheduler parts them, is found out. */
static void keep(struct rfs_trial *t)
{
	if (t->seen_ns - t->tried_ns >= KEEP_NS) {
		begin(t, RFS_TRIAL_IDLE, RFS_TRIAL_ONE);
		return;
	}
	if (t->seen_ns - t->since_ns < KEPT_NS)
		return;
	t->rates[t->way] = rate(t);
	begin(t, RFS_TRIAL_KEEP, best(t, t->way));
}

/* Who was not alone for a moment, or asked for more at once, goes on where it was. */
static void go_on(struct rfs_trial *t)
{
	if (t->way == RFS_TRIAL_ONE && t->tried_ns &&
	    t->seen_ns - t->tried_ns < KEEP_NS)
		begin(t, RFS_TRIAL_KEEP, best(t, RFS_TRIAL_ONE));
	else
		begin(t, RFS_TRIAL_MEASURE, t->way);
}

enum rfs_trial_way rfs_trial_look(struct rfs_trial *t, int64_t now_ns,
				  unsigned long takes, unsigned wanted,
				  bool one_by_one)
{
	bool disturbed = wanted > rfs_trial_least(t);

	if (!is_for_us(t, now_ns, takes, wanted, one_by_one)) {
		begin(t, RFS_TRIAL_IDLE, RFS_TRIAL_ONE);
		return t->way;
	}
	switch (t->phase) {
	case RFS_TRIAL_IDLE:
		/* Two that others needed go before long. */
		if (!disturbed)
			begin(t, RFS_TRIAL_SETTLE, RFS_TRIAL_ONE);
		break;
	case RFS_TRIAL_SETTLE:
	case RFS_TRIAL_MEASURE:
		if (disturbed)
			begin(t, RFS_TRIAL_IDLE, RFS_TRIAL_ONE);
		else if (t->phase == RFS_TRIAL_MEASURE)
			measure(t);
		else if (t->seen_ns - t->since_ns >= SETTLE_NS)
			go_on(t);
		break;
	case RFS_TRIAL_KEEP:
		keep(t);
		break;
	}
	return t->way;
}

void rfs_trial_shun_beside(struct rfs_trial *t)
{
	t->shunned_ns = t->seen_ns + KEEP_NS;
	t->rates[RFS_TRIAL_BESIDE] = 0;
	begin(t, RFS_TRIAL_IDLE, RFS_TRIAL_ONE);
}
