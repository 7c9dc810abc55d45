// SPDX-License-Identifier: GPL-3.0-or-later
/* mapped.c - an image that was copied in part, and the mapfile that says which.
 *
 * What was never copied is zeros or a hole in such an image, and looks like
 * data.  So the map can only take away: outside its '+' blocks nothing of the
 * image is read, and nothing is said of it but that it cannot be.
 */
#include <errno.h>
#include <stdlib.h>

#include "readers/readers.h"

/* A map of a disk whose size ddrescue could not tell ends at the end of all
 * numbers; no disk is as large as this. */
#define END_MAX ((uint64_t)1 << 50)

struct mapped {
	struct rfs_reader *below;
	struct rfs_mapfile map; /* not changed once it is open */
};

/* The first block that ends behind 'off'; 'count' if none does. */
static size_t find_block(const struct rfs_mapfile *map, uint64_t off)
{
	size_t low = 0, high = map->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (rfs_range_end(map->items[mid].range) > off)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/* The piece at the front of 'range' that is alike: *ret_good if it was copied
 * and is in the image. */
static struct rfs_range take_piece(const struct mapped *m,
				   struct rfs_range range, bool *ret_good)
{
	uint64_t size = rfs_reader_size(m->below);
	size_t at = find_block(&m->map, range.off);
	struct rfs_range block;

	*ret_good = false;
	if (range.off >= size || at == m->map.count)
		return range;
	block = m->map.items[at].range;
	if (range.off < block.off)
		return rfs_range_cut(range, rfs_range(0, block.off));
	if (m->map.items[at].status == '+') {
		*ret_good = true;
		block = rfs_range_cut(block, rfs_range(0, size));
	}
	return rfs_range_cut(range, block);
}

static int fail_piece(const struct mapped *m, struct rfs_range piece,
		      struct rfs_ranges *bad, struct rfs_error *err)
{
	if (rfs_ranges_add(bad, piece) < 0)
		return rfs_no_memory(err);
	return rfs_fail(
		err, EIO, "%s: by its mapfile it was never copied at %llu",
		rfs_reader_name(m->below), (unsigned long long)piece.off);
}

static int mapped_read(void *state, struct rfs_range range, void *buf,
		       struct rfs_ranges *bad, struct rfs_error *err)
{
	const struct mapped *m = state;
	struct rfs_range rest = range, piece;
	int r, worst = 0;
	bool good;

	while (rest.len) {
		piece = take_piece(m, rest, &good);
		if (good)
			r = rfs_reader_read(m->below, piece,
					    (char *)buf +
						    (piece.off - range.off),
					    bad, err);
		else
			r = fail_piece(m, piece, bad, err);
		if (r < 0 && !rfs_read_is_partial(r))
			return r;
		if (r < 0)
			worst = rfs_read_worse(worst, r);
		rest = rfs_range_to(rfs_range_end(piece), rfs_range_end(rest));
	}
	return worst;
}

/* What was not copied is data: it must be read, which fails. */
static int mapped_extents(void *state, struct rfs_range range,
			  struct rfs_extents *out, struct rfs_error *err)
{
	const struct mapped *m = state;
	struct rfs_range rest = range, piece;
	bool good;
	int r = 0;

	while (rest.len && r == 0) {
		piece = take_piece(m, rest, &good);
		if (good)
			r = rfs_reader_extents(m->below, piece, out, err);
		else if (rfs_extents_add(out, piece, RFS_DATA) < 0)
			r = rfs_no_memory(err);
		rest = rfs_range_to(rfs_range_end(piece), rfs_range_end(rest));
	}
	return r;
}

/* What was not copied lies nowhere. */
static int mapped_spots(void *state, struct rfs_range range,
			struct rfs_spots *out, struct rfs_error *err)
{
	const struct mapped *m = state;
	struct rfs_range rest = range, piece;
	bool good;
	int r = 0;

	while (rest.len && r == 0) {
		piece = take_piece(m, rest, &good);
		if (good)
			r = rfs_reader_spots(m->below, piece, out, err);
		rest = rfs_range_to(rfs_range_end(piece), rfs_range_end(rest));
	}
	return r;
}

static uint64_t mapped_allocated(void *state)
{
	const struct mapped *m = state;

	return rfs_reader_allocated(m->below);
}

static int mapped_renew(void *state, struct rfs_error *err)
{
	const struct mapped *m = state;

	return rfs_reader_renew(m->below, err);
}

static void mapped_close(void *state)
{
	struct mapped *m = state;

	rfs_reader_unref(m->below);
	rfs_mapfile_fini(&m->map);
	free(m);
}

static const struct rfs_reader_ops mapped_ops = {
	.kind = "mapped",
	.read = mapped_read,
	.extents = mapped_extents,
	.spots = mapped_spots,
	.allocated = mapped_allocated,
	.renew = mapped_renew,
	.close = mapped_close,
};

/* A disk that was not copied to its end is as large as its map says. */
static uint64_t size_of(const struct rfs_reader *below,
			const struct rfs_mapfile *map)
{
	uint64_t size = rfs_reader_size(below), end;

	end = rfs_range_end(map->items[map->count - 1].range);
	return end > size && end <= END_MAX ? end : size;
}

int rfs_mapped_open(struct rfs_reader *below, struct rfs_mapfile *map,
		    struct rfs_reader **ret, struct rfs_error *err)
{
	struct mapped *m;

	if (!map->count) {
		rfs_mapfile_fini(map);
		return rfs_fail(err, EINVAL,
				"%s: its mapfile says nothing of any block",
				rfs_reader_name(below));
	}
	m = calloc(1, sizeof(*m));
	if (!m) {
		rfs_mapfile_fini(map);
		return rfs_no_memory(err);
	}
	m->below = rfs_reader_ref(below);
	m->map = *map;
	*map = (struct rfs_mapfile){ 0 };
	return rfs_reader_new(&mapped_ops, m, size_of(below, &m->map),
			      rfs_reader_name(below), rfs_reader_origin(below),
			      ret, err);
}

const struct rfs_reader *rfs_mapped_below(const struct rfs_reader *rd)
{
	const struct mapped *m = rfs_reader_state(rd, &mapped_ops);

	return m ? m->below : NULL;
}
