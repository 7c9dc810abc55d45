// SPDX-License-Identifier: GPL-3.0-or-later
#include "readers/device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Logical volume on mirror on partition: nobody stacks more. */
#define DEPTH_MAX 8
#define WORD	  64
#define WATCHED	  16

/* The files that a device may have which say that it is gone. */
static const char
	*const attributes[] = { "size", "device/state",
				"../device/state" /* a partition's */ };
#define ATTRIBUTES (sizeof(attributes) / sizeof(attributes[0]))

/* What one of them says; also one that was open when the device went away. */
static bool says_gone(int fd)
{
	static const char *const words[] = { "0", "offline",
					     "transport-offline", "deleted" };
	char word[WORD];
	ssize_t n = pread(fd, word, WORD - 1, 0);

	if (n <= 0)
		return n < 0 && errno == ENODEV;
	word[n] = '\0';
	word[strcspn(word, " \n")] = '\0';
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i]) == 0)
			return true;
	return false;
}

/* The open files by which a device and what it stands on can be asked again. */
struct watch {
	dev_t device;
	int fds[WATCHED];
	size_t count;
	bool is_full; /* there were more */
};

static void watch_end(struct watch *w)
{
	while (w->count)
		close(w->fds[--w->count]);
}

static bool dir_is_gone(int dir, int depth, struct watch *w);

static bool is_attribute_gone(int dir, const char *name, struct watch *w)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	bool gone;

	if (fd < 0)
		return false;
	gone = says_gone(fd);
	if (w->count < WATCHED) {
		w->fds[w->count++] = fd;
	} else {
		w->is_full = true;
		close(fd);
	}
	return gone;
}

/* What it stands on: the disks below a logical volume. */
static bool is_slave_gone(int dir, int depth, struct watch *w)
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
		gone = dir_is_gone(below, depth + 1, w);
		close(below);
	}
	if (list)
		closedir(list);
	return gone;
}

static bool dir_is_gone(int dir, int depth, struct watch *w)
{
	for (size_t i = 0; i < ATTRIBUTES; i++)
		if (is_attribute_gone(dir, attributes[i], w))
			return true;
	return depth < DEPTH_MAX && is_slave_gone(dir, depth, w);
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

/* A look at everything. */
static bool look(const char *sys, struct watch *w)
{
	char name[WORD];
	int all, dir;
	bool gone;

	all = open(sys, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (all < 0)
		return false;
	snprintf(name, sizeof(name), "%u:%u", major(w->device),
		 minor(w->device));
	dir = openat(all, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		gone = errno == ENOENT && has_devices(all);
	} else {
		gone = dir_is_gone(dir, 0, w);
		close(dir);
	}
	close(all);
	return gone;
}

bool rfs_device_is_gone_in(const char *sys, dev_t device)
{
	struct watch w = { .device = device };
	bool gone = major(device) && look(sys, &w);

	watch_end(&w);
	return gone;
}

/*
 * Each bad sector asks, and a look at everything takes as long as ten reads of a
 * sector.  So what said that the device is there is kept open, and asked alone
 * next time; only where it says anything else everything is looked at again.
 */
static struct {
	pthread_mutex_t lock; /* guards all below */
	struct watch last;
} watched = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool is_still_there(const struct watch *w, dev_t device)
{
	if (w->device != device || !w->count || w->is_full)
		return false;
	for (size_t i = 0; i < w->count; i++)
		if (says_gone(w->fds[i]))
			return false;
	return true;
}

bool rfs_device_is_gone(dev_t device)
{
	bool gone;

	if (!major(device))
		return false;
	pthread_mutex_lock(&watched.lock);
	gone = !is_still_there(&watched.last, device);
	if (gone) {
		watch_end(&watched.last);
		watched.last = (struct watch){ .device = device };
		gone = look("/sys/dev/block", &watched.last);
	}
	pthread_mutex_unlock(&watched.lock);
	return gone;
}
