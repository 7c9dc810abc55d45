// SPDX-License-Identifier: GPL-3.0-or-later
#include "ext/reading.h"

#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/extmap.h"
#include "ext/ext.h"

#define PIECE ((uint64_t)1 << 20)

struct reading {
	const struct rfs_ext_reading *r;
	struct rfs_extmap map; /* a block's state; 0, which is unread */
	uint64_t done, total, unreadable;
	void *buf;
	struct rfs_error *err;
};

static int mark(struct reading *rd, struct rfs_range range,
		enum rfs_block_state state)
{
	int r = rfs_extmap_set(&rd->map, range, (uint32_t)state);

	return r < 0 ? rfs_no_memory(rd->err) : 0;
}

/* What was not waited for may be read another time. */
static int mark_bad(struct reading *rd, const struct rfs_ranges *bad,
		    enum rfs_block_state state)
{
	int r = 0;

	for (size_t i = 0; i < bad->count && r == 0; i++) {
		r = mark(rd, bad->items[i], state);
		rd->unreadable += bad->items[i].len;
	}
	return r;
}

static int read_piece(struct reading *rd, struct rfs_range piece)
{
	struct rfs_ranges bad = { 0 };
	int r = rfs_reader_read(rd->r->disk, piece, rd->buf, &bad, rd->err);
	int marked;

	if (r == 0 || rfs_read_is_partial(r)) {
		marked = mark(rd, piece, RFS_FRESH);
		if (marked == 0)
			marked = mark_bad(rd, &bad,
					  r == -EIO ? RFS_LOST : RFS_UNREAD);
		r = marked;
	}
	rfs_ranges_fini(&bad);
	return r;
}

/* Pieces begin at multiples of their size. */
static int read_data(struct reading *rd, struct rfs_range range)
{
	uint64_t end = rfs_range_end(range), next;
	int r = 0;

	for (uint64_t off = range.off; off < end && r == 0; off = next) {
		next = off - off % PIECE + PIECE;
		next = next > end ? end : next;
		r = read_piece(rd, rfs_range_to(off, next));
		rd->done += next - off;
		if (rd->r->progress)
			rd->r->progress(rd->r->data, rd->done, rd->total,
					rd->unreadable);
	}
	return r;
}

/* Where nothing tells what is a hole, all of it is read. */
static int read_range(struct reading *rd, struct rfs_range range)
{
	struct rfs_extents extents = { 0 };
	int r = rfs_reader_extents(rd->r->disk, range, &extents, rd->err);

	if (r < 0 && !rfs_is_own_want(r)) {
		rfs_extents_clear(&extents);
		r = rfs_extents_add(&extents, range, RFS_UNKNOWN);
	}
	for (size_t i = 0; i < extents.count && r == 0; i++) {
		if (extents.items[i].content != RFS_HOLE) {
			r = read_data(rd, extents.items[i].range);
			continue;
		}
		r = mark(rd, extents.items[i].range, RFS_FRESH);
		rd->done += extents.items[i].range.len;
	}
	rfs_extents_fini(&extents);
	return r;
}

static int report_all(struct reading *rd, struct rfs_report *report)
{
	struct rfs_range all = rfs_range(0, rfs_reader_size(rd->r->disk));
	struct rfs_report_item item = { 0 };
	struct rfs_run run;

	for (uint64_t off = 0; off < all.len; off = rfs_range_end(run.range)) {
		run = rfs_extmap_find_in(&rd->map, off, all);
		item.range = run.range;
		item.state = item.was = (enum rfs_block_state)run.value;
		item.origin = item.state == RFS_FRESH ? rd->r->origin : NULL;
		if (rfs_report_add(report, &item) < 0)
			return rfs_no_memory(rd->err);
	}
	return 0;
}

/* A filesystem may say that it goes on behind the disk's end. */
static int read_all(struct reading *rd, const struct rfs_ranges *used)
{
	struct rfs_range all = rfs_range(0, rfs_reader_size(rd->r->disk));
	int r = 0;

	rd->buf = malloc(PIECE);
	if (!rd->buf)
		return rfs_no_memory(rd->err);
	for (size_t i = 0; i < used->count; i++)
		rd->total += used->items[i].len;
	for (size_t i = 0; i < used->count && r == 0; i++)
		r = read_range(rd, rfs_range_cut(used->items[i], all));
	free(rd->buf);
	return r;
}

int rfs_ext_read_used(const struct rfs_ext_reading *reading,
		      struct rfs_report *report, struct rfs_error *err)
{
	struct reading rd = { .r = reading, .err = err };
	struct rfs_ranges used = { 0 };
	int r = rfs_ext_used(reading->disk, &used, err);

	if (r == -ENOTSUP)
		r = rfs_ranges_add(
			&used, rfs_range(0, rfs_reader_size(reading->disk)));
	if (r == 0)
		r = read_all(&rd, &used);
	if (r == 0)
		r = report_all(&rd, report);
	rfs_ranges_fini(&used);
	rfs_extmap_fini(&rd.map);
	return r;
}
