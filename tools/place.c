// SPDX-License-Identifier: GPL-3.0-or-later
#include "tools/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "fs/scratch.h"
#include "readers/reach.h"
#include "site/volumes.h"

/* Resolves what exists of 'path' and appends the rest, which then is to be
 * made.  *ret_dev is that of the part that exists.  NULL with errno, or the
 * text, which the caller frees. */
static char *resolve(const char *path, dev_t *ret_dev)
{
	RFS_CLEANUP_FREE char *head = strdup(path);
	RFS_CLEANUP_FREE char *real = NULL;
	char *slash, *joined;
	const char *rest;
	struct stat st;

	while (head && !(real = realpath(head, NULL))) {
		slash = strrchr(head, '/');
		if (errno != ENOENT || !slash || strcmp(slash, "/..") == 0)
			return NULL;
		slash[slash == head] = '\0';
	}
	if (!real || stat(real, &st) < 0)
		return NULL;
	*ret_dev = st.st_dev;
	rest = path + strlen(head);
	rest += strspn(rest, "/");
	if (asprintf(&joined, "%s%s%s", strcmp(real, "/") == 0 ? "" : real,
		     *rest || strcmp(real, "/") == 0 ? "/" : "", rest) < 0)
		return NULL;
	return joined;
}

static bool is_inside(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (len && dir[len - 1] == '/')
		len--;
	return strncmp(path, dir, len) == 0 &&
	       (path[len] == '/' || path[len] == '\0');
}

/* Where a source's folder is in truth. */
struct folder {
	char *path; /* without symlinks, or as it was said if it hangs */
	dev_t dev;  /* of a dying disk */
	bool is_dying;
};

/* A damaged directory's filesystem is the dying disk, unless it is the one that
 * this system itself runs on, or memory: then it holds a copy. */
static bool is_dying(const struct rfs_source *source, int fd,
		     const struct stat *st)
{
	struct stat top;
	int64_t type;

	if (source->kind != RFS_DAMAGED || stat("/", &top) < 0)
		return false;
	type = rfs_reach_fs_type(source->names, fd);
	return st->st_dev != top.st_dev && type >= 0 && type != TMPFS_MAGIC;
}

/* 'ret->path' is NULL where there is no such folder.  The name of what is open
 * is had from the kernel's memory: nothing is looked up for it. */
static int find_folder(const struct rfs_source *source, const char *path,
		       struct folder *ret, struct rfs_error *err)
{
	struct stat st;
	RFS_CLEANUP_FD int fd = rfs_reach_open(source->names, AT_FDCWD, path,
					       O_PATH | O_CLOEXEC, 0, &st);
	char self[40], real[PATH_MAX];
	ssize_t n;

	*ret = (struct folder){ .path = NULL };
	if (fd < 0 && fd != -ETIMEDOUT)
		return 0;
	if (fd < 0) {
		ret->path = strdup(path);
		return ret->path ? 0 : rfs_no_memory(err);
	}
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	n = readlink(self, real, sizeof(real) - 1);
	if (n < 0)
		return 0;
	real[n] = '\0';
	ret->path = strdup(real);
	if (!ret->path)
		return rfs_no_memory(err);
	ret->dev = st.st_dev;
	ret->is_dying = is_dying(source, fd, &st);
	return 0;
}

/* What is to be written: "the state directory /x", on 'dev'. */
struct place {
	const char *what, *path, *remedy;
	dev_t dev;
};

static int check_folder(const char *mountpoint, const struct rfs_source *source,
			const char *folder, const struct place *place,
			struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *root = NULL;
	struct folder found;
	int r = find_folder(source, folder, &found, err);

	root = found.path;
	if (r < 0 || !root)
		return r;
	if (is_inside(place->path, root))
		return rfs_fail(err, EINVAL,
				"%s %s lies in the source %s (%s), which is "
				"never written; name another%s",
				place->what, place->path, source->origin.name,
				root, place->remedy);
	if (found.is_dying && found.dev == place->dev)
		return rfs_fail(err, EINVAL,
				"%s %s lies on the same filesystem as the "
				"damaged source %s; name one on another "
				"disk%s",
				place->what, place->path, source->origin.name,
				place->remedy);
	if (mountpoint && is_inside(mountpoint, root))
		return rfs_fail(err, EINVAL,
				"the mount point %s lies in the source %s (%s) "
				"and would show itself; mount elsewhere",
				mountpoint, source->origin.name, root);
	return 0;
}

static int check_source(const char *mountpoint, const struct rfs_source *source,
			const struct place *place, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *folder = NULL;
	int r = 0;

	if (source->root)
		r = check_folder(mountpoint, source, source->root, place, err);
	if (r < 0 || !source->volumes)
		return r;
	folder = rfs_volumes_folder(source->volumes);
	if (!folder)
		return rfs_no_memory(err);
	return check_folder(mountpoint, source, folder, place, err);
}

static int check_sources(const struct rfs_site *site, const char *mountpoint,
			 const struct place *place, struct rfs_error *err)
{
	int r = 0;

	for (size_t i = 0; i < site->nsources && r == 0; i++)
		r = check_source(mountpoint, site->sources[i], place, err);
	return r;
}

int rfs_place_file(const struct rfs_site *site, const char *path,
		   struct rfs_error *err)
{
	struct place place = { .what = "the file", .remedy = "" };
	RFS_CLEANUP_FREE char *real = resolve(path, &place.dev);

	/* A name in the current directory has no slash that could be cut. */
	if (!real && errno == ENOENT && !strchr(path, '/')) {
		RFS_CLEANUP_FREE char *here = NULL;

		if (asprintf(&here, "./%s", path) < 0) {
			here = NULL;
			return rfs_no_memory(err);
		}
		real = resolve(here, &place.dev);
	}
	if (!real)
		return rfs_fail(err, errno ? errno : EINVAL, "%s: %s", path,
				strerror(errno ? errno : EINVAL));
	place.path = real;
	return check_sources(site, NULL, &place, err);
}

int rfs_place_scratch(const struct rfs_site *site, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *path = NULL;
	int r;

	if (asprintf(&path, "%s/rescuefs-scratch", rfs_scratch_dir()) < 0) {
		path = NULL;
		return rfs_no_memory(err);
	}
	r = rfs_place_file(site, path, err);
	return r < 0 ? rfs_context(err, r, "TMPDIR") : 0;
}

int rfs_place_state(const struct rfs_site *site, const char *mountpoint,
		    char **ret_dir, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *said = NULL;
	RFS_CLEANUP_FREE char *dir = NULL;
	struct place place = { .what = "the state directory",
			       .remedy = " with --state" };
	int r;

	r = rfs_site_state_dir(site, &said, err);
	if (r < 0)
		return r;
	dir = resolve(said, &place.dev);
	if (!dir)
		return rfs_fail(err, errno ? errno : EINVAL,
				"state directory %s: %s; name another with "
				"--state",
				said, strerror(errno ? errno : EINVAL));
	if (mountpoint && is_inside(dir, mountpoint))
		return rfs_fail(err, EINVAL,
				"the state directory %s lies in the mount "
				"point; name another with --state",
				dir);
	place.path = dir;
	r = check_sources(site, mountpoint, &place, err);
	if (r < 0)
		return r;
	*ret_dir = dir;
	dir = NULL;
	return 0;
}
