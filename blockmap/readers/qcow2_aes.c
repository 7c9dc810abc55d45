// SPDX-License-Identifier: GPL-3.0-or-later
/* qcow2_aes.c - clusters encrypted by qcow's own method: AES-128-CBC, sector by
 * sector, with the sector's number as its beginning and the password as the key.
 *
 * libqcow decrypts, and does nothing else: it never sees the image.  Its reading
 * of tables is not to be trusted with a damaged or hostile one (it takes what it
 * cannot read for zeros, loops, reads past its buffers).  So it is handed an image
 * that is made up as it is asked for, of which every entry is right: tables that
 * map the disk onto itself, and in the place of the one piece that is to be
 * decrypted the bytes that our own tables found, our own reader read.  Which
 * sectors could not be read is known beforehand, and stays so.
 *
 *     0           header: version 2, AES, clusters of a piece each
 *     a piece on  the L1 table
 *     l2_off      the L2 tables, one after the other
 *     data_off    the disk
 */
#define HAVE_LIBBFIO 1

#include "readers/qcow2.h"

#include <errno.h>
#include <inttypes.h>
#include <libbfio.h>
#include <libqcow.h>

/* A read is decrypted by whole pieces, so they are as small as leaves libqcow's L1
 * table, which it reads whenever it is opened, with 8192 entries: 4 KiB for a disk
 * of 16 GiB. */
#define PIECE_BITS_MIN 12
#define PIECE_BITS_MAX 16
#define PIECE_MAX      (1u << PIECE_BITS_MAX)
#define TABLES_WANTED  8192u

#define KEY_LEN 16u

/* 131072 tables of the largest pieces. */
#define DISK_MAX (64ull << 40)

struct rfs_qcow2_cipher {
	pthread_mutex_t lock; /* guards all below, and libqcow's handle */
	uint8_t key[KEY_LEN];
	uint32_t piece_bits;
	uint32_t piece_len;
	uint64_t size, tables; /* how many L2 tables */
	uint64_t l2_off, data_off, end;
	libqcow_file_t *file; /* NULL: to be opened */
	libbfio_handle_t *io;
	uint64_t pos;
	const uint8_t *piece; /* what stands in the place of the data */
	bool piece_used;
};

static void put64(uint8_t *to, uint64_t v)
{
	v = htobe64(v);
	memcpy(to, &v, sizeof(v));
}

static void make_header(const struct rfs_qcow2_cipher *c, uint8_t *to)
{
	put64(to, 0x514649fb00000002ull);
	put64(to + 16, c->piece_bits);
	put64(to + 24, c->size);
	put64(to + 32, (uint64_t)RFS_QCOW2_AES << 32 | c->tables);
	put64(to + 40, c->piece_len);
}

/* A cluster of tables: 'first' is where the first entry leads, and each leads a
 * cluster further on. */
static void make_table(const struct rfs_qcow2_cipher *c, uint64_t first,
		       uint8_t *to)
{
	for (uint64_t i = 0; i < c->piece_len / 8; i++)
		put64(to + i * 8,
		      (first + i * c->piece_len) | RFS_QCOW2_COPIED);
}

/* The cluster of what is made up that begins at 'off'. */
static void make_cluster(struct rfs_qcow2_cipher *c, uint64_t off,
			 uint8_t to[PIECE_MAX])
{
	uint64_t len = c->piece_len;

	memset(to, 0, len);
	if (off < len) {
		make_header(c, to);
	} else if (off < c->l2_off) {
		make_table(c, c->l2_off + (off - len) / 8 * len, to);
	} else if (off < c->data_off) {
		make_table(c, c->data_off + (off - c->l2_off) / 8 * len, to);
	} else if (c->piece) {
		memcpy(to, c->piece, len);
		c->piece_used = true;
	}
}

static struct rfs_qcow2_cipher *of_handle(intptr_t *handle)
{
	return (struct rfs_qcow2_cipher *)handle;
}

static ssize_t io_read(intptr_t *handle, uint8_t *buf, size_t len,
		       libbfio_error_t **error)
{
	struct rfs_qcow2_cipher *c = of_handle(handle);
	size_t done = 0, n, in;
	uint8_t cluster[PIECE_MAX];

	(void)error;
	if (c->pos >= c->end)
		return 0;
	len = rfs_qcow2_min(len, c->end - c->pos);
	for (; done < len; done += n, c->pos += n) {
		in = c->pos % c->piece_len;
		n = rfs_qcow2_min(len - done, c->piece_len - in);
		make_cluster(c, c->pos - in, cluster);
		memcpy(buf + done, cluster + in, n);
	}
	return (ssize_t)done;
}

