// SPDX-License-Identifier: GPL-3.0-or-later
/* Was the disk made smaller since the copy, and as large again?
 *
 * No header tells.  Making it smaller lets go of all clusters from some place of
 * the disk on, and what is written later takes them.  So a cluster that is still
 * what it was for the copy shows that the disk was never cut below it: of what lies
 * before it in the disk, nothing was let go of in this way.  Such a cluster is one
 * whose entry can be read in both and agrees, which the judge sees by himself; or,
 * where the entry is lost, one in which still lie bytes that the copy has there.
 *
 * These are looked for from the end of the disk down, as that tells of all the rest:
 * one by one, then in steps that double, so that a copy with a million clusters costs
 * some hundred reads at the most, and as a rule one or two.
 */
#include "readers/qcow2_heal.h"

#include <errno.h>
#include <stdlib.h>

#define PIECE	  4096u /* bytes that a guest writes at once */
#define EACH_STEP 16u	/* clusters looked at before the step doubles */

struct search {
	struct rfs_qcow2_healing *h;
	struct rfs_qcow2_judged *w;
	uint64_t step, looked, skip;
	uint8_t *ours, *theirs; /* a cluster each */
	bool is_late, is_found;
};

/* Bytes that are all the same are in many places. */
static bool says_something(const uint8_t *p, size_t len)
{
	return memcmp(p, p + 1, len - 1) != 0;
}

static int read_there(struct rfs_reader *file, struct rfs_range range,
		      uint8_t *buf, struct rfs_error *err)
{
	int r = rfs_range_fits(range, rfs_reader_size(file))
			? rfs_reader_read(file, range, buf, NULL, err)
			: -EIO;

	/* All else tells nothing. */
	return r == -ETIMEDOUT || r == -ENOMEM ? r : r < 0;
}

/* 1: part of that cluster is as it was. */
static int is_kept(struct search *s, const struct rfs_qcow2_entry *e,
		   struct rfs_error *err)
{
	uint64_t len = s->h->q->cluster_size;
	uint64_t piece = rfs_qcow2_min(len, PIECE);
	struct rfs_range range = rfs_range(e->host, len);
	int r;

	if (e->kind == RFS_QCOW2_PACKED)
		return rfs_qcow2_is_packed_alike(s->h, s->w, e);
	r = read_there(s->w->file, range, s->theirs, err);
	if (r == 0)
		r = read_there(s->h->q->file, range, s->ours, err);
	/* One that hangs does not keep the others from showing it. */
	s->is_late = s->is_late || r == -ETIMEDOUT;
	if (r)
		return r == -ENOMEM ? r : 0;
	for (uint64_t at = 0; at < len; at += piece)
		if (memcmp(s->ours + at, s->theirs + at, piece) == 0 &&
		    says_something(s->ours + at, piece))
			return 1;
	return 0;
}

/* Whether this one of those that may show it is to be looked at. */
static bool is_next(struct search *s)
{
	if (s->skip) {
		s->skip--;
		return false;
	}
	if (++s->looked % EACH_STEP == 0)
		s->step *= 2;
	s->skip = s->step - 1;
	return true;
}

/* Free: no entry that can be read leads there. */
static bool may_show(const struct search *s, const struct rfs_qcow2_entry *e)
{
	return e->kind == RFS_QCOW2_PACKED ||
	       (e->kind == RFS_QCOW2_STORED &&
		rfs_qcow2_is_free_for(s->h, s->w, e->host));
}

/* 1: the table of that L1 entry has one. */
static int look_in(struct search *s, uint64_t index, struct rfs_error *err)
{
	const struct rfs_qcow2 *q = s->w->q;
	uint64_t n = 1ull << (q->span_bits - q->cluster_bits);
	uint64_t guest, least = s->w->says.kept;
	struct rfs_qcow2_entry e;
	struct rfs_qcow2_l2 *l2;
	int r = rfs_qcow2_l2_get(s->w->q, s->w->tables[index], &l2, err);

	if (r < 0)
		return r;
	while (n-- && r == 0) {
		guest = (index << q->span_bits) + (n << q->cluster_bits);
		if (guest < least)
			break;
		e = rfs_qcow2_entry_of(q, &l2->table, guest);
		if (!may_show(s, &e))
			continue;
		r = is_next(s) ? is_kept(s, &e, err) : 0;
		s->is_found = r > 0;
		if (s->is_found)
			s->w->says.kept = guest + q->cluster_size;
		else
			s->w->says.is_cut = true;
	}
	rfs_qcow2_l2_put(l2);
	return r;
}

int rfs_qcow2_find_kept(struct rfs_qcow2_healing *h, struct rfs_qcow2_judged *w,
			struct rfs_error *err)
{
	uint64_t size = h->q->cluster_size, index = w->q->l1.len / 8;
	struct search s = { .h = h, .w = w, .step = 1 };
	int r = 0;

	s.ours = malloc(2 * size);
	if (!s.ours)
		return rfs_no_memory(err);
	s.theirs = s.ours + size;
	while (index-- && r == 0 &&
	       (index + 1) << h->q->span_bits > w->says.kept)
		if (w->tables[index])
			r = look_in(&s, index, err);
	free(s.ours);
	/* The verdict stands, and is not to be worse for that: another time. */
	if (r == 0 && s.is_late && !s.is_found)
		r = rfs_fail(err, ETIMEDOUT,
			     "%s: a cluster was not read in time",
			     rfs_reader_name(h->q->file));
	return r < 0 ? r : 0;
}
