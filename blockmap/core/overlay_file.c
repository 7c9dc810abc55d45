// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/overlay_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "core/cleanup.h"

/* A page of the kernel's, for what it has and what not. */
#define PAGE  4096u
#define CHUNK ((size_t)256 << 10)

/* So often, in all of one attempt, the kernel is asked again a millisecond
 * later: a page may be busy for a moment. */
#define PATIENCE 200

void rfs_overlay_file_init(struct rfs_overlay_file *f, struct rfs_state *state,
			   const char *id)
{
	memset(f, 0, sizeof(*f));
	f->state = state;
	f->id = id;
	atomic_init(&f->fd, -1);
	pthread_mutex_init(&f->lock, NULL);
}

void rfs_overlay_file_fini(struct rfs_overlay_file *f)
{
	rfs_extmap_fini(&f->unsynced);
	rfs_extmap_fini(&f->lost);
	if (atomic_load(&f->fd) >= 0)
		close(atomic_load(&f->fd));
	pthread_mutex_destroy(&f->lock);
}

int rfs_overlay_file_fd(struct rfs_overlay_file *f, bool make,
			struct rfs_error *err)
{
	int fd = atomic_load(&f->fd);

	if (fd >= 0)
		return fd;
	pthread_mutex_lock(&f->lock);
	fd = atomic_load(&f->fd);
	if (fd < 0) {
		fd = rfs_state_data_fd(f->state, f->id, make, err);
		if (fd >= 0)
			atomic_store(&f->fd, fd);
	}
	pthread_mutex_unlock(&f->lock);
	return fd;
}

static int fail_lost(struct rfs_overlay_file *f, struct rfs_range range,
		     struct rfs_error *err)
{
	return rfs_fail(err, EIO,
			"%s: the state directory's disk lost %" PRIu64
			" bytes at %" PRIu64 " that were written and not "
			"synced yet; write them again, or unmount, and what "
			"the last sync kept is there",
			f->id, range.len, range.off);
}

/* The first part of 'range' that is lost; len 0: none. */
static struct rfs_range find_lost(struct rfs_overlay_file *f,
				  struct rfs_range range)
{
	struct rfs_run run = { { 0, 0 }, 0 };

	if (!atomic_load(&f->has_lost))
		return run.range;
	pthread_mutex_lock(&f->lock);
	for (uint64_t off = range.off; off < rfs_range_end(range);
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find_in(&f->lost, off, range);
		if (run.value)
			break;
	}
	pthread_mutex_unlock(&f->lock);
	return run.value ? run.range : rfs_range(0, 0);
}

