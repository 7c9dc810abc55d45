/* SPDX-License-Identifier: GPL-3.0-or-later */
/* loop_trial.h - whether a second thread serves one reader faster.
 *
 * Who reads or writes one thing at a time keeps one thread busy.  A second
 * one that waits at the device is woken at each request, for nothing or to take it
 * where the reader runs.  Which of both is faster depends on the machine: on what it
 * costs to wake something on another processor, and on where the scheduler puts it
 * (0.9 and 1.8 times were seen).  So it is tried: for some milliseconds with one
 * thread, for some with two, and what was better stays for a second.
 *
 * For the onlooker alone; it asks for nothing but numbers.
 */
#ifndef RESCUEFS_FS_LOOP_TRIAL_H
#define RESCUEFS_FS_LOOP_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

struct rfs_trial {
	enum {
		RFS_TRIAL_IDLE, /* requests do not come like that */
		RFS_TRIAL_ONE,	/* one thread is measured */
		RFS_TRIAL_EVEN, /* from one to two */
		RFS_TRIAL_TWO,	/* two are */
		RFS_TRIAL_KEEP, /* what was better */
	} phase;
	unsigned least;	     /* threads that are to be there: 1 or 2 */
	int64_t since_ns;    /* when the phase began */
	unsigned long since; /* requests taken before it */
	double one;	     /* requests a nanosecond, by one thread */
	int64_t taken_ns;    /* when more were seen to be taken, last */
	int64_t seen_ns;     /* the last look */
	unsigned long seen;
};

/* Once a millisecond or so while requests come: 'takes' requests were taken so far,
 * by 'wanted' threads; 'one_by_one': none waited behind another, nor for a source.
 * Returns how many threads there are to be at the least. */
unsigned rfs_trial_look(struct rfs_trial *t, int64_t now_ns,
			unsigned long takes, unsigned wanted, bool one_by_one);

#endif /* RESCUEFS_FS_LOOP_TRIAL_H */
