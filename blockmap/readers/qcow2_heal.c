// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Entries of tables that are lost, told by another copy (rule 5), and a reader
 * of what lies where they lead.
 *
 * An entry is believed if the copy's L1 table leads to the same L2 table, and
 * the cluster is in bounds, aligned, claimed by no table that can be read, and
 * of refcount 1 where that can be read.  Of a compressed cluster, which a guest's
 * write never changes but leaves behind, the refcounts must be those of the copy
 * and the bytes the same: what comes of it is then what the copy has.
 *
 * Where only the L1 entry was lost, the image's own L2 table is read where the
 * copy says that it lies.
 */
#include "readers/qcow2_heal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Two reads of the same packed bytes are alike. */
static bool is_same_packed(struct rfs_qcow2_healing *h,
			   const struct rfs_qcow2_judged *w,
			   const struct rfs_qcow2_entry *e)
{
	struct rfs_range range = rfs_range(e->host, e->packed);
	uint8_t *a, *b;
	bool is_same;

	range.len = rfs_qcow2_min(range.len, h->q->file_size - range.off);
	if (!rfs_range_fits(range, w->q->file_size))
		return false;
	a = malloc(2 * range.len);
	if (!a)
		return false;
	b = a + range.len;
	is_same = rfs_reader_read(h->q->file, range, a, NULL, NULL) == 0 &&
		  rfs_reader_read(w->file, range, b, NULL, NULL) == 0 &&
		  memcmp(a, b, range.len) == 0;
	free(a);
	return is_same;
}

static bool is_used_alike(const struct rfs_qcow2_census *ours,
			  const struct rfs_qcow2_census *theirs, uint64_t i)
{
	return i < ours->clusters && i < theirs->clusters &&
	       rfs_qcow2_bit(ours->counted, i) &&
	       rfs_qcow2_bit(theirs->counted, i) &&
	       ours->refs[i] == theirs->refs[i] && ours->refs[i] &&
	       ours->refs[i] != RFS_QCOW2_REFS_MAX;
}

bool rfs_qcow2_is_packed_alike(struct rfs_qcow2_healing *h,
			       const struct rfs_qcow2_judged *w,
			       const struct rfs_qcow2_entry *e)
{
	const struct rfs_qcow2_census *ours, *theirs;
	uint32_t bits = h->q->cluster_bits;
	uint64_t last = (e->host + e->packed - 1) >> bits;

	if (rfs_qcow2_census_get(h->q, &ours, NULL) < 0 ||
	    rfs_qcow2_census_get(w->q, &theirs, NULL) < 0)
		return false;
	/* The last sector may lie past the end. */
	last = rfs_qcow2_min(last, (h->q->file_size - 1) >> bits);
	for (uint64_t i = e->host >> bits; i <= last; i++)
		if (!is_used_alike(ours, theirs, i))
			return false;
	return is_same_packed(h, w, e);
}

/* What the copy's entry is worth here; 'own' is the image's, which is refused.
 * That nothing was there then tells nothing of now. */
static struct rfs_qcow2_entry believe(struct rfs_qcow2_healing *h,
				      const struct rfs_qcow2_judged *w,
				      const struct rfs_qcow2_entry *own,
				      uint64_t raw, uint64_t bitmap,
				      uint64_t guest)
{
	struct rfs_qcow2_entry e = rfs_qcow2_decode(h->q, raw, bitmap, guest);
	bool is_good = false;

	/* Two claim it, and this is the one that the copy knows. */
	if (e.kind == RFS_QCOW2_PACKED)
		is_good = rfs_qcow2_is_packed_alike(h, w, &e);
	else if (e.kind == RFS_QCOW2_STORED && own->is_contested &&
		 own->host == e.host)
		is_good =
			raw & RFS_QCOW2_COPIED && rfs_qcow2_is_sole(h, e.host);
	else if (e.kind == RFS_QCOW2_STORED)
		is_good = raw & RFS_QCOW2_COPIED &&
			  rfs_qcow2_is_free_for(h, w, e.host);
	e.is_healed = true;
	if (!is_good)
		e.kind = RFS_QCOW2_UNKNOWN;
	return e;
}

