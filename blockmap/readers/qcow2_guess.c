// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * L2 tables that nothing leads to: an entry of the L1 table is lost, and no copy
 * of the image tells it.
 *
 * The file is looked through for clusters that are in use, that no table claims,
 * and that hold nothing but entries which make sense: flagged as their only
 * owner, in bounds, aligned, each to another cluster that is in use once and that
 * nobody claims.  What the guest wrote can look like this too, and a table does not
 * say which part of the disk it maps.  So it is a guess, made only where the site
 * allows it, and used only if one entry is lost and one table is found: that
 * table belongs there.
 *
 * It reads a sector of each such cluster, and the whole of what may be a table.
 */
#include "readers/qcow2_heal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define ENTRIES_LEAST 4 /* fewer say too little */

#define COPIED	 (1ull << 63)
#define RESERVED 0x3f000000000001feull
#define ZERO	 1ull

/* One look through the file. */
struct search {
	const struct rfs_qcow2_healing *h;
	const struct rfs_qcow2 *q;
	const struct rfs_qcow2_census *census;
	uint8_t *claimed;  /* by a table, or by what a usable copy led to */
	uint8_t *taken;	   /* by a table that was found, or as one */
	uint64_t clusters; /* claimed by the tables found */
	struct rfs_qcow2_guess found;
};

static bool is_lone(const struct search *s, uint64_t i)
{
	const struct rfs_qcow2_census *c = s->census;

	return i && i < c->clusters && rfs_qcow2_bit(c->counted, i) &&
	       c->refs[i] == 1 && !rfs_qcow2_bit(s->claimed, i);
}

static bool makes_sense(const struct search *s, uint64_t entry, uint64_t bitmap)
{
	uint64_t host = entry & RFS_QCOW2_OFFSET_MASK;

	if (entry & RFS_QCOW2_PACKED_BIT)
		return !(entry & COPIED) && !bitmap &&
		       rfs_qcow2_packed_host(s->q, entry) < s->q->file_size;
	if (entry & RESERVED || host & (s->q->cluster_size - 1) ||
	    !host != !(entry & COPIED))
		return false;
	if (entry & ZERO && (s->q->extended || s->q->header.version < 3))
		return false;
	if (bitmap & bitmap >> 32)
		return false;
	return !host || is_lone(s, host >> s->q->cluster_bits);
}

/* What can be read of it.  *ret_entries: those with a cluster of their own. */
static bool is_table(const struct search *s, const struct rfs_qcow2_table *t,
		     uint64_t *ret_entries)
{
	uint64_t entry, bitmap = 0, n = 0;

	for (uint64_t at = 0; at + s->q->entry_size <= t->len;
	     at += s->q->entry_size) {
		if (!rfs_qcow2_table_get(t, at, &entry))
			continue;
		if (s->q->extended && !rfs_qcow2_table_get(t, at + 8, &bitmap))
			continue;
		if (!makes_sense(s, entry, bitmap))
			return false;
		n += (entry & COPIED) != 0;
	}
	*ret_entries = n;
	return true;
}

static void take(struct search *s, uint64_t i)
{
	if (rfs_qcow2_bit(s->taken, i))
		s->found.is_contested = true;
	rfs_qcow2_set_bit(s->taken, i);
}

static void take_table(struct search *s, const struct rfs_qcow2_table *t)
{
	uint64_t entry;

	s->found.table = t->off;
	s->found.tables++;
	take(s, t->off >> s->q->cluster_bits);
	for (uint64_t at = 0; at < t->len; at += s->q->entry_size)
		if (rfs_qcow2_table_get(t, at, &entry) && entry & COPIED)
			take(s, (entry & RFS_QCOW2_OFFSET_MASK) >>
					s->q->cluster_bits);
}

/* 1: it is none. */
static int look_at(struct search *s, uint64_t off, uint64_t len,
		   struct rfs_qcow2_table *ret, uint64_t *ret_entries,
		   struct rfs_error *err)
{
	int r = rfs_qcow2_table_load(s->q->file, off, len, ret, err);

	if (r < 0)
		return r;
	if (ret->late)
		r = rfs_fail(err, ETIMEDOUT, "%s: a table was not read in time",
			     rfs_reader_name(s->q->file));
	else if (ret->len < len || !is_table(s, ret, ret_entries))
		r = 1;
	if (r)
		rfs_qcow2_table_fini(ret);
	return r;
}

static int look_through(struct search *s, struct rfs_error *err)
{
	struct rfs_qcow2_table t;
	uint64_t entries;
	int r = 0;

	for (uint64_t i = 1; i < s->census->clusters && r >= 0; i++) {
		uint64_t off = i << s->q->cluster_bits;

		if (!is_lone(s, i))
			continue;
		r = look_at(s, off, RFS_SECTOR, &t, &entries, err);
		if (r)
			continue;
		rfs_qcow2_table_fini(&t);
		r = look_at(s, off, s->q->cluster_size, &t, &entries, err);
		if (r)
			continue;
		if (entries >= ENTRIES_LEAST) {
			take_table(s, &t);
			s->clusters += entries;
		}
		rfs_qcow2_table_fini(&t);
	}
	return r < 0 ? r : 0;
}

