// SPDX-License-Identifier: GPL-3.0-or-later
#include "readers/identity.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/cleanup.h"

#define VALUE_MAX  160
#define UEVENT_MAX 4096

/* The files of a device's directory that tell one from all others.  A partition
 * has its disk's, and the sector that it begins at.  What is not here, such as the
 * serial number of an NVMe controller, is the same for several devices. */
static const struct {
	const char *key, *file;
	size_t skip; /* bytes that are no part of it */
} attributes[] = {
	{ "dm-uuid", "dm/uuid", 0 },	       /* LVM's, of group and volume */
	{ "md-uuid", "md/uuid", 0 },	       /* RAID, newer kernels */
	{ "wwid", "wwid", 0 },		       /* NVMe */
	{ "wwid", "device/wwid", 0 },	       /* SCSI, SATA, SAS */
	{ "serial", "serial", 0 },	       /* virtio */
	{ "serial", "device/vpd_pg80", 4 },    /* SCSI, SATA, SAS */
	{ "cid", "device/cid", 0 },	       /* MMC */
	{ "rbd-image", "device/image_id", 0 }, /* Ceph */
};
#define ATTRIBUTES (sizeof(attributes) / sizeof(attributes[0]))

/* A whole small file, without what is around its text; false if there is none. */
static bool read_text(int dir, const char *file, size_t skip, char *ret,
		      size_t size)
{
	RFS_CLEANUP_FD int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : pread(fd, ret, size - 1, (off_t)skip);

	if (n <= 0)
		return false;
	while (n > 0 && (isspace((unsigned char)ret[n - 1]) || !ret[n - 1]))
		n--;
	ret[n] = '\0';
	skip = strspn(ret, " \t");
	memmove(ret, ret + skip, (size_t)n - skip + 1);
	return *ret != '\0';
}

/* Zeros are what a device says that has no number. */
static bool tells_nothing(const char *value)
{
	return value[strspn(value, "0-. ")] == '\0';
}

/* Where it does not fit it is left out whole. */
static void add(struct rfs_identity *to, const char *key, char *value,
		const char *where)
{
	size_t at = strlen(to->text), room = sizeof(to->text) - at;
	int n;

	if (tells_nothing(value))
		return;
	for (char *p = value; *p; p++)
		if (!isprint((unsigned char)*p))
			*p = '?';
	n = snprintf(to->text + at, room, "%s %s%s\n", key, value, where);
	if (n < 0 || (size_t)n >= room)
		to->text[at] = '\0';
}

/* "@FIRST SECTOR" for a partition, else "". */
static bool find_start(int dir, char ret[VALUE_MAX + 1])
{
	bool is_partition = faccessat(dir, "partition", F_OK, 0) == 0;

	*ret = '@';
	if (!is_partition || !read_text(dir, "start", 0, ret + 1, VALUE_MAX))
		*ret = '\0';
	return is_partition;
}

/* Newer kernels tell a partition's own uuid, but for those of a disk without an
 * MBR's signature, which are 00000000-01 and so on. */
static void add_partuuid(int dir, const char *where, struct rfs_identity *to)
{
	static const char key[] = "PARTUUID=";
	char text[UEVENT_MAX], *value;

	if (!read_text(dir, "uevent", 0, text, sizeof(text)))
		return;
	value = strstr(text, key);
	if (!value)
		return;
	value += strlen(key);
	value[strcspn(value, "\n")] = '\0';
	if (strlen(value) < VALUE_MAX && strncmp(value, "00000000-", 9) != 0)
		add(to, "partuuid", value, where);
}

static void add_attributes(int dir, struct rfs_identity *to)
{
	char where[VALUE_MAX + 1], value[VALUE_MAX], path[64];
	bool is_partition = find_start(dir, where);

	/* Without its place a partition is any of its disk's. */
	if (is_partition && !*where)
		return;
	if (is_partition)
		add_partuuid(dir, where, to);
	for (size_t i = 0; i < ATTRIBUTES; i++) {
		snprintf(path, sizeof(path), "%s%s", is_partition ? "../" : "",
			 attributes[i].file);
		if (read_text(dir, path, attributes[i].skip, value,
			      sizeof(value)))
			add(to, attributes[i].key, value, where);
	}
}

void rfs_identity_in(const char *sys, dev_t device, struct rfs_identity *ret)
{
	RFS_CLEANUP_FD int dir = -1;
	char path[4096];

	ret->text[0] = '\0';
	snprintf(path, sizeof(path), "%s/%u:%u", sys, major(device),
		 minor(device));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0)
		add_attributes(dir, ret);
}

/* The file below a loop device.  The number of the device that it lies on is left
 * out, as that changes with a reboot; where it has no real one (FUSE) the file's
 * number may as well. */
static void add_loop(int fd, dev_t device, struct rfs_identity *to)
{
	struct loop_info64 info;
	char value[VALUE_MAX];

	if (major(device) != LOOP_MAJOR ||
	    ioctl(fd, LOOP_GET_STATUS64, &info) < 0 ||
	    !major((dev_t)info.lo_device))
		return;
	snprintf(value, sizeof(value), "%" PRIu64 "+%" PRIu64,
		 (uint64_t)info.lo_inode, (uint64_t)info.lo_offset);
	add(to, "loop-inode", value, "");
}

void rfs_identity_of(int fd, dev_t device, struct rfs_identity *ret)
{
	rfs_identity_in("/sys/dev/block", device, ret);
	add_loop(fd, device, ret);
}

/* The next line's key and value; false at the end. */
static bool next_line(const char **at, int *key, const char **value, int *len)
{
	const char *line = *at, *end = strchr(line, '\n');
	const char *space = strchr(line, ' ');

	if (!end || !space || space > end)
		return false;
	*key = (int)(space - line);
	*value = space + 1;
	*len = (int)(end - space - 1);
	*at = end + 1;
	return true;
}

/* What 'text' has of a key; false if nothing of it is this value. */
static bool has_same(const char *text, const char *key, int key_len,
		     const char *value, int len, const char **other,
		     int *other_len)
{
	const char *its_key = text, *its;
	int its_key_len, its_len;

	for (; next_line(&text, &its_key_len, &its, &its_len); its_key = text) {
		if (its_key_len != key_len ||
		    strncmp(its_key, key, (size_t)key_len))
			continue;
		if (its_len == len && strncmp(its, value, (size_t)len) == 0)
			return true;
		*other = its;
		*other_len = its_len;
	}
	return false;
}

bool rfs_identity_differs(const char *was, const char *is, char *ret_why,
			  size_t size)
{
	const char *key = was, *value, *other = NULL;
	int key_len, len, other_len = 0;
	bool differs = false;

	for (; next_line(&was, &key_len, &value, &len); key = was) {
		other = NULL;
		if (has_same(is, key, key_len, value, len, &other, &other_len))
			return false;
		if (other && !differs)
			snprintf(ret_why, size, "its %.*s was %.*s and is %.*s",
				 key_len, key, len, value, other_len, other);
		differs = differs || other;
	}
	return differs;
}
