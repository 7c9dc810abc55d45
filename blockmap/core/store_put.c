// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Data, journal, map: in this order, so that what is in the map of a process
 * that is killed the next moment is in the page cache, both the bytes and the
 * record that speaks of them.  Nothing is forced to the disk here.
 *
 * Who puts claims the range first: two who read the same sectors of a file
 * that changes would else leave one's bytes under the other's digest.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/store_parts.h"
#include "core/vec.h"

/* At once; so that no journal grows far beyond its bound. */
#define PART ((uint64_t)16 << 20)

/* Seconds between the syncs that a full store tries in vain. */
#define RETRY_S 5

struct pieces {
	struct rfs_store_piece *items;
	size_t count;
	size_t room;
};

static bool is_claimed(const struct rfs_store *s, struct rfs_range range)
{
	for (const struct rfs_store_claim *c = s->claims; c; c = c->next)
		if (rfs_range_cut(c->range, range).len)
			return true;
	return false;
}

static void claim(struct rfs_store *s, struct rfs_store_claim *c)
{
	pthread_mutex_lock(&s->claiming);
	while (is_claimed(s, c->range))
		pthread_cond_wait(&s->unclaimed, &s->claiming);
	c->next = s->claims;
	s->claims = c;
	pthread_mutex_unlock(&s->claiming);
}

static void unclaim(struct rfs_store *s, struct rfs_store_claim *c)
{
	struct rfs_store_claim **p = &s->claims;

	pthread_mutex_lock(&s->claiming);
	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	pthread_cond_broadcast(&s->unclaimed);
	pthread_mutex_unlock(&s->claiming);
}

/* One of a store that was dropped must not come back with a new row. */
static int empty_durably(struct rfs_store *s, int fd, struct rfs_error *err)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && st.st_size == 0)
		return 0;
	if (ftruncate(fd, 0) == 0 && fdatasync(fd) == 0)
		return 0;
	return rfs_fail(err, errno,
			"%s: the rescued store's journal cannot be emptied: %s",
			s->object, strerror(errno));
}

static int open_journal(struct rfs_store *s, unsigned parity,
			struct rfs_error *err)
{
	struct rfs_store_turn *t = &s->turns[parity];

	if (t->fd < 0)
		t->fd = rfs_state_file_fd(s->state, s->object,
					  parity ? RFS_STATE_JOURNAL1
						 : RFS_STATE_JOURNAL0,
					  true, err);
	if (t->fd < 0)
		return t->fd;
	return s->has_row ? 0 : empty_durably(s, t->fd, err);
}

static int get_ready(struct rfs_store *s, struct rfs_error *err)
{
	int fd = atomic_load(&s->fd), r;

	if (fd < 0) {
		fd = rfs_state_file_fd(s->state, s->object, RFS_STATE_STORE,
				       true, err);
		if (fd < 0)
			return fd;
		atomic_store(&s->fd, fd);
	}
	r = open_journal(s, 0, err);
	if (r == 0)
		r = open_journal(s, 1, err);
	if (r == 0 && !s->has_row)
		r = rfs_state_begin_store(s->state, s->object, s->size, err);
	if (r == 0) {
		s->has_row = true;
		atomic_store(&s->ready, true);
	}
	return r;
}

/* The files, made at the first put. */
static int need_files(struct rfs_store *s, struct rfs_error *err)
{
	int r = 0;

	if (atomic_load(&s->ready))
		return 0;
	pthread_mutex_lock(&s->files);
	if (!atomic_load(&s->ready))
		r = get_ready(s, err);
	pthread_mutex_unlock(&s->files);
	return r;
}

static void *sync_behind(void *data)
{
	struct rfs_store *s = data;
	struct rfs_error err;

	/* After a failure as much again is let in before the next try; whoever
	 * syncs by himself is told. */
	if (rfs_store_sync(s, &err) < 0) {
		atomic_fetch_add(&s->sync_at_bytes, RFS_STORE_SYNC_BYTES);
		atomic_fetch_add(&s->sync_at_pieces, RFS_STORE_SYNC_PIECES);
	} else {
		atomic_store(&s->sync_at_bytes, RFS_STORE_SYNC_BYTES);
		atomic_store(&s->sync_at_pieces, RFS_STORE_SYNC_PIECES);
	}
	atomic_store(&s->behind_runs, false);
	return NULL;
}

