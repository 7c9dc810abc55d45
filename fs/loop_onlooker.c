// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Each millisecond in which requests come it is seen whether any thread was at
 * leisure; if none was and requests wait for each other, another one is woken or made.
 * Whether that is because a source hangs or because there is much to do makes a
 * difference in one thing only: who waits for a processor is not helped by more
 * threads than there are processors.  In quiet times the onlooker sleeps, and is woken
 * by whoever takes a request then.
 */
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "fs/loop.h"
#include "fs/loop_beside.h"
#include "fs/loop_parts.h"
#include "fs/loop_trial.h"
#include "fs/proc_stat.h"

#define TICK_MS	     1
#define TICK_FULL_MS 20 /* when there can be no more threads */
/* After so many ticks with threads to spare one of them parks. */
#define SPARE_TICKS 16
/* A tick in which all the processors were wanted by more threads counts for so many. */
#define IN_VAIN 4
/* After so many without a request the onlooker sleeps. */
#define QUIET_TICKS 8
/* Who gives way in vain for so many does not get its processor. */
#define STARVED_TICKS 2
/* How many threads could run is asked each so many ticks, as the kernel takes some 5 us
 * for each of them, and averaged over so many answers. */
#define RUNNABLE_TICKS	 4
#define RUNNABLE_ANSWERS 2
/* Who sleeps over one request after so long, at two looks, waits for a source; who had
 * the processor for so long has much to do that others are not to wait for. */
#define STUCK_NS INT64_C(2000000)
/* Where it cannot be told which of both it is. */
#define STUCK_UNKNOWN_NS INT64_C(20000000)

/* Requests that were taken, ever. */
static unsigned long count_takes(struct rfs_loop *loop)
{
	unsigned long n = 0;

	for (size_t i = 0; i < RFS_LOOP_THREADS_MAX; i++)
		n += atomic_load(&loop->members[i].takes);
	return n;
}

/* What was seen of one thread. */
struct member_sight {
	unsigned long takes;
	unsigned in_vain; /* looks in a row: it gives way, and takes nothing */
	int64_t since;	  /* when it took what it works on for long */
	int64_t cpu_ns;	  /* that it had when that was seen first */
	unsigned asleep;  /* looks in a row since at which it slept */
	bool waits;	  /* for a source, so it seems */
	bool has_much;	  /* to do */
};

/* What the onlooker saw last. */
struct sight {
	unsigned long takes, rests;
	struct rfs_trial trial;
	bool is_crowded; /* no thread was at leisure */
	double runnable; /* threads that run or wait for a processor, averaged */
	unsigned unasked;      /* ticks since that was asked */
	unsigned peak;	       /* the most that worked at once of late */
	unsigned spare, quiet; /* ticks */
	bool is_full;	       /* there were no more threads to be had */
	struct member_sight members[RFS_LOOP_THREADS_MAX];
};

/* What it sees now. */
struct look {
	unsigned long takes;
	unsigned working; /* threads that work on a request */
	/* Of them for so long that no reader of theirs can be about to ask again. */
	unsigned for_long;
	unsigned stuck; /* they wait for a source, or have much to do */
	unsigned wanted;
	unsigned able;	  /* of them, those that are not stuck */
	bool is_starved;  /* one that gives way to its reader, and was needed */
	bool are_several; /* readers, since */
	bool is_queue_long; /* a request waited behind another since */
};

enum rest { AWAKE, ASLEEP, UNKNOWN };

/* Whether a thread of ours sleeps, as against running or waiting for a processor. */
static enum rest rest_of(pid_t tid)
{
	char path[64], text[128];
	const char *state;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	state = rfs_proc_stat(path, text, sizeof(text));
	if (!state)
		return UNKNOWN;
	return *state == 'R' ? AWAKE : ASLEEP;
}

static bool sleeps_for_long(struct rfs_loop_member *m, int64_t lasts_ns,
			    struct member_sight *seen)
{
	enum rest rest = rest_of(atomic_load(&m->tid));

	seen->asleep = rest == ASLEEP ? seen->asleep + 1 : 0;
	return seen->asleep == 2 ||
	       (rest == UNKNOWN && lasts_ns > STUCK_UNKNOWN_NS);
}

/* What 'm' works on since then takes long.  Once stuck it is so to the end: what comes
 * after the sleep may be another. */
