// SPDX-License-Identifier: GPL-3.0-or-later
/* heal.c - several files that hold the same bytes, read as one.
 *
 * The first gives what it can; each of the others is asked only for what all
 * before it failed to give.
 *
 * trace says who gave what was healed since this was opened, and of the rest
 * what the members know: a guard says "nobody" of what it will not ask for,
 * and then the next member is the one that will be asked.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "readers/heal_parts.h"

/* Only 'trace' would miss it: no memory is no failure here. */
static void note_given(struct rfs_heal *h, struct rfs_range range,
		       size_t member)
{
	if (!range.len || !member)
		return;
	pthread_rwlock_wrlock(&h->lock);
	rfs_extmap_set(&h->given, range, (uint32_t)member);
	pthread_rwlock_unlock(&h->lock);
}

/* A member did not answer in time for these: another day it may give them. */
static int add_late(struct rfs_ranges *late, const struct rfs_ranges *failed)
{
	int r = 0;

	for (size_t i = 0; i < failed->count && r == 0; i++)
		r = rfs_ranges_add(late, failed->items[i]);
	return r;
}

static int take(struct rfs_healing *q, size_t member, struct rfs_range given)
{
	if (!given.len)
		return 0;
	note_given(q->h, given, member);
	return rfs_heal_settle(q, member, given);
}

/* Asks one member for what is missing of 'range', and appends what it cannot
 * give either to q->left.  Returns what it said, or -ENOMEM, which with
 * *ret_fatal set is ours. */
static int ask_member(struct rfs_healing *q, size_t member,
		      struct rfs_range range, bool *ret_fatal,
		      struct rfs_error *err)
{
	struct rfs_ranges failed = { 0 };
	uint64_t off = range.off;
	int said, r = 0;

	said = rfs_reader_read(q->h->members[member].reader, range,
			       q->buf + (range.off - q->range.off), &failed,
			       err);
	*ret_fatal = said == -ENOMEM;
	if (said < 0 && !rfs_read_is_partial(said)) {
		rfs_ranges_fini(&failed);
		/* Our own want says nothing of the copy. */
		if (!*ret_fatal && rfs_ranges_add(&q->left, range) == 0)
			return said;
		*ret_fatal = true;
		return -ENOMEM;
	}
	if (said == -ETIMEDOUT)
		r = add_late(&q->late, &failed);
	for (size_t i = 0; i < failed.count && r == 0; i++) {
		r = take(q, member, rfs_range_to(off, failed.items[i].off));
		off = rfs_range_end(failed.items[i]);
		if (r == 0)
			r = rfs_ranges_add(&q->left, failed.items[i]);
	}
	if (r == 0)
		r = take(q, member, rfs_range_to(off, rfs_range_end(range)));
	rfs_ranges_fini(&failed);
	*ret_fatal = r < 0;
	return r < 0 ? r : said;
}

/* Goes on with the other members; q->left becomes what none of them has. */
static int ask_others(struct rfs_healing *q)
{
	struct rfs_ranges missing = { 0 }, swap;
	bool is_fatal = false;
	int r = 0;

	for (size_t k = 1; k < q->h->nmembers && q->left.count && !is_fatal;
	     k++) {
		swap = missing;
		missing = q->left;
		q->left = swap;
		rfs_ranges_clear(&q->left);
		for (size_t i = 0; i < missing.count && !is_fatal; i++)
			r = ask_member(q, k, missing.items[i], &is_fatal, NULL);
	}
	rfs_ranges_fini(&missing);
	return is_fatal ? r : 0;
}

static bool overlaps(const struct rfs_ranges *a, const struct rfs_ranges *b)
{
	for (size_t i = 0; i < a->count; i++)
		for (size_t j = 0; j < b->count; j++)
			if (rfs_range_cut(a->items[i], b->items[j]).len)
				return true;
	return false;
}

/* 'r' is what the first member said, and 'err' its text.  If no byte could be
 * had, that was the failure; else what is left of it are bad sectors, or such
 * as may come another day. */
