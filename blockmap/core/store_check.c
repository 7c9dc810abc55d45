// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A chunk is checked at its first reading.  That needs no lock: bytes which
 * agree with a digest of theirs are right, whatever else goes on.  Where they
 * do not agree a sync may have come between, so they are looked at again with
 * 'syncing' held before they are condemned.
 *
 * Nothing writes over a byte that is kept and not damaged, and with 'syncing'
 * held nobody else says that one is damaged or moves it from 'fresh' to the map:
 * what is judged then stays what it was.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/store_parts.h"
#include "core/vec.h"

/* 'checked' has a bit for each chunk, 32 of them a number. */
#define GROUP 32u

bool rfs_store_is_checked(struct rfs_store *s, uint64_t chunk)
{
	uint64_t off = chunk / GROUP * GROUP * RFS_STORE_CHUNK;

	return rfs_extmap_find(&s->checked, off).value >> chunk % GROUP & 1;
}

/* Without memory for it, a chunk is checked once more. */
void rfs_store_set_checked(struct rfs_store *s, uint64_t chunk, bool checked)
{
	uint64_t off = chunk / GROUP * GROUP * RFS_STORE_CHUNK;
	uint32_t mask = rfs_extmap_find(&s->checked, off).value;
	uint32_t bit = (uint32_t)1 << chunk % GROUP;
	uint32_t want = checked ? mask | bit : mask & ~bit;

	if (want != mask)
		rfs_extmap_set(&s->checked,
			       rfs_range(off, GROUP * RFS_STORE_CHUNK), want);
}

/* One chunk at one moment. */
struct named_piece {
	struct rfs_store_piece piece;
	uint32_t name;
	bool bad;
};

struct sight {
	struct named_piece *items;
	size_t count;
	size_t room;
	struct rfs_ranges whole; /* what the chunk's digest speaks of */
	bool whole_bad;
	bool has_digest;
	struct rfs_digest digest;
};

static void sight_fini(struct sight *v)
{
	free(v->items);
	rfs_ranges_fini(&v->whole);
}

static int by_number(const void *key, const void *item)
{
	const uint64_t *number = key;
	const struct rfs_store_chunk *chunk = item;

	if (*number == chunk->number)
		return 0;
	return *number < chunk->number ? -1 : 1;
}

static int see_locked(struct rfs_store *s, uint64_t number, struct sight *v)
{
	const struct rfs_range chunk = rfs_store_chunk_range(s, number);
	const struct rfs_store_chunk *unsaved = NULL;
	struct rfs_run run;
	uint32_t name;
	int r = 0;

	for (uint64_t off = chunk.off; off < rfs_range_end(chunk) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_store_look(s, off, chunk, &name);
		if (name) {
			r = RFS_VEC_ROOM(v);
			if (r == 0)
				v->items[v->count++] = (struct named_piece){
					*rfs_store_named(s, name), name, false
				};
		} else if (run.value == RFS_KEPT_WHOLE) {
			r = rfs_ranges_add(&v->whole, run.range);
		}
	}
	if (s->nunsaved)
		unsaved = bsearch(&number, s->unsaved, s->nunsaved,
				  sizeof(s->unsaved[0]), by_number);
	if (unsaved) {
		v->has_digest = true;
		v->digest = unsaved->digest;
	}
	return r;
}

static int see(struct rfs_store *s, uint64_t number, struct sight *v,
	       struct rfs_error *err)
{
	int r;

	rfs_kept_lock_shared(&s->map);
	r = see_locked(s, number, v);
	rfs_kept_unlock(&s->map);
	return r < 0 ? rfs_no_memory(err) : 0;
}

static int load_digest(struct rfs_store *s, uint64_t number, struct sight *v,
		       struct rfs_store_scratch *scratch, struct rfs_error *err)
{
	const uint64_t page = number / RFS_DIGESTS_PAGE;
	int r;

	if (v->has_digest)
		return 0;
	if (!scratch->loaded || scratch->page != page) {
		scratch->loaded = false;
		r = rfs_state_digests(s->state, s->object, page,
				      &scratch->digests, err);
		if (r < 0)
			return r;
		scratch->loaded = true;
		scratch->page = page;
	}
	v->digest = scratch->digests.items[number % RFS_DIGESTS_PAGE];
	return 0;
}

static int read_part(struct rfs_store *s, struct rfs_range range,
		     struct rfs_store_scratch *scratch, bool *bad,
		     struct rfs_error *err)
{
	int r = rfs_store_pread(s, range,
				scratch->data + range.off % RFS_STORE_CHUNK);

	if (r < 0 && r != -EIO)
		return rfs_fail(err, -r, "%s: reading the rescued store: %s",
				s->object, strerror(-r));
	*bad = r < 0;
	return 0;
}

static int check_whole(struct rfs_store *s, struct sight *v,
		       struct rfs_store_scratch *scratch, struct rfs_error *err)
{
	size_t len = 0;
	int r;

	for (size_t i = 0; i < v->whole.count; i++) {
		const struct rfs_range part = v->whole.items[i];

		r = read_part(s, part, scratch, &v->whole_bad, err);
		if (r < 0 || v->whole_bad)
			return r;
		memcpy(scratch->gathered + len,
		       scratch->data + part.off % RFS_STORE_CHUNK, part.len);
		len += part.len;
	}
	if (len)
		v->whole_bad =
			!rfs_digest_agrees(&v->digest, scratch->gathered, len);
	return 0;
}

/* 1: all agreed, 0: something did not. */
static int compare(struct rfs_store *s, uint64_t number, struct sight *v,
		   struct rfs_store_scratch *scratch, struct rfs_error *err)
{
	bool good;
	int r = 0;

