// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/volumes.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

int rfs_volumes_check(struct rfs_worker *w, const char *where,
		      struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *folder = rfs_volumes_folder(where);
	RFS_CLEANUP_FD int fd = -1;

	if (!folder)
		return rfs_no_memory(err);
	fd = rfs_reach_open(w, AT_FDCWD, folder,
			    O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, NULL);
	if (fd >= 0)
		return 0;
	return rfs_fail(err, -fd, "volumes in %s: %s", folder,
			fd == -ENOTDIR ? "is no directory; name the "
					 "directory or a pattern"
				       : strerror(-fd));
}

int rfs_volume_open(struct rfs_worker *w, const char *path,
		    struct rfs_error *err)
{
	struct stat st;
	RFS_CLEANUP_FD int seen =
		rfs_reach_open(w, AT_FDCWD, path, O_PATH | O_CLOEXEC, 0, &st);
	int fd;

	/* Nothing is opened yet, so that a FIFO does not block. */
	if (seen < 0)
		return rfs_fail(err, -seen, "%s: %s", path, strerror(-seen));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return rfs_fail(err, EINVAL,
				"%s: is neither a file nor a block device",
				path);
	fd = rfs_reach_reopen(w, seen);
	if (fd < 0)
		return rfs_fail(err, -fd, "%s: %s", path, strerror(-fd));
	return fd;
}

static int measure(struct rfs_worker *w, const char *path,
		   struct rfs_generation *ret, struct rfs_error *err)
{
	RFS_CLEANUP_FD int fd = rfs_volume_open(w, path, err);
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	r = rfs_reach_stat(w, fd, &st);
	if (r < 0)
		return rfs_fail(err, -r, "%s: no size to be had: %s", path,
				strerror(-r));
	ret->size = (uint64_t)st.st_size;
	ret->mtime_ns = S_ISBLK(st.st_mode) ? RFS_TIME_UNKNOWN
					    : rfs_time_of(st.st_mtim);
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
	struct rfs_worker *w;
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

/* As stat or lstat. */
static int look(struct rfs_worker *w, const char *path, uint64_t flags,
		struct stat *ret)
{
	int fd = rfs_reach_open(w, AT_FDCWD, path, flags | O_CLOEXEC, 0, ret);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static bool is_file(const void *data, const char *path)
{
	const struct search *s = data;
	struct stat st;
	int r = look(s->w, path, O_PATH, &st);

	/* What cannot be looked at is there: an image is not whole for that. */
	if (r < 0)
		return r != -ENOENT && r != -ENOTDIR;
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
	    measure(s->w, path, &volume.generation, &why) < 0) {
		if (*why.text)
			rfs_notes_add(s->notes, "source %s: %s", s->source,
				      why.text);
		fini_volume(&volume);
		return 0;
	}
	if (rfs_mapfile_find(path, is_file, s, s->notes, &volume.mapfile, err) <
	    0) {
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

/*
 * glob(3) hands nothing on to what it calls: a thread has one worker at a time.
 */

static _Thread_local struct rfs_worker *globbing;

struct globbed {
	struct rfs_reach_dir *dir;
	struct dirent entry;
};

static void *glob_opendir(const char *path)
{
	struct globbed *g = calloc(1, sizeof(*g));
	int fd = g ? rfs_reach_open(globbing, AT_FDCWD, path,
				    O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, NULL)
		   : -ENOMEM;
	int r = fd < 0 ? fd : rfs_reach_dir_open(globbing, fd, &g->dir);

	if (r == 0)
		return g;
	free(g);
	errno = -r;
	return NULL;
}

static struct dirent *glob_readdir(void *data)
{
	struct globbed *g = data;
	const char *name;

	if (rfs_reach_dir_next(g->dir, &name, &g->entry.d_type) <= 0 ||
	    strlen(name) >= sizeof(g->entry.d_name))
		return NULL;
	g->entry.d_ino = 1; /* 0 would be a name that is gone */
	strcpy(g->entry.d_name, name);
	return &g->entry;
}

static void glob_closedir(void *data)
{
	struct globbed *g = data;

	rfs_reach_dir_close(g->dir);
	free(g);
}

static int glob_look(const char *path, uint64_t flags, struct stat *ret)
{
	int r = look(globbing, path, flags, ret);

	if (r == 0)
		return 0;
	errno = -r;
	return -1;
}

static int glob_stat(const char *path, struct stat *ret)
{
	return glob_look(path, O_PATH, ret);
}

static int glob_lstat(const char *path, struct stat *ret)
{
	return glob_look(path, O_PATH | O_NOFOLLOW, ret);
}

static int find_names(struct rfs_worker *w, const char *pattern, glob_t *found)
{
	int r;

	globbing = w;
	found->gl_opendir = glob_opendir;
	found->gl_readdir = glob_readdir;
	found->gl_closedir = glob_closedir;
	found->gl_stat = glob_stat;
	found->gl_lstat = glob_lstat;
	r = glob(pattern, GLOB_NOSORT | GLOB_ALTDIRFUNC, NULL, found);
	globbing = NULL;
	return r;
}

/* What is in a directory, or what a pattern matches. */
static int match(struct rfs_worker *w, const char *where, glob_t *found)
{
	RFS_CLEANUP_FREE char *inside = NULL;
	char *p;

	if (is_pattern(where))
		return find_names(w, where, found);
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
	return find_names(w, inside, found);
}

static int by_name(const void *a, const void *b)
{
	const struct rfs_volume *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int rfs_volumes_find(struct rfs_worker *w, const char *where,
		     const char *source, struct rfs_notes *notes,
		     struct rfs_volumes *ret, struct rfs_error *err)
{
	struct search s = { w, source, notes, ret };
	glob_t found = { 0 };
	int r = match(w, where, &found);

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
