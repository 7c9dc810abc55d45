// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/fetching.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "ext/ext.h"
#include "readers/rescue_map.h"

/* How often a disk is opened whose tables are late. */
#define OPEN_TRIES 2

struct rfs_fetching {
	struct rfs_opener *op;
	const struct rfs_disk *disk;
	const struct rfs_copy *copy;
	struct rfs_fetching_order order;
	struct rfs_fetch *fetch;
	pthread_t thread;
	int64_t begun_ns;
	int end_fd; /* readable when it is over */

	pthread_mutex_t lock; /* guards all below */
	bool is_over;
	int64_t ended_ns;
	int result;
	struct rfs_error err;
};

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

const struct rfs_copy *rfs_fetching_copy(const struct rfs_disk *disk)
{
	for (size_t i = 0; i < disk->ncopies; i++)
		if (disk->copies[i].source->kind == RFS_DAMAGED)
			return &disk->copies[i];
	return NULL;
}

static int no_copy(const struct rfs_disk *disk, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *path = rfs_disk_path(disk);

	return rfs_fail(err, ENOENT,
			"%s: no damaged source has it, so that there is "
			"nothing to fetch",
			path ? path : disk->name);
}

int rfs_fetching_file(struct rfs_opener *op, const struct rfs_disk *disk,
		      const char *path, struct rfs_reader **ret,
		      struct rfs_error *err)
{
	const struct rfs_copy *copy = rfs_fetching_copy(disk);
	struct rfs_copy as_it_lies;
	int r;

	if (!copy)
		return no_copy(disk, err);
	as_it_lies = *copy;
	as_it_lies.format = RFS_FORMAT_RAW;
	as_it_lies.packing = RFS_PACKED_NOT;
	as_it_lies.mapfile = NULL; /* the plan keeps to it */
	if (path && copy->place != RFS_IN_ROOT)
		return rfs_fail(err, EINVAL,
				"%s: is a volume, which stands on no other "
				"file",
				copy->path);
	if (path)
		as_it_lies.path = (char *)path;
	r = rfs_opener_copy(op, disk, &as_it_lies, ret, err);
	if (r < 0 || rfs_rescue_of(*ret))
		return r;
	*ret = rfs_reader_unref(*ret);
	return rfs_fail(err, EINVAL, "%s: is not read as a damaged file",
			as_it_lies.path);
}

int rfs_fetching_map(struct rfs_opener *op, const struct rfs_disk *disk,
		     const char *path, FILE *out, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *file = NULL;
	RFS_CLEANUP_FREE char *comment = NULL;
	struct rfs_mapfile map = { 0 };
	int r;

	r = rfs_fetching_file(op, disk, path, &file, err);
	if (r == 0)
		r = rfs_rescue_map(file, &map, err);
	if (r < 0)
		return r;
	if (asprintf(&comment,
		     "of %s\n+ rescued, - bad, * / near an error, ? "
		     "not asked for",
		     rfs_reader_name(file)) < 0) {
		comment = NULL;
		r = rfs_no_memory(err);
	}
	if (r == 0)
		r = rfs_mapfile_write(&map, comment, out, err);
	rfs_mapfile_fini(&map);
	return r;
}

/*
 * The plan.
 */

static int add_spots(struct rfs_fetch *fetch, const struct rfs_spots *spots,
		     enum rfs_fetch_tier tier, struct rfs_error *err)
{
	int r = 0;

	for (size_t i = 0; i < spots->count && r == 0; i++)
		r = rfs_fetch_add(fetch, spots->items[i].bottom,
				  spots->items[i].range, tier, err);
	return r;
}

/* Where a range of the disk lies: as far as that can be told. */
static int add_guest(struct rfs_fetch *fetch, struct rfs_reader *disk,
		     struct rfs_range range, enum rfs_fetch_tier tier,
		     struct rfs_error *err)
{
	struct rfs_spots spots = { 0 };
	int r;

