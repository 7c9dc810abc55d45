// SPDX-License-Identifier: GPL-3.0-or-later
/* The passes of a fetch, each over some areas of one file.
 *
 * An area is where the pass is to look; what is there is asked anew before each
 * request, as others read the file too.
 */
#include "readers/fetch_parts.h"

#define PIECE	RFS_MEDIUM_STEP /* of a request near errors, in bytes */
#define MESSAGE (8 * PIECE)	/* of several to the worker, at the least */

#define SKIP	 PIECE	    /* after the first error; doubles up to */
#define SKIP_MAX (1u << 30) /* or the hundredth part of the file */

/* A copying pass over one file. */
struct copy {
	struct rfs_fetch *f;
	struct rfs_rescue *r;
	bool skips;
	uint64_t clean;	 /* bytes since the last error */
	uint64_t skip;	 /* the last one; 0: the last request was well */
	uint64_t most;	 /* of a skip */
	bool missed;	 /* there was no answer, and little was well since */
	uint64_t resume; /* nothing before it, or going back behind it */
	struct rfs_error *err;
};

static struct copy begin_copy(struct rfs_fetch *f, struct rfs_rescue *r,
			      bool skips, struct rfs_error *err)
{
	uint64_t most = rfs_rescue_size(r) / 100;

	most -= most % PIECE;
	most = most < SKIP ? SKIP : most;
	return (struct copy){ .f = f,
			      .r = r,
			      .skips = skips,
			      .most = most < SKIP_MAX ? most : SKIP_MAX,
			      .err = err };
}

/* Bytes of the next message.  All of one that gets no answer is late. */
static uint64_t message_of(const struct copy *c, uint64_t step)
{
	return step < MESSAGE && !c->missed ? MESSAGE : step;
}

/* Asks for a piece, in units of 'unit' bytes; 0: all at once.  1: *ret_done bytes
 * of it are dealt with, 0: look anew. */
static int copy_piece(struct copy *c, struct rfs_range piece,
		      struct rfs_run seen, uint64_t unit, uint64_t *ret_done)
{
	const struct rfs_rescue_way way = { .unit = unit };
	int r = rfs_fetch_ask(c->f, c->r, piece, seen, way, ret_done, c->err);

	if (r == -EAGAIN)
		return 0;
	if (r < 0)
		return r;
	c->clean = r == RFS_FETCH_GOT ? c->clean + piece.len : 0;
	c->missed = r == RFS_FETCH_MISSED || (c->missed && c->clean < MESSAGE);
	/* What came before the failure was well. */
	if (r == RFS_FETCH_GOT || !c->skips || (unit && *ret_done > unit))
		c->skip = 0;
	if (r != RFS_FETCH_GOT && c->skips)
		c->skip = c->skip ? 2 * c->skip : SKIP;
	if (c->skip > c->most)
		c->skip = c->most;
	return 1;
}

/* Pieces end where the store's chunks do. */
static int copy_area(struct copy *c, struct rfs_range area)
{
	uint64_t pos = area.off, end = rfs_range_end(area), to, step, done;
	struct rfs_run run;
	int r;

	while (pos < end) {
		if (pos < c->resume) {
			pos = c->resume;
			continue;
		}
		run = rfs_rescue_find(c->r, pos, rfs_range_to(pos, end));
		if (run.value != RFS_RESCUE_NOT) {
			pos = rfs_range_end(run.range);
			continue;
		}
		step = rfs_medium_step_after(c->clean);
		to = pos + message_of(c, step) - pos % PIECE;
		if (to > rfs_range_end(run.range))
			to = rfs_range_end(run.range);
		r = copy_piece(c, rfs_range_to(pos, to), run, step, &done);
		if (r < 0)
			return r;
		if (r > 0) {
			pos += done;
			c->resume = pos + c->skip;
		}
	}
	return 0;
}

static int copy_all(struct copy *c, const struct rfs_ranges *areas)
{
	int r = 0;

	for (size_t i = 0; i < areas->count && r == 0; i++)
		r = copy_area(c, areas->items[i]);
	return r;
}

int rfs_fetch_copy(struct rfs_fetch *f, struct rfs_rescue *r,
		   const struct rfs_ranges *areas, struct rfs_error *err)
{
	struct copy c = begin_copy(f, r, true, err);

	return copy_all(&c, areas);
}