static off64_t io_seek(intptr_t *handle, off64_t off, int whence,
		       libbfio_error_t **error)
{
	struct rfs_qcow2_cipher *c = of_handle(handle);

	(void)error;
	if (whence == SEEK_CUR)
		off += (off64_t)c->pos;
	else if (whence == SEEK_END)
		off += (off64_t)c->end;
	if (off < 0 || (uint64_t)off > c->end)
		return -1;
	c->pos = (uint64_t)off;
	return off;
}

static int io_size(intptr_t *handle, size64_t *ret, libbfio_error_t **error)
{
	(void)error;
	*ret = of_handle(handle)->end;
	return 1;
}

/* The handle is the cipher, which outlives it, is there and is open. */
static int io_free(intptr_t **handle, libbfio_error_t **error)
{
	(void)error;
	*handle = NULL;
	return 1;
}

static int io_clone(intptr_t **ret, intptr_t *handle, libbfio_error_t **error)
{
	(void)ret;
	(void)handle;
	(void)error;
	return -1;
}

static int io_open(intptr_t *handle, int flags, libbfio_error_t **error)
{
	(void)handle;
	(void)error;
	return flags & LIBBFIO_ACCESS_FLAG_WRITE ? -1 : 1;
}

static int io_close(intptr_t *handle, libbfio_error_t **error)
{
	(void)handle;
	(void)error;
	return 0;
}

static ssize_t io_write(intptr_t *handle, const uint8_t *buf, size_t len,
			libbfio_error_t **error)
{
	(void)handle;
	(void)buf;
	(void)len;
	(void)error;
	return -1;
}

static int io_yes(intptr_t *handle, libbfio_error_t **error)
{
	(void)handle;
	(void)error;
	return 1;
}

static void close_file(struct rfs_qcow2_cipher *c)
{
	if (c->file) {
		libqcow_file_close(c->file, NULL);
		libqcow_file_free(&c->file, NULL);
	}
	if (c->io)
		libbfio_handle_free(&c->io, NULL);
}

static bool open_file(struct rfs_qcow2_cipher *c)
{
	c->pos = 0;
	c->piece = NULL;
	return libbfio_handle_initialize(
		       &c->io, (intptr_t *)c, io_free, io_clone, io_open,
		       io_close, io_read, io_write, io_seek, io_yes, io_yes,
		       io_size, LIBBFIO_FLAG_IO_HANDLE_MANAGED, NULL) == 1 &&
	       libqcow_file_initialize(&c->file, NULL) == 1 &&
	       libqcow_file_set_keys(c->file, c->key, KEY_LEN, NULL) == 1 &&
	       libqcow_file_open_file_io_handle(c->file, c->io,
						LIBQCOW_OPEN_READ, NULL) == 1;
}

/* libqcow remembers pieces by their place, and would give what was decrypted of
 * another one there, of another table's or of before a sector became readable.
 * If it did not look at the piece it is made to forget. */
static bool decrypt(struct rfs_qcow2_cipher *c, uint64_t guest,
		    const uint8_t *piece, uint8_t *to)
{
	size_t len = rfs_qcow2_min(c->piece_len, c->size - guest);
	bool done = false;

	for (int i = 0; i < 2 && !done; i++) {
		if (!c->file && !open_file(c)) {
			close_file(c);
			return false;
		}
		c->piece = piece;
		c->piece_used = false;
		done = libqcow_file_read_buffer_at_offset(
			       c->file, to, len, (off64_t)guest, NULL) ==
			       (ssize_t)len &&
		       c->piece_used;
		c->piece = NULL;
		if (!done)
			close_file(c);
	}
	return done;
}

static void lay_out(struct rfs_qcow2_cipher *c)
{
	uint32_t bits = PIECE_BITS_MIN;
	uint64_t len;

	while (bits < PIECE_BITS_MAX && c->size > (uint64_t)TABLES_WANTED
							  << (2 * bits - 3))
		bits++;
	len = 1u << bits;
	c->piece_bits = bits;
	c->piece_len = 1u << bits;
	c->tables = ((c->size - 1) >> (2 * bits - 3)) + 1;
	c->l2_off = len + (c->tables * 8 + len - 1) / len * len;
	c->data_off = c->l2_off + c->tables * len;
	c->end = c->data_off + (c->tables << (2 * bits - 3));
}

int rfs_qcow2_cipher_new(const char *password, uint64_t size,
			 struct rfs_qcow2_cipher **ret, struct rfs_error *err)
{
	struct rfs_qcow2_cipher *c;
	bool opened;

