/* SPDX-License-Identifier: GPL-3.0-or-later */
/* reach_here.h - what readers/reach.h says, done by whoever calls it.
 *
 * For reach.c, and for the child that does the same in its place: nothing but
 * system calls and memory that was there before.  A negative errno on failure.
 */
#ifndef RESCUEFS_READERS_REACH_HERE_H
#define RESCUEFS_READERS_REACH_HERE_H

#include <stdint.h>
#include <sys/stat.h>

/* 'ret' may be NULL. */
int rfs_here_open(int dir_fd, const char *path, uint64_t flags,
		  uint64_t resolve, struct stat *ret);
int rfs_here_reopen(int path_fd);
int rfs_here_stat(int fd, struct stat *ret);
int64_t rfs_here_fs_type(int fd);

#endif /* RESCUEFS_READERS_REACH_HERE_H */