int rfs_fetch_sweep(struct rfs_fetch *f, struct rfs_rescue *r,
		    const struct rfs_ranges *areas, struct rfs_error *err)
{
	struct copy c = begin_copy(f, r, false, err);

	return copy_all(&c, areas);
}

/* The last run of 'range', which is not empty. */
static struct rfs_run last_run(struct rfs_rescue *r, struct rfs_range range)
{
	struct rfs_run run;
	uint64_t pos = range.off;

	do {
		run = rfs_rescue_find(r, pos, range);
		pos = rfs_range_end(run.range);
	} while (pos < rfs_range_end(range));
	return run;
}

static int copy_area_back(struct copy *c, struct rfs_range area)
{
	uint64_t pos = rfs_range_end(area), from, step, done;
	struct rfs_run run;
	int r;

	while (pos > area.off) {
		if (pos > c->resume) {
			pos = c->resume;
			continue;
		}
		step = rfs_medium_step_after(c->clean);
		from = pos > step ? pos - step : 0;
		from += (PIECE - from % PIECE) % PIECE;
		from = from < pos && from > area.off ? from : area.off;
		run = last_run(c->r, rfs_range_to(from, pos));
		if (run.value != RFS_RESCUE_NOT) {
			pos = run.range.off;
			continue;
		}
		r = copy_piece(c, run.range, run, 0, &done);
		if (r < 0)
			return r;
		if (r > 0) {
			pos = run.range.off;
			c->resume = pos > c->skip ? pos - c->skip : 0;
		}
	}
	return 0;
}

int rfs_fetch_copy_back(struct rfs_fetch *f, struct rfs_rescue *r,
			const struct rfs_ranges *areas, struct rfs_error *err)
{
	struct copy c = begin_copy(f, r, true, err);
	int e = 0;

	c.resume = UINT64_MAX;
	for (size_t i = areas->count; i > 0 && e == 0; i--)
		e = copy_area_back(&c, areas->items[i - 1]);
	return e;
}

/*
 * Granule by granule.
 */

/* How many are asked for in one go, each by itself: a reader in the foreground
 * waits for no more. */
#define BATCH 16

/* What ends it. */
enum until {
	UNTIL_END,
	UNTIL_FAILED,
	UNTIL_MISSED, /* and then each is asked for in a request of its own */
};

static bool is_over(enum until until, int answer)
{
	return (until == UNTIL_FAILED && answer != RFS_FETCH_GOT) ||
	       (until == UNTIL_MISSED && answer == RFS_FETCH_MISSED);
}

static uint64_t batch_of(struct rfs_rescue *r, enum until until)
{
	return rfs_rescue_granule(r) * (until == UNTIL_MISSED ? 1ull : BATCH);
}

/* Asks for granules of 'area' that have 'status', from the front.  *ret_pos: how
 * far it came. */
static int ask_singly(struct rfs_fetch *f, struct rfs_rescue *r,
		      struct rfs_range area, enum rfs_rescue_status status,
		      enum until until, uint64_t *ret_pos,
		      struct rfs_error *err)
{
	const struct rfs_rescue_way singly = { .unit = rfs_rescue_granule(r) };
	uint64_t pos = area.off, end = rfs_range_end(area), batch, done;
	struct rfs_range piece;
	struct rfs_run run;
	int e = RFS_FETCH_GOT;

	while (pos < end && !is_over(until, e)) {
		run = rfs_rescue_find(r, pos, rfs_range_to(pos, end));
		if (run.value != status) {
			pos = rfs_range_end(run.range);
			continue;
		}
		batch = batch_of(r, until);
		piece = rfs_range_cut(rfs_range(pos - pos % batch, batch),
				      run.range);
		e = rfs_fetch_ask(f, r, piece, run, singly, &done, err);
		if (e == -EAGAIN)
			continue;
		if (e < 0)
			return e;
		pos += done;
	}
	*ret_pos = pos;
	return 0;
}

/* The same from the back. */
static int ask_singly_back(struct rfs_fetch *f, struct rfs_rescue *r,
			   struct rfs_range area, enum rfs_rescue_status status,
			   enum until until, uint64_t *ret_pos,
			   struct rfs_error *err)
{
	const struct rfs_rescue_way back = { .unit = rfs_rescue_granule(r),
					     .back = true };
	uint64_t pos = rfs_range_end(area), batch, done, from;
	struct rfs_run run;
	int e = RFS_FETCH_GOT;

