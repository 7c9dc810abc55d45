// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Zstandard (RFC 8878): frames one after another, some of them to be skipped.
 * The seekable format (contrib/seekable_format of zstd) ends with one of these
 * that lists all frames.  A frame's header may say how much it holds, and
 * nothing covers the header: two witnesses are wanted before what follows a
 * frame has its place.  One frame alone needs none; the seek table and the
 * headers are two; headers that add up to the volume's size are, too.  Else all
 * of the file is unpacked once.
 */
#include "readers/packed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "core/cleanup.h"
#include "core/vec.h"

#define WINDOW_LOG_MAX 27
#define HEAVY	       (16u << 20)
#define HEADER_MAX     18
#define BLOCK_MAX      (128u << 10)
/* Frames are put together into a piece until they hold as much. */
#define PIECE_LEAST (64u << 10)
#define FRAMES_MAX  0x8000000u /* what a seek table may list */

static uint32_t get32(const uint8_t *b)
{
	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
	       (uint32_t)b[3] << 24;
}

static bool is_skippable(const uint8_t *b)
{
	return (get32(b) & 0xfffffff0u) == 0x184d2a50u;
}

/*
 * Unpacking.
 */

struct live {
	struct rfs_packed *p;
	struct rfs_packed_input in;
	ZSTD_DCtx *ctx;
	size_t left;  /* what the last call said: 0 at a frame's end */
	bool pending; /* it has more to give before it needs input */
	bool heavy;
	bool wrong_sum; /* all came out, and only the checksum fails */
	bool one;	/* stop where a frame ends */
};

static bool is_heavy(const uint8_t *h, size_t len)
{
	return len >= 6 && !is_skippable(h) && !(h[4] & 0x20) &&
	       (h[5] >> 3) + 10 >= 24;
}

static void zst_end(void *live)
{
	struct live *l = live;

	ZSTD_freeDCtx(l->ctx);
	rfs_packed_input_fini(&l->in);
	if (l->heavy)
		rfs_packed_pool_heavy(l->p->pool, false);
	free(l);
}

static int open_live(struct rfs_packed *p, uint64_t from, uint64_t to,
		     struct live **ret, struct rfs_error *err)
{
	struct live *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return rfs_no_memory(err);
	l->p = p;
	r = rfs_packed_input_init(&l->in, p->file, from, to, err);
	if (r == 0)
		r = rfs_packed_more(&l->in, err);
	if (r == 1 && is_heavy(l->in.buf, l->in.have)) {
		l->heavy = true;
		rfs_packed_pool_heavy(p->pool, true);
	}
	l->ctx = ZSTD_createDCtx();
	if (r >= 0 && !l->ctx)
		r = rfs_no_memory(err);
	if (r < 0) {
		zst_end(l);
		return r;
	}
	ZSTD_DCtx_setParameter(l->ctx, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	*ret = l;
	return 0;
}

static int zst_start(struct rfs_packed *p, const struct rfs_packed_piece *piece,
		     void **ret, struct rfs_error *err)
{
	struct live *l;
	int r = open_live(p, piece->from / 8, piece->to / 8, &l, err);

	if (r == 0)
		*ret = l;
	return r;
}

static int zst_fail(struct live *l, size_t rc, struct rfs_error *err)
{
	uint64_t pos = rfs_packed_pos(&l->in);

	switch (ZSTD_getErrorCode(rc)) {
	case ZSTD_error_memory_allocation:
		return rfs_no_memory(err);
	case ZSTD_error_frameParameter_windowTooLarge:
		return rfs_fail(err, ENOTSUP,
				"the zstd frame at %" PRIu64
				" needs more than 128 MiB of history to be "
				"unpacked; pack it anew without --long",
				pos);
	case ZSTD_error_dictionary_wrong:
		return rfs_fail(err, ENOTSUP,
				"the zstd frame at %" PRIu64
				" needs a dictionary, which is not here",
				pos);
	case ZSTD_error_checksum_wrong:
		l->wrong_sum = true;
		break;
	default:
		break;
	}
	return rfs_fail(err, EILSEQ,
			"a zstd frame is damaged at %" PRIu64
			" of the compressed file: %s",
			pos, ZSTD_getErrorName(rc));
}

/* One call of the decoder. */
static int decode(struct live *l, uint8_t *to, size_t room, size_t *ret_made,
		  struct rfs_error *err)
{
	ZSTD_inBuffer in = { l->in.buf, l->in.have, l->in.at };
	ZSTD_outBuffer out = { to, room, 0 };
	size_t rc = ZSTD_decompressStream(l->ctx, &out, &in);

