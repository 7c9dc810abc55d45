// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * xz (the .xz file format, version 1.1.0): streams of blocks, and behind the
 * blocks of a stream an index of them with a checksum of its own.  Where all
 * streams have theirs, nothing needs to be unpacked to know the pieces.  Where
 * not, the blocks are followed from the front: their headers have checksums,
 * and the sizes in them if several threads made them.
 */
#include "readers/packed.h"

#include <errno.h>
#include <inttypes.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

#define INDEX_MAX    (64u << 20) /* bytes of one, packed */
#define INDEX_MEMORY ((uint64_t)192 << 20)
/* With a larger history one decoder works at a time. */
#define HEAVY (16u << 20)

struct live {
	struct rfs_packed *p;
	struct rfs_packed_input in;
	lzma_stream strm;
	lzma_block block;
	lzma_filter filters[LZMA_FILTERS_MAX + 1];
	bool ended, heavy;
	bool pending; /* it has more to give before it needs input */
};

static int xz_fail(lzma_ret rc, uint64_t pos, struct rfs_error *err)
{
	if (rc == LZMA_MEM_ERROR)
		return rfs_no_memory(err);
	if (rc == LZMA_OPTIONS_ERROR)
		return rfs_fail(err, ENOTSUP,
				"the xz block at %" PRIu64
				" uses what this version does not know",
				pos);
	return rfs_fail(err, EILSEQ, "the xz block at %" PRIu64 " is damaged",
			pos);
}

static void free_filters(lzma_filter *filters)
{
	for (size_t i = 0; filters[i].id != LZMA_VLI_UNKNOWN; i++) {
		free(filters[i].options);
		filters[i].options = NULL;
	}
	filters[0].id = LZMA_VLI_UNKNOWN;
}

/* The header of the block that 'in' stands at.  -ENODATA: no block, but the
 * stream's index. */
static int read_block_header(struct rfs_packed_input *in, lzma_check check,
			     lzma_block *block, struct rfs_error *err)
{
	uint8_t h[LZMA_BLOCK_HEADER_SIZE_MAX];
	uint64_t at = rfs_packed_pos(in);
	lzma_ret rc;
	int r;

	r = rfs_packed_get(in, h, 1, err);
	if (r == 0 && h[0] == 0)
		return -ENODATA;
	block->version = 1;
	block->check = check;
	block->header_size = lzma_block_header_size_decode(h[0]);
	if (r == 0)
		r = rfs_packed_get(in, h + 1, block->header_size - 1, err);
	if (r == -ENODATA)
		return rfs_fail(err, EIO,
				"it ends inside the block at %" PRIu64, at);
	if (r < 0)
		return r;
	rc = lzma_block_header_decode(block, NULL, h);
	return rc == LZMA_OK ? 0 : xz_fail(rc, at, err);
}

/* The check of the block's stream is in the piece's flags: see CHECK_SHIFT. */
#define CHECK_SHIFT 16

static int begin_block(struct live *l, struct rfs_error *err)
{
	uint64_t pos = rfs_packed_pos(&l->in);
	uint64_t memory = lzma_raw_decoder_memusage(l->filters);
	lzma_ret rc;

	if (memory == UINT64_MAX)
		return xz_fail(LZMA_OPTIONS_ERROR, pos, err);
	if (memory > RFS_PACKED_MEMORY_MAX)
		return rfs_fail(err, ENOTSUP,
				"the xz block at %" PRIu64 " needs %" PRIu64
				" MiB of memory to be unpacked, more than the "
				"%u that may be used; pack it anew with a "
				"smaller dictionary",
				pos, memory >> 20, RFS_PACKED_MEMORY_MAX >> 20);
	l->heavy = memory > HEAVY;
	if (l->heavy)
		rfs_packed_pool_heavy(l->p->pool, true);
	rc = lzma_block_decoder(&l->strm, &l->block);
	return rc == LZMA_OK ? 0 : xz_fail(rc, pos, err);
}

static void xz_end(void *live)
{
	struct live *l = live;

	lzma_end(&l->strm);
	free_filters(l->filters);
	rfs_packed_input_fini(&l->in);
	if (l->heavy)
		rfs_packed_pool_heavy(l->p->pool, false);
	free(l);
}

