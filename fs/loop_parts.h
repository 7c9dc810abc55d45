/* SPDX-License-Identifier: GPL-3.0-or-later */
/* loop_parts.h - the loop's own: what its threads and its onlooker share. */
#ifndef RESCUEFS_FS_LOOP_PARTS_H
#define RESCUEFS_FS_LOOP_PARTS_H

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* A source that hangs holds a thread up for its deadline. */
#define RFS_LOOP_THREADS_MAX 64
/* While a request takes so long a thread more can be woken for the next one. */
#define RFS_LOOP_LONG_NS INT64_C(40000)

/* Whether a request waits behind the one that is taken: the onlooker asks, and
 * whoever takes a request next tells.  That one waits when the onlooker looks says
 * less: a thread may be about to take it. */
enum rfs_loop_queue {
	RFS_LOOP_QUEUE_UNKNOWN,
	RFS_LOOP_QUEUE_ASKED,
	RFS_LOOP_QUEUE_LONG
};

enum rfs_loop_member_state { RFS_LOOP_NONE, RFS_LOOP_RUNS, RFS_LOOP_ENDED };

/* What is written at each request has a line of the cache for itself: two threads
 * on two processors would take it from each other each time. */
#define RFS_LOOP_LINE 64

struct rfs_loop_member {
	alignas(RFS_LOOP_LINE) _Atomic int64_t
		since;	       /* when it took what it works on,
					      * or 0 */
	atomic_ulong takes;    /* requests */
	atomic_bool gives_way; /* it has the policy SCHED_IDLE */
	unsigned followed;     /* its own: requests taken beside a reader */
	pid_t reader;	       /* its own: whose request it took last, or 0 */
	_Atomic pid_t tid;
	_Atomic clockid_t clock; /* of the processors' time that it had */
	struct rfs_loop *loop;
	pthread_t thread;
	enum rfs_loop_member_state state; /* with the loop's lock */
};

struct rfs_loop {
	struct fuse_session *se;
	unsigned processors;
	int end_fd;  /* readable when the threads are to end */
	int kick_fd; /* wakes the onlooker */
	struct rfs_loop_member members[RFS_LOOP_THREADS_MAX];

	alignas(RFS_LOOP_LINE)
		atomic_uint leisure; /* threads that found no request, and
					    * wait */
	atomic_ulong rests;	     /* how often a thread found none */
	atomic_flag looks;	     /* one thread at the most spins */

	alignas(RFS_LOOP_LINE) atomic_int
		together; /* the processor where both were last, or -1 */
	atomic_bool
		several; /* requests of more than one reader came since the onlooker looked */
	_Atomic pid_t reader; /* whose came last, or 0 */
	atomic_bool unfit; /* for that: a thread could not leave the policy */
	atomic_bool
		beside; /* the thread that is wanted is to be where its reader is */
	atomic_uint active; /* threads that are not parked */
	atomic_uint wanted; /* of them */
	atomic_uint stuck; /* threads that wait for a source or have much to do,
			     * as last seen */
	atomic_int queue;  /* of requests, an enum rfs_loop_queue */
	atomic_bool is_told;   /* to end */
	atomic_bool ends;      /* it does */
	_Atomic int64_t ended; /* since when */
	atomic_bool sleeps;    /* the onlooker */
	atomic_int failure;

	pthread_mutex_t lock; /* guards all below, and the members' states */
	pthread_cond_t unparked;
	unsigned nmembers, parked, permits;
};

static inline int64_t rfs_loop_ns(clockid_t clock)
{
	struct timespec ts = { 0 };

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static inline int64_t rfs_loop_now(void)
{
	return rfs_loop_ns(CLOCK_MONOTONIC);
}

/* One more that takes.  False: there can be no more. */
bool rfs_loop_add_taker(struct rfs_loop *loop);

/* Whether a request waits that nobody took yet. */
bool rfs_loop_is_one_waiting(struct rfs_loop *loop);

/* Sees to it that there are as many takers as are of use, until the end is ordered.
 * By the caller's thread of rfs_loop_run. */
void rfs_loop_look_on(struct rfs_loop *loop);

#endif /* RESCUEFS_FS_LOOP_PARTS_H */
