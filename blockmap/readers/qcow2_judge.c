// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Is another copy a witness of where this image's clusters lie?
 *
 * If it is a copy of the same image (qcow2_fit.c), and at least one entry that is
 * readable in both is the same, each entry readable in both is counted: it agrees,
 * or it contradicts, by any of
 *
 *  - a cluster or an L2 table that lies elsewhere now, or nowhere, or is zero;
 *  - a cluster that the copy has in use and that is free here, or shared, or
 *    another's;
 *  - a cluster that was another's in the copy.
 *
 * Each of these says that this image lets go of clusters.  One is enough for
 * nothing to be proved.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "core/known.h"
#include "readers/qcow2_heal.h"

static int open_witness(struct rfs_qcow2_judged *w, struct rfs_error *err)
{
	struct rfs_qcow2_parts parts = { 0 };
	int r = 0;

	if (w->image)
		return 0;
	if (!w->file)
		r = w->spec.open(w->spec.data, &w->file, err);
	parts.file = w->file;
	if (r == 0)
		r = rfs_qcow2_open(&parts, &w->image, err);
	if (r == 0)
		w->q = rfs_qcow2_of(w->image);
	return r;
}

static void agree(struct rfs_qcow2_judged *w)
{
	w->says.agree++;
}

/* What lies before 'end' was not cut off the disk. */
static void agree_to(struct rfs_qcow2_judged *w, uint64_t end)
{
	agree(w);
	w->says.kept = end > w->says.kept ? end : w->says.kept;
}

static void contradict(struct rfs_qcow2_judged *w)
{
	w->says.contradict++;
}

bool rfs_qcow2_is_sole(const struct rfs_qcow2_healing *h, uint64_t host)
{
	const struct rfs_qcow2_census *c = rfs_qcow2_census_known(h->q);
	uint64_t i = host >> h->q->cluster_bits;

	if (!c || host & (h->q->cluster_size - 1) || !host || i >= c->clusters)
		return false;
	return !rfs_qcow2_bit(c->counted, i) ||
	       (rfs_qcow2_bit(c->used, i) && !rfs_qcow2_bit(c->shared, i));
}

bool rfs_qcow2_is_free_for(const struct rfs_qcow2_healing *h,
			   const struct rfs_qcow2_judged *w, uint64_t host)
{
	return rfs_qcow2_is_sole(h, host) &&
	       !rfs_qcow2_bit(w->claimed, host >> h->q->cluster_bits);
}

/* A cluster that the copy has in use for good: twice, and the copy is broken. */
static void fix(struct rfs_qcow2_judged *w, uint64_t host)
{
	uint64_t i = host >> w->q->cluster_bits;

	if (host >= w->q->file_size)
		return;
	if (rfs_qcow2_bit(w->fixed, i))
		contradict(w);
	rfs_qcow2_set_bit(w->fixed, i);
}

static bool is_fixed(const struct rfs_qcow2_judged *w, uint64_t host)
{
	return host < w->q->file_size &&
	       rfs_qcow2_bit(w->fixed, host >> w->q->cluster_bits);
}

/* A standard cluster with storage; also one that reads as zeros. */
static bool has_host(const struct rfs_qcow2_entry *e)
{
	return e->host &&
	       (e->kind == RFS_QCOW2_STORED || e->kind == RFS_QCOW2_ZERO ||
		e->kind == RFS_QCOW2_UNALLOCATED);
}

struct rfs_qcow2_entry rfs_qcow2_entry_of(const struct rfs_qcow2 *q,
					  const struct rfs_qcow2_table *t,
					  uint64_t guest)
{
	struct rfs_qcow2_entry e = { .kind = RFS_QCOW2_UNKNOWN };
	uint64_t entry, bitmap;

	if (rfs_qcow2_l2_raw(q, t, guest, &entry, &bitmap))
		e = rfs_qcow2_decode(q, entry, bitmap, guest);
	return e;
}

