// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The caller's thread looks ahead, window by window, at what is known without
 * reading, and puts what must be read into a short queue; the readers take it
 * from there, in pieces that stay in the processor's cache between the read and
 * the comparison.
 */
#include "core/compare.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/seats.h"

#define THREADS	  2
#define QUEUE	  16
#define PIECE	  ((uint64_t)256 << 10)
#define WINDOW	  ((uint64_t)1 << 30)
#define PAGE	  4096
#define UNIT_MOST ((uint64_t)RFS_SECTOR)

/* To be read: from both, or from one where the other has a hole. */
struct job {
	struct rfs_range range;
	bool a_is_hole, b_is_hole;
};

struct comparing {
	const struct rfs_compare_config *config;
	struct rfs_comparison *out;
	uint64_t both;	      /* the smaller size */
	uint64_t unit;	      /* differences are first told by this */
	pthread_mutex_t lock; /* guards all below, and the map in 'out' */
	pthread_cond_t moved; /* a job was put or taken, or the end came */
	struct job jobs[QUEUE];
	size_t first, count;
	bool ends; /* nothing more will be put */
	int failed;
	struct rfs_error why;
	uint64_t done, unreadable;
};

/*
 * The readers.
 */

/* What one of them holds of the two sides. */
struct piece {
	struct rfs_range range;
	uint8_t *a, *b; /* PIECE bytes each */
	struct rfs_ranges bad_a, bad_b;
};

static void fail(struct comparing *c, int r, const struct rfs_error *why)
{
	pthread_mutex_lock(&c->lock);
	if (!c->failed) {
		c->failed = r;
		c->why = *why;
	}
	pthread_cond_broadcast(&c->moved);
	pthread_mutex_unlock(&c->lock);
}

static int mark(struct comparing *c, struct rfs_range range,
		enum rfs_likeness value)
{
	int r;

	if (value == RFS_EQUAL || !range.len)
		return 0;
	pthread_mutex_lock(&c->lock);
	r = rfs_extmap_set(&c->out->map, range, value);
	if (value == RFS_UNREADABLE_IN_A || value == RFS_UNREADABLE_IN_B ||
	    value == RFS_UNREADABLE_IN_BOTH)
		c->unreadable += range.len;
	pthread_mutex_unlock(&c->lock);
	return r;
}

static bool is_zero(const uint8_t *p, size_t len)
{
	return !len || (!*p && memcmp(p, p + 1, len - 1) == 0);
}

/* One side of a piece; what cannot be read of it is in 'bad'. */
static int read_side(struct rfs_reader *rd, bool is_hole,
		     struct rfs_range range, uint8_t *buf,
		     struct rfs_ranges *bad, struct rfs_error *err)
{
	int r;

	rfs_ranges_clear(bad);
	if (is_hole)
		return 0;
	r = rfs_reader_read(rd, range, buf, bad, err);
	if (r == 0 || rfs_read_is_partial(r))
		return 0;
	if (rfs_is_own_want(r))
		return r;
	rfs_ranges_clear(bad); /* nothing is known */
	return rfs_ranges_add(bad, range);
}

static bool is_in(const struct rfs_ranges *bad, struct rfs_range unit)
{
	for (size_t i = 0; i < bad->count; i++)
		if (rfs_range_cut(bad->items[i], unit).len)
			return true;
	return false;
}

static enum rfs_likeness judge(const struct piece *p, const struct job *job,
			       struct rfs_range unit)
{
	bool bad_a = is_in(&p->bad_a, unit), bad_b = is_in(&p->bad_b, unit);
	size_t at = unit.off - p->range.off;

	if (bad_a || bad_b)
		return bad_a && bad_b ? RFS_UNREADABLE_IN_BOTH
		       : bad_a	      ? RFS_UNREADABLE_IN_A
				      : RFS_UNREADABLE_IN_B;
	if (job->a_is_hole)
		return is_zero(p->b + at, unit.len) ? RFS_EQUAL : RFS_HOLE_IN_A;
	if (job->b_is_hole)
		return is_zero(p->a + at, unit.len) ? RFS_EQUAL : RFS_HOLE_IN_B;
	return memcmp(p->a + at, p->b + at, unit.len) ? RFS_DIFFERENT
						      : RFS_EQUAL;
}