static int xz_start(struct rfs_packed *p, const struct rfs_packed_piece *piece,
		    void **ret, struct rfs_error *err)
{
	struct live *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return rfs_no_memory(err);
	l->p = p;
	l->strm = (lzma_stream)LZMA_STREAM_INIT;
	l->filters[0].id = LZMA_VLI_UNKNOWN;
	l->block.filters = l->filters;
	r = rfs_packed_input_init(&l->in, p->file, piece->from / 8,
				  piece->to / 8, err);
	if (r == 0)
		r = read_block_header(&l->in,
				      (lzma_check)(piece->flags >> CHECK_SHIFT),
				      &l->block, err);
	if (r == -ENODATA)
		r = rfs_fail(err, EILSEQ, "there is no xz block at %" PRIu64,
			     piece->from / 8);
	if (r == 0)
		r = begin_block(l, err);
	if (r < 0) {
		xz_end(l);
		return r;
	}
	*ret = l;
	return 0;
}

/* Feeds it until something comes out. */
static int xz_step(void *live, uint8_t *to, size_t room, size_t *ret_made,
		   struct rfs_error *err)
{
	struct live *l = live;
	lzma_ret rc = LZMA_OK;
	int r;

	while (!l->ended && !*ret_made && rc == LZMA_OK) {
		r = l->pending ? 1 : rfs_packed_more(&l->in, err);
		if (r < 0)
			return r;
		l->strm.next_in = l->in.buf + l->in.at;
		l->strm.avail_in = l->in.have - l->in.at;
		l->strm.next_out = to;
		l->strm.avail_out = room;
		rc = lzma_code(&l->strm, LZMA_RUN);
		l->in.at = l->in.have - l->strm.avail_in;
		*ret_made = room - l->strm.avail_out;
		if (l->pending && rc == LZMA_BUF_ERROR)
			rc = LZMA_OK;
		l->pending = !l->strm.avail_out;
		if (r == 0 && !*ret_made && rc != LZMA_STREAM_END)
			return rfs_fail(err, ENODATA,
					"it ends inside the block at %" PRIu64,
					rfs_packed_pos(&l->in));
	}
	l->ended = l->ended || rc == LZMA_STREAM_END;
	if (rc != LZMA_OK && rc != LZMA_STREAM_END && rc != LZMA_BUF_ERROR)
		return xz_fail(rc, rfs_packed_pos(&l->in), err);
	return 0;
}

/*
 * The index, from the end.
 */

/* The end of the last stream in [0, end): behind it only zeros in fours. */
static int skip_padding(struct rfs_packed_build *b, uint64_t *end,
			struct rfs_error *err)
{
	uint8_t four[4];
	int r = 0;

	while (*end >= 4 && r == 0) {
		r = rfs_reader_read(b->p->file, rfs_range(*end - 4, 4), four,
				    NULL, err);
		if (r < 0 || four[0] || four[1] || four[2] || four[3])
			break;
		*end -= 4;
	}
	return r;
}

static int read_footer(struct rfs_packed_build *b, uint64_t end,
		       lzma_stream_flags *ret, struct rfs_error *err)
{
	uint8_t f[LZMA_STREAM_HEADER_SIZE];
	int r;

	if (end < 2 * LZMA_STREAM_HEADER_SIZE)
		return rfs_fail(err, EILSEQ, "no xz stream ends at %" PRIu64,
				end);
	r = rfs_reader_read(b->p->file, rfs_range(end - sizeof(f), sizeof(f)),
			    f, NULL, err);
	if (r == 0 && (lzma_stream_footer_decode(ret, f) != LZMA_OK ||
		       ret->backward_size > end - 2 * sizeof(f)))
		r = rfs_fail(err, EILSEQ, "no xz stream ends at %" PRIu64, end);
	return r;
}

static int read_index(struct rfs_packed_build *b, uint64_t at, size_t len,
		      lzma_index **ret, struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *buf = NULL;
	uint64_t memory = INDEX_MEMORY;
	size_t pos = 0;
	lzma_ret rc;
	int r;

	if (len > INDEX_MAX)
		return rfs_fail(err, EILSEQ,
				"the xz index at %" PRIu64 " is too large", at);
	buf = malloc(len);
	if (!buf)
		return rfs_no_memory(err);
	r = rfs_reader_read(b->p->file, rfs_range(at, len), buf, NULL, err);
	if (r < 0)
		return r;
	rc = lzma_index_buffer_decode(ret, &memory, NULL, buf, &pos, len);
	if (rc == LZMA_OK)
		return 0;
	if (rc == LZMA_MEM_ERROR)
		return rfs_no_memory(err);
	return rfs_fail(err, EILSEQ, "the xz index at %" PRIu64 " is damaged",
			at);
}

