// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/unpack.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/vec.h"

/* A pass over a file of less is not worth a word. */
#define TELL_FROM ((uint64_t)256 << 20)

struct opened {
	struct rfs_unpacker *u;
	char *key;
	char *name;
	struct rfs_reader *reader; /* NULL: being opened */
	uint64_t told;		   /* quarters; the building thread's alone */
};

struct rfs_unpacker {
	struct rfs_state *state;
	struct rfs_notes *notes;
	struct rfs_packed_pool *pool;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	struct opened **items; /* their addresses hold */
	size_t count, room;
};

int rfs_unpacker_new(struct rfs_state *state, struct rfs_notes *notes,
		     struct rfs_unpacker **ret, struct rfs_error *err)
{
	struct rfs_unpacker *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return rfs_no_memory(err);
	r = rfs_packed_pool_new(&u->pool, err);
	if (r < 0) {
		free(u);
		return r;
	}
	u->state = state;
	u->notes = notes;
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->changed, NULL);
	*ret = u;
	return 0;
}

static void free_opened(struct opened *o)
{
	if (!o)
		return;
	rfs_reader_unref(o->reader);
	free(o->key);
	free(o->name);
	free(o);
}

void rfs_unpacker_free(struct rfs_unpacker *u)
{
	if (!u)
		return;
	for (size_t i = 0; i < u->count; i++)
		free_opened(u->items[i]);
	free(u->items);
	rfs_packed_pool_free(u->pool);
	pthread_cond_destroy(&u->changed);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

void rfs_unpacker_stop(struct rfs_unpacker *u)
{
	rfs_packed_pool_stop(u->pool);
}

/* Every quarter of a long pass is worth a note, which the mount logs. */
static void tell(void *data, uint64_t done, uint64_t total)
{
	struct opened *o = data;
	uint64_t quarter = total ? done * 4 / total : 0;

	if (total < TELL_FROM || quarter == o->told)
		return;
	o->told = quarter;
	rfs_notes_add(o->u->notes,
		      "%s: a pass over all of it is at %" PRIu64
		      " %% of %" PRIu64 " MiB",
		      o->name, quarter * 25, total >> 20);
}

static struct opened *find(struct rfs_unpacker *u, const char *key)
{
	for (size_t i = 0; i < u->count; i++)
		if (strcmp(u->items[i]->key, key) == 0)
			return u->items[i];
	return NULL;
}

static struct opened *add(struct rfs_unpacker *u, const char *key,
			  const char *name)
{
	struct opened *o = calloc(1, sizeof(*o));

	if (o) {
		o->u = u;
		o->key = strdup(key);
		o->name = strdup(name);
	}
	if (!o || !o->key || !o->name || RFS_VEC_ROOM(u) < 0) {
		free_opened(o);
		return NULL;
	}
	return u->items[u->count++] = o;
}

static void drop(struct rfs_unpacker *u, struct opened *o)
{
	size_t i = 0;

	while (u->items[i] != o)
		i++;
	u->items[i] = u->items[--u->count];
	free_opened(o);
}

/* The one that is there, with a reference in *ret, or the caller's to open. */
static struct opened *find_or_begin(struct rfs_unpacker *u, const char *key,
				    const char *name, struct rfs_reader **ret)
{
	struct opened *o;

	pthread_mutex_lock(&u->lock);
	while ((o = find(u, key)) && !o->reader)
		pthread_cond_wait(&u->changed, &u->lock);
	if (o)
		*ret = rfs_reader_ref(o->reader);
	else
		o = add(u, key, name);
	pthread_mutex_unlock(&u->lock);
	return o;
}

int rfs_unpacker_open(struct rfs_unpacker *u, struct rfs_reader *file,
		      const char *object, enum rfs_packing packing,
		      struct rfs_generation generation, uint64_t expected,
		      struct rfs_reader **ret, struct rfs_error *err)
{
	struct rfs_packed_config config = {
		.packing = packing,
		.pool = u->pool,
		.state = u->state,
		.object = object,
		.generation = generation,
		.expected_size = expected,
		.notes = u->notes,
		.progress = tell,
	};
	RFS_CLEANUP_FREE char *key = NULL;
	struct rfs_reader *found = NULL;
	struct opened *o;
	int r;

	if (asprintf(&key, "%s %" PRIu64 " %" PRId64 " %" PRIu64, object,
		     generation.size, generation.mtime_ns, expected) < 0)
		return rfs_no_memory(err);
	o = find_or_begin(u, key, rfs_reader_name(file), &found);
	if (!o)
		return rfs_no_memory(err);
	if (found) {
		*ret = found;
		return 0;
	}
	config.progress_data = o;
	r = rfs_packed_open(&config, file, &found, err);
	pthread_mutex_lock(&u->lock);
	if (r == 0)
		o->reader = rfs_reader_ref(found);
	else
		drop(u, o);
	pthread_cond_broadcast(&u->changed);
	pthread_mutex_unlock(&u->lock);
	if (r == 0)
		*ret = found;
	return r;
}
