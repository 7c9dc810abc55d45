/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rooted.h - names inside a source stay inside it (P8).
 *
 * Every path that a source or an image names is resolved as a chroot into the
 * source would, with openat2 and RESOLVE_IN_ROOT: "..", absolute names and
 * symlinks end at the source's root.  Only regular files are opened; devices,
 * FIFOs and sockets are refused by name.
 */
#ifndef RESCUEFS_SITE_ROOTED_H
#define RESCUEFS_SITE_ROOTED_H

#include <sys/stat.h>

#include "core/error.h"

/* Opens a regular file read-only; returns the fd or a negative errno.  Never
 * blocks on a FIFO and never triggers a device. */
int rfs_rooted_open(int root_fd, const char *path, struct rfs_error *err);

/* A directory, for reading its entries. */
int rfs_rooted_opendir(int root_fd, const char *path, struct rfs_error *err);

/* As lstat would inside a chroot: a last symlink is not followed. */
int rfs_rooted_lstat(int root_fd, const char *path, struct stat *ret,
		     struct rfs_error *err);

/* As stat would inside a chroot. */
int rfs_rooted_stat(int root_fd, const char *path, struct stat *ret,
		    struct rfs_error *err);

/* The target's text, not resolved; the caller frees it. */
int rfs_rooted_readlink(int root_fd, const char *path, char **ret,
			struct rfs_error *err);

#endif /* RESCUEFS_SITE_ROOTED_H */
