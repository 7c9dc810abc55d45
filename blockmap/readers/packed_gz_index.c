// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Deflate has no index and no checksum but one for a whole member.  So all of the
 * file is unpacked once, and at the beginning of a block now and then the bit
 * where it begins and the 32 KiB of history that it needs are written down: an
 * access point.  How far they are apart follows from what they cost, so that the
 * index stays below one hundredth of the data.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "core/cleanup.h"
#include "core/vec.h"
#include "readers/packed_gz.h"

/* Between access points, in unpacked bytes: never closer, so that the table
 * stays small; wider in a huge file. */
#define APART_LEAST ((uint64_t)1 << 20)
#define APART_HUGE  ((uint64_t)4 << 20)
#define HUGE_SIZE   ((uint64_t)64 << 30)
/* An access point may be made once this many bytes were unpacked for each byte
 * of index. */
#define BYTES_A_BYTE 112

struct sums {
	uint32_t *items;
	size_t count, room;
};

/* Of pages that begin a piece before a member may begin in it. */
#define EARLY_PAGES (APART_LEAST / RFS_PACKED_PAGE)

/* How things stood where a member began. */
struct before {
	struct rfs_packed_piece piece;
	uint64_t made;
	uint32_t page_crc;
	uint32_t sums[EARLY_PAGES];
	size_t nsums;
	size_t npieces;
};

struct indexing {
	struct rfs_packed_build *b;
	struct rfs_gz g;
	uint8_t *page;
	struct rfs_packed_piece piece; /* that is being made */
	struct sums sums;	       /* of its pages */
	uint32_t page_crc, member_crc;
	uint64_t made; /* of the piece */
	uint64_t member_made;
	struct before before; /* the member */
	uint8_t *window;      /* the piece's, packed */
	size_t window_len;
	uint8_t *next; /* of the piece that may begin here */
	size_t next_len;
	uint64_t effort; /* bytes unpacked while looking for members */
	uint64_t block, block_before; /* where the last two began, unpacked */
};

static uint64_t off_now(const struct indexing *x)
{
	return x->b->total + x->made;
}

static int end_page(struct indexing *x)
{
	if (rfs_vec_room(&x->sums.items, x->sums.count, &x->sums.room,
			 sizeof(*x->sums.items)) < 0)
		return -ENOMEM;
	x->sums.items[x->sums.count++] = x->page_crc;
	x->page_crc = 0;
	return 0;
}

/* Some bytes of the volume, all of one page.  The member's checksum is put
 * together from those of its parts: computing costs more. */
static int take(struct indexing *x, const uint8_t *buf, size_t len)
{
	uint32_t crc = (uint32_t)crc32(0, buf, (uInt)len);

	x->page_crc = (uint32_t)crc32_combine(x->page_crc, crc, (z_off_t)len);
	x->member_crc =
		(uint32_t)crc32_combine(x->member_crc, crc, (z_off_t)len);
	if ((x->piece.flags & RFS_PIECE_ZERO) && !rfs_packed_is_zero(buf, len))
		x->piece.flags &= ~(uint32_t)RFS_PIECE_ZERO;
	x->made += len;
	x->member_made += len;
	return len && x->made % RFS_PACKED_PAGE == 0 ? end_page(x) : 0;
}

static void begin_piece(struct indexing *x, uint64_t from, uint32_t flags)
{
	x->piece = (struct rfs_packed_piece){
		.from = from,
		.flags = flags | RFS_PIECE_ZERO | RFS_PIECE_PAGES,
	};
	x->made = 0;
	x->sums.count = 0;
	x->page_crc = 0;
	if (flags & RFS_PIECE_MEMBER)
		x->window_len = 0;
}

static int pack_notes(const struct indexing *x, uint8_t **ret, size_t *ret_len)
{
	size_t len = x->sums.count * 4 + x->window_len;
	uint8_t *n = malloc(len + 1);

	if (!n)
		return -ENOMEM;
	for (size_t i = 0; i < x->sums.count; i++)
		for (size_t k = 0; k < 4; k++)
			n[i * 4 + k] = (uint8_t)(x->sums.items[i] >> (8 * k));
	if (x->window_len)
		memcpy(n + x->sums.count * 4, x->window, x->window_len);
	*ret = n;
	*ret_len = len;
	return 0;
}