/* Entries of the L1 table that neither it nor a copy tells. */
static void count_lost(struct search *s)
{
	struct rfs_qcow2 *q = s->h->q;
	uint64_t n = (q->header.size - 1) / (1ull << q->span_bits) + 1, off;

	for (uint64_t i = 0; i < n && i < q->l1.len / 8; i++) {
		enum rfs_qcow2_kind kind = rfs_qcow2_l1_entry(q, i, &off);
		bool is_told = !rfs_qcow2_is_l1_lost(q, kind, s->census);

		for (size_t k = 0; k < s->h->nwitnesses; k++) {
			const struct rfs_qcow2_judged *w = &s->h->witnesses[k];

			is_told = is_told ||
				  (rfs_qcow2_is_usable(w) &&
				   i < w->q->l1.len / 8 && w->tables[i]);
		}
		if (is_told)
			continue;
		s->found.index = i;
		s->found.lost++;
	}
}

static int make_maps(struct search *s, struct rfs_error *err)
{
	uint64_t room = s->census->clusters / 8 + 1;

	s->claimed = malloc(room);
	s->taken = calloc(1, room);
	if (!s->claimed || !s->taken)
		return rfs_no_memory(err);
	memcpy(s->claimed, s->census->claimed, room);
	for (size_t k = 0; k < s->h->nwitnesses; k++) {
		const struct rfs_qcow2_judged *w = &s->h->witnesses[k];

		for (uint64_t i = 0; rfs_qcow2_is_usable(w) && i < room; i++)
			s->claimed[i] |= w->claimed[i];
	}
	return 0;
}

static void note(const struct search *s)
{
	const struct rfs_qcow2_guess *g = &s->found;

	rfs_notes_add(
		s->h->notes,
		"%s: %" PRIu64 " of the entries of its L1 table are lost "
		"and no copy tells them; %" PRIu64
		" L2 tables were found that nothing leads to, with %" PRIu64
		" clusters (%" PRIu64 " bytes): %s",
		rfs_reader_name(s->q->file), g->lost, g->tables, s->clusters,
		s->clusters << s->q->cluster_bits,
		rfs_qcow2_is_guess(g)
			? "guessed to belong together"
			: "what belongs where cannot be told, and none is "
			  "used");
}

static int search(struct rfs_qcow2_healing *h, struct rfs_qcow2_guess *ret,
		  struct rfs_error *err)
{
	struct search s = { .h = h, .q = h->q };
	int r = rfs_qcow2_census_get(h->q, &s.census, err);

	for (size_t k = 0; k < h->nwitnesses && r == 0; k++)
		r = rfs_qcow2_judge(h, k, err);
	if (r == -EFBIG)
		return 0;
	if (r < 0)
		return r;
	count_lost(&s);
	if (s.found.lost) {
		r = make_maps(&s, err);
		if (r == 0)
			r = look_through(&s, err);
		if (r == 0)
			note(&s);
	}
	free(s.claimed);
	free(s.taken);
	if (r == 0)
		*ret = s.found;
	return r;
}

/* One thread looks; others wait. */
static int get_guess(struct rfs_qcow2_healing *h, struct rfs_qcow2_guess *ret,
		     struct rfs_error *err)
{
	int r = 0;

	pthread_mutex_lock(&h->lock);
	while (h->is_guessing)
		pthread_cond_wait(&h->judged, &h->lock);
	*ret = h->guess;
	h->is_guessing = !ret->is_made;
	pthread_mutex_unlock(&h->lock);
	if (ret->is_made)
		return 0;
	r = search(h, ret, err);
	ret->is_made = r == 0;
	pthread_mutex_lock(&h->lock);
	h->guess = *ret;
	h->is_guessing = false;
	pthread_cond_broadcast(&h->judged);
	pthread_mutex_unlock(&h->lock);
	return r;
}

int rfs_qcow2_guess_entry(struct rfs_qcow2_healing *h, uint64_t guest,
			  struct rfs_qcow2_entry *ret, uint64_t *ret_len,
			  struct rfs_error *err)
{
	uint64_t span = 1ull << h->q->span_bits;
	struct rfs_qcow2_guess g;
	struct rfs_qcow2_l2 *l2;
	int r = get_guess(h, &g, err);

	guest &= ~(h->q->cluster_size - 1);
	*ret = (struct rfs_qcow2_entry){ .kind = RFS_QCOW2_UNKNOWN };
	*ret_len = span - (guest & (span - 1));
	if (r < 0 || !rfs_qcow2_is_guess(&g) ||
	    guest >> h->q->span_bits != g.index)
		return r;
	*ret_len = h->q->cluster_size;
	r = rfs_qcow2_l2_get(h->q, g.table, &l2, err);
	if (r < 0)
		return r;
	*ret = rfs_qcow2_l2_entry(h->q, &l2->table, guest);
	rfs_qcow2_l2_put(h->q, l2);
	return 0;
}
