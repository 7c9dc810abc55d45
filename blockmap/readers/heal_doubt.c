// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A dying disk may deliver other bytes than were written, most often zeros, and
 * call that a success.  Where other copies should hold the same, what it delivers
 * is held against them once, sector by sector, before it is served: the majority
 * is believed, and of two the copy on the healthy source.  The verdict is kept
 * with the file of the damaged source, so that it is the same ever after (P4), and
 * whoever asks is told who was not believed.
 *
 * What the damaged source delivered stays in its rescued store as it was: the
 * comparison never asks it again.
 *
 * A copy on another host heals what cannot be read, but proves little by being
 * different: a host that makes a base image larger has its own times in the
 * superblock.  It counts where others are of its mind, and against zeros.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "readers/heal_parts.h"

#define PIECE  ((uint64_t)64 << 10) /* compared at once */
#define SECTOR ((uint64_t)512)
#define JURORS 4 /* copies that are asked, at the most */

/* A copy that is held against what was delivered; the patient's own is the first
 * of them. */
struct juror {
	size_t member;
	unsigned char *bytes;
	struct rfs_ranges bad; /* what it could not say */
};

struct jury {
	struct rfs_range range;
	struct juror items[JURORS + 1];
	size_t count;
};

static struct rfs_rescue *patient_of(const struct rfs_reader *rd)
{
	const struct rfs_reader *below = rfs_mapped_below(rd);

	return rfs_rescue_of(below ? below : rd);
}

static bool has_same_id(const struct rfs_heal *h, size_t k)
{
	for (size_t i = 0; i < k; i++)
		if (h->members[i].id == h->members[k].id)
			return true;
	return false;
}

void rfs_heal_prepare(struct rfs_heal *h, const struct rfs_heal_doubts *doubts)
{
	const struct rfs_origin *origin;
	struct rfs_heal_member *m;

	h->notes = doubts->notes;
	h->is_shared = doubts->is_shared;
	for (size_t k = 0; k < h->nmembers; k++) {
		m = &h->members[k];
		m->is_near = k < 64 && doubts->near >> k & 1;
		origin = rfs_reader_origin(m->reader);
		if (!origin || rfs_state_source_id(doubts->state, origin->name,
						   &m->id, NULL) < 0)
			m->id = 0;
		/* Of two copies on one source a verdict names the first. */
		if (m->id > RFS_VERDICT_SOURCES || has_same_id(h, k))
			m->id = 0;
		if (m->id)
			m->patient = patient_of(m->reader);
		if (m->id && !m->patient)
			h->compares = doubts->compares;
	}
}

/*
 * The verdict.
 */

static bool is_told(const struct juror *j, struct rfs_range sector)
{
	for (size_t i = 0; i < j->bad.count; i++)
		if (rfs_range_cut(j->bad.items[i], sector).len)
			return false;
	return true;
}