/* Unit by unit; runs that are alike are marked at once. */
static int judge_all(struct comparing *c, const struct piece *p,
		     const struct job *job)
{
	uint64_t end = rfs_range_end(p->range), from = p->range.off, next;
	enum rfs_likeness now, run = RFS_EQUAL;
	int r = 0;

	for (uint64_t off = from; off < end && r == 0; off = next) {
		next = (off | (c->unit - 1)) + 1;
		if (next > end)
			next = end;
		now = judge(p, job, rfs_range_to(off, next));
		if (now == run)
			continue;
		r = mark(c, rfs_range_to(from, off), run);
		from = off;
		run = now;
	}
	return r == 0 ? mark(c, rfs_range_to(from, end), run) : r;
}

static int compare_piece(struct comparing *c, struct piece *p,
			 const struct job *job, struct rfs_error *err)
{
	struct rfs_range all = rfs_range(p->range.off, p->range.len);
	int r;

	r = read_side(c->config->a, job->a_is_hole, p->range, p->a, &p->bad_a,
		      err);
	if (r == 0)
		r = read_side(c->config->b, job->b_is_hole, p->range, p->b,
			      &p->bad_b, err);
	if (r < 0)
		return r;
	/* What is equal is told by one look. */
	if (judge(p, job, all) == RFS_EQUAL)
		return 0;
	r = judge_all(c, p, job);
	return r < 0 ? rfs_no_memory(err) : 0;
}

static int compare_job(struct comparing *c, struct piece *p,
		       const struct job *job, struct rfs_error *err)
{
	uint64_t end = rfs_range_end(job->range), next;
	int r = 0;

	for (uint64_t off = job->range.off; off < end && r == 0; off = next) {
		next = off - off % PIECE + PIECE;
		if (next > end)
			next = end;
		p->range = rfs_range_to(off, next);
		r = compare_piece(c, p, job, err);
	}
	return r;
}

/* False: there is nothing more to do. */
static bool take_job(struct comparing *c, struct job *ret)
{
	bool any;

	pthread_mutex_lock(&c->lock);
	while (!c->count && !c->ends && !c->failed)
		pthread_cond_wait(&c->moved, &c->lock);
	any = c->count && !c->failed;
	if (any) {
		*ret = c->jobs[c->first];
		c->first = (c->first + 1) % QUEUE;
		c->count--;
		pthread_cond_broadcast(&c->moved);
	}
	pthread_mutex_unlock(&c->lock);
	return any;
}

static void *reader_main(void *data)
{
	struct comparing *c = data;
	struct rfs_error err = RFS_ERROR_INIT;
	uint8_t *bufs = aligned_alloc(PAGE, 2 * PIECE);
	struct piece p = { .a = bufs, .b = bufs ? bufs + PIECE : NULL };
	struct job job;
	int r = bufs ? 0 : rfs_no_memory(&err);

	while (r == 0 && take_job(c, &job)) {
		r = compare_job(c, &p, &job, &err);
		pthread_mutex_lock(&c->lock);
		c->done += job.range.len;
		pthread_mutex_unlock(&c->lock);
	}
	if (r < 0)
		fail(c, r, &err);
	rfs_ranges_fini(&p.bad_a);
	rfs_ranges_fini(&p.bad_b);
	free(bufs);
	return NULL;
}

/*
 * What is known without reading.
 */

/* Of a window. */
struct window {
	struct rfs_extents extents_a, extents_b;
	struct rfs_seats seats_a, seats_b;
	size_t ea, eb, sa, sb; /* where we are in each */
};

static void show(struct comparing *c)
{
	const struct rfs_compare_config *config = c->config;
	uint64_t done, unreadable;

	if (!config->progress)
		return;
	pthread_mutex_lock(&c->lock);
	done = c->done;
	unreadable = c->unreadable;
	pthread_mutex_unlock(&c->lock);
	config->progress(config->data, done, c->both, unreadable);
}

/* Waits for room; what failed meanwhile ends it. */
static int put_job(struct comparing *c, const struct job *job)
{
	int r;

	show(c);
	pthread_mutex_lock(&c->lock);
	while (c->count == QUEUE && !c->failed)
		pthread_cond_wait(&c->moved, &c->lock);
	r = c->failed;
	if (r == 0) {
		c->jobs[(c->first + c->count++) % QUEUE] = *job;
		pthread_cond_broadcast(&c->moved);
	}
	pthread_mutex_unlock(&c->lock);
	return r;
}

static int put_range(struct comparing *c, struct job job)
{
	uint64_t end = rfs_range_end(job.range), next;
	int r = 0;

	/* Pieces begin at multiples of their size, and blocks with them. */
	for (uint64_t off = job.range.off; off < end && r == 0; off = next) {
		next = off - off % PIECE + PIECE;
		if (next > end)
			next = end;
		job.range = rfs_range_to(off, next);
		r = put_job(c, &job);
	}
	return r;
}

