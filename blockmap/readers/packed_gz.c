// SPDX-License-Identifier: GPL-3.0-or-later
/* Unpacking a piece of a gzip file, from an access point on. */
#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#include "core/cleanup.h"
#include "readers/packed_gz.h"

/* The last bits of the byte before belong to the block. */
static int prime(struct rfs_gz *g, const struct rfs_packed_piece *piece,
		 struct rfs_error *err)
{
	int used = (int)(piece->from % 8);
	uint8_t byte;
	int r;

	if (!used)
		return 0;
	r = rfs_gz_get(g, &byte, 1, err);
	if (r == 0 && inflatePrime(&g->z, 8 - used, byte >> used) != Z_OK)
		r = rfs_fail(err, EBADMSG, "its index is damaged");
	return r;
}

/* Behind the pages' checksums: how many bytes of history, and these packed. */
static int set_window(struct rfs_gz *g, const uint8_t *notes, size_t len,
		      struct rfs_error *err)
{
	uint8_t window[RFS_GZ_WINDOW];
	size_t n;

	if (!len)
		return 0;
	n = ZSTD_decompress(window, sizeof(window), notes, len);
	if (ZSTD_isError(n) ||
	    inflateSetDictionary(&g->z, window, (uInt)n) != Z_OK)
		return rfs_fail(err, EBADMSG, "its index is damaged");
	return 0;
}

static size_t pages_of(const struct rfs_packed_piece *piece)
{
	if (!(piece->flags & RFS_PIECE_PAGES))
		return 0;
	return (size_t)((piece->len + RFS_PACKED_PAGE - 1) / RFS_PACKED_PAGE);
}

static int begin_inside(struct rfs_packed *p, struct rfs_gz *g,
			const struct rfs_packed_piece *piece,
			struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *notes = NULL;
	size_t sums = pages_of(piece) * 4;
	int r;

	g->phase = RFS_GZ_BODY;
	r = rfs_packed_notes(p, piece, &notes, err);
	if (r == 0 && piece->notes_len < sums + 4)
		r = rfs_fail(err, EBADMSG, "its index is damaged");
	if (r == 0)
		r = prime(g, piece, err);
	if (r == 0)
		r = set_window(g, notes + sums, piece->notes_len - 4 - sums,
			       err);
	return r;
}

static int gz_start(struct rfs_packed *p, const struct rfs_packed_piece *piece,
		    void **ret, struct rfs_error *err)
{
	struct rfs_gz *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return rfs_no_memory(err);
	r = rfs_gz_open(g, p->file, piece->from / 8, (piece->to + 7) / 8, err);
	if (r == 0 && !(piece->flags & RFS_PIECE_MEMBER))
		r = begin_inside(p, g, piece, err);
	if (r < 0) {
		rfs_gz_close(g);
		free(g);
		return r;
	}
	*ret = g;
	return 0;
}

static int gz_step(void *live, uint8_t *to, size_t room, size_t *ret_made,
		   struct rfs_error *err)
{
	enum rfs_gz_event event = RFS_GZ_NONE;
	int r = 0;

	while (r == 0 && !*ret_made && event != RFS_GZ_END)
		r = rfs_gz_run(live, to, room, Z_NO_FLUSH, ret_made, &event,
			       err);
	return r;
}

static void gz_end(void *live)
{
	rfs_gz_close(live);
	free(live);
}

const struct rfs_packed_format rfs_packed_gz = {
	.name = "gzip",
	.magic = "\x1f\x8b",
	.magic_len = 2,
	.by_pages = true,
	.index = rfs_gz_index,
	.start = gz_start,
	.step = gz_step,
	.end = gz_end,
};
