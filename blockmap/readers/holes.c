// SPDX-License-Identifier: GPL-3.0-or-later
#include "readers/holes.h"

#include <errno.h>
#include <unistd.h>

/* Not to be told is not to be empty: only a file system that does not know of
 * holes says by that that all is data. */
static enum rfs_content content_after(int64_t failed)
{
	return failed == -EINVAL || failed == -EOPNOTSUPP ? RFS_DATA
							  : RFS_UNKNOWN;
}

/* Where one stretch of hole or data ends. */
static uint64_t next_stretch(rfs_seek_fn *seek, void *data, uint64_t off,
			     uint64_t end, enum rfs_content *ret)
{
	int64_t to = seek(data, off, SEEK_DATA);

	if (to == -ENXIO || to > (int64_t)off) {
		*ret = RFS_HOLE;
		return to < 0 || (uint64_t)to > end ? end : (uint64_t)to;
	}
	if (to >= 0)
		to = seek(data, off, SEEK_HOLE);
	*ret = to < 0 ? content_after(to) : RFS_DATA;
	return to > (int64_t)off && (uint64_t)to < end ? (uint64_t)to : end;
}

int rfs_holes_find(rfs_seek_fn *seek, void *data, uint64_t size,
		   struct rfs_range range, struct rfs_extents *out,
		   struct rfs_error *err)
{
	uint64_t off = range.off, end = rfs_range_end(range), to;
	uint64_t now = size < end ? size : end;
	enum rfs_content content;
	int r = 0;

	for (; off < now && r == 0; off = to) {
		to = next_stretch(seek, data, off, now, &content);
		r = rfs_extents_add(out, rfs_range_to(off, to), content);
	}
	if (r == 0)
		r = rfs_extents_add(out, rfs_range_to(off, end), RFS_UNKNOWN);
	return r < 0 ? rfs_no_memory(err) : 0;
}
