/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mounted.h - a disk as a running mount shows it. */
#ifndef RESCUEFS_TOOLS_MOUNTED_H
#define RESCUEFS_TOOLS_MOUNTED_H

#include "core/reader.h"

/* A file of the mount, opened for reading as a disk.  Where its bytes lie is what
 * the mount tells. */
int rfs_mounted_open(const char *path, const char *name,
		     const struct rfs_origin *origin, struct rfs_reader **ret,
		     struct rfs_error *err);

#endif /* RESCUEFS_TOOLS_MOUNTED_H */
