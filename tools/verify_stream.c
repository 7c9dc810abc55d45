// SPDX-License-Identifier: GPL-3.0-or-later
/* verify_stream.c - a compressed copy, against the program that unpacks it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "tools/program.h"
#include "tools/verify_parts.h"

#define PIECE ((size_t)1 << 20)

/* What a hostile file may make xz take. */
#define MEMORY_LIMIT "--memlimit-decompress=512MiB"

const char *rfs_verify_unpacker(const struct rfs_copy *copy)
{
	if (copy->source->kind == RFS_DAMAGED || copy->mapfile ||
	    copy->place == RFS_EXPORT || copy->format != RFS_FORMAT_RAW)
		return NULL;
	switch (copy->packing) {
	case RFS_PACKED_GZ:
		return "gzip";
	case RFS_PACKED_XZ:
		return "xz";
	case RFS_PACKED_ZST:
		return "zstd";
	case RFS_PACKED_BZ2:
		return "bzip2";
	default:
		return NULL;
	}
}

static int start(struct rfs_program *p, const char *unpacker, int fd,
		 struct rfs_error *err)
{
	char name[16], how[] = "-dc", limit[] = MEMORY_LIMIT;
	char *argv[] = { name, how, NULL, NULL };
	int r;

	snprintf(name, sizeof(name), "%s", unpacker);
	if (strcmp(unpacker, "xz") == 0)
		argv[2] = limit;
	if (!rfs_program_exists(unpacker))
		return rfs_fail(err, ENOENT,
				"there is no %s to unpack it a second time",
				unpacker);
	r = rfs_program_start_on(p, argv, fd, err);
	p->name = unpacker; /* outlives this */
	return r;
}

/* As much as there is, up to a piece. */
static ssize_t read_piece(int fd, uint8_t *buf)
{
	size_t len = 0;
	ssize_t n = 1;

	while (len < PIECE && n != 0) {
		n = read(fd, buf + len, PIECE - len);
		if (n < 0 && errno != EINTR)
			return -errno;
		len += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)len;
}

/*
 * One piece; bufs[0] is the program's.
 */

static int mark(struct rfs_second_look *look, struct rfs_range range,
		enum rfs_likeness likeness)
{
	look->blocks.totals[likeness] += range.len;
	return rfs_extmap_set(&look->blocks.map, range, likeness);
}

static int mark_all(struct rfs_second_look *look,
		    const struct rfs_ranges *ranges, enum rfs_likeness likeness)
{
	int r = 0;

	for (size_t i = 0; i < ranges->count && r == 0; i++)
		r = mark(look, ranges->items[i], likeness);
	return r;
}

/* What could not be read here is no difference. */
static void take_over(const struct rfs_ranges *bad, struct rfs_range range,
		      uint8_t *to, const uint8_t *from)
{
	for (size_t i = 0; i < bad->count; i++)
		memcpy(to + (bad->items[i].off - range.off),
		       from + (bad->items[i].off - range.off),
		       bad->items[i].len);
}

static int compare_first(const struct rfs_verify_stream *s,
			 struct rfs_range range, uint8_t *bufs[2],
			 struct rfs_error *err)
{
	struct rfs_ranges bad = { 0 }, differs = { 0 };
	int r = rfs_reader_read(s->first, range, bufs[1], &bad, err);

	if (r == 0 || rfs_read_is_partial(r)) {
		take_over(&bad, range, bufs[1], bufs[0]);
		r = rfs_verify_list(&differs, range, bufs[1], bufs[0]);
		if (r == 0)
			r = mark_all(s->look, &bad, RFS_UNREADABLE_IN_A);
		if (r == 0)
			r = mark_all(s->look, &differs, RFS_DIFFERENT);
		s->look->blocks.totals[RFS_EQUAL] += range.len -
						     rfs_ranges_total(&bad) -
						     rfs_ranges_total(&differs);
		r = r < 0 ? rfs_no_memory(err) : 0;
	}
	rfs_ranges_fini(&bad);
	rfs_ranges_fini(&differs);
	return r;
}

static int compare_merged(const struct rfs_verify_stream *s,
			  struct rfs_range range, uint8_t *bufs[2],
			  struct rfs_error *err)
{
	const struct rfs_origin *origin = &s->look->copy->source->origin;
	const struct rfs_report_item *item;
	struct rfs_range part;
	int r = 0;

	if (!s->merged)
		return 0;
	range = rfs_range_cut(range, rfs_range(0, rfs_reader_size(s->merged)));
	for (size_t i = rfs_report_find(s->report, range.off);
	     i < s->report->count && r == 0; i++) {
		item = &s->report->items[i];
		part = rfs_range_cut(item->range, range);
		if (!part.len)
			break;
		if (item->origin == origin && item->state != RFS_LOCAL)
			r = rfs_verify_merged(s->look, part, s->merged,
					      bufs[0] + (part.off - range.off),
					      bufs[1], err);
	}
	return r;
}

/*
 * All of it.
 */

/* *ret_end: the bytes that came.  More than the disk has tells enough. */
static int compare_all(const struct rfs_verify_stream *s, int from,
		       uint64_t *ret_end, uint8_t *bufs[2],
		       struct rfs_error *err)
{
	const uint64_t size = rfs_reader_size(s->first);
	struct rfs_range range = rfs_range(0, 0), both;
	ssize_t n;
	int r = 0;

	do {
		range.off = rfs_range_end(range);
		n = read_piece(from, bufs[0]);
		if (n < 0)
			return rfs_fail(err, (int)-n, "%s: %s", s->look->by,
					strerror((int)-n));
		range.len = (uint64_t)n;
		both = rfs_range_cut(range, rfs_range(0, size));
		if (both.len)
			r = compare_first(s, both, bufs, err);
		if (both.len && r == 0)
			r = compare_merged(s, both, bufs, err);
		rfs_progress_set(s->progress, rfs_range_end(range), 0);
	} while (r == 0 && n > 0 && rfs_range_end(range) <= size);
	*ret_end = rfs_range_end(range);
	return r;
}

/* How both end.  What a program that failed did not give is not readable by it. */
static int finish(const struct rfs_verify_stream *s, uint64_t end,
		  bool is_whole)
{
	struct rfs_comparison *b = &s->look->blocks;
	uint64_t size = rfs_reader_size(s->first);

	b->size_a = size;
	b->size_b = is_whole || end > size ? end : size;
	if (end > size)
		return mark(s->look, rfs_range_to(size, end), RFS_ONLY_IN_B);
	if (end == size)
		return 0;
	return mark(s->look, rfs_range_to(end, size),
		    is_whole ? RFS_ONLY_IN_A : RFS_UNREADABLE_IN_B);
}

int rfs_verify_stream(const struct rfs_verify_stream *s, int fd,
		      struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *room = malloc(2 * PIECE);
	RFS_CLEANUP_FREE char *text = NULL;
	struct rfs_error ended = RFS_ERROR_INIT;
	uint8_t *bufs[2] = { room, room ? room + PIECE : NULL };
	struct rfs_program p;
	uint64_t end = 0;
	bool is_whole;
	int r = room ? start(&p, s->look->by, fd, err) : rfs_no_memory(err);

	if (r < 0)
		return r;
	r = compare_all(s, p.out, &end, bufs, err);
	if (r < 0 || end > rfs_reader_size(s->first)) {
		rfs_program_stop(&p);
		is_whole = true;
	} else {
		is_whole = rfs_program_finish(&p, &text, &ended) == 0;
	}
	if (r == 0 && finish(s, end, is_whole) < 0)
		r = rfs_no_memory(err);
	return r;
}
