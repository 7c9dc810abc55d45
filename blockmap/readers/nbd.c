// SPDX-License-Identifier: GPL-3.0-or-later
/* nbd.c - the reader of an export.
 *
 * A server tells that a request failed, and not which byte of it did.  So what
 * failed is halved, down to a sector or to the server's smallest block, as long
 * as the deadline of the whole read allows; what is left then is late, and not
 * bad.
 */
#include "readers/nbd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "readers/nbd_link.h"

struct nbd {
	struct rfs_nbd_link *link;
	struct rfs_nbd_facts facts;
	char *name;
	uint32_t unit; /* the smallest piece that is told good from bad */
};

/* One read on its way. */
struct job {
	struct nbd *nbd;
	struct rfs_range range; /* asked for */
	unsigned char *buf;
	int64_t until_ns;
	struct rfs_ranges *bad;
	bool late;
};

static bool is_prefixed(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool rfs_is_nbd_uri(const char *text)
{
	return is_prefixed(text, "nbd://") || is_prefixed(text, "nbds://") ||
	       is_prefixed(text, "nbd+unix://") ||
	       is_prefixed(text, "nbds+unix://");
}

const char *rfs_nbd_uri_relative(const char *uri)
{
	static const char *const files[] = { "socket", "tls-certificates",
					     "tls-psk-file" };
	const char *at = strchr(uri, '?');

	for (; at; at = strpbrk(at + 1, "&;")) {
		for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
			size_t len = strlen(files[i]);
			const char *path = at + 1 + len + 1;

			if (strncmp(at + 1, files[i], len) == 0 &&
			    at[1 + len] == '=' && *path != '/' &&
			    strncasecmp(path, "%2f", 3) != 0)
				return files[i];
		}
	}
	return NULL;
}

/* The blocks of the server that hold 'range'. */
static struct rfs_range widen(const struct nbd *nbd, struct rfs_range range)
{
	range = rfs_range_widen(range, nbd->facts.min_block);
	return rfs_range_cut(range, rfs_range(0, nbd->facts.size));
}

static int ask(struct job *job, struct rfs_range range)
{
	struct rfs_range blocks = widen(job->nbd, range);
	unsigned char *to = job->buf + (range.off - job->range.off), *whole;
	int r;

	if (blocks.len == range.len)
		return rfs_nbd_link_read(job->nbd->link, range, to,
					 job->until_ns);
	whole = malloc(blocks.len);
	if (!whole)
		return -ENOMEM;
	r = rfs_nbd_link_read(job->nbd->link, blocks, whole, job->until_ns);
	if (r == 0)
		memcpy(to, whole + (range.off - blocks.off), range.len);
	free(whole);
	return r;
}

/* The middle of 'range', where the next piece begins. */
static uint64_t middle_of(const struct nbd *nbd, struct rfs_range range)
{
	uint64_t mid = range.off + range.len / 2;

	mid -= mid % nbd->unit;
	if (mid <= range.off)
		mid += nbd->unit;
	return mid;
}

/* At most as deep as a request has halves. */
static int read_piece(struct job *job, struct rfs_range range)
{
	uint64_t mid = middle_of(job->nbd, range);
	int r;

	r = ask(job, range);
	if (r == -EIO && mid < rfs_range_end(range)) {
		r = read_piece(job, rfs_range_to(range.off, mid));
		if (r == 0)
			r = read_piece(job,
				       rfs_range_to(mid, rfs_range_end(range)));
		return r;
	}
	if (r == -ETIMEDOUT)
		job->late = true;
	else if (r != -EIO)
		return r;
	return rfs_ranges_add(job->bad, range);
}

static int report(const struct job *job, struct rfs_error *err)
{
	struct rfs_range first;

	if (!job->bad->count)
		return 0;
	first = job->bad->items[0];
	if (job->late)
		return rfs_fail(err, ETIMEDOUT,
				"%s: %" PRIu64 " bytes at %" PRIu64
				" were not waited for: the server does not "
				"answer in time",
				job->nbd->name, first.len, first.off);
	return rfs_fail(err, EIO,
			"%s: %" PRIu64 " bytes at %" PRIu64
			": the server cannot read them",
			job->nbd->name, first.len, first.off);
}

