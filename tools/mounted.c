// SPDX-License-Identifier: GPL-3.0-or-later
#include "tools/mounted.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "core/cleanup.h"
#include "readers/readers.h"
#include "site/seats_text.h"

#define ATTRIBUTE "user.rescuefs." RFS_SEATS_XATTR

struct mounted {
	struct rfs_reader *file;
	char *path;
	pthread_mutex_t lock; /* guards 'names' */
	struct rfs_seats_names names;
};

static int mounted_read(void *state, struct rfs_range range, void *buf,
			struct rfs_ranges *bad, struct rfs_error *err)
{
	const struct mounted *m = state;

	return rfs_reader_read(m->file, range, buf, bad, err);
}

static int mounted_extents(void *state, struct rfs_range range,
			   struct rfs_extents *out, struct rfs_error *err)
{
	const struct mounted *m = state;

	return rfs_reader_extents(m->file, range, out, err);
}

static int ask(const struct mounted *m, struct rfs_range range,
	       char text[RFS_SEATS_ROOM + 1], struct rfs_error *err)
{
	char name[sizeof(ATTRIBUTE) + 64];
	ssize_t n;

	snprintf(name, sizeof(name), ATTRIBUTE "%" PRIu64 ".%" PRIu64,
		 range.off, rfs_range_end(range));
	n = getxattr(m->path, name, text, RFS_SEATS_ROOM);
	if (n < 0)
		return rfs_fail(err, errno,
				"%s: the mount does not tell where it lies: %s",
				m->path, strerror(errno));
	text[n] = '\0';
	return 0;
}

static int mounted_seats(void *state, struct rfs_range range,
			 struct rfs_seats *out, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = malloc(RFS_SEATS_ROOM + 1);
	uint64_t end = rfs_range_end(range), next = range.off;
	struct mounted *m = state;
	int r = text ? 0 : rfs_no_memory(err);

	while (next < end && r == 0) {
		range = rfs_range_to(next, end);
		r = ask(m, range, text, err);
		if (r < 0)
			break;
		pthread_mutex_lock(&m->lock);
		r = rfs_seats_parse(text, range, &m->names, out, &next, err);
		pthread_mutex_unlock(&m->lock);
	}
	return r;
}

static uint64_t mounted_allocated(void *state)
{
	const struct mounted *m = state;

	return rfs_reader_allocated(m->file);
}

static void mounted_close(void *state)
{
	struct mounted *m = state;

	rfs_reader_unref(m->file);
	rfs_seats_names_fini(&m->names);
	pthread_mutex_destroy(&m->lock);
	free(m->path);
	free(m);
}

static const struct rfs_reader_ops mounted_ops = {
	.kind = "mounted",
	.read = mounted_read,
	.extents = mounted_extents,
	.seats = mounted_seats,
	.allocated = mounted_allocated,
	.close = mounted_close,
};

/* Why it cannot be opened: the mount knows more than an errno can say. */
static int open_failed(const char *path, int why, struct rfs_error *err)
{
	char text[RFS_ERROR_MAX];
	ssize_t n =
		getxattr(path, "user.rescuefs.error", text, sizeof(text) - 1);

	if (n <= 0)
		return rfs_fail(err, why, "%s: %s", path, strerror(why));
	text[n] = '\0';
	return rfs_fail(err, why, "%s", text);
}

static int open_file(const char *path, const char *name,
		     const struct rfs_origin *origin, struct rfs_reader **ret,
		     struct rfs_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return open_failed(path, errno, err);
	return rfs_file_open(fd, false, name, origin, ret, err);
}

int rfs_mounted_open(const char *path, const char *name,
		     const struct rfs_origin *origin, struct rfs_reader **ret,
		     struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *file = NULL;
	struct mounted *m;
	int r = open_file(path, name, origin, &file, err);

	if (r < 0)
		return r;
	m = calloc(1, sizeof(*m));
	if (!m)
		return rfs_no_memory(err);
	pthread_mutex_init(&m->lock, NULL);
	m->path = strdup(path);
	if (!m->path) {
		mounted_close(m);
		return rfs_no_memory(err);
	}
	m->file = RFS_STEAL(file);
	return rfs_reader_new(&mounted_ops, m, rfs_reader_size(m->file), name,
			      origin, ret, err);
}