static bool is_zero(const unsigned char *bytes, size_t len)
{
	return !bytes[0] && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* True where both say, and say the same; 'a' and 'b' are places in the jury. */
static bool agree(const struct jury *jury, size_t a, size_t b,
		  struct rfs_range sector)
{
	const struct juror *x = &jury->items[a], *y = &jury->items[b];
	uint64_t at = sector.off - jury->range.off;

	return is_told(x, sector) && is_told(y, sector) &&
	       memcmp(x->bytes + at, y->bytes + at, sector.len) == 0;
}

/* How many are of the mind of 'i', itself among them. */
static unsigned int votes(const struct jury *jury, size_t i,
			  struct rfs_range sector)
{
	unsigned int n = 0;

	for (size_t k = 0; k < jury->count; k++)
		n += agree(jury, i, k, sector);
	return n;
}

/* Whether a juror that stands alone against the patient is believed. */
static bool outweighs(const struct rfs_heal *h, const struct jury *jury,
		      size_t i, struct rfs_range sector)
{
	uint64_t at = sector.off - jury->range.off;

	return h->members[jury->items[i].member].is_near ||
	       is_zero(jury->items[0].bytes + at, sector.len);
}

/* Whom to believe: the place in the jury. */
static size_t believe(const struct rfs_heal *h, const struct jury *jury,
		      struct rfs_range sector)
{
	unsigned int best = votes(jury, 0, sector), n;
	size_t who = 0;

	for (size_t i = 1; i < jury->count; i++) {
		if (!is_told(&jury->items[i], sector) ||
		    agree(jury, i, 0, sector))
			continue;
		n = votes(jury, i, sector);
		if (n > best ||
		    (n == best && !who && outweighs(h, jury, i, sector))) {
			best = n;
			who = i;
		}
	}
	return who;
}

/* A copy of the same host that says otherwise than the patient, who is believed;
 * 0: there is none. */
static size_t contradictor(const struct rfs_heal *h, const struct jury *jury,
			   struct rfs_range sector)
{
	const struct juror *j;

	for (size_t i = 1; i < jury->count; i++) {
		j = &jury->items[i];
		if (h->members[j->member].is_near && is_told(j, sector) &&
		    !agree(jury, i, 0, sector))
			return i;
	}
	return 0;
}

static uint32_t verdict_on(const struct rfs_heal *h, const struct jury *jury,
			   struct rfs_range sector)
{
	size_t who = believe(h, jury, sector), other = 0;
	struct rfs_verdict v;

	if (!who)
		other = contradictor(h, jury, sector);
	if (!who && !other)
		return RFS_VERDICT_OWN;
	v.giver = h->members[jury->items[who].member].id;
	v.suspect = h->members[jury->items[other].member].id;
	return rfs_verdict_pack(v);
}

static void say_once(struct rfs_heal *h, size_t k, struct rfs_range sector)
{
	const struct rfs_heal_member *m = &h->members[k];

	if (atomic_exchange(&h->said, true))
		return;
	rfs_notes_add(h->notes,
		      "%s: what it delivers is not what other copies have that "
		      "should hold the same, at %" PRIu64
		      " and perhaps elsewhere; rescuefs map --json tells which "
		      "bytes are suspect, and whose are taken",
		      rfs_rescue_name(m->patient), sector.off);
}

/* Sector by sector, as far as the copies do not agree. */
static int judge_sectors(struct rfs_healing *q, const struct jury *jury)
{
	struct rfs_heal *h = q->h;
	size_t k = jury->items[0].member;
	uint64_t end = rfs_range_end(jury->range), to;
	struct rfs_range sector;
	uint32_t value;
	int r = 0;

	for (uint64_t off = jury->range.off; off < end && r == 0; off = to) {
		to = (off / SECTOR + 1) * SECTOR;
		to = to < end ? to : end;
		sector = rfs_range_to(off, to);
		value = verdict_on(h, jury, sector);
		if (value != RFS_VERDICT_OWN) {
			say_once(h, k, sector);
			q->judged = true;
		}
		r = rfs_rescue_judge(h->members[k].patient, sector, value,
				     NULL);
	}
	return r;
}

/*
 * The comparison.
 */

/* Asks one copy.  1: all of it agrees with the patient. */
static int ask_juror(const struct rfs_heal *h, struct jury *jury, size_t member)
{
	struct juror *j = &jury->items[jury->count];
	unsigned char *buf = malloc(jury->range.len);
	int r;

	if (!buf)
		return -ENOMEM;
	jury->count++;
	*j = (struct juror){ .member = member, .bytes = buf };
	r = rfs_reader_read(h->members[member].reader, jury->range, buf,
			    &j->bad, NULL);
	if (r == -ENOMEM)
		return r;
	if (r < 0 && !rfs_read_is_partial(r)) {
		rfs_ranges_clear(&j->bad);
		if (rfs_ranges_add(&j->bad, jury->range) < 0)
			return -ENOMEM;
	}
	return r == 0 &&
	       memcmp(buf, jury->items[0].bytes, jury->range.len) == 0;
}

/* Copies of the same host first: if the first of them agrees, no other is asked.
 * 1: one agrees as a whole. */
static int ask_all(const struct rfs_heal *h, struct jury *jury)
{
	size_t k = jury->items[0].member;
	int r = 0;

	for (int far = 0; far < 2 && r == 0; far++)
		for (size_t i = 0;
		     i < h->nmembers && r == 0 && jury->count <= JURORS; i++) {
			const struct rfs_heal_member *m = &h->members[i];

			if (i == k || m->patient || !m->id || m->is_near == far)
				continue;
			r = ask_juror(h, jury, i);
		}
	return r;
}

/* Of 'piece', at most PIECE, no verdict is there yet. */
static int judge(struct rfs_healing *q, size_t k, struct rfs_range piece)
{
	struct rfs_rescue *patient = q->h->members[k].patient;
	struct jury jury = {
		.range = piece,
		.items = { { .member = k,
			     .bytes = q->buf + (piece.off - q->range.off) } },
		.count = 1,
	};
	int r;

	/* Where nothing is compared, what is served now counts ever after. */
	r = q->h->compares ? ask_all(q->h, &jury) : 0;
	if (r == 0 && jury.count == 1)
		r = rfs_rescue_judge(patient, piece, RFS_VERDICT_OWN, NULL);
	else if (r == 1 && jury.count == 2)
		r = rfs_rescue_judge(patient, piece, RFS_VERDICT_OWN, NULL);
	else if (r >= 0)
		r = judge_sectors(q, &jury);
	for (size_t i = 1; i < jury.count; i++) {
		rfs_ranges_fini(&jury.items[i].bad);
		free(jury.items[i].bytes);
	}
	return r;
}

/*
 * What is served.
 */

static const struct rfs_heal_member *member_of(const struct rfs_heal *h,
					       uint32_t id)
{
	for (size_t k = 0; k < h->nmembers && id; k++)
		if (h->members[k].id == id)
			return &h->members[k];
	return NULL;
}

static int refuse(struct rfs_healing *q, const struct rfs_ranges *failed,
		  bool is_late)
{
	int r = 0;

	for (size_t i = 0; i < failed->count && r == 0; i++) {
		r = rfs_ranges_add(&q->refused, failed->items[i]);
		if (r == 0 && is_late)
			r = rfs_ranges_add(&q->late, failed->items[i]);
	}
	return r;
}

/* In place of the patient's the bytes of whoever was believed. */
static int replace(struct rfs_healing *q, size_t k, struct rfs_run run)
{
	const struct rfs_heal_member *giver =
		member_of(q->h, rfs_verdict_unpack(run.value).giver);
	struct rfs_ranges failed = { 0 };
	int r = -EIO;

	if (giver == &q->h->members[k])
		return 0;
	if (giver)
		r = rfs_reader_read(giver->reader, run.range,
				    q->buf + (run.range.off - q->range.off),
				    &failed, NULL);
	if (r == 0 || r == -ENOMEM) {
		rfs_ranges_fini(&failed);
		return r;
	}
	if (!rfs_read_is_partial(r) || !giver) {
		rfs_ranges_clear(&failed);
		if (rfs_ranges_add(&failed, run.range) < 0)
			return -ENOMEM;
	}
	r = refuse(q, &failed, r == -ETIMEDOUT);
	rfs_ranges_fini(&failed);
	return r;
}

int rfs_heal_settle(struct rfs_healing *q, size_t k, struct rfs_range piece)
{
	struct rfs_rescue *patient = q->h->members[k].patient;
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = piece.off;
	     patient && off < rfs_range_end(piece) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_rescue_verdict(patient, off, piece);
		if (run.value == RFS_VERDICT_NONE) {
			run.range = rfs_range_cut(
				run.range, rfs_range(off, PIECE - off % PIECE));
			r = judge(q, k, run.range);
			/* Ours, or that of another who was faster. */
			if (r == 0)
				run = rfs_rescue_verdict(patient, off,
							 run.range);
		}
		if (r == 0 && run.value > RFS_VERDICT_OWN)
			r = replace(q, k, run);
	}
	return r;
}

