// SPDX-License-Identifier: GPL-3.0-or-later
/* file.c - a regular file or a block device.
 *
 * A sparing one has O_DIRECT on its descriptor and goes to the medium for all
 * it reads.  Any other is read through the page cache, which fails in pages
 * and more; what fails there is asked for again past the cache.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "readers/file_medium.h"
#include "readers/holes.h"
#include "readers/readers.h"

struct rfs_file {
	int fd;
	bool is_sparing;
	bool is_device;
	uint64_t size, allocated;
	char *name;
	struct rfs_medium medium; /* through 'fd'; where sparing */
};

static int report(const struct rfs_file *f, const struct rfs_ranges *failed,
		  int errnum, struct rfs_ranges *bad, struct rfs_error *err)
{
	for (size_t i = 0; i < failed->count; i++)
		if (rfs_ranges_add(bad, failed->items[i]) < 0)
			return rfs_no_memory(err);
	return rfs_fail(
		err, EIO,
		"%s: %" PRIu64 " bytes at %" PRIu64 " cannot be read: %s",
		f->name, failed->items[0].len, failed->items[0].off,
		errnum ? strerror(errnum) : "the file has become shorter");
}

/* What the medium itself says, bad sector by bad sector. */
static int read_medium(const struct rfs_file *f, struct rfs_medium *m,
		       struct rfs_range range, void *buf,
		       struct rfs_ranges *bad, struct rfs_error *err)
{
	struct rfs_ranges failed = { 0 };
	int r, errnum;

	r = rfs_medium_read(m, range, buf, &failed, &errnum);
	if (r == -EIO)
		r = report(f, &failed, errnum, bad, err);
	else if (r < 0)
		rfs_fail(err, -r,
			 "%s: reading %" PRIu64 " bytes at %" PRIu64 ": %s",
			 f->name, range.len, range.off, strerror(-r));
	rfs_ranges_fini(&failed);
	return r;
}

/* Where the cache failed: through a descriptor of its own, as O_DIRECT on the
 * common one would hit the others who read. */
static int read_past_cache(const struct rfs_file *f, struct rfs_range range,
			   void *buf, struct rfs_ranges *bad,
			   struct rfs_error *err)
{
	struct rfs_medium m;
	char path[40];
	int fd, r;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
	/* Without an access time, as the first one was opened. */
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC | O_NOATIME);
	if (fd < 0 && errno == EPERM)
		fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	rfs_medium_init(&m, fd >= 0 ? fd : f->fd, f->size);
	r = read_medium(f, &m, range, buf, bad, err);
	if (fd >= 0)
		close(fd);
	return r;
}

static int file_read(void *state, struct rfs_range range, void *buf,
		     struct rfs_ranges *bad, struct rfs_error *err)
{
	struct rfs_file *f = state;
	uint64_t done = 0;
	ssize_t n = 1;

	if (f->is_sparing)
		return read_medium(f, &f->medium, range, buf, bad, err);
	while (done < range.len && n > 0) {
		n = pread(f->fd, (char *)buf + done, range.len - done,
			  (off_t)(range.off + done));
		if (n > 0)
			done += (uint64_t)n;
		else if (n < 0 && errno == EINTR)
			n = 1;
	}
	if (done == range.len)
		return 0;
	return read_past_cache(f, rfs_range(range.off + done, range.len - done),
			       (char *)buf + done, bad, err);
}

static int64_t seek(void *data, uint64_t off, int whence)
{
	const struct rfs_file *f = data;
	off_t to = lseek(f->fd, (off_t)off, whence);

	return to < 0 ? -errno : to;
}

static int file_extents(void *state, struct rfs_range range,
			struct rfs_extents *out, struct rfs_error *err)
{
	struct rfs_file *f = state;
	struct stat st;
	int r;

	if (f->is_device) {
		r = rfs_extents_add(out, range, RFS_DATA);
		return r < 0 ? rfs_no_memory(err) : 0;
	}
	if (fstat(f->fd, &st) < 0)
		st.st_size = 0;
	return rfs_holes_find(seek, f, (uint64_t)st.st_size, range, out, err);
}

/* What is past the cache is read in steps that an error makes smaller. */
static int file_pieces(void *state, struct rfs_range range,
		       struct rfs_pieces *out)
{
	const struct rfs_file *f = state;

	return f->is_sparing ? -ENOTSUP : rfs_pieces_add(out, f->fd, range);
}

static uint64_t file_allocated(void *state)
{
	const struct rfs_file *f = state;

	return f->allocated;
}

static void file_close(void *state)
{
	struct rfs_file *f = state;

	close(f->fd);
	free(f->name);
	free(f);
}

static const struct rfs_reader_ops file_ops = {
	.kind = "file",
	.read = file_read,
	.extents = file_extents,
	.pieces = file_pieces,
	.allocated = file_allocated,
	.close = file_close,
};

static int measure(struct rfs_file *f, struct rfs_error *err)
{
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		return rfs_fail(err, errno, "%s: %s", f->name, strerror(errno));
	if (S_ISREG(st.st_mode)) {
		f->size = (uint64_t)st.st_size;
		f->allocated = (uint64_t)st.st_blocks * 512;
		return 0;
	}
	if (!S_ISBLK(st.st_mode))
		return rfs_fail(err, S_ISDIR(st.st_mode) ? EISDIR : EINVAL,
				"%s: is %s; only regular files and block "
				"devices can be read as a disk",
				f->name,
				S_ISDIR(st.st_mode)    ? "a directory"
				: S_ISFIFO(st.st_mode) ? "a FIFO"
				: S_ISSOCK(st.st_mode) ? "a socket"
						       : "a character device");
	f->is_device = true;
	if (ioctl(f->fd, BLKGETSIZE64, &f->size) < 0)
		return rfs_fail(err, errno, "%s: no size to be had: %s",
				f->name, strerror(errno));
	f->allocated = f->size;
	return 0;
}

/* O_DIRECT is set on the descriptor at hand: to open the file a second time
 * may not be allowed any more.  Where it is refused, rfs_medium_init sees. */
static void spare(struct rfs_file *f)
{
	int flags = fcntl(f->fd, F_GETFL);

	if (flags >= 0)
		fcntl(f->fd, F_SETFL, flags | O_DIRECT);
	rfs_medium_init(&f->medium, f->fd, f->size);
}

int rfs_file_open(int fd, bool sparing, const char *name,
		  const struct rfs_origin *origin, struct rfs_reader **ret,
		  struct rfs_error *err)
{
	struct rfs_file *f = calloc(1, sizeof(*f));
	int r;

	if (f)
		f->name = strdup(name);
	if (!f || !f->name) {
		free(f);
		close(fd);
		return rfs_no_memory(err);
	}
	f->fd = fd;
	f->is_sparing = sparing;
	r = measure(f, err);
	if (r < 0) {
		file_close(f);
		return r;
	}
	if (sparing)
		spare(f);
	return rfs_reader_new(&file_ops, f, f->size, name, origin, ret, err);
}
