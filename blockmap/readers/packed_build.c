// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What is behind damage has a place only if the sizes of all before it are
 * known.  They are where the format says so under a checksum of its own; where
 * what the damaged parts claim and what the whole ones hold add up to exactly
 * the size that the volume must have; and where that size is told to be exact,
 * counted back from the end.
 */
#include "readers/packed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/vec.h"

/* Compressed bytes between two words about progress. */
#define TELL_EVERY (4u << 20)
#define MOD32	   ((uint64_t)1 << 32)

static int add(struct rfs_packed_build *b, const struct rfs_packed_piece *piece,
	       struct rfs_error *err)
{
	struct rfs_packed *p = b->p;
	int r = 0;

	if (p->npieces == RFS_PACKED_PIECES_MAX)
		return rfs_fail(err, ENOTSUP,
				"%s: is made of more than %u pieces, which is "
				"not read; unpack it",
				p->name, RFS_PACKED_PIECES_MAX);
	pthread_mutex_lock(&p->lock);
	r = rfs_vec_room(&p->pieces, p->npieces, &p->room, sizeof(*p->pieces));
	if (r == 0) {
		p->pieces[p->npieces] = *piece;
		p->pieces[p->npieces++].off = b->total;
	}
	pthread_mutex_unlock(&p->lock);
	b->total += piece->len;
	return r < 0 ? rfs_no_memory(err) : 0;
}

