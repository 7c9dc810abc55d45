/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fake_worker.h - a worker without a child: its medium is a memdisk.
 *
 * Takes the place of readers/worker.c in the program that includes it.  A read
 * is as O_DIRECT's: up to the first bad sector, which is touched, and an error
 * if that comes first.
 */
#ifndef RESCUEFS_TESTS_FAKE_WORKER_H
#define RESCUEFS_TESTS_FAKE_WORKER_H

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "memdisk.h"
#include "readers/worker.h"

#define FAKE_DEADLINE ((int64_t)RFS_WORKER_DEADLINE_MS * 1000000)
#define FAKE_SECTORS  4096

struct rfs_worker {
	pthread_mutex_t lock; /* one request at a time */
	struct memdisk disk;
	unsigned int delivered[FAKE_SECTORS];
	bool hangs[FAKE_SECTORS]; /* the deadline passes */
	int64_t slow_ns;	  /* what a request takes */
	int errnum;		  /* not 0: this is all it says */
	bool is_aside;
	bool dies;	       /* the child does, at each request */
	atomic_bool holds;     /* what the background asks for, for a long time
			      already */
	atomic_bool is_held;   /* a request is */
	atomic_bool is_lifted; /* it was lifted before it was let go */
	unsigned int requests; /* to the medium */
	unsigned int joined;   /* of them, those that came with one before */
	unsigned int asked[FAKE_SECTORS]; /* the first request for it, from 1 */
	unsigned int got[FAKE_SECTORS];	  /* that which delivered it */
	void (*each)(struct rfs_worker *w); /* may be NULL: at each request */
	struct rfs_range late;	 /* asked for, and not delivered in time */
	bool late_is_there;	 /* it came after all */
	unsigned int late_looks; /* how often it was looked for */
};

struct rfs_worker_file {
	struct rfs_worker *w;
	int fd;
};

static void fake_worker_init(struct rfs_worker *w, uint64_t size)
{
	memset(w, 0, sizeof(*w));
	pthread_mutex_init(&w->lock, NULL);
	memdisk_init(&w->disk, size, 77);
}

static void fake_worker_fini(struct rfs_worker *w)
{
	memdisk_fini(&w->disk);
	pthread_mutex_destroy(&w->lock);
}

struct rfs_patience rfs_worker_patience(const struct rfs_worker *w)
{
	(void)w;
	return (struct rfs_patience){ .left_ns = FAKE_DEADLINE };
}

void rfs_worker_counts(struct rfs_worker *w, struct rfs_worker_counts *ret)
{
	*ret = (struct rfs_worker_counts){ .aside_ns = w->is_aside,
					   .background_aside_ns = w->is_aside };
}

int rfs_worker_file_new(struct rfs_worker *w, int fd,
			struct rfs_worker_file **ret, struct rfs_error *err)
{
	(void)err;
	*ret = malloc(sizeof(**ret));
	assert_non_null(*ret);
	**ret = (struct rfs_worker_file){ w, fd };
	return 0;
}

void rfs_worker_file_free(struct rfs_worker_file *f)
{
	close(f->fd);
	free(f);
}

int rfs_worker_file_fd(const struct rfs_worker_file *f)
{
	return f->fd;
}

static ssize_t fake_deliver(struct rfs_worker *w, uint8_t *buf,
			    struct rfs_range range)
{
	uint64_t done = 0, sector;

	while (done < range.len) {
		sector = (range.off + done) / 512;
		w->disk.touches[sector]++;
		if (!w->asked[sector])
			w->asked[sector] = w->requests;
		if (w->disk.is_bad[sector])
			return done ? (ssize_t)done : -EIO;
		memcpy(buf + done, w->disk.bytes + sector * 512, 512);
		w->delivered[sector]++;
		w->got[sector] = w->requests;
		done += 512;
	}
	return (ssize_t)done;
}

