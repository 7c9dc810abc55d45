// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/rooted.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"

/* The longest target that a symlink can have. */
#define TARGET_MAX 4096

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFIFO:
		return "a FIFO";
	case S_IFBLK:
		return "a block device";
	case S_IFCHR:
		return "a character device";
	case S_IFSOCK:
		return "a socket";
	case S_IFDIR:
		return "a directory";
	case S_IFLNK:
		return "a symbolic link";
	default:
		return "not a regular file";
	}
}

static int fail(int r, const char *path, struct rfs_error *err)
{
	return rfs_fail(err, -r, "%s: %s", path, strerror(-r));
}

/* An O_PATH descriptor is no open file yet: a FIFO does not block on it and a
 * device does not notice it.  So the type is seen before anything happens, and
 * the same inode is opened afterwards, whatever the name has become. */
static int reopen(const struct rfs_source *source, int path_fd,
		  const char *path, struct rfs_error *err)
{
	int fd = rfs_reach_reopen(source->names, path_fd);

	return fd < 0 ? fail(fd, path, err) : fd;
}

/* Finds the name and says what it is; returns an O_PATH descriptor. */
static int look_at(const struct rfs_source *source, const char *path,
		   uint64_t flags, struct stat *ret, struct rfs_error *err)
{
	int fd = rfs_reach_open(source->names, source->root_fd,
				*path ? path : "/", O_PATH | O_CLOEXEC | flags,
				RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, ret);

	return fd < 0 ? fail(fd, path, err) : fd;
}

int rfs_rooted_open(const struct rfs_source *source, const char *path,
		    struct rfs_error *err)
{
	RFS_CLEANUP_FD int fd = -1;
	struct stat st;

	fd = look_at(source, path, 0, &st, err);
	if (fd < 0)
		return fd;
	if (S_ISDIR(st.st_mode))
		return rfs_fail(err, EISDIR, "%s: is a directory", path);
	if (!S_ISREG(st.st_mode))
		return rfs_fail(err, EPERM, "%s: is %s, refused", path,
				type_name(st.st_mode));
	return reopen(source, fd, path, err);
}

int rfs_rooted_opendir(const struct rfs_source *source, const char *path,
		       struct rfs_reach_dir **ret, struct rfs_error *err)
{
	RFS_CLEANUP_FD int fd = -1;
	struct stat st;
	int dir_fd, r;

	fd = look_at(source, path, 0, &st, err);
	if (fd < 0)
		return fd;
	if (!S_ISDIR(st.st_mode))
		return rfs_fail(err, ENOTDIR, "%s: is no directory", path);
	dir_fd = reopen(source, fd, path, err);
	if (dir_fd < 0)
		return dir_fd;
	r = rfs_reach_dir_open(source->names, dir_fd, ret);
	return r < 0 ? rfs_no_memory(err) : 0;
}

int rfs_rooted_read(const struct rfs_source *source, const char *path,
		    size_t max, char **ret, size_t *ret_len,
		    struct rfs_error *err)
{
	int fd = rfs_rooted_open(source, path, err), r;

	if (fd < 0)
		return fd;
	r = rfs_reach_whole(source->names, fd, max, ret, ret_len);
	if (r == -ENOMEM)
		return rfs_no_memory(err);
	if (r == -EFBIG)
		return rfs_fail(err, EFBIG, "%s: larger than %zu bytes", path,
				max);
	return r < 0 ? fail(r, path, err) : 0;
}

static int stat_with(const struct rfs_source *source, const char *path,
		     uint64_t flags, struct stat *ret, struct rfs_error *err)
{
	struct stat st;
	int fd;

	fd = look_at(source, path, flags, &st, err);
	if (fd < 0)
		return fd;
	close(fd);
	*ret = st;
	return 0;
}

int rfs_rooted_lstat(const struct rfs_source *source, const char *path,
		     struct stat *ret, struct rfs_error *err)
{
	return stat_with(source, path, O_NOFOLLOW, ret, err);
}

int rfs_rooted_stat(const struct rfs_source *source, const char *path,
		    struct stat *ret, struct rfs_error *err)
{
	return stat_with(source, path, 0, ret, err);
}

int rfs_rooted_readlink(const struct rfs_source *source, const char *path,
			char **ret, struct rfs_error *err)
{
	RFS_CLEANUP_FD int fd = -1;
	char text[TARGET_MAX];
	struct stat st;
	ssize_t n;

	fd = look_at(source, path, O_NOFOLLOW, &st, err);
	if (fd < 0)
		return fd;
	if (!S_ISLNK(st.st_mode))
		return rfs_fail(err, EINVAL, "%s: is no symbolic link", path);
	n = rfs_reach_readlink(source->names, fd, text, sizeof(text) - 1);
	if (n < 0)
		return fail((int)n, path, err);
	text[n] = '\0';
	*ret = strdup(text);
	return *ret ? 0 : rfs_no_memory(err);
}