	range = rfs_range_cut(range, rfs_range(0, rfs_reader_size(disk)));
	r = rfs_reader_spots(disk, range, &spots, err);
	if (r == 0 || !rfs_is_own_want(r))
		r = add_spots(fetch, &spots, tier, err);
	rfs_spots_fini(&spots);
	return r;
}

static int add_tables(struct rfs_fetch *fetch, struct rfs_reader *disk,
		      struct rfs_error *err)
{
	struct rfs_spots spots = { 0 };
	int r = rfs_reader_tables(disk, &spots, err);

	if (r == 0 || !rfs_is_own_want(r))
		r = add_spots(fetch, &spots, RFS_FETCH_TABLES, err);
	rfs_spots_fini(&spots);
	return r;
}

/* For what one copy's bitmaps cannot tell, another's will do: it is the order
 * only that hangs on it.  A compressed one would be read from its start. */
static int open_helped(struct rfs_fetching *f, struct rfs_reader *first,
		       struct rfs_reader **ret, struct rfs_error *err)
{
	struct rfs_reader *list[8] = { first };
	const struct rfs_copy *copy;
	size_t n = 1;
	int r;

	for (size_t i = 0; i < f->disk->ncopies && n < 8; i++) {
		copy = &f->disk->copies[i];
		if (copy == f->copy || copy->packing != RFS_PACKED_NOT ||
		    copy->source->kind != RFS_BACKUP ||
		    rfs_opener_copy(f->op, f->disk, copy, &list[n], NULL) < 0)
			continue;
		if (rfs_reader_size(list[n]) == rfs_reader_size(first))
			n++;
		else
			rfs_reader_unref(list[n]);
	}
	r = rfs_heal_open(list, n, ret, err);
	while (n > 1)
		rfs_reader_unref(list[--n]);
	return r;
}

/* What is in use; all of it, where nothing tells. */
static int add_used(struct rfs_fetching *f, struct rfs_reader *disk,
		    struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *helped = NULL;
	struct rfs_ranges used = { 0 };
	int r;

	r = open_helped(f, disk, &helped, err);
	if (r < 0)
		return r;
	r = rfs_ext_used(helped, &used, err);
	if (r < 0 && !rfs_is_own_want(r)) {
		rfs_ranges_clear(&used);
		r = rfs_ranges_add(&used, rfs_range(0, rfs_reader_size(disk)));
		if (r < 0)
			rfs_no_memory(err);
	}
	for (size_t i = 0; i < used.count && r == 0; i++)
		r = add_guest(f->fetch, disk, used.items[i], RFS_FETCH_USED,
			      err);
	rfs_ranges_fini(&used);
	return r;
}

/* A file that cannot be decoded is used as a whole, for all one knows. */
static int plan_undecoded(struct rfs_fetching *f, struct rfs_reader *file,
			  struct rfs_error *err)
{
	int r = rfs_fetch_add(f->fetch, file,
			      rfs_range(0, rfs_reader_size(file)),
			      RFS_FETCH_USED, err);

	return r < 0 ? r : rfs_fetch_add_rest(f->fetch, false, err);
}

static int plan(struct rfs_fetching *f, struct rfs_reader *disk,
		struct rfs_error *err)
{
	int r;

	rfs_fetch_set_pass(f->fetch, RFS_FETCH_PLANNING);
	r = add_used(f, disk, err);
	/* The files below that hold nothing in use are found, too. */
	if (r == 0 && !f->order.used_only)
		r = add_guest(f->fetch, disk,
			      rfs_range(0, rfs_reader_size(disk)),
			      RFS_FETCH_REST, err);
	if (r == 0)
		r = rfs_fetch_add_rest(f->fetch, !f->order.used_only, err);
	return r;
}

