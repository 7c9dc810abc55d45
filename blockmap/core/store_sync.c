// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * fdatasync of the data; then what the pieces of the turn before cover goes
 * into the map and the chunks' digests, first in memory, then both in one
 * transaction that also names the turn; then its journal is emptied.  Puts go
 * on meanwhile, in the other journal.
 *
 * Where a chunk already has a digest, the bytes that it speaks of are checked
 * before a new one is made of them: damage must not be given a good name.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/store_parts.h"
#include "core/vec.h"

/* The next run of a piece that is to be absorbed, from 'off' on; len 0 at the
 * end.  With 'syncing' held nothing takes these away. */
static struct rfs_run next_old(struct rfs_store *s, uint64_t off)
{
	struct rfs_run run = { { 0, 0 }, 0 };

	rfs_kept_lock_shared(&s->map);
	for (; off < s->size; off = rfs_range_end(run.range)) {
		run = rfs_extmap_find(&s->fresh, off);
		if (rfs_store_is_of(run.value, s->turn - 1))
			break;
	}
	rfs_kept_unlock(&s->map);
	return off < s->size ? run : (struct rfs_run){ { 0, 0 }, 0 };
}

/* After an fdatasync that failed the kernel takes pages for clean that never
 * reached the disk: what is to be absorbed is written once more.  So is what
 * another process put, as nobody knows what it was told. */
static int write_again(struct rfs_store *s, struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *buf = malloc(RFS_STORE_CHUNK);
	struct rfs_run run;
	int r = 0;

	if (!buf)
		return rfs_no_memory(err);
	for (run = next_old(s, 0); run.range.len && r == 0;
	     run = next_old(s, rfs_range_end(run.range))) {
		r = rfs_store_pread(s, run.range, buf);
		if (r == 0)
			r = rfs_store_pwrite(s, run.range, buf, err);
		else if (r == -EIO)
			r = 0; /* its digest will tell */
		else
			r = rfs_fail(err, -r,
				     "%s: reading the rescued store: %s",
				     s->object, strerror(-r));
	}
	return r;
}

static int sync_data(struct rfs_store *s, struct rfs_error *err)
{
	int fd = atomic_load(&s->fd), r = 0;

	if (fd < 0) /* gone: the digests will tell */
		return 0;
	if (s->turn - 1 < s->rewrite)
		r = write_again(s, err);
	if (r == 0 && fdatasync(fd) < 0) {
		r = rfs_fail(err, errno,
			     "%s: the state directory does not take what was "
			     "rescued: %s",
			     s->object, strerror(errno));
		rfs_kept_lock(&s->map);
		rfs_extmap_fini(&s->checked);
		rfs_kept_unlock(&s->map);
		s->rewrite = s->turn + 1;
	}
	return r;
}

/* If all that the chunk's digest is to speak of is one piece, its digest is
 * the chunk's. */
static bool is_one_piece(struct rfs_store *s, uint64_t number,
			 struct rfs_digest *ret)
{
	const struct rfs_range chunk = rfs_store_chunk_range(s, number);
	struct rfs_run run;
	uint32_t name, only = 0;
	bool one = true;

	rfs_kept_lock_shared(&s->map);
	for (uint64_t off = chunk.off; off < rfs_range_end(chunk) && one;
	     off = rfs_range_end(run.range)) {
		run = rfs_store_look(s, off, chunk, &name);
		if (rfs_store_is_of(name, s->turn - 1)) {
			one = only == 0;
			only = name;
		} else {
			one = name || run.value != RFS_KEPT_WHOLE;
		}
	}
	one = one && only;
	if (one)
		*ret = rfs_store_named(s, only)->digest;
	rfs_kept_unlock(&s->map);
	return one;
}

/* The digest of what is left after judging; false if that is nothing. */
static bool gather(struct rfs_store *s, uint64_t number,
		   struct rfs_store_scratch *scratch, struct rfs_digest *ret)
{
	const struct rfs_range chunk = rfs_store_chunk_range(s, number);
	struct rfs_run run;
	uint32_t name;
	size_t len = 0;

	rfs_kept_lock_shared(&s->map);
	for (uint64_t off = chunk.off; off < rfs_range_end(chunk);
	     off = rfs_range_end(run.range)) {
		run = rfs_store_look(s, off, chunk, &name);
		if (name ? !rfs_store_is_of(name, s->turn - 1)
			 : run.value != RFS_KEPT_WHOLE)
			continue;
		memcpy(scratch->gathered + len,
		       scratch->data + off % RFS_STORE_CHUNK, run.range.len);
		len += run.range.len;
	}
	rfs_kept_unlock(&s->map);
	if (len)
		*ret = rfs_digest_data(scratch->gathered, len);
	return len > 0;
}

