// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/rooted.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/cleanup.h"

/* A rename beside the lookup makes the kernel give up with EAGAIN; a tree that
 * stands still never does, so a few turns are plenty. */
#define LOOKUP_TURNS 16

/* The longest target that a symlink can have. */
#define TARGET_MAX 4096

static int lookup(int root_fd, const char *path, uint64_t flags,
		  struct rfs_error *err)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;

	for (int turn = 0; turn < LOOKUP_TURNS; turn++) {
		fd = syscall(SYS_openat2, root_fd, *path ? path : "/", &how,
			     sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	if (fd < 0)
		return rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	return (int)fd;
}

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

/* An O_PATH descriptor is no open file yet: a FIFO does not block on it and a
 * device does not notice it.  So the type is seen before anything happens, and
 * the same inode is opened afterwards, whatever the name has become. */
static int reopen(int path_fd, const char *path, struct rfs_error *err)
{
	char self[64];
	int fd;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", path_fd);
	/* Reading must not even leave an access time on the patient; only an
	 * owner may ask for that. */
	fd = open(self, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOATIME);
	if (fd < 0 && errno == EPERM)
		fd = open(self, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	return fd;
}

/* Finds the name and says what it is; returns an O_PATH descriptor. */
static int look_at(int root_fd, const char *path, uint64_t flags,
		   struct stat *ret, struct rfs_error *err)
{
	int fd, r;

	fd = lookup(root_fd, path, O_PATH | flags, err);
	if (fd < 0)
		return fd;
	if (fstat(fd, ret) == 0)
		return fd;
	r = rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	close(fd);
	return r;
}

int rfs_rooted_open(int root_fd, const char *path, struct rfs_error *err)
{
	RFS_CLEANUP_FD int fd = -1;
	struct stat st;

	fd = look_at(root_fd, path, 0, &st, err);
	if (fd < 0)
		return fd;
	if (S_ISDIR(st.st_mode))
		return rfs_fail(err, EISDIR, "%s: is a directory", path);
	if (!S_ISREG(st.st_mode))
		return rfs_fail(err, EPERM, "%s: is %s, refused", path,
				type_name(st.st_mode));
	return reopen(fd, path, err);
}

int rfs_rooted_opendir(int root_fd, const char *path, struct rfs_error *err)
{
	RFS_CLEANUP_FD int fd = -1;
	struct stat st;

	fd = look_at(root_fd, path, 0, &st, err);
	if (fd < 0)
		return fd;
	if (!S_ISDIR(st.st_mode))
		return rfs_fail(err, ENOTDIR, "%s: is no directory", path);
	return reopen(fd, path, err);
}

static int stat_with(int root_fd, const char *path, uint64_t flags,
		     struct stat *ret, struct rfs_error *err)
{
	struct stat st;
	int fd;

	fd = look_at(root_fd, path, flags, &st, err);
	if (fd < 0)
		return fd;
	close(fd);
	*ret = st;
	return 0;
}

int rfs_rooted_lstat(int root_fd, const char *path, struct stat *ret,
		     struct rfs_error *err)
{
	return stat_with(root_fd, path, O_NOFOLLOW, ret, err);
}

int rfs_rooted_stat(int root_fd, const char *path, struct stat *ret,
		    struct rfs_error *err)
{
	return stat_with(root_fd, path, 0, ret, err);
}

int rfs_rooted_readlink(int root_fd, const char *path, char **ret,
			struct rfs_error *err)
{
	RFS_CLEANUP_FD int fd = -1;
	char text[TARGET_MAX];
	struct stat st;
	ssize_t n;

	fd = look_at(root_fd, path, O_NOFOLLOW, &st, err);
	if (fd < 0)
		return fd;
	if (!S_ISLNK(st.st_mode))
		return rfs_fail(err, EINVAL, "%s: is no symbolic link", path);
	n = readlinkat(fd, "", text, sizeof(text) - 1);
	if (n < 0)
		return rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	text[n] = '\0';
	*ret = strdup(text);
	return *ret ? 0 : rfs_no_memory(err);
}
