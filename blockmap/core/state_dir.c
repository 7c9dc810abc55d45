// SPDX-License-Identifier: GPL-3.0-or-later
/* The state's directory: its files and their names, and who holds it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/state_sql.h"

static const char *const file_suffix[] = {
	[RFS_STATE_DATA] = "",
	[RFS_STATE_STORE] = ".store",
	[RFS_STATE_JOURNAL0] = ".journal0",
	[RFS_STATE_JOURNAL1] = ".journal1",
};

/* The object's number is its file's name: no name from outside becomes one. */
static int file_name(struct rfs_state *st, const char *object,
		     enum rfs_state_file which, char *name, size_t room,
		     struct rfs_error *err)
{
	int64_t id;
	int r;

	pthread_mutex_lock(&st->mutex);
	r = rfs_state_object_id(st, object, &id, err);
	pthread_mutex_unlock(&st->mutex);
	if (r == 0)
		snprintf(name, room, "data/%" PRId64 "%s", id,
			 file_suffix[which]);
	return r;
}

/* The names in a directory are to survive a power cut.  A file system that has
 * no such call, and one that is not written, have nothing to lose. */
static int sync_names(int at, const char *path, struct rfs_error *err)
{
	RFS_CLEANUP_FD int fd =
		openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == EACCES) /* may be passed, but not listed */
		return 0;
	if (fd >= 0 && (fsync(fd) == 0 || errno == EINVAL || errno == EROFS))
		return 0;
	return rfs_fail(err, errno, "directory %s: a new name in it: %s", path,
			strerror(errno));
}

int rfs_state_file_fd(struct rfs_state *st, const char *object,
		      enum rfs_state_file which, bool make,
		      struct rfs_error *err)
{
	const int flags = O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT : 0);
	RFS_CLEANUP_FD int fd = -1;
	char name[64];
	int r;

	r = file_name(st, object, which, name, sizeof(name), err);
	if (r < 0)
		return r;
	fd = openat(st->dir_fd, name, O_RDWR | flags, 0600);
	if (fd < 0 && errno == EROFS && !make)
		fd = openat(st->dir_fd, name, O_RDONLY | flags);
	if (fd < 0)
		return rfs_fail(err, errno, "state %s/%s: %s", st->dir, name,
				strerror(errno));
	if (make && (which == RFS_STATE_DATA || which == RFS_STATE_STORE))
		r = sync_names(st->dir_fd, "data", err);
	if (r < 0)
		return rfs_context(err, r, "state %s", st->dir);
	r = fd;
	fd = -1;
	return r;
}

int rfs_state_data_fd(struct rfs_state *st, const char *object, bool make,
		      struct rfs_error *err)
{
	return rfs_state_file_fd(st, object, RFS_STATE_DATA, make, err);
}

int rfs_state_remove_file(struct rfs_state *st, const char *object,
			  enum rfs_state_file which, struct rfs_error *err)
{
	char name[64];
	int r;

	r = file_name(st, object, which, name, sizeof(name), err);
	if (r < 0)
		return r;
	if (unlinkat(st->dir_fd, name, 0) < 0 && errno != ENOENT)
		return rfs_fail(err, errno, "state %s/%s: %s", st->dir, name,
				strerror(errno));
	return 0;
}

/* "PID HOLDER"; whoever cannot have the lock reads it. */
static int read_holder(int fd, int *ret_pid, char *text, size_t room)
{
	char line[4096];
	ssize_t n = pread(fd, line, sizeof(line) - 1, 0);
	int at = 0;

	*ret_pid = 0;
	*text = '\0';
	if (n <= 0)
		return -ENOENT;
	line[n] = '\0';
	if (sscanf(line, "%d %n", ret_pid, &at) != 1)
		return -ENOENT;
	line[strcspn(line, "\n")] = '\0';
	snprintf(text, room, "%s", line + at);
	return 0;
}

/* Whoever asks who holds the state has the lock for a moment: that is no
 * holder, so a few tries are made. */