/* Calls 'each' for all entries of the table that maps from 'guest' on. */
static void each_entry(const struct rfs_qcow2 *q,
		       const struct rfs_qcow2_table *t, uint64_t guest,
		       void (*each)(const struct rfs_qcow2_entry *e,
				    void *data),
		       void *data)
{
	uint64_t n = 1ull << (q->span_bits - q->cluster_bits);
	struct rfs_qcow2_entry e;

	for (uint64_t i = 0; i < n; i++) {
		e = rfs_qcow2_entry_of(q, t, guest + (i << q->cluster_bits));
		each(&e, data);
	}
}

static void fix_entry(const struct rfs_qcow2_entry *e, void *data)
{
	if (has_host(e))
		fix(data, e->host);
}

static uint64_t l1_count(const struct rfs_qcow2 *q)
{
	return q->l1.len / 8;
}

/* What the copy has in use: its tables and its clusters. */
static int fix_all(struct rfs_qcow2_judged *w, struct rfs_error *err)
{
	struct rfs_qcow2 *q = w->q;
	struct rfs_qcow2_l2 *l2;
	uint64_t off;
	int r;

	for (uint64_t i = 0; i < l1_count(q); i++) {
		if (rfs_qcow2_l1_entry(q, i, &off) != RFS_QCOW2_STORED)
			continue;
		fix(w, off);
		r = rfs_qcow2_l2_get(q, off, &l2, err);
		if (r < 0)
			return r;
		r = l2->table.late ? -ETIMEDOUT : 0;
		each_entry(q, &l2->table, i << q->span_bits, fix_entry, w);
		rfs_qcow2_l2_put(l2);
		if (r < 0)
			return rfs_fail(err, ETIMEDOUT,
					"%s: a table was not read in time",
					rfs_reader_name(q->file));
	}
	return 0;
}

struct looking {
	const struct rfs_qcow2_census *census;
	const struct rfs_qcow2 *q;
	const uint8_t *claimed;
	bool found;
};

static void look_hidden(const struct rfs_qcow2_entry *e, void *data)
{
	struct looking *l = data;
	uint64_t i = e->host >> l->q->cluster_bits;

	if (e->kind == RFS_QCOW2_STORED && i < l->census->clusters &&
	    rfs_qcow2_bit(l->census->used, i) &&
	    !rfs_qcow2_bit(l->census->claimed, i))
		l->found = true;
}

/* The table of the copy at 'off' has clusters that are in use here and that
 * nobody claims. */
static bool hides(struct rfs_qcow2_healing *h, struct rfs_qcow2_judged *w,
		  uint64_t off)
{
	struct looking l = { .census = rfs_qcow2_census_known(h->q),
			     .q = h->q };
	struct rfs_qcow2_l2 *l2;

	if (!l.census || !l.census->orphans ||
	    rfs_qcow2_l2_get(w->q, off, &l2, NULL) < 0)
		return false;
	each_entry(w->q, &l2->table, 0, look_hidden, &l);
	rfs_qcow2_l2_put(l2);
	return l.found;
}

bool rfs_qcow2_denies_zeros(struct rfs_qcow2_healing *h, uint64_t off,
			    uint64_t index)
{
	const struct rfs_qcow2_census *c;

	if (rfs_qcow2_census_get(h->q, &c, NULL) < 0 || !c->orphans)
		return false;
	for (size_t k = 0; k < h->nwitnesses; k++) {
		struct rfs_qcow2_judged *w = &h->witnesses[k];

		if (rfs_qcow2_judge(h, k, NULL) < 0 ||
		    !rfs_qcow2_is_usable(w) || index >= l1_count(w->q))
			continue;
		/* A table that is newer than the copy hides newer clusters. */
		if (!off || w->tables[index] != off || hides(h, w, off))
			return true;
	}
	return false;
}

/* What must hold of each entry of a table that nothing but the copy's L1 entry
 * leads to: else it is no table any more. */