	while (pos > area.off && !is_over(until, e)) {
		batch = pos % rfs_rescue_granule(r)
				? rfs_rescue_granule(r) /* the file's last */
				: batch_of(r, until);
		from = pos - 1 - (pos - 1) % batch;
		from = from > area.off ? from : area.off;
		run = last_run(r, rfs_range_to(from, pos));
		if (run.value != status) {
			pos = run.range.off;
			continue;
		}
		e = rfs_fetch_ask(f, r, run.range, run, back, &done, err);
		if (e == -EAGAIN)
			continue;
		if (e < 0)
			return e;
		pos -= done;
	}
	*ret_pos = pos;
	return 0;
}

/* What is between its ends is known to be near the error on both sides. */
static int set_edged(struct rfs_rescue *r, struct rfs_range area,
		     struct rfs_error *err)
{
	struct rfs_run run;
	int e = 0;

	for (uint64_t pos = area.off; pos < rfs_range_end(area) && e == 0;
	     pos = rfs_range_end(run.range)) {
		run = rfs_rescue_find(r, pos, area);
		if (run.value == RFS_RESCUE_NEAR)
			e = rfs_rescue_set(r, run.range, RFS_RESCUE_EDGED, err);
	}
	return e;
}

int rfs_fetch_trim(struct rfs_fetch *f, struct rfs_rescue *r,
		   const struct rfs_ranges *areas, struct rfs_error *err)
{
	struct rfs_range area;
	uint64_t from, to;
	int e = 0;

	for (size_t i = 0; i < areas->count && e == 0; i++) {
		area = areas->items[i];
		e = ask_singly(f, r, area, RFS_RESCUE_NEAR, UNTIL_FAILED, &from,
			       err);
		if (e < 0)
			break;
		area = rfs_range_to(from, rfs_range_end(area));
		e = ask_singly_back(f, r, area, RFS_RESCUE_NEAR, UNTIL_FAILED,
				    &to, err);
		if (e == 0)
			e = set_edged(r, rfs_range_to(from, to), err);
	}
	return e;
}

static int all_singly(struct rfs_fetch *f, struct rfs_rescue *r,
		      const struct rfs_ranges *areas,
		      enum rfs_rescue_status status, struct rfs_error *err)
{
	uint64_t pos;
	int e = 0;

	for (size_t i = 0; i < areas->count && e == 0; i++)
		e = ask_singly(f, r, areas->items[i], status, UNTIL_END, &pos,
			       err);
	return e;
}

int rfs_fetch_scrape(struct rfs_fetch *f, struct rfs_rescue *r,
		     const struct rfs_ranges *areas, struct rfs_error *err)
{
	return all_singly(f, r, areas, RFS_RESCUE_EDGED, err);
}

int rfs_fetch_again(struct rfs_fetch *f, struct rfs_rescue *r,
		    const struct rfs_ranges *areas, struct rfs_error *err)
{
	return all_singly(f, r, areas, RFS_RESCUE_BAD, err);
}

int rfs_fetch_again_back(struct rfs_fetch *f, struct rfs_rescue *r,
			 const struct rfs_ranges *areas, struct rfs_error *err)
{
	uint64_t pos;
	int e = 0;

	for (size_t i = areas->count; i > 0 && e == 0; i--)
		e = ask_singly_back(f, r, areas->items[i - 1], RFS_RESCUE_BAD,
				    UNTIL_END, &pos, err);
	return e;
}

/* From both ends up to what is late again: that stays so. */
int rfs_fetch_late(struct rfs_fetch *f, struct rfs_rescue *r,
		   const struct rfs_ranges *areas, struct rfs_error *err)
{
	struct rfs_range area;
	uint64_t pos;
	int e = 0;

	for (size_t i = 0; i < areas->count && e == 0; i++) {
		area = areas->items[i];
		e = ask_singly(f, r, area, RFS_RESCUE_LATE, UNTIL_MISSED, &pos,
			       err);
		if (e == 0)
			e = ask_singly_back(
				f, r, rfs_range_to(pos, rfs_range_end(area)),
				RFS_RESCUE_LATE, UNTIL_MISSED, &pos, err);
	}
	return e;
}
