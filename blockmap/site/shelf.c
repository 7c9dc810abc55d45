// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/shelf.h"

#include <stdlib.h>
#include <string.h>

#include "core/vec.h"

void rfs_shelf_init(struct rfs_shelf *shelf)
{
	*shelf = (struct rfs_shelf){ .items = NULL };
	pthread_mutex_init(&shelf->lock, NULL);
}

void rfs_shelf_fini(struct rfs_shelf *shelf)
{
	for (size_t i = 0; i < shelf->count; i++) {
		free(shelf->items[i].key);
		rfs_reader_unref(shelf->items[i].reader);
	}
	free(shelf->items);
	pthread_mutex_destroy(&shelf->lock);
}

struct rfs_reader *rfs_shelf_find(struct rfs_shelf *shelf, const char *key)
{
	struct rfs_reader *rd = NULL;

	pthread_mutex_lock(&shelf->lock);
	for (size_t i = 0; i < shelf->count && !rd; i++)
		if (strcmp(shelf->items[i].key, key) == 0)
			rd = rfs_reader_ref(shelf->items[i].reader);
	pthread_mutex_unlock(&shelf->lock);
	return rd;
}

void rfs_shelf_add(struct rfs_shelf *shelf, const char *key,
		   struct rfs_reader *rd)
{
	struct rfs_shelved item = { strdup(key), rd };

	pthread_mutex_lock(&shelf->lock);
	if (item.key && RFS_VEC_ROOM(shelf) == 0) {
		rfs_reader_ref(rd);
		shelf->items[shelf->count++] = item;
	} else {
		free(item.key);
	}
	pthread_mutex_unlock(&shelf->lock);
}
