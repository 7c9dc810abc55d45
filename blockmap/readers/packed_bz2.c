// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * bzip2: blocks of up to 900 kB, each with a checksum, at any bit of the file.
 * A block begins with 48 bits that are the digits of pi, a stream ends with
 * those of its square root.  libbz2 unpacks one block when it is given a stream
 * header before and a stream's end behind it.  How much a block holds only
 * unpacking tells, so that all of the file is unpacked once.
 */
#include "readers/packed.h"

#include <bzlib.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

#define BLOCK_MAGIC 0x314159265359ull
#define END_MAGIC   0x177245385090ull
#define MASK48	    0xffffffffffffull
/* No block is longer, packed: 900,000 bytes that do not shrink, and tables. */
#define PACKED_MAX (2u << 20)
/* The magic, the checksum, and what comes before the tables. */
#define LEAST_BITS (48 + 32 + 25)

struct live {
	bz_stream strm;
	uint8_t *buf;
	uint32_t want, crc; /* the block's checksum */
	bool loose;	    /* the block is whole, but ends elsewhere */
	bool ended;
};

/* The CRC of bzip2: that of Ethernet with the first bit the highest. */
static uint32_t crc_of(uint32_t crc, const uint8_t *buf, size_t len)
{
	static const uint32_t nibble[16] = {
		0x00000000, 0x04c11db7, 0x09823b6e, 0x0d4326d9,
		0x130476dc, 0x17c56b6b, 0x1a864db2, 0x1e475005,
		0x2608edb8, 0x22c9f00f, 0x2f8ad6d6, 0x2b4bcb61,
		0x350c9b64, 0x31cd86d3, 0x3c8ea00a, 0x384fbdbd,
	};

	for (size_t i = 0; i < len; i++) {
		crc ^= (uint32_t)buf[i] << 24;
		crc = crc << 4 ^ nibble[crc >> 28];
		crc = crc << 4 ^ nibble[crc >> 28];
	}
	return crc;
}

static void put_bits(uint8_t *buf, uint64_t at, uint64_t value, unsigned n)
{
	for (unsigned i = 0; i < n; i++, at++) {
		unsigned bit = (value >> (n - 1 - i)) & 1;
		uint8_t mask = (uint8_t)(0x80 >> (at % 8));

		buf[at / 8] = (uint8_t)(bit ? buf[at / 8] | mask
					    : buf[at / 8] & ~mask);
	}
}

static uint32_t get_32_bits(const uint8_t *buf, uint64_t at)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < 32; i++, at++)
		v = v << 1 | ((buf[at / 8] >> (7 - at % 8)) & 1u);
	return v;
}

static void bz2_end(void *live)
{
	struct live *l = live;

	BZ2_bzDecompressEnd(&l->strm);
	free(l->buf);
	free(l);
}

/* The bits of the block, moved so that they begin a byte, behind a header and
 * before an end; *ret_len bytes. */
static int frame_block(struct live *l, struct rfs_packed *p, uint64_t from,
		       uint64_t to, size_t *ret_len, struct rfs_error *err)
{
	uint64_t first = from / 8, last = (to + 7) / 8;
	size_t len = (size_t)(last - first);
	unsigned shift = from % 8;
	bool cut = len > PACKED_MAX;
	uint64_t bits;
	int r;

	if (cut)
		len = PACKED_MAX;
	l->buf = calloc(1, len + 4 + 16);
	if (!l->buf)
		return rfs_no_memory(err);
	r = rfs_reader_read(p->file, rfs_range(first, len), l->buf + 4, NULL,
			    err);
	if (r < 0)
		return r;
	bits = cut ? len * 8 - shift : to - from;
	for (size_t i = 0; shift && i < len; i++)
		l->buf[4 + i] = (uint8_t)(l->buf[4 + i] << shift |
					  l->buf[5 + i] >> (8 - shift));
	memcpy(l->buf, "BZh9", 4);
	l->want = get_32_bits(l->buf + 4, 48);
	put_bits(l->buf + 4, bits, END_MAGIC, 48);
	put_bits(l->buf + 4, bits + 48, l->want, 32);
	*ret_len = (size_t)(4 + (bits + 80 + 7) / 8);
	return 0;
}

