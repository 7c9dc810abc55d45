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
 * allows it.  Tables that the operator placed (qcow2_place.c) come first; of the
 * others one is used only if what it maps tells its place (qcow2_told.c), or if it is
 * the only one, and one entry is left: it belongs there.  All others are told as
 * strays.
 *
 * It reads a sector of each such cluster, and the whole of what may be a table.
 */
#include "readers/qcow2_heal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "core/known.h"

#define ENTRIES_LEAST 4 /* fewer say too little */

#define RESERVED 0x3f000000000001feull
#define ZERO	 1ull

bool rfs_qcow2_is_lone(const struct rfs_qcow2_search *s, uint64_t cluster)
{
	const struct rfs_qcow2_census *c = s->census;

	return cluster && cluster < c->clusters &&
	       rfs_qcow2_bit(c->counted, cluster) && c->refs[cluster] == 1 &&
	       !rfs_qcow2_bit(s->claimed, cluster);
}

static bool makes_sense(const struct rfs_qcow2_search *s, uint64_t entry,
			uint64_t bitmap)
{
	uint64_t host = entry & RFS_QCOW2_OFFSET_MASK;

	if (entry & RFS_QCOW2_PACKED_BIT)
		return !(entry & RFS_QCOW2_COPIED) && !bitmap &&
		       rfs_qcow2_packed_host(s->q, entry) < s->q->file_size;
	if (entry & RESERVED || host & (s->q->cluster_size - 1) ||
	    !host != !(entry & RFS_QCOW2_COPIED))
		return false;
	if (entry & ZERO && (s->q->extended || s->q->header.version < 3))
		return false;
	if (bitmap & bitmap >> 32)
		return false;
	return !host || rfs_qcow2_is_lone(s, host >> s->q->cluster_bits);
}

/* What can be read of it. */
static bool is_table(const struct rfs_qcow2_search *s,
		     struct rfs_qcow2_looked *l)
{
	uint64_t entry, bitmap = 0, size = s->q->entry_size;

	for (uint64_t at = 0; at + size <= l->table.len; at += size) {
		if (!rfs_qcow2_table_get(&l->table, at, &entry))
			continue;
		if (s->q->extended &&
		    !rfs_qcow2_table_get(&l->table, at + 8, &bitmap))
			continue;
		if (!makes_sense(s, entry, bitmap))
			return false;
		if (!entry)
			continue;
		l->first = l->used++ ? l->first : at / size;
		l->last = at / size;
		l->owned += (entry & RFS_QCOW2_COPIED) != 0;
	}
	return true;
}

int rfs_qcow2_look_at_table(struct rfs_qcow2_search *s, uint64_t off,
			    uint64_t len, struct rfs_qcow2_looked *ret,
			    struct rfs_error *err)
{
	struct rfs_qcow2_looked l = { 0 };
	int r = rfs_qcow2_table_load(s->q->file, off, len, &l.table, err);

	if (r < 0)
		return r;
	if (l.table.late)
		r = rfs_fail(err, ETIMEDOUT, "%s: a table was not read in time",
			     rfs_reader_name(s->q->file));
	else if (l.table.len < len || !is_table(s, &l))
		r = 1;
	if (r)
		rfs_qcow2_table_fini(&l.table);
	else
		*ret = l;
	return r;
}

bool rfs_qcow2_fits_entry(const struct rfs_qcow2_search *s, uint64_t index,
			  uint64_t last)
{
	return (index << s->q->span_bits) + (last << s->q->cluster_bits) <
	       s->q->header.size;
}

static void take(struct rfs_qcow2_search *s, uint64_t i)
{
	if (rfs_qcow2_bit(s->taken, i))
		s->is_contested = true;
	rfs_qcow2_set_bit(s->taken, i);
}