static void look_whether_stuck(struct rfs_loop_member *m, int64_t since,
			       int64_t lasts_ns, struct member_sight *seen)
{
	int64_t cpu_ns;

	if (seen->since == since && (seen->waits || seen->has_much))
		return;
	cpu_ns = rfs_loop_ns(atomic_load(&m->clock));
	if (seen->since != since) {
		seen->since = since;
		seen->cpu_ns = cpu_ns;
		seen->asleep = 0;
		seen->waits = seen->has_much = false;
	}
	seen->has_much = cpu_ns - seen->cpu_ns > STUCK_NS;
	seen->waits = !seen->has_much && sleeps_for_long(m, lasts_ns, seen);
}

/* Who gives way takes a request or sleeps within a tick, or others have its processor:
 * it gives way no longer. */
static bool is_starved(struct rfs_loop_member *m, unsigned long takes,
		       struct member_sight *seen)
{
	bool in_vain = takes == seen->takes && atomic_load(&m->gives_way);

	seen->in_vain = in_vain ? seen->in_vain + 1 : 0;
	seen->takes = takes;
	if (seen->in_vain < STARVED_TICKS)
		return false;
	seen->in_vain = 0;
	rfs_loop_insist(m);
	return true;
}

static void look_at_members(struct rfs_loop *loop, struct sight *s,
			    struct look *l)
{
	int64_t since, now = rfs_loop_now();
	unsigned long takes;
	unsigned much = 0;

	for (size_t i = 0; i < RFS_LOOP_THREADS_MAX; i++) {
		struct rfs_loop_member *m = &loop->members[i];
		struct member_sight *seen = &s->members[i];

		since = atomic_load_explicit(&m->since, memory_order_relaxed);
		l->working += since != 0;
		l->for_long += since && now - since > RFS_LOOP_LONG_NS;
		if (since && now - since > STUCK_NS) {
			look_whether_stuck(m, since, now - since, seen);
			l->stuck += seen->waits;
			much += seen->has_much;
		}
		takes = atomic_load(&m->takes);
		l->takes += takes;
		if (is_starved(m, takes, seen))
			l->is_starved |= since || rfs_loop_is_one_waiting(loop);
	}
	/* Where as many have much to do more would but share the processors. */
	l->stuck += much < loop->processors ? much : loop->processors;
}

static struct look look_at(struct rfs_loop *loop, struct sight *s)
{
	struct look l = {
		.wanted = atomic_load(&loop->wanted),
		.is_queue_long =
			atomic_exchange(&loop->queue, RFS_LOOP_QUEUE_ASKED) ==
			RFS_LOOP_QUEUE_LONG,
		.are_several = atomic_exchange(&loop->several, false),
	};

	look_at_members(loop, s, &l);
	l.able = l.wanted > l.stuck ? l.wanted - l.stuck : 0;
	return l;
}

/* How many of the threads run or wait for a processor: as long as those are no fewer than
 * there are processors, more threads are no use.  How long requests take says nothing of
 * it, as many threads on few processors are slow, too; nor does how often they sleep, as
 * they do for each other's locks while who holds one waits for a processor. */
static void average_runnable(struct rfs_loop *loop, struct sight *s,
			     const struct look *l)
{
	unsigned asleep = 0, active = atomic_load(&loop->active);

	if (!s->is_crowded || l->able < loop->processors) {
		s->runnable = loop->processors;
		s->unasked = 0;
		return;
	}
	if (++s->unasked < RUNNABLE_TICKS)
		return;
	s->unasked = 0;
	for (size_t i = 0; i < RFS_LOOP_THREADS_MAX; i++)
		if (atomic_load(&loop->members[i].since))
			asleep += rest_of(atomic_load(&loop->members[i].tid)) ==
				  ASLEEP;
	/* Nobody is at leisure: who does not work is about to take. */
	active -= asleep < active ? asleep : active;
	s->runnable += (active - s->runnable) / RUNNABLE_ANSWERS;
}

/* No thread was at leisure since the last look, nor is now, and requests wait for each
 * other: a reader that takes turns with its thread on one processor leaves it no
 * leisure, but needs no other, which the kernel would wake for each request. */
static bool is_short_of_threads(struct rfs_loop *loop, struct sight *s,
				const struct look *l)
{
	bool was_crowded = s->is_crowded;

	s->is_crowded = !atomic_load(&loop->leisure) &&
			atomic_load(&loop->rests) == s->rests;
	average_runnable(loop, s, l);
	if (!s->is_crowded || (l->able >= loop->processors &&
			       s->runnable > loop->processors - 0.5))
		return false;
	/* Where all wait for a source, the next request finds a thread there. */
	if (!l->able || (was_crowded && l->is_queue_long))
		return true;
	/* None of them is about to take the one that waits. */
	return l->for_long >= l->wanted && rfs_loop_is_one_waiting(loop);
}

