/* SPDX-License-Identifier: GPL-3.0-or-later */
/* holes.h - where a file has data and where holes, by seeking. */
#ifndef RESCUEFS_READERS_HOLES_H
#define RESCUEFS_READERS_HOLES_H

#include "core/error.h"
#include "core/extents.h"

/* As lseek(2) with SEEK_DATA or SEEK_HOLE; a negative errno where that fails.  Each
 * stretch begins with one SEEK_DATA. */
typedef int64_t rfs_seek_fn(void *data, uint64_t off, int whence);

/* Adds all of 'range' to 'out', stretch by stretch.  The file has 'size' bytes now:
 * what it has lost since it was opened is unknown, and no hole.  -ENOMEM. */
int rfs_holes_find(rfs_seek_fn *seek, void *data, uint64_t size,
		   struct rfs_range range, struct rfs_extents *out,
		   struct rfs_error *err);

#endif /* RESCUEFS_READERS_HOLES_H */