static int bz2_start(struct rfs_packed *p, const struct rfs_packed_piece *piece,
		     void **ret, struct rfs_error *err)
{
	struct live *l;
	size_t len = 0;
	int r;

	if (piece->to < piece->from + LEAST_BITS)
		return rfs_fail(err, EILSEQ,
				"the bzip2 block at bit %" PRIu64
				" is too short",
				piece->from);
	l = calloc(1, sizeof(*l));
	if (!l)
		return rfs_no_memory(err);
	l->crc = UINT32_MAX;
	r = frame_block(l, p, piece->from, piece->to, &len, err);
	if (r == 0 && BZ2_bzDecompressInit(&l->strm, 0, 0) != BZ_OK)
		r = rfs_no_memory(err);
	if (r < 0) {
		bz2_end(l);
		return r;
	}
	l->strm.next_in = (char *)l->buf;
	l->strm.avail_in = (unsigned)len;
	*ret = l;
	return 0;
}

static int bz2_step(void *live, uint8_t *to, size_t room, size_t *ret_made,
		    struct rfs_error *err)
{
	struct live *l = live;
	unsigned want = room < UINT32_MAX / 2 ? (unsigned)room : UINT32_MAX / 2;
	int rc;

	if (l->ended)
		return 0;
	l->strm.next_out = (char *)to;
	l->strm.avail_out = want;
	rc = BZ2_bzDecompress(&l->strm);
	*ret_made = want - l->strm.avail_out;
	l->crc = crc_of(l->crc, to, *ret_made);
	if (rc == BZ_MEM_ERROR)
		return rfs_no_memory(err);
	if (rc == BZ_OK && *ret_made)
		return 0;
	l->ended = true;
	if (rc == BZ_STREAM_END)
		return 0;
	l->loose = ~l->crc == l->want;
	return l->loose ? 0 : rfs_fail(err, EILSEQ, "a bzip2 block is damaged");
}

/*
 * The index.
 */

struct mark {
	uint64_t bit;
	bool is_end; /* of a stream; else a block begins */
};

struct scan {
	struct rfs_packed_build *b;
	struct rfs_packed_input in;
	uint64_t reg, seen; /* the last bits, and how many of them count */
	struct mark found[8];
	unsigned nfound; /* in one byte, the last first */
};

/* Up to eight places end in one byte. */
static void look(struct scan *s, uint64_t end)
{
	uint64_t v;

	for (unsigned k = 0; k < 8; k++) {
		v = (s->reg >> k) & MASK48;
		if ((v == BLOCK_MAGIC || v == END_MAGIC) && s->seen >= 48 + k)
			s->found[s->nfound++] = (struct mark){ end * 8 - k - 48,
							       v == END_MAGIC };
	}
}

/* The next mark.  1, or 0: there is none any more. */
static int next_mark(struct scan *s, struct mark *ret, struct rfs_error *err)
{
	int r;

	while (!s->nfound) {
		r = rfs_packed_more(&s->in, err);
		if (r == -EIO) {
			rfs_packed_damage(s->b, "%s",
					  err ? err->text : "unreadable");
			s->b->io_failed = true;
			rfs_packed_seek(&s->in, rfs_range_end(s->in.bad));
			s->seen = 0;
			continue;
		}
		if (r <= 0)
			return r;
		while (s->in.at < s->in.have && !s->nfound) {
			s->reg = s->reg << 8 | s->in.buf[s->in.at++];
			s->seen += 8;
			look(s, s->in.base + s->in.at);
		}
	}
	*ret = s->found[--s->nfound];
	return 1;
}

struct chain {
	struct scan scan;
	uint64_t at; /* the bit where the next mark must be; UINT64_MAX */
	bool in_gap;
};

static int gap(struct chain *c, struct rfs_error *err)
{
	c->at = UINT64_MAX;
	if (c->in_gap)
		return 0;
	c->in_gap = true;
	return rfs_packed_add_gap(c->scan.b, 0, RFS_PIECE_UNSIZED, err);
}

