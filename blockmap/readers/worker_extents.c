// SPDX-License-Identifier: GPL-3.0-or-later
#include "readers/worker_extents.h"

#include <errno.h>
#include <unistd.h>

/* Where one stretch of hole or data ends.  Not to be told is not to be empty:
 * only a file system that does not know of holes says by that that all is
 * data. */
static uint64_t next_stretch(struct rfs_worker *w, struct rfs_worker_file *file,
			     uint64_t off, uint64_t end, enum rfs_content *ret)
{
	struct rfs_patience patience = rfs_worker_patience(w);
	int64_t to;

	to = rfs_worker_seek(file, off, SEEK_DATA, &patience);
	if (to == -ENXIO || to > (int64_t)off) {
		*ret = RFS_HOLE;
		return to < 0 || (uint64_t)to > end ? end : (uint64_t)to;
	}
	if (to >= 0)
		to = rfs_worker_seek(file, off, SEEK_HOLE, &patience);
	*ret = RFS_DATA;
	if (to < 0)
		*ret = to == -EINVAL || to == -EOPNOTSUPP ? RFS_DATA
							  : RFS_UNKNOWN;
	return to > (int64_t)off && (uint64_t)to < end ? (uint64_t)to : end;
}

/* How long the file is now: what it has lost since it was opened is no hole. */
static uint64_t size_now(struct rfs_worker *w, struct rfs_worker_file *file)
{
	struct rfs_patience patience = rfs_worker_patience(w);
	struct stat st;

	if (rfs_worker_fstat(w, rfs_worker_file_fd(file), &st, &patience) < 0)
		return 0;
	return (uint64_t)st.st_size;
}

int rfs_worker_extents(struct rfs_worker *w, struct rfs_worker_file *file,
		       struct rfs_range range, struct rfs_extents *out,
		       struct rfs_error *err)
{
	uint64_t off = range.off, end = rfs_range_end(range), now, to;
	enum rfs_content content;
	int r = 0;

	now = size_now(w, file);
	now = now < end ? now : end;
	for (; off < now && r == 0; off = to) {
		to = next_stretch(w, file, off, now, &content);
		r = rfs_extents_add(out, rfs_range_to(off, to), content);
	}
	if (r == 0)
		r = rfs_extents_add(out, rfs_range_to(off, end), RFS_UNKNOWN);
	return r < 0 ? rfs_no_memory(err) : 0;
}
