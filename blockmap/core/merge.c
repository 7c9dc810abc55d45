// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What was taken is one number a byte, kept as extents: the block's state in
 * the low four bits and the state directory's number of the source above them.
 * No number means that the block was not asked for yet.
 *
 * A read goes through the runs of that map.  Where nothing is known it asks
 * the candidates in turn and then publishes what it took; if another thread
 * published something else meanwhile, the read begins anew and serves that, so
 * that two readers never see one block from two sources.
 */
#include "core/merge_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

/* In place of a source's number: lost only because stale blocks were not
 * wanted (fill = none or data).  Read again where they are. */
#define WITHHELD (UINT32_MAX >> 4)

/* One read on its way. */
struct request {
	struct rfs_merge *m;
	struct rfs_range range;
	uint8_t *buf;
	struct rfs_ranges *bad;
	struct rfs_error *err;
	bool learned;  /* the map grew */
	bool deviated; /* by something that must be kept before we answer */
	bool outrun;   /* another thread published something else */
	bool late;     /* a source was not waited for */
};

static uint32_t choice(enum rfs_block_state state, uint32_t id)
{
	return (uint32_t)state | id << 4;
}

static enum rfs_block_state choice_state(uint32_t value)
{
	return rfs_merge_choice_state(value);
}

static bool is_stale(const struct rfs_merge *m, size_t k)
{
	return m->givers[k].gives == RFS_STALE;
}

/* What the policy of today makes of a remembered choice, as far as it is the
 * same.  Whether it is wanted may not be told yet: then as if it were none. */
static struct rfs_run effective(const struct rfs_merge *m, struct rfs_run run)
{
	bool is_stale = choice_state(run.value) == RFS_STALE;
	struct rfs_run nature = { run.range, RFS_NATURE_DATA };

	if (!is_stale && run.value != choice(RFS_LOST, WITHHELD))
		return run;
	if (m->policy.withhold_stale)
		nature.value = RFS_NATURE_OTHER;
	else if (m->nature)
		nature = rfs_nature_find(m->nature, run.range.off, run.range);
	run.range = nature.range;
	if (nature.value == RFS_NATURE_OTHER)
		run.value = choice(RFS_LOST, WITHHELD);
	else if (nature.value == RFS_NATURE_UNTOLD || !is_stale)
		run.value = 0;
	return run;
}

struct rfs_run rfs_merge_find(struct rfs_merge *m, uint64_t off,
			      struct rfs_range within)
{
	return effective(m, rfs_kept_find(&m->choices, off, within));
}

static uint8_t *at(struct request *q, uint64_t off)
{
	return q->buf + (off - q->range.off);
}

static int add_bad(struct request *q, struct rfs_range range)
{
	return rfs_ranges_add(q->bad, range) < 0 ? rfs_no_memory(q->err) : 0;
}

/* Not lost: the source that may have it did not answer in time.  Nothing is
 * served, so nothing is remembered. */
static int give_late(struct request *q, struct rfs_range range)
{
	if (!q->bad->count)
		rfs_context(q->err, -ETIMEDOUT,
			    "%s: %" PRIu64 " bytes at %" PRIu64
			    " cannot be read for now",
			    q->m->name, range.len, range.off);
	return add_bad(q, range);
}

static int give_lost(struct request *q, struct rfs_range range)
{
	if (q->m->policy.zero_lost) {
		memset(at(q, range.off), 0, range.len);
		return 0;
	}
	if (!q->bad->count)
		rfs_fail(q->err, EIO,
			 "%s: %" PRIu64 " bytes at %" PRIu64 " are lost: no "
			 "source that may be used can read them; 'rescuefs "
			 "refresh' asks again, lost = zero reads them as zeros",
			 q->m->name, range.len, range.off);
	return add_bad(q, range);
}

/* Writes a choice down where there is none yet.  Sees whether another thread
 * chose otherwise. */
static int publish_locked(struct request *q, struct rfs_range range,
			  uint32_t value)
{
	struct rfs_kept *k = &q->m->choices;
	struct rfs_run run, now;
	int r;

	for (uint64_t off = range.off; off < rfs_range_end(range);
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find_in(&k->map, off, range);
		now = effective(q->m, run);
		run.range = now.range;
		if (run.value == value || now.value == value)
			continue;
		if (now.value != 0) {
			q->outrun = true;
			continue;
		}
		r = rfs_kept_change_locked(k, run.range, value, q->err);
		if (r < 0)
			return r;
		q->learned = true;
	}
	return 0;
}