/* The piece ends here, at this bit. */
static int end_piece(struct indexing *x, uint64_t to, struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *notes = NULL;
	size_t len = 0;

	if (!x->made)
		return 0;
	if ((x->made % RFS_PACKED_PAGE && end_page(x) < 0) ||
	    pack_notes(x, &notes, &len) < 0)
		return rfs_no_memory(err);
	x->piece.len = x->made;
	x->piece.to = to;
	x->made = 0;
	return rfs_packed_add_piece(x->b, &x->piece, notes, len, false, err);
}

static bool is_worth_a_point(const struct indexing *x, size_t window_len)
{
	uint64_t apart = off_now(x) > HUGE_SIZE ? APART_HUGE : APART_LEAST;
	uint64_t spent = x->b->notes_end + x->b->p->npieces * 48;

	return x->made >= apart && (spent + window_len + 256) * BYTES_A_BYTE <=
					   off_now(x) + APART_LEAST;
}

/* The history at a block's beginning. */
static int pack_window(struct indexing *x)
{
	uint8_t window[RFS_GZ_WINDOW];
	uInt len = 0;

	inflateGetDictionary(&x->g.z, window, &len);
	x->next_len = ZSTD_compress(x->next, ZSTD_compressBound(RFS_GZ_WINDOW),
				    window, len, 1);
	return ZSTD_isError(x->next_len) ? -ENOMEM : 0;
}

static int at_block(struct indexing *x, struct rfs_error *err)
{
	uint64_t bit =
		rfs_packed_pos(&x->g.in) * 8 - (uint64_t)(x->g.z.data_type & 7);
	uint8_t *was = x->window;
	int r;

	x->block_before = x->block;
	x->block = off_now(x);
	if (!is_worth_a_point(x, 0))
		return 0;
	if (pack_window(x) < 0)
		return rfs_no_memory(err);
	if (!is_worth_a_point(x, x->next_len))
		return 0;
	r = end_piece(x, bit, err);
	x->window = x->next;
	x->window_len = x->next_len;
	x->next = was;
	begin_piece(x, bit, 0);
	return r;
}

/* Small members share a piece, which then begins with a header. */
static int begin_member(struct indexing *x, struct rfs_error *err)
{
	uint64_t at = rfs_packed_pos(&x->g.in);
	int r = 0;

	if (x->made >= APART_LEAST || !x->made ||
	    !(x->piece.flags & RFS_PIECE_MEMBER)) {
		r = end_piece(x, at * 8, err);
		begin_piece(x, at * 8, RFS_PIECE_MEMBER);
	}
	x->before = (struct before){ .piece = x->piece,
				     .made = x->made,
				     .page_crc = x->page_crc,
				     .nsums = x->sums.count,
				     .npieces = x->b->p->npieces };
	if (x->sums.count)
		memcpy(x->before.sums, x->sums.items,
		       x->sums.count * sizeof(*x->sums.items));
	x->member_crc = 0;
	x->member_made = 0;
	x->block = x->block_before = off_now(x);
	return r;
}

/* As if the member had not begun. */
static void back_to_member(struct indexing *x)
{
	const struct before *b = &x->before;

	rfs_packed_take_back(x->b, b->npieces);
	x->piece = b->piece;
	x->made = b->made;
	x->page_crc = b->page_crc;
	x->window_len = 0;
	x->sums.count = b->nsums;
	if (b->nsums)
		memcpy(x->sums.items, b->sums, b->nsums * sizeof(*b->sums));
}