static void look_claims(const struct rfs_qcow2_entry *e, void *data)
{
	struct looking *l = data;
	uint64_t i = e->host >> l->q->cluster_bits;

	if (e->kind == RFS_QCOW2_INVALID ||
	    (has_host(e) &&
	     (i >= l->census->clusters || rfs_qcow2_bit(l->claimed, i))))
		l->found = true;
}

static void claim_entry(const struct rfs_qcow2_entry *e, void *data)
{
	struct looking *l = data;

	if (has_host(e))
		rfs_qcow2_set_bit((uint8_t *)(uintptr_t)l->claimed,
				  e->host >> l->q->cluster_bits);
}

/* The image's own L1 entry is lost: does the copy's lead to its L2 table? */
static int find_table(struct rfs_qcow2_healing *h, struct rfs_qcow2_judged *w,
		      uint64_t index, uint64_t off, struct rfs_error *err)
{
	uint64_t guest = index << h->q->span_bits;
	struct looking l = { .census = rfs_qcow2_census_known(h->q),
			     .q = h->q,
			     .claimed = w->claimed };
	struct rfs_qcow2_l2 *l2;
	int r;

	if (!rfs_qcow2_is_free_for(h, w, off)) {
		contradict(w);
		return 0;
	}
	/* A table that was given up still holds what it held. */
	if (!rfs_qcow2_bit(l.census->counted, off >> h->q->cluster_bits))
		return 0;
	r = rfs_qcow2_l2_get(h->q, off, &l2, err);
	if (r < 0)
		return r;
	if (l2->table.late) {
		r = rfs_fail(err, ETIMEDOUT, "%s: a table was not read in time",
			     rfs_reader_name(h->q->file));
	} else {
		each_entry(h->q, &l2->table, guest, look_claims, &l);
		if (l.found) {
			contradict(w);
		} else {
			w->tables[index] = off;
			rfs_qcow2_set_bit(w->claimed,
					  off >> h->q->cluster_bits);
			each_entry(h->q, &l2->table, guest, claim_entry, &l);
		}
	}
	rfs_qcow2_l2_put(l2);
	return r;
}

bool rfs_qcow2_is_l1_lost(const struct rfs_qcow2 *q, enum rfs_qcow2_kind kind,
			  const struct rfs_qcow2_census *c)
{
	if (kind == RFS_QCOW2_UNALLOCATED)
		return q->l1_zero && c->orphans;
	return kind == RFS_QCOW2_UNKNOWN || kind == RFS_QCOW2_INVALID;
}

static int compare_l1(struct rfs_qcow2_healing *h, struct rfs_qcow2_judged *w,
		      const struct rfs_qcow2_census *c, struct rfs_error *err)
{
	enum rfs_qcow2_kind ours, theirs;
	uint64_t off, old;
	int r = 0;

	for (uint64_t i = 0; i < l1_count(w->q) && r == 0; i++) {
		off = old = 0;
		ours = rfs_qcow2_l1_entry(h->q, i, &off);
		theirs = rfs_qcow2_l1_entry(w->q, i, &old);
		/* Two lead to one table, and the copy says which is right. */
		if (ours == RFS_QCOW2_INVALID && theirs == RFS_QCOW2_STORED &&
		    off == old)
			ours = RFS_QCOW2_STORED;
		if (theirs == RFS_QCOW2_STORED &&
		    rfs_qcow2_is_l1_lost(h->q, ours, c)) {
			r = find_table(h, w, i, old, err);
		} else if (theirs == RFS_QCOW2_STORED) {
			if (ours != RFS_QCOW2_STORED || off != old) {
				contradict(w);
				continue;
			}
			agree(w);
			w->says.agree_l1++;
			w->tables[i] = off;
		} else if (theirs == RFS_QCOW2_UNALLOCATED &&
			   ours == RFS_QCOW2_STORED && is_fixed(w, off)) {
			contradict(w);
		}
	}
	return r;
}

