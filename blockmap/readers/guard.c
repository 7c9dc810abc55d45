// SPDX-License-Identifier: GPL-3.0-or-later
/* guard.c - remembers the sectors that failed and does not ask for them again.
 *
 * A reader below tells what failed of the bytes it was asked for; the sector
 * around them has failed.  A healthy file has nothing in the map and costs
 * nothing in the state.
 *
 * A file may be open several times at once: in the merged view, alone under
 * sources/, as a part of hosts/.  Its guards share one map, or each would save
 * over what the other learned.
 *
 * trace: what is known to be bad has the origin NULL, "nobody gives it"; see
 * heal.c for who makes use of that.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/keptmap.h"
#include "readers/readers.h"

#define IS_BAD 1u

/* What is known of one object of a state. */
struct bad_map {
	struct bad_map *next;
	struct rfs_kept kept; /* has its own lock */
	size_t refs;
};

static pthread_mutex_t maps_lock = PTHREAD_MUTEX_INITIALIZER;
static struct bad_map *maps; /* guarded by maps_lock, with next and refs */

struct guard {
	struct rfs_reader *below;
	struct bad_map *map;
};

static struct bad_map *find_map(const struct rfs_state *state,
				const char *object)
{
	struct bad_map *m = maps;

	while (m && (m->kept.state != state || strcmp(m->kept.object, object)))
		m = m->next;
	return m;
}

static int make_map(struct rfs_state *state, const char *object,
		    struct bad_map **ret, struct rfs_error *err)
{
	struct bad_map *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return rfs_no_memory(err);
	r = rfs_kept_open(&m->kept, state, object, "bad", err);
	if (r < 0) {
		free(m);
		return r;
	}
	m->next = maps;
	maps = m;
	*ret = m;
	return 0;
}

/* Without a state there is nothing to save over, and no one to share with. */
static int get_map(struct rfs_state *state, const char *object,
		   struct bad_map **ret, struct rfs_error *err)
{
	int r = 0;

	pthread_mutex_lock(&maps_lock);
	*ret = state ? find_map(state, object) : NULL;
	if (!*ret)
		r = make_map(state, object, ret, err);
	if (r == 0)
		(*ret)->refs++;
	pthread_mutex_unlock(&maps_lock);
	return r;
}

static void put_map(struct bad_map *m)
{
	struct bad_map **at = &maps;

	pthread_mutex_lock(&maps_lock);
	if (--m->refs) {
		pthread_mutex_unlock(&maps_lock);
		return;
	}
	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	pthread_mutex_unlock(&maps_lock);
	rfs_kept_close(&m->kept);
	free(m);
}

/* The whole sector of what was asked for in part.  An edge inside 'asked' is
 * where the medium itself put it. */
static struct rfs_range whole_sectors(struct rfs_range bad,
				      struct rfs_range asked, uint64_t size)
{
	struct rfs_range wide = rfs_range_widen(bad, RFS_SECTOR);
	uint64_t off = bad.off, end = rfs_range_end(bad);

	if (off == asked.off)
		off = wide.off;
	if (end == rfs_range_end(asked))
		end = rfs_range_end(wide);
	return rfs_range_to(off, end < size ? end : size);
}

/* On the disk before the reader hears of it (P5).  Where it cannot be saved it
 * is known as long as this is open, and goes with the next save: the bytes
 * that were read must not be lost for that. */
static int remember(struct guard *g, struct rfs_range asked,
		    const struct rfs_ranges *failed, struct rfs_ranges *bad,
		    struct rfs_error *err)
{
	uint64_t size = rfs_reader_size(g->below);
	struct rfs_range sectors;
	int r;

	for (size_t i = 0; i < failed->count; i++) {
		sectors = whole_sectors(failed->items[i], asked, size);
		r = rfs_kept_set(&g->map->kept, sectors, IS_BAD, err);
		if (r < 0)
			return r;
		if (rfs_ranges_add(bad, failed->items[i]) < 0)
			return rfs_no_memory(err);
	}
	rfs_kept_save(&g->map->kept, NULL);
	return -EIO;
}

static int read_unknown(struct guard *g, struct rfs_range range, void *buf,
			struct rfs_ranges *bad, struct rfs_error *err)
{
	struct rfs_ranges failed = { 0 };
	int r;

