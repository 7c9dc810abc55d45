// SPDX-License-Identifier: GPL-3.0-or-later
/* Compressed clusters: unpacking, and a shelf of the last ones unpacked. */
#include "readers/qcow2.h"

#include <errno.h>
#include <inttypes.h>
#include <zlib.h>
#include <zstd.h>

/* A frame that wants more history than this is not one of a cluster (2 MiB at
 * the most); it bounds what a hostile one can make us allocate. */
#define ZSTD_WINDOW_LOG 24

/* zlib hands out only what it has decoded from bytes that were there: when the
 * input ends early, all that came out is right. */
static int64_t unpack_zlib(const uint8_t *from, size_t len, uint8_t *to,
			   size_t size, bool *ret_whole)
{
	z_stream z = {
		.next_in = (Bytef *)(uintptr_t)from,
		.avail_in = (uInt)len,
		.next_out = to,
		.avail_out = (uInt)size,
	};
	int r;

	/* QEMU writes windows of 2^12; others may use all of 2^15. */
	if (inflateInit2(&z, -15) != Z_OK)
		return -ENOMEM;
	r = inflate(&z, Z_SYNC_FLUSH);
	inflateEnd(&z);
	if (r == Z_MEM_ERROR)
		return -ENOMEM;
	*ret_whole = !z.avail_out &&
		     (r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR);
	/* An end before the cluster is full is as wrong as bad data. */
	if (!*ret_whole &&
	    (r == Z_STREAM_END || (r != Z_OK && r != Z_BUF_ERROR)))
		return -EILSEQ;
	return (int64_t)(size - z.avail_out);
}