/* The subclusters that had data have it still. */
static bool keeps_data(const struct rfs_qcow2 *q,
		       const struct rfs_qcow2_entry *ours,
		       const struct rfs_qcow2_entry *theirs)
{
	if (ours->kind != theirs->kind || ours->host != theirs->host)
		return false;
	return !q->extended ||
	       (ours->stored & theirs->stored) == theirs->stored;
}

/* Of an entry that is lost here, only where it led can be looked at. */
static void compare_lost(struct rfs_qcow2_healing *h,
			 struct rfs_qcow2_judged *w,
			 const struct rfs_qcow2_entry *theirs)
{
	if (theirs->kind == RFS_QCOW2_STORED &&
	    !rfs_qcow2_is_free_for(h, w, theirs->host))
		contradict(w);
}

/* 'end': of the cluster, in the disk. */
static void compare_entry(struct rfs_qcow2_healing *h,
			  struct rfs_qcow2_judged *w,
			  const struct rfs_qcow2_entry *ours,
			  const struct rfs_qcow2_entry *theirs, uint64_t end)
{
	const struct rfs_qcow2_census *c = rfs_qcow2_census_known(h->q);
	uint64_t i = theirs->host >> h->q->cluster_bits;
	bool is_same = ours->kind == theirs->kind && ours->host == theirs->host;

	/* Of two that claim one cluster the copy says which is right. */
	if (ours->kind == RFS_QCOW2_UNKNOWN ||
	    ours->kind == RFS_QCOW2_INVALID ||
	    (!is_same && rfs_qcow2_is_contested(h->q, ours))) {
		compare_lost(h, w, theirs);
		return;
	}
	if (theirs->kind == RFS_QCOW2_STORED) {
		if (!keeps_data(h->q, ours, theirs))
			contradict(w);
		else if (rfs_qcow2_bit(c->counted, i) &&
			 (!rfs_qcow2_bit(c->used, i) ||
			  rfs_qcow2_bit(c->shared, i)))
			contradict(w);
		else
			agree_to(w, end);
		return;
	}
	if (theirs->kind == RFS_QCOW2_PACKED && ours->kind == theirs->kind &&
	    ours->host == theirs->host && ours->packed == theirs->packed)
		agree_to(w, end);
	/* New since: where nothing was, or what the copy had set aside for it. */
	if (has_host(ours) && is_fixed(w, ours->host) &&
	    !(has_host(theirs) && ours->host == theirs->host))
		contradict(w);
}

static int compare_tables(struct rfs_qcow2_healing *h,
			  struct rfs_qcow2_judged *w, uint64_t index,
			  struct rfs_error *err)
{
	uint64_t guest = index << h->q->span_bits;
	uint64_t n = 1ull << (h->q->span_bits - h->q->cluster_bits);
	uint64_t off = w->tables[index];
	struct rfs_qcow2_entry ours, theirs;
	struct rfs_qcow2_l2 *a, *b;
	bool lost;
	int r = rfs_qcow2_l2_get(h->q, off, &a, err);

	if (r < 0)
		return r;
	r = rfs_qcow2_l2_get(w->q, off, &b, err);
	if (r < 0) {
		rfs_qcow2_l2_put(a);
		return r;
	}
	lost = a->is_zero && hides(h, w, off);
	for (uint64_t i = 0; i < n; i++, guest += h->q->cluster_size) {
		ours = rfs_qcow2_entry_of(h->q, &a->table, guest);
		theirs = rfs_qcow2_entry_of(w->q, &b->table, guest);
		if (lost)
			ours.kind = RFS_QCOW2_UNKNOWN;
		compare_entry(h, w, &ours, &theirs, guest + h->q->cluster_size);
	}
	if (a->table.late || b->table.late)
		r = rfs_fail(err, ETIMEDOUT, "%s: a table was not read in time",
			     rfs_reader_name(h->q->file));
	rfs_qcow2_l2_put(a);
	rfs_qcow2_l2_put(b);
	return r;
}

