/* SPDX-License-Identifier: GPL-3.0-or-later */
/* loop.h - threads that take the kernel's requests and answer them.
 *
 * libfuse's own loop lets every idle thread wait at the device, where the kernel
 * wakes them in turn: each small request then pays for waking a thread whose
 * stack and buffer are cold.  Here only as many threads wait as are of use, and
 * the one that has just answered looks for a while whether more is coming
 * before it sleeps.  A request that takes long holds up nobody: within a few
 * milliseconds another thread takes what comes after it.
 */
#ifndef RESCUEFS_FS_LOOP_H
#define RESCUEFS_FS_LOOP_H

#include "core/error.h"

struct fuse_session;

struct rfs_loop;

/* For the mounted 'se', which outlives it.  Nothing is served yet. */
int rfs_loop_new(struct fuse_session *se, struct rfs_loop **ret,
		 struct rfs_error *err);
/* Accepts NULL. */
void rfs_loop_free(struct rfs_loop *loop);

/* Serves until the session is unmounted, it is told to stop, or a thread fails.
 * Unless it was unmounted it is still mounted then.  What was taken is answered
 * before it returns, and until then others are answered as well: one request may
 * wait for another.  'on_end' is called, if there is one, when the end begins, by
 * the caller's thread: it ends what requests may be waiting for.  Once only. */
int rfs_loop_run(struct rfs_loop *loop, void (*on_end)(void *), void *data,
		 struct rfs_error *err);

/* Orders the end, and waits for nothing.  From any thread and any signal
 * handler, also before it runs: then it ends at once. */
void rfs_loop_stop(struct rfs_loop *loop);

/* For a thread that has done what it was asked and is about to answer: who waits for the
 * answer may run in its place from then on. */
void rfs_loop_answers(void);

/* The header of the request that this thread is answering, as the kernel sent it;
 * NULL outside of a loop. */
struct fuse_in_header;
const struct fuse_in_header *rfs_loop_request(void);

/* For a thread that is answering a request with much data: when that is done, others
 * go first on its processor, as who waits for the data may be waiting for that, too. */
void rfs_loop_yield(void);

#endif /* RESCUEFS_FS_LOOP_H */
