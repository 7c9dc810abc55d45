// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Order is what makes it survive a crash.  A sync writes the file's data, then
 * the map, then the size; storage that a punch or a truncation gave up is
 * freed only when a map without it is on the disk.  Map entries beyond the
 * size are of an interrupted change and are dropped when it is opened.
 *
 * The base's size of when it was first written to is kept as well: up to there
 * a byte that nobody wrote is the base's, also on a day when the base is found
 * shorter, and beyond it is zero, however far the disk is grown.
 *
 * The gate: a change to the file and to the map together is made with the gate
 * shared; a sync, a truncation and a reset have it alone, so that no map that
 * is saved speaks of data which the sync before it did not cover.
 */
#include "core/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/keptmap.h"
#include "core/overlay_file.h"

struct rfs_overlay {
	char *id;
	struct rfs_state *state;
	uint64_t base_size;		/* of the base as it is now */
	atomic_uint_fast64_t zero_from; /* the base's size of when it was
					 * first written to */
	pthread_rwlock_t gate;		/* see above; taken before map.lock */
	struct rfs_kept map;
	atomic_uint_fast64_t size;
	atomic_uint_fast64_t version;
	atomic_bool written; /* false: the map is empty, the size the base's */
	uint64_t saved_size; /* guarded by the gate, held alone; so is: */
	bool base_saved;     /* the state has zero_from */
	atomic_bool
		lacks; /* the file is not all that the map says, since it was
		     * opened; a reset ends that, with the gate held alone */
	struct rfs_overlay_file file;
	pthread_mutex_t free_lock; /* guards: */
	struct rfs_extmap to_free; /* 1: storage to be given up */
};

static void changed(struct rfs_overlay *o)
{
	atomic_store(&o->written, true);
	atomic_fetch_add(&o->version, 1);
}

/* 1 and the number, or 0 where the state has none. */
static int load_number(struct rfs_overlay *o, const char *key, uint64_t *ret,
		       struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	uint64_t n;
	char *end;
	int r;

	r = rfs_state_fact(o->state, o->id, key, &text, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || *end || end == text || n > RFS_SIZE_MAX)
		return rfs_fail(err, EBADMSG, "the state's %s of %s is damaged",
				key, o->id);
	*ret = n;
	return 1;
}

static int save_number(struct rfs_overlay *o, const char *key, uint64_t n,
		       struct rfs_error *err)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, n);
	return rfs_state_set_fact(o->state, o->id, key, text, err);
}

static int load_size(struct rfs_overlay *o, struct rfs_error *err)
{
	uint64_t base = o->base_size, size;
	int r;

	r = load_number(o, "base size", &base, err);
	if (r < 0)
		return r;
	o->base_saved = r > 0;
	size = base;
	r = load_number(o, RFS_OVERLAY_SIZE_FACT, &size, err);
	if (r < 0)
		return r;
	o->saved_size = r > 0 ? size : base;
	r = rfs_kept_set(&o->map, rfs_range_to(size, RFS_SIZE_MAX), 0, err);
	if (r == 0 && !o->map.map.count && size == base) {
		/* Nothing is written: the base as it is now. */
		o->base_saved = o->base_saved && base == o->base_size;
		base = size = o->base_size;
	}
	atomic_store(&o->zero_from, base);
	atomic_store(&o->size, size);
	return r;
}

/* What a copy of the state that was put back in part lacks. */
static int look_at_file(struct rfs_overlay *o, struct rfs_error *err)
{
	int fd = rfs_overlay_file_fd(&o->file, false, err);
	uint64_t end = 0;
	struct rfs_run run;
	struct stat st;

	if (fd < 0 && fd != -ENOENT)
		return fd;
	for (uint64_t off = 0; off < RFS_SIZE_MAX;
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find(&o->map.map, off);
		if (run.value == RFS_OVERLAY_DATA)
			end = rfs_range_end(run.range);
	}
	/* An overlay of holes only has no file. */
	o->lacks = end &&
		   (fd < 0 || fstat(fd, &st) < 0 || (uint64_t)st.st_size < end);
	return 0;
}

