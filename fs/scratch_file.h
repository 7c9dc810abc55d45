/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scratch_file.h - what the kernel asks of a scratch mount, for scratch.c: a
 * directory with one file in it. */
#ifndef RESCUEFS_FS_SCRATCH_FILE_H
#define RESCUEFS_FS_SCRATCH_FILE_H

#include <fuse_lowlevel.h>

#include <stdatomic.h>

#include "core/view.h"

#define RFS_SCRATCH_NAME "disk"

/* The session's user data; fixed while it is mounted. */
struct rfs_scratch_file {
	struct rfs_view *view;
	bool is_direct;
	/* Of the first write that could not be taken; 0: all were. */
	atomic_int failure;
};

extern const struct fuse_lowlevel_ops rfs_scratch_operations;

#endif /* RESCUEFS_FS_SCRATCH_FILE_H */
