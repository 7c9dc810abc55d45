// SPDX-License-Identifier: GPL-3.0-or-later
#include "readers/worker_extents.h"

#include <unistd.h>

#include "readers/holes.h"

struct asked {
	struct rfs_worker *worker;
	struct rfs_worker_file *file;
	struct rfs_patience patience; /* of one stretch */
};

static int64_t seek(void *data, uint64_t off, int whence)
{
	struct asked *a = data;

	if (whence == SEEK_DATA)
		a->patience = rfs_worker_patience(a->worker);
	return rfs_worker_seek(a->file, off, whence, &a->patience);
}

/* How long the file is now; 0 if that is not told in time. */
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
	struct asked asked = { .worker = w, .file = file };

	return rfs_holes_find(seek, &asked, size_now(w, file), range, out, err);
}