/* What ddrescue did not copy is nothing but zeros in its image. */
static int leave_out_uncopied(struct rfs_fetching *f, struct rfs_reader *file,
			      struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *copied = NULL;
	struct rfs_copy as_it_lies = *f->copy;
	struct rfs_range all = rfs_range(0, rfs_reader_size(file));
	struct rfs_spots spots = { 0 };
	uint64_t at = 0;
	int r;

	if (!f->copy->mapfile)
		return 0;
	as_it_lies.format = RFS_FORMAT_RAW;
	as_it_lies.packing = RFS_PACKED_NOT;
	r = rfs_opener_copy(f->op, f->disk, &as_it_lies, &copied, err);
	if (r == 0)
		r = rfs_reader_spots(copied,
				     rfs_range(0, rfs_reader_size(copied)),
				     &spots, err);
	for (size_t i = 0; i < spots.count && r == 0; i++) {
		if (spots.items[i].range.off > at)
			r = rfs_fetch_leave_out(
				f->fetch, file,
				rfs_range_to(at, spots.items[i].range.off),
				err);
		at = rfs_range_end(spots.items[i].range);
	}
	if (r == 0 && at < all.len)
		r = rfs_fetch_leave_out(f->fetch, file,
					rfs_range_to(at, all.len), err);
	rfs_spots_fini(&spots);
	return r;
}

/*
 * The thread.
 */

/* Asks with more patience for what was late when the tables were looked for. */
static int fetch_late(struct rfs_fetching *f, struct rfs_reader *file,
		      struct rfs_error *err)
{
	struct rfs_rescue *rescue = rfs_rescue_of(file);
	struct rfs_range all = rfs_range(0, rfs_reader_size(file));
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = 0; off < all.len && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_rescue_find(rescue, off, all);
		if (run.value == RFS_RESCUE_LATE)
			r = rfs_fetch_add(f->fetch, file, run.range,
					  RFS_FETCH_TABLES, err);
	}
	return r < 0 ? r : rfs_fetch_run(f->fetch, RFS_FETCH_TABLES, err);
}

/* The disk as that copy alone has it.  A table that is late is no reason to take
 * the file for one that cannot be decoded. */
static int open_disk(struct rfs_fetching *f, struct rfs_reader *file,
		     struct rfs_reader **ret, struct rfs_error *err)
{
	int r = -ETIMEDOUT;

	for (int i = 0; i < OPEN_TRIES && r == -ETIMEDOUT; i++) {
		r = fetch_late(f, file, err);
		if (r < 0)
			return r;
		r = rfs_opener_copy(f->op, f->disk, f->copy, ret, err);
	}
	return r;
}

/* Up to where the used blocks are known. */
static int prepare(struct rfs_fetching *f, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *file = NULL;
	RFS_CLEANUP_READER struct rfs_reader *disk = NULL;
	int r;

	r = rfs_fetching_file(f->op, f->disk, NULL, &file, err);
	if (r == 0) /* the first of its files, whatever comes of it */
		r = rfs_fetch_add(f->fetch, file, rfs_range(0, 0),
				  RFS_FETCH_REST, err);
	if (r < 0)
		return r;
	r = open_disk(f, file, &disk, err);
	if (r == -ETIMEDOUT || rfs_is_own_want(r))
		return r;
	if (r < 0) {
		r = plan_undecoded(f, file, err);
	} else {
		r = add_tables(f->fetch, disk, err);
		if (r == 0)
			r = rfs_fetch_run(f->fetch, RFS_FETCH_TABLES, err);
		if (r == 0)
			r = plan(f, disk, err);
	}
	return r < 0 ? r : leave_out_uncopied(f, file, err);
}

static int carry_out(struct rfs_fetching *f, struct rfs_error *err)
{
	int r = prepare(f, err);

	if (r == 0)
		r = rfs_fetch_run(f->fetch, RFS_FETCH_USED, err);
	if (r == 0)
		r = rfs_fetch_run(f->fetch, RFS_FETCH_REST, err);
	for (unsigned int i = 1; i <= f->order.retries && r == 0; i++)
		r = rfs_fetch_retry(f->fetch, i, err);
	return r;
}