/* A member of which nothing is proved, in one piece. */
static int add_spoilt(struct indexing *x, struct rfs_error *err)
{
	struct rfs_packed_piece piece = {
		.len = x->member_made,
		.from = x->g.member_at * 8,
		.to = rfs_packed_pos(&x->g.in) * 8,
		.flags = RFS_PIECE_MEMBER | RFS_PIECE_SPOILT,
	};
	int r;

	back_to_member(x);
	r = end_piece(x, x->g.member_at * 8, err);
	if (r == 0)
		r = rfs_packed_add_piece(x->b, &piece, NULL, 0, true, err);
	begin_piece(x, piece.to, RFS_PIECE_MEMBER);
	return r;
}

/* True if the member was all unpacked and is as long as its trailer says: of
 * what follows the place is known even if the checksum fails. */
static int end_member(struct indexing *x, bool *ret_sized,
		      struct rfs_error *err)
{
	struct rfs_gz *g = &x->g;

	*ret_sized = g->isize == (uint32_t)x->member_made;
	if (*ret_sized && g->crc == x->member_crc) {
		rfs_packed_prove(x->b);
		return 0;
	}
	rfs_packed_damage(x->b,
			  "the checksum of the gzip member at %" PRIu64
			  " fails, so that which of its %" PRIu64
			  " bytes are right cannot be told",
			  g->member_at, x->member_made);
	return add_spoilt(x, err);
}

/*
 * Behind damage.
 */

/* Unpacks one member from 'at': 0 if its checksum holds; -EILSEQ. */
static int try_member(struct indexing *x, uint64_t at, struct rfs_error *err)
{
	enum rfs_gz_event event = RFS_GZ_NONE;
	uint32_t crc = 0;
	uint64_t made = 0;
	size_t n;
	struct rfs_gz g;
	int r;

	r = rfs_gz_open(&g, x->b->p->file, at, UINT64_MAX, err);
	while (r == 0 && event == RFS_GZ_NONE) {
		r = rfs_gz_run(&g, x->page, RFS_PACKED_PAGE, Z_NO_FLUSH, &n,
			       &event, err);
		crc = (uint32_t)crc32(crc, x->page, (uInt)n);
		made += n;
		x->effort += n + 64;
		if (r == 0)
			r = rfs_packed_progress(x->b, at, err);
		if (x->effort > x->b->hard)
			r = -EILSEQ;
	}
	if (r == 0 && (event != RFS_GZ_MEMBER || g.crc != crc ||
		       g.isize != (uint32_t)made))
		r = -EILSEQ;
	rfs_gz_close(&g);
	return r == -EIO || r == -ENODATA ? -EILSEQ : r;
}

/* The next byte that looks like a member's first, from 'in' on.  0: none. */
static int next_magic(struct rfs_packed_input *in, struct rfs_error *err)
{
	const uint8_t *at;
	int r;

	for (;;) {
		r = rfs_packed_more(in, err);
		if (r == -EIO) {
			rfs_packed_seek(in, rfs_range_end(in->bad));
			continue;
		}
		if (r <= 0)
			return r;
		at = memchr(in->buf + in->at, 0x1f, in->have - in->at);
		if (at) {
			in->at = (size_t)(at - in->buf);
			return 1;
		}
		in->at = in->have;
	}
}

static bool is_header(struct indexing *x, uint64_t at)
{
	uint8_t h[4];

	return at + 18 <= rfs_reader_size(x->b->p->file) &&
	       rfs_reader_read(x->b->p->file, rfs_range(at, 4), h, NULL,
			       NULL) == 0 &&
	       h[0] == 0x1f && h[1] == 0x8b && h[2] == 8 && !(h[3] & 0xe0);
}

/* The next member from 'from' on whose checksum holds.  1, or 0: none. */
static int find_member(struct indexing *x, uint64_t from, uint64_t *ret,
		       struct rfs_error *err)
{
	struct rfs_packed_input in;
	struct rfs_error why = RFS_ERROR_INIT;
	uint64_t at;
	int r, found = 0;