static void take_table(struct rfs_qcow2_search *s,
		       const struct rfs_qcow2_looked *l)
{
	struct rfs_strays *strays = &s->strays;
	uint64_t entry;

	if (strays->nitems < RFS_STRAYS_LISTED) {
		size_t k = strays->nitems++;

		strays->items[k].off = l->table.off;
		strays->items[k].clusters = l->owned;
		strays->items[k].first = l->first;
		strays->items[k].last = l->last;
	}
	strays->tables++;
	s->clusters += l->owned;
	take(s, l->table.off >> s->q->cluster_bits);
	for (uint64_t at = 0; at < l->table.len; at += s->q->entry_size)
		if (rfs_qcow2_table_get(&l->table, at, &entry) &&
		    entry & RFS_QCOW2_COPIED)
			take(s, (entry & RFS_QCOW2_OFFSET_MASK) >>
					s->q->cluster_bits);
}

static int look_through(struct rfs_qcow2_search *s, struct rfs_error *err)
{
	struct rfs_qcow2_looked l;
	int r = 0;

	for (uint64_t i = 1; i < s->census->clusters && r >= 0; i++) {
		uint64_t off = i << s->q->cluster_bits;

		if (!rfs_qcow2_is_lone(s, i))
			continue;
		r = rfs_qcow2_look_at_table(s, off, RFS_SECTOR, &l, err);
		if (r)
			continue;
		rfs_qcow2_table_fini(&l.table);
		r = rfs_qcow2_look_at_table(s, off, s->q->cluster_size, &l,
					    err);
		if (r)
			continue;
		if (l.owned >= ENTRIES_LEAST) {
			take_table(s, &l);
			r = rfs_qcow2_ask_told(s, &l, err);
		}
		rfs_qcow2_table_fini(&l.table);
	}
	return r < 0 ? r : 0;
}

/* Neither the table nor a copy tells it. */
static bool is_untold(const struct rfs_qcow2_search *s, uint64_t i)
{
	uint64_t off;
	enum rfs_qcow2_kind kind = rfs_qcow2_l1_entry(s->q, i, &off);

	if (!rfs_qcow2_is_l1_lost(s->q, kind, s->census))
		return false;
	for (size_t k = 0; k < s->h->nwitnesses; k++) {
		const struct rfs_qcow2_judged *w = &s->h->witnesses[k];

		if (rfs_qcow2_is_usable(w) && i < w->q->l1.len / 8 &&
		    w->tables[i])
			return false;
	}
	return true;
}

static int find_lost(struct rfs_qcow2_search *s, struct rfs_error *err)
{
	uint64_t n = ((s->q->header.size - 1) >> s->q->span_bits) + 1;

	s->entries = rfs_qcow2_min(n, s->q->l1.len / 8);
	s->lost = calloc(1, s->entries / 8 + 1);
	if (!s->lost)
		return rfs_no_memory(err);
	for (uint64_t i = 0; i < s->entries && s->q->header.size; i++)
		if (is_untold(s, i)) {
			rfs_qcow2_set_bit(s->lost, i);
			s->nlost++;
		}
	return 0;
}

static int make_maps(struct rfs_qcow2_search *s, struct rfs_error *err)
{
	uint64_t room = s->census->clusters / 8 + 1;

	s->claimed = malloc(room);
	s->taken = calloc(1, room);
	s->found.tables = calloc(s->entries + 1, sizeof(*s->found.tables));
	s->found.count = s->entries;
	if (!s->claimed || !s->taken || !s->found.tables)
		return rfs_no_memory(err);
	memcpy(s->claimed, s->census->claimed, room);
	for (size_t k = 0; k < s->h->nwitnesses; k++) {
		const struct rfs_qcow2_judged *w = &s->h->witnesses[k];

		for (uint64_t i = 0; rfs_qcow2_is_usable(w) && i < room; i++)
			s->claimed[i] |= w->claimed[i];
	}
	return 0;
}

/* Which entries are left, those that follow each other as one. */
static void tell_lost(struct rfs_qcow2_search *s)
{
	struct rfs_strays *to = &s->strays;

	to->is_known = true;
	to->lost = s->nlost;
	for (uint64_t i = 0; i < s->entries; i++) {
		if (!rfs_qcow2_bit(s->lost, i))
			continue;
		if (to->ngaps && to->gaps[to->ngaps - 1].last + 1 == i) {
			to->gaps[to->ngaps - 1].last = i;
		} else if (to->ngaps < RFS_STRAYS_LISTED) {
			to->gaps[to->ngaps].first = i;
			to->gaps[to->ngaps++].last = i;
		}
	}
}