static bool lock_soon(int fd)
{
	const struct timespec pause = { 0, 20000000 };

	for (int i = 0; i < 5; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

int rfs_state_take_lock(struct rfs_state *st, const char *holder,
			struct rfs_error *err)
{
	char other[4096];
	int pid;

	st->lock_fd = openat(st->dir_fd, "lock",
			     O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (st->lock_fd < 0)
		return rfs_fail(err, errno, "state %s/lock: %s", st->dir,
				strerror(errno));
	if (!lock_soon(st->lock_fd)) {
		read_holder(st->lock_fd, &pid, other, sizeof(other));
		return rfs_fail(
			err, EBUSY,
			"state %s is in use by process %d (%s); unmount "
			"that first, or give this one its own --state",
			st->dir, pid, other);
	}
	return rfs_state_set_holder(st, holder, err);
}

int rfs_state_set_holder(struct rfs_state *st, const char *holder,
			 struct rfs_error *err)
{
	char text[4096];
	ssize_t n, len;

	/* A name that does not fit is cut: it is for people. */
	snprintf(text, sizeof(text), "%d %s\n", (int)getpid(), holder);
	len = (ssize_t)strlen(text);
	n = ftruncate(st->lock_fd, 0);
	if (n == 0)
		n = pwrite(st->lock_fd, text, (size_t)len, 0);
	if (n >= 0 && n < len)
		errno = ENOSPC;
	if (n < len)
		return rfs_fail(err, errno,
				"state %s/lock: cannot be written: %s; make "
				"room or the directory writable, or name "
				"another with --state",
				st->dir, strerror(errno));
	return 0;
}

int rfs_state_holder(const char *dir, int *ret_pid, char **ret_holder,
		     struct rfs_error *err)
{
	RFS_CLEANUP_FD int dir_fd = open(dir, O_PATH | O_CLOEXEC);
	RFS_CLEANUP_FD int fd = -1;
	char text[4096];

	if (dir_fd >= 0)
		fd = openat(dir_fd, "lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 ||
	    read_holder(fd, ret_pid, text, sizeof(text)) < 0)
		return rfs_fail(err, ENOENT, "nobody holds the state %s", dir);
	*ret_holder = strdup(text);
	return *ret_holder ? 0 : rfs_no_memory(err);
}

/* Makes one directory, whose name survives a power cut: 1, or 0 for one that is
 * there.  'path' is as it was when it returns. */
static int make_dir(char *path, mode_t mode, struct rfs_error *err)
{
	char *slash = strrchr(path, '/');
	int r = 0;

	if (mkdir(path, mode) < 0)
		return errno == EEXIST
			       ? 0
			       : rfs_fail(err, errno,
					  "state directory %s cannot be made: "
					  "%s; name another with --state",
					  path, strerror(errno));
	if (!slash) {
		r = sync_names(AT_FDCWD, ".", err);
		return r < 0 ? r : 1;
	}
	*slash = '\0';
	r = sync_names(AT_FDCWD, slash == path ? "/" : path, err);
	*slash = '/';
	return r < 0 ? r : 1;
}

/* Makes the directory and what leads to it, as mkdir -p; ours is 0700.  1 if it
 * was not there. */
static int make_dirs(const char *dir, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *path = strdup(dir);
	size_t len = strlen(dir);
	int r = 0;

	if (!path)
		return rfs_no_memory(err);
	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	for (char *p = path + 1; *p && r >= 0; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		r = make_dir(path, 0755, err);
		*p = '/';
	}
	return r < 0 ? r : make_dir(path, 0700, err);
}

int rfs_state_open_dir(struct rfs_state *st, struct rfs_error *err)
{
	int r = make_dirs(st->dir, err);

	if (r < 0)
		return r;
	st->is_made = r > 0;
	st->dir_fd = open(st->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (st->dir_fd < 0)
		return rfs_fail(err, errno, "state directory %s: %s", st->dir,
				strerror(errno));
	if (mkdirat(st->dir_fd, "data", 0700) < 0 && errno != EEXIST)
		return rfs_fail(err, errno,
				"state directory %s/data: %s; make room or the "
				"directory writable, or name another with "
				"--state",
				st->dir, strerror(errno));
	return sync_names(st->dir_fd, ".", err);
}

bool rfs_state_has_data(struct rfs_state *st)
{
	int fd = openat(st->dir_fd, "data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	bool found = false;

	while (dir && !found && (e = readdir(dir)))
		found = e->d_name[0] != '.';
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	return found;
}

void rfs_state_remove_dir(struct rfs_state *st)
{
	/* The database goes first: what is left is then a new directory. */
	unlinkat(st->dir_fd, "known.db", 0);
	unlinkat(st->dir_fd, "data", AT_REMOVEDIR);
	unlinkat(st->dir_fd, "lock", 0);
	rmdir(st->dir);
}