void rfs_packed_prove(struct rfs_packed_build *b)
{
	struct rfs_packed *p = b->p;

	if (b->gap)
		return;
	pthread_mutex_lock(&p->lock);
	p->nproved = p->npieces;
	/* A build from the state's size on: what is beyond does not count. */
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

int rfs_packed_add_piece(struct rfs_packed_build *b,
			 const struct rfs_packed_piece *piece,
			 const void *notes, size_t notes_len, bool proved,
			 struct rfs_error *err)
{
	struct rfs_packed_piece mine = *piece;
	int r = 0;

	mine.notes = b->notes_end;
	if (notes_len) {
		mine.notes_len = (uint32_t)notes_len + 4;
		r = rfs_packed_index_write(b->p, b->notes_end, notes, notes_len,
					   err);
		b->notes_end += mine.notes_len;
	}
	if (r == 0 && mine.len)
		r = add(b, &mine, err);
	if (r == 0 && proved)
		rfs_packed_prove(b);
	return r;
}

int rfs_packed_add_gap(struct rfs_packed_build *b, uint64_t len, uint32_t flags,
		       struct rfs_error *err)
{
	struct rfs_packed_piece gap = { .len = len,
					.flags = RFS_PIECE_BAD | flags };

	if (len > RFS_PACKED_SIZE_MAX - b->total) {
		gap.len = 0;
		gap.flags = RFS_PIECE_BAD | RFS_PIECE_UNSIZED;
	}
	if (!(gap.flags & RFS_PIECE_PROVED))
		b->gap = true;
	return add(b, &gap, err);
}

void rfs_packed_take_back(struct rfs_packed_build *b, size_t from)
{
	struct rfs_packed *p = b->p;

	pthread_mutex_lock(&p->lock);
	if (p->npieces > from) {
		b->total = p->pieces[from].off;
		p->npieces = from;
	}
	pthread_mutex_unlock(&p->lock);
}

void rfs_packed_damage(struct rfs_packed_build *b, const char *fmt, ...)
{
	va_list ap;

	if (b->why[0])
		return;
	va_start(ap, fmt);
	vsnprintf(b->why, sizeof(b->why), fmt, ap);
	va_end(ap);
}

int rfs_packed_progress(struct rfs_packed_build *b, uint64_t done,
			struct rfs_error *err)
{
	const struct rfs_packed_config *c = &b->p->config;

	if (!rfs_packed_goes_on(b->p))
		return rfs_fail(err, EINTR, "%s: the mount is ending",
				b->p->name);
	if (c->progress && (done >= b->told + TELL_EVERY || done < b->told)) {
		c->progress(c->progress_data, done,
			    rfs_reader_size(b->p->file));
		b->told = done;
	}
	return 0;
}

/*
 * Placing.
 */

static bool is_open_gap(const struct rfs_packed_piece *piece)
{
	return (piece->flags & RFS_PIECE_BAD) &&
	       !(piece->flags & RFS_PIECE_PROVED);
}

/* What is claimed adds up; a MOD32 gap takes what its claim leaves out. */
static bool adds_up(struct rfs_packed *p, uint64_t total, uint64_t want)
{
	struct rfs_packed_piece *wide = NULL;

	for (size_t i = 0; i < p->npieces; i++) {
		struct rfs_packed_piece *piece = &p->pieces[i];

		if (!is_open_gap(piece))
			continue;
		if (piece->flags & RFS_PIECE_UNSIZED)
			return false;
		if (piece->flags & RFS_PIECE_MOD32) {
			if (wide)
				return false;
			wide = piece;
		}
	}
	if (total == want)
		return true;
	if (!wide || want < total || (want - total) % MOD32)
		return false;
	wide->len += want - total;
	return true;
}

/* From the first gap of unknown size to the last one, all is one gap, so that
 * what follows ends at 'want'. */
static bool count_back(struct rfs_packed *p, uint64_t want)
{
	size_t first = SIZE_MAX, last = 0;
	uint64_t whole = 0;

	for (size_t i = 0; i < p->npieces; i++)
		if (is_open_gap(&p->pieces[i])) {
			first = first == SIZE_MAX ? i : first;
			last = i;
		}
	for (size_t i = 0; i < p->npieces; i++)
		if (i < first || i > last)
			whole += p->pieces[i].len;
	if (first == SIZE_MAX || whole > want)
		return false;
	p->pieces[first].len = want - whole;
	memmove(&p->pieces[first + 1], &p->pieces[last + 1],
		(p->npieces - last - 1) * sizeof(*p->pieces));
	p->npieces -= last - first;
	return true;
}

static void cut_at_gap(struct rfs_packed *p)
{
	size_t n = 0;

	while (n < p->npieces && !is_open_gap(&p->pieces[n]))
		n++;
	if (n < p->npieces)
		rfs_notes_add(p->config.notes,
			      "%s: where in the volume what follows the damage "
			      "belongs cannot be told, so that none of it is "
			      "served",
			      p->name);
	p->npieces = n;
}

/* The lock is held. */
static void place(struct rfs_packed_build *b)
{
	struct rfs_packed *p = b->p;
	uint64_t want = p->config.expected_size, off = 0;

	if (b->gap && (!want || !adds_up(p, b->total, want)) &&
	    !(p->config.is_exact && want && !b->cut && count_back(p, want)))
		cut_at_gap(p);
	for (size_t i = 0; i < p->npieces; i++) {
		p->pieces[i].off = off;
		off += p->pieces[i].len;
	}
	b->total = off;
}

static int pad(struct rfs_packed *p, uint64_t from, uint64_t to)
{
	struct rfs_packed_piece gap = { .off = from,
					.len = to - from,
					.flags = RFS_PIECE_BAD };

	if (rfs_vec_room(&p->pieces, p->npieces, &p->room, sizeof(*p->pieces)) <
	    0)
		return -ENOMEM;
	p->pieces[p->npieces++] = gap;
	if (!p->why[0])
		snprintf(p->why, sizeof(p->why),
			 "it holds %" PRIu64 " bytes and not %" PRIu64, from,
			 to);
	return 0;
}

static void note_size(struct rfs_packed *p, uint64_t total)
{
	if (total > p->size)
		rfs_notes_add(p->config.notes,
			      "%s: holds more than the %" PRIu64
			      " bytes that it should; what is beyond is not "
			      "read",
			      p->name, p->size);
	else if (total < p->size)
		rfs_notes_add(p->config.notes,
			      "%s: holds %" PRIu64 " bytes of the %" PRIu64
			      " that it should; what is beyond cannot be read "
			      "from it",
			      p->name, total, p->size);
}

int rfs_packed_fit(struct rfs_packed *p, struct rfs_error *err)
{
	const struct rfs_packed_piece *last;
	uint64_t total = 0;
	int r = 0;

	if (p->npieces) {
		last = &p->pieces[p->npieces - 1];
		total = last->off + last->len;
	}
	if (!p->size)
		p->size = total;
	note_size(p, total);
	if (p->why[0])
		rfs_notes_add(p->config.notes, "%s: is damaged: %s", p->name,
			      p->why);
	if (total < p->size)
		r = pad(p, total, p->size);
	if (r < 0)
		return rfs_no_memory(err);
	p->nproved = p->npieces;
	p->indexed = true;
	return 0;
}

static uint64_t limit_of(const struct rfs_packed *p)
{
	/* The size of an open reader does not change. */
	if (p->size && p->size < RFS_PACKED_SIZE_MAX)
		return p->size;
	return RFS_PACKED_SIZE_MAX;
}

static int finish(struct rfs_packed_build *b, struct rfs_error *err)
{
	struct rfs_packed *p = b->p;
	int r;

	if (b->cut && !p->size)
		return rfs_fail(err, EFBIG,
				"%s: unpacks to more than %" PRIu64
				" bytes, which no volume has; it is not read",
				p->name, RFS_PACKED_SIZE_MAX);
	pthread_mutex_lock(&p->lock);
	place(b);
	memcpy(p->why, b->why, sizeof(p->why));
	pthread_mutex_unlock(&p->lock);
	/* Before it is fitted: what it holds does not depend on who asks. */
	r = rfs_packed_index_keep(p, b, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&p->lock);
	r = rfs_packed_fit(p, err);
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	return r;
}

int rfs_packed_build(struct rfs_packed *p, struct rfs_error *err)
{
	struct rfs_packed_build b = { .p = p, .limit = limit_of(p) };
	int r;

	b.hard = b.limit < RFS_PACKED_SIZE_MAX ? b.limit * 2 + (64u << 20)
					       : b.limit;
	pthread_mutex_lock(&p->lock);
	p->npieces = p->nproved = 0;
	pthread_mutex_unlock(&p->lock);
	r = rfs_packed_index_make(p, err);
	if (r == 0) {
		b.notes_end = p->index_size;
		r = p->format->index(&b, err);
	}
	if (r == 0)
		r = finish(&b, err);
	return r < 0 ? rfs_context(err, r, "indexing") : 0;
}