static int open_parts(struct rfs_overlay *o, struct rfs_error *err)
{
	int r = rfs_kept_open(&o->map, o->state, o->id, "overlay", err);

	if (r == 0)
		r = load_size(o, err);
	if (r < 0)
		return r;
	atomic_store(&o->written, o->map.map.count > 0 ||
					  atomic_load(&o->size) !=
						  atomic_load(&o->zero_from));
	if (!o->map.map.count)
		return 0;
	return look_at_file(o, err);
}

int rfs_overlay_open(const char *id, struct rfs_state *state,
		     uint64_t base_size, struct rfs_overlay **ret,
		     struct rfs_error *err)
{
	struct rfs_overlay *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return rfs_no_memory(err);
	o->state = state;
	o->base_size = base_size;
	pthread_rwlock_init(&o->gate, NULL);
	pthread_mutex_init(&o->free_lock, NULL);
	o->id = strdup(id);
	rfs_overlay_file_init(&o->file, state, o->id);
	r = o->id ? open_parts(o, err) : rfs_no_memory(err);
	if (r < 0)
		rfs_overlay_close(o);
	else
		*ret = o;
	return r;
}

void rfs_overlay_close(struct rfs_overlay *o)
{
	if (!o)
		return;
	rfs_kept_close(&o->map);
	rfs_extmap_fini(&o->to_free);
	rfs_overlay_file_fini(&o->file);
	pthread_rwlock_destroy(&o->gate);
	pthread_mutex_destroy(&o->free_lock);
	free(o->id);
	free(o);
}

uint64_t rfs_overlay_size(struct rfs_overlay *o)
{
	return atomic_load(&o->size);
}

uint64_t rfs_overlay_version(struct rfs_overlay *o)
{
	return atomic_load(&o->version);
}

bool rfs_overlay_is_written(struct rfs_overlay *o)
{
	return atomic_load(&o->written);
}

uint64_t rfs_overlay_allocated(struct rfs_overlay *o)
{
	struct stat st;
	int fd = atomic_load(&o->file.fd);

	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	return (uint64_t)st.st_blocks * 512;
}

struct rfs_run rfs_overlay_find(struct rfs_overlay *o, uint64_t off,
				struct rfs_range within)
{
	uint64_t zero_from = atomic_load(&o->zero_from);
	struct rfs_run run;

	if (!rfs_overlay_is_written(o))
		return (struct rfs_run){
			rfs_range_to(off, rfs_range_end(within)), 0
		};
	run = rfs_kept_find(&o->map, off, within);
	/* What lies on both sides of zero_from is one run of the map. */
	run.range = rfs_range_to(off, rfs_range_end(run.range));
	if (run.value != RFS_OVERLAY_NONE)
		return run;
	if (off >= zero_from)
		run.value = RFS_OVERLAY_ZERO;
	else
		run.range = rfs_range_cut(run.range, rfs_range(0, zero_from));
	return run;
}

static int fail_lacking(struct rfs_overlay *o, struct rfs_range rest,
			struct rfs_error *err)
{
	return rfs_fail(err, EIO,
			"%s: of what was written, %" PRIu64 " bytes at "
			"%" PRIu64 " are not in the state directory any more; "
			"put a copy of it back, or 'rescuefs reset'",
			o->id, rest.len, rest.off);
}

/* Nothing is written where that would hide what is missing. */
static int check_whole(struct rfs_overlay *o, struct rfs_error *err)
{
	if (!o->lacks)
		return 0;
	return rfs_fail(err, EIO,
			"%s: what was written before is not all in the state "
			"directory any more, so nothing more is; put a copy of "
			"it back, or 'rescuefs reset'",
			o->id);
}

int rfs_overlay_read(struct rfs_overlay *o, struct rfs_range range, void *buf,
		     struct rfs_error *err)
{
	uint64_t done = 0;
	int r;

	if (o->lacks && rfs_overlay_file_fd(&o->file, false, NULL) < 0)
		return fail_lacking(o, range, err);
	r = rfs_overlay_file_read(&o->file, range, buf, &done, err);
	if (r < 0 || done == range.len)
		return r;
	memset((uint8_t *)buf + done, 0, range.len - done);
	range = rfs_range_to(range.off + done, rfs_range_end(range));
	/* Only a reset makes it shorter, and takes the map first. */
	if (rfs_kept_find(&o->map, range.off, range).value != RFS_OVERLAY_DATA)
		return 0;
	return fail_lacking(o, range, err);
}