int rfs_overlay_file_read(struct rfs_overlay_file *f, struct rfs_range range,
			  void *buf, uint64_t *ret_done, struct rfs_error *err)
{
	int fd = rfs_overlay_file_fd(f, false, err);
	struct rfs_range lost = find_lost(f, range);
	uint8_t *p = buf;
	size_t done = 0;
	ssize_t n = 1;

	if (fd < 0)
		return rfs_context(err, -EIO, "%s: what was written is gone",
				   f->id);
	if (lost.len)
		return fail_lost(f, lost, err);
	while (done < range.len && n) {
		n = pread(fd, p + done, range.len - done,
			  (off_t)(range.off + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return rfs_fail(
				err, EIO,
				"%s: the overlay in the state "
				"directory cannot be read at %" PRIu64 ": %s",
				f->id, range.off + done, strerror(errno));
		done += (size_t)n;
	}
	*ret_done = done;
	return 0;
}

static int write_all(struct rfs_overlay_file *f, int fd, struct rfs_range range,
		     const uint8_t *p, struct rfs_error *err)
{
	size_t done = 0;
	ssize_t n;

	while (done < range.len) {
		n = pwrite(fd, p + done, range.len - done,
			   (off_t)(range.off + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return rfs_fail(err, n < 0 ? errno : EIO,
					"%s: writing %" PRIu64 " bytes at "
					"%" PRIu64 " to the state directory: "
					"%s",
					f->id, range.len, range.off,
					strerror(n < 0 ? errno : EIO));
		done += (size_t)n;
	}
	return 0;
}

/* Marked before, as a write that fails may have written a part. */
static int mark_unsynced(struct rfs_overlay_file *f, struct rfs_range range)
{
	int r;

	pthread_mutex_lock(&f->lock);
	r = rfs_extmap_set(&f->unsynced, range, 1);
	pthread_mutex_unlock(&f->lock);
	return r;
}

static int set_lost(struct rfs_overlay_file *f, struct rfs_range range,
		    bool lost)
{
	int r;

	pthread_mutex_lock(&f->lock);
	r = rfs_extmap_set(&f->lost, range, lost);
	atomic_store(&f->has_lost, f->lost.count > 0);
	pthread_mutex_unlock(&f->lock);
	return r;
}

int rfs_overlay_file_write(struct rfs_overlay_file *f, struct rfs_range range,
			   const void *buf, struct rfs_error *err)
{
	int fd = rfs_overlay_file_fd(f, true, err), r;

	if (fd < 0)
		return fd;
	if (mark_unsynced(f, range) < 0)
		return rfs_no_memory(err);
	r = write_all(f, fd, range, buf, err);
	/* Without memory for it, it stays lost. */
	if (r == 0 && atomic_load(&f->has_lost))
		set_lost(f, range, false);
	return r;
}

void rfs_overlay_file_drop(struct rfs_overlay_file *f, struct rfs_range range)
{
	pthread_mutex_lock(&f->lock);
	rfs_extmap_set(&f->unsynced, range, 0);
	pthread_mutex_unlock(&f->lock);
	if (atomic_load(&f->has_lost))
		set_lost(f, range, false);
}

static ssize_t read_now(int fd, struct rfs_range range, uint8_t *buf)
{
	const struct iovec to = { buf, range.len };
	ssize_t n;

	do {
		n = preadv2(fd, &to, 1, (off_t)range.off, RWF_NOWAIT);
		if (n < 0 && errno == EOPNOTSUPP)
			n = pread(fd, buf, range.len, (off_t)range.off);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* What the kernel has of it in memory; 0 or less: nothing at its beginning.  A
 * file system that does not tell is believed. */
static ssize_t read_cached(int fd, struct rfs_range range, uint8_t *buf,
			   unsigned *patience)
{
	const struct timespec pause = { 0, 1000000 };
	ssize_t n;

	while ((n = read_now(fd, range, buf)) == -EAGAIN && *patience) {
		--*patience;
		nanosleep(&pause, NULL);
	}
	return n;
}

/* One part of what was written and not synced, from its beginning on; its length
 * is *ret_len. */
static int write_part_again(struct rfs_overlay_file *f, int fd,
			    struct rfs_range part, uint8_t *buf,
			    unsigned *patience, uint64_t *ret_len,
			    struct rfs_error *err)
{
	struct rfs_range lost = find_lost(f, part);
	ssize_t n;

	if (lost.len && lost.off == part.off) {
		*ret_len = lost.len;
		return 0;
	}
	if (lost.len)
		part = rfs_range_to(part.off, lost.off);
	n = read_cached(fd, part, buf, patience);
	if (n > 0) {
		part.len = *ret_len = (uint64_t)n;
		return write_all(f, fd, part, buf, err);
	}
	part = rfs_range_cut(part, rfs_range(part.off / PAGE * PAGE, PAGE));
	*ret_len = part.len;
	return set_lost(f, part, true) < 0 ? rfs_no_memory(err) : 0;
}

/* Nobody else changes 'unsynced' meanwhile. */
static int write_again(struct rfs_overlay_file *f, int fd,
		       struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *buf = malloc(CHUNK);
	unsigned patience = PATIENCE;
	struct rfs_run run;
	uint64_t len = 0;
	int r = buf ? 0 : rfs_no_memory(err);

	for (uint64_t off = 0; off < RFS_SIZE_MAX && r == 0; off += len) {
		run = rfs_extmap_find_in(&f->unsynced, off,
					 rfs_range_to(off, RFS_SIZE_MAX));
		len = run.range.len;
		if (!run.value)
			continue;
		if (run.range.len > CHUNK)
			run.range.len = CHUNK;
		r = write_part_again(f, fd, run.range, buf, &patience, &len,
				     err);
	}
	return r;
}

int rfs_overlay_file_sync(struct rfs_overlay_file *f, struct rfs_error *err)
{
	struct rfs_range lost;
	int fd = atomic_load(&f->fd), r = 0;

	if (fd < 0)
		return 0;
	if (f->in_doubt)
		r = write_again(f, fd, err);
	if (r == 0 && fdatasync(fd) < 0) {
		r = rfs_fail(err, errno,
			     "%s: the state directory does not take what was "
			     "written: %s",
			     f->id, strerror(errno));
		/* At once, while the kernel has it. */
		f->in_doubt = write_again(f, fd, NULL) < 0;
	}
	if (r < 0)
		return r;
	f->in_doubt = false;
	lost = find_lost(f, rfs_range(0, RFS_SIZE_MAX));
	if (lost.len)
		return fail_lost(f, lost, err);
	pthread_mutex_lock(&f->lock);
	rfs_extmap_fini(&f->unsynced);
	pthread_mutex_unlock(&f->lock);
	return 0;
}

int rfs_overlay_file_empty(struct rfs_overlay_file *f, struct rfs_error *err)
{
	int fd = atomic_load(&f->fd);

	rfs_overlay_file_drop(f, rfs_range(0, RFS_SIZE_MAX));
	if (fd >= 0 && ftruncate(fd, 0) < 0)
		return rfs_fail(err, errno,
				"%s: the overlay's storage cannot "
				"be freed: %s",
				f->id, strerror(errno));
	return 0;
}