/* Whether a copy tells anything of 'guest'; the freshest that does is heard. */
static bool tells(struct rfs_qcow2_judged *w, uint64_t guest)
{
	uint64_t off, raw, bitmap;
	struct rfs_qcow2_l2 *l2;
	bool is_told;

	switch (rfs_qcow2_l1_entry(w->q, guest >> w->q->span_bits, &off)) {
	case RFS_QCOW2_STORED:
		break;
	case RFS_QCOW2_UNALLOCATED:
		return true;
	default:
		return false;
	}
	if (rfs_qcow2_l2_get(w->q, off, &l2, NULL) < 0)
		return false;
	is_told = rfs_qcow2_l2_raw(w->q, &l2->table, guest, &raw, &bitmap);
	rfs_qcow2_l2_put(l2);
	return is_told;
}

/* Called where the verdict is in. 1: a fresher copy tells, so this one is not
 * heard. */
static int ask_fresher(const struct rfs_qcow2_healer *by, uint64_t guest,
		       struct rfs_error *err)
{
	struct rfs_qcow2_judged *w;
	int r;

	for (size_t k = 0; k < by->witness; k++) {
		w = &by->healing->witnesses[k];
		r = rfs_qcow2_judge(by->healing, k, err);
		if (r < 0)
			return r;
		if (rfs_qcow2_is_usable(w) && tells(w, guest))
			return 1;
	}
	return 0;
}

/* Both tables that lie at 'off', the image's own first. */
static int ask_tables(const struct rfs_qcow2_healer *by, uint64_t off,
		      uint64_t guest, struct rfs_qcow2_entry *ret,
		      bool *ret_is_own, struct rfs_error *err)
{
	struct rfs_qcow2_healing *h = by->healing;
	struct rfs_qcow2_judged *w = &h->witnesses[by->witness];
	struct rfs_qcow2_entry own;
	struct rfs_qcow2_l2 *l2;
	uint64_t raw, bitmap;
	bool is_told;
	int r = rfs_qcow2_l2_get(h->q, off, &l2, err);

	if (r < 0)
		return r;
	own = rfs_qcow2_l2_entry(h->q, &l2->table, guest);
	*ret = own;
	/* Zeros found in such a way are no table of the image for sure. */
	if (l2->is_blank)
		ret->kind = RFS_QCOW2_UNKNOWN;
	rfs_qcow2_l2_put(l2);
	*ret_is_own = ret->kind != RFS_QCOW2_UNKNOWN &&
		      ret->kind != RFS_QCOW2_INVALID;
	if (*ret_is_own)
		return 0;
	r = rfs_qcow2_l2_get(w->q, off, &l2, err);
	if (r < 0)
		return r;
	/* What makes no sense in the copy, or what two claim there, is not told. */
	is_told = rfs_qcow2_l2_raw(w->q, &l2->table, guest, &raw, &bitmap) &&
		  rfs_qcow2_l2_entry(w->q, &l2->table, guest).kind !=
			  RFS_QCOW2_INVALID;
	rfs_qcow2_l2_put(l2);
	if (is_told)
		*ret = believe(h, w, &own, raw, bitmap, guest);
	return 0;
}

static bool is_verdict(const struct rfs_qcow2_healer *by)
{
	return by->healing->witnesses[by->witness].says.verdict ==
	       (by->proved ? RFS_QCOW2_PROVED : RFS_QCOW2_UNPROVED);
}

bool rfs_qcow2_gives_own(const struct rfs_qcow2_healer *by)
{
	return by->healing->q->is_borrowed && !by->guesses && is_verdict(by);
}

/* The verdict on one cluster.  What the image's own table says stands as long as that
 * is this entry's table. */
static bool is_verdict_on(const struct rfs_qcow2_healer *by, uint64_t guest,
			  bool is_own)
{
	const struct rfs_qcow2_judged *w = &by->healing->witnesses[by->witness];
	uint64_t span = 1ull << w->q->span_bits;
	bool is_proved;

	if (is_own)
		guest &= ~(span - 1);
	is_proved = w->says.verdict == RFS_QCOW2_PROVED && guest < w->says.kept;
	return by->proved == is_proved;
}

int rfs_qcow2_heal_entry(const struct rfs_qcow2_healer *by, uint64_t guest,
			 struct rfs_qcow2_entry *ret, uint64_t *ret_len,
			 struct rfs_error *err)
{
	struct rfs_qcow2_healing *h = by->healing;
	struct rfs_qcow2_judged *w = &h->witnesses[by->witness];
	uint64_t index = guest >> h->q->span_bits;
	uint64_t span = 1ull << h->q->span_bits;
	bool is_own = false;
	uint64_t left;
	int r;