	l->in.at = in.pos;
	*ret_made = out.pos;
	l->pending = out.pos == room && rc; /* 0: all of a frame is out */
	if (ZSTD_isError(rc))
		return zst_fail(l, rc, err);
	l->left = rc;
	return 0;
}

static int zst_step(void *live, uint8_t *to, size_t room, size_t *ret_made,
		    struct rfs_error *err)
{
	struct live *l = live;
	uint64_t pos;
	int r = 0;

	while (r == 0 && !*ret_made) {
		if (l->one && !l->left)
			return 0;
		if (!l->pending || l->in.at < l->in.have)
			r = rfs_packed_more(&l->in, err);
		else
			r = 1;
		if (r == 0 && !l->left)
			return 0;
		if (r == 0)
			return rfs_fail(err, ENODATA,
					"it ends at %" PRIu64
					", inside a zstd frame",
					rfs_packed_pos(&l->in));
		if (r < 0)
			return r;
		pos = rfs_packed_pos(&l->in);
		r = decode(l, to, room, ret_made, err);
		if (r == 0 && !*ret_made && pos == rfs_packed_pos(&l->in))
			l->pending = false;
	}
	return r;
}

/*
 * Frames by their headers.
 */

struct frame {
	uint64_t at, end; /* in the file */
	uint64_t holds;	  /* unpacked bytes; UINT64_MAX: not said */
	bool skippable, has_sum;
};

/* -ENODATA: the file ends there.  -EILSEQ: there is no frame. */
static int read_frame_header(struct rfs_packed_input *in, struct frame *f,
			     struct rfs_error *err)
{
	uint8_t h[HEADER_MAX] = { 0 };
	static const uint8_t did[4] = { 0, 1, 2, 4 };
	static const uint8_t fcs[4] = { 0, 2, 4, 8 };
	unsigned long long holds;
	size_t len;
	int r;

	*f = (struct frame){ .at = rfs_packed_pos(in), .holds = UINT64_MAX };
	r = rfs_packed_get(in, h, 5, err);
	if (r < 0)
		return r;
	f->skippable = is_skippable(h);
	if (f->skippable) {
		r = rfs_packed_get(in, h + 5, 3, err);
		f->end = f->at + 8 + get32(h + 4);
		f->holds = 0;
		return r;
	}
	if (get32(h) != ZSTD_MAGICNUMBER || (h[4] & 0x08))
		return rfs_fail(err, EILSEQ,
				"there is no zstd frame at %" PRIu64, f->at);
	len = 5u + !(h[4] & 0x20) + did[h[4] & 3] + fcs[h[4] >> 6];
	if (!(h[4] >> 6) && (h[4] & 0x20))
		len++;
	r = rfs_packed_get(in, h + 5, len - 5, err);
	holds = ZSTD_getFrameContentSize(h, len);
	if (holds != ZSTD_CONTENTSIZE_UNKNOWN &&
	    holds != ZSTD_CONTENTSIZE_ERROR)
		f->holds = holds;
	f->has_sum = h[4] & 4;
	return r;
}

/* Over the blocks to the frame's end, without unpacking. */
static int walk_blocks(struct rfs_packed_input *in, struct frame *f,
		       struct rfs_error *err)
{
	uint8_t b[3] = { 0 };
	uint32_t size, type;
	int r;

