// SPDX-License-Identifier: GPL-3.0-or-later
/* rescue_read.c - the foreground's way to a file on a dying disk.
 *
 * A read goes along what is known.  What is kept comes from the store; what is
 * bad is refused; of the rest the medium is asked, in requests that begin small,
 * double while all is well and fall back after an error (file_medium.h).  Of one
 * that fails, the sectors from the error on are marked as near one, and are then read
 * one by one: a bad sector is touched twice at the most.  They are asked for
 * together, up to the next that fails, as what is between us and the medium costs
 * more than a good sector.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "readers/rescue_parts.h"
#include "readers/worker_extents.h"

/* So many bytes near an error are asked for together: of what is not delivered in
 * time nobody knows which sector it was, and all of it counts as late. */
#define NEAR_MAX (16u << 10)

/* One read on its way. */
struct job {
	struct rfs_rescue *r;
	struct rfs_range range;
	uint8_t *buf;
	struct rfs_ranges *bad;
	struct rfs_error *err;
	int64_t left_ns;   /* for all of it: then the rest is not waited for */
	uint8_t *bounce;   /* made when it is first needed */
	unsigned int near; /* bytes near an error that are asked for next */
	bool late;	   /* some of 'bad' was not waited for */
	bool learned;	   /* a status must be saved before we answer */
};

/* Adds to the bad ranges; the text is of the first. */
static int give_up(struct job *j, struct rfs_range range, const char *why)
{
	range = rfs_range_cut(range, j->range);
	if (!j->bad->count)
		rfs_fail(j->err, EIO, "%s: %" PRIu64 " bytes at %" PRIu64 " %s",
			 rfs_rescue_name(j->r), range.len, range.off, why);
	return rfs_ranges_add(j->bad, range) < 0 ? rfs_no_memory(j->err) : 0;
}

static int give_up_late(struct job *j, struct rfs_range range, const char *why)
{
	j->late = true;
	return give_up(j, range, why);
}

static int read_kept(struct job *j, struct rfs_range range)
{
	struct rfs_ranges spoilt = { 0 };
	int r;

	r = rfs_store_read(j->r->store, range,
			   j->buf + (range.off - j->range.off), &spoilt,
			   j->err);
	if (r == -EIO) {
		r = 0;
		for (size_t i = 0; i < spoilt.count && r == 0; i++)
			if (rfs_ranges_add(j->bad, spoilt.items[i]) < 0)
				r = rfs_no_memory(j->err);
	}
	rfs_ranges_fini(&spoilt);
	return r;
}

/* The next request: whole granules, as much as the pace allows. */
static struct rfs_range next_piece(struct job *j, struct rfs_run run)
{
	unsigned int granule = rfs_rescue_granule(j->r);
	uint64_t len = rfs_medium_step(&j->r->medium);
	struct rfs_range all = rfs_range_widen(run.range, granule);

	if (run.value == RFS_RESCUE_NEAR)
		len = j->near;
	if ((run.value != RFS_RESCUE_NOT && run.value != RFS_RESCUE_NEAR) ||
	    len < granule)
		len = granule;
	all.len = all.len < len ? all.len : len;
	return rfs_rescue_cut_at_flights(j->r, all);
}

/* Where the bytes of a request go: straight to where they belong, if none of
 * them is from outside of what was asked for. */
static uint8_t *room_for(struct job *j, struct rfs_range piece)
{
	if (piece.off >= j->range.off &&
	    rfs_range_end(piece) <= rfs_range_end(j->range))
		return j->buf + (piece.off - j->range.off);
	if (!j->bounce)
		j->bounce = malloc(RFS_WORKER_ROOM);
	return j->bounce;
}

/* One request.  The time that it took goes off the time for all of them. */
static ssize_t ask(struct job *j, struct rfs_range piece, struct rfs_run seen,
		   struct rfs_rescue_way way, struct rfs_patience *patience)
{
	uint8_t *to = room_for(j, piece);
	int64_t before;
	struct rfs_range got;
	ssize_t n;

	if (!to)
		return -ENOMEM;
	*patience = rfs_worker_patience(j->r->worker);
	before = patience->left_ns;
	n = rfs_rescue_ask(j->r, piece, seen, way, to, false, patience);
	j->left_ns -= before - patience->left_ns;
	if (n > 0 && to == j->bounce) {
		got = rfs_range_cut(rfs_range(piece.off, (uint64_t)n),
				    j->range);
		if (got.len)
			memcpy(j->buf + (got.off - j->range.off),
			       to + (got.off - piece.off), got.len);
	}
	return n;
}