	if (by->guesses)
		return rfs_qcow2_guess_entry(h, guest, ret, ret_len, err);
	r = rfs_qcow2_judge(h, by->witness, err);
	guest &= ~(h->q->cluster_size - 1);
	left = span - (guest & (span - 1));
	*ret = (struct rfs_qcow2_entry){ .kind = RFS_QCOW2_UNKNOWN };
	*ret_len = left;
	if (r < 0 || !rfs_qcow2_is_usable(w) || index >= w->q->l1.len / 8 ||
	    !w->tables[index])
		return r;
	*ret_len = h->q->cluster_size;
	r = ask_fresher(by, guest, err);
	if (r == 0)
		r = ask_tables(by, w->tables[index], guest, ret, &is_own, err);
	if (r == 0 && !is_verdict_on(by, guest, is_own))
		ret->kind = RFS_QCOW2_UNKNOWN;
	return r < 0 ? r : 0;
}

/* As a reader ------------------------------------------------------------- */

static int ref(struct rfs_qcow2_healing *h, struct rfs_qcow2_healer **ret,
	       struct rfs_error *err)
{
	struct rfs_qcow2_healer *by = calloc(1, sizeof(*by));

	if (!by)
		return rfs_no_memory(err);
	atomic_fetch_add(&h->refs, 1);
	by->healing = h;
	*ret = by;
	return 0;
}

/* Where even the header is another's, nothing of the image is read before it is
 * known to be a copy of the same.  1: it is not. */
static int is_closed(const struct rfs_qcow2_healer *by, struct rfs_error *err)
{
	struct rfs_qcow2_healing *h = by->healing;
	int r;

	if (!h->q->is_borrowed)
		return 0;
	r = rfs_qcow2_judge(h, by->witness, err);
	return r < 0 ? r : !rfs_qcow2_is_usable(&h->witnesses[by->witness]);
}

static int healed_read(void *state, struct rfs_range range, void *buf,
		       struct rfs_ranges *bad, struct rfs_error *err)
{
	const struct rfs_qcow2_healer *by = state;
	int r = is_closed(by, err);

	if (r == 0)
		return rfs_qcow2_read_as(by->healing->q, by, range, buf, bad,
					 err);
	if (rfs_ranges_add(bad, range) < 0)
		return rfs_no_memory(err);
	if (r < 0)
		return r;
	return rfs_fail(err, EIO, "%s: its header is lost",
			rfs_reader_name(by->healing->image));
}

static int healed_extents(void *state, struct rfs_range range,
			  struct rfs_extents *out, struct rfs_error *err)
{
	const struct rfs_qcow2_healer *by = state;

	if (is_closed(by, NULL) == 0)
		return rfs_qcow2_extents_as(by->healing->q, by, range, out,
					    err);
	if (rfs_extents_add(out, range, RFS_UNKNOWN) < 0)
		return rfs_no_memory(err);
	return 0;
}

static int healed_trace(void *state, struct rfs_range range,
			struct rfs_trace *out, struct rfs_error *err)
{
	const struct rfs_qcow2_healer *by = state;

	return rfs_qcow2_trace_as(by->healing->q, by, range, out, err);
}

static uint64_t healed_allocated(void *state)
{
	const struct rfs_qcow2_healer *by = state;

	return rfs_reader_allocated(by->healing->image);
}

static int healed_renew(void *state, struct rfs_error *err)
{
	const struct rfs_qcow2_healer *by = state;

	return rfs_qcow2_forget_verdicts(by->healing, err);
}

static void healed_close(void *state)
{
	struct rfs_qcow2_healer *by = state;

	rfs_qcow2_healing_unref(by->healing);
	free(by);
}

static const struct rfs_reader_ops healed_ops = {
	.kind = "qcow2 healed",
	.read = healed_read,
	.extents = healed_extents,
	.trace = healed_trace,
	.allocated = healed_allocated,
	.renew = healed_renew,
	.close = healed_close,
};

static int open_healer(struct rfs_qcow2_healing *h,
		       const struct rfs_qcow2_healer *way,
		       struct rfs_reader **ret, struct rfs_error *err)
{
	struct rfs_qcow2_healer *by = NULL;
	int r = ref(h, &by, err);

	if (r < 0)
		return r;
	*by = *way;
	by->healing = h;
	return rfs_reader_new(&healed_ops, by, rfs_reader_size(h->image),
			      rfs_reader_name(h->image),
			      rfs_reader_origin(h->image), ret, err);
}