void rfs_heal_keep(const struct rfs_healing *q)
{
	for (size_t k = 0; k < q->h->nmembers && q->judged; k++)
		if (q->h->members[k].patient)
			rfs_rescue_keep_verdicts(q->h->members[k].patient,
						 NULL);
}

int rfs_heal_trace(const struct rfs_heal *h, size_t k,
		   const struct rfs_trace_item *item, struct rfs_trace *out)
{
	struct rfs_rescue *patient = h->members[k].patient;
	const struct rfs_heal_member *m;
	struct rfs_trace_item part = *item;
	struct rfs_run run;
	int r = 0;

	if (!patient)
		return rfs_trace_add_item(out, item);
	for (uint64_t off = item->range.off;
	     off < rfs_range_end(item->range) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_rescue_verdict(patient, off, item->range);
		part = *item;
		part.range = run.range;
		if (run.value > RFS_VERDICT_OWN) {
			m = member_of(h, rfs_verdict_unpack(run.value).giver);
			part.origin = m ? rfs_reader_origin(m->reader) : NULL;
			m = member_of(h, rfs_verdict_unpack(run.value).suspect);
			part.suspect = m ? rfs_reader_origin(m->reader) : NULL;
		}
		r = rfs_trace_add_item(out, &part);
	}
	return r;
}

/* Where the patient calls a hole what others have bytes for, there is data. */
int rfs_heal_extents(const struct rfs_heal *h, size_t k,
		     const struct rfs_extent *extent, struct rfs_extents *out)
{
	struct rfs_rescue *patient = h->members[k].patient;
	struct rfs_run run;
	int r = 0;

	if (!patient || extent->content != RFS_HOLE)
		return rfs_extents_add(out, extent->range, extent->content);
	for (uint64_t off = extent->range.off;
	     off < rfs_range_end(extent->range) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_rescue_verdict(patient, off, extent->range);
		r = rfs_extents_add(out, run.range,
				    run.value > RFS_VERDICT_OWN ? RFS_DATA
								: RFS_HOLE);
	}
	return r;
}