static int publish(struct request *q, struct rfs_range range, uint32_t value)
{
	int r;

	if (choice_state(value) != RFS_FRESH && choice_state(value) != RFS_ZERO)
		q->deviated = true;
	rfs_kept_lock(&q->m->choices);
	r = publish_locked(q, range, value);
	rfs_kept_unlock(&q->m->choices);
	return r;
}

/* Fresh bytes: those without storage are holes, which the tables that were
 * just read say at no cost. */
static int publish_fresh(struct request *q, struct rfs_range range, size_t k)
{
	struct rfs_extents extents = { 0 };
	uint32_t id = q->m->givers[k].id;
	enum rfs_block_state state;
	int r;

	r = rfs_reader_extents(q->m->givers[k].reader, range, &extents, q->err);
	if (r < 0) { /* the bytes are there all the same */
		rfs_extents_clear(&extents);
		r = publish(q, range, choice(RFS_FRESH, id));
	}
	for (size_t i = 0; i < extents.count && r == 0; i++) {
		state = extents.items[i].content == RFS_HOLE ? RFS_ZERO
							     : RFS_FRESH;
		r = publish(q, extents.items[i].range, choice(state, id));
	}
	rfs_extents_fini(&extents);
	return r;
}

static int publish_read(struct request *q, struct rfs_range range, size_t k)
{
	const struct rfs_giver *g = &q->m->givers[k];

	if (!range.len)
		return 0;
	/* What was healed is kept before it is served: another day the same
	 * bytes may be judged otherwise. */
	q->deviated = q->deviated || g->healed_by;
	if (g->gives == RFS_FRESH)
		return publish_fresh(q, range, k);
	return publish(q, range, choice(g->gives, g->id));
}

/* Asks one candidate for 'range'; what it cannot read goes to 'missing'. */
static int ask(struct request *q, size_t k, struct rfs_range range,
	       struct rfs_ranges *missing)
{
	struct rfs_reader *rd = q->m->givers[k].reader;
	struct rfs_range has = rfs_range_cut(
		range, rfs_range(0, rd ? rfs_reader_size(rd) : 0));
	struct rfs_ranges bad = { 0 };
	uint64_t done = has.off;
	int r = 0;

	if (has.len)
		r = rfs_reader_read(rd, has, at(q, has.off), &bad, q->err);
	if (rfs_is_own_want(r)) {
		rfs_ranges_fini(&bad);
		return r;
	}
	if (r == -ETIMEDOUT)
		q->late = true;
	else if (r < 0 && r != -EIO)
		bad.count = 0;
	if (r < 0 && !bad.count && rfs_ranges_add(&bad, has) < 0)
		return rfs_no_memory(q->err);
	r = 0;
	for (size_t i = 0; i < bad.count && r == 0; i++) {
		r = publish_read(q, rfs_range_to(done, bad.items[i].off), k);
		done = rfs_range_end(bad.items[i]);
		if (r == 0 && rfs_ranges_add(missing, bad.items[i]) < 0)
			r = rfs_no_memory(q->err);
	}
	if (r == 0)
		r = publish_read(q, rfs_range_to(done, rfs_range_end(has)), k);
	if (r == 0 &&
	    rfs_ranges_add(missing, rfs_range_to(rfs_range_end(has),
						 rfs_range_end(range))) < 0)
		r = rfs_no_memory(q->err);
	rfs_ranges_fini(&bad);
	return r;
}

static int ask_for_all(struct request *q, size_t k,
		       const struct rfs_ranges *wanted,
		       struct rfs_ranges *missing)
{
	int r = 0;

	for (size_t i = 0; i < wanted->count && r == 0; i++)
		r = ask(q, k, wanted->items[i], missing);
	return r;
}

/* fill = data: of 'wanted' only file data stays; 'kept' is what an older source
 * may not give. */
static int keep_back(struct request *q, struct rfs_ranges *wanted,
		     struct rfs_ranges *kept)
{
	struct rfs_ranges all = *wanted;
	struct rfs_run run;
	int r = rfs_nature_learn(q->m->nature, q->err);

