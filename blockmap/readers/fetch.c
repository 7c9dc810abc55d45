// SPDX-License-Identifier: GPL-3.0-or-later
#include "readers/fetch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/vec.h"
#include "readers/fetch_parts.h"

/* A source that gave no answer so often in a row is not there any more. */
#define MISSES_MAX 16

/* How often it is looked whether a source that was set aside is back. */
#define NAP_NS INT64_C(50000000)

const char *rfs_fetch_pass_name(enum rfs_fetch_pass pass)
{
	static const char *const names[] = {
		[RFS_FETCH_PLANNING] = "planning",
		[RFS_FETCH_COPYING] = "copying",
		[RFS_FETCH_BACKWARDS] = "copying backwards",
		[RFS_FETCH_SWEEPING] = "sweeping",
		[RFS_FETCH_TRIMMING] = "trimming",
		[RFS_FETCH_SCRAPING] = "scraping",
		[RFS_FETCH_LATE] = "asking for what was late",
		[RFS_FETCH_RETRYING] = "retrying",
		[RFS_FETCH_DONE] = "done",
	};

	return names[pass];
}

const char *rfs_fetch_tier_name(enum rfs_fetch_tier tier)
{
	static const char *const names[] = {
		[0] = "",
		[RFS_FETCH_TABLES] = "tables",
		[RFS_FETCH_USED] = "used",
		[RFS_FETCH_REST] = "rest",
	};

	return names[tier];
}

int rfs_fetch_new(struct rfs_fetch **ret, struct rfs_error *err)
{
	struct rfs_fetch *f = calloc(1, sizeof(*f));
	pthread_condattr_t attr;

	if (!f)
		return rfs_no_memory(err);
	if (rfs_fetch_putter_init(f, err) < 0) {
		free(f);
		return -ENOMEM;
	}
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->stopped, &attr);
	pthread_condattr_destroy(&attr);
	*ret = f;
	return 0;
}

void rfs_fetch_free(struct rfs_fetch *f)
{
	if (!f)
		return;
	rfs_fetch_putter_fini(f);
	for (size_t i = 0; i < f->count; i++) {
		rfs_extmap_fini(&f->items[i].tiers);
		rfs_reader_unref(f->items[i].file);
	}
	free(f->items);
	pthread_cond_destroy(&f->stopped);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void rfs_fetch_stop(struct rfs_fetch *f)
{
	pthread_mutex_lock(&f->lock);
	atomic_store(&f->stops, true);
	pthread_cond_broadcast(&f->stopped);
	pthread_mutex_unlock(&f->lock);
}

void rfs_fetch_set_pass(struct rfs_fetch *f, enum rfs_fetch_pass pass)
{
	atomic_store(&f->pass, pass);
}

void rfs_fetch_set_patience(struct rfs_fetch *f, int64_t ns)
{
	f->patience_ns = ns;
}

/*
 * What there is to do.
 */

/* With the lock held. */
static int need_part(struct rfs_fetch *f, struct rfs_reader *file,
		     struct rfs_rescue *r, struct rfs_fetch_part **ret)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->items[i].rescue == r) {
			*ret = &f->items[i];
			return 0;
		}
	if (RFS_VEC_ROOM(f) < 0)
		return -ENOMEM;
	*ret = &f->items[f->count++];
	**ret = (struct rfs_fetch_part){ .file = rfs_reader_ref(file),
					 .rescue = r };
	return 0;
}

/* What has a tier keeps it. */
static int add_range(struct rfs_extmap *tiers, struct rfs_range range,
		     enum rfs_fetch_tier tier)
{
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find_in(tiers, off, range);
		if (!run.value)
			r = rfs_extmap_set(tiers, run.range, tier);
	}
	return r;
}

int rfs_fetch_add(struct rfs_fetch *f, struct rfs_reader *file,
		  struct rfs_range range, enum rfs_fetch_tier tier,
		  struct rfs_error *err)
{
	struct rfs_rescue *rescue = rfs_rescue_of(file);
	struct rfs_fetch_part *part;
	int r;

