// SPDX-License-Identifier: GPL-3.0-or-later
#include "tools/newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"

static int fail_path(const char *path, struct rfs_error *err)
{
	int errnum = errno;

	if (errnum == EEXIST)
		return rfs_fail(err, EEXIST,
				"%s: is there already, and is not written over "
				"without --force",
				path);
	return rfs_fail(err, errnum, "%s: %s", path, strerror(errnum));
}

static char *folder_of(const char *path)
{
	RFS_CLEANUP_FREE char *copy = strdup(path);

	return copy ? strdup(dirname(copy)) : NULL;
}

static int open_named(struct rfs_newfile *f, struct rfs_error *err)
{
	if (asprintf(&f->made, "%s.XXXXXX", f->path) < 0) {
		f->made = NULL;
		return rfs_no_memory(err);
	}
	f->fd = mkostemp(f->made, O_CLOEXEC);
	if (f->fd >= 0)
		return 0;
	free(f->made);
	f->made = NULL;
	return fail_path(f->path, err);
}

static int open_nameless(struct rfs_newfile *f, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *folder = folder_of(f->path);

	if (!folder)
		return rfs_no_memory(err);
	f->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (f->fd >= 0)
		return 0;
	/* Filesystems and kernels without it. */
	if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)
		return open_named(f, err);
	return fail_path(f->path, err);
}

int rfs_newfile_open(struct rfs_newfile *f, const char *path, bool force,
		     struct rfs_error *err)
{
	struct stat st;
	int r;

	*f = (struct rfs_newfile){ .fd = -1, .force = force };
	if (lstat(path, &st) == 0) {
		errno = EEXIST;
		if (!force)
			return fail_path(path, err);
		if (!S_ISREG(st.st_mode))
			return rfs_fail(err, EINVAL,
					"%s: is no plain file, and is not "
					"replaced",
					path);
	}
	f->path = strdup(path);
	r = f->path ? open_nameless(f, err) : rfs_no_memory(err);
	if (r < 0)
		rfs_newfile_drop(f);
	return r;
}

/* Gives a nameless file the name 'path'. */
static int name_it(const struct rfs_newfile *f, const char *path)
{
	char proc[40];

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", f->fd);
	return linkat(AT_FDCWD, proc, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
}

/* Only what has a name can take another's place. */
static int name_aside(struct rfs_newfile *f)
{
	static const int tries = 100;

	for (int i = 0; i < tries; i++) {
		if (asprintf(&f->made, "%s.%d-%d", f->path, (int)getpid(), i) <
		    0) {
			f->made = NULL;
			errno = ENOMEM;
			return -1;
		}
		if (name_it(f, f->made) == 0)
			return 0;
		free(f->made);
		f->made = NULL;
		if (errno != EEXIST)
			return -1;
	}
	return -1;
}

static int take_name(struct rfs_newfile *f)
{
	int r;

	if (!f->made && !f->force)
		return name_it(f, f->path);
	if (!f->made && name_aside(f) < 0)
		return -1;
	r = renameat2(AT_FDCWD, f->made, AT_FDCWD, f->path,
		      f->force ? 0 : RENAME_NOREPLACE);
	/* What cannot do that has no such race either way worth losing the file
	 * for: linking refuses an existing name too. */
	if (r < 0 && errno == EINVAL && link(f->made, f->path) == 0)
		r = unlink(f->made);
	if (r == 0) {
		free(f->made);
		f->made = NULL;
	}
	return r;
}

static int sync_folder(const struct rfs_newfile *f, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *folder = folder_of(f->path);
	RFS_CLEANUP_FD int fd = -1;

	if (!folder)
		return rfs_no_memory(err);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
		return fail_path(folder, err);
	return 0;
}

int rfs_newfile_keep(struct rfs_newfile *f, struct rfs_error *err)
{
	int r = 0;

	if (fsync(f->fd) < 0 || take_name(f) < 0)
		r = fail_path(f->path, err);
	if (r == 0)
		r = sync_folder(f, err);
	rfs_newfile_drop(f);
	return r;
}

void rfs_newfile_drop(struct rfs_newfile *f)
{
	if (!f->path)
		return;
	if (f->fd >= 0)
		close(f->fd);
	if (f->made)
		unlink(f->made);
	free(f->made);
	free(f->path);
	*f = (struct rfs_newfile){ .fd = -1 };
}