	r = rfs_reader_read(g->below, range, buf, &failed, err);
	if (r == -EIO)
		r = remember(g, range, &failed, bad, err);
	for (size_t i = 0; i < failed.count && r == -ETIMEDOUT; i++)
		if (rfs_ranges_add(bad, failed.items[i]) < 0)
			r = rfs_no_memory(err);
	rfs_ranges_fini(&failed);
	return r;
}

static int refuse(const struct guard *g, struct rfs_range range,
		  struct rfs_ranges *bad, struct rfs_error *err)
{
	if (rfs_ranges_add(bad, range) < 0)
		return rfs_no_memory(err);
	return rfs_fail(err, EIO,
			"%s: %" PRIu64 " bytes at %" PRIu64
			" failed before and are not asked for again; "
			"'rescuefs refresh' orders another try",
			rfs_reader_name(g->below), range.len, range.off);
}

/* Reads around what is known to be bad.  The text is of the first failure,
 * unless a worse one follows. */
static int read_around(struct guard *g, struct rfs_range range,
		       unsigned char *buf, struct rfs_ranges *bad,
		       struct rfs_error *err)
{
	struct rfs_error own = RFS_ERROR_INIT;
	struct rfs_run run;
	int r, ret = 0;

	for (uint64_t off = range.off; off < rfs_range_end(range);
	     off = rfs_range_end(run.range)) {
		run = rfs_kept_find(&g->map->kept, off,
				    rfs_range_to(off, rfs_range_end(range)));
		if (run.value == IS_BAD)
			r = refuse(g, run.range, bad, &own);
		else
			r = read_unknown(g, run.range, buf + (off - range.off),
					 bad, &own);
		if (r < 0 && err && (ret == 0 || !rfs_read_is_partial(r)))
			*err = own;
		if (r < 0 && !rfs_read_is_partial(r))
			return r;
		ret = rfs_read_worse(ret, r);
	}
	return ret;
}

static int guard_read(void *state, struct rfs_range range, void *buf,
		      struct rfs_ranges *bad, struct rfs_error *err)
{
	struct guard *g = state;

	if (rfs_kept_is(&g->map->kept, range, 0))
		return read_unknown(g, range, buf, bad, err);
	return read_around(g, range, buf, bad, err);
}

static int guard_extents(void *state, struct rfs_range range,
			 struct rfs_extents *out, struct rfs_error *err)
{
	struct guard *g = state;

	return rfs_reader_extents(g->below, range, out, err);
}

static int guard_trace(void *state, struct rfs_range range,
		       struct rfs_trace *out, struct rfs_error *err)
{
	struct guard *g = state;
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_kept_find(&g->map->kept, off,
				    rfs_range_to(off, rfs_range_end(range)));
		if (run.value != IS_BAD)
			r = rfs_reader_trace(g->below, run.range, out, err);
		else if (rfs_trace_add(out, run.range, NULL) < 0)
			r = rfs_no_memory(err);
	}
	return r;
}

static int guard_pieces(void *state, struct rfs_range range,
			struct rfs_pieces *out)
{
	struct guard *g = state;

	return rfs_kept_is(&g->map->kept, range, 0)
		       ? rfs_reader_pieces(g->below, range, out)
		       : -ENOTSUP;
}

static int guard_renew(void *state, struct rfs_error *err)
{
	struct guard *g = state;
	int r = rfs_kept_forget(&g->map->kept, err);

	return r < 0 ? r : rfs_reader_renew(g->below, err);
}

static uint64_t guard_allocated(void *state)
{
	const struct guard *g = state;

	return rfs_reader_allocated(g->below);
}

static void guard_close(void *state)
{
	struct guard *g = state;

	put_map(g->map);
	rfs_reader_unref(g->below);
	free(g);
}

static const struct rfs_reader_ops guard_ops = {
	.kind = "guard",
	.read = guard_read,
	.extents = guard_extents,
	.trace = guard_trace,
	.pieces = guard_pieces,
	.allocated = guard_allocated,
	.renew = guard_renew,
	.close = guard_close,
};

int rfs_guard_open(struct rfs_reader *below, struct rfs_state *state,
		   const char *object, struct rfs_reader **ret,
		   struct rfs_error *err)
{
	struct guard *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return rfs_no_memory(err);
	r = get_map(state, object, &g->map, err);
	if (r < 0) {
		free(g);
		return r;
	}
	g->below = rfs_reader_ref(below);
	return rfs_reader_new(&guard_ops, g, rfs_reader_size(below),
			      rfs_reader_name(below), rfs_reader_origin(below),
			      ret, err);
}
