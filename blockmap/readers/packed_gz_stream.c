// SPDX-License-Identifier: GPL-3.0-or-later
/* Members of a gzip file, one after the other. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "readers/packed_gz.h"

/* A file that ends inside a member is cut short. */
static int short_file(struct rfs_gz *g, int r, struct rfs_error *err)
{
	if (r != -ENODATA && r != 0)
		return r;
	return rfs_fail(err, ENODATA,
			"it ends at %" PRIu64 ", in the middle of a member",
			rfs_packed_pos(&g->in));
}

static int nonsense(struct rfs_gz *g, const char *what, struct rfs_error *err)
{
	return rfs_fail(err, EILSEQ, "%s at %" PRIu64 " of the compressed file",
			what, rfs_packed_pos(&g->in));
}

int rfs_gz_get(struct rfs_gz *g, uint8_t *to, size_t len, struct rfs_error *err)
{
	int r = rfs_packed_get(&g->in, to, len, err);

	return r < 0 ? short_file(g, r, err) : 0;
}

static int skip(struct rfs_gz *g, size_t len, struct rfs_error *err)
{
	uint8_t buf[256];
	int r = 0;

	for (size_t n; len && r == 0; len -= n) {
		n = len < sizeof(buf) ? len : sizeof(buf);
		r = rfs_gz_get(g, buf, n, err);
	}
	return r;
}

/* A name or a comment, which ends with a zero byte. */
static int skip_text(struct rfs_gz *g, struct rfs_error *err)
{
	uint8_t c = 1;
	int r = 0;

	while (c && r == 0)
		r = rfs_gz_get(g, &c, 1, err);
	return r;
}

static int skip_fields(struct rfs_gz *g, uint8_t flags, struct rfs_error *err)
{
	uint8_t len[2];
	int r = 0;

	if (flags & 4) {
		r = rfs_gz_get(g, len, 2, err);
		if (r == 0)
			r = skip(g, (size_t)len[0] | (size_t)len[1] << 8, err);
	}
	if (r == 0 && (flags & 8))
		r = skip_text(g, err);
	if (r == 0 && (flags & 16))
		r = skip_text(g, err);
	if (r == 0 && (flags & 2))
		r = skip(g, 2, err);
	return r;
}

/* 1: a member begins; 0: there is none any more. */
static int read_header(struct rfs_gz *g, struct rfs_error *err)
{
	uint8_t h[10];
	int r;

	g->member_at = rfs_packed_pos(&g->in);
	r = rfs_packed_more(&g->in, err);
	if (r == 0 && g->any_member)
		return 0;
	if (r <= 0)
		return short_file(g, r, err);
	r = rfs_packed_get(&g->in, h, 2, err);
	if (g->any_member &&
	    (r == -ENODATA || (r == 0 && (h[0] != 0x1f || h[1] != 0x8b)))) {
		g->garbage = true;
		return 0;
	}
	if (r == 0)
		r = rfs_packed_get(&g->in, h + 2, 8, err);
	if (r < 0)
		return short_file(g, r, err);
	if (h[0] != 0x1f || h[1] != 0x8b || h[2] != 8 || (h[3] & 0xe0))
		return nonsense(g, "no gzip header", err);
	r = skip_fields(g, h[3], err);
	return r < 0 ? r : 1;
}

static int begin_body(struct rfs_gz *g, struct rfs_error *err)
{
	int r = read_header(g, err);

	if (r == 0)
		g->phase = RFS_GZ_ENDED;
	if (r <= 0)
		return r;
	if (inflateReset(&g->z) != Z_OK)
		return rfs_no_memory(err);
	g->phase = RFS_GZ_BODY;
	return 0;
}

static int read_trailer(struct rfs_gz *g, struct rfs_error *err)
{
	uint8_t t[8];
	int r = rfs_gz_get(g, t, 8, err);

	if (r < 0)
		return r;
	g->crc = (uint32_t)t[0] | (uint32_t)t[1] << 8 | (uint32_t)t[2] << 16 |
		 (uint32_t)t[3] << 24;
	g->isize = (uint32_t)t[4] | (uint32_t)t[5] << 8 | (uint32_t)t[6] << 16 |
		   (uint32_t)t[7] << 24;
	g->any_member = true;
	g->phase = RFS_GZ_HEADER;
	return 0;
}

/* Some of a member's body.  Z_BLOCK stops where blocks begin. */
static int run_body(struct rfs_gz *g, uint8_t *to, size_t room, int flush,
		    size_t *ret_made, enum rfs_gz_event *ret,
		    struct rfs_error *err)
{
	int r = 1, rc;

	if (!g->pending)
		r = rfs_packed_more(&g->in, err);
	if (r <= 0)
		return short_file(g, r, err);
	g->z.next_in = g->in.buf + g->in.at;
	g->z.avail_in = (uInt)(g->in.have - g->in.at);
	g->z.next_out = to;
	g->z.avail_out = (uInt)room;
	rc = inflate(&g->z, flush);
	g->in.at = g->in.have - g->z.avail_in;
	*ret_made = room - g->z.avail_out;
	g->pending = !g->z.avail_out;
	if (rc == Z_MEM_ERROR)
		return rfs_no_memory(err);
	if (rc == Z_STREAM_END)
		g->phase = RFS_GZ_TRAILER;
	else if (rc != Z_OK && rc != Z_BUF_ERROR)
		return nonsense(g, g->z.msg ? g->z.msg : "nonsense", err);
	else if ((g->z.data_type & 128) && !(g->z.data_type & 64))
		*ret = RFS_GZ_BLOCK;
	return 0;
}

/* Until something was made or happened. */
int rfs_gz_run(struct rfs_gz *g, uint8_t *to, size_t room, int flush,
	       size_t *ret_made, enum rfs_gz_event *ret, struct rfs_error *err)
{
	int r = 0;

	*ret_made = 0;
	*ret = RFS_GZ_NONE;
	while (r == 0 && !*ret_made && *ret == RFS_GZ_NONE) {
		if (g->phase == RFS_GZ_ENDED) {
			*ret = RFS_GZ_END;
		} else if (g->phase == RFS_GZ_HEADER) {
			r = begin_body(g, err);
		} else if (g->phase == RFS_GZ_TRAILER) {
			r = read_trailer(g, err);
			if (r == 0)
				*ret = RFS_GZ_MEMBER;
		} else {
			r = run_body(g, to, room, flush, ret_made, ret, err);
		}
	}
	return r;
}

int rfs_gz_open(struct rfs_gz *g, struct rfs_reader *file, uint64_t from,
		uint64_t end, struct rfs_error *err)
{
	*g = (struct rfs_gz){ .phase = RFS_GZ_HEADER };
	if (inflateInit2(&g->z, -15) != Z_OK)
		return rfs_no_memory(err);
	return rfs_packed_input_init(&g->in, file, from, end, err);
}

void rfs_gz_close(struct rfs_gz *g)
{
	inflateEnd(&g->z);
	rfs_packed_input_fini(&g->in);
}
