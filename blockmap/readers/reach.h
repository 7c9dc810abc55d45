/* SPDX-License-Identifier: GPL-3.0-or-later */
/* reach.h - names, directories and small files of a source.
 *
 * Of a damaged source every call that its file system may answer late is made
 * by its worker, each with the source's deadline (P6); 'w' is NULL for any other
 * source, and the call is made here.  After one that missed it the others get
 * -ETIMEDOUT at once, as long as the source is set aside.
 *
 * Nothing here follows a rule on names: site/rooted.h does.  All return a
 * negative errno on failure.  Safe from many threads, but for one directory.
 */
#ifndef RESCUEFS_READERS_REACH_H
#define RESCUEFS_READERS_REACH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "core/error.h"

struct rfs_worker;

/* As openat2(2), and fstat(2) of what it opened; 'ret' may be NULL. */
int rfs_reach_open(struct rfs_worker *w, int dir_fd, const char *path,
		   uint64_t flags, uint64_t resolve, struct stat *ret);

/* Opens what an O_PATH descriptor is of for reading, without leaving an access
 * time where that can be had. */
int rfs_reach_reopen(struct rfs_worker *w, int path_fd);

/* As fstat(2), but that the size of a block device is told. */
int rfs_reach_stat(struct rfs_worker *w, int fd, struct stat *ret);

/* The target of the symlink that an O_PATH descriptor is of; not terminated. */
ssize_t rfs_reach_readlink(struct rfs_worker *w, int fd, char *buf,
			   size_t room);

/* The kind of its file system: statfs(2)'s f_type. */
int64_t rfs_reach_fs_type(struct rfs_worker *w, int fd);

/* The whole of a small file, with a zero byte behind it; 'fd' is closed.
 * -EFBIG: it is longer than 'max'.  The caller frees *ret. */
int rfs_reach_whole(struct rfs_worker *w, int fd, size_t max, char **ret,
		    size_t *ret_len);

struct rfs_reach_dir;

/* A directory that was opened for reading; 'fd' belongs to it from the call on,
 * also when it fails, which it does for want of memory only. */
int rfs_reach_dir_open(struct rfs_worker *w, int fd,
		       struct rfs_reach_dir **ret);

/* The next entry but "." and "..": 1, and its name until the next call; 0 at the
 * end.  'ret_type' is readdir(3)'s d_type. */
int rfs_reach_dir_next(struct rfs_reach_dir *dir, const char **ret_name,
		       unsigned char *ret_type);
void rfs_reach_dir_close(struct rfs_reach_dir *dir); /* accepts NULL */

#endif /* RESCUEFS_READERS_REACH_H */
