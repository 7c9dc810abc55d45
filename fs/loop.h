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

/* Serves the mounted 'se' until it is unmounted, its session ends by a signal or
 * by fuse_session_exit, or a thread fails.  With a signal it is still mounted.
 * Requests that were taken are answered before it returns.
 *
 * The caller is the thread that takes the signals; those that end a session
 * (libfuse's handlers) end this at once. */
int rfs_loop_run(struct fuse_session *se, struct rfs_error *err);

#endif /* RESCUEFS_FS_LOOP_H */
