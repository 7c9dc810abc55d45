// SPDX-License-Identifier: GPL-3.0-or-later
/* Keeping what a request brought while the next one is with the medium. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "readers/fetch_parts.h"

/* All of it must be in the store now: else it would be asked for for ever. */
int rfs_fetch_keep_slot(struct rfs_fetch_slot *slot, struct rfs_error *err)
{
	struct rfs_rescue *r = slot->asking.r;
	struct rfs_run run;

	rfs_rescue_ask_end(&slot->asking, slot->buf);
	run = rfs_rescue_find(r, slot->piece.off, slot->piece);
	if (run.value == RFS_RESCUE_DONE && run.range.len == slot->piece.len)
		return RFS_FETCH_GOT;
	return rfs_fail(err, ENOSPC,
			"%s: what is read cannot be kept; make room in the "
			"state directory, and the same command goes on",
			rfs_rescue_name(r));
}

static void *putter_main(void *data)
{
	struct rfs_fetch_putter *p = data;
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_fetch_slot *slot;
	int r;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!p->slot && !p->ends)
			pthread_cond_wait(&p->changed, &p->lock);
		slot = p->slot;
		if (!slot)
			break;
		pthread_mutex_unlock(&p->lock);
		r = rfs_fetch_keep_slot(slot, &err);
		pthread_mutex_lock(&p->lock);
		if (r < 0 && p->result == 0) {
			p->result = r;
			p->err = err;
		}
		p->slot = NULL;
		pthread_cond_broadcast(&p->changed);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* With the lock held: waits until there is nothing to keep. */
static int await(struct rfs_fetch_putter *p, struct rfs_error *err)
{
	while (p->slot)
		pthread_cond_wait(&p->changed, &p->lock);
	return p->result < 0 ? rfs_fail(err, -p->result, "%s", p->err.text) : 0;
}

int rfs_fetch_put_all(struct rfs_fetch *f, struct rfs_error *err)
{
	int r;

	pthread_mutex_lock(&f->putter.lock);
	r = await(&f->putter, err);
	f->putter.result = 0; /* it was told */
	pthread_mutex_unlock(&f->putter.lock);
	return r;
}

/* Signals are as in the thread that runs the fetch. */
static bool is_started(struct rfs_fetch_putter *p)
{
	if (!p->is_started)
		p->is_started =
			pthread_create(&p->thread, NULL, putter_main, p) == 0;
	return p->is_started;
}

int rfs_fetch_put(struct rfs_fetch *f, struct rfs_error *err)
{
	struct rfs_fetch_putter *p = &f->putter;
	struct rfs_fetch_slot *slot = &f->slots[f->slot];
	int r;

	if (!is_started(p))
		return rfs_fetch_keep_slot(slot, err);
	pthread_mutex_lock(&p->lock);
	r = await(p, err);
	if (r == 0) {
		p->slot = slot;
		f->slot = !f->slot;
		pthread_cond_broadcast(&p->changed);
	}
	pthread_mutex_unlock(&p->lock);
	if (r < 0)
		rfs_fetch_keep_slot(slot, NULL);
	return r < 0 ? r : RFS_FETCH_GOT;
}

int rfs_fetch_putter_init(struct rfs_fetch *f, struct rfs_error *err)
{
	for (int i = 0; i < 2; i++) {
		f->slots[i].buf = malloc(RFS_WORKER_ROOM);
		if (!f->slots[i].buf) {
			free(f->slots[0].buf);
			return rfs_no_memory(err);
		}
	}
	pthread_mutex_init(&f->putter.lock, NULL);
	pthread_cond_init(&f->putter.changed, NULL);
	return 0;
}

void rfs_fetch_putter_fini(struct rfs_fetch *f)
{
	struct rfs_fetch_putter *p = &f->putter;

	pthread_mutex_lock(&p->lock);
	p->ends = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	if (p->is_started)
		pthread_join(p->thread, NULL);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(f->slots[0].buf);
	free(f->slots[1].buf);
}