static int make_maps(struct rfs_qcow2_judged *w,
		     const struct rfs_qcow2_census *c, struct rfs_error *err)
{
	uint64_t room = c->clusters / 8 + 1;
	uint64_t theirs = (w->q->file_size >> w->q->cluster_bits) / 8 + 1;

	if (theirs > room + (16u << 20))
		return rfs_fail(err, EINVAL, "%s: it is too large",
				rfs_reader_name(w->file));
	w->tables = calloc(l1_count(w->q) + 1, sizeof(*w->tables));
	w->claimed = malloc(room);
	w->fixed = calloc(1, theirs);
	if (!w->tables || !w->claimed || !w->fixed)
		return rfs_no_memory(err);
	memcpy(w->claimed, c->claimed, room);
	return 0;
}

/* By another's header: where it says that the L1 table lies, something is in
 * use. */
static bool is_l1_kept(const struct rfs_qcow2_healing *h,
		       const struct rfs_qcow2_census *c)
{
	uint64_t i = h->q->header.l1_off >> h->q->cluster_bits;

	return !h->q->l1_zero && i < c->clusters &&
	       rfs_qcow2_bit(c->counted, i) && c->refs[i] == 1;
}

static bool is_free_in(const struct rfs_qcow2_census *c, uint64_t i)
{
	return i < c->clusters && rfs_qcow2_bit(c->counted, i) &&
	       !rfs_qcow2_bit(c->used, i);
}

/* Who only writes fills the file from its start: a cluster that is free below one
 * in use, and was not free in the copy, was let go of. */
static int look_for_freed(struct rfs_qcow2_judged *w,
			  const struct rfs_qcow2_census *ours,
			  struct rfs_error *err)
{
	const struct rfs_qcow2_census *theirs;
	uint64_t last = ours->clusters;
	int r = rfs_qcow2_census_get(w->q, &theirs, err);

	if (r < 0)
		return r == -EFBIG ? 0 : r;
	while (last && !rfs_qcow2_bit(ours->used, last - 1))
		last--;
	for (uint64_t i = 0; i < last; i++)
		if (is_free_in(ours, i) && !is_free_in(theirs, i)) {
			contradict(w);
			break;
		}
	return 0;
}

static int compare(struct rfs_qcow2_healing *h, struct rfs_qcow2_judged *w,
		   const struct rfs_qcow2_census *c, struct rfs_error *err)
{
	const struct rfs_qcow2_header *ours = &h->q->header;
	int r = make_maps(w, c, err);

	if (r == 0)
		r = fix_all(w, err);
	if (r == 0)
		r = look_for_freed(w, c, err);
	if (r < 0)
		return r;
	/* Where the L1 table is, or the list of snapshots was, is kept until one
	 * grows or comes. */
	if (ours->l1_off != w->q->header.l1_off ||
	    (h->q->is_borrowed && !is_l1_kept(h, c)) ||
	    ours->snapshots_off != w->q->header.snapshots_off)
		contradict(w);
	r = compare_l1(h, w, c, err);
	for (uint64_t i = 0; i < l1_count(w->q) && r == 0; i++)
		if (w->tables[i])
			r = compare_tables(h, w, i, err);
	if (r == 0 && !w->says.contradict)
		r = rfs_qcow2_find_kept(h, w, err);
	return r;
}

static void forget_maps(struct rfs_qcow2_judged *w)
{
	free(w->tables);
	free(w->claimed);
	free(w->fixed);
	w->tables = NULL;
	w->claimed = w->fixed = NULL;
	w->says = (struct rfs_qcow2_testimony){ 0 };
}

static const char *verdict_name(enum rfs_qcow2_verdict verdict)
{
	static const char *const names[] = { "", "unfit", "proved",
					     "unproved" };

	return names[verdict];
}

static int fact_key(const struct rfs_qcow2_judged *w, char **ret,
		    struct rfs_error *err)
{
	if (asprintf(ret, "healing by %s", w->spec.origin->name) < 0) {
		*ret = NULL;
		return rfs_no_memory(err);
	}
	return 0;
}

