// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A page's blob is a row of runs: gap since the last run's end, length, value,
 * each a number in seven-bit groups, low group first, the top bit saying that
 * more follow.  A run that crosses a page's end is cut there and joined again
 * when it is loaded.
 */
#include "core/keptmap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

/* A few microseconds. */
#define LOCK_TRIES 50

struct blob {
	uint8_t *bytes;
	size_t len, room;
};

static int put_number(struct blob *b, uint64_t n)
{
	uint8_t *grown;

	if (b->room - b->len < 10) {
		grown = realloc(b->bytes, b->room * 2 + 64);
		if (!grown)
			return -ENOMEM;
		b->bytes = grown;
		b->room = b->room * 2 + 64;
	}
	for (; n > 0x7f; n >>= 7)
		b->bytes[b->len++] = (uint8_t)(n | 0x80);
	b->bytes[b->len++] = (uint8_t)n;
	return 0;
}

static bool get_number(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
	uint64_t n = 0;

	for (unsigned shift = 0; *p < end && shift < 63; shift += 7) {
		uint8_t c = *(*p)++;

		n |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80)) {
			*ret = n;
			return true;
		}
	}
	return false;
}

static int load_page(uint64_t page, const void *bytes, size_t len, void *data,
		     struct rfs_error *err)
{
	struct rfs_kept *k = data;
	const uint8_t *p = bytes, *end = p + len;
	uint64_t pos, gap, n, value, limit;

	if (page > RFS_SIZE_MAX / RFS_KEPT_PAGE)
		goto damaged;
	pos = page * RFS_KEPT_PAGE;
	limit = pos + RFS_KEPT_PAGE;
	while (p < end) {
		if (!get_number(&p, end, &gap) || !get_number(&p, end, &n) ||
		    !get_number(&p, end, &value) || !value ||
		    value > UINT32_MAX || !n || gap > limit - pos ||
		    n > limit - pos - gap)
			goto damaged;
		if (rfs_extmap_set(&k->map, rfs_range(pos + gap, n),
				   (uint32_t)value) < 0)
			return rfs_no_memory(err);
		pos += gap + n;
	}
	return 0;
damaged:
	return rfs_fail(err, EBADMSG,
			"the state's %s map of %s is damaged at page %" PRIu64
			"; put a copy of the state directory back, or move it "
			"away and begin anew",
			k->purpose, k->object, page);
}

int rfs_kept_open(struct rfs_kept *k, struct rfs_state *state,
		  const char *object, const char *purpose,
		  struct rfs_error *err)
{
	int r = 0;

	memset(k, 0, sizeof(*k));
	k->object = strdup(object);
	if (!k->object)
		return rfs_no_memory(err);
	k->state = state;
	k->purpose = purpose;
	pthread_rwlock_init(&k->lock, NULL);
	pthread_mutex_init(&k->saving, NULL);
	if (state)
		r = rfs_state_load_pages(state, object, purpose, load_page, k,
					 err);
	if (r < 0)
		rfs_kept_close(k);
	return r;
}

void rfs_kept_close(struct rfs_kept *k)
{
	if (!k->object)
		return;
	rfs_extmap_fini(&k->map);
	rfs_extmap_fini(&k->touched);
	pthread_rwlock_destroy(&k->lock);
	pthread_mutex_destroy(&k->saving);
	free(k->object);
	k->object = NULL;
}

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static void lock_with(struct rfs_kept *k, int (*attempt)(pthread_rwlock_t *),
		      int (*wait)(pthread_rwlock_t *))
{
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (attempt(&k->lock) == 0)
			return;
		pause_briefly();
	}
	wait(&k->lock);
}

void rfs_kept_lock(struct rfs_kept *k)
{
	lock_with(k, pthread_rwlock_trywrlock, pthread_rwlock_wrlock);
}

void rfs_kept_lock_shared(struct rfs_kept *k)
{
	lock_with(k, pthread_rwlock_tryrdlock, pthread_rwlock_rdlock);
}

void rfs_kept_unlock(struct rfs_kept *k)
{
	pthread_rwlock_unlock(&k->lock);
}

/* Marks the pages that a change is going to alter.  Clearing alters only where
 * there is something, however far the range goes. */
static int touch(struct rfs_kept *k, struct rfs_range range, uint32_t value)
{
	struct rfs_run run;
	int r = 0;

	if (value)
		return rfs_extmap_set(&k->touched,
				      rfs_range_widen(range, RFS_KEPT_PAGE), 1);
	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find_in(&k->map, off, range);
		if (run.value)
			r = rfs_extmap_set(
				&k->touched,
				rfs_range_widen(run.range, RFS_KEPT_PAGE), 1);
	}
	return r;
}

int rfs_kept_set_locked(struct rfs_kept *k, struct rfs_range range,
			uint32_t value, struct rfs_error *err)
{
	if (rfs_extmap_is(&k->map, range, value))
		return 0;
	return rfs_kept_change_locked(k, range, value, err);
}

int rfs_kept_change_locked(struct rfs_kept *k, struct rfs_range range,
			   uint32_t value, struct rfs_error *err)
{
	/* First the mark: a page too many costs nothing, one too few a fact. */
	if (touch(k, range, value) < 0 ||
	    rfs_extmap_set(&k->map, range, value) < 0)
		return rfs_no_memory(err);
	return 0;
}

