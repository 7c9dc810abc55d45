// SPDX-License-Identifier: GPL-3.0-or-later
/* L2 tables that are taken to belong to an L1 entry because somebody says so: the
 * operator ("table = INDEX OFFSET"), or that there is no other choice.
 *
 * The operator may know what no table says; but what he says must be possible: the
 * entry is lost, and what lies there can be a table of its own clusters, of a disk
 * of this size.  What was placed once is kept in the state: blocks were served by
 * it, and a view does not change with a site file (P4). */
#include "readers/qcow2_heal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "core/vec.h"

#define PLACES "placed tables" /* a fact: "INDEX:OFFSET ..." */

struct kept {
	struct rfs_qcow2_place *items;
	size_t count, room;
	bool is_changed;
};

static const struct rfs_qcow2_place *find_kept(const struct kept *kept,
					       uint64_t index)
{
	for (size_t i = 0; i < kept->count; i++)
		if (kept->items[i].index == index)
			return &kept->items[i];
	return NULL;
}

static int add_kept(struct kept *kept, uint64_t index, uint64_t off,
		    struct rfs_error *err)
{
	if (find_kept(kept, index))
		return 0;
	if (RFS_VEC_ROOM(kept) < 0)
		return rfs_no_memory(err);
	kept->items[kept->count++] =
		(struct rfs_qcow2_place){ .index = index, .off = off };
	kept->is_changed = true;
	return 0;
}

