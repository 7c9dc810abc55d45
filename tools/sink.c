// SPDX-License-Identifier: GPL-3.0-or-later
#include "tools/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "tools/place.h"

static const uint8_t zeros[1 << 20];

static int fail_sink(const struct rfs_sink *s, struct rfs_error *err)
{
	int errnum = errno;

	if (errnum == EINTR)
		return rfs_fail(err, EINTR,
				"stopped by a signal, after %" PRIu64 " bytes",
				s->off);
	if (errnum == EPIPE)
		return rfs_fail(err, EPIPE,
				"%s: who read it has gone, after %" PRIu64
				" bytes",
				s->name, s->off);
	return rfs_fail(err, errnum, "%s: %s, at byte %" PRIu64, s->name,
			strerror(errnum), s->off);
}

/* A volume's name leads to a device that is none of the source's folder. */
static int check_copies(const struct rfs_disk *disk, const struct stat *st,
			const char *path, struct rfs_error *err)
{
	struct stat copy;

	for (size_t i = 0; i < disk->ncopies; i++) {
		if (disk->copies[i].place != RFS_VOLUME ||
		    stat(disk->copies[i].path, &copy) < 0 ||
		    !S_ISBLK(copy.st_mode) || copy.st_rdev != st->st_rdev)
			continue;
		return rfs_fail(err, EINVAL,
				"%s is %s of the source %s, which is never "
				"written",
				path, disk->name,
				disk->copies[i].source->origin.name);
	}
	return 0;
}

static int check_device(const struct rfs_target *t, const struct stat *st,
			const char *path, struct rfs_error *err)
{
	int r = 0;

	for (size_t i = 0; i < t->inv.nvolumes && r == 0; i++)
		for (size_t j = 0; j < t->inv.volumes[i]->ndisks && r == 0; j++)
			r = check_copies(&t->inv.volumes[i]->disks[j], st, path,
					 err);
	return r;
}

static int open_device(struct rfs_sink *s, const struct rfs_target *t,
		       const struct stat *st, uint64_t size,
		       struct rfs_error *err)
{
	uint64_t room;
	int r = check_device(t, st, s->name, err);

	if (r < 0)
		return r;
	/* Without O_CREAT it means: in use by nobody else. */
	s->fd = open(s->name, O_WRONLY | O_EXCL | O_CLOEXEC);
	if (s->fd < 0)
		return rfs_fail(err, errno, "%s: %s%s", s->name,
				strerror(errno),
				errno == EBUSY ? "; it is mounted or held by "
						 "something else"
					       : "");
	s->is_ours = true;
	if (ioctl(s->fd, BLKGETSIZE64, &room) < 0)
		return fail_sink(s, err);
	if (room < size)
		return rfs_fail(err, ENOSPC,
				"%s has %" PRIu64
				" bytes, and the disk %" PRIu64,
				s->name, room, size);
	return 0;
}

/* By the folder in which it comes to lie. */
int rfs_sink_check_place(const struct rfs_target *t, const char *path,
			 struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *folder = NULL;
	const char *slash = strrchr(path, '/');
	struct stat st, mount;
	int r = rfs_place_file(&t->site, path, err);

	if (r < 0 || !t->mountpoint)
		return r;
	folder =
		slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	if (!folder)
		return rfs_no_memory(err);
	if (stat(folder, &st) == 0 && stat(t->mountpoint, &mount) == 0 &&
	    st.st_dev == mount.st_dev)
		return rfs_fail(err, EINVAL, "%s lies in the mount %s", path,
				t->mountpoint);
	return 0;
}

static int open_stdout(struct rfs_sink *s, struct rfs_error *err)
{
	s->name = "standard output";
	s->kind = RFS_SINK_PIPE;
	s->fd = STDOUT_FILENO;
	if (isatty(STDOUT_FILENO))
		return rfs_fail(err, EINVAL,
				"standard output is a terminal; a disk does "
				"not go there");
	return 0;
}

