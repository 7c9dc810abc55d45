/* SPDX-License-Identifier: GPL-3.0-or-later */
/* keeper.h - what has to be done beside the requests, by one thread.
 *
 * Every few seconds it keeps what was learned and written since, so that a
 * crash loses little, and logs what was noted since.  When the mount ends it ends
 * what requests may still be waiting for.
 */
#ifndef RESCUEFS_FS_KEEPER_H
#define RESCUEFS_FS_KEEPER_H

#include <pthread.h>
#include <stdbool.h>

#include "fs/tree.h"

#define RFS_KEEPER_SECONDS 5

struct rfs_keeper {
	const struct rfs_tree *tree;
	const char *mountpoint;
	size_t notes_seen; /* the thread's alone */
	pthread_t thread;
	bool is_started;

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	bool hurries; /* the mount ends */
	bool ends;
};

/* 'tree' and 'mountpoint' outlive it. */
int rfs_keeper_start(struct rfs_keeper *keeper, const struct rfs_tree *tree,
		     const char *mountpoint, struct rfs_error *err);

/* The mount ends: what requests may be waiting for is ended at once, and what
 * begins meanwhile within a second. */
void rfs_keeper_hurry(struct rfs_keeper *keeper);

/* Ends it.  Only after the mount is gone: it may be waiting for an answer from
 * there.  Does nothing if it was not started. */
void rfs_keeper_stop(struct rfs_keeper *keeper);

#endif /* RESCUEFS_FS_KEEPER_H */
