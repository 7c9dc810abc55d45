// SPDX-License-Identifier: GPL-3.0-or-later
/* open.c - the opener itself: what several disks share, and what lives as long. */
#include "site/open.h"

#include <stdlib.h>
#include <string.h>

#include "core/vec.h"
#include "readers/rescue.h"
#include "site/given.h"
#include "site/open_parts.h"

struct rfs_state *rfs_opener_state(struct rfs_opener *op)
{
	return op->state;
}

const struct rfs_inventory *rfs_opener_inventory(struct rfs_opener *op)
{
	return op->inv;
}

struct rfs_given *rfs_opener_given(struct rfs_opener *op)
{
	return op->given;
}

/* While there is room in the state: choices are remembered by these numbers,
 * also on the day when it is full. */
static void number_sources(struct rfs_opener *op)
{
	const struct rfs_site *site = op->inv->site;
	uint32_t id;

	for (size_t i = 0; op->state && i < site->nsources; i++)
		rfs_state_source_id(op->state, site->sources[i]->origin.name,
				    &id, NULL);
}

int rfs_opener_new(const struct rfs_inventory *inv, struct rfs_state *state,
		   struct rfs_opener **ret, struct rfs_error *err)
{
	struct rfs_opener *op = calloc(1, sizeof(*op));
	int r;

	if (!op)
		return rfs_no_memory(err);
	r = rfs_given_new(inv, state, &op->given, err);
	if (r == 0)
		r = rfs_unpacker_new(state, &inv->site->notes, &op->unpacker,
				     err);
	if (r < 0) {
		rfs_given_free(op->given);
		free(op);
		return r;
	}
	op->inv = inv;
	op->state = state;
	pthread_mutex_init(&op->lock, NULL);
	rfs_shelf_init(&op->shelf);
	number_sources(op);
	*ret = op;
	return 0;
}

static void free_texts(struct rfs_opener_texts *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->items[i]);
	free(t->items);
}

void rfs_opener_free(struct rfs_opener *op)
{
	if (!op)
		return;
	rfs_shelf_fini(&op->shelf);
	rfs_unpacker_free(op->unpacker);
	rfs_given_free(op->given);
	free_texts(&op->errors);
	for (size_t i = 0; i < op->witnesses.count; i++)
		free(op->witnesses.items[i]);
	free(op->witnesses.items);
	pthread_mutex_destroy(&op->lock);
	free(op);
}

const char *rfs_opener_keep_text(struct rfs_opener *op, const char *text)
{
	struct rfs_opener_texts *t = &op->errors;
	char *copy = strdup(text);

	pthread_mutex_lock(&op->lock);
	if (copy && RFS_VEC_ROOM(t) == 0) {
		t->items[t->count++] = copy;
	} else {
		free(copy);
		copy = NULL;
	}
	pthread_mutex_unlock(&op->lock);
	return copy;
}

struct rfs_opener_witness *rfs_opener_keep_witness(struct rfs_opener *op)
{
	struct rfs_opener_witness *w = calloc(1, sizeof(*w));

	pthread_mutex_lock(&op->lock);
	if (w && RFS_VEC_ROOM(&op->witnesses) == 0) {
		op->witnesses.items[op->witnesses.count++] = w;
	} else {
		free(w);
		w = NULL;
	}
	pthread_mutex_unlock(&op->lock);
	return w;
}

void rfs_opener_stop(struct rfs_opener *op)
{
	rfs_unpacker_stop(op->unpacker);
	rfs_given_stop(op->given);
}

int rfs_opener_sync(struct rfs_opener *op, struct rfs_error *err)
{
	return op->state ? rfs_rescue_sync_all(op->state, err) : 0;
}
