/* SPDX-License-Identifier: GPL-3.0-or-later */
/* loop_beside.h - a thread that shares its reader's processor.
 *
 * The kernel gives whoever wakes up an idle processor, if there is one: thread and
 * reader are put on two, and each request wakes both of them across.  A processor on
 * which nothing but a thread of the policy SCHED_IDLE runs is as good as an idle one to
 * it.  So a thread that is to be beside its reader has that policy from when it answers
 * until it takes the next request, and goes to the reader's processor now and then.
 * Not while it finds out what to answer: it may hold locks of ours then, and start threads
 * and programs, which inherit the policy.
 *
 * Where others want that processor such a thread does not get it.  The onlooker sees
 * that and takes the policy away.
 */
#ifndef RESCUEFS_FS_LOOP_BESIDE_H
#define RESCUEFS_FS_LOOP_BESIDE_H

#include <stdbool.h>
#include <sys/types.h>

struct rfs_loop;
struct rfs_loop_member;

/* Whether threads of this process may take that policy, and leave it: not everybody
 * may.  Any thread; it starts one to see. */
bool rfs_loop_can_give_way(void);

/* By the thread 'm' itself, which goes on working should it not be able to stop: the loop
 * is told that it is unfit for this. */
void rfs_loop_give_way(struct rfs_loop_member *m);
void rfs_loop_stop_giving_way(struct rfs_loop_member *m);

/* The same for another thread, which still says that it gives way. */
void rfs_loop_insist(struct rfs_loop_member *m);

/* By the thread 'm', which took a request of the thread m->reader: goes to the processor
 * where that is, if it is elsewhere; looked at now and then. */
void rfs_loop_follow(struct rfs_loop_member *m);

/* By the onlooker: leaves the processor where the two are.  What else runs there makes
 * the kernel part them. */
void rfs_loop_keep_away(struct rfs_loop *loop);

#endif /* RESCUEFS_FS_LOOP_BESIDE_H */