/* What a block holds, and whether it ends where the next mark is. */
static int measure(struct chain *c, struct rfs_packed_piece *piece,
		   bool *ret_loose, int *ret_result, struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *buf = malloc(RFS_PACKED_PAGE);
	struct rfs_packed_build *b = c->scan.b;
	struct rfs_error why = RFS_ERROR_INIT;
	void *live = NULL;
	size_t made = 1;
	int r;

	if (!buf)
		return rfs_no_memory(err);
	r = bz2_start(b->p, piece, &live, &why);
	piece->flags = RFS_PIECE_ZERO;
	while (r == 0 && made) {
		made = 0;
		r = bz2_step(live, buf, RFS_PACKED_PAGE, &made, &why);
		if (!rfs_packed_is_zero(buf, made))
			piece->flags = 0;
		piece->len += made;
	}
	*ret_loose = live && ((struct live *)live)->loose;
	if (live)
		bz2_end(live);
	*ret_result = r;
	if (r == -EIO)
		b->io_failed = true;
	if (r == -EIO || r == -EILSEQ)
		rfs_packed_damage(b,
				  "the bzip2 block at %" PRIu64
				  " of the compressed file: %s",
				  piece->from / 8, why.text);
	else if (r < 0)
		return rfs_fail(err, -r, "%s", why.text);
	return rfs_packed_progress(b, piece->to / 8, err);
}

static int at_block(struct chain *c, uint64_t from, uint64_t to,
		    struct rfs_error *err)
{
	struct rfs_packed_piece piece = { .from = from, .to = to };
	bool loose = false;
	int r, result = 0;

	r = measure(c, &piece, &loose, &result, err);
	if (r < 0)
		return r;
	if (result < 0 || !piece.len) {
		r = gap(c, err);
		c->at = to;
		return r;
	}
	c->in_gap = false;
	c->at = loose ? UINT64_MAX : to;
	/* Bombs: what is beyond is not read, so it is not looked for either. */
	if (c->scan.b->total > c->scan.b->limit)
		c->scan.b->cut = true;
	return rfs_packed_add_piece(c->scan.b, &piece, NULL, 0, true, err);
}

/* A stream's end at this bit: where the next one's first block must be.  1 if
 * the file ends there. */
static int at_end(struct chain *c, uint64_t bit)
{
	uint64_t next = (bit + 80 + 7) / 8,
		 size = rfs_reader_size(c->scan.b->p->file);
	uint8_t h[4] = { 0 };

	c->at = UINT64_MAX;
	if (next == size)
		return 1;
	if (next < size && size - next >= 4 &&
	    rfs_reader_read(c->scan.b->p->file, rfs_range(next, 4), h, NULL,
			    NULL) == 0 &&
	    memcmp(h, "BZh", 3) == 0 && h[3] >= '1' && h[3] <= '9')
		c->at = (next + 4) * 8;
	return 0;
}

static int follow(struct chain *c, struct rfs_error *err)
{
	struct rfs_packed_build *b = c->scan.b;
	uint64_t bits = rfs_reader_size(b->p->file) * 8;
	struct mark mark, next;
	bool whole = false;
	int r, more;

	more = next_mark(&c->scan, &mark, err);
	while (more == 1 && !b->cut) {
		r = 0;
		if (mark.bit != c->at) {
			rfs_packed_damage(b,
					  "what stands before byte %" PRIu64
					  " of the compressed file is no bzip2 "
					  "block",
					  mark.bit / 8);
			r = gap(c, err);
		}
		more = next_mark(&c->scan, &next, err);
		if (more < 0 || r < 0)
			return more < 0 ? more : r;
		whole = mark.is_end && at_end(c, mark.bit);
		if (!mark.is_end)
			r = at_block(c, mark.bit, more ? next.bit : bits, err);
		if (r < 0)
			return r;
		mark = next;
	}
	if (more < 0 || whole || b->cut)
		return more < 0 ? more : 0;
	rfs_packed_damage(b, "it does not end with the end of a bzip2 stream");
	return gap(c, err);
}

static int bz2_index(struct rfs_packed_build *b, struct rfs_error *err)
{
	struct chain c = { .scan.b = b, .at = 32 };
	struct rfs_error why = RFS_ERROR_INIT;
	int r = rfs_packed_input_init(&c.scan.in, b->p->file, 0, UINT64_MAX,
				      err);

	if (r == 0)
		r = follow(&c, &why);
	rfs_packed_input_fini(&c.scan.in);
	return r < 0 ? rfs_fail(err, -r, "%s", why.text) : 0;
}

const struct rfs_packed_format rfs_packed_bz2 = {
	.name = "bzip2",
	.magic = "BZh",
	.magic_len = 3,
	.index = bz2_index,
	.start = bz2_start,
	.step = bz2_step,
	.end = bz2_end,
};