/* What is beyond the base is zero without a word. */
static int mark_zero_locked(struct rfs_overlay *o, struct rfs_range range,
			    struct rfs_error *err)
{
	uint64_t zero_from = atomic_load(&o->zero_from);
	uint64_t end = rfs_range_end(range);
	int r;

	r = rfs_kept_set_locked(&o->map,
				rfs_range_cut(range, rfs_range(0, zero_from)),
				RFS_OVERLAY_ZERO, err);
	if (r == 0)
		r = rfs_kept_set_locked(&o->map,
					rfs_range_to(range.off > zero_from
							     ? range.off
							     : zero_from,
						     end),
					RFS_OVERLAY_NONE, err);
	return r;
}

/* Marks a range and, where it lies behind the end, what is between as zero. */
static int mark(struct rfs_overlay *o, struct rfs_range range, uint32_t value,
		struct rfs_error *err)
{
	uint64_t size, end = rfs_range_end(range);
	int r = 0;

	rfs_kept_lock(&o->map);
	size = atomic_load(&o->size);
	if (range.off > size)
		r = mark_zero_locked(o, rfs_range_to(size, range.off), err);
	if (r == 0)
		r = value == RFS_OVERLAY_ZERO
			    ? mark_zero_locked(o, range, err)
			    : rfs_kept_set_locked(&o->map, range, value, err);
	if (r == 0 && end > size)
		atomic_store(&o->size, end);
	if (r == 0)
		changed(o);
	rfs_kept_unlock(&o->map);
	return r;
}

int rfs_overlay_write(struct rfs_overlay *o, struct rfs_range range,
		      const void *buf, struct rfs_error *err)
{
	int r;

	pthread_rwlock_rdlock(&o->gate);
	r = check_whole(o, err);
	if (r == 0)
		r = rfs_overlay_file_write(&o->file, range, buf, err);
	if (r == 0)
		r = mark(o, range, RFS_OVERLAY_DATA, err);
	pthread_rwlock_unlock(&o->gate);
	return r;
}

static int free_later(struct rfs_overlay *o, struct rfs_range range,
		      struct rfs_error *err)
{
	int r;

	rfs_overlay_file_drop(&o->file, range);
	pthread_mutex_lock(&o->free_lock);
	r = rfs_extmap_set(&o->to_free, range, 1);
	pthread_mutex_unlock(&o->free_lock);
	return r < 0 ? rfs_no_memory(err) : 0;
}

int rfs_overlay_punch(struct rfs_overlay *o, struct rfs_range range,
		      struct rfs_error *err)
{
	int r;

	pthread_rwlock_rdlock(&o->gate);
	range = rfs_range_cut(range, rfs_range(0, rfs_overlay_size(o)));
	r = check_whole(o, err);
	if (r == 0 && range.len)
		r = mark(o, range, RFS_OVERLAY_ZERO, err);
	if (r == 0 && range.len)
		r = free_later(o, range, err);
	pthread_rwlock_unlock(&o->gate);
	return r;
}

/* Gives up storage that the saved map does not speak of.  A failure costs
 * space and nothing else. */
static void free_storage(struct rfs_overlay *o)
{
	int fd = atomic_load(&o->file.fd);
	struct rfs_range rest;
	struct rfs_run give, now;

	for (uint64_t off = 0; fd >= 0 && off < RFS_SIZE_MAX;
	     off = rfs_range_end(give.range)) {
		give = rfs_extmap_find(&o->to_free, off);
		rest = give.value ? give.range : rfs_range(0, 0);
		while (rest.len) {
			now = rfs_kept_find(&o->map, rest.off, rest);
			if (now.value != RFS_OVERLAY_DATA &&
			    fallocate(fd,
				      FALLOC_FL_PUNCH_HOLE |
					      FALLOC_FL_KEEP_SIZE,
				      (off_t)now.range.off,
				      (off_t)now.range.len) < 0)
				break;
			rest = rfs_range_to(rfs_range_end(now.range),
					    rfs_range_end(rest));
		}
	}
	rfs_extmap_fini(&o->to_free);
}

