/* SPDX-License-Identifier: GPL-3.0-or-later */
/* disk_info.h - nova's own record of its disks' formats, one JSON object of
 * {"/var/lib/nova/instances/UUID/disk": "qcow2", ...}. */
#ifndef RESCUEFS_SITE_DISK_INFO_H
#define RESCUEFS_SITE_DISK_INFO_H

#include <stddef.h>

#include "core/error.h"

/* A line for each disk; more than this is something else. */
#define RFS_DISK_INFO_MAX (1u << 20)

struct rfs_disk_info_item {
	char *name; /* the path's last component */
	char *format;
};

struct rfs_disk_info {
	struct rfs_disk_info_item *items;
	size_t count;
	size_t room;
};

/* -EINVAL: it is no such object.  A value that is no string is passed over. */
int rfs_disk_info_parse(const char *text, size_t len, struct rfs_disk_info *ret,
			struct rfs_error *err);
void rfs_disk_info_fini(struct rfs_disk_info *info);

/* NULL: nothing is said of it. */
const char *rfs_disk_info_find(const struct rfs_disk_info *info,
			       const char *name);

#endif /* RESCUEFS_SITE_DISK_INFO_H */
