/* SPDX-License-Identifier: GPL-3.0-or-later */
/* overlay_file.h - the file of an overlay's bytes, each at its own place.
 *
 * A disk that does not take what was written says so once: at the next sync the
 * kernel takes its pages for clean, whether they are on the disk or not.  What
 * was written since the last sync that went well is therefore remembered, and
 * written again after one that failed.  What the kernel has thrown away by then
 * is lost: what stands there now is older, or nothing, and is not given as what
 * was written.  No sync is reported as done as long as there is any of it.
 *
 * Safe from many threads.  For the order of changes to one place, and for
 * syncs, the caller sees: overlay.c's gate.
 */
#ifndef RESCUEFS_CORE_OVERLAY_FILE_H
#define RESCUEFS_CORE_OVERLAY_FILE_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/extmap.h"
#include "core/state.h"

struct rfs_overlay_file {
	struct rfs_state *state;
	const char *id;		    /* the disk's, its owner's */
	atomic_int fd;		    /* -1 until there is need of one */
	atomic_bool has_lost;	    /* 'lost' is not empty */
	pthread_mutex_t lock;	    /* guards opening it, and the maps */
	struct rfs_extmap unsynced; /* 1: written since a sync went well */
	struct rfs_extmap lost;	    /* 1: what was written is gone */
	/* A sync failed, and not all was written again; with no other change. */
	bool in_doubt;
};

void rfs_overlay_file_init(struct rfs_overlay_file *f, struct rfs_state *state,
			   const char *id);
void rfs_overlay_file_fini(struct rfs_overlay_file *f);

/* Opened where it is there, or made.  -ENOENT, else the fd, which is the
 * file's. */
int rfs_overlay_file_fd(struct rfs_overlay_file *f, bool make,
			struct rfs_error *err);

/* How much of 'range' could be read is *ret_done; the rest lies behind its end.
 * -EIO: it cannot be read, or is lost. */
int rfs_overlay_file_read(struct rfs_overlay_file *f, struct rfs_range range,
			  void *buf, uint64_t *ret_done, struct rfs_error *err);
int rfs_overlay_file_write(struct rfs_overlay_file *f, struct rfs_range range,
			   const void *buf, struct rfs_error *err);

/* What is there does not count any more. */
void rfs_overlay_file_drop(struct rfs_overlay_file *f, struct rfs_range range);

/* With no other change going on. */
int rfs_overlay_file_sync(struct rfs_overlay_file *f, struct rfs_error *err);
int rfs_overlay_file_empty(struct rfs_overlay_file *f, struct rfs_error *err);

#endif /* RESCUEFS_CORE_OVERLAY_FILE_H */
