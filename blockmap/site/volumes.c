// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/volumes.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/vec.h"
#include "site/mapped.h"
#include "site/names.h"
#include "site/site_path.h"

/* More than a volume group can hold. */
#define VOLUMES_MAX 100000

#define PREFIX	   "volume-"
#define PREFIX_LEN 7

bool rfs_volume_uuid(const char *name, char ret[RFS_UUID_TEXT])
{
	return !strncmp(name, PREFIX, PREFIX_LEN) &&
	       strlen(name) == PREFIX_LEN + RFS_UUID_TEXT - 1 &&
	       rfs_uuid_normal(name + PREFIX_LEN, ret);
}

bool rfs_is_volume_name(const char *name)
{
	char uuid[RFS_UUID_TEXT];
	size_t n;

	if (rfs_volume_uuid(name, uuid))
		return true;
	if (strncmp(name, PREFIX, PREFIX_LEN) != 0)
		return false;
	n = strspn(name + PREFIX_LEN, "0123456789abcdef");
	return n == 8 && !name[PREFIX_LEN + n];
}

static bool is_pattern(const char *where)
{
	return strpbrk(where, "*?[") != NULL;
}

char *rfs_volumes_folder(const char *where)
{
	size_t len = strcspn(where, "*?[");

	if (!where[len])
		return strdup(where);
	while (len > 1 && where[len - 1] != '/')
		len--;
	return strndup(where, len > 1 ? len - 1 : 1);
}

int rfs_volumes_check(const char *where, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *folder = rfs_volumes_folder(where);
	RFS_CLEANUP_FD int fd = -1;

	if (!folder)
		return rfs_no_memory(err);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		return 0;
	return rfs_fail(err, errno, "volumes in %s: %s", folder,
			errno == ENOTDIR ? "is no directory; name the "
					   "directory or a pattern"
					 : strerror(errno));
}

int rfs_volume_open(const char *path, struct rfs_error *err)
{
	RFS_CLEANUP_FD int seen = open(path, O_PATH | O_CLOEXEC);
	char self[40];
	struct stat st;
	int fd;

	/* Nothing is opened yet, so that a FIFO does not block. */
	if (seen < 0 || fstat(seen, &st) < 0)
		return rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return rfs_fail(err, EINVAL,
				"%s: is neither a file nor a block device",
				path);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", seen);
	fd = open(self, O_RDONLY | O_CLOEXEC | O_NOATIME);
	if (fd < 0 && errno == EPERM)
		fd = open(self, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	return fd;
}

static int measure(const char *path, struct rfs_generation *ret,
		   struct rfs_error *err)
{
	RFS_CLEANUP_FD int fd = rfs_volume_open(path, err);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	ret->size = (uint64_t)st.st_size;
	ret->mtime_ns = rfs_time_of(st.st_mtim);
	if (!S_ISBLK(st.st_mode))
		return 0;
	ret->mtime_ns = RFS_TIME_UNKNOWN;
	if (ioctl(fd, BLKGETSIZE64, &ret->size) < 0)
		return rfs_fail(err, errno, "%s: no size to be had: %s", path,
				strerror(errno));
	return 0;
}

/* "volume-00000143.img.gz" is volume-00000143; NULL: no memory. */
static char *name_of(const char *path, enum rfs_packing *ret_packing)
{
	static const char *const endings[] = { ".img", ".raw" };
	const char *last = rfs_path_last(path);
	size_t len = rfs_packed_strip(last, ret_packing);
	RFS_CLEANUP_FREE char *plain = NULL;

	for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++)
		if (len > 4 && !strncmp(last + len - 4, endings[i], 4)) {
			len -= 4;
			break;
		}
	plain = strndup(last, len);
	return plain ? rfs_name_escape(plain) : NULL;
}

/* Of two files of one name, the one that needs no unpacking, else the newer. */
static bool is_better(const struct rfs_volume *a, const struct rfs_volume *b)
{
	if ((a->packing == RFS_PACKED_NOT) != (b->packing == RFS_PACKED_NOT))
		return a->packing == RFS_PACKED_NOT;
	return a->generation.mtime_ns > b->generation.mtime_ns;
}

static void fini_volume(struct rfs_volume *volume)
{
	free(volume->name);
	free(volume->path);
	free(volume->mapfile);
}