static void fake_hold(struct rfs_worker *w, const struct rfs_patience *patience)
{
	while (patience->background && atomic_load(&w->holds)) {
		atomic_store(&patience->ticket->began_ns, 1);
		atomic_store(&w->is_held, true);
		if (atomic_load(&patience->ticket->is_lifted))
			atomic_store(&w->is_lifted, true);
		usleep(1000);
	}
	atomic_store(&w->is_held, false);
}

static bool fake_hangs(struct rfs_worker *w, struct rfs_range range)
{
	for (uint64_t off = range.off; off < rfs_range_end(range); off += 512)
		if (w->hangs[off / 512])
			return true;
	return false;
}

ssize_t rfs_worker_pread(struct rfs_worker_file *f, void *buf, size_t len,
			 uint64_t off, struct rfs_patience *patience)
{
	struct rfs_worker *w = f->w;
	struct rfs_range range =
		rfs_range_cut(rfs_range(off, len), rfs_range(0, w->disk.size));
	ssize_t n;

	assert_true(len <= RFS_WORKER_ROOM);
	assert_int_equal(off % 512, 0);
	assert_int_equal(len % 512, 0);
	fake_hold(w, patience);
	pthread_mutex_lock(&w->lock);
	memset(buf, 0xee, len);
	if (w->is_aside || w->dies) {
		n = -ETIMEDOUT;
	} else if (w->errnum) {
		n = -w->errnum;
	} else if (fake_hangs(w, range)) {
		w->requests++;
		w->late = range;
		patience->left_ns = 0;
		n = -ETIMEDOUT;
	} else {
		w->requests++;
		if (w->each)
			w->each(w);
		patience->left_ns -= w->slow_ns;
		n = fake_deliver(w, buf, range);
	}
	pthread_mutex_unlock(&w->lock);
	return n;
}

ssize_t rfs_worker_pread_singly(struct rfs_worker_file *f, void *buf,
				size_t len, size_t unit, bool back,
				uint64_t off, struct rfs_patience *patience)
{
	uint8_t *to = buf;
	size_t done = 0, at, n;
	ssize_t r = 0;

	assert_true(unit > 0 && (!back || len % unit == 0));
	while (done < len) {
		n = len - done < unit ? len - done : unit;
		at = back ? len - done - n : done;
		r = rfs_worker_pread(f, to + at, n, off + at, patience);
		f->w->joined += done > 0;
		if (r <= 0)
			break;
		done += (size_t)r;
		if ((size_t)r < n)
			break;
	}
	/* Nothing of a request that is late as a whole. */
	if (r == -ETIMEDOUT || !done)
		return r;
	if (back)
		memmove(to, to + len - done, done);
	return (ssize_t)done;
}

ssize_t rfs_worker_late(struct rfs_worker_file *f, void *buf, uint64_t *ret_off)
{
	struct rfs_worker *w = f->w;
	ssize_t n;

	pthread_mutex_lock(&w->lock);
	w->late_looks++;
	n = w->late.len ? -EAGAIN : -ENOENT;
	if (w->late.len && w->late_is_there) {
		n = fake_deliver(w, buf, w->late);
		*ret_off = w->late.off;
		w->late.len = 0;
	}
	pthread_mutex_unlock(&w->lock);
	return n;
}

int64_t rfs_worker_seek(struct rfs_worker_file *f, uint64_t off, int whence,
			struct rfs_patience *patience)
{
	off_t to = lseek(f->fd, (off_t)off, whence);

	(void)patience;
	return f->w->is_aside ? -ETIMEDOUT : to < 0 ? -errno : to;
}

int rfs_worker_fstat(struct rfs_worker *w, int fd, struct stat *ret,
		     struct rfs_patience *patience)
{
	(void)patience;
	if (w->is_aside)
		return -ETIMEDOUT;
	return fstat(fd, ret) < 0 ? -errno : 0;
}

#endif /* RESCUEFS_TESTS_FAKE_WORKER_H */