/* From 'fresh' into the map, with the digest that vouches for it. */
static int move_chunk(struct rfs_store *s, uint64_t number,
		      struct rfs_digest digest, struct rfs_error *err)
{
	const struct rfs_range chunk = rfs_store_chunk_range(s, number);
	struct rfs_run run;
	int r = 0;

	if (rfs_vec_room(&s->unsaved, s->nunsaved, &s->unsaved_room,
			 sizeof(s->unsaved[0])) < 0)
		return rfs_no_memory(err);
	for (uint64_t off = chunk.off; off < rfs_range_end(chunk) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find_in(&s->fresh, off, chunk);
		if (!rfs_store_is_of(run.value, s->turn - 1))
			continue;
		r = rfs_kept_set_locked(&s->map, run.range, RFS_KEPT_WHOLE,
					err);
		if (r == 0 && rfs_extmap_set(&s->fresh, run.range, 0) < 0)
			r = rfs_no_memory(err);
	}
	if (r == 0)
		s->unsaved[s->nunsaved++] =
			(struct rfs_store_chunk){ number, digest };
	return r;
}

static int absorb_chunk(struct rfs_store *s, uint64_t number,
			struct rfs_store_scratch *scratch,
			struct rfs_error *err)
{
	struct rfs_digest digest;
	int r;

	if (!is_one_piece(s, number, &digest)) {
		r = rfs_store_judge(s, number, scratch, err);
		if (r < 0)
			return r;
		if (!gather(s, number, scratch, &digest))
			return 0;
	}
	rfs_kept_lock(&s->map);
	r = move_chunk(s, number, digest, err);
	rfs_kept_unlock(&s->map);
	return r;
}

static int absorb_chunks(struct rfs_store *s, struct rfs_error *err)
{
	RFS_CLEANUP_FREE struct rfs_store_scratch *scratch =
		malloc(sizeof(*scratch));
	struct rfs_run run;
	uint64_t number;
	int r = 0;

	if (!scratch)
		return rfs_no_memory(err);
	scratch->loaded = false;
	for (run = next_old(s, 0); run.range.len && r == 0;
	     run = next_old(s, (number + 1) * RFS_STORE_CHUNK)) {
		number = run.range.off / RFS_STORE_CHUNK;
		r = absorb_chunk(s, number, scratch, err);
	}
	return r;
}

/* In the transaction of the map. */
static int save_rest(void *data, struct rfs_error *err)
{
	struct rfs_store *s = data;
	const struct rfs_store_row row = { s->size, s->turn - 1 };
	struct rfs_digests page;
	uint64_t number, which;
	size_t i = 0;
	int r = 0;

	while (i < s->nunsaved && r == 0) {
		number = s->unsaved[i].number / RFS_DIGESTS_PAGE;
		which = 0;
		for (; i < s->nunsaved &&
		       s->unsaved[i].number / RFS_DIGESTS_PAGE == number;
		     i++) {
			unsigned at = s->unsaved[i].number % RFS_DIGESTS_PAGE;

			page.items[at] = s->unsaved[i].digest;
			which |= (uint64_t)1 << at;
		}
		r = rfs_state_set_digests(s->state, s->object, number, which,
					  &page, err);
	}
	return r < 0 ? r : rfs_state_set_store(s->state, s->object, row, err);
}

static void forget_old(struct rfs_store *s, struct rfs_store_turn *old)
{
	rfs_kept_lock(&s->map);
	s->nunsaved = 0;
	atomic_fetch_sub(&s->waiting_bytes, old->bytes);
	atomic_fetch_sub(&s->waiting_pieces, old->count);
	old->count = 0;
	old->bytes = 0;
	rfs_kept_unlock(&s->map);
	s->absorbed = s->turn - 1;
	rfs_store_empty_journal(old);
}

/* All of the turn before the current one. */
static int absorb(struct rfs_store *s, struct rfs_error *err)
{
	struct rfs_store_turn *old = &s->turns[(s->turn - 1) & 1];
	bool idle;
	int r = 0;

	rfs_kept_lock_shared(&s->map);
	idle = !old->count && !s->map.touched.count &&
	       s->absorbed == s->turn - 1;
	rfs_kept_unlock(&s->map);
	if (idle)
		return 0;
	if (old->count) {
		r = sync_data(s, err);
		if (r == 0)
			r = absorb_chunks(s, err);
	}
	if (r == 0)
		r = rfs_kept_save_with(&s->map, save_rest, s, err);
	if (r == 0)
		forget_old(s, old);
	return r;
}

int rfs_store_sync(struct rfs_store *s, struct rfs_error *err)
{
	bool more;
	int r;

	pthread_mutex_lock(&s->syncing);
	r = absorb(s, err);
	rfs_kept_lock_shared(&s->map);
	more = s->turns[s->turn & 1].count > 0;
	rfs_kept_unlock(&s->map);
	if (r == 0 && more) {
		rfs_store_turn_over(s);
		r = absorb(s, err);
	}
	pthread_mutex_unlock(&s->syncing);
	return r;
}