	do {
		r = rfs_packed_get(in, b, 3, err);
		if (r < 0)
			return r;
		size = ((uint32_t)b[0] | (uint32_t)b[1] << 8 |
			(uint32_t)b[2] << 16) >>
		       3;
		type = (b[0] >> 1) & 3;
		if (type == 3 || size > BLOCK_MAX)
			return rfs_fail(err, EILSEQ,
					"a zstd block is damaged at %" PRIu64,
					rfs_packed_pos(in) - 3);
		rfs_packed_seek(in,
				rfs_packed_pos(in) + (type == 1 ? 1 : size));
	} while (!(b[0] & 1));
	f->end = rfs_packed_pos(in) + (f->has_sum ? 4 : 0);
	return 0;
}

static int walk_frame(struct rfs_packed_input *in, struct frame *f,
		      struct rfs_error *err)
{
	int r = read_frame_header(in, f, err);

	if (r == 0 && !f->skippable)
		r = walk_blocks(in, f, err);
	if (r == 0 && f->end > rfs_reader_size(in->file))
		r = rfs_fail(err, EIO,
			     "it ends inside the zstd frame at "
			     "%" PRIu64,
			     f->at);
	if (r == 0)
		rfs_packed_seek(in, f->end);
	return r;
}

/*
 * Pieces of frames.
 */

struct group {
	struct rfs_packed_build *b;
	struct rfs_packed_piece piece;
	bool proved;
};

static int end_group(struct group *g, struct rfs_error *err)
{
	int r = 0;

	if (g->piece.len)
		r = rfs_packed_add_piece(g->b, &g->piece, NULL, 0, g->proved,
					 err);
	g->piece = (struct rfs_packed_piece){ 0 };
	return r;
}

/* What is skipped belongs to no piece. */
static int add_frame(struct group *g, const struct frame *f, uint32_t flags,
		     struct rfs_error *err)
{
	int r = 0;

	if (f->skippable || !f->holds)
		return 0;
	if (!f->has_sum)
		rfs_notes_add(g->b->p->config.notes,
			      "%s: has frames without a checksum, so that "
			      "nothing proves what these unpack to",
			      g->b->p->name);
	if (g->piece.len >= PIECE_LEAST ||
	    g->piece.len + f->holds > RFS_PACKED_PIECE_MAX ||
	    (g->piece.len && (g->piece.flags != flags || flags & ~(uint32_t)1)))
		r = end_group(g, err);
	if (f->holds > RFS_PACKED_SIZE_MAX - g->b->total - g->piece.len)
		return rfs_fail(err, EILSEQ,
				"the zstd frame at %" PRIu64
				" says that it holds more than any volume",
				f->at);
	if (!g->piece.len) {
		g->piece.from = f->at * 8;
		g->piece.flags = flags;
	}
	g->piece.len += f->holds;
	g->piece.to = f->end * 8;
	return r;
}

/*
 * The seek table, and headers that add up.
 */

struct frames {
	struct frame *items;
	size_t count, room;
};

static int add_all(struct rfs_packed_build *b, const struct frames *list,
		   struct rfs_error *err)
{
	struct group g = { .b = b, .proved = true };
	int r = 0;

	for (size_t i = 0; i < list->count && r == 0; i++)
		r = add_frame(&g, &list->items[i], 0, err);
	return r < 0 ? r : end_group(&g, err);
}

static uint64_t sum_of(const struct frames *list, size_t *ret_frames)
{
	uint64_t sum = 0;

	*ret_frames = 0;
	for (size_t i = 0; i < list->count; i++) {
		if (list->items[i].skippable)
			continue;
		++*ret_frames;
		if (list->items[i].holds > RFS_PACKED_SIZE_MAX - sum)
			return UINT64_MAX;
		sum += list->items[i].holds;
	}
	return sum;
}

static int add_to_list(struct frames *list, const struct frame *f)
{
	if (list->count == RFS_PACKED_PIECES_MAX)
		return -EILSEQ;
	if (rfs_vec_room(&list->items, list->count, &list->room,
			 sizeof(*list->items)) < 0)
		return -ENOMEM;
	list->items[list->count++] = *f;
	return 0;
}

/* Every frame by its header.  1: they are right. */
static int walk_all(struct rfs_packed_build *b, struct frames *list,
		    struct rfs_error *err)
{
	struct rfs_packed_input in;
	struct frame f;
	uint64_t sum;
	size_t n;
	int r;