static bool is_sync_due(struct rfs_store *s)
{
	return atomic_load(&s->waiting_bytes) >=
		       atomic_load(&s->sync_at_bytes) ||
	       atomic_load(&s->waiting_pieces) >=
		       atomic_load(&s->sync_at_pieces);
}

/* A thread for as long as one sync takes: a put is somebody's read and does not
 * wait for it.  Without a thread the next sync does it all. */
static void begin_sync(struct rfs_store *s)
{
	sigset_t all, old;

	if (!is_sync_due(s) || atomic_load(&s->behind_runs))
		return;
	sigfillset(&all);
	pthread_mutex_lock(&s->behind);
	/* One may have been done since the question. */
	if (!atomic_load(&s->behind_runs) && is_sync_due(s)) {
		if (s->behind_started)
			pthread_join(s->behind_thread, NULL);
		atomic_store(&s->behind_runs, true);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		s->behind_started = pthread_create(&s->behind_thread, NULL,
						   sync_behind, s) == 0;
		pthread_sigmask(SIG_SETMASK, &old, NULL);
		if (!s->behind_started)
			atomic_store(&s->behind_runs, false);
	}
	pthread_mutex_unlock(&s->behind);
}

static bool is_full(struct rfs_store *s)
{
	return atomic_load(&s->waiting_bytes) >= RFS_STORE_MOST_BYTES ||
	       atomic_load(&s->waiting_pieces) >= RFS_STORE_MOST_PIECES;
}

/* The parts of 'range' that are not kept, or damaged. */
static int find_missing(struct rfs_store *s, struct rfs_range range,
			struct rfs_ranges *out, struct rfs_error *err)
{
	struct rfs_run run;

	for (uint64_t off = range.off; off < rfs_range_end(range);
	     off = rfs_range_end(run.range)) {
		run = rfs_store_find(s, off, range);
		if (run.value != RFS_KEPT_WHOLE &&
		    rfs_ranges_add(out, run.range) < 0)
			return rfs_no_memory(err);
	}
	return 0;
}

/* Cuts at the chunks' borders. */
static int make_pieces(struct rfs_range range, const uint8_t *p,
		       struct pieces *out, struct rfs_error *err)
{
	struct rfs_store_piece *piece;
	uint64_t len;

	while (range.len) {
		len = RFS_STORE_CHUNK - range.off % RFS_STORE_CHUNK;
		if (len > range.len)
			len = range.len;
		if (RFS_VEC_ROOM(out) < 0)
			return rfs_no_memory(err);
		piece = &out->items[out->count++];
		piece->range = rfs_range(range.off, len);
		piece->digest = rfs_digest_data(p, len);
		p += len;
		range = rfs_range(range.off + len, range.len - len);
	}
	return 0;
}

/* True if nothing of the chunk is kept that was not checked. */
static bool is_known(struct rfs_store *s, uint64_t number)
{
	const struct rfs_range chunk = rfs_store_chunk_range(s, number);
	struct rfs_run run;
	uint32_t name;

	if (rfs_store_is_checked(s, number))
		return true;
	for (uint64_t off = chunk.off; off < rfs_range_end(chunk);
	     off = rfs_range_end(run.range)) {
		run = rfs_store_look(s, off, chunk, &name);
		if (run.value == RFS_KEPT_WHOLE)
			return false;
	}
	return true;
}

static int make_fresh(struct rfs_store *s, const struct pieces *list,
		      struct rfs_error *err)
{
	struct rfs_store_turn *t = &s->turns[s->turn & 1];
	const struct rfs_store_piece *p;
	uint64_t chunk;
	bool known;

