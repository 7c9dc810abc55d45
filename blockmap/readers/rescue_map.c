// SPDX-License-Identifier: GPL-3.0-or-later
#include "readers/rescue_map.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"

#define ROOM (1u << 20) /* bytes that are copied at a time */

static char letter_of(uint32_t status)
{
	switch (status) {
	case RFS_RESCUE_DONE:
		return '+';
	case RFS_RESCUE_BAD:
		return '-';
	case RFS_RESCUE_NEAR:
	case RFS_RESCUE_LATE:
		return '*';
	case RFS_RESCUE_EDGED:
		return '/';
	default: /* what is spoilt was readable once, and must be read anew */
		return '?';
	}
}

/* The runs of one extent; a hole needs no asking. */
static int map_extent(struct rfs_rescue *r, const struct rfs_extent *extent,
		      struct rfs_mapfile *out)
{
	uint64_t end = rfs_range_end(extent->range);
	struct rfs_run run;
	char letter;
	int e = 0;

	for (uint64_t off = extent->range.off; off < end && e == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_rescue_find(r, off, rfs_range_to(off, end));
		letter = letter_of(run.value);
		if (letter == '?' && extent->content == RFS_HOLE)
			letter = '+';
		e = rfs_mapfile_add(out, run.range, letter);
	}
	return e;
}

/* As ddrescue says what it was at: the first thing that is left to do. */
static void set_current(struct rfs_mapfile *map)
{
	static const char order[] = "?*/-";

	map->current_status = '+';
	for (const char *c = order; *c && map->current_status == '+'; c++)
		for (size_t i = 0; i < map->count; i++)
			if (map->items[i].status == *c) {
				map->current_status = *c;
				map->current_pos = map->items[i].range.off;
				break;
			}
}

int rfs_rescue_map(struct rfs_reader *file, struct rfs_mapfile *ret,
		   struct rfs_error *err)
{
	struct rfs_range all = rfs_range(0, rfs_reader_size(file));
	struct rfs_extents extents = { 0 };
	struct rfs_mapfile map = { 0 };
	int e = rfs_reader_extents(file, all, &extents, err);

	for (size_t i = 0; i < extents.count && e == 0; i++) {
		e = map_extent(rfs_rescue_of(file), &extents.items[i], &map);
		if (e < 0)
			rfs_no_memory(err);
	}
	rfs_extents_fini(&extents);
	if (e < 0) {
		rfs_mapfile_fini(&map);
		return e;
	}
	set_current(&map);
	*ret = map;
	return 0;
}