	if (!rescue)
		return 0;
	range = rfs_range_cut(rfs_range_widen(range, RFS_SECTOR),
			      rfs_range(0, rfs_rescue_size(rescue)));
	pthread_mutex_lock(&f->lock);
	r = need_part(f, file, rescue, &part);
	if (r == 0)
		r = add_range(&part->tiers, range, tier);
	pthread_mutex_unlock(&f->lock);
	return r < 0 ? rfs_no_memory(err) : 0;
}

static int leave_out_holes(struct rfs_fetch *f, struct rfs_fetch_part *part,
			   struct rfs_error *err)
{
	struct rfs_extents extents = { 0 };
	int r;

	r = rfs_reader_extents(part->file,
			       rfs_range(0, rfs_rescue_size(part->rescue)),
			       &extents, err);
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < extents.count && r == 0; i++)
		if (extents.items[i].content == RFS_HOLE &&
		    rfs_extmap_set(&part->tiers, extents.items[i].range, 0) < 0)
			r = rfs_no_memory(err);
	pthread_mutex_unlock(&f->lock);
	rfs_extents_fini(&extents);
	return r;
}

int rfs_fetch_add_rest(struct rfs_fetch *f, bool all, struct rfs_error *err)
{
	struct rfs_fetch_part *part;
	int r = 0;

	for (size_t i = 0; i < f->count && r == 0; i++) {
		part = &f->items[i];
		if (all)
			r = rfs_fetch_add(
				f, part->file,
				rfs_range(0, rfs_rescue_size(part->rescue)),
				RFS_FETCH_REST, err);
		if (r == 0)
			r = leave_out_holes(f, part, err);
	}
	return r;
}

int rfs_fetch_leave_out(struct rfs_fetch *f, const struct rfs_reader *file,
			struct rfs_range range, struct rfs_error *err)
{
	const struct rfs_rescue *rescue = rfs_rescue_of(file);
	int r = 0;

	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < f->count && r == 0; i++)
		if (f->items[i].rescue == rescue)
			r = rfs_extmap_set(&f->items[i].tiers, range, 0);
	pthread_mutex_unlock(&f->lock);
	return r < 0 ? rfs_no_memory(err) : 0;
}

int rfs_fetch_collect(struct rfs_fetch *f, const struct rfs_fetch_part *part,
		      enum rfs_fetch_tier tier, enum rfs_rescue_status status,
		      struct rfs_ranges *out, struct rfs_error *err)
{
	uint64_t size = rfs_rescue_size(part->rescue), end;
	struct rfs_run in, run;

	(void)f;
	rfs_ranges_clear(out);
	for (uint64_t off = 0; off < size; off = rfs_range_end(in.range)) {
		in = rfs_extmap_find_in(&part->tiers, off,
					rfs_range_to(off, size));
		if (!in.value || (tier && in.value != tier))
			continue;
		end = rfs_range_end(in.range);
		for (uint64_t at = in.range.off; at < end;
		     at = rfs_range_end(run.range)) {
			run = rfs_rescue_find(part->rescue, at,
					      rfs_range_to(at, end));
			if (run.value == status &&
			    rfs_ranges_add(out, run.range) < 0)
				return rfs_no_memory(err);
		}
	}
	return 0;
}

/*
 * Requests.
 */

static bool is_stopped(struct rfs_fetch *f)
{
	return atomic_load(&f->stops);
}

/* Waits while the source is set aside; or a little, as what reads it died. */
static int wait_for_source(struct rfs_fetch *f, struct rfs_rescue *r,
			   struct rfs_error *err)
{
	struct rfs_worker_counts counts;
	struct timespec until;
	int64_t nap;