	if (rfs_is_own_want(r))
		return r;
	if (r < 0) /* it cannot be told now, so nothing is lost for ever */
		q->late = true;
	r = 0;
	*wanted = (struct rfs_ranges){ 0 };
	for (size_t i = 0; i < all.count && r == 0; i++)
		for (uint64_t off = all.items[i].off;
		     off < rfs_range_end(all.items[i]) && r == 0;
		     off = rfs_range_end(run.range)) {
			run = rfs_nature_find(q->m->nature, off, all.items[i]);
			r = rfs_ranges_add(run.value == RFS_NATURE_DATA ? wanted
									: kept,
					   run.range);
		}
	rfs_ranges_fini(&all);
	return r < 0 ? rfs_no_memory(q->err) : 0;
}

/* What candidate 'k' has of 'wanted' is taken from it, and off the list. */
static int ask_candidate(struct request *q, size_t k, struct rfs_ranges *wanted)
{
	bool picks = q->m->nature && is_stale(q->m, k);
	struct rfs_ranges missing = { 0 }, kept = { 0 };
	int r = picks ? keep_back(q, wanted, &kept) : 0;

	if (r == 0)
		r = ask_for_all(q, k, wanted, &missing);
	rfs_ranges_fini(wanted);
	*wanted = missing;
	for (size_t i = 0; i < kept.count && r == 0; i++)
		if (rfs_ranges_add(wanted, kept.items[i]) < 0)
			r = rfs_no_memory(q->err);
	rfs_ranges_sort(wanted);
	rfs_ranges_fini(&kept);
	return r;
}

/* What nobody gave.  'withheld': an older source was not asked. */
static int lose(struct request *q, struct rfs_range range, bool withheld)
{
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(run.range)) {
		run.range = rfs_range_to(off, rfs_range_end(range));
		run.value = RFS_NATURE_OTHER;
		if (withheld && q->m->nature)
			run = rfs_nature_find(q->m->nature, off, range);
		r = publish(q, run.range,
			    choice(RFS_LOST,
				   withheld && run.value == RFS_NATURE_OTHER
					   ? WITHHELD
					   : 0));
		if (r == 0)
			r = give_lost(q, run.range);
	}
	return r;
}

/* Rule 2, for a range of which nothing is known yet. */
static int resolve(struct request *q, struct rfs_range range)
{
	struct rfs_ranges wanted = { 0 };
	bool withheld = false;
	int r;

	q->late = false;
	r = rfs_ranges_add(&wanted, range) < 0 ? rfs_no_memory(q->err) : 0;
	for (size_t k = 0; k < q->m->ngivers && r == 0 && wanted.count; k++) {
		if (is_stale(q->m, k))
			withheld = q->m->policy.withhold_stale || q->m->nature;
		if (is_stale(q->m, k) && q->m->policy.withhold_stale)
			continue;
		r = ask_candidate(q, k, &wanted);
	}
	for (size_t i = 0; i < wanted.count && r == 0; i++)
		r = q->late ? give_late(q, wanted.items[i])
			    : lose(q, wanted.items[i], withheld);
	rfs_ranges_fini(&wanted);
	return r;
}

/* A block that was served from a source and cannot be had there any more is
 * lost: another source's bytes would change the view under its reader (P4). */
static int turn_lost(struct request *q, const struct rfs_ranges *gone)
{
	int r = 0;

	for (size_t i = 0; i < gone->count && r == 0; i++) {
		r = rfs_kept_set(&q->m->choices, gone->items[i],
				 choice(RFS_LOST, 0), q->err);
		if (r == 0)
			r = give_lost(q, gone->items[i]);
	}
	q->learned = q->deviated = true;
	return r;
}

static int serve_known(struct request *q, struct rfs_run run)
{
	const struct rfs_giver *c = rfs_merge_giver_of(q->m, run.value);
	struct rfs_ranges gone = { 0 };
	int r;

	if (choice_state(run.value) == RFS_LOST)
		return give_lost(q, run.range);
	if (choice_state(run.value) == RFS_ZERO) {
		memset(at(q, run.range.off), 0, run.range.len);
		return 0;
	}
	if (!c || !c->reader ||
	    !rfs_range_fits(run.range, rfs_reader_size(c->reader))) {
		rfs_fail(q->err, EIO,
			 "%s: %" PRIu64 " bytes at %" PRIu64 " came from a "
			 "source that is not there now, or were healed, and "
			 "now are not to be; mount and heal as before, or "
			 "'rescuefs refresh'",
			 q->m->name, run.range.len, run.range.off);
		return add_bad(q, run.range);
	}
	r = rfs_reader_read(c->reader, run.range, at(q, run.range.off), &gone,
			    q->err);
	if (r == -EIO && gone.count)
		r = turn_lost(q, &gone);
	for (size_t i = 0; i < gone.count && r == -ETIMEDOUT; i++)
		if (give_late(q, gone.items[i]) < 0)
			r = -ENOMEM;
	if (r == -ETIMEDOUT && gone.count)
		r = 0; /* told range by range */
	rfs_ranges_fini(&gone);
	return r;
}