static int read_nbd(void *state, struct rfs_range range, void *buf,
		    struct rfs_ranges *bad, struct rfs_error *err)
{
	struct nbd *nbd = state;
	struct job job = {
		.nbd = nbd,
		.range = range,
		.buf = buf,
		.until_ns = rfs_nbd_link_deadline(nbd->link),
		.bad = bad,
	};
	uint64_t end = rfs_range_end(range), next;
	int r = 0;

	for (uint64_t off = range.off; off < end && r == 0; off = next) {
		/* Pieces end where the server's blocks do. */
		next = off - off % nbd->facts.max_block + nbd->facts.max_block;
		r = read_piece(&job,
			       rfs_range_to(off, next < end ? next : end));
	}
	return r < 0 ? rfs_no_memory(err) : report(&job, err);
}

/* What it says of 'range', which is of whole blocks, cut to 'want'. */
static int add_status(struct nbd *nbd, struct rfs_range want,
		      struct rfs_range range, struct rfs_extents *out,
		      uint64_t *ret_end, int64_t until_ns)
{
	struct rfs_extents told = { 0 };
	int r;

	r = rfs_nbd_link_status(nbd->link, range, &told, until_ns);
	for (size_t i = 0; i < told.count && r == 0; i++) {
		struct rfs_extent *e = &told.items[i];

		r = rfs_extents_add(out, rfs_range_cut(e->range, want),
				    e->content);
		*ret_end = rfs_range_end(e->range);
	}
	rfs_extents_fini(&told);
	return r;
}

/* A server that does not tell in time leaves it at data: that is read, and so
 * never taken for what it is not. */
static int extents_of_nbd(void *state, struct rfs_range range,
			  struct rfs_extents *out, struct rfs_error *err)
{
	struct nbd *nbd = state;
	struct rfs_range blocks = widen(nbd, range);
	int64_t until_ns = rfs_nbd_link_deadline(nbd->link);
	uint64_t off = blocks.off, end = rfs_range_end(blocks), next;
	int r = nbd->facts.has_status ? 0 : -EIO;

	while (off < end && r == 0) {
		next = off;
		r = add_status(nbd, range, rfs_range_to(off, end), out, &next,
			       until_ns);
		if (r == 0 && next <= off)
			r = -EIO;
		if (r == 0)
			off = next;
	}
	if (r != 0 && r != -ENOMEM)
		r = rfs_extents_add(
			out, rfs_range_cut(rfs_range_to(off, end), range),
			RFS_DATA);
	return r < 0 ? rfs_no_memory(err) : 0;
}

static void close_nbd(void *state)
{
	struct nbd *nbd = state;

	rfs_nbd_link_free(nbd->link);
	free(nbd->name);
	free(nbd);
}

static const struct rfs_reader_ops nbd_ops = {
	.kind = "nbd",
	.read = read_nbd,
	.extents = extents_of_nbd,
	.close = close_nbd,
};

int rfs_nbd_open(const struct rfs_nbd_config *config, struct rfs_reader **ret,
		 struct rfs_error *err)
{
	struct nbd *nbd = calloc(1, sizeof(*nbd));
	int r;

	if (nbd)
		nbd->name = strdup(config->name);
	if (!nbd || !nbd->name) {
		if (config->image)
			close(config->image_fd);
		free(nbd);
		return rfs_no_memory(err);
	}
	r = rfs_nbd_link_new(config, &nbd->link, &nbd->facts, err);
	if (r < 0) {
		free(nbd->name);
		free(nbd);
		return r;
	}
	nbd->unit = nbd->facts.min_block > RFS_SECTOR ? nbd->facts.min_block
						      : RFS_SECTOR;
	return rfs_reader_new(&nbd_ops, nbd, nbd->facts.size, config->name,
			      config->origin, ret, err);
}