static int load_kept(struct rfs_qcow2_healing *h, struct kept *kept,
		     struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	uint64_t index, off;
	int n = 0, r = -ENOENT;

	if (h->state && h->object)
		r = rfs_state_fact(h->state, h->object, PLACES, &text, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	for (const char *p = text;
	     sscanf(p, " %" SCNu64 ":%" SCNu64 "%n", &index, &off, &n) == 2 &&
	     r == 0;
	     p += n)
		r = add_kept(kept, index, off, err);
	kept->is_changed = false;
	return r;
}

static int save_kept(struct rfs_qcow2_healing *h, const struct kept *kept,
		     struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	size_t len;
	FILE *f;

	if (!kept->is_changed || !h->state || !h->object)
		return 0;
	f = open_memstream(&text, &len);
	if (!f)
		return rfs_no_memory(err);
	for (size_t i = 0; i < kept->count; i++)
		fprintf(f, "%s%" PRIu64 ":%" PRIu64, i ? " " : "",
			kept->items[i].index, kept->items[i].off);
	if (fclose(f) == EOF)
		return rfs_no_memory(err);
	return rfs_state_try_fact(h->state, h->object, PLACES, text, err);
}

int rfs_qcow2_forget_places(struct rfs_qcow2_healing *h, struct rfs_error *err)
{
	return rfs_state_forget_fact(h->state, h->object, PLACES, err);
}

/* False: it is claimed already. */
static bool claim_one(struct rfs_qcow2_search *s, uint64_t host)
{
	uint64_t i = host >> s->q->cluster_bits;

	if (rfs_qcow2_bit(s->claimed, i))
		return false;
	rfs_qcow2_set_bit(s->claimed, i);
	return true;
}

static bool claim(struct rfs_qcow2_search *s, const struct rfs_qcow2_looked *l)
{
	bool is_good = claim_one(s, l->table.off);
	uint64_t entry;

	for (uint64_t at = 0; at < l->table.len && is_good;
	     at += s->q->entry_size)
		if (rfs_qcow2_table_get(&l->table, at, &entry) &&
		    entry & RFS_QCOW2_COPIED)
			is_good = claim_one(s, entry & RFS_QCOW2_OFFSET_MASK);
	return is_good;
}

/* Before anything is read. */
static const char *find_plain_fault(const struct rfs_qcow2_search *s,
				    const struct rfs_qcow2_place *p)
{
	if (p->index >= s->entries)
		return "the disk needs fewer entries";
	if (!rfs_qcow2_bit(s->lost, p->index))
		return "that entry is not lost";
	if (p->off & (s->q->cluster_size - 1))
		return "no cluster begins there";
	if (!rfs_qcow2_is_lone(s, p->off >> s->q->cluster_bits))
		return "that cluster is free, shared, or claimed by another "
		       "table";
	return NULL;
}

/* *ret_why: why it cannot be; NULL: it can, and is claimed. */
static int check(struct rfs_qcow2_search *s, const struct rfs_qcow2_place *p,
		 const char **ret_why, uint64_t *ret_clusters,
		 struct rfs_error *err)
{
	const char *why = find_plain_fault(s, p);
	struct rfs_qcow2_looked l;
	int r;

	*ret_why = why;
	if (why)
		return 0;
	r = rfs_qcow2_look_at_table(s, p->off, s->q->cluster_size, &l, err);
	if (r < 0)
		return r;
	if (r == 1) {
		*ret_why = "what lies there is no L2 table, or one that claims "
			   "what others do";
		return 0;
	}
	*ret_clusters = l.owned;
	if (!l.used)
		*ret_why = "nothing that can be read of it is in use";
	else if (!rfs_qcow2_fits_entry(s, p->index, l.last))
		*ret_why = "it would map what lies beyond the end of the disk";
	else if (!claim(s, &l))
		*ret_why = "two of its entries claim the same cluster";
	rfs_qcow2_table_fini(&l.table);
	return 0;
}

static void set(struct rfs_qcow2_search *s, const struct rfs_qcow2_place *p)
{
	s->found.tables[p->index] = p->off;
	s->lost[p->index / 8] &= (uint8_t) ~(1u << (p->index % 8));
	s->nlost--;
}

/* By hand, or as it was placed when blocks were first served by it. */
static int place(struct rfs_qcow2_search *s, struct rfs_qcow2_place p,
		 struct kept *kept, struct rfs_error *err)
{
	const struct rfs_qcow2_place *was = find_kept(kept, p.index);
	const char *name = rfs_reader_name(s->q->file), *why;
	uint64_t clusters = 0;
	int r;

	if (was && was->off != p.off)
		rfs_notes_add(s->h->notes,
			      "%s: table = %" PRIu64 " %" PRIu64
			      " waits: the disk was read by the table at "
			      "%" PRIu64 "; rescuefs refresh takes the new one",
			      name, p.index, p.off, was->off);
	if (was)
		p = *was;
	r = check(s, &p, &why, &clusters, err);
	if (r < 0)
		return r;
	if (why) {
		rfs_notes_add(s->h->notes,
			      "%s: table = %" PRIu64 " %" PRIu64
			      " is not used: %s",
			      name, p.index, p.off, why);
		return 0;
	}
	set(s, &p);
	rfs_notes_add(s->h->notes,
		      "%s: the L2 table at %" PRIu64 ", of %" PRIu64
		      " clusters, is placed by hand at entry %" PRIu64
		      " of its L1 table",
		      name, p.off, clusters, p.index);
	return add_kept(kept, p.index, p.off, err);
}

int rfs_qcow2_place_tables(struct rfs_qcow2_search *s, struct rfs_error *err)
{
	struct kept kept = { 0 };
	int r = s->h->nplaces ? load_kept(s->h, &kept, err) : 0;

	for (size_t i = 0; i < s->h->nplaces && r == 0; i++)
		r = place(s, s->h->places[i], &kept, err);
	if (r == 0)
		r = save_kept(s->h, &kept, err);
	free(kept.items);
	return r;
}

/* 1: it is used. */
int rfs_qcow2_place_guess(struct rfs_qcow2_search *s, uint64_t index,
			  uint64_t off, uint64_t last, struct rfs_error *err)
{
	struct rfs_qcow2_place p = { .index = index, .off = off };
	const struct rfs_qcow2_place *was;
	struct kept kept = { 0 };
	int r = load_kept(s->h, &kept, err);

	was = find_kept(&kept, p.index);
	if (r == 0 && (!was || was->off == p.off) &&
	    rfs_qcow2_fits_entry(s, p.index, last)) {
		r = add_kept(&kept, p.index, p.off, err);
		if (r == 0)
			r = save_kept(s->h, &kept, err);
		if (r == 0) {
			set(s, &p);
			r = 1;
		}
	}
	free(kept.items);
	return r;
}