	rfs_worker_counts(r->worker, &counts);
	nap = counts.background_aside_ns;
	/* If it was not the pause, it may fail so for ever. */
	f->misses += nap <= 0;
	if (f->misses >= MISSES_MAX - 1 && nap <= 0)
		return -ETIMEDOUT; /* one more for rfs_fetch_ask */
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += nap > 0 && nap < NAP_NS ? nap : NAP_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&f->lock);
	if (!is_stopped(f))
		pthread_cond_timedwait(&f->stopped, &f->lock, &until);
	pthread_mutex_unlock(&f->lock);
	return is_stopped(f) ? rfs_fail(err, EINTR, "stopped") : 0;
}

static int give_up(const struct rfs_fetch *f, const struct rfs_rescue *r,
		   struct rfs_error *err)
{
	return rfs_fail(err, ETIMEDOUT,
			"%s: the source gave no answer %u times in a row; "
			"when it is back, the same command goes on",
			rfs_rescue_name(r), f->misses);
}

/* What a request that brought less than all of it means. */
static int judge(struct rfs_fetch *f, struct rfs_rescue *r,
		 struct rfs_range piece, ssize_t n, struct rfs_error *err)
{
	int e;

	if (n == 0)
		return rfs_fail(err, ESTALE,
				"%s: has become shorter since it was opened",
				rfs_rescue_name(r));
	if (n == -ETIMEDOUT && ++f->misses >= MISSES_MAX) {
		rfs_rescue_keep(r, NULL);
		return give_up(f, r, err);
	}
	if (n < 0 && n != -ETIMEDOUT &&
	    (rfs_rescue_is_away((int)n) || !rfs_medium_failed((int)-n)))
		return rfs_fail(err, (int)-n,
				"%s: reading %" PRIu64 " bytes at %" PRIu64
				": %s",
				rfs_rescue_name(r), piece.len, piece.off,
				strerror((int)-n));
	/* Before the next request: a bad sector stays known (P5). */
	e = rfs_rescue_keep(r, err);
	if (e < 0)
		return e;
	return n == -ETIMEDOUT ? RFS_FETCH_MISSED : RFS_FETCH_FAILED;
}

/* The request itself, in our slot; it waits as long as the source is set aside.
 * What failed is ended when it returns. */
static ssize_t ask_source(struct rfs_fetch *f, struct rfs_rescue *r,
			  struct rfs_range range, struct rfs_run seen,
			  struct rfs_rescue_way way, uint64_t there,
			  struct rfs_error *err)
{
	struct rfs_fetch_slot *slot = &f->slots[f->slot];
	struct rfs_patience patience;
	ssize_t n;
	int e = 0;

	do {
		if (is_stopped(f))
			return rfs_fail(err, EINTR, "stopped");
		patience = rfs_worker_patience(r->worker);
		if (f->patience_ns)
			patience.left_ns = f->patience_ns;
		patience.background = true;
		patience.stops = &f->stops;
		n = rfs_rescue_ask_begin(&slot->asking, r, range, seen, way,
					 slot->buf, true, &patience);
		if (n >= 0 && (uint64_t)n >= there)
			return n;
		rfs_rescue_ask_end(&slot->asking, slot->buf);
		if (n != -ETIMEDOUT || patience.left_ns <= 0)
			return n;
		e = wait_for_source(f, r, err);
	} while (e == 0);
	return e;
}

/* How far a request brought us that failed. */
static uint64_t done_of(const struct rfs_rescue *r, struct rfs_range piece,
			struct rfs_range range, struct rfs_rescue_way way,
			ssize_t n)
{
	struct rfs_range failed = rfs_rescue_failed_part(r, range, way, n);
	struct rfs_range done;

	if (way.back)
		done = rfs_range_to(failed.off, rfs_range_end(range));
	else
		done = rfs_range_to(range.off, rfs_range_end(failed));
	return rfs_range_cut(done, piece).len;
}

