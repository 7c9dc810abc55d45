// SPDX-License-Identifier: GPL-3.0-or-later
#include "readers/packed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A random read wants little, a pass over the file wants much. */
#define STEP_FIRST (32u << 10)
#define STEP_LAST  (256u << 10)

int rfs_packed_input_init(struct rfs_packed_input *in, struct rfs_reader *file,
			  uint64_t pos, uint64_t end, struct rfs_error *err)
{
	uint64_t size = rfs_reader_size(file);

	*in = (struct rfs_packed_input){ .file = file,
					 .base = pos,
					 .end = end < size ? end : size,
					 .step = STEP_FIRST };
	in->buf = malloc(STEP_LAST);
	return in->buf ? 0 : rfs_no_memory(err);
}

void rfs_packed_input_fini(struct rfs_packed_input *in)
{
	free(in->buf);
	in->buf = NULL;
}

void rfs_packed_seek(struct rfs_packed_input *in, uint64_t pos)
{
	if (pos >= in->base && pos - in->base <= in->have) {
		in->at = (size_t)(pos - in->base);
		return;
	}
	in->base = pos;
	in->at = in->have = 0;
	in->step = STEP_FIRST;
}

/* What was read before the first byte that could not be is good. */
static int read_on(struct rfs_packed_input *in, size_t want,
		   struct rfs_error *err)
{
	struct rfs_ranges bad = { 0 };
	int r;

	r = rfs_reader_read(in->file, rfs_range(in->base, want), in->buf, &bad,
			    err);
	if (r == 0) {
		in->have = want;
		r = 1;
	} else if ((r == -EIO || r == -ETIMEDOUT) && bad.count &&
		   bad.items[0].off > in->base) {
		in->have = (size_t)(bad.items[0].off - in->base);
		r = 1;
	} else if (r == -EIO) {
		in->bad = bad.count ? bad.items[0] : rfs_range(in->base, want);
	}
	rfs_ranges_fini(&bad);
	return r;
}

int rfs_packed_more(struct rfs_packed_input *in, struct rfs_error *err)
{
	uint64_t left;

	if (in->at < in->have)
		return 1;
	in->base += in->have;
	in->at = in->have = 0;
	if (in->base >= in->end)
		return 0;
	left = in->end - in->base;
	if (left > in->step)
		left = in->step;
	if (in->step < STEP_LAST)
		in->step *= 2;
	return read_on(in, (size_t)left, err);
}

int rfs_packed_get(struct rfs_packed_input *in, void *to, size_t len,
		   struct rfs_error *err)
{
	uint8_t *out = to;
	size_t n;
	int r;

	for (; len; len -= n, out += n) {
		r = rfs_packed_more(in, err);
		if (r <= 0)
			return r < 0 ? r
				     : rfs_fail(err, ENODATA, "%s: ends there",
						rfs_reader_name(in->file));
		n = in->have - in->at;
		if (n > len)
			n = len;
		memcpy(out, in->buf + in->at, n);
		in->at += n;
	}
	return 0;
}
