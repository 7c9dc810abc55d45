/* SPDX-License-Identifier: GPL-3.0-or-later */
/* opened.h - what the kernel has open: files and directories.
 *
 * When a session ends the kernel sends no release, so whatever is in this list
 * then is closed by us.
 */
#ifndef RESCUEFS_FS_OPENED_H
#define RESCUEFS_FS_OPENED_H

#include <pthread.h>

/* The first member of whatever can be open. */
struct rfs_opened {
	struct rfs_opened *next, *prev;	     /* guarded by the list's lock */
	void (*close)(struct rfs_opened *o); /* frees all of it */
};

struct rfs_opened_list {
	pthread_mutex_t lock; /* guards all below */
	struct rfs_opened *first;
};

void rfs_opened_init(struct rfs_opened_list *list);

/* Closes what is still open. */
void rfs_opened_fini(struct rfs_opened_list *list);

void rfs_opened_add(struct rfs_opened_list *list, struct rfs_opened *o,
		    void (*close)(struct rfs_opened *o));

/* Takes it out of the list and closes it. */
void rfs_opened_close(struct rfs_opened_list *list, struct rfs_opened *o);

#endif /* RESCUEFS_FS_OPENED_H */