static int write_all(int fd, const uint8_t *p, struct rfs_range range,
		     const char *name, struct rfs_error *err)
{
	ssize_t n;

	while (range.len) {
		n = pwrite(fd, p, range.len, (off_t)range.off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return rfs_fail(err, n < 0 ? errno : EIO, "%s: %s",
					name, strerror(n < 0 ? errno : EIO));
		p += n;
		range = rfs_range(range.off + (uint64_t)n,
				  range.len - (uint64_t)n);
	}
	return 0;
}

static int write_kept(struct rfs_rescue *r, struct rfs_range range,
		      uint8_t *buf, int fd, const char *name,
		      struct rfs_error *err)
{
	struct rfs_range piece;
	int e = 0;

	while (range.len && e == 0) {
		piece = rfs_range(range.off,
				  range.len < ROOM ? range.len : ROOM);
		e = rfs_rescue_kept(r, piece, buf, err);
		if (e == 0)
			e = write_all(fd, buf, piece, name, err);
		range = rfs_range_to(rfs_range_end(piece),
				     rfs_range_end(range));
	}
	return e;
}

int rfs_rescue_write_image(struct rfs_reader *file, int fd, const char *name,
			   struct rfs_error *err)
{
	struct rfs_rescue *r = rfs_rescue_of(file);
	struct rfs_range all = rfs_range(0, rfs_reader_size(file));
	RFS_CLEANUP_FREE uint8_t *buf = malloc(ROOM);
	struct rfs_run run;
	int e = 0;

	if (!buf)
		return rfs_no_memory(err);
	if (ftruncate(fd, (off_t)all.len) < 0)
		return rfs_fail(err, errno, "%s: %s", name, strerror(errno));
	for (uint64_t off = 0; off < all.len && e == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_rescue_find(r, off, all);
		if (run.value == RFS_RESCUE_DONE)
			e = write_kept(r, run.range, buf, fd, name, err);
	}
	if (e == 0 && fsync(fd) < 0)
		e = rfs_fail(err, errno, "%s: %s", name, strerror(errno));
	return e;
}

/*
 * Taking over.
 */

struct taking {
	struct rfs_rescue *r;
	struct rfs_reader *file;
	int fd;
	const char *name;
	uint8_t *buf;
	struct rfs_rescue_taken taken;
	struct rfs_error *err;
};

static int check_map(const struct taking *t, const struct rfs_mapfile *map)
{
	uint64_t size = rfs_rescue_size(t->r), image = 0;
	const struct rfs_mapfile_block *b;
	struct stat st;

	if (fstat(t->fd, &st) < 0)
		return rfs_fail(t->err, errno, "%s: %s", t->name,
				strerror(errno));
	image = st.st_size > 0 ? (uint64_t)st.st_size : 0;
	for (size_t i = 0; i < map->count; i++) {
		b = &map->items[i];
		if (!rfs_range_fits(b->range, size))
			return rfs_fail(t->err, EINVAL,
					"%s: has %" PRIu64
					" bytes, but the map goes up to "
					"%" PRIu64 ": it is of another file",
					rfs_rescue_name(t->r), size,
					rfs_range_end(b->range));
		if (b->status == '+' && !rfs_range_fits(b->range, image))
			return rfs_fail(t->err, EINVAL,
					"%s: ends at %" PRIu64
					", where the map says that there is "
					"more in it",
					t->name, image);
	}
	return 0;
}

static int read_image(struct taking *t, struct rfs_range range)
{
	uint8_t *p = t->buf;
	ssize_t n;

	while (range.len) {
		n = pread(t->fd, p, range.len, (off_t)range.off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return rfs_fail(t->err, n < 0 ? errno : EIO,
					"%s: cannot be read at %" PRIu64 ": %s",
					t->name, range.off,
					n < 0 ? strerror(errno)
					      : "it ends there");
		p += n;
		range = rfs_range(range.off + (uint64_t)n,
				  range.len - (uint64_t)n);
	}
	return 0;
}

static int take_bytes(struct taking *t, struct rfs_range range)
{
	struct rfs_range piece;
	int e = 0;

	for (uint64_t off = range.off; off < rfs_range_end(range) && e == 0;
	     off += piece.len) {
		piece = rfs_range_cut(rfs_range(off, ROOM - off % ROOM), range);
		e = read_image(t, piece);
		if (e == 0)
			e = rfs_rescue_put(t->r, piece, t->buf, t->err);
	}
	if (e == 0)
		t->taken.kept += range.len;
	return e;
}

/* Only what goes further than what is known already. */
static int take_status(struct taking *t, struct rfs_run run,
		       enum rfs_rescue_status status)
{
	bool is_new;

	switch (status) {
	case RFS_RESCUE_BAD:
		is_new = run.value != RFS_RESCUE_BAD;
		break;
	case RFS_RESCUE_EDGED:
		is_new = run.value == RFS_RESCUE_NOT ||
			 run.value == RFS_RESCUE_NEAR;
		break;
	default:
		is_new = run.value == RFS_RESCUE_NOT;
		break;
	}
	if (!is_new)
		return 0;
	*(status == RFS_RESCUE_BAD ? &t->taken.bad : &t->taken.pending) +=
		run.range.len;
	return rfs_rescue_set(t->r, run.range, status, t->err);
}

static int take_run(struct taking *t, char status, struct rfs_run run)
{
	if (run.value == RFS_RESCUE_DONE)
		return 0;
	switch (status) {
	case '+':
		return take_bytes(t, run.range);
	case '-':
		return take_status(t, run, RFS_RESCUE_BAD);
	case '*':
		return take_status(t, run, RFS_RESCUE_NEAR);
	case '/':
		return take_status(t, run, RFS_RESCUE_EDGED);
	default:
		return 0;
	}
}

/* What the source's file system says is a hole needs no room in the store. */
static int take_block(struct taking *t, const struct rfs_mapfile_block *b)
{
	struct rfs_extents extents = { 0 };
	struct rfs_range in;
	struct rfs_run run;
	int e = rfs_reader_extents(t->file, b->range, &extents, t->err);

	for (size_t i = 0; i < extents.count && e == 0; i++) {
		in = extents.items[i].range;
		if (extents.items[i].content == RFS_HOLE)
			continue;
		for (uint64_t off = in.off; off < rfs_range_end(in) && e == 0;
		     off = rfs_range_end(run.range)) {
			run = rfs_rescue_find(t->r, off, in);
			e = take_run(t, b->status, run);
		}
	}
	rfs_extents_fini(&extents);
	return e;
}

int rfs_rescue_take(struct rfs_reader *file, const struct rfs_mapfile *map,
		    int fd, const char *name, struct rfs_rescue_taken *ret,
		    struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *buf = malloc(ROOM);
	struct taking t = { .r = rfs_rescue_of(file),
			    .file = file,
			    .fd = fd,
			    .name = name,
			    .buf = buf,
			    .err = err };
	int e, synced;

	if (!buf)
		return rfs_no_memory(err);
	e = check_map(&t, map);
	if (e < 0)
		return e;
	for (size_t i = 0; i < map->count && e == 0; i++)
		e = take_block(&t, &map->items[i]);
	synced = rfs_rescue_sync(t.r, e < 0 ? NULL : err);
	*ret = t.taken;
	return e < 0 ? e : synced;
}
