/* SPDX-License-Identifier: GPL-3.0-or-later */
/* loop_trial.h - how one reader is served fastest.
 *
 * Who reads or writes one thing at a time keeps one thread busy, and between the two
 * most of the time goes into waking each other.  What that costs depends on the
 * machine, and on where its scheduler puts them:
 *
 * - one thread, wherever it is: to wake something on an idle processor takes a few
 *   microseconds, or 20 and more in a virtual machine;
 * - one thread on the reader's processor: nothing has to be woken elsewhere, but what
 *   both do adds up;
 * - two threads that wait at the device: one is woken at each request, for nothing or
 *   to take it where the reader runs.
 *
 * So they are tried, each for some milliseconds, and the fastest stays for two seconds,
 * or until it has become slower than another one was.
 *
 * For the onlooker alone; it asks for nothing but numbers.
 */
#ifndef RESCUEFS_FS_LOOP_TRIAL_H
#define RESCUEFS_FS_LOOP_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

enum rfs_trial_way {
	RFS_TRIAL_ONE,
	RFS_TRIAL_BESIDE, /* one, on the reader's processor */
	RFS_TRIAL_TWO,
	RFS_TRIAL_WAYS,
};

struct rfs_trial {
	bool can_be_beside; /* the owner says so */
	enum {
		RFS_TRIAL_IDLE,	   /* requests do not come like that */
		RFS_TRIAL_SETTLE,  /* the way has just been taken */
		RFS_TRIAL_MEASURE, /* it is measured */
		RFS_TRIAL_KEEP,	   /* it was the best */
	} phase;
	enum rfs_trial_way way;
	int64_t since_ns;	      /* when the phase began, or was
				       * measured last */
	unsigned long since;	      /* requests taken until then */
	double rates[RFS_TRIAL_WAYS]; /* measured: requests a nanosecond */
	int64_t tried_ns;	      /* when all of them were, or 0 */
	int64_t shunned_ns; /* until when no thread goes beside the reader */
	int64_t taken_ns;   /* when more were seen to be taken, last */
	int64_t seen_ns;    /* the last look */
	unsigned long seen;
};

/* Once a millisecond or so while requests come: 'takes' requests were taken so far,
 * by 'wanted' threads; 'one_by_one': none waited behind another, nor for a source.
 * Returns what is to be done from now on. */
enum rfs_trial_way rfs_trial_look(struct rfs_trial *t, int64_t now_ns,
				  unsigned long takes, unsigned wanted,
				  bool one_by_one);

/* A thread beside its reader did not get the processor, as others want it. */
void rfs_trial_shun_beside(struct rfs_trial *t);

/* How many threads there are to be at the least. */
static inline unsigned rfs_trial_least(const struct rfs_trial *t)
{
	return t->way == RFS_TRIAL_TWO ? 2 : 1;
}

#endif /* RESCUEFS_FS_LOOP_TRIAL_H */