static int64_t unpack_zstd(const uint8_t *from, size_t len, uint8_t *to,
			   size_t size, bool *ret_whole)
{
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	ZSTD_inBuffer in = { from, len, 0 };
	ZSTD_outBuffer out = { to, size, 0 };
	size_t left = 1, was;

	if (!ctx)
		return -ENOMEM;
	ZSTD_DCtx_setParameter(ctx, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
	do {
		was = in.pos + out.pos;
		left = ZSTD_decompressStream(ctx, &out, &in);
	} while (!ZSTD_isError(left) && left && in.pos + out.pos > was);
	ZSTD_freeDCtx(ctx);
	if (ZSTD_isError(left))
		return -EILSEQ;
	*ret_whole = !left && out.pos == size;
	if (!left && !*ret_whole)
		return -EILSEQ;
	return (int64_t)out.pos;
}

int64_t rfs_qcow2_unpack(enum rfs_qcow2_packing packing, const uint8_t *from,
			 size_t len, uint8_t *to, size_t size, bool *ret_whole)
{
	if (packing == RFS_QCOW2_ZSTD)
		return unpack_zstd(from, len, to, size, ret_whole);
	return unpack_zlib(from, len, to, size, ret_whole);
}

static void release(struct rfs_qcow2_unpacked *u)
{
	if (u && atomic_fetch_sub(&u->refs, 1) == 1)
		free(u);
}

void rfs_qcow2_shelf_init(struct rfs_qcow2_shelf *shelf)
{
	pthread_mutex_init(&shelf->lock, NULL);
}

void rfs_qcow2_shelf_clear(struct rfs_qcow2_shelf *shelf)
{
	pthread_mutex_lock(&shelf->lock);
	for (size_t i = 0; i < RFS_QCOW2_UNPACKED; i++)
		release(RFS_STEAL(shelf->slots[i]));
	pthread_mutex_unlock(&shelf->lock);
}

void rfs_qcow2_shelf_fini(struct rfs_qcow2_shelf *shelf)
{
	for (int i = 0; i < RFS_QCOW2_UNPACKED; i++)
		release(shelf->slots[i]);
	pthread_mutex_destroy(&shelf->lock);
}

static struct rfs_qcow2_unpacked *shelf_find(struct rfs_qcow2_shelf *shelf,
					     const struct rfs_qcow2_run *run)
{
	struct rfs_qcow2_unpacked *u = NULL;

	pthread_mutex_lock(&shelf->lock);
	for (int i = 0; i < RFS_QCOW2_UNPACKED && !u; i++)
		if (shelf->slots[i] && shelf->slots[i]->host == run->host &&
		    shelf->slots[i]->packed == run->packed)
			u = shelf->slots[i];
	if (u)
		atomic_fetch_add(&u->refs, 1);
	pthread_mutex_unlock(&shelf->lock);
	return u;
}

static void shelf_put(struct rfs_qcow2_shelf *shelf,
		      struct rfs_qcow2_unpacked *u)
{
	struct rfs_qcow2_unpacked *old;

	atomic_fetch_add(&u->refs, 1);
	pthread_mutex_lock(&shelf->lock);
	old = shelf->slots[shelf->next];
	shelf->slots[shelf->next] = u;
	shelf->next = (shelf->next + 1) % RFS_QCOW2_UNPACKED;
	pthread_mutex_unlock(&shelf->lock);
	release(old);
}

/* Reads the packed bytes as far as they can be read in one piece; what stopped
 * it stands in *err. */
static int read_packed(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
		       uint8_t *from, size_t *ret_len, struct rfs_error *err)
{
	uint64_t len = rfs_qcow2_min(run->packed, q->file_size - run->host);
	struct rfs_ranges bad = { 0 };
	int r;

	if (len < run->packed)
		rfs_fail(err, EIO, "%s: ends at %" PRIu64,
			 rfs_reader_name(q->file), q->file_size);
	r = rfs_reader_read(q->file, rfs_range(run->host, len), from, &bad,
			    err);
	if (r == -ETIMEDOUT) {
		/* Nothing of it is kept: another time all may be there. */
		rfs_context(err, r, "compressed cluster at %" PRIu64,
			    run->host);
	} else if (r == -EIO) {
		len = bad.count ? bad.items[0].off - run->host : 0;
		r = 0;
	}
	rfs_ranges_fini(&bad);
	*ret_len = len;
	return r;
}

/* The packed bytes were all read, and are not those of a cluster. */
static void odd_packed(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
		       struct rfs_error *err)
{
	const char *name = rfs_reader_name(q->file);

	rfs_notes_add(q->notes,
		      "%s: the compressed cluster at %" PRIu64
		      " does not decompress",
		      name, run->host);
	rfs_fail(err, EIO,
		 "%s: the compressed cluster at %" PRIu64
		 " does not decompress",
		 name, run->host);
}

/* Unpacks a whole cluster into 'to'; *ret_good bytes of it are right. */
static int unpack_run(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
		      uint8_t *to, uint32_t *ret_good, struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *from = malloc(run->packed);
	bool whole = false;
	int64_t n;
	size_t len;
	int r;

	if (!from)
		return rfs_no_memory(err);
	r = read_packed(q, run, from, &len, err);
	if (r < 0)
		return r;
	n = rfs_qcow2_unpack(q->header.packing, from, len, to, q->cluster_size,
			     &whole);
	if (n == -ENOMEM)
		return rfs_no_memory(err);
	if (n < 0 || (!whole && len == run->packed)) {
		odd_packed(q, run, err);
		n = 0;
	} else if (!whole) {
		rfs_context(err, 0, "compressed cluster at %" PRIu64,
			    run->host);
	}
	*ret_good = (uint32_t)n;
	return 0;
}

static int unpack_new(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
		      struct rfs_qcow2_unpacked **ret, struct rfs_error *err)
{
	struct rfs_qcow2_unpacked *u = malloc(sizeof(*u) + q->cluster_size);
	int r;

	if (!u)
		return rfs_no_memory(err);
	u->host = run->host;
	u->packed = run->packed;
	atomic_init(&u->refs, 1);
	r = unpack_run(q, run, u->data, &u->good, err);
	if (r < 0) {
		release(u);
		return r;
	}
	shelf_put(&q->shelf, u);
	*ret = u;
	return 0;
}

/* The cluster, off the shelf or put there.  The caller releases it. */
static int get_unpacked(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
			struct rfs_qcow2_unpacked **ret, struct rfs_error *err)
{
	struct rfs_qcow2_unpacked *u = shelf_find(&q->shelf, run);

	if (!u)
		return unpack_new(q, run, ret, err);
	if (u->good < q->cluster_size)
		rfs_fail(err, EIO,
			 "%s: the compressed cluster at %" PRIu64
			 " has only %" PRIu32 " good bytes",
			 rfs_reader_name(q->file), run->host, u->good);
	*ret = u;
	return 0;
}

/* What of the run lies past the 'good' first bytes of its cluster. */
static int past_good(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
		     uint32_t good, struct rfs_ranges *bad,
		     struct rfs_error *err)
{
	uint64_t cluster = run->guest.off & ~(q->cluster_size - 1);
	uint64_t first = cluster + good;

	if (first < run->guest.off)
		first = run->guest.off;
	if (first >= rfs_range_end(run->guest))
		return 0;
	if (rfs_ranges_add(bad,
			   rfs_range_to(first, rfs_range_end(run->guest))) < 0)
		return rfs_no_memory(err);
	return -EIO;
}

/* Of what was not waited for, nothing is told apart. */
static int failed(const struct rfs_qcow2_run *run, int r,
		  struct rfs_ranges *bad, struct rfs_error *err)
{
	if (r == -ETIMEDOUT && rfs_ranges_add(bad, run->guest) < 0)
		return rfs_no_memory(err);
	return r;
}

int rfs_qcow2_packed_read(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
			  uint8_t *buf, struct rfs_ranges *bad,
			  struct rfs_error *err)
{
	uint64_t in = run->guest.off & (q->cluster_size - 1);
	struct rfs_qcow2_unpacked *u = NULL;
	uint32_t good;
	int r;

	/* A whole cluster is asked for once: straight to the caller. */
	if (run->guest.len == q->cluster_size) {
		r = unpack_run(q, run, buf, &good, err);
		return r < 0 ? failed(run, r, bad, err)
			     : past_good(q, run, good, bad, err);
	}
	r = get_unpacked(q, run, &u, err);
	if (r < 0)
		return failed(run, r, bad, err);
	if (u->good > in)
		memcpy(buf, u->data + in,
		       rfs_qcow2_min(run->guest.len, u->good - in));
	r = past_good(q, run, u->good, bad, err);
	release(u);
	return r;
}
