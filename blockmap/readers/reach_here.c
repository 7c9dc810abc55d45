// SPDX-License-Identifier: GPL-3.0-or-later
#include "readers/reach_here.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

int rfs_here_open(int dir_fd, const char *path, uint64_t flags,
		  uint64_t resolve, struct stat *ret)
{
	struct open_how how = { .flags = flags, .resolve = resolve };
	int fd = (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
	int r;

	if (fd < 0)
		return -errno;
	if (!ret || fstat(fd, ret) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

/* "/proc/self/fd/FD", without stdio, which a child must not use. */
static void self_path(int fd, char ret[40])
{
	static const char where[] = "/proc/self/fd/";
	char digits[16];
	size_t n = 0, at = sizeof(where) - 1;

	memcpy(ret, where, at);
	do
		digits[n++] = (char)('0' + fd % 10);
	while ((fd /= 10) > 0);
	while (n > 0)
		ret[at++] = digits[--n];
	ret[at] = '\0';
}

/* Reading must not even leave an access time on the patient; only an owner may
 * ask for that. */
int rfs_here_reopen(int path_fd)
{
	char self[40];
	int fd;

	if (path_fd < 0)
		return -EBADF;
	self_path(path_fd, self);
	fd = open(self, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOATIME);
	if (fd < 0 && errno == EPERM)
		fd = open(self, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

int rfs_here_stat(int fd, struct stat *ret)
{
	uint64_t size;

	if (fstat(fd, ret) < 0)
		return -errno;
	if (!S_ISBLK(ret->st_mode))
		return 0;
	if (ioctl(fd, BLKGETSIZE64, &size) < 0)
		return -errno;
	ret->st_size = (off_t)size;
	return 0;
}

int64_t rfs_here_fs_type(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) < 0 ? -errno : (int64_t)(uint32_t)fs.f_type;
}
