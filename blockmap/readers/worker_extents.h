/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker_extents.h - the holes of a file, asked for by its source's worker. */
#ifndef RESCUEFS_READERS_WORKER_EXTENTS_H
#define RESCUEFS_READERS_WORKER_EXTENTS_H

#include "core/extents.h"
#include "core/range.h"
#include "readers/worker.h"

/* As a reader's extents, of a regular file.  What is not told within the
 * deadline is RFS_UNKNOWN, and so is what the file has lost since it was
 * opened. */
int rfs_worker_extents(struct rfs_worker *w, struct rfs_worker_file *file,
		       struct rfs_range range, struct rfs_extents *out,
		       struct rfs_error *err);

#endif /* RESCUEFS_READERS_WORKER_EXTENTS_H */