	if (size > DISK_MAX)
		return rfs_fail(err, EFBIG,
				"an encrypted disk of %" PRIu64
				" bytes, but 64 TiB is the most",
				size);
	c = calloc(1, sizeof(*c));
	if (!c)
		return rfs_no_memory(err);
	pthread_mutex_init(&c->lock, NULL);
	/* Of a longer password QEMU takes no more either. */
	memcpy(c->key, password, strnlen(password, KEY_LEN));
	/* Whole sectors, and an empty disk has none to decrypt. */
	c->size = (size + RFS_SECTOR) / RFS_SECTOR * RFS_SECTOR;
	lay_out(c);
	opened = open_file(c);
	if (!opened) {
		rfs_qcow2_cipher_free(c);
		return rfs_fail(err, EIO, "libqcow does not decrypt here");
	}
	*ret = c;
	return 0;
}

void rfs_qcow2_cipher_free(struct rfs_qcow2_cipher *cipher)
{
	if (!cipher)
		return;
	close_file(cipher);
	pthread_mutex_destroy(&cipher->lock);
	explicit_bzero(cipher->key, KEY_LEN);
	free(cipher);
}

/* What is bad of the sectors around 'part', for all of a sector is wrong then. */
static int keep_bad(const struct rfs_ranges *there, struct rfs_range part,
		    struct rfs_ranges *bad, struct rfs_error *err)
{
	for (size_t i = 0; i < there->count; i++) {
		struct rfs_range lost = rfs_range_cut(
			rfs_range_widen(there->items[i], RFS_SECTOR), part);

		if (lost.len && rfs_ranges_add(bad, lost) < 0)
			return rfs_no_memory(err);
	}
	return 0;
}

/* The whole sectors of 'part', which lies in one piece of the disk, as they stand
 * in the image: to their place in the piece. */
static int read_sectors(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
			struct rfs_range part, uint8_t *piece,
			struct rfs_ranges *bad, struct rfs_error *err)
{
	/* Clusters are whole sectors too, so that these are of the same. */
	struct rfs_range guest = rfs_range_widen(part, RFS_SECTOR);
	struct rfs_qcow2_run whole = {
		.guest = guest,
		.kind = RFS_QCOW2_STORED,
		.host = run->host + guest.off - run->guest.off,
	};
	struct rfs_ranges there = { 0 };
	int r = rfs_qcow2_stored_read(q, &whole,
				      piece + guest.off % q->cipher->piece_len,
				      &there, err);
	int kept = 0;

	if (rfs_read_is_partial(r) && !there.count)
		kept = rfs_ranges_add(bad, part);
	else if (rfs_read_is_partial(r))
		kept = keep_bad(&there, part, bad, err);
	rfs_ranges_fini(&there);
	return kept < 0 ? rfs_no_memory(err) : r;
}

static int read_part(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
		     struct rfs_range part, uint8_t *buf,
		     uint8_t pieces[2 * PIECE_MAX], struct rfs_ranges *bad,
		     struct rfs_error *err)
{
	struct rfs_qcow2_cipher *c = q->cipher;
	uint64_t in = part.off % c->piece_len;
	bool done;
	int r;

	memset(pieces, 0, c->piece_len);
	r = read_sectors(q, run, part, pieces, bad, err);
	if (r < 0 && !rfs_read_is_partial(r))
		return r;
	pthread_mutex_lock(&c->lock);
	done = decrypt(c, part.off - in, pieces, pieces + PIECE_MAX);
	pthread_mutex_unlock(&c->lock);
	if (!done)
		return rfs_fail(err, ENOMEM,
				"%s: libqcow does not decrypt the %" PRIu64
				" bytes at %" PRIu64,
				rfs_reader_name(q->file), part.len, part.off);
	memcpy(buf, pieces + PIECE_MAX + in, part.len);
	return r;
}

int rfs_qcow2_sealed_read(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
			  uint8_t *buf, struct rfs_ranges *bad,
			  struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *pieces = malloc(2 * PIECE_MAX);
	uint64_t len = q->cipher->piece_len;
	uint64_t end = rfs_range_end(run->guest), next;
	int r = 0, worst = 0;

	if (!pieces)
		return rfs_no_memory(err);
	for (uint64_t pos = run->guest.off; pos < end; pos = next) {
		next = rfs_qcow2_min(end, (pos / len + 1) * len);
		r = read_part(q, run, rfs_range_to(pos, next),
			      buf + (pos - run->guest.off), pieces, bad,
			      worst ? NULL : err);
		if (r < 0 && !rfs_read_is_partial(r))
			return r;
		worst = rfs_read_worse(worst, r);
	}
	return worst;
}
