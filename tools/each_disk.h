/* SPDX-License-Identifier: GPL-3.0-or-later */
/* each_disk.h - what a verb says of its disks, one after the other. */
#ifndef RESCUEFS_TOOLS_EACH_DISK_H
#define RESCUEFS_TOOLS_EACH_DISK_H

#include "tools/target.h"

/* Prints on stdout what there is to say of one disk: text, or one JSON value, of
 * which nothing is out yet where it fails. */
typedef int rfs_print_disk(void *data, struct rfs_target *t,
			   const struct rfs_disk *disk, struct rfs_error *err);

/* Calls 'print' for each disk, and complains of those that fail; -EINTR ends it.
 * Texts have an empty line between them.  As 'json' more or fewer than one disk
 * are a list, in which null is one that failed.  RFS_EXIT_FINE, or RFS_EXIT_SOURCE
 * if one has failed. */
int rfs_print_each_disk(struct rfs_target *t, bool json, rfs_print_disk *print,
			void *data);

#endif /* RESCUEFS_TOOLS_EACH_DISK_H */
