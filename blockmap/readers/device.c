// SPDX-License-Identifier: GPL-3.0-or-later
#include "readers/device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Logical volume on mirror on partition: nobody stacks more. */
#define DEPTH_MAX 8
#define WORD	  64

/* The first word of a small file below 'dir'; false: it has none. */
static bool read_word(int dir, const char *name, char word[WORD])
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, word, WORD - 1);
	close(fd);
	if (n <= 0)
		return false;
	word[n] = '\0';
	word[strcspn(word, " \n")] = '\0';
	return true;
}

/* A partition's state is its disk's. */
static bool is_offline(int dir)
{
	static const char *const files[] = { "device/state",
					     "../device/state" };
	char word[WORD];

	for (size_t i = 0; i < 2; i++)
		if (read_word(dir, files[i], word))
			return strcmp(word, "offline") == 0 ||
			       strcmp(word, "transport-offline") == 0 ||
			       strcmp(word, "deleted") == 0;
	return false;
}

static bool dir_is_gone(int dir, int depth);

/* What it stands on: the disks below a logical volume. */
static bool is_slave_gone(int dir, int depth)
{
	int fd = openat(dir, "slaves", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool gone = false;
	int below;

	if (!list && fd >= 0)
		close(fd);
	while (list && !gone && (entry = readdir(list)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		below = openat(fd, entry->d_name,
			       O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (below < 0)
			continue;
		gone = dir_is_gone(below, depth + 1);
		close(below);
	}
	if (list)
		closedir(list);
	return gone;
}

static bool dir_is_gone(int dir, int depth)
{
	char word[WORD];

	if (read_word(dir, "size", word) && strcmp(word, "0") == 0)
		return true;
	return is_offline(dir) ||
	       (depth < DEPTH_MAX && is_slave_gone(dir, depth));
}

/* Where sysfs shows no device at all, as in some containers, one that is not
 * there says nothing. */
static bool has_devices(int all)
{
	int fd = openat(all, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool has = false;

	if (!list && fd >= 0)
		close(fd);
	while (list && !has && (entry = readdir(list)) != NULL)
		has = entry->d_name[0] != '.';
	if (list)
		closedir(list);
	return has;
}

bool rfs_device_is_gone_in(const char *sys, dev_t device)
{
	char name[WORD];
	int all, dir;
	bool gone;

	if (!major(device))
		return false;
	all = open(sys, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (all < 0)
		return false;
	snprintf(name, sizeof(name), "%u:%u", major(device), minor(device));
	dir = openat(all, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		gone = errno == ENOENT && has_devices(all);
	} else {
		gone = dir_is_gone(dir, 0);
		close(dir);
	}
	close(all);
	return gone;
}

bool rfs_device_is_gone(dev_t device)
{
	return rfs_device_is_gone_in("/sys/dev/block", device);
}