static int serve(struct request *q)
{
	uint64_t end = rfs_range_end(q->range);
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = q->range.off; off < end && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_merge_find(q->m, off, rfs_range_to(off, end));
		r = run.value ? serve_known(q, run) : resolve(q, run.range);
	}
	return r;
}

/* The first to be asked where nothing is chosen, if its blocks are fresh. */
static size_t first_asked(const struct rfs_merge *m)
{
	size_t k = 0;

	while (k < m->ngivers && !m->givers[k].reader)
		k++;
	return k;
}

static int pieces_of(const struct rfs_giver *g, struct rfs_run run,
		     struct rfs_taking *ret)
{
	if (!g || !g->reader ||
	    !rfs_range_fits(run.range, rfs_reader_size(g->reader)))
		return -ENOTSUP;
	return rfs_reader_pieces(g->reader, run.range, &ret->pieces);
}

static int pieces_unread(struct rfs_merge *m, struct rfs_run run,
			 struct rfs_taking *ret)
{
	size_t k = first_asked(m);

	if (k == m->ngivers || m->givers[k].gives != RFS_FRESH ||
	    ret->nunread == RFS_PIECES_MAX)
		return -ENOTSUP;
	ret->unread[ret->nunread++] = run.range;
	return pieces_of(&m->givers[k], run, ret);
}

int rfs_merge_pieces(struct rfs_merge *m, struct rfs_range range,
		     struct rfs_taking *ret)
{
	uint64_t end = rfs_range_end(range);
	enum rfs_block_state state;
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = range.off; off < end && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_merge_find(m, off, rfs_range_to(off, end));
		state = choice_state(run.value);
		if (!run.value)
			r = pieces_unread(m, run, ret);
		else if (state == RFS_FRESH || state == RFS_STALE)
			r = pieces_of(rfs_merge_giver_of(m, run.value), run,
				      ret);
		else
			r = -ENOTSUP;
	}
	return r;
}

/* What a request learned, before it is answered.  If it cannot be kept now, the
 * next sync tries again and tells. */
static void keep_learned(const struct request *q)
{
	if (q->learned)
		atomic_fetch_add(&q->m->version, 1);
	if (q->deviated && q->learned)
		rfs_kept_save(&q->m->choices, NULL);
}

int rfs_merge_taken(struct rfs_merge *m, const struct rfs_taking *taking,
		    struct rfs_error *err)
{
	struct request q = { .m = m, .err = err };
	size_t k = first_asked(m);
	int r = 0;

	for (size_t i = 0; i < taking->nunread && r == 0; i++)
		r = publish_read(&q, taking->unread[i], k);
	keep_learned(&q);
	return r == 0 && q.outrun ? -EAGAIN : r;
}

int rfs_merge_read(struct rfs_merge *m, struct rfs_range range, void *buf,
		   struct rfs_ranges *bad, struct rfs_error *err)
{
	struct rfs_ranges mine = { 0 };
	struct request q = { m, range, buf, &mine, err, 0, 0, 0, 0 };
	int r;

	do {
		rfs_ranges_clear(&mine);
		q.outrun = false;
		r = serve(&q);
	} while (r == 0 && q.outrun);
	keep_learned(&q);
	if (r == 0 && mine.count)
		r = -EIO;
	for (size_t i = 0; i < mine.count && r == -EIO; i++)
		if (rfs_ranges_add(bad, mine.items[i]) < 0)
			r = rfs_no_memory(err);
	rfs_ranges_fini(&mine);
	return r;
}

static struct rfs_reader *first_open(const struct rfs_merge *m)
{
	for (size_t k = 0; k < m->ngivers; k++)
		if (m->givers[k].reader)
			return m->givers[k].reader;
	return NULL;
}

static bool has_generation(const struct rfs_candidate *c)
{
	return c->reader && c->generation.mtime_ns != RFS_TIME_UNKNOWN;
}

/* The fact that holds a candidate's generation, and what it is now. */
static int generation_fact(const struct rfs_candidate *c, char **ret_key,
			   char **ret_is, struct rfs_error *err)
{
	*ret_key = *ret_is = NULL;
	if (asprintf(ret_key, "generation of %s", c->origin->name) < 0 ||
	    asprintf(ret_is, "%" PRIu64 " %" PRId64, c->generation.size,
		     c->generation.mtime_ns) < 0)
		return rfs_no_memory(err);
	return 0;
}

