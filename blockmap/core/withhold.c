// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/withhold.h"

#include <errno.h>
#include <stdlib.h>

struct withhold {
	struct rfs_reader *below;
	const struct rfs_report *report;
};

static int read_part(struct withhold *w, struct rfs_range part, bool is_lost,
		     uint8_t *buf, struct rfs_ranges *bad,
		     struct rfs_error *err)
{
	if (!is_lost)
		return rfs_reader_read(w->below, part, buf, bad, err);
	if (rfs_ranges_add(bad, part) < 0)
		return rfs_no_memory(err);
	return rfs_fail(err, EIO, "%s: older blocks are withheld",
			rfs_reader_name(w->below));
}

static int withhold_read(void *state, struct rfs_range range, void *buf,
			 struct rfs_ranges *bad, struct rfs_error *err)
{
	struct withhold *w = state;
	uint64_t at = range.off, end = rfs_range_end(range);
	size_t i = rfs_report_find(w->report, at);
	int r, worst = 0;

	for (; at < end; i++) {
		struct rfs_range part = rfs_range_to(at, end);
		bool is_lost = false;

		if (i < w->report->count) {
			part = rfs_range_cut(part, w->report->items[i].range);
			is_lost = w->report->items[i].state == RFS_LOST;
		}
		r = read_part(w, part, is_lost,
			      (uint8_t *)buf + (at - range.off), bad, err);
		if (r < 0 && !rfs_read_is_partial(r))
			return r;
		worst = rfs_read_worse(worst, r);
		at = rfs_range_end(part);
	}
	return worst;
}

static int withhold_extents(void *state, struct rfs_range range,
			    struct rfs_extents *out, struct rfs_error *err)
{
	struct withhold *w = state;

	return rfs_reader_extents(w->below, range, out, err);
}

static void withhold_close(void *state)
{
	struct withhold *w = state;

	rfs_reader_unref(w->below);
	free(w);
}

static const struct rfs_reader_ops withhold_ops = {
	.kind = "withhold",
	.read = withhold_read,
	.extents = withhold_extents,
	.close = withhold_close,
};

int rfs_withhold_open(struct rfs_reader *below, const struct rfs_report *report,
		      struct rfs_reader **ret, struct rfs_error *err)
{
	struct withhold *w = calloc(1, sizeof(*w));

	if (!w)
		return rfs_no_memory(err);
	w->below = rfs_reader_ref(below);
	w->report = report;
	return rfs_reader_new(&withhold_ops, w, rfs_reader_size(below),
			      rfs_reader_name(below), NULL, ret, err);
}