static void skip(struct comparing *c, struct rfs_range range, uint64_t *what)
{
	*what += range.len;
	pthread_mutex_lock(&c->lock);
	c->done += range.len;
	pthread_mutex_unlock(&c->lock);
}

static bool is_same_seat(const struct rfs_seat *a, const struct rfs_seat *b,
			 uint64_t off)
{
	return a->of && b->of &&
	       a->off - a->range.off == b->off - b->range.off &&
	       off >= a->range.off && off >= b->range.off &&
	       (a->of == b->of || strcmp(a->of, b->of) == 0);
}

/* A stretch in which nothing changes on either side. */
static int plan_stretch(struct comparing *c, const struct window *w,
			struct rfs_range range)
{
	enum rfs_content a = w->extents_a.items[w->ea].content;
	enum rfs_content b = w->extents_b.items[w->eb].content;
	struct job job = { range, a == RFS_HOLE, b == RFS_HOLE };

	if (job.a_is_hole && job.b_is_hole) {
		skip(c, range, &c->out->holes);
		return 0;
	}
	if (a == RFS_DATA && b == RFS_DATA && !c->config->read_shared &&
	    is_same_seat(&w->seats_a.items[w->sa], &w->seats_b.items[w->sb],
			 range.off)) {
		skip(c, range, &c->out->shared);
		return 0;
	}
	return put_range(c, job);
}

#define STEP(list, at, off)                                                    \
	while ((at) < (list).count &&                                          \
	       rfs_range_end((list).items[at].range) <= (off))                 \
	(at)++

#define NEARER(list, at, end)                                                  \
	(rfs_range_end((list).items[at].range) < (end)                         \
		 ? rfs_range_end((list).items[at].range)                       \
		 : (end))

static int plan(struct comparing *c, struct window *w, struct rfs_range range)
{
	uint64_t end;
	int r = 0;

	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = end) {
		STEP(w->extents_a, w->ea, off);
		STEP(w->extents_b, w->eb, off);
		STEP(w->seats_a, w->sa, off);
		STEP(w->seats_b, w->sb, off);
		end = NEARER(w->extents_a, w->ea, rfs_range_end(range));
		end = NEARER(w->extents_b, w->eb, end);
		end = NEARER(w->seats_a, w->sa, end);
		end = NEARER(w->seats_b, w->sb, end);
		r = plan_stretch(c, w, rfs_range_to(off, end));
	}
	return r;
}

/* Whatever a side cannot tell is read: what it could be is data. */
static int look(struct rfs_reader *rd, struct rfs_range range,
		struct rfs_extents *extents, struct rfs_seats *seats,
		struct rfs_error *err)
{
	uint64_t from = extents->count;
	int r = rfs_reader_extents(rd, range, extents, err);

	if (rfs_is_own_want(r))
		return r;
	if (r < 0) {
		extents->count = from;
		r = rfs_extents_add(extents, range, RFS_DATA);
	}
	if (r == 0)
		r = rfs_reader_seats(rd, range, seats, err);
	if (r < 0 && !rfs_is_own_want(r)) {
		rfs_seats_clear(seats);
		r = rfs_seats_add(seats, range, NULL, 0);
	}
	return r;
}

static int plan_window(struct comparing *c, struct rfs_range range,
		       struct rfs_error *err)
{
	struct window w = { 0 };
	int r;

	r = look(c->config->a, range, &w.extents_a, &w.seats_a, err);
	if (r == 0)
		r = look(c->config->b, range, &w.extents_b, &w.seats_b, err);
	if (r == 0)
		r = plan(c, &w, range);
	rfs_extents_fini(&w.extents_a);
	rfs_extents_fini(&w.extents_b);
	rfs_seats_fini(&w.seats_a);
	rfs_seats_fini(&w.seats_b);
	return r;
}

static void plan_all(struct comparing *c)
{
	struct rfs_range all = rfs_range(0, c->both), window;
	struct rfs_error err = RFS_ERROR_INIT;
	int r = 0;

	for (uint64_t off = 0; off < c->both && r == 0;
	     off = rfs_range_end(window)) {
		window = rfs_range_cut(rfs_range(off, WINDOW), all);
		r = plan_window(c, window, &err);
		show(c);
	}
	if (r < 0)
		fail(c, r, &err);
	pthread_mutex_lock(&c->lock);
	c->ends = true;
	pthread_cond_broadcast(&c->moved);
	pthread_mutex_unlock(&c->lock);
}

/*
 * All of it.
 */