	r = rfs_packed_input_init(&in, x->b->p->file, from, UINT64_MAX, err);
	while (r == 0 && !found && x->effort <= x->b->hard) {
		r = next_magic(&in, &why);
		if (r <= 0)
			break;
		at = rfs_packed_pos(&in);
		r = is_header(x, at) ? try_member(x, at, &why) : -EILSEQ;
		if (r == 0) {
			*ret = at;
			found = 1;
		} else if (r == -EILSEQ) {
			in.at++;
			r = 0;
		}
	}
	rfs_packed_input_fini(&in);
	return r < 0 ? rfs_fail(err, -r, "%s", why.text) : found;
}

/* The hole between what could be unpacked of a member, 'had' bytes, and the
 * next whole one at 'next'.  If nothing but that member lies there, its size
 * stands before the next one; whether that is so, the sum will tell. */
static int add_hole(struct indexing *x, uint64_t had, uint64_t next,
		    struct rfs_error *err)
{
	uint8_t size[4];
	uint32_t claim;

	if (rfs_reader_read(x->b->p->file, rfs_range(next - 4, 4), size, NULL,
			    NULL) < 0)
		return rfs_packed_add_gap(x->b, 0, RFS_PIECE_UNSIZED, err);
	claim = (uint32_t)size[0] | (uint32_t)size[1] << 8 |
		(uint32_t)size[2] << 16 | (uint32_t)size[3] << 24;
	return rfs_packed_add_gap(x->b, (uint32_t)(claim - (uint32_t)had),
				  RFS_PIECE_MOD32, err);
}

/* Goes on behind damage, if there is anything.  1, or 0: it ends here. */
static int go_on(struct indexing *x, uint64_t from, struct rfs_error *err)
{
	uint64_t next, had = x->member_made;
	struct rfs_gz *g = &x->g;
	int r;

	/* Without a size nothing behind it could find its place. */
	if (!x->b->p->config.expected_size)
		return rfs_packed_add_gap(x->b, 0, RFS_PIECE_UNSIZED, err);
	r = find_member(x, from, &next, err);
	if (r < 0)
		return r;
	if (r == 0)
		return rfs_packed_add_gap(x->b, 0, RFS_PIECE_UNSIZED, err);
	r = add_hole(x, had, next, err);
	rfs_packed_seek(&g->in, next);
	g->phase = RFS_GZ_HEADER;
	g->any_member = true;
	g->garbage = false;
	return r < 0 ? r : 1;
}

/* A flipped bit, too, can make the last block run over the end of the file, and
 * what it unpacked to is then wrong from that bit on: so of a file that ends too
 * early the last two blocks are not believed. */
static void cut_back(struct indexing *x)
{
	struct rfs_packed_build *b = x->b;
	uint64_t pages = 0;

	if (x->block_before > b->total)
		pages = (x->block_before - b->total) / RFS_PACKED_PAGE;
	x->made = pages * RFS_PACKED_PAGE;
	x->sums.count = (size_t)pages;
	x->page_crc = 0;
	if (b->total <= x->block_before)
		return;
	while (b->p->npieces > x->before.npieces && b->total > x->block_before)
		rfs_packed_take_back(b, b->p->npieces - 1);
	/* The piece may hold members that ended well before this one began. */
	if (b->p->npieces == x->before.npieces)
		back_to_member(x);
}

/* Bytes that are not there: what came before them is as good as ever. */
static int at_unreadable(struct indexing *x, bool cut_short,
			 const struct rfs_error *why, struct rfs_error *err)
{
	uint64_t pos = rfs_packed_pos(&x->g.in);
	int r;

	rfs_packed_damage(x->b, "%s", why->text);
	if (cut_short)
		cut_back(x);
	else
		x->b->io_failed = true;
	r = end_piece(x, pos * 8, err);
	rfs_packed_prove(x->b);
	if (r < 0)
		return r;
	if (cut_short)
		return rfs_packed_add_gap(x->b, 0, RFS_PIECE_UNSIZED, err);
	return go_on(x, rfs_range_end(x->g.in.bad), err);
}

static int at_nonsense(struct indexing *x, const struct rfs_error *why,
		       struct rfs_error *err)
{
	int r;

