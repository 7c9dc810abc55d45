/* SPDX-License-Identifier: GPL-3.0-or-later */
/* glance.h - a disk into Glance, through the client that the operator has.
 *
 * Who they are and where Glance is, is the client's business: it finds OS_* in
 * the environment.  Glance takes anything, a pipe that ended early too; so what
 * it says of the image is compared with what was sent.
 */
#ifndef RESCUEFS_TOOLS_GLANCE_H
#define RESCUEFS_TOOLS_GLANCE_H

#include "tools/export.h"

struct rfs_glance_image {
	const char *name;
	const char *disk_format, *container_format; /* "raw", "bare" */
	const char *const *properties; /* "NAME=VALUE", to a NULL */
};

#define RFS_GLANCE_ID 37

/* Sends what 'what' says.  Whatever fails, the image is taken away again, and
 * the error says where that failed.  -EBADMSG: Glance has something else than
 * was sent, or it is not active. */
int rfs_glance_upload(const struct rfs_glance_image *image,
		      const struct rfs_export *what, struct rfs_exported *ret,
		      char ret_id[RFS_GLANCE_ID], struct rfs_error *err);

/* An image of that format which has these very bytes, and is active.  False where
 * there is none, and where Glance does not say. */
bool rfs_glance_find(const char *disk_format, const struct rfs_exported *what,
		     char ret_id[RFS_GLANCE_ID]);

#endif /* RESCUEFS_TOOLS_GLANCE_H */