	for (size_t i = 0; i < list->count; i++) {
		p = &list->items[i];
		chunk = p->range.off / RFS_STORE_CHUNK;
		known = is_known(s, chunk);
		if (RFS_VEC_ROOM(t) < 0 ||
		    rfs_extmap_set(&s->fresh, p->range,
				   rfs_store_name(s->turn, t->count)) < 0)
			return rfs_no_memory(err);
		t->items[t->count++] = *p;
		t->bytes += p->range.len;
		atomic_fetch_add(&s->waiting_bytes, p->range.len);
		atomic_fetch_add(&s->waiting_pieces, 1);
		if (known)
			rfs_store_set_checked(s, chunk, true);
	}
	return 0;
}

static int publish(struct rfs_store *s, const struct pieces *list,
		   struct rfs_error *err)
{
	int r;

	pthread_mutex_lock(&s->journal);
	r = rfs_store_record(s, list->items, list->count, err);
	if (r == 0) {
		rfs_kept_lock(&s->map);
		r = make_fresh(s, list, err);
		rfs_kept_unlock(&s->map);
	}
	pthread_mutex_unlock(&s->journal);
	return r;
}

static int put_claimed(struct rfs_store *s, struct rfs_range range,
		       const uint8_t *buf, struct rfs_error *err)
{
	struct rfs_ranges missing = { 0 };
	struct pieces list = { 0 };
	const uint8_t *p;
	int r = find_missing(s, range, &missing, err);

	for (size_t i = 0; i < missing.count && r == 0; i++) {
		p = buf + (missing.items[i].off - range.off);
		r = rfs_store_pwrite(s, missing.items[i], p, err);
		if (r == 0)
			r = make_pieces(missing.items[i], p, &list, err);
	}
	if (r == 0 && list.count)
		r = publish(s, &list, err);
	free(list.items);
	rfs_ranges_fini(&missing);
	return r;
}

static int64_t now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec;
}

/* A state's disk that takes no sync must not cost every read one. */
static int make_room(struct rfs_store *s, struct rfs_error *err)
{
	int r;

	if (!is_full(s))
		return 0;
	if (now_s() < atomic_load(&s->retry_s))
		return rfs_fail(err, atomic_load(&s->retry_errno),
				"%s: the rescued store takes no more until the "
				"state directory takes what it has",
				s->object);
	r = rfs_store_sync(s, err);
	if (r < 0) {
		atomic_store(&s->retry_errno, -r);
		atomic_store(&s->retry_s, now_s() + RETRY_S);
	}
	return r;
}

static int put_part(struct rfs_store *s, struct rfs_range range,
		    const uint8_t *buf, struct rfs_error *err)
{
	struct rfs_store_claim mine = { range, NULL };
	int r = make_room(s, err);

	if (r < 0)
		return r;
	claim(s, &mine);
	r = put_claimed(s, range, buf, err);
	unclaim(s, &mine);
	begin_sync(s);
	return r;
}

int rfs_store_put(struct rfs_store *s, struct rfs_range range, const void *buf,
		  struct rfs_error *err)
{
	const uint8_t *p = buf;
	uint64_t len;
	int r = 0;

	if (!rfs_range_fits(range, s->size))
		return rfs_fail(err, EINVAL,
				"%s: %" PRIu64 " bytes at %" PRIu64
				" are beyond its end",
				s->object, range.len, range.off);
	if (range.len)
		r = need_files(s, err);
	while (range.len && r == 0) {
		len = range.len < PART ? range.len : PART;
		r = put_part(s, rfs_range(range.off, len), p, err);
		p += len;
		range = rfs_range(range.off + len, range.len - len);
	}
	return r;
}

int rfs_store_drop(struct rfs_state *state, const char *object,
		   struct rfs_error *err)
{
	/* Journals last: without a row they are emptied before they are used. */
	static const enum rfs_state_file files[] = { RFS_STATE_STORE,
						     RFS_STATE_JOURNAL0,
						     RFS_STATE_JOURNAL1 };
	int r = rfs_state_drop_store(state, object, err);

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && r == 0; i++)
		r = rfs_state_remove_file(state, object, files[i], err);
	return r;
}
