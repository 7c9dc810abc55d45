// SPDX-License-Identifier: GPL-3.0-or-later
#include "fs/loop_trial.h"

#define MS INT64_C(1000000)

/* So long at the least, and so many requests. */
#define MEASURE_NS (32 * MS)
#define MEASURED   48
#define EVEN_NS	   (5 * MS)
#define KEEP_NS	   (1000 * MS)
/* Requests that are further apart are not worth it. */
#define APART_NS (4 * MS)
/* So much faster two have to be. */
#define BETTER 1.1

static void begin(struct rfs_trial *t, int phase, unsigned least)
{
	t->phase = phase;
	t->least = least;
	t->since_ns = t->seen_ns;
	t->since = t->seen;
}

static bool is_measured(const struct rfs_trial *t)
{
	return t->seen_ns - t->since_ns >= MEASURE_NS &&
	       t->seen - t->since >= MEASURED;
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
	return now_ns - t->taken_ns < APART_NS && one_by_one && wanted <= 2;
}

unsigned rfs_trial_look(struct rfs_trial *t, int64_t now_ns,
			unsigned long takes, unsigned wanted, bool one_by_one)
{
	int64_t lasted;

	if (!is_for_us(t, now_ns, takes, wanted, one_by_one)) {
		begin(t, RFS_TRIAL_IDLE, 1);
		return t->least;
	}
	lasted = t->seen_ns - t->since_ns;
	switch (t->phase) {
	case RFS_TRIAL_IDLE:
		/* Two that others needed go before long. */
		if (wanted == 1)
			begin(t, RFS_TRIAL_ONE, 1);
		break;
	case RFS_TRIAL_ONE:
		if (wanted > 1) {
			begin(t, RFS_TRIAL_IDLE, 1);
		} else if (is_measured(t)) {
			t->one = rate(t);
			begin(t, RFS_TRIAL_EVEN, 2);
		}
		break;
	case RFS_TRIAL_EVEN:
		if (lasted >= EVEN_NS)
			begin(t, RFS_TRIAL_TWO, 2);
		break;
	case RFS_TRIAL_TWO:
		if (is_measured(t))
			begin(t, RFS_TRIAL_KEEP,
			      rate(t) > t->one * BETTER ? 2 : 1);
		break;
	case RFS_TRIAL_KEEP:
		if (lasted >= KEEP_NS)
			begin(t, RFS_TRIAL_IDLE, 1);
		break;
	}
	return t->least;
}
