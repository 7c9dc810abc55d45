/* SPDX-License-Identifier: GPL-3.0-or-later */
/* keeper.h - what has to be done beside the requests, by one thread.
 *
 * Every few seconds it keeps what was learned and written since, so that a
 * crash loses little, and logs what was noted since.  Once the mount is gone it
 * ends what requests may still be waiting for.
 */
#ifndef RESCUEFS_FS_KEEPER_H
#define RESCUEFS_FS_KEEPER_H

#include <pthread.h>
#include <stdbool.h>

#include "fs/tree.h"

struct fuse_session;

#define RFS_KEEPER_SECONDS 5

struct rfs_keeper {
	const struct rfs_tree *tree;
	struct fuse_session *se;
	const char *mountpoint;
	size_t notes_seen; /* the thread's alone */
	pthread_t thread;
	bool is_started;

	pthread_mutex_t lock; /* guards 'ends' */
	pthread_cond_t changed;
	bool ends;
};

/* 'tree', 'se' and 'mountpoint' outlive it. */
int rfs_keeper_start(struct rfs_keeper *keeper, const struct rfs_tree *tree,
		     struct fuse_session *se, const char *mountpoint,
		     struct rfs_error *err);

/* Ends it.  Only after the mount is gone: it may be waiting for an answer from
 * there.  Does nothing if it was not started. */
void rfs_keeper_stop(struct rfs_keeper *keeper);

#endif /* RESCUEFS_FS_KEEPER_H */