static int write_verdict(struct rfs_qcow2_healing *h,
			 const struct rfs_qcow2_judged *w, const char *key,
			 enum rfs_qcow2_verdict verdict, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;

	if (asprintf(&text, "%s %" PRIu64, verdict_name(verdict),
		     w->says.kept) < 0) {
		text = NULL;
		return rfs_no_memory(err);
	}
	return rfs_state_try_fact(h->state, h->object, key, text, err);
}

static void read_verdict(const char *text, struct rfs_qcow2_judged *w,
			 enum rfs_qcow2_verdict *ret)
{
	uint64_t kept;

	if (sscanf(text, "proved %" SCNu64, &kept) == 1) {
		*ret = RFS_QCOW2_PROVED;
		w->says.is_cut = w->says.is_cut || kept < w->says.kept;
		w->says.kept = kept;
	} else if (strncmp(text, "unproved", 8) == 0) {
		*ret = RFS_QCOW2_UNPROVED;
	}
}

/* A verdict stands: blocks were served by it. */
static int keep_verdict(struct rfs_qcow2_healing *h, struct rfs_qcow2_judged *w,
			enum rfs_qcow2_verdict *verdict, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *key = NULL;
	RFS_CLEANUP_FREE char *was = NULL;
	int r;

	if (!h->state || !h->object)
		return 0;
	r = fact_key(w, &key, err);
	if (r == 0)
		r = rfs_state_fact(h->state, h->object, key, &was, err);
	if (r == -ENOENT)
		return write_verdict(h, w, key, *verdict, err);
	if (r == 0 && *verdict != RFS_QCOW2_UNFIT)
		read_verdict(was, w, verdict);
	return r;
}

int rfs_qcow2_forget_verdicts(struct rfs_qcow2_healing *h,
			      struct rfs_error *err)
{
	int r = 0;

	for (size_t k = 0; k < h->nwitnesses && h->state && r == 0; k++) {
		RFS_CLEANUP_FREE char *key = NULL;

		r = fact_key(&h->witnesses[k], &key, err);
		if (r == 0)
			r = rfs_state_forget_fact(h->state, h->object, key,
						  err);
	}
	if (r == 0 && h->state)
		r = rfs_forget_orphans(h->state, h->object, err);
	if (r == 0 && h->state)
		r = rfs_forget_strays(h->state, h->object, err);
	if (r == 0 && h->state)
		r = rfs_qcow2_forget_places(h, err);
	return r;
}

int rfs_qcow2_keep_orphans(struct rfs_qcow2_healing *h, struct rfs_error *err)
{
	struct rfs_orphans orphans;

	if (!h->state || !h->object ||
	    !rfs_qcow2_find_orphans(h->image, false, &orphans))
		return 0;
	return rfs_keep_orphans(h->state, h->object, &orphans, err);
}

static void note(struct rfs_qcow2_healing *h, const struct rfs_qcow2_judged *w,
		 enum rfs_qcow2_verdict verdict, const char *why)
{
	const char *name = rfs_reader_name(h->q->file);
	const char *by = w->spec.origin->name;

	if (verdict == RFS_QCOW2_UNFIT)
		rfs_notes_add(h->notes,
			      "%s: its tables are not healed by the copy of "
			      "%s: %s%s",
			      name, by, why,
			      h->q->is_borrowed && (h->nplaces || h->may_guess)
				      ? "; its header is lost too, so none is "
					"placed or guessed by that copy's"
				      : "");
	else
		rfs_notes_add(h->notes,
			      "%s: what is lost of its tables is told by the "
			      "copy of %s, of whose entries %" PRIu64
			      " agree%s and %" PRIu64 " contradict: %s%s%s%s",
			      name, by, w->says.agree,
			      w->says.agree == w->says.agree_l1
				      ? " (none of them of an L2 table)"
				      : "",
			      w->says.contradict, verdict_name(verdict),
			      why ? " (" : "", why ? why : "", why ? ")" : "");
	if (verdict == RFS_QCOW2_PROVED && w->says.is_cut)
		rfs_notes_add(
			h->notes,
			"%s: from %" PRIu64
			" of the disk on nothing is as the copy of %s has "
			"it: the disk may have been made smaller since, "
			"and what is told of there is unproved",
			name, w->says.kept, by);
}