/* The stream that ends at 'end': its index, and where it begins.  The stream's
 * own header is not needed, but where it can be read it must agree. */
static int read_stream(struct rfs_packed_build *b, uint64_t end,
		       lzma_index **ret, uint64_t *ret_begin,
		       struct rfs_error *err)
{
	uint8_t h[LZMA_STREAM_HEADER_SIZE];
	lzma_stream_flags footer, header;
	uint64_t at, size;
	int r;

	r = read_footer(b, end, &footer, err);
	if (r < 0)
		return r;
	at = end - sizeof(h) - footer.backward_size;
	r = read_index(b, at, (size_t)footer.backward_size, ret, err);
	if (r < 0)
		return r;
	size = lzma_index_stream_size(*ret);
	if (size > end || lzma_index_stream_flags(*ret, &footer) != LZMA_OK ||
	    (rfs_reader_read(b->p->file, rfs_range(end - size, sizeof(h)), h,
			     NULL, NULL) == 0 &&
	     lzma_stream_header_decode(&header, h) == LZMA_OK &&
	     lzma_stream_flags_compare(&header, &footer) != LZMA_OK)) {
		lzma_index_end(*ret, NULL);
		return rfs_fail(err, EILSEQ,
				"the xz stream that ends at %" PRIu64
				" is damaged",
				end);
	}
	*ret_begin = end - size;
	return 0;
}

/* Streams before 'all', which is freed or taken. */
static int put_before(lzma_index *first, lzma_index **all, uint64_t padding,
		      struct rfs_error *err)
{
	if (lzma_index_stream_padding(first, padding) != LZMA_OK ||
	    (*all && lzma_index_cat(first, *all, NULL) != LZMA_OK)) {
		lzma_index_end(first, NULL);
		return rfs_fail(err, EILSEQ,
				"the xz streams do not fit "
				"together");
	}
	*all = first;
	return 0;
}

/* All streams of the file. */
static int read_streams(struct rfs_packed_build *b, lzma_index **ret,
			struct rfs_error *err)
{
	uint64_t end = rfs_reader_size(b->p->file), was, begin = 0;
	lzma_index *one;
	int r = 0;

	while (end && r == 0) {
		was = end;
		r = skip_padding(b, &end, err);
		if (r == 0)
			r = read_stream(b, end, &one, &begin, err);
		if (r == 0)
			r = put_before(one, ret, was - end, err);
		if (r == 0)
			r = rfs_packed_progress(b, was - begin, err);
		end = begin;
	}
	return r;
}

static void note_check(struct rfs_packed_build *b, lzma_check check)
{
	if (check == LZMA_CHECK_NONE || !lzma_check_is_supported(check))
		rfs_notes_add(b->p->config.notes,
			      "%s: has no checksum that can be checked, so "
			      "that nothing proves what it unpacks to",
			      b->p->name);
}

/* Cut at the size that it must not exceed. */
static int add_block(struct rfs_packed_build *b, uint64_t len, uint64_t from,
		     uint64_t to, uint32_t flags, lzma_check check,
		     struct rfs_error *err)
{
	struct rfs_packed_piece piece = {
		.len = len,
		.from = from * 8,
		.to = to * 8,
		.flags = flags | (uint32_t)check << CHECK_SHIFT,
	};

	note_check(b, check);
	if (len > RFS_PACKED_SIZE_MAX - b->total) {
		b->cut = true;
		return rfs_fail(err, EFBIG,
				"%s: says that it unpacks to more than %" PRIu64
				" bytes, which no volume has; it is not read",
				b->p->name, RFS_PACKED_SIZE_MAX);
	}
	return rfs_packed_add_piece(b, &piece, NULL, 0, true, err);
}

static int add_blocks(struct rfs_packed_build *b, const lzma_index *index,
		      struct rfs_error *err)
{
	lzma_index_iter i;
	int r = 0;

	lzma_index_iter_init(&i, index);
	while (r == 0 &&
	       !lzma_index_iter_next(&i, LZMA_INDEX_ITER_NONEMPTY_BLOCK))
		r = add_block(b, i.block.uncompressed_size,
			      i.block.compressed_file_offset,
			      i.block.compressed_file_offset +
				      i.block.total_size,
			      0, i.stream.flags->check, err);
	return r;
}

/*
 * Without an index, from the front.
 */

struct walk {
	struct rfs_packed_build *b;
	struct rfs_packed_input in;
	lzma_check check;
};