/* A block that differs anywhere differs wholly. */
static int widen(struct comparing *c)
{
	struct rfs_comparison *out = c->out;
	struct rfs_range all = rfs_range(0, c->both), wide;
	struct rfs_run run, gap;
	int r = 0;

	for (uint64_t off = 0; off < all.len && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find_in(&out->map, off, all);
		run.range = rfs_range_to(off, rfs_range_end(run.range));
		if (run.value == RFS_EQUAL)
			continue;
		wide = rfs_range_cut(
			rfs_range_widen(run.range, c->config->block), all);
		for (uint64_t at = wide.off; at < rfs_range_end(wide) && r == 0;
		     at = rfs_range_end(gap.range)) {
			gap = rfs_extmap_find_in(&out->map, at, wide);
			gap.range = rfs_range_to(at, rfs_range_end(gap.range));
			if (gap.value == RFS_EQUAL)
				r = rfs_extmap_set(&out->map, gap.range,
						   run.value);
		}
	}
	return r;
}

static int sum_up(struct comparing *c, struct rfs_error *err)
{
	struct rfs_comparison *out = c->out;
	uint64_t size = rfs_comparison_size(out);
	struct rfs_run run;
	int r = 0;

	if (c->config->block > c->unit)
		r = widen(c);
	if (r == 0)
		r = rfs_extmap_set(&out->map, rfs_range_to(c->both, size),
				   out->size_a > out->size_b ? RFS_ONLY_IN_A
							     : RFS_ONLY_IN_B);
	if (r < 0)
		return rfs_no_memory(err);
	for (uint64_t off = 0; off < size; off = rfs_range_end(run.range)) {
		run = rfs_comparison_find(out, off);
		out->totals[run.value] += run.range.len;
	}
	return 0;
}

static int run(struct comparing *c, struct rfs_error *err)
{
	pthread_t threads[THREADS];
	size_t n = 0;
	int r = 0;

	for (; n < THREADS && r == 0; n += r == 0)
		r = pthread_create(&threads[n], NULL, reader_main, c);
	if (n)
		plan_all(c);
	for (size_t i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	if (!n)
		return rfs_fail(err, r, "cannot start a thread: %s",
				strerror(r));
	show(c);
	if (c->failed)
		return rfs_fail(err, -c->failed, "%s", c->why.text);
	return sum_up(c, err);
}

int rfs_compare(const struct rfs_compare_config *config,
		struct rfs_comparison *ret, struct rfs_error *err)
{
	struct rfs_comparison out = { .size_a = rfs_reader_size(config->a),
				      .size_b = rfs_reader_size(config->b) };
	struct comparing c = {
		.config = config,
		.out = &out,
		.both = out.size_a < out.size_b ? out.size_a : out.size_b,
		.unit = config->block < UNIT_MOST ? config->block : UNIT_MOST,
	};
	int r;

	pthread_mutex_init(&c.lock, NULL);
	pthread_cond_init(&c.moved, NULL);
	r = run(&c, err);
	pthread_cond_destroy(&c.moved);
	pthread_mutex_destroy(&c.lock);
	if (r < 0)
		rfs_comparison_fini(&out);
	else
		*ret = out;
	return r;
}

void rfs_comparison_fini(struct rfs_comparison *c)
{
	rfs_extmap_fini(&c->map);
	*c = (struct rfs_comparison){ 0 };
}

struct rfs_run rfs_comparison_find(const struct rfs_comparison *c, uint64_t off)
{
	struct rfs_range all = rfs_range_to(off, rfs_comparison_size(c));

	return rfs_extmap_find_in(&c->map, off, all);
}

uint64_t rfs_comparison_size(const struct rfs_comparison *c)
{
	return c->size_a > c->size_b ? c->size_a : c->size_b;
}

bool rfs_comparison_is_equal(const struct rfs_comparison *c)
{
	return c->totals[RFS_EQUAL] == rfs_comparison_size(c);
}

const char *rfs_likeness_name(enum rfs_likeness likeness)
{
	static const char *const names[RFS_LIKENESSES] = {
		[RFS_EQUAL] = "equal",
		[RFS_DIFFERENT] = "different",
		[RFS_HOLE_IN_A] = "hole in A",
		[RFS_HOLE_IN_B] = "hole in B",
		[RFS_UNREADABLE_IN_A] = "unreadable in A",
		[RFS_UNREADABLE_IN_B] = "unreadable in B",
		[RFS_UNREADABLE_IN_BOTH] = "unreadable in both",
		[RFS_ONLY_IN_A] = "only in A",
		[RFS_ONLY_IN_B] = "only in B",
	};

	return names[likeness];
}