static void note(const struct rfs_qcow2_search *s, bool is_used)
{
	rfs_notes_add(
		s->h->notes,
		"%s: %" PRIu64 " of the entries of its L1 table are lost "
		"and no copy tells them; %" PRIu64
		" L2 tables were found that nothing leads to, with %" PRIu64
		" clusters (%" PRIu64 " bytes): %s",
		rfs_reader_name(s->q->file), s->nlost + is_used,
		s->strays.tables, s->clusters,
		s->clusters << s->q->cluster_bits,
		is_used ? "guessed to belong together"
			: "what belongs where cannot be told, and none is "
			  "used; rescuefs status lists them, and 'table' in "
			  "the disk's section of the site file places one");
}

/* The one table for the one entry.  1: it is used. */
static int guess_left(struct rfs_qcow2_search *s, struct rfs_error *err)
{
	uint64_t index = 0;

	if (s->nlost != 1 || s->strays.tables != 1 || s->is_contested)
		return 0;
	while (!rfs_qcow2_bit(s->lost, index))
		index++;
	return rfs_qcow2_place_guess(s, index, s->strays.items[0].off,
				     s->strays.items[0].last, err);
}

/* What is left once the operator's are placed. */
static int guess(struct rfs_qcow2_search *s, struct rfs_error *err)
{
	int used, r = look_through(s, err);

	if (r == 0 && !s->is_contested)
		r = rfs_qcow2_place_told(s, err);
	if (r < 0 || !s->nlost)
		return r;
	used = guess_left(s, err);
	if (used < 0)
		return used;
	note(s, used);
	if (used)
		s->strays.tables = s->strays.nitems = 0;
	return 0;
}

static int keep_strays(struct rfs_qcow2_search *s, struct rfs_error *err)
{
	tell_lost(s);
	if (!s->h->state || !s->h->object)
		return 0;
	return rfs_keep_strays(s->h->state, s->h->object, &s->strays, err);
}

static int search_all(struct rfs_qcow2_search *s, struct rfs_error *err)
{
	int r = find_lost(s, err);

	if (r < 0 || (!s->nlost && !s->h->nplaces))
		return r;
	r = make_maps(s, err);
	if (r == 0)
		r = rfs_qcow2_place_tables(s, err);
	if (r == 0 && s->h->may_guess && s->nlost) {
		r = guess(s, err);
		if (r == 0)
			r = keep_strays(s, err);
	}
	return r;
}

static int search(struct rfs_qcow2_healing *h, struct rfs_qcow2_guess *ret,
		  struct rfs_error *err)
{
	struct rfs_qcow2_search s = { .h = h, .q = h->q };
	int r = rfs_qcow2_census_get(h->q, &s.census, err);

	for (size_t k = 0; k < h->nwitnesses && r == 0; k++)
		r = rfs_qcow2_judge(h, k, err);
	if (r == -EFBIG)
		return 0;
	if (r == 0)
		r = rfs_qcow2_keep_orphans(h, err);
	if (r == 0)
		r = search_all(&s, err);
	free(s.claimed);
	free(s.taken);
	free(s.lost);
	if (r == 0)
		*ret = s.found;
	else
		free(s.found.tables);
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
	uint64_t index = guest >> h->q->span_bits;
	struct rfs_qcow2_guess g;
	struct rfs_qcow2_l2 *l2;
	int r = get_guess(h, &g, err);

	guest &= ~(h->q->cluster_size - 1);
	*ret = (struct rfs_qcow2_entry){ .kind = RFS_QCOW2_UNKNOWN };
	*ret_len = span - (guest & (span - 1));
	if (r < 0 || index >= g.count || !g.tables[index])
		return r;
	*ret_len = h->q->cluster_size;
	r = rfs_qcow2_l2_get(h->q, g.tables[index], &l2, err);
	if (r < 0)
		return r;
	*ret = rfs_qcow2_l2_entry(h->q, &l2->table, guest);
	rfs_qcow2_l2_put(l2);
	return 0;
}