/* A block whose header tells its sizes is taken at its word: the header has a
 * checksum.  Where it ends, for the others, unpacking tells. */
static int sized_end(const lzma_block *block, uint64_t from, uint64_t *ret)
{
	uint64_t size;

	if (block->compressed_size == LZMA_VLI_UNKNOWN ||
	    block->uncompressed_size == LZMA_VLI_UNKNOWN)
		return 0;
	size = lzma_block_total_size(block);
	if (!size || size == LZMA_VLI_UNKNOWN || size > RFS_PACKED_SIZE_MAX)
		return 0;
	*ret = from + size;
	return 1;
}

struct trial {
	uint64_t made; /* bytes before the end or the error */
	int result;    /* 0, or as 'step' says */
	bool is_zero;
};

/* Unpacked to see how long it is; where it ends in the file is asked of the
 * decoder. */
static int measure(struct walk *w, uint64_t from, uint64_t *ret_end,
		   struct trial *t, struct rfs_error *err)
{
	struct rfs_packed_piece piece = {
		.from = from * 8,
		.to = rfs_reader_size(w->b->p->file) * 8,
		.flags = (uint32_t)w->check << CHECK_SHIFT,
	};
	RFS_CLEANUP_FREE uint8_t *buf = malloc(RFS_PACKED_PAGE);
	struct rfs_error why = RFS_ERROR_INIT;
	struct live *l;
	void *live;
	size_t made = 1;
	int r;

	*t = (struct trial){ .is_zero = true };
	if (!buf)
		return rfs_no_memory(err);
	r = xz_start(w->b->p, &piece, &live, &why);
	if (r < 0) {
		t->result = r;
		if (r != -EIO && r != -EILSEQ)
			return rfs_fail(err, -r, "%s", why.text);
		rfs_packed_damage(w->b, "%s", why.text);
		return 0;
	}
	l = live;
	while (r == 0 && made && t->made <= w->b->hard) {
		made = 0;
		r = xz_step(l, buf, RFS_PACKED_PAGE, &made, &why);
		t->is_zero = t->is_zero && rfs_packed_is_zero(buf, made);
		t->made += made;
		if (r == 0)
			r = rfs_packed_progress(w->b, rfs_packed_pos(&l->in),
						&why);
	}
	*ret_end = rfs_packed_pos(&l->in);
	if (r == 0 && made)
		r = rfs_fail(&why, EILSEQ,
			     "it unpacks to more than %" PRIu64 " bytes",
			     w->b->hard);
	if (r == -EIO)
		w->b->io_failed = true;
	xz_end(l);
	t->result = r;
	if (r == -EIO || r == -ENODATA || r == -EILSEQ)
		rfs_packed_damage(w->b, "%s", why.text);
	else if (r < 0)
		return rfs_fail(err, -r, "%s", why.text);
	return 0;
}

/* 1: the next block may be looked at; 0: it ends here. */
static int walk_unsized(struct walk *w, uint64_t from, struct rfs_error *err)
{
	struct trial t;
	uint64_t end = from;
	uint32_t flags = 0;
	int r = measure(w, from, &end, &t, err);

	if (r < 0)
		return r;
	if (t.result == -EIO || t.result == -ENODATA)
		flags = RFS_PIECE_PARTIAL;
	else if (t.result == -EILSEQ)
		flags = RFS_PIECE_SPOILT;
	else if (t.is_zero)
		flags = RFS_PIECE_ZERO;
	if (t.made)
		r = add_block(w->b, t.made, from, end, flags, w->check, err);
	if (r == 0 && t.result < 0)
		r = rfs_packed_add_gap(w->b, 0, RFS_PIECE_UNSIZED, err);
	if (r < 0 || t.result < 0)
		return r;
	rfs_packed_seek(&w->in, end);
	return 1;
}

static int walk_block(struct walk *w, struct rfs_error *err)
{
	lzma_filter filters[LZMA_FILTERS_MAX + 1] = {
		{ .id = LZMA_VLI_UNKNOWN }
	};
	lzma_block block = { .filters = filters };
	uint64_t from = rfs_packed_pos(&w->in), end;
	uint32_t flags = 0;
	int r;

	r = read_block_header(&w->in, w->check, &block, err);
	free_filters(filters);
	if (r < 0)
		return r;
	if (!sized_end(&block, from, &end))
		return walk_unsized(w, from, err);
	if (end > rfs_reader_size(w->b->p->file)) {
		end = rfs_reader_size(w->b->p->file);
		flags = RFS_PIECE_PARTIAL;
	}
	r = add_block(w->b, block.uncompressed_size, from, end, flags, w->check,
		      err);
	rfs_packed_seek(&w->in, end);
	return r < 0 ? r : 1;
}