/* Not one entry of an L2 table could be compared: then an older copy that contradicts
 * shows that this image lets go of clusters.  1: there is one. */
static int ask_older(struct rfs_qcow2_healing *h,
		     const struct rfs_qcow2_judged *w, struct rfs_error *err)
{
	size_t k = (size_t)(w - h->witnesses) + 1;
	int r;

	if (w->says.contradict || w->says.agree != w->says.agree_l1)
		return 0;
	/* Always upwards, so that no two wait for each other. */
	for (; k < h->nwitnesses; k++) {
		r = rfs_qcow2_judge(h, k, err);
		if (r < 0)
			return r;
		if (rfs_qcow2_is_usable(&h->witnesses[k]) &&
		    h->witnesses[k].says.contradict)
			return 1;
	}
	return 0;
}

static const char *find_doubt(const struct rfs_qcow2_healing *h,
			      const struct rfs_qcow2_census *c,
			      bool is_older_against)
{
	if (c->cut)
		return "not all tables were read";
	if (is_older_against)
		return "an older copy shows that clusters have moved";
	return h->may_move;
}

static int judge(struct rfs_qcow2_healing *h, struct rfs_qcow2_judged *w,
		 enum rfs_qcow2_verdict *ret, struct rfs_error *err)
{
	const struct rfs_qcow2_census *c;
	struct rfs_error reason = RFS_ERROR_INIT;
	const char *why = NULL;
	int r;

	*ret = RFS_QCOW2_UNFIT;
	r = rfs_qcow2_census_get(h->q, &c, err);
	if (r == -EFBIG)
		return 0;
	if (r == 0)
		r = rfs_qcow2_keep_orphans(h, err);
	if (r < 0)
		return r;
	r = open_witness(w, &reason);
	if (r == 0)
		r = rfs_qcow2_find_unfit(h, w, &why, &reason);
	if (r == 0 && !why)
		r = compare(h, w, c, &reason);
	if (r == -EIO || r == -EINVAL || r == -ENOTSUP)
		why = reason.text;
	else if (r == -ENOMEM)
		return rfs_no_memory(err);
	else if (r < 0)
		return rfs_fail(err, ETIMEDOUT, "%s", reason.text);
	if (!why && !w->says.agree)
		why = "no entry of the two agrees";
	if (!why) {
		r = ask_older(h, w, err);
		if (r < 0)
			return r;
		why = find_doubt(h, c, r);
		*ret = why || w->says.contradict ? RFS_QCOW2_UNPROVED
						 : RFS_QCOW2_PROVED;
		r = keep_verdict(h, w, ret, err);
		if (r < 0)
			return r;
	}
	note(h, w, *ret, why);
	return 0;
}

int rfs_qcow2_judge(struct rfs_qcow2_healing *h, size_t witness,
		    struct rfs_error *err)
{
	struct rfs_qcow2_judged *w = &h->witnesses[witness];
	enum rfs_qcow2_verdict verdict;
	bool is_done;
	int r;

	pthread_mutex_lock(&h->lock);
	while (w->is_judging)
		pthread_cond_wait(&h->judged, &h->lock);
	is_done = w->says.verdict != RFS_QCOW2_NOT_ASKED;
	w->is_judging = !is_done;
	pthread_mutex_unlock(&h->lock);
	if (is_done)
		return 0;
	forget_maps(w);
	r = judge(h, w, &verdict, err);
	pthread_mutex_lock(&h->lock);
	if (r == 0)
		w->says.verdict = verdict;
	w->is_judging = false;
	pthread_cond_broadcast(&h->judged);
	pthread_mutex_unlock(&h->lock);
	return r;
}