/* It got no answer.  If the medium has it, it is not waited for again; what
 * comes in the end is taken in (rfs_rescue_harvest).  The next begin small: all
 * of one that is late is. */
static int no_answer(struct job *j, struct rfs_range piece, ssize_t n,
		     const struct rfs_patience *patience)
{
	j->near = rfs_rescue_granule(j->r);
	rfs_medium_begin_anew(&j->r->medium);
	if (n == -EINPROGRESS)
		return give_up_late(j, piece,
				    "are being asked for, and were not "
				    "delivered within the deadline");
	if (n == -ETIMEDOUT && patience->left_ns <= 0) {
		j->learned = true;
		rfs_medium_went_wrong(&j->r->medium);
		return give_up_late(j, piece,
				    "were not delivered within the deadline");
	}
	return give_up_late(j, piece,
			    n == -ETIMEDOUT
				    ? "cannot be had now: the source is set "
				      "aside, as it does not answer"
				    : "cannot be had now: the source is gone");
}

/* It failed after 'good' bytes: a short read means that the error is next.  What
 * is near the error is found anew by run_job, and read by the granule. */
static int failed(struct job *j, struct rfs_range piece,
		  struct rfs_rescue_way way, uint64_t good, uint64_t *ret_end)
{
	unsigned int granule = rfs_rescue_granule(j->r);

	j->learned = true;
	j->near = granule;
	rfs_medium_went_wrong(&j->r->medium);
	good -= good % granule;
	if (!way.unit && piece.len > granule) {
		if (piece.off + good > *ret_end)
			*ret_end = piece.off + good;
		return 0;
	}
	piece = rfs_range(piece.off + good, granule);
	/* That nothing more came may be as the device went away meanwhile. */
	if (good &&
	    rfs_rescue_find(j->r, piece.off, piece).value != RFS_RESCUE_BAD) {
		*ret_end = piece.off;
		return 0;
	}
	*ret_end = rfs_range_end(piece);
	return give_up(j, piece, "cannot be read: bad sector");
}

/* All of it was delivered: the next may be twice as large. */
static void quicken(struct job *j, struct rfs_run run, unsigned int len)
{
	if (run.value == RFS_RESCUE_NEAR && len >= j->near &&
	    j->near < NEAR_MAX)
		j->near = 2 * len;
	rfs_medium_went_well(&j->r->medium, len);
}

/* One request for what begins at 'run'; *ret_end is how far it is dealt with. */
static int read_medium(struct job *j, struct rfs_run run, uint64_t *ret_end)
{
	struct rfs_range piece = next_piece(j, run);
	struct rfs_range file = rfs_range(0, rfs_rescue_size(j->r));
	struct rfs_rescue_way way = { 0 };
	struct rfs_patience patience;
	ssize_t n;

	if (run.value == RFS_RESCUE_NEAR)
		way.unit = rfs_rescue_granule(j->r);
	*ret_end = run.range.off;
	n = ask(j, piece, run, way, &patience);
	if (n == -EAGAIN)
		return 0;
	if (n >= 0 && (uint64_t)n >= rfs_range_cut(piece, file).len) {
		quicken(j, run, (unsigned int)piece.len);
		*ret_end = rfs_range_end(piece);
		return 0;
	}
	if (n == 0) {
		*ret_end = rfs_range_end(j->range);
		return give_up(j, rfs_range_to(piece.off, *ret_end),
			       "are not there: the file has become shorter");
	}
	if (n == -ETIMEDOUT || n == -EINPROGRESS ||
	    rfs_rescue_is_away((int)n)) {
		*ret_end = rfs_range_end(piece);
		return no_answer(j, piece, n, &patience);
	}
	if (n < 0 && !rfs_medium_failed((int)-n))
		return rfs_fail(j->err, (int)-n,
				"%s: reading %" PRIu64 " bytes at %" PRIu64
				": %s",
				rfs_rescue_name(j->r), piece.len, piece.off,
				strerror((int)-n));
	return failed(j, piece, way, n > 0 ? (uint64_t)n : 0, ret_end);
}

