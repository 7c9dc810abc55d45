/* SPDX-License-Identifier: GPL-3.0-or-later */
/* shelf.h - opened readers that several disks share, by a key.  Safe from many
 * threads. */
#ifndef RESCUEFS_SITE_SHELF_H
#define RESCUEFS_SITE_SHELF_H

#include <pthread.h>

#include "core/reader.h"

struct rfs_shelved {
	char *key;
	struct rfs_reader *reader;
};

struct rfs_shelf {
	pthread_mutex_t lock; /* guards all below */
	struct rfs_shelved *items;
	size_t count, room;
};

void rfs_shelf_init(struct rfs_shelf *shelf);
void rfs_shelf_fini(struct rfs_shelf *shelf);

/* With a reference for the caller; NULL if there is none. */
struct rfs_reader *rfs_shelf_find(struct rfs_shelf *shelf, const char *key);

/* Keeps a reference of its own until the end.  Two threads may have opened the
 * same at once: the later one's is used by its disk alone, which costs memory
 * and nothing else; so does a want of memory here. */
void rfs_shelf_add(struct rfs_shelf *shelf, const char *key,
		   struct rfs_reader *rd);

#endif /* RESCUEFS_SITE_SHELF_H */
