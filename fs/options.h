/* SPDX-License-Identifier: GPL-3.0-or-later */
/* options.h - the options behind -o, and where a mount may stand. */
#ifndef RESCUEFS_FS_OPTIONS_H
#define RESCUEFS_FS_OPTIONS_H

#include <fuse_opt.h>
#include <stdbool.h>

#include "core/error.h"

struct rfs_mount_options {
	struct fuse_args args; /* for fuse_session_new */
	bool may_cover;	       /* nonempty: mount over what is there */
};

/* 'options' is a comma list or NULL, 'site' becomes the name of the filesystem
 * in mount(8) and df(1).  An unknown option is -EINVAL with its name. */
int rfs_mount_options_parse(const char *options, const char *site,
			    struct rfs_mount_options *ret,
			    struct rfs_error *err);
void rfs_mount_options_fini(struct rfs_mount_options *opts);

/* An existing directory, and an empty one unless told otherwise. */
int rfs_mountpoint_check(const char *mountpoint, bool may_cover,
			 struct rfs_error *err);

#endif /* RESCUEFS_FS_OPTIONS_H */
