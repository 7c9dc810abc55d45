// SPDX-License-Identifier: GPL-3.0-or-later
/* A view as a reader, for what reads disks and does not care which. */
#include "core/view.h"

static int view_read(void *state, struct rfs_range range, void *buf,
		     struct rfs_ranges *bad, struct rfs_error *err)
{
	return rfs_view_read(state, range, buf, bad, err);
}

static int view_extents(void *state, struct rfs_range range,
			struct rfs_extents *out, struct rfs_error *err)
{
	return rfs_view_extents(state, range, out, err);
}

static int view_seats(void *state, struct rfs_range range,
		      struct rfs_seats *out, struct rfs_error *err)
{
	return rfs_view_seats(state, range, out, err);
}

static uint64_t view_allocated(void *state)
{
	return rfs_view_allocated(state);
}

static void view_close(void *state)
{
	(void)state; /* it is its opener's */
}

static const struct rfs_reader_ops view_ops = {
	.kind = "view",
	.read = view_read,
	.extents = view_extents,
	.seats = view_seats,
	.allocated = view_allocated,
	.close = view_close,
};

int rfs_view_reader(struct rfs_view *view, const char *name,
		    struct rfs_reader **ret, struct rfs_error *err)
{
	return rfs_reader_new(&view_ops, view, rfs_view_size(view), name, NULL,
			      ret, err);
}