struct search {
	const char *source;
	struct rfs_notes *notes;
	struct rfs_volumes *list;
};

static void keep_better(struct search *s, struct rfs_volume *have,
			struct rfs_volume *volume)
{
	struct rfs_volume worse = *volume;

	if (is_better(volume, have)) {
		worse = *have;
		*have = *volume;
	}
	rfs_notes_add(s->notes,
		      "source %s: %s and %s are both %s: the first is used; "
		      "copies of several ages are sources of their own",
		      s->source, have->path, worse.path, have->name);
	fini_volume(&worse);
}

static bool is_file(const void *data, const char *path)
{
	struct stat st;

	(void)data;
	/* What cannot be looked at is there: an image is not whole for that. */
	if (stat(path, &st) < 0)
		return errno != ENOENT && errno != ENOTDIR;
	return S_ISREG(st.st_mode);
}

/* Takes one path.  A directory holds much that is no volume, and nothing is
 * said of that. */
static int take(struct search *s, const char *path, bool any_name,
		struct rfs_error *err)
{
	struct rfs_error why = RFS_ERROR_INIT;
	struct rfs_volume volume = { .name = NULL };

	if (rfs_is_mapfile_name(path))
		return 0;
	volume.name = name_of(path, &volume.packing);
	volume.path = strdup(path);
	if (!volume.name || !volume.path || RFS_VEC_ROOM(s->list) < 0) {
		fini_volume(&volume);
		return rfs_no_memory(err);
	}
	if ((!any_name && !rfs_is_volume_name(volume.name)) ||
	    measure(path, &volume.generation, &why) < 0) {
		if (*why.text)
			rfs_notes_add(s->notes, "source %s: %s", s->source,
				      why.text);
		fini_volume(&volume);
		return 0;
	}
	if (rfs_mapfile_find(path, is_file, NULL, s->notes, &volume.mapfile,
			     err) < 0) {
		fini_volume(&volume);
		return -ENOMEM;
	}
	for (size_t i = 0; i < s->list->count; i++)
		if (!strcmp(s->list->items[i].name, volume.name)) {
			keep_better(s, &s->list->items[i], &volume);
			return 0;
		}
	s->list->items[s->list->count++] = volume;
	return 0;
}

/* What is in a directory, or what a pattern matches. */
static int match(const char *where, glob_t *found)
{
	RFS_CLEANUP_FREE char *inside = NULL;
	char *p;

	if (is_pattern(where))
		return glob(where, GLOB_NOSORT, NULL, found);
	/* The directory's own name is no pattern. */
	inside = malloc(strlen(where) * 2 + 3);
	if (!inside)
		return GLOB_NOSPACE;
	p = inside;
	for (const char *q = where; *q; q++) {
		if (strchr("*?[\\", *q))
			*p++ = '\\';
		*p++ = *q;
	}
	strcpy(p, "/*");
	return glob(inside, GLOB_NOSORT, NULL, found);
}

static int by_name(const void *a, const void *b)
{
	const struct rfs_volume *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int rfs_volumes_find(const char *where, const char *source,
		     struct rfs_notes *notes, struct rfs_volumes *ret,
		     struct rfs_error *err)
{
	struct search s = { source, notes, ret };
	glob_t found = { 0 };
	int r = match(where, &found);

	if (r == GLOB_NOSPACE)
		return rfs_no_memory(err);
	if (r != 0 || found.gl_pathc > VOLUMES_MAX)
		rfs_notes_add(notes, "source %s: volumes = %s: %s", source,
			      where,
			      r == 0		  ? "matches too many names"
			      : r == GLOB_NOMATCH ? "there are none"
						  : "cannot be read");
	r = r == 0 && found.gl_pathc <= VOLUMES_MAX ? 0 : 1;
	for (size_t i = 0; r == 0 && i < found.gl_pathc; i++)
		r = take(&s, found.gl_pathv[i], is_pattern(where), err);
	globfree(&found);
	if (ret->count)
		qsort(ret->items, ret->count, sizeof(*ret->items), by_name);
	return r < 0 ? r : 0;
}

void rfs_volumes_fini(struct rfs_volumes *list)
{
	for (size_t i = 0; i < list->count; i++)
		fini_volume(&list->items[i]);
	free(list->items);
	*list = (struct rfs_volumes){ 0 };
}