	r = rfs_packed_input_init(&in, b->p->file, 0, UINT64_MAX, err);
	while (r == 0 && rfs_packed_pos(&in) < in.end) {
		r = walk_frame(&in, &f, err);
		if (r == 0)
			r = add_to_list(list, &f);
		if (r == 0)
			r = rfs_packed_progress(b, rfs_packed_pos(&in), err);
	}
	rfs_packed_input_fini(&in);
	if (r < 0)
		return r == -ENODATA ? -EILSEQ : r;
	sum = sum_of(list, &n);
	return sum != UINT64_MAX &&
	       (n == 1 || sum == b->p->config.expected_size);
}

/* The table at the end, and its frames.  1: it is there and sound. */
static int read_table(struct rfs_packed_build *b, struct frames *list,
		      struct rfs_error *err)
{
	uint64_t size = rfs_reader_size(b->p->file), at = 0, begin;
	RFS_CLEANUP_FREE uint8_t *table = NULL;
	uint8_t foot[9], head[8];
	struct frame f = { 0 };
	size_t entry, n;
	int r;

	if (size < 17 ||
	    rfs_reader_read(b->p->file, rfs_range(size - 9, 9), foot, NULL,
			    NULL) < 0 ||
	    get32(foot + 5) != 0x8f92eab1u || (foot[4] & 0x7c))
		return 0;
	n = get32(foot);
	entry = foot[4] & 0x80 ? 12 : 8;
	if (n > FRAMES_MAX || n > RFS_PACKED_PIECES_MAX ||
	    n * entry + 17 > size)
		return 0;
	begin = size - n * entry - 17;
	table = malloc(n * entry + 1);
	if (!table)
		return rfs_no_memory(err);
	if (rfs_reader_read(b->p->file, rfs_range(begin, 8), head, NULL, NULL) <
		    0 ||
	    get32(head) != 0x184d2a5eu || get32(head + 4) != n * entry + 9 ||
	    rfs_reader_read(b->p->file, rfs_range(begin + 8, n * entry), table,
			    NULL, NULL) < 0)
		return 0;
	for (size_t i = 0; i < n; i++, at = f.end) {
		f.at = at;
		f.end = at + get32(table + i * entry);
		f.holds = get32(table + i * entry + 4);
		r = add_to_list(list, &f);
		if (r < 0)
			return r == -ENOMEM ? rfs_no_memory(err) : 0;
	}
	return at == begin;
}

/* The other witness: the frames' headers, where they say something, or the size
 * that all must have. */
static int check_table(struct rfs_packed_build *b, struct frames *list,
		       struct rfs_error *err)
{
	struct rfs_packed_input in;
	struct frame f;
	bool said = true;
	size_t n;
	int r;