int rfs_qcow2_healed_open(struct rfs_qcow2_healing *h, size_t witness,
			  bool proved, struct rfs_reader **ret,
			  struct rfs_error *err)
{
	struct rfs_qcow2_healer way = { .witness = witness, .proved = proved };

	return open_healer(h, &way, ret, err);
}

int rfs_qcow2_guessed_open(struct rfs_qcow2_healing *h, struct rfs_reader **ret,
			   struct rfs_error *err)
{
	struct rfs_qcow2_healer way = { .guesses = true };

	return open_healer(h, &way, ret, err);
}

bool rfs_qcow2_has_lost_l1(struct rfs_reader *image)
{
	const struct rfs_qcow2 *q = rfs_qcow2_of(image);

	return q && q->l1.lost;
}

static char *copy_text(const char *text, bool *failed)
{
	char *copy = text ? strdup(text) : NULL;

	*failed = *failed || (text && !copy);
	return copy;
}

int rfs_qcow2_healing_new(const struct rfs_qcow2_healing_config *config,
			  struct rfs_qcow2_healing **ret, struct rfs_error *err)
{
	struct rfs_qcow2 *q = rfs_qcow2_of(config->image);
	struct rfs_qcow2_healing *h;
	bool failed = false;

	if (!q)
		return rfs_fail(err, EINVAL, "%s: no qcow2 image",
				rfs_reader_name(config->image));
	h = calloc(1, sizeof(*h) + config->nwitnesses * sizeof(*h->witnesses));
	if (!h)
		return rfs_no_memory(err);
	atomic_init(&h->refs, 1);
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->judged, NULL);
	h->image = rfs_reader_ref(config->image);
	h->q = q;
	h->state = config->state;
	h->notes = config->notes;
	h->may_guess = config->may_guess;
	h->may_move = copy_text(config->may_move, &failed);
	h->object = copy_text(config->object, &failed);
	h->nwitnesses = config->nwitnesses;
	for (size_t k = 0; k < h->nwitnesses; k++)
		h->witnesses[k].spec = config->witnesses[k];
	h->places = calloc(config->nplaces + 1, sizeof(*h->places));
	failed = failed || !h->places;
	for (; h->places && h->nplaces < config->nplaces; h->nplaces++)
		h->places[h->nplaces] = config->places[h->nplaces];
	if (failed) {
		rfs_qcow2_healing_unref(h);
		return rfs_no_memory(err);
	}
	q->healing = h;
	*ret = h;
	return 0;
}

struct rfs_qcow2_healing *rfs_qcow2_healing_unref(struct rfs_qcow2_healing *h)
{
	if (!h || atomic_fetch_sub(&h->refs, 1) != 1)
		return NULL;
	h->q->healing = NULL;
	for (size_t k = 0; k < h->nwitnesses; k++) {
		struct rfs_qcow2_judged *w = &h->witnesses[k];

		free(w->tables);
		free(w->claimed);
		free(w->fixed);
		rfs_reader_unref(w->image);
		rfs_reader_unref(w->file);
	}
	rfs_reader_unref(h->image);
	free(h->may_move);
	free(h->places);
	free(h->guess.tables);
	free(h->object);
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->judged);
	free(h);
	return NULL;
}

void rfs_qcow2_healing_testimony(struct rfs_qcow2_healing *h, size_t witness,
				 struct rfs_qcow2_testimony *ret)
{
	pthread_mutex_lock(&h->lock);
	*ret = h->witnesses[witness].says;
	if (ret->verdict == RFS_QCOW2_NOT_ASKED)
		*ret = (struct rfs_qcow2_testimony){ 0 };
	pthread_mutex_unlock(&h->lock);
}

bool rfs_qcow2_find_orphans(struct rfs_reader *image, bool count,
			    struct rfs_orphans *ret)
{
	struct rfs_qcow2 *q = rfs_qcow2_of(image);
	const struct rfs_qcow2_census *c;

	if (!q || q->header.version == 1)
		return false;
	c = rfs_qcow2_census_known(q);
	if (!c && (!count || rfs_qcow2_census_get(q, &c, NULL) < 0))
		return false;
	*ret = (struct rfs_orphans){
		.is_known = true,
		.clusters = c->orphans,
		.bytes = c->orphans << q->cluster_bits,
		.first = c->first_orphan,
		.is_partial = c->partial,
	};
	return true;
}
