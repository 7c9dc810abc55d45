// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "tools/export.h"
#include "tools/progress.h"

/* Looked at for holes at once. */
#define WINDOW ((uint64_t)1 << 30)

struct copying {
	const struct rfs_export *what;
	struct rfs_sink *sink;
	struct rfs_digester *digester;
	struct rfs_progress progress;
	struct rfs_ranges bad, blank;
	uint64_t done, lost;
	struct rfs_error *err;
};

static void advance(struct copying *c, uint64_t len)
{
	c->done += len;
	rfs_progress_set(&c->progress, c->done, c->lost / RFS_SECTOR);
}

/* What could not be read of 'range' is zeros from here on. */
static int blank(struct copying *c, struct rfs_range range, uint8_t *buf)
{
	for (size_t i = 0; i < c->bad.count; i++) {
		struct rfs_range b = rfs_range_cut(c->bad.items[i], range);

		memset(buf + (b.off - range.off), 0, b.len);
		c->lost += b.len;
		if (rfs_ranges_add(&c->blank, b) < 0)
			return rfs_no_memory(c->err);
	}
	return 0;
}

static int read_piece(struct copying *c, struct rfs_range range, uint8_t *buf)
{
	int r;

	rfs_ranges_clear(&c->bad);
	r = rfs_reader_read(c->what->disk, range, buf, &c->bad, c->err);
	if (r == -EIO && c->bad.count && c->what->zero_lost)
		return blank(c, range, buf);
	if (r == -EIO && c->bad.count)
		return rfs_fail(c->err, EIO,
				"%s cannot be read in bytes %" PRIu64
				" to %" PRIu64
				" (and maybe elsewhere): no source gives them; "
				"rescuefs fetch asks again for what was only "
				"late, rescuefs losses says what lost bytes "
				"hit, and --lost zero makes those zeros",
				c->what->name, c->bad.items[0].off,
				rfs_range_end(c->bad.items[0]) - 1);
	return r;
}

static int copy_data(struct copying *c, struct rfs_range range)
{
	int r = 0;

	while (range.len && r == 0) {
		uint64_t len = range.len < RFS_DIGESTER_STEP
				       ? range.len
				       : RFS_DIGESTER_STEP;
		uint8_t *buf = rfs_digester_room(c->digester);

		r = read_piece(c, rfs_range(range.off, len), buf);
		if (r < 0)
			break;
		rfs_digester_put(c->digester, len);
		r = rfs_sink_write(c->sink, buf, len, c->err);
		advance(c, len);
		range = rfs_range(range.off + len, range.len - len);
	}
	return r;
}

static int copy_hole(struct copying *c, uint64_t len)
{
	int r;

	rfs_digester_zeros(c->digester, len);
	r = rfs_sink_zeros(c->sink, len, c->err);
	advance(c, len);
	return r;
}

static int copy_window(struct copying *c, struct rfs_range window)
{
	struct rfs_extents extents = { 0 };
	int r = rfs_reader_extents(c->what->disk, window, &extents, c->err);

	for (size_t i = 0; i < extents.count && r == 0; i++)
		r = extents.items[i].content == RFS_HOLE
			    ? copy_hole(c, extents.items[i].range.len)
			    : copy_data(c, extents.items[i].range);
	rfs_extents_fini(&extents);
	return r;
}

static int copy_all(struct copying *c, uint64_t size)
{
	int r = 0;

	while (c->done < size && r == 0)
		r = copy_window(c, rfs_range_cut(rfs_range(c->done, WINDOW),
						 rfs_range(0, size)));
	return r;
}

int rfs_export_copy(const struct rfs_export *e, struct rfs_sink *sink,
		    struct rfs_exported *ret, struct rfs_error *err)
{
	struct copying c = { .what = e, .sink = sink, .err = err };
	uint64_t size = rfs_reader_size(e->disk);
	int r = rfs_digester_new(&c.digester, err);

	if (r < 0)
		return r;
	sink->stop = e->stop;
	rfs_progress_begin(&c.progress, e->name, size, e->quiet);
	r = copy_all(&c, size);
	rfs_progress_clear(&c.progress);
	if (r == 0) {
		ret->size = size;
		ret->lost = c.lost;
		rfs_digester_end(c.digester, &ret->digests);
		r = e->check ? e->check(e->data, &c.blank, err) : 0;
	}
	rfs_digester_free(c.digester);
	rfs_ranges_fini(&c.bad);
	rfs_ranges_fini(&c.blank);
	return r;
}

int rfs_export_digest(struct rfs_reader *file, struct rfs_exported *ret,
		      struct rfs_error *err)
{
	struct rfs_range all = rfs_range(0, rfs_reader_size(file)), piece;
	struct rfs_digester *d;
	int r = rfs_digester_new(&d, err);

	if (r < 0)
		return r;
	for (uint64_t off = 0; off < all.len && r == 0; off += piece.len) {
		piece = rfs_range_cut(rfs_range(off, RFS_DIGESTER_STEP), all);
		r = rfs_reader_read(file, piece, rfs_digester_room(d), NULL,
				    err);
		if (r == 0)
			rfs_digester_put(d, piece.len);
	}
	if (r == 0) {
		*ret = (struct rfs_exported){ .size = all.len };
		rfs_digester_end(d, &ret->digests);
	}
	rfs_digester_free(d);
	return r;
}