int rfs_fetch_ask(struct rfs_fetch *f, struct rfs_rescue *r,
		  struct rfs_range piece, struct rfs_run seen,
		  struct rfs_rescue_way way, uint64_t *ret_done,
		  struct rfs_error *err)
{
	unsigned int granule = rfs_rescue_granule(r);
	struct rfs_range range = rfs_range_widen(piece, granule);
	uint64_t there, good;
	ssize_t n;

	there = rfs_range_cut(range, rfs_range(0, rfs_rescue_size(r))).len;
	if (there < range.len && way.back)
		way = (struct rfs_rescue_way){ 0 }; /* the last, and alone */
	atomic_store(&f->pos, piece.off);
	n = ask_source(f, r, range, seen, way, there, err);
	if (n == -EAGAIN || n == -EINTR)
		return (int)n;
	if (n != -ETIMEDOUT)
		f->misses = 0;
	good = n > 0 ? (uint64_t)n : 0;
	atomic_fetch_add(&f->fetched, good < there ? good : there);
	*ret_done = piece.len;
	if (n >= 0 && good >= there) {
		f->slots[f->slot].piece = piece;
		return rfs_fetch_put(f, err);
	}
	if (n != -ETIMEDOUT)
		*ret_done = done_of(r, piece, range, way, n);
	return judge(f, r, piece, n, err);
}

/*
 * Passes.
 */

static int run_pass(struct rfs_fetch *f, enum rfs_fetch_tier tier,
		    enum rfs_fetch_pass pass, enum rfs_rescue_status status,
		    rfs_fetch_pass_fn *run, struct rfs_error *err)
{
	struct rfs_ranges areas = { 0 };
	int r = 0, put;

	for (size_t i = 0; i < f->count && r == 0; i++) {
		rfs_rescue_harvest(f->items[i].rescue);
		r = rfs_fetch_collect(f, &f->items[i], tier, status, &areas,
				      err);
		if (r < 0 || !areas.count)
			continue;
		atomic_store(&f->part, i);
		rfs_fetch_set_pass(f, pass);
		r = run(f, f->items[i].rescue, &areas, err);
		put = rfs_fetch_put_all(f, r < 0 ? NULL : err);
		r = r < 0 ? r : put;
	}
	rfs_ranges_fini(&areas);
	return r;
}

static int run_trimming(struct rfs_fetch *f, enum rfs_fetch_tier tier,
			struct rfs_error *err)
{
	int r = run_pass(f, tier, RFS_FETCH_TRIMMING, RFS_RESCUE_NEAR,
			 rfs_fetch_trim, err);

	return r < 0 ? r
		     : run_pass(f, tier, RFS_FETCH_SCRAPING, RFS_RESCUE_EDGED,
				rfs_fetch_scrape, err);
}

int rfs_fetch_run(struct rfs_fetch *f, enum rfs_fetch_tier tier,
		  struct rfs_error *err)
{
	int r;

	atomic_store(&f->tier, tier);
	r = run_pass(f, tier, RFS_FETCH_COPYING, RFS_RESCUE_NOT, rfs_fetch_copy,
		     err);
	if (r == 0)
		r = run_pass(f, tier, RFS_FETCH_BACKWARDS, RFS_RESCUE_NOT,
			     rfs_fetch_copy_back, err);
	if (r == 0)
		r = run_pass(f, tier, RFS_FETCH_SWEEPING, RFS_RESCUE_NOT,
			     rfs_fetch_sweep, err);
	if (r == 0)
		r = run_trimming(f, tier, err);
	if (r == 0)
		r = run_pass(f, tier, RFS_FETCH_LATE, RFS_RESCUE_LATE,
			     rfs_fetch_late, err);
	return r < 0 ? r : run_trimming(f, tier, err);
}

/* Then it counts as never asked for. */
static int forget_spoilt(struct rfs_fetch *f, struct rfs_error *err)
{
	int r = 0;

	for (size_t i = 0; i < f->count && r == 0; i++)
		if (f->items[i].rescue->store)
			r = rfs_store_forget_damaged(f->items[i].rescue->store,
						     err);
	return r;
}