/* The index and the footer, which are not looked into, and padding. */
static int walk_end(struct walk *w, uint64_t index_at, struct rfs_error *err)
{
	lzma_index *index = NULL;
	lzma_stream strm = LZMA_STREAM_INIT;
	lzma_ret rc = lzma_index_decoder(&strm, &index, INDEX_MEMORY);
	uint8_t four[4] = { 0 };
	int r = 1;

	rfs_packed_seek(&w->in, index_at);
	while (rc == LZMA_OK && r == 1) {
		r = rfs_packed_more(&w->in, err);
		strm.next_in = w->in.buf + w->in.at;
		strm.avail_in = r == 1 ? w->in.have - w->in.at : 0;
		if (r == 1)
			rc = lzma_code(&strm, LZMA_RUN);
		w->in.at = w->in.have - strm.avail_in;
	}
	lzma_end(&strm);
	lzma_index_end(index, NULL);
	if (r < 0)
		return r;
	if (rc != LZMA_STREAM_END)
		return rfs_fail(err, EILSEQ,
				"the xz index at %" PRIu64 " is damaged",
				index_at);
	rfs_packed_seek(&w->in,
			rfs_packed_pos(&w->in) + LZMA_STREAM_HEADER_SIZE);
	while (!four[0] && !four[1] && !four[2] && !four[3]) {
		r = rfs_packed_get(&w->in, four, 4, err);
		if (r < 0)
			return r == -ENODATA ? 0 : r;
	}
	rfs_packed_seek(&w->in, rfs_packed_pos(&w->in) - 4);
	return 1;
}

/* 1: another stream may follow. */
static int walk_stream(struct walk *w, struct rfs_error *err)
{
	uint8_t h[LZMA_STREAM_HEADER_SIZE];
	uint64_t at = rfs_packed_pos(&w->in);
	lzma_stream_flags flags;
	int r;

	r = rfs_packed_get(&w->in, h, sizeof(h), err);
	if (r == -ENODATA)
		return rfs_fail(err, EIO, "it ends inside a stream");
	if (r == 0 && lzma_stream_header_decode(&flags, h) != LZMA_OK)
		r = rfs_fail(err, EILSEQ,
			     "the xz stream header at %" PRIu64 " is damaged",
			     at);
	if (r < 0)
		return r;
	w->check = flags.check;
	do {
		at = rfs_packed_pos(&w->in);
		r = walk_block(w, err);
		if (r == 1)
			r = rfs_packed_progress(w->b, at, err) < 0 ? -EINTR : 1;
	} while (r == 1);
	return r == -ENODATA ? walk_end(w, at, err) : r;
}

/* As far as it goes; what stops it is damage. */
static int walk_file(struct rfs_packed_build *b, struct rfs_error *err)
{
	struct walk w = { .b = b };
	struct rfs_error why = RFS_ERROR_INIT;
	int r = rfs_packed_input_init(&w.in, b->p->file, 0, UINT64_MAX, err);

	if (r < 0)
		return r;
	do
		r = walk_stream(&w, &why);
	while (r == 1);
	rfs_packed_input_fini(&w.in);
	if (r != -EIO && r != -EILSEQ)
		return r < 0 ? rfs_fail(err, -r, "%s", why.text) : 0;
	rfs_packed_damage(b, "%s", why.text);
	return rfs_packed_add_gap(b, 0, RFS_PIECE_UNSIZED, err);
}

static int xz_index(struct rfs_packed_build *b, struct rfs_error *err)
{
	struct rfs_error why = RFS_ERROR_INIT;
	lzma_index *all = NULL;
	int r = read_streams(b, &all, &why);

	if (r == 0)
		r = add_blocks(b, all, err);
	else if (r == -EIO || r == -EILSEQ) {
		b->io_failed = r == -EIO;
		rfs_packed_damage(b, "%s", why.text);
		r = walk_file(b, err);
	} else {
		rfs_fail(err, -r, "%s", why.text);
	}
	lzma_index_end(all, NULL);
	return r;
}

const struct rfs_packed_format rfs_packed_xz = {
	.name = "xz",
	.magic = "\xfd"
		 "7zXZ\0",
	.magic_len = 6,
	.index = xz_index,
	.start = xz_start,
	.step = xz_step,
	.end = xz_end,
};
