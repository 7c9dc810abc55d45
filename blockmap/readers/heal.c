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

#include "core/extmap.h"
#include "readers/readers.h"

struct heal {
	pthread_rwlock_t lock;	 /* guards 'given' */
	struct rfs_extmap given; /* the member that healed; 0: none had to */
	size_t nmembers;
	struct rfs_reader *members[];
};

/* Only 'trace' would miss it: no memory is no failure here. */
static void note_given(struct heal *h, struct rfs_range range, size_t member)
{
	if (!range.len)
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

/* Asks one member for what is missing of 'range', which begins at 'buf', and
 * appends what it cannot give either to 'left'. */
static int ask_member(struct heal *h, size_t member, struct rfs_range range,
		      void *buf, struct rfs_ranges *left,
		      struct rfs_ranges *late)
{
	uint64_t off = range.off;
	struct rfs_ranges failed = { 0 };
	int r;

	r = rfs_reader_read(h->members[member], range, buf, &failed, NULL);
	if (r < 0 && !rfs_read_is_partial(r)) {
		rfs_ranges_fini(&failed);
		/* Our own want says nothing of the copy. */
		return r == -ENOMEM ? r : rfs_ranges_add(left, range);
	}
	r = r == -ETIMEDOUT ? add_late(late, &failed) : 0;
	for (size_t i = 0; i < failed.count && r == 0; i++) {
		note_given(h, rfs_range_to(off, failed.items[i].off), member);
		off = rfs_range_end(failed.items[i]);
		r = rfs_ranges_add(left, failed.items[i]);
	}
	note_given(h, rfs_range_to(off, rfs_range_end(range)), member);
	rfs_ranges_fini(&failed);
	return r;
}

/* Goes on with the other members; 'left' becomes what none of them has. */
static int ask_others(struct heal *h, struct rfs_range range,
		      unsigned char *buf, struct rfs_ranges *left,
		      struct rfs_ranges *late)
{
	struct rfs_ranges missing = { 0 }, swap;
	struct rfs_range m;
	int r = 0;

	for (size_t k = 1; k < h->nmembers && left->count && r == 0; k++) {
		swap = missing;
		missing = *left;
		*left = swap;
		rfs_ranges_clear(left);
		for (size_t i = 0; i < missing.count && r == 0; i++) {
			m = missing.items[i];
			r = ask_member(h, k, m, buf + (m.off - range.off), left,
				       late);
		}
	}
	rfs_ranges_fini(&missing);
	return r;
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
static int tell_left(const struct heal *h, struct rfs_range range, int r,
		     const struct rfs_ranges *left,
		     const struct rfs_ranges *late, struct rfs_ranges *bad,
		     struct rfs_error *err)
{
	int told = overlaps(left, late) ? -ETIMEDOUT : -EIO;

	if (!left->count)
		return 0;
	if (r != -EIO && told != -ETIMEDOUT &&
	    rfs_ranges_total(left) == range.len)
		return r;
	for (size_t i = 0; i < left->count; i++)
		if (rfs_ranges_add(bad, left->items[i]) < 0)
			return rfs_no_memory(err);
	if (h->nmembers == 1)
		return told;
	return rfs_context(err, told,
			   "%" PRIu64 " bytes at %" PRIu64
			   " are in none of %zu copies",
			   left->items[0].len, left->items[0].off, h->nmembers);
}

static int heal_read(void *state, struct rfs_range range, void *buf,
		     struct rfs_ranges *bad, struct rfs_error *err)
{
	struct heal *h = state;
	struct rfs_ranges left = { 0 }, late = { 0 };
	int r, r2 = 0;

	r = rfs_reader_read(h->members[0], range, buf, &left, err);
	if (r == 0 || r == -ENOMEM) {
		rfs_ranges_fini(&left);
		return r;
	}
	if (r == -ETIMEDOUT) {
		r2 = add_late(&late, &left);
	} else if (r != -EIO) {
		rfs_ranges_clear(&left);
		r2 = rfs_ranges_add(&left, range);
	}
	if (r2 == 0)
		r2 = ask_others(h, range, buf, &left, &late);
	r = r2 < 0 ? rfs_no_memory(err)
		   : tell_left(h, range, r, &left, &late, bad, err);
	rfs_ranges_fini(&left);
	rfs_ranges_fini(&late);
	return r;
}

static int extents_from(struct heal *h, size_t member, struct rfs_range range,
			struct rfs_extents *out, struct rfs_error *err)
{
	struct rfs_extents mine = { 0 };
	struct rfs_extent *e;
	int r;

	r = rfs_reader_extents(h->members[member], range, &mine, err);
	for (size_t i = 0; i < mine.count && r == 0; i++) {
		e = &mine.items[i];
		if (e->content == RFS_UNKNOWN && member + 1 < h->nmembers)
			r = extents_from(h, member + 1, e->range, out, err);
		else if (rfs_extents_add(out, e->range, e->content) < 0)
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

static int trace_from(struct heal *h, size_t member, struct rfs_range range,
		      struct rfs_trace *out, struct rfs_error *err)
{
	struct rfs_trace mine = { 0 };
	struct rfs_trace_item *t;
	int r;

	r = rfs_reader_trace(h->members[member], range, &mine, err);
	for (size_t i = 0; i < mine.count && r == 0; i++) {
		t = &mine.items[i];
		if (!t->origin && member + 1 < h->nmembers)
			r = trace_from(h, member + 1, t->range, out, err);
		else if (rfs_trace_add(out, t->range, t->origin) < 0)
			r = rfs_no_memory(err);
	}
	rfs_trace_fini(&mine);
	return r;
}

static int heal_trace(void *state, struct rfs_range range,
		      struct rfs_trace *out, struct rfs_error *err)
{
	struct heal *h = state;
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

static uint64_t heal_allocated(void *state)
{
	const struct heal *h = state;

	return rfs_reader_allocated(h->members[0]);
}

static int heal_renew(void *state, struct rfs_error *err)
{
	struct heal *h = state;
	int r = 0;

	pthread_rwlock_wrlock(&h->lock);
	rfs_extmap_fini(&h->given);
	pthread_rwlock_unlock(&h->lock);
	for (size_t i = 0; i < h->nmembers && r == 0; i++)
		r = rfs_reader_renew(h->members[i], err);
	return r;
}

static void heal_close(void *state)
{
	struct heal *h = state;

	for (size_t i = 0; i < h->nmembers; i++)
		rfs_reader_unref(h->members[i]);
	rfs_extmap_fini(&h->given);
	pthread_rwlock_destroy(&h->lock);
	free(h);
}

static const struct rfs_reader_ops heal_ops = {
	.kind = "heal",
	.read = heal_read,
	.extents = heal_extents,
	.trace = heal_trace,
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

int rfs_heal_open(struct rfs_reader *const *members, size_t nmembers,
		  struct rfs_reader **ret, struct rfs_error *err)
{
	struct heal *h;
	int r;

	r = check_sizes(members, nmembers, err);
	if (r < 0)
		return r;
	h = calloc(1, sizeof(*h) + nmembers * sizeof(h->members[0]));
	if (!h)
		return rfs_no_memory(err);
	pthread_rwlock_init(&h->lock, NULL);
	for (size_t i = 0; i < nmembers; i++)
		h->members[i] = rfs_reader_ref(members[i]);
	h->nmembers = nmembers;
	return rfs_reader_new(&heal_ops, h, rfs_reader_size(members[0]),
			      rfs_reader_name(members[0]),
			      rfs_reader_origin(members[0]), ret, err);
}