	if (v->whole.count)
		r = load_digest(s, number, v, scratch, err);
	if (r == 0)
		r = check_whole(s, v, scratch, err);
	good = !v->whole_bad;
	for (size_t i = 0; i < v->count && r == 0; i++) {
		struct named_piece *p = &v->items[i];
		const struct rfs_range range = p->piece.range;

		r = read_part(s, range, scratch, &p->bad, err);
		if (r < 0 || p->bad) {
			good = false;
			continue;
		}
		p->bad = !rfs_digest_agrees(
			&p->piece.digest,
			scratch->data + range.off % RFS_STORE_CHUNK, range.len);
		good = good && !p->bad;
	}
	return r < 0 ? r : good;
}

int rfs_store_condemn(struct rfs_store *s, struct rfs_range range,
		      struct rfs_error *err)
{
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find_in(&s->map.map, off, range);
		if (run.value == RFS_KEPT_WHOLE)
			r = rfs_kept_set_locked(&s->map, run.range,
						RFS_KEPT_DAMAGED, err);
	}
	return r;
}

int rfs_store_forget_damaged(struct rfs_store *s, struct rfs_error *err)
{
	struct rfs_run run;
	int r = 0;

	pthread_mutex_lock(&s->syncing);
	rfs_kept_lock(&s->map);
	for (uint64_t off = 0; off < RFS_SIZE_MAX && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find(&s->map.map, off);
		if (run.value == RFS_KEPT_DAMAGED)
			r = rfs_kept_set_locked(&s->map, run.range,
						RFS_KEPT_NOT, err);
	}
	rfs_kept_unlock(&s->map);
	pthread_mutex_unlock(&s->syncing);
	return r;
}

static int condemn_bad(struct rfs_store *s, uint64_t number,
		       const struct sight *v, struct rfs_error *err)
{
	int r = 0;

	if (v->whole_bad)
		r = rfs_store_condemn(s, rfs_store_chunk_range(s, number), err);
	for (size_t i = 0; i < v->count && r == 0; i++) {
		const struct rfs_range range = v->items[i].piece.range;

		if (!v->items[i].bad ||
		    !rfs_extmap_is(&s->fresh, range, v->items[i].name))
			continue;
		/* First the mark: then it is nowhere taken for good. */
		r = rfs_kept_set_locked(&s->map, range, RFS_KEPT_DAMAGED, err);
		if (r == 0 && rfs_extmap_set(&s->fresh, range, 0) < 0)
			r = rfs_no_memory(err);
	}
	return r;
}

int rfs_store_judge(struct rfs_store *s, uint64_t chunk,
		    struct rfs_store_scratch *scratch, struct rfs_error *err)
{
	struct sight v = { 0 };
	int r;

	scratch->loaded = false;
	r = see(s, chunk, &v, err);
	if (r == 0)
		r = compare(s, chunk, &v, scratch, err);
	if (r >= 0) {
		rfs_kept_lock(&s->map);
		r = r ? 0 : condemn_bad(s, chunk, &v, err);
		if (r == 0)
			rfs_store_set_checked(s, chunk, true);
		rfs_kept_unlock(&s->map);
	}
	sight_fini(&v);
	return r;
}

int rfs_store_check(struct rfs_store *s, uint64_t chunk,
		    struct rfs_store_scratch *scratch, struct rfs_error *err)
{
	struct sight v = { 0 };
	int r;

	r = see(s, chunk, &v, err);
	if (r == 0)
		r = compare(s, chunk, &v, scratch, err);
	sight_fini(&v);
	if (r == 1) {
		rfs_kept_lock(&s->map);
		rfs_store_set_checked(s, chunk, true);
		rfs_kept_unlock(&s->map);
		return 0;
	}
	if (r < 0)
		return r;
	pthread_mutex_lock(&s->syncing);
	r = rfs_store_judge(s, chunk, scratch, err);
	pthread_mutex_unlock(&s->syncing);
	return r;
}

/* What of 'range' is damaged. */
static int list_damaged(struct rfs_store *s, struct rfs_range range,
			struct rfs_ranges *bad)
{
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_store_find(s, off, range);
		if (run.value == RFS_KEPT_DAMAGED)
			r = rfs_ranges_add(bad, run.range);
	}
	return r;
}

int rfs_store_verify(struct rfs_store *s, uint64_t *at, uint64_t most,
		     struct rfs_ranges *bad, uint64_t *checked,
		     struct rfs_error *err)
{
	RFS_CLEANUP_FREE struct rfs_store_scratch *scratch =
		malloc(sizeof(*scratch));
	const struct rfs_range all = rfs_range(0, s->size);
	const uint64_t until = *checked + most;
	struct rfs_run run;
	int r = scratch ? 0 : rfs_no_memory(err);

	while (r == 0 && *at < s->size && *checked < until &&
	       bad->count < RFS_STORE_FINDS) {
		run = rfs_store_find(s, *at, all);
		if (run.value != RFS_KEPT_NOT) {
			run.range = rfs_range_cut(
				run.range, rfs_store_chunk_range(
						   s, *at / RFS_STORE_CHUNK));
			scratch->loaded = false;
			r = rfs_store_check(s, *at / RFS_STORE_CHUNK, scratch,
					    err);
			if (r == 0 && list_damaged(s, run.range, bad) < 0)
				r = rfs_no_memory(err);
			*checked += run.range.len;
		}
		*at = rfs_range_end(run.range);
	}
	if (r == 0 && *at >= s->size)
		*at = RFS_SIZE_MAX;
	return r;
}