/* A backup that was written anew, or a damaged host that still runs: its bytes
 * are not those that the choices were made by. */
static int check_unchanged(const struct rfs_merge *m,
			   const struct rfs_candidate *c, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *key = NULL;
	RFS_CLEANUP_FREE char *was = NULL;
	RFS_CLEANUP_FREE char *is = NULL;
	int r = generation_fact(c, &key, &is, err);

	if (r < 0)
		return r;
	r = rfs_state_fact(m->choices.state, m->choices.object, key, &was, err);
	if (r == -ENOENT)
		return rfs_state_try_fact(m->choices.state, m->choices.object,
					  key, is, err);
	if (r < 0 || strcmp(was, is) == 0 || m->policy.take_changed)
		return r;
	return rfs_fail(err, ESTALE,
			"%s: its file on %s has changed since it was first "
			"read, and a view does not change under its reader; "
			"unmount and 'rescuefs refresh' takes it as it is "
			"now, or use a new --state",
			m->name, c->origin->name);
}

static int check_candidates(const struct rfs_merge *m, struct rfs_error *err)
{
	int r = 0;

	for (size_t k = 0; k < m->ncandidates && r == 0; k++)
		if (has_generation(&m->candidates[k]))
			r = check_unchanged(m, &m->candidates[k], err);
	return r;
}

static int remember_generation(const struct rfs_merge *m,
			       const struct rfs_candidate *c,
			       struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *key = NULL;
	RFS_CLEANUP_FREE char *is = NULL;
	int r = generation_fact(c, &key, &is, err);

	if (r < 0)
		return r;
	return rfs_state_set_fact(m->choices.state, m->choices.object, key, is,
				  err);
}

static void add_giver(struct rfs_merge *m, struct rfs_giver giver)
{
	if (giver.reader)
		rfs_reader_ref(giver.reader);
	m->givers[m->ngivers++] = giver;
}

/* What can be healed is left out where the state has no room for its number. */
static void add_healed(struct rfs_merge *m, struct rfs_state *state,
		       const struct rfs_healed *h, enum rfs_block_state gives)
{
	struct rfs_giver giver = {
		.reader = h->reader,
		.candidate = &m->candidates[h->candidate],
		.healed_by = h->healed_by,
		.gives = h->is_unproved ? RFS_UNPROVED : gives,
	};

	if (rfs_state_source_id(state, h->name, &giver.id, NULL) == 0)
		add_giver(m, giver);
}

static int add_candidate(struct rfs_merge *m, struct rfs_state *state, size_t k,
			 const struct rfs_healed *healed, size_t nhealed,
			 struct rfs_error *err)
{
	const struct rfs_candidate *c = &m->candidates[k];
	struct rfs_giver giver = {
		.reader = c->reader,
		.candidate = c,
		.gives =
			k == 0 || c->is_same_generation ? RFS_FRESH : RFS_STALE,
	};
	int r = rfs_state_source_id(state, c->origin->name, &giver.id, err);

	if (r < 0)
		return r;
	add_giver(m, giver);
	for (size_t i = 0; i < nhealed; i++)
		if (healed[i].candidate == k)
			add_healed(m, state, &healed[i], giver.gives);
	return 0;
}

static int copy_candidates(struct rfs_merge *m, struct rfs_state *state,
			   const struct rfs_candidate *from, size_t n,
			   const struct rfs_healed *healed, size_t nhealed,
			   struct rfs_error *err)
{
	int r = 0;

	m->candidates = calloc(n + 1, sizeof(*m->candidates));
	m->givers = calloc(n + nhealed + 1, sizeof(*m->givers));
	if (!m->candidates || !m->givers)
		return rfs_no_memory(err);
	for (size_t k = 0; k < n; k++)
		m->candidates[k] = from[k];
	m->ncandidates = n;
	for (size_t k = 0; k < n && r == 0; k++)
		r = add_candidate(m, state, k, healed, nhealed, err);
	return r;
}

/* The size is a choice too: with the first source away, or back, it would be
 * another (P4).  It holds from the first block that was chosen. */