/* Of those that are not stuck as many stay as there are to be at the least, and as
 * were seen to work at once of late; but who only waits for a processor is no use. */
static void see_to_spare(struct rfs_loop *loop, struct sight *s,
			 const struct look *l)
{
	bool in_vain = l->able > loop->processors &&
		       s->runnable > loop->processors + 0.5;

	if (l->working > s->peak)
		s->peak = l->working;
	if (l->able > rfs_trial_least(&s->trial) &&
	    (s->peak < l->wanted || in_vain)) {
		s->spare += in_vain ? IN_VAIN : 1;
		if (s->spare < SPARE_TICKS)
			return;
		atomic_fetch_sub(&loop->wanted, 1);
		s->runnable--;
	}
	s->spare = s->peak = 0;
}

/* A second thread that was tried goes at once. */
static void try_ways(struct rfs_loop *loop, struct sight *s, struct look *l)
{
	bool one_by_one = loop->processors > 1 && !l->stuck &&
			  !l->is_queue_long && !l->are_several;
	unsigned before = rfs_trial_least(&s->trial);
	enum rfs_trial_way way;

	s->trial.can_be_beside &= !atomic_load(&loop->unfit);
	way = rfs_trial_look(&s->trial, rfs_loop_now(), l->takes, l->wanted,
			     one_by_one);

	if (one_by_one && rfs_trial_least(&s->trial) < before &&
	    l->able == before)
		l->able = l->wanted = atomic_fetch_sub(&loop->wanted, 1) - 1;
	atomic_store(&loop->beside, way == RFS_TRIAL_BESIDE && l->wanted == 1);
	if (atomic_load(&loop->beside))
		rfs_loop_keep_away(loop);
}

static void remember(struct rfs_loop *loop, struct sight *s,
		     unsigned long takes)
{
	s->takes = takes;
	s->rests = atomic_load(&loop->rests);
}

static void add_one(struct rfs_loop *loop, struct sight *s)
{
	s->is_full = !rfs_loop_add_taker(loop);
	s->runnable += !s->is_full; /* until it is asked again */
}

static void see(struct rfs_loop *loop, struct sight *s)
{
	struct look l = look_at(loop, s);

	atomic_store(&loop->stuck, l.stuck);
	s->is_full = false;
	if (l.is_starved)
		rfs_trial_shun_beside(&s->trial);
	try_ways(loop, s, &l);
	if (is_short_of_threads(loop, s, &l) ||
	    l.able < rfs_trial_least(&s->trial))
		add_one(loop, s);
	else
		see_to_spare(loop, s, &l);
	s->quiet = l.takes == s->takes && atomic_load(&loop->leisure)
			   ? s->quiet + 1
			   : 0;
	remember(loop, s, l.takes);
}

/* Whether the onlooker may sleep until someone takes a request: nobody took one
 * of late, and somebody is there to take it. */
static bool may_sleep(struct rfs_loop *loop, const struct sight *s)
{
	if (s->quiet < QUIET_TICKS)
		return false;
	atomic_store(&loop->sleeps, true);
	if (count_takes(loop) == s->takes && atomic_load(&loop->leisure))
		return true;
	atomic_store(&loop->sleeps, false);
	return false;
}

/* At the end: nobody looks on from then on. */
static void give_no_way(struct rfs_loop *loop)
{
	atomic_store(&loop->beside, false);
	for (size_t i = 0; i < RFS_LOOP_THREADS_MAX; i++)
		if (atomic_load(&loop->members[i].gives_way))
			rfs_loop_insist(&loop->members[i]);
}

void rfs_loop_look_on(struct rfs_loop *loop)
{
	struct pollfd kicked = { .fd = loop->kick_fd, .events = POLLIN };
	struct sight s = { .trial.can_be_beside = loop->processors > 1 &&
						  rfs_loop_can_give_way() };
	eventfd_t count;
	int tick, r;

	while (!atomic_load(&loop->is_told)) {
		tick = s.is_full ? TICK_FULL_MS : TICK_MS;
		r = poll(&kicked, 1, may_sleep(loop, &s) ? -1 : tick);
		atomic_store(&loop->sleeps, false);
		if (r == 0) {
			see(loop, &s);
			continue;
		}
		/* Woken: a millisecond begins. */
		s.quiet = 0;
		s.is_crowded = false;
		if (r > 0)
			eventfd_read(loop->kick_fd, &count);
		remember(loop, &s, count_takes(loop));
	}
	give_no_way(loop);
}