static int tell_left(const struct rfs_healing *q, int r, struct rfs_ranges *bad,
		     struct rfs_error *err)
{
	const struct rfs_ranges *left = &q->left;
	int told = overlaps(left, &q->late) ? -ETIMEDOUT : -EIO;

	if (!left->count)
		return 0;
	if (r != -EIO && told != -ETIMEDOUT && !q->refused.count &&
	    rfs_ranges_total(left) == q->range.len)
		return r;
	for (size_t i = 0; i < left->count; i++)
		if (rfs_ranges_add(bad, left->items[i]) < 0)
			return rfs_no_memory(err);
	if (q->refused.count)
		return rfs_fail(err, -told,
				"%s: %" PRIu64 " bytes at %" PRIu64
				" are suspect, and the copy that was taken "
				"instead cannot be read now",
				rfs_reader_name(q->h->members[0].reader),
				q->refused.items[0].len,
				q->refused.items[0].off);
	if (q->h->nmembers == 1)
		return told;
	return rfs_context(
		err, told,
		"%" PRIu64 " bytes at %" PRIu64 " are in none of %zu copies",
		left->items[0].len, left->items[0].off, q->h->nmembers);
}

/* What may not be served is left, too. */
static int leave_refused(struct rfs_healing *q)
{
	int r = add_late(&q->left, &q->refused);

	rfs_ranges_sort(&q->left);
	return r;
}

static int heal_read(void *state, struct rfs_range range, void *buf,
		     struct rfs_ranges *bad, struct rfs_error *err)
{
	struct rfs_healing q = { .h = state, .range = range, .buf = buf };
	bool is_fatal;
	int r, r2 = 0;

	r = ask_member(&q, 0, range, &is_fatal, err);
	if (is_fatal)
		r2 = r;
	else if (r < 0)
		r2 = ask_others(&q);
	if (r2 == 0 && q.refused.count)
		r2 = leave_refused(&q);
	rfs_heal_keep(&q);
	r = r2 < 0 ? rfs_no_memory(err) : tell_left(&q, r, bad, err);
	rfs_ranges_fini(&q.left);
	rfs_ranges_fini(&q.late);
	rfs_ranges_fini(&q.refused);
	return r;
}

static int extents_from(struct rfs_heal *h, size_t member,
			struct rfs_range range, struct rfs_extents *out,
			struct rfs_error *err)
{
	struct rfs_extents mine = { 0 };
	struct rfs_extent *e;
	int r;

	r = rfs_reader_extents(h->members[member].reader, range, &mine, err);
	for (size_t i = 0; i < mine.count && r == 0; i++) {
		e = &mine.items[i];
		if (e->content == RFS_UNKNOWN && member + 1 < h->nmembers)
			r = extents_from(h, member + 1, e->range, out, err);
		else if (rfs_heal_extents(h, member, e, out) < 0)
			r = rfs_no_memory(err);
	}
	rfs_extents_fini(&mine);
	return r;
}

static int heal_extents(void *state, struct rfs_range range,
			struct rfs_extents *out, struct rfs_error *err)
{
	return extents_from(state, 0, range, out, err);
}

static int trace_from(struct rfs_heal *h, size_t member, struct rfs_range range,
		      struct rfs_trace *out, struct rfs_error *err)
{
	struct rfs_trace mine = { 0 };
	struct rfs_trace_item *t;
	int r;

	r = rfs_reader_trace(h->members[member].reader, range, &mine, err);
	for (size_t i = 0; i < mine.count && r == 0; i++) {
		t = &mine.items[i];
		if (!t->origin && member + 1 < h->nmembers)
			r = trace_from(h, member + 1, t->range, out, err);
		else if (rfs_heal_trace(h, member, t, out) < 0)
			r = rfs_no_memory(err);
	}
	rfs_trace_fini(&mine);
	return r;
}

static int heal_trace(void *state, struct rfs_range range,
		      struct rfs_trace *out, struct rfs_error *err)
{
	struct rfs_heal *h = state;
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(run.range)) {
		pthread_rwlock_rdlock(&h->lock);
		run = rfs_extmap_find_in(
			&h->given, off,
			rfs_range_to(off, rfs_range_end(range)));
		pthread_rwlock_unlock(&h->lock);
		r = trace_from(h, run.value, run.range, out, err);
	}
	return r;
}