/* Deals with the run, or with a first part of it. */
static int read_run(struct job *j, struct rfs_run run, uint64_t *ret_end)
{
	*ret_end = rfs_range_end(run.range);
	switch (run.value) {
	case RFS_RESCUE_DONE:
		return read_kept(j, run.range);
	case RFS_RESCUE_BAD:
		return give_up(j, run.range,
			       "failed before and are not asked for again; "
			       "'rescuefs refresh' orders another try");
	case RFS_RESCUE_LATE:
		return give_up_late(
			j, run.range,
			"were not delivered in time before, and "
			"are not waited for again; 'rescuefs fetch' "
			"or 'rescuefs refresh' orders another try");
	case RFS_RESCUE_SPOILT:
		return give_up(j, run.range,
			       "were rescued, but what was kept of them is "
			       "damaged; 'rescuefs refresh' asks the disk "
			       "again");
	default:
		if (j->left_ns <= 0)
			return give_up_late(j, run.range,
					    "were not asked for: the deadline "
					    "passed with what comes before");
		return read_medium(j, run, ret_end);
	}
}

static int run_job(struct job *j)
{
	uint64_t end = rfs_range_end(j->range), to;
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = j->range.off; off < end && r == 0; off = to) {
		run = rfs_rescue_find(j->r, off, j->range);
		r = read_run(j, run, &to);
	}
	free(j->bounce);
	/* On the disk before the reader hears of it (P5).  Where it cannot be
	 * saved it is known as long as this is open, and goes with the next
	 * save: bytes that were read must not be lost for that. */
	if (j->learned)
		rfs_kept_save(&j->r->known, NULL);
	if (r == 0 && j->bad->count)
		r = j->late ? -ETIMEDOUT : -EIO;
	return r;
}

static int rescue_read(void *state, struct rfs_range range, void *buf,
		       struct rfs_ranges *bad, struct rfs_error *err)
{
	struct rfs_rescue *r = state;
	struct job j = {
		.r = r, .range = range, .buf = buf, .bad = bad, .err = err
	};
	struct rfs_run run;

	rfs_rescue_harvest(r);
	if (r->store) {
		run = rfs_store_find(r->store, range.off, range);
		if (run.value == RFS_KEPT_WHOLE && run.range.len == range.len)
			return rfs_store_read(r->store, range, buf, bad, err);
	}
	j.left_ns = rfs_worker_patience(r->worker).left_ns;
	return run_job(&j);
}

static int rescue_extents(void *state, struct rfs_range range,
			  struct rfs_extents *out, struct rfs_error *err)
{
	struct rfs_rescue *r = state;

	if (!r->is_device)
		return rfs_worker_extents(r->worker, r->file, range, out, err);
	return rfs_extents_add(out, range, RFS_DATA) < 0 ? rfs_no_memory(err)
							 : 0;
}

/* What cannot be had has the origin NULL, "nobody gives it"; see heal.c. */
static int rescue_trace(void *state, struct rfs_range range,
			struct rfs_trace *out, struct rfs_error *err)
{
	struct rfs_rescue *r = state;
	struct rfs_run run;
	bool gives;

	for (uint64_t off = range.off; off < rfs_range_end(range);
	     off = rfs_range_end(run.range)) {
		run = rfs_rescue_find(r, off, range);
		gives = run.value != RFS_RESCUE_BAD &&
			run.value != RFS_RESCUE_LATE &&
			run.value != RFS_RESCUE_SPOILT;
		if (rfs_trace_add(out, run.range, gives ? r->origin : NULL) < 0)
			return rfs_no_memory(err);
	}
	return 0;
}

static int rescue_apart(void *state, struct rfs_range range,
			struct rfs_ranges *out)
{
	return rfs_rescue_suspects(state, range, out);
}

static uint64_t rescue_allocated(void *state)
{
	return ((const struct rfs_rescue *)state)->allocated;
}

static int rescue_renew(void *state, struct rfs_error *err)
{
	return rfs_rescue_forgive(state, err);
}

static void rescue_close(void *state)
{
	rfs_rescue_unref(state);
}

static const struct rfs_reader_ops rescue_ops = {
	.kind = "rescue",
	.read = rescue_read,
	.extents = rescue_extents,
	.trace = rescue_trace,
	.apart = rescue_apart,
	.allocated = rescue_allocated,
	.renew = rescue_renew,
	.close = rescue_close,
};

int rfs_rescue_reader(struct rfs_rescue *r, struct rfs_reader **ret,
		      struct rfs_error *err)
{
	return rfs_reader_new(&rescue_ops, rfs_rescue_ref(r), r->size, r->name,
			      r->origin, ret, err);
}

struct rfs_rescue *rfs_rescue_of(const struct rfs_reader *rd)
{
	return rfs_reader_state(rd, &rescue_ops);
}