static int open_by_kind(struct rfs_sink *s, const struct rfs_target *t,
			uint64_t size, bool force, struct rfs_error *err)
{
	struct stat st;
	int r;

	if (stat(s->name, &st) == 0 && S_ISBLK(st.st_mode)) {
		s->kind = RFS_SINK_DEVICE;
		return open_device(s, t, &st, size, err);
	}
	if (stat(s->name, &st) == 0 && S_ISFIFO(st.st_mode)) {
		s->kind = RFS_SINK_PIPE;
		s->fd = open(s->name, O_WRONLY | O_CLOEXEC);
		s->is_ours = true;
		return s->fd < 0 ? fail_sink(s, err) : 0;
	}
	r = rfs_sink_check_place(t, s->name, err);
	if (r == 0)
		r = rfs_newfile_open(&s->file, s->name, force, err);
	s->fd = s->file.fd;
	return r;
}

int rfs_sink_open(struct rfs_sink *s, const struct rfs_target *t,
		  const char *path, uint64_t size, bool force,
		  struct rfs_error *err)
{
	int r;

	*s = (struct rfs_sink){ .fd = -1, .file.fd = -1, .name = path };
	r = strcmp(path, "-") == 0 ? open_stdout(s, err)
				   : open_by_kind(s, t, size, force, err);
	if (r < 0)
		rfs_sink_drop(s);
	return r;
}

void rfs_sink_pipe(struct rfs_sink *s, int fd, const char *name)
{
	*s = (struct rfs_sink){
		.kind = RFS_SINK_PIPE, .fd = fd, .file.fd = -1, .name = name
	};
}

static bool is_stopped(const struct rfs_sink *s)
{
	errno = EINTR;
	return s->stop && *s->stop;
}

int rfs_sink_write(struct rfs_sink *s, const void *buf, size_t len,
		   struct rfs_error *err)
{
	const uint8_t *p = buf;
	ssize_t n;

	while (len) {
		/* Who reads a pipe may never go on: a signal cuts a write short,
		 * and ends the wait. */
		if (is_stopped(s))
			return fail_sink(s, err);
		n = s->kind == RFS_SINK_PIPE
			    ? write(s->fd, p, len)
			    : pwrite(s->fd, p, len, (off_t)s->off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = ENOSPC;
		if (n <= 0)
			return fail_sink(s, err);
		p += n;
		len -= (size_t)n;
		s->off += (uint64_t)n;
	}
	return 0;
}

/* True if the device made them; it does so by whole sectors only. */
static bool zero_device(struct rfs_sink *s, uint64_t len)
{
	uint64_t range[2] = { s->off, len };

	return ioctl(s->fd, BLKZEROOUT, range) == 0;
}

int rfs_sink_zeros(struct rfs_sink *s, uint64_t len, struct rfs_error *err)
{
	size_t step;
	int r = 0;

	if (is_stopped(s))
		return fail_sink(s, err);
	if (s->kind == RFS_SINK_FILE ||
	    (s->kind == RFS_SINK_DEVICE && zero_device(s, len))) {
		s->off += len;
		return 0;
	}
	for (; len && r == 0; len -= step) {
		step = len < sizeof(zeros) ? len : sizeof(zeros);
		r = rfs_sink_write(s, zeros, step, err);
	}
	return r;
}

static void close_sink(struct rfs_sink *s)
{
	if (s->is_ours && s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

int rfs_sink_keep(struct rfs_sink *s, struct rfs_error *err)
{
	int r = 0;

	if (s->kind == RFS_SINK_FILE) {
		if (ftruncate(s->fd, (off_t)s->off) < 0)
			r = fail_sink(s, err);
		if (r == 0)
			return rfs_newfile_keep(&s->file, err);
	} else if (s->kind == RFS_SINK_DEVICE && fsync(s->fd) < 0) {
		r = fail_sink(s, err);
	}
	rfs_sink_drop(s);
	return r;
}

void rfs_sink_drop(struct rfs_sink *s)
{
	if (s->kind == RFS_SINK_FILE)
		rfs_newfile_drop(&s->file);
	else
		close_sink(s);
	s->fd = -1;
}