/* The first is the one that is asked.  If what it delivers is doubted, it is on a
 * damaged source, and has no pieces. */
static int heal_pieces(void *state, struct rfs_range range,
		       struct rfs_pieces *out)
{
	const struct rfs_heal *h = state;

	return rfs_reader_pieces(h->members[0].reader, range, out);
}

static int heal_apart(void *state, struct rfs_range range,
		      struct rfs_ranges *out)
{
	const struct rfs_heal *h = state;
	int r = 0;

	for (size_t k = 0; k < h->nmembers && r == 0; k++)
		if (h->members[k].patient)
			r = rfs_rescue_suspects(h->members[k].patient, range,
						out);
	rfs_ranges_sort(out);
	return r;
}

static uint64_t heal_allocated(void *state)
{
	const struct rfs_heal *h = state;

	return rfs_reader_allocated(h->members[0].reader);
}

static int heal_renew(void *state, struct rfs_error *err)
{
	struct rfs_heal *h = state;
	int r = 0;

	pthread_rwlock_wrlock(&h->lock);
	rfs_extmap_fini(&h->given);
	pthread_rwlock_unlock(&h->lock);
	for (size_t i = 0; i < h->nmembers && r == 0; i++) {
		r = rfs_reader_renew(h->members[i].reader, err);
		/* Another disk, which may be written over, stands on a shared
		 * one: what it was shown stays. */
		if (r == 0 && h->members[i].patient && !h->is_shared)
			r = rfs_rescue_forget_verdicts(h->members[i].patient,
						       err);
	}
	return r;
}

static void heal_close(void *state)
{
	struct rfs_heal *h = state;

	for (size_t i = 0; i < h->nmembers; i++)
		rfs_reader_unref(h->members[i].reader);
	rfs_extmap_fini(&h->given);
	pthread_rwlock_destroy(&h->lock);
	free(h);
}

static const struct rfs_reader_ops heal_ops = {
	.kind = "heal",
	.read = heal_read,
	.extents = heal_extents,
	.trace = heal_trace,
	.pieces = heal_pieces,
	.apart = heal_apart,
	.allocated = heal_allocated,
	.renew = heal_renew,
	.close = heal_close,
};

static int check_sizes(struct rfs_reader *const *members, size_t nmembers,
		       struct rfs_error *err)
{
	uint64_t size = rfs_reader_size(members[0]);

	for (size_t i = 1; i < nmembers; i++)
		if (rfs_reader_size(members[i]) != size)
			return rfs_fail(err, EINVAL,
					"%s has %" PRIu64
					" bytes and %s %" PRIu64
					": they cannot hold the same",
					rfs_reader_name(members[0]), size,
					rfs_reader_name(members[i]),
					rfs_reader_size(members[i]));
	return 0;
}

int rfs_heal_open_doubting(struct rfs_reader *const *members, size_t nmembers,
			   const struct rfs_heal_doubts *doubts,
			   struct rfs_reader **ret, struct rfs_error *err)
{
	struct rfs_heal *h;
	int r;

	r = check_sizes(members, nmembers, err);
	if (r < 0)
		return r;
	h = calloc(1, sizeof(*h) + nmembers * sizeof(h->members[0]));
	if (!h)
		return rfs_no_memory(err);
	pthread_rwlock_init(&h->lock, NULL);
	for (size_t i = 0; i < nmembers; i++)
		h->members[i].reader = rfs_reader_ref(members[i]);
	h->nmembers = nmembers;
	if (doubts && doubts->state)
		rfs_heal_prepare(h, doubts);
	return rfs_reader_new(&heal_ops, h, rfs_reader_size(members[0]),
			      rfs_reader_name(members[0]),
			      rfs_reader_origin(members[0]), ret, err);
}

int rfs_heal_open(struct rfs_reader *const *members, size_t nmembers,
		  struct rfs_reader **ret, struct rfs_error *err)
{
	return rfs_heal_open_doubting(members, nmembers, NULL, ret, err);
}