int rfs_fetch_retry(struct rfs_fetch *f, unsigned int round,
		    struct rfs_error *err)
{
	int r;

	atomic_store(&f->round, round);
	atomic_store(&f->tier, 0);
	r = forget_spoilt(f, err);
	if (r == 0)
		r = run_pass(f, 0, RFS_FETCH_RETRYING, RFS_RESCUE_BAD,
			     round % 2 ? rfs_fetch_again : rfs_fetch_again_back,
			     err);
	if (r == 0)
		r = run_pass(f, 0, RFS_FETCH_RETRYING, RFS_RESCUE_NOT,
			     rfs_fetch_sweep, err);
	if (r == 0)
		r = run_pass(f, 0, RFS_FETCH_RETRYING, RFS_RESCUE_LATE,
			     rfs_fetch_late, err);
	return r < 0 ? r : run_trimming(f, 0, err);
}

int rfs_fetch_sync(struct rfs_fetch *f, struct rfs_error *err)
{
	int r, first = 0;

	for (size_t i = 0; i < f->count; i++) {
		r = rfs_rescue_sync(f->items[i].rescue, first ? NULL : err);
		first = first ? first : r;
	}
	return first;
}

/*
 * Progress.
 */

static void count_run(struct rfs_fetch_progress *p, struct rfs_run run)
{
	p->total += run.range.len;
	switch (run.value) {
	case RFS_RESCUE_DONE:
		p->rescued += run.range.len;
		break;
	case RFS_RESCUE_NOT:
		p->untried += run.range.len;
		break;
	case RFS_RESCUE_NEAR:
	case RFS_RESCUE_EDGED:
		p->pending += run.range.len;
		break;
	case RFS_RESCUE_LATE:
		p->late += run.range.len;
		break;
	default:
		p->bad += run.range.len;
		break;
	}
}

static bool is_trouble(uint32_t status)
{
	return status != RFS_RESCUE_DONE && status != RFS_RESCUE_NOT;
}

static void count_part(struct rfs_fetch_progress *p,
		       const struct rfs_fetch_part *part)
{
	uint64_t size = rfs_rescue_size(part->rescue), end, last = UINT64_MAX;
	struct rfs_run in, run;

	for (uint64_t off = 0; off < size; off = rfs_range_end(in.range)) {
		in = rfs_extmap_find_in(&part->tiers, off,
					rfs_range_to(off, size));
		if (!in.value)
			continue;
		end = rfs_range_end(in.range);
		for (uint64_t at = in.range.off; at < end;
		     at = rfs_range_end(run.range)) {
			run = rfs_rescue_find(part->rescue, at,
					      rfs_range_to(at, end));
			count_run(p, run);
			if (!is_trouble(run.value))
				continue;
			p->areas += run.range.off != last;
			last = rfs_range_end(run.range);
		}
	}
}

void rfs_fetch_progress(struct rfs_fetch *f, struct rfs_fetch_progress *ret)
{
	struct rfs_worker_counts counts;
	size_t at = atomic_load(&f->part);

	*ret = (struct rfs_fetch_progress){
		.pass = (enum rfs_fetch_pass)atomic_load(&f->pass),
		.tier = (enum rfs_fetch_tier)atomic_load(&f->tier),
		.round = atomic_load(&f->round),
		.pos = atomic_load(&f->pos),
		.fetched = atomic_load(&f->fetched),
	};
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < f->count; i++)
		count_part(ret, &f->items[i]);
	if (at < f->count) {
		snprintf(ret->file, sizeof(ret->file), "%s",
			 rfs_rescue_name(f->items[at].rescue));
		rfs_worker_counts(f->items[at].rescue->worker, &counts);
		ret->aside_ns = counts.background_aside_ns;
	}
	pthread_mutex_unlock(&f->lock);
}