	rfs_packed_damage(x->b,
			  "%s, in the gzip member at %" PRIu64
			  ", which has one checksum for all of it, so that "
			  "what of it is right cannot be told",
			  why->text, x->g.member_at);
	r = add_spoilt(x, err);
	return r < 0 ? r : go_on(x, x->g.member_at + 1, err);
}

/* It unpacks to far more than it should: nothing of the member is proved. */
static int at_limit(struct indexing *x, struct rfs_error *err)
{
	rfs_packed_damage(x->b,
			  "it unpacks to more than %" PRIu64
			  " bytes, where %" PRIu64 " are expected",
			  x->b->hard, x->b->limit);
	x->b->cut = true;
	return add_spoilt(x, err);
}

/* The file is at its end, or at bytes that are no gzip. */
static int at_end(struct indexing *x, struct rfs_error *err)
{
	uint64_t pos = x->g.member_at;
	int r = end_piece(x, pos * 8, err);

	rfs_packed_prove(x->b);
	if (r < 0 || !x->g.garbage)
		return r;
	if (x->b->total >= x->b->limit || !x->b->p->config.expected_size) {
		rfs_notes_add(x->b->p->config.notes,
			      "%s: what stands from %" PRIu64 " on is no gzip, "
			      "and is passed over",
			      x->b->p->name, pos);
		return 0;
	}
	rfs_packed_damage(x->b, "what stands at %" PRIu64 " is no gzip member",
			  pos);
	x->member_made = 0;
	return go_on(x, pos + 1, err);
}

/* One step of the pass.  1, or 0 at the end. */
static int index_some(struct indexing *x, struct rfs_error *err)
{
	struct rfs_error why = RFS_ERROR_INIT;
	enum rfs_gz_event event;
	bool sized;
	size_t made;
	int r = 0;

	if (x->g.phase == RFS_GZ_HEADER)
		r = begin_member(x, err);
	if (r < 0)
		return r;
	r = rfs_gz_run(&x->g, x->page,
		       RFS_PACKED_PAGE - x->made % RFS_PACKED_PAGE, Z_BLOCK,
		       &made, &event, &why);
	if (made && take(x, x->page, made) < 0)
		return rfs_no_memory(err);
	if (r == -EIO || r == -ENODATA)
		return at_unreadable(x, r == -ENODATA, &why, err);
	if (r == -EILSEQ)
		return at_nonsense(x, &why, err);
	if (r < 0)
		return rfs_fail(err, -r, "%s", why.text);
	if (off_now(x) > x->b->hard)
		return at_limit(x, err);
	if (event == RFS_GZ_END)
		return at_end(x, err);
	if (event == RFS_GZ_BLOCK)
		r = at_block(x, err);
	if (event != RFS_GZ_MEMBER)
		return r < 0 ? r : 1;
	r = end_member(x, &sized, err);
	if (r < 0 || sized)
		return r < 0 ? r : 1;
	return go_on(x, x->g.member_at + 1, err);
}

int rfs_gz_index(struct rfs_packed_build *b, struct rfs_error *err)
{
	struct indexing x = { .b = b };
	int r;

	x.page = malloc(RFS_PACKED_PAGE);
	x.window = malloc(ZSTD_compressBound(RFS_GZ_WINDOW));
	x.next = malloc(ZSTD_compressBound(RFS_GZ_WINDOW));
	r = rfs_gz_open(&x.g, b->p->file, 0, UINT64_MAX, err);
	if (!x.page || !x.window || !x.next)
		r = rfs_no_memory(err);
	if (r == 0)
		begin_piece(&x, 0, RFS_PIECE_MEMBER);
	for (int more = 1; r == 0 && more > 0;) {
		more = index_some(&x, err);
		if (more > 0)
			r = rfs_packed_progress(b, rfs_packed_pos(&x.g.in),
						err);
		else
			r = more;
	}
	rfs_gz_close(&x.g);
	free(x.sums.items);
	free(x.page);
	free(x.window);
	free(x.next);
	return r;
}