static int save_size(struct rfs_overlay *o, struct rfs_error *err)
{
	uint64_t size = rfs_overlay_size(o);
	int r;

	if (size == o->saved_size)
		return 0;
	r = save_number(o, RFS_OVERLAY_SIZE_FACT, size, err);
	if (r == 0)
		o->saved_size = size;
	return r;
}

/* Before anything else of it is kept. */
static int save_base(struct rfs_overlay *o, struct rfs_error *err)
{
	int r;

	if (o->base_saved)
		return 0;
	r = save_number(o, "base size", atomic_load(&o->zero_from), err);
	o->base_saved = r == 0;
	return r;
}

/* With the gate held alone. */
static int sync_alone(struct rfs_overlay *o, struct rfs_error *err)
{
	int r;

	if (o->lacks) /* nothing was changed since */
		return 0;
	r = rfs_overlay_file_sync(&o->file, err);
	if (r == 0)
		r = save_base(o, err);
	if (r == 0)
		r = rfs_kept_save(&o->map, err);
	if (r == 0)
		r = save_size(o, err);
	if (r == 0)
		free_storage(o);
	return r;
}

int rfs_overlay_sync(struct rfs_overlay *o, struct rfs_error *err)
{
	int r;

	if (!rfs_overlay_is_written(o))
		return 0;
	pthread_rwlock_wrlock(&o->gate);
	r = sync_alone(o, err);
	pthread_rwlock_unlock(&o->gate);
	return r;
}

/* The smaller size is kept before the map forgets what lay beyond it, and the
 * larger one after the map knows that it is zero. */
static int truncate_alone(struct rfs_overlay *o, uint64_t size,
			  struct rfs_error *err)
{
	uint64_t old = rfs_overlay_size(o);
	int r;

	if (size == old)
		return 0;
	if (size > old)
		return mark(o, rfs_range_to(old, size), RFS_OVERLAY_ZERO, err);
	r = save_base(o, err);
	if (r < 0)
		return r;
	atomic_store(&o->size, size);
	r = save_size(o, err);
	if (r < 0) {
		atomic_store(&o->size, old);
		return r;
	}
	changed(o);
	r = rfs_kept_set(&o->map, rfs_range_to(size, RFS_SIZE_MAX), 0, err);
	if (r == 0)
		r = free_later(o, rfs_range_to(size, old), err);
	return r;
}

int rfs_overlay_truncate(struct rfs_overlay *o, uint64_t size,
			 struct rfs_error *err)
{
	int r;

	if (size > RFS_SIZE_MAX)
		return rfs_fail(err, EFBIG, "%s: a disk cannot be that large",
				o->id);
	pthread_rwlock_wrlock(&o->gate);
	r = check_whole(o, err);
	if (r == 0)
		r = truncate_alone(o, size, err);
	if (r == 0)
		r = sync_alone(o, err);
	pthread_rwlock_unlock(&o->gate);
	return r;
}

static int reset_alone(struct rfs_overlay *o, struct rfs_error *err)
{
	int r;

	r = rfs_kept_forget(&o->map, err);
	if (r == 0)
		r = rfs_state_forget_fact(o->state, o->id,
					  RFS_OVERLAY_SIZE_FACT, err);
	if (r == 0)
		r = rfs_state_forget_fact(o->state, o->id, "base size", err);
	if (r < 0)
		return r;
	atomic_store(&o->zero_from, o->base_size);
	atomic_store(&o->size, o->base_size);
	o->saved_size = o->base_size;
	o->base_saved = false;
	rfs_extmap_fini(&o->to_free);
	o->lacks = false;
	changed(o);
	atomic_store(&o->written, false);
	return rfs_overlay_file_empty(&o->file, err);
}

int rfs_overlay_reset(struct rfs_overlay *o, struct rfs_error *err)
{
	int r;

	pthread_rwlock_wrlock(&o->gate);
	r = reset_alone(o, err);
	pthread_rwlock_unlock(&o->gate);
	return r;
}
