/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rooted.h - names inside a source stay inside it (P8).
 *
 * Every path that a source or an image names is resolved as a chroot into the
 * source would, with openat2 and RESOLVE_IN_ROOT: "..", absolute names and
 * symlinks end at the source's root.  Only regular files are opened; devices,
 * FIFOs and sockets are refused by name.
 *
 * 'source' has its root open.  Of a damaged one all this is done by a worker,
 * with its deadline (readers/reach.h): -ETIMEDOUT is one of the errors.
 */
#ifndef RESCUEFS_SITE_ROOTED_H
#define RESCUEFS_SITE_ROOTED_H

#include <sys/stat.h>

#include "readers/reach.h"
#include "site/site.h"

/* Opens a regular file read-only; returns the fd or a negative errno.  Never
 * blocks on a FIFO and never triggers a device. */
int rfs_rooted_open(const struct rfs_source *source, const char *path,
		    struct rfs_error *err);

/* A directory, for reading its entries; 0 or a negative errno. */
int rfs_rooted_opendir(const struct rfs_source *source, const char *path,
		       struct rfs_reach_dir **ret, struct rfs_error *err);

/* The whole of a small file, as rfs_reach_whole. */
int rfs_rooted_read(const struct rfs_source *source, const char *path,
		    size_t max, char **ret, size_t *ret_len,
		    struct rfs_error *err);

/* As lstat would inside a chroot: a last symlink is not followed. */
int rfs_rooted_lstat(const struct rfs_source *source, const char *path,
		     struct stat *ret, struct rfs_error *err);

/* As stat would inside a chroot. */
int rfs_rooted_stat(const struct rfs_source *source, const char *path,
		    struct stat *ret, struct rfs_error *err);

/* The target's text, not resolved; the caller frees it. */
int rfs_rooted_readlink(const struct rfs_source *source, const char *path,
			char **ret, struct rfs_error *err);

#endif /* RESCUEFS_SITE_ROOTED_H */