static void *fetching_main(void *data)
{
	struct rfs_fetching *f = data;
	struct rfs_error err = RFS_ERROR_INIT;
	int r = carry_out(f, &err);
	int synced = rfs_fetch_sync(f->fetch, r < 0 ? NULL : &err);

	if (r == 0)
		r = synced;
	if (r == 0)
		rfs_fetch_set_pass(f->fetch, RFS_FETCH_DONE);
	pthread_mutex_lock(&f->lock);
	f->is_over = true;
	f->result = r;
	f->err = err;
	f->ended_ns = now_ns();
	pthread_mutex_unlock(&f->lock);
	eventfd_write(f->end_fd, 1); /* from zero: it has room */
	return NULL;
}

static int start_thread(struct rfs_fetching *f, struct rfs_error *err)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&f->thread, NULL, fetching_main, f);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r ? rfs_fail(err, r, "cannot start a thread: %s", strerror(r))
		 : 0;
}

static void free_parts(struct rfs_fetching *f)
{
	rfs_fetch_free(f->fetch);
	pthread_mutex_destroy(&f->lock);
	if (f->end_fd >= 0)
		close(f->end_fd);
	free(f);
}

static int start(struct rfs_fetching *f, struct rfs_error *err)
{
	int r;

	f->end_fd = eventfd(0, EFD_CLOEXEC);
	if (f->end_fd < 0)
		return rfs_fail(err, errno, "cannot start to fetch: %s",
				strerror(errno));
	r = rfs_fetch_new(&f->fetch, err);
	if (r < 0)
		return r;
	rfs_fetch_set_patience(f->fetch,
			       f->order.patience_ms * INT64_C(1000000));
	return start_thread(f, err);
}

int rfs_fetching_start(struct rfs_opener *op, const struct rfs_disk *disk,
		       const struct rfs_fetching_order *order,
		       struct rfs_fetching **ret, struct rfs_error *err)
{
	const struct rfs_copy *copy = rfs_fetching_copy(disk);
	struct rfs_fetching *f;
	int r;

	if (!copy)
		return no_copy(disk, err);
	f = calloc(1, sizeof(*f));
	if (!f)
		return rfs_no_memory(err);
	f->op = op;
	f->disk = disk;
	f->copy = copy;
	f->order = *order;
	f->begun_ns = now_ns();
	pthread_mutex_init(&f->lock, NULL);
	r = start(f, err);
	if (r < 0) {
		free_parts(f);
		return r;
	}
	*ret = f;
	return 0;
}

void rfs_fetching_stop(struct rfs_fetching *f)
{
	rfs_fetch_stop(f->fetch);
}

void rfs_fetching_free(struct rfs_fetching *f)
{
	if (!f)
		return;
	rfs_fetching_stop(f);
	pthread_join(f->thread, NULL);
	free_parts(f);
}

int rfs_fetching_end_fd(const struct rfs_fetching *f)
{
	return f->end_fd;
}

void rfs_fetching_look(struct rfs_fetching *f, struct rfs_fetching_news *ret)
{
	*ret = (struct rfs_fetching_news){ .is_running = true };
	pthread_mutex_lock(&f->lock);
	ret->elapsed_ns = (f->is_over ? f->ended_ns : now_ns()) - f->begun_ns;
	ret->is_running = !f->is_over;
	if (f->is_over) {
		ret->is_stopped = f->result == -EINTR;
		ret->result = ret->is_stopped ? 0 : f->result;
		memcpy(ret->error, f->err.text, sizeof(ret->error));
	}
	pthread_mutex_unlock(&f->lock);
	/* After it was seen to be over: then these are the last figures. */
	rfs_fetch_progress(f->fetch, &ret->progress);
	if (ret->result == 0)
		ret->error[0] = '\0';
}
