// SPDX-License-Identifier: GPL-3.0-or-later
#include "readers/waited.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "readers/file_medium.h"
#include "readers/reach.h"
#include "readers/worker_extents.h"

struct waited {
	struct rfs_worker *w;
	struct rfs_worker_file *file;
	uint64_t allocated;
	bool is_device;
	char *name;
};

/* One read on its way. */
struct job {
	struct waited *f;
	struct rfs_range range;
	unsigned char *buf;
	struct rfs_ranges *bad;
	struct rfs_error *err;
	struct rfs_patience patience; /* for all of it */
	uint64_t singly; /* up to here page by page: some of it failed */
};

static int give_up(struct job *j, struct rfs_range range, const char *why)
{
	if (!j->bad->count)
		rfs_fail(j->err, EIO, "%s: %" PRIu64 " bytes at %" PRIu64 " %s",
			 j->f->name, range.len, range.off, why);
	return rfs_ranges_add(j->bad, range) < 0 ? rfs_no_memory(j->err) : 0;
}

/* Pages are what the cache fails in. */
static uint64_t next_len(const struct job *j, uint64_t off)
{
	uint64_t len = rfs_range_end(j->range) - off;
	uint64_t most = off < j->singly
				? RFS_MEDIUM_PAGE - off % RFS_MEDIUM_PAGE
				: RFS_WORKER_ROOM;

	return len < most ? len : most;
}

/* The request for 'piece' failed: it is divided, or given up. */
static int failed(struct job *j, struct rfs_range piece, int errnum,
		  uint64_t *off)
{
	if (!rfs_medium_failed(errnum))
		return rfs_fail(
			j->err, errnum,
			"%s: reading %" PRIu64 " bytes at %" PRIu64 ": %s",
			j->f->name, piece.len, piece.off, strerror(errnum));
	if (piece.off >= j->singly &&
	    piece.len > RFS_MEDIUM_PAGE - piece.off % RFS_MEDIUM_PAGE) {
		j->singly = rfs_range_end(piece);
		return 0;
	}
	*off = rfs_range_end(piece);
	return give_up(j, piece, "cannot be read");
}

/* 0, and *off behind what was dealt with; -ETIMEDOUT: none of the rest is
 * waited for. */
static int step(struct job *j, uint64_t *off)
{
	struct rfs_range piece = rfs_range(*off, next_len(j, *off));
	struct rfs_range rest = rfs_range_to(*off, rfs_range_end(j->range));
	ssize_t n = rfs_worker_pread(j->f->file, j->buf + (*off - j->range.off),
				     piece.len, *off, &j->patience);
	int r;

	if (n > 0) {
		*off += (uint64_t)n;
		return 0;
	}
	if (n != 0 && n != -ETIMEDOUT)
		return failed(j, piece, (int)-n, off);
	*off = rfs_range_end(rest);
	r = give_up(j, rest,
		    n == 0 ? "are not there: the file has become shorter"
			   : "were not delivered within the deadline");
	return r < 0 ? r : (int)n;
}

static int waited_read(void *state, struct rfs_range range, void *buf,
		       struct rfs_ranges *bad, struct rfs_error *err)
{
	struct waited *f = state;
	struct job j = { .f = f,
			 .range = range,
			 .buf = buf,
			 .bad = bad,
			 .err = err,
			 .patience = rfs_worker_patience(f->w) };
	uint64_t off = range.off;
	int r = 0;

	while (off < rfs_range_end(range) && r == 0)
		r = step(&j, &off);
	if (r == 0 && bad->count)
		r = -EIO;
	return r;
}

static int waited_extents(void *state, struct rfs_range range,
			  struct rfs_extents *out, struct rfs_error *err)
{
	struct waited *f = state;

	if (!f->is_device)
		return rfs_worker_extents(f->w, f->file, range, out, err);
	return rfs_extents_add(out, range, RFS_DATA) < 0 ? rfs_no_memory(err)
							 : 0;
}

static uint64_t waited_allocated(void *state)
{
	return ((const struct waited *)state)->allocated;
}

static void waited_close(void *state)
{
	struct waited *f = state;

	if (f->file)
		rfs_worker_file_free(f->file);
	free(f->name);
	free(f);
}

static const struct rfs_reader_ops waited_ops = {
	.kind = "waited",
	.read = waited_read,
	.extents = waited_extents,
	.allocated = waited_allocated,
	.close = waited_close,
};

static int measure(struct rfs_worker *names, int fd, const char *name,
		   struct stat *ret, struct rfs_error *err)
{
	int r = rfs_reach_stat(names, fd, ret);

	if (r < 0)
		return rfs_fail(err, -r, "%s: cannot be measured: %s", name,
				strerror(-r));
	if (S_ISREG(ret->st_mode) || S_ISBLK(ret->st_mode))
		return 0;
	return rfs_fail(err, S_ISDIR(ret->st_mode) ? EISDIR : EINVAL,
			"%s: is neither a regular file nor a block device, and "
			"cannot be read as a disk",
			name);
}

int rfs_waited_open(struct rfs_worker *w, struct rfs_worker *names, int fd,
		    const char *name, const struct rfs_origin *origin,
		    struct rfs_reader **ret, struct rfs_error *err)
{
	struct waited *f = NULL;
	struct stat st;
	int r = measure(names, fd, name, &st, err);

	if (r == 0) {
		f = calloc(1, sizeof(*f));
		if (f)
			f->name = strdup(name);
		if (!f || !f->name)
			r = rfs_no_memory(err);
	}
	if (r < 0) {
		close(fd);
		free(f);
		return r;
	}
	f->w = w;
	f->is_device = S_ISBLK(st.st_mode);
	f->allocated = f->is_device ? (uint64_t)st.st_size
				    : (uint64_t)st.st_blocks * 512;
	r = rfs_worker_file_new(w, fd, &f->file, err);
	if (r < 0) {
		waited_close(f);
		return r;
	}
	return rfs_reader_new(&waited_ops, f, (uint64_t)st.st_size, name,
			      origin, ret, err);
}