	r = rfs_packed_input_init(&in, b->p->file, 0, UINT64_MAX, err);
	for (size_t i = 0; i < list->count && r == 0; i++) {
		struct frame *mine = &list->items[i];

		rfs_packed_seek(&in, mine->at);
		r = read_frame_header(&in, &f, err);
		if (r == -EIO || r == -ENODATA || r == -EILSEQ) {
			said = false; /* this frame is damaged; the sum tells */
			r = 0;
			continue;
		}
		mine->skippable = f.skippable;
		mine->has_sum = f.has_sum;
		if (f.holds == UINT64_MAX)
			said = false;
		else if (f.holds != mine->holds)
			r = -EILSEQ;
		if (r == 0)
			r = rfs_packed_progress(b, mine->at, err);
	}
	rfs_packed_input_fini(&in);
	if (r < 0)
		return r == -EILSEQ ? 0 : r;
	return said || sum_of(list, &n) == b->p->config.expected_size;
}

/*
 * A pass over all of it.
 */

struct tried {
	uint64_t made;
	int result;
	bool is_zero, wrong_sum;
	uint64_t end; /* where in the file it stopped */
	char why[200];
};

/* Unpacks the frame at 'at'. */
static int try_frame(struct rfs_packed_build *b, uint64_t at, struct tried *t,
		     struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *buf = malloc(RFS_PACKED_PAGE);
	struct rfs_error why = RFS_ERROR_INIT;
	struct live *l = NULL;
	size_t made = 1;
	int r;

	*t = (struct tried){ .is_zero = true, .end = at };
	if (!buf)
		return rfs_no_memory(err);
	r = open_live(b->p, at, UINT64_MAX, &l, &why);
	if (l) {
		l->one = true;
		l->left = 1;
	}
	while (r == 0 && made && t->made <= b->hard) {
		made = 0;
		r = zst_step(l, buf, RFS_PACKED_PAGE, &made, &why);
		t->is_zero = t->is_zero && rfs_packed_is_zero(buf, made);
		t->made += made;
		if (r == 0)
			r = rfs_packed_progress(b, rfs_packed_pos(&l->in),
						&why);
	}
	if (l) {
		t->end = rfs_packed_pos(&l->in);
		t->wrong_sum = l->wrong_sum;
		zst_end(l);
	}
	if (r == 0 && made)
		r = rfs_fail(&why, EILSEQ,
			     "it unpacks to more than %" PRIu64 " bytes",
			     b->hard);
	t->result = r;
	snprintf(t->why, sizeof(t->why), "%.190s", why.text);
	return r == 0 || r == -EIO || r == -ENODATA || r == -EILSEQ
		       ? 0
		       : rfs_fail(err, -r, "%s", why.text);
}

/* A whole frame that proves itself. */
static bool is_proof(struct rfs_packed_build *b, uint64_t at, struct tried *t,
		     struct frame *f)
{
	struct rfs_packed_input in;
	int r;

	if (rfs_packed_input_init(&in, b->p->file, at, UINT64_MAX, NULL) < 0)
		return false;
	r = read_frame_header(&in, f, NULL);
	rfs_packed_input_fini(&in);
	return r == 0 && !f->skippable && f->has_sum &&
	       try_frame(b, at, t, NULL) == 0 && t->result == 0;
}

/* The next frame behind damage, from 'from' on.  1, or 0: none. */
static int find_frame(struct rfs_packed_build *b, uint64_t from, uint64_t *ret,
		      struct rfs_error *err)
{
	struct rfs_packed_input in;
	struct tried t;
	struct frame f;
	uint64_t effort = 0;
	uint32_t last = 0;
	int r;