static int choose_size(struct rfs_merge *m, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *was = NULL;
	char is[32];
	uint64_t size = rfs_reader_size(first_open(m));
	char *end;
	int r;

	m->size = size;
	if (m->policy.take_changed && m->choices.map.count)
		return 0;
	snprintf(is, sizeof(is), "%" PRIu64, size);
	r = rfs_state_fact(m->choices.state, m->choices.object,
			   RFS_MERGE_SIZE_FACT, &was, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && strcmp(was, is) == 0)
		return 0;
	if (r == -ENOENT || !m->choices.map.count)
		return rfs_state_try_fact(m->choices.state, m->choices.object,
					  RFS_MERGE_SIZE_FACT, is, err);
	errno = 0;
	m->size = strtoull(was, &end, 10);
	if (errno || *end || end == was || m->size > RFS_SIZE_MAX)
		return rfs_fail(err, EBADMSG,
				"the state's size of %s is damaged", m->name);
	return 0;
}

/* What tells by itself what is file data; NULL: it is not there. */
static struct rfs_reader *freshest(const struct rfs_merge *m)
{
	for (size_t k = 0; k < m->ngivers; k++)
		if (m->givers[k].gives == RFS_FRESH && m->givers[k].reader)
			return m->givers[k].reader;
	return NULL;
}

int rfs_merge_open(const char *id, const char *name, struct rfs_state *state,
		   struct rfs_merge_policy policy,
		   const struct rfs_candidate *candidates, size_t ncandidates,
		   const struct rfs_healed *healed, size_t nhealed,
		   struct rfs_merge **ret, struct rfs_error *err)
{
	struct rfs_merge *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return rfs_no_memory(err);
	m->name = strdup(name);
	m->policy = policy;
	r = m->name ? copy_candidates(m, state, candidates, ncandidates, healed,
				      nhealed, err)
		    : rfs_no_memory(err);
	if (r == 0 && !first_open(m))
		r = rfs_fail(
			err, EIO, "%s: no source of it can be opened: %s", name,
			ncandidates && candidates[0].error ? candidates[0].error
							   : "there is none");
	if (r == 0)
		r = rfs_kept_open(&m->choices, state, id, "choices", err);
	if (r == 0 && policy.find_data)
		r = rfs_nature_open(policy.find_data, freshest(m), state, id,
				    &m->nature, err);
	if (r == 0)
		r = check_candidates(m, err);
	if (r == 0)
		r = choose_size(m, err);
	if (r < 0) {
		rfs_merge_close(m);
		return r;
	}
	*ret = m;
	return 0;
}

void rfs_merge_close(struct rfs_merge *m)
{
	if (!m)
		return;
	rfs_kept_close(&m->choices);
	rfs_nature_close(m->nature);
	for (size_t k = 0; k < m->ngivers; k++)
		rfs_reader_unref(m->givers[k].reader);
	free(m->givers);
	free(m->candidates);
	free(m->name);
	free(m);
}

uint64_t rfs_merge_size(const struct rfs_merge *m)
{
	return m->size;
}

uint64_t rfs_merge_reach(const struct rfs_merge *m)
{
	uint64_t now = rfs_reader_size(first_open(m));

	return now > m->size ? now : m->size;
}

uint64_t rfs_merge_allocated(const struct rfs_merge *m)
{
	return rfs_reader_allocated(first_open(m));
}

uint64_t rfs_merge_version(const struct rfs_merge *m)
{
	return atomic_load(&m->version);
}

int rfs_merge_sync(struct rfs_merge *m, struct rfs_error *err)
{
	return rfs_kept_save(&m->choices, err);
}

int rfs_merge_forget(struct rfs_merge *m, struct rfs_error *err)
{
	int r = rfs_kept_forget(&m->choices, err);

	for (size_t k = 0; k < m->ngivers && r == 0; k++)
		if (m->givers[k].reader)
			r = rfs_reader_renew(m->givers[k].reader, err);
	if (r == 0)
		r = rfs_nature_forget(m->nature, m->choices.state,
				      m->choices.object, err);
	if (r == 0)
		r = rfs_state_forget_fact(m->choices.state, m->choices.object,
					  RFS_MERGE_SIZE_FACT, err);
	for (size_t k = 0; k < m->ncandidates && r == 0; k++)
		if (has_generation(&m->candidates[k]))
			r = remember_generation(m, &m->candidates[k], err);
	atomic_fetch_add(&m->version, 1);
	return r;
}

size_t rfs_merge_candidates(const struct rfs_merge *m,
			    const struct rfs_candidate **ret)
{
	*ret = m->candidates;
	return m->ncandidates;
}
