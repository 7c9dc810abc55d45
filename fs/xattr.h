/* SPDX-License-Identifier: GPL-3.0-or-later */
/* xattr.h - what is known of a file, as user.rescuefs.* attributes. */
#ifndef RESCUEFS_FS_XATTR_H
#define RESCUEFS_FS_XATTR_H

#include "fs/front.h"

#define RFS_XATTR_PREFIX  "user.rescuefs."
#define RFS_XATTR_CONTROL RFS_XATTR_PREFIX "control"

/* The value as text, not terminated for the one who asked; the caller frees
 * it.  -ENODATA if this node has no such attribute now. */
int rfs_xattr_get(struct rfs_front *front, const struct rfs_node *node,
		  const char *name, char **ret, struct rfs_error *err);

/* The names of all that have a value now, each with its final zero. */
int rfs_xattr_list(struct rfs_front *front, const struct rfs_node *node,
		   char **ret, size_t *ret_len, struct rfs_error *err);

#endif /* RESCUEFS_FS_XATTR_H */