int rfs_kept_set(struct rfs_kept *k, struct rfs_range range, uint32_t value,
		 struct rfs_error *err)
{
	int r;

	rfs_kept_lock(k);
	r = rfs_kept_set_locked(k, range, value, err);
	rfs_kept_unlock(k);
	return r;
}

struct rfs_run rfs_kept_find(struct rfs_kept *k, uint64_t off,
			     struct rfs_range within)
{
	struct rfs_run run;

	rfs_kept_lock_shared(k);
	run = rfs_extmap_find_in(&k->map, off, within);
	rfs_kept_unlock(k);
	return run;
}

bool rfs_kept_is(struct rfs_kept *k, struct rfs_range range, uint32_t value)
{
	bool is;

	rfs_kept_lock_shared(k);
	is = rfs_extmap_is(&k->map, range, value);
	rfs_kept_unlock(k);
	return is;
}

static int encode_page(struct rfs_kept *k, struct rfs_range page,
		       struct blob *b)
{
	uint64_t last = page.off;
	struct rfs_run run;
	int r = 0;

	b->len = 0;
	rfs_kept_lock_shared(k);
	for (uint64_t off = page.off; off < rfs_range_end(page) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find_in(&k->map, off, page);
		if (!run.value)
			continue;
		r = put_number(b, run.range.off - last);
		if (r == 0)
			r = put_number(b, run.range.len);
		if (r == 0)
			r = put_number(b, run.value);
		last = rfs_range_end(run.range);
	}
	rfs_kept_unlock(k);
	return r;
}

static int save_pages(struct rfs_kept *k, const struct rfs_extmap *pages,
		      struct rfs_error *err)
{
	struct blob b = { 0 };
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = 0; off < RFS_SIZE_MAX && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find(pages, off);
		if (!run.value)
			continue;
		for (off = run.range.off;
		     off < rfs_range_end(run.range) && r == 0;
		     off += RFS_KEPT_PAGE) {
			r = encode_page(k, rfs_range(off, RFS_KEPT_PAGE), &b);
			r = r < 0 ? rfs_no_memory(err)
				  : rfs_state_save_page(k->state, k->object,
							k->purpose,
							off / RFS_KEPT_PAGE,
							b.bytes, b.len, err);
		}
	}
	free(b.bytes);
	return r;
}

/* Marks the pages of a save that failed, so that the next one has them. */
static void touch_again(struct rfs_kept *k, const struct rfs_extmap *pages)
{
	struct rfs_run run;

	rfs_kept_lock(k);
	for (uint64_t off = 0; off < RFS_SIZE_MAX;
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find(pages, off);
		if (run.value)
			rfs_extmap_set(&k->touched, run.range, 1);
	}
	rfs_kept_unlock(k);
}

static int save_locked(struct rfs_kept *k, bool softly,
		       int (*also)(void *data, struct rfs_error *err),
		       void *data, struct rfs_error *err)
{
	struct rfs_extmap pages;
	int r;

	rfs_kept_lock(k);
	pages = k->touched;
	k->touched = (struct rfs_extmap){ 0 };
	rfs_kept_unlock(k);
	if (!pages.count && !also)
		return 0;
	r = softly ? rfs_state_begin_softly(k->state, err)
		   : rfs_state_begin(k->state, err);
	if (r == 0) {
		r = save_pages(k, &pages, err);
		if (r == 0 && also)
			r = also(data, err);
		if (r == 0)
			r = rfs_state_end(k->state, true, err);
		else
			rfs_state_end(k->state, false, NULL);
	}
	if (r < 0)
		touch_again(k, &pages);
	rfs_extmap_fini(&pages);
	return r;
}

int rfs_kept_save_with(struct rfs_kept *k,
		       int (*also)(void *data, struct rfs_error *err),
		       void *data, struct rfs_error *err)
{
	int r;

	if (!k->state)
		return 0;
	pthread_mutex_lock(&k->saving);
	r = save_locked(k, false, also, data, err);
	pthread_mutex_unlock(&k->saving);
	return r;
}

int rfs_kept_save_softly(struct rfs_kept *k, struct rfs_error *err)
{
	int r;

	if (!k->state)
		return 0;
	pthread_mutex_lock(&k->saving);
	r = save_locked(k, true, NULL, NULL, err);
	pthread_mutex_unlock(&k->saving);
	return r;
}

int rfs_kept_save(struct rfs_kept *k, struct rfs_error *err)
{
	return rfs_kept_save_with(k, NULL, NULL, err);
}

int rfs_kept_forget(struct rfs_kept *k, struct rfs_error *err)
{
	int r = 0;

	pthread_mutex_lock(&k->saving);
	if (k->state)
		r = rfs_state_forget_map(k->state, k->object, k->purpose, err);
	if (r == 0) {
		rfs_kept_lock(k);
		rfs_extmap_fini(&k->map);
		rfs_extmap_fini(&k->touched);
		rfs_kept_unlock(k);
	}
	pthread_mutex_unlock(&k->saving);
	return r;
}
