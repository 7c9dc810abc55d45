// SPDX-License-Identifier: GPL-3.0-or-later
/* second_mapfile.c - what ddrescue's mapfile lets be read, by a reading of our own:
 * the reader that is verified uses core/mapfile.c. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "site/rooted.h"
#include "site/second.h"
#include "site/volumes.h"

struct listed {
	struct rfs_reader *below;
	struct rfs_ranges copied; /* ascending */
};

/* "0x1000  0x200  +"; a line with no third word is none of a block. */
static int take_line(struct listed *l, const char *line)
{
	struct rfs_range range;
	int64_t off, len;
	char status;

	if (sscanf(line, "%" SCNi64 " %" SCNi64 " %c", &off, &len, &status) !=
		    3 ||
	    status != '+')
		return 0;
	if (off < 0 || len < 0 || (uint64_t)off > RFS_SIZE_MAX)
		return -EINVAL;
	range = rfs_range((uint64_t)off, (uint64_t)len);
	/* Of a disk of unknown size the last block has no end. */
	range = rfs_range_cut(range, rfs_range(0, RFS_SIZE_MAX));
	if (l->copied.count &&
	    range.off < rfs_range_end(l->copied.items[l->copied.count - 1]))
		return -EINVAL;
	return rfs_ranges_add(&l->copied, range);
}

static int read_list(struct listed *l, FILE *in, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *line = NULL;
	bool is_first = true;
	size_t room = 0;
	int r = 0;

	while (r == 0 && getline(&line, &room, in) > 0) {
		if (line[0] == '#')
			continue;
		if (!is_first) /* that tells where ddrescue was */
			r = take_line(l, line);
		is_first = false;
	}
	if (r == 0 && ferror(in))
		r = -EIO;
	return r < 0 ? rfs_fail(err, -r, "its mapfile cannot be read") : 0;
}

static int listed_read(void *state, struct rfs_range range, void *buf,
		       struct rfs_ranges *bad, struct rfs_error *err)
{
	const struct listed *l = state;
	uint64_t end = rfs_range_end(range), at = range.off;
	struct rfs_range part;
	int r = 0, worst = 0;

	for (size_t i = 0; i < l->copied.count && at < end; i++) {
		part = rfs_range_cut(l->copied.items[i], range);
		if (!part.len)
			continue;
		if (part.off > at &&
		    rfs_ranges_add(bad, rfs_range_to(at, part.off)) < 0)
			return rfs_no_memory(err);
		worst = part.off > at ? -EIO : worst;
		r = rfs_reader_read(l->below, part,
				    (char *)buf + (part.off - range.off), bad,
				    err);
		if (r < 0 && !rfs_read_is_partial(r))
			return r;
		worst = rfs_read_worse(r, worst);
		at = rfs_range_end(part);
	}
	if (at >= end)
		return worst;
	if (rfs_ranges_add(bad, rfs_range_to(at, end)) < 0)
		return rfs_no_memory(err);
	return worst == -ETIMEDOUT ? worst
				   : rfs_fail(err, EIO, "%s: was never copied",
					      rfs_reader_name(l->below));
}

static void listed_close(void *state)
{
	struct listed *l = state;

	rfs_reader_unref(l->below);
	rfs_ranges_fini(&l->copied);
	free(l);
}

static const struct rfs_reader_ops listed_ops = {
	.kind = "listed",
	.read = listed_read,
	.close = listed_close,
};

static int open_mapfile(const struct rfs_copy *copy, struct rfs_error *err)
{
	if (copy->mapfile_said || copy->place != RFS_IN_ROOT)
		return rfs_volume_open(NULL, copy->mapfile, err);
	return rfs_rooted_open(copy->source, copy->mapfile, err);
}

int rfs_second_restrict(const struct rfs_copy *copy, struct rfs_reader **rd,
			struct rfs_error *err)
{
	struct listed *l = calloc(1, sizeof(*l));
	RFS_CLEANUP_FILE FILE *in = NULL;
	int r = l ? 0 : rfs_no_memory(err), fd = -1;

	if (r == 0)
		r = fd = open_mapfile(copy, err);
	if (r >= 0) {
		in = fdopen(fd, "r");
		if (!in)
			close(fd);
		r = in ? read_list(l, in, err) : rfs_no_memory(err);
	}
	if (r < 0) {
		if (l)
			rfs_ranges_fini(&l->copied);
		free(l);
		return r;
	}
	l->below = *rd;
	*rd = NULL;
	return rfs_reader_new(&listed_ops, l, rfs_reader_size(l->below),
			      rfs_reader_name(l->below), NULL, rd, err);
}