	r = rfs_packed_input_init(&in, b->p->file, from, UINT64_MAX, err);
	while (r >= 0 && effort <= b->hard) {
		r = rfs_packed_more(&in, err);
		if (r == -EIO) {
			rfs_packed_seek(&in, rfs_range_end(in.bad));
			last = 0;
			continue;
		}
		if (r <= 0)
			break;
		last = last >> 8 | (uint32_t)in.buf[in.at++] << 24;
		if (last != ZSTD_MAGICNUMBER)
			continue;
		*ret = rfs_packed_pos(&in) - 4;
		if (is_proof(b, *ret, &t, &f)) {
			rfs_packed_input_fini(&in);
			return 1;
		}
		effort += t.made + 64;
		r = rfs_packed_progress(b, *ret, err);
	}
	rfs_packed_input_fini(&in);
	return r < 0 ? r : 0;
}

/* A frame that failed: what of it there is, the hole, and where to go on.  1,
 * or 0: nowhere. */
static int pass_damaged(struct group *g, struct frame *f, const struct tried *t,
			bool header, uint64_t *ret_next, struct rfs_error *err)
{
	struct rfs_packed_build *b = g->b;
	struct frame had = *f;
	uint64_t claim = f->holds;
	uint32_t flags = 0;
	int r;

	rfs_packed_damage(b, "%s", t->why);
	b->io_failed = b->io_failed || t->result == -EIO;
	had.holds = t->made;
	/* A damaged length, too, can make a block run over the end of the file:
	 * of one that ends too early the last two are not believed. */
	if (t->result == -ENODATA)
		had.holds -=
			had.holds < 2 * BLOCK_MAX ? had.holds : 2 * BLOCK_MAX;
	had.end = t->end;
	r = add_frame(g, &had,
		      t->result == -EILSEQ ? RFS_PIECE_SPOILT
					   : RFS_PIECE_PARTIAL,
		      err);
	if (r == 0)
		r = end_group(g, err);
	if (r < 0)
		return r;
	if (t->wrong_sum && t->made == claim) {
		*ret_next = t->end;
		return 1;
	}
	if (!header || claim == UINT64_MAX || claim < had.holds)
		flags = RFS_PIECE_UNSIZED;
	r = rfs_packed_add_gap(b, flags ? 0 : claim - had.holds, flags, err);
	/* Without a size nothing behind it could find its place. */
	if (r < 0 || t->result == -ENODATA || !b->p->config.expected_size)
		return r;
	return find_frame(b, f->at + 4, ret_next, err);
}

/* 1: there may be more; 0: the end. */
static int pass_frame(struct group *g, uint64_t *at, struct rfs_error *err)
{
	struct rfs_packed_build *b = g->b;
	struct rfs_error why = RFS_ERROR_INIT;
	struct rfs_packed_input in;
	struct tried t = { 0 };
	struct frame f;
	bool header;
	int r;

	r = rfs_packed_input_init(&in, b->p->file, *at, UINT64_MAX, err);
	if (r == 0)
		r = read_frame_header(&in, &f, &why);
	rfs_packed_input_fini(&in);
	header = r == 0;
	if (header && f.skippable) {
		*at = f.end;
		return 1;
	}
	if (r == 0) {
		r = try_frame(b, *at, &t, err);
		if (r < 0)
			return r;
		r = t.result;
	} else {
		t.end = *at;
		t.result = r;
		snprintf(t.why, sizeof(t.why), "%.190s", why.text);
	}
	if (r == 0) {
		f.holds = t.made;
		f.end = *at = t.end;
		r = add_frame(g, &f, t.is_zero ? RFS_PIECE_ZERO : 0, err);
		return r < 0 ? r : 1;
	}
	if (r != -EIO && r != -EILSEQ && r != -ENODATA)
		return rfs_fail(err, -r, "%s", why.text);
	return pass_damaged(g, &f, &t, header, at, err);
}

static int pass(struct rfs_packed_build *b, struct rfs_error *err)
{
	struct group g = { .b = b, .proved = true };
	uint64_t at = 0;
	int r = 1;

	while (r == 1 && at < rfs_reader_size(b->p->file))
		r = pass_frame(&g, &at, err);
	return r < 0 ? r : end_group(&g, err);
}

static int zst_index(struct rfs_packed_build *b, struct rfs_error *err)
{
	struct frames list = { 0 };
	struct rfs_error why = RFS_ERROR_INIT;
	int r = read_table(b, &list, &why);

	if (r == 1)
		r = check_table(b, &list, &why);
	if (r == 0) {
		list.count = 0;
		r = walk_all(b, &list, &why);
	}
	if (r == 1)
		r = add_all(b, &list, err);
	else if (r == 0 || r == -EIO || r == -EILSEQ)
		r = pass(b, err);
	else
		rfs_fail(err, -r, "%s", why.text);
	free(list.items);
	return r;
}

const struct rfs_packed_format rfs_packed_zst = {
	.name = "zstd",
	.magic = "\x28\xb5\x2f\xfd",
	.magic_len = 4,
	.index = zst_index,
	.start = zst_start,
	.step = zst_step,
	.end = zst_end,
};
