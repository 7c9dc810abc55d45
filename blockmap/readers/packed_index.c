// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The index in the state: a header, the notes of the pieces, the table of the
 * pieces (docs/state-format.md).  The header is written last, so that a half
 * index is none; each part has a checksum, so that a damaged one is none
 * either.
 */
#include "readers/packed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "core/cleanup.h"
#include "core/little_endian.h"

#define MAGIC	 "rfspack\n"
#define VERSION	 1
#define HEADER	 512
#define ENTRY	 48
#define FIRST_AT 64 /* 'why' in the header */

enum header_flags {
	FOR_THIS_SIZE = 1, /* would be another for another expected size */
	FOR_EXACT = 2,
};

static void put32(uint8_t *at, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(v >> (8 * i));
}

static void put64(uint8_t *at, uint64_t v)
{
	put32(at, (uint32_t)v);
	put32(at + 4, (uint32_t)(v >> 32));
}

static int read_full(int fd, void *to, size_t len, uint64_t off)
{
	uint8_t *out = to;
	ssize_t n;

	for (; len; len -= (size_t)n, out += n, off += (uint64_t)n) {
		n = pread(fd, out, len, (off_t)off);
		if (n < 0)
			return -errno;
		if (!n)
			return -ENODATA;
	}
	return 0;
}

static int write_full(int fd, const void *from, size_t len, uint64_t off)
{
	const uint8_t *in = from;
	ssize_t n;

	for (; len; len -= (size_t)n, in += n, off += (uint64_t)n) {
		n = pwrite(fd, in, len, (off_t)off);
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
	}
	return 0;
}

static int state_fd(struct rfs_packed *p, bool make)
{
	RFS_CLEANUP_FREE char *name = NULL;

	if (!p->config.state)
		return -ENOENT;
	if (asprintf(&name, "index of %s", p->object) < 0)
		return -ENOMEM;
	return rfs_state_data_fd(p->config.state, name, make, NULL);
}

static void take_fd(struct rfs_packed *p, int fd)
{
	/* Another thread may be reading notes: the number stays. */
	if (p->index_fd >= 0) {
		dup2(fd, p->index_fd);
		close(fd);
	} else {
		p->index_fd = fd;
	}
}

/* The old header must be gone for good before anything else is written. */
static bool clear_file(int fd)
{
	return ftruncate(fd, 0) == 0 && fdatasync(fd) == 0;
}

int rfs_packed_index_make(struct rfs_packed *p, struct rfs_error *err)
{
	int fd = state_fd(p, true);

	p->in_memory = false;
	if (fd >= 0 && !clear_file(fd)) {
		close(fd);
		fd = -1;
	}
	if (fd < 0) {
		p->in_memory = true;
		fd = memfd_create("rescuefs index", MFD_CLOEXEC);
	}
	if (fd < 0)
		return rfs_fail(err, errno, "%s: no room for its index: %s",
				p->name, strerror(errno));
	take_fd(p, fd);
	p->index_size = HEADER;
	return 0;
}

static int copy_to(int from, int to, uint64_t len)
{
	RFS_CLEANUP_FREE uint8_t *buf = malloc(RFS_PACKED_PAGE);
	int r = buf ? 0 : -ENOMEM;
	size_t n;

	for (uint64_t off = HEADER; off < len && r == 0; off += n) {
		n = RFS_PACKED_PAGE;
		if (n > len - off)
			n = (size_t)(len - off);
		r = read_full(from, buf, n, off);
		if (r == 0)
			r = write_full(to, buf, n, off);
	}
	return r;
}

/* The state is full: the index goes on in memory, and is built again at the
 * next mount. */
static int go_to_memory(struct rfs_packed *p, uint64_t len, int why,
			struct rfs_error *err)
{
	int fd, r;

	if (p->in_memory)
		return rfs_fail(err, -why, "%s: no room for its index: %s",
				p->name, strerror(-why));
	fd = memfd_create("rescuefs index", MFD_CLOEXEC);
	r = fd < 0 ? -errno : copy_to(p->index_fd, fd, len);
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return rfs_fail(err, -r, "%s: no room for its index: %s",
				p->name, strerror(-r));
	}
	if (ftruncate(p->index_fd, 0) < 0)
		r = -errno; /* it has no header: it is none anyway */
	take_fd(p, fd);
	p->in_memory = true;
	rfs_notes_add(p->config.notes,
		      "%s: its index cannot be kept in the state (%s); it "
		      "lives in memory until the end of this mount",
		      p->name, strerror(-why));
	return 0;
}

int rfs_packed_index_write(struct rfs_packed *p, uint64_t off, const void *buf,
			   size_t len, struct rfs_error *err)
{
	uint8_t sum[4];
	int r;

	put32(sum, (uint32_t)crc32(0, buf, (uInt)len));
	for (int tries = 0; tries < 2; tries++) {
		r = write_full(p->index_fd, buf, len, off);
		if (r == 0)
			r = write_full(p->index_fd, sum, 4, off + len);
		if (r == 0)
			return 0;
		r = go_to_memory(p, off, r, err);
		if (r < 0)
			return r;
	}
	return rfs_fail(err, ENOSPC, "%s: no room for its index", p->name);
}

int rfs_packed_notes(struct rfs_packed *p, const struct rfs_packed_piece *piece,
		     uint8_t **ret, struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *buf = malloc(piece->notes_len + 1);
	size_t len = piece->notes_len;
	int r;

	if (!buf)
		return rfs_no_memory(err);
	r = len < 4 ? -EBADMSG : read_full(p->index_fd, buf, len, piece->notes);
	if (r == 0 && (uint32_t)crc32(0, buf, (uInt)len - 4) !=
			      rfs_get_le32(buf + len - 4))
		r = -EBADMSG;
	if (r < 0)
		return rfs_fail(err, EBADMSG, "%s: its index is damaged",
				p->name);
	*ret = RFS_STEAL(buf);
	return 0;
}

static void put_entry(uint8_t *at, const struct rfs_packed_piece *piece)
{
	put64(at, piece->off);
	put64(at + 8, piece->len);
	put64(at + 16, piece->from);
	put64(at + 24, piece->to);
	put64(at + 32, piece->notes);
	put32(at + 40, piece->notes_len);
	put32(at + 44, piece->flags);
}

static void get_entry(const uint8_t *at, struct rfs_packed_piece *piece)
{
	piece->off = rfs_get_le64(at);
	piece->len = rfs_get_le64(at + 8);
	piece->from = rfs_get_le64(at + 16);
	piece->to = rfs_get_le64(at + 24);
	piece->notes = rfs_get_le64(at + 32);
	piece->notes_len = rfs_get_le32(at + 40);
	piece->flags = rfs_get_le32(at + 44);
}

static void put_header(const struct rfs_packed *p,
		       const struct rfs_packed_build *b, const uint8_t *table,
		       uint8_t h[HEADER])
{
	size_t len = p->npieces * ENTRY;
	uint32_t flags = 0;

	if (b->gap || b->cut)
		flags = FOR_THIS_SIZE | (p->config.is_exact ? FOR_EXACT : 0);
	memset(h, 0, HEADER);
	memcpy(h, MAGIC, 8);
	put32(h + 8, VERSION);
	put32(h + 12, (uint32_t)p->config.packing);
	put64(h + 16, p->config.generation.size);
	put64(h + 24, (uint64_t)p->config.generation.mtime_ns);
	put64(h + 32, p->config.expected_size);
	put32(h + 40, flags);
	put32(h + 44, (uint32_t)crc32_z(0, table, len));
	put64(h + 48, p->npieces);
	put64(h + 56, b->notes_end);
	memcpy(h + FIRST_AT, b->why, sizeof(b->why));
	put32(h + HEADER - 4, (uint32_t)crc32(0, h, HEADER - 4));
}

static int write_index(struct rfs_packed *p, const struct rfs_packed_build *b)
{
	RFS_CLEANUP_FREE uint8_t *table = malloc(p->npieces * ENTRY + 1);
	uint8_t header[HEADER];
	int r;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < p->npieces; i++)
		put_entry(table + i * ENTRY, &p->pieces[i]);
	put_header(p, b, table, header);
	r = write_full(p->index_fd, table, p->npieces * ENTRY, b->notes_end);
	if (r == 0 && fdatasync(p->index_fd) < 0)
		r = -errno;
	if (r == 0)
		r = write_full(p->index_fd, header, HEADER, 0);
	if (r == 0 && fdatasync(p->index_fd) < 0)
		r = -errno;
	return r;
}

int rfs_packed_index_keep(struct rfs_packed *p, struct rfs_packed_build *b,
			  struct rfs_error *err)
{
	int r;

	p->index_size = b->notes_end;
	/* What could not be read today may be read tomorrow. */
	if (p->in_memory || b->io_failed)
		return 0;
	r = write_index(p, b);
	if (r == -ENOMEM)
		return rfs_no_memory(err);
	if (r < 0)
		rfs_notes_add(p->config.notes,
			      "%s: its index cannot be kept in the state (%s), "
			      "and will be built again at the next mount",
			      p->name, strerror(-r));
	return 0;
}

/* Of this file as it is, and not made for another expected size. */
static bool is_ours(const struct rfs_packed *p, const uint8_t h[HEADER])
{
	const struct rfs_packed_config *c = &p->config;
	uint32_t flags = rfs_get_le32(h + 40);

	if (memcmp(h, MAGIC, 8) != 0 || rfs_get_le32(h + 8) != VERSION ||
	    rfs_get_le32(h + HEADER - 4) != (uint32_t)crc32(0, h, HEADER - 4) ||
	    rfs_get_le32(h + 12) != (uint32_t)c->packing ||
	    rfs_get_le64(h + 16) != c->generation.size ||
	    rfs_get_le64(h + 24) != (uint64_t)c->generation.mtime_ns)
		return false;
	return !(flags & FOR_THIS_SIZE) ||
	       (rfs_get_le64(h + 32) == c->expected_size &&
		!(flags & FOR_EXACT) == !c->is_exact);
}

/* Piece by piece without gaps, and nothing beyond the file or the index. */
static bool is_sound(const struct rfs_packed *p)
{
	uint64_t off = 0, bits = rfs_reader_size(p->file) * 8;
	const struct rfs_packed_piece *piece;

	for (size_t i = 0; i < p->npieces; i++) {
		piece = &p->pieces[i];
		if (piece->off != off || !piece->len ||
		    piece->len > RFS_PACKED_SIZE_MAX * 2 - off ||
		    piece->from > piece->to || piece->to > bits ||
		    piece->notes > p->index_size ||
		    piece->notes_len > p->index_size - piece->notes ||
		    ((piece->flags & RFS_PIECE_PAGES) &&
		     piece->notes_len / 4 < (piece->len + RFS_PACKED_PAGE - 1) /
						    RFS_PACKED_PAGE))
			return false;
		off += piece->len;
	}
	return true;
}

static bool load_table(struct rfs_packed *p, int fd, const uint8_t h[HEADER],
		       uint64_t file_size)
{
	RFS_CLEANUP_FREE uint8_t *table = NULL;
	uint64_t n = rfs_get_le64(h + 48), at = rfs_get_le64(h + 56);

	if (!n || n > RFS_PACKED_PIECES_MAX || at < HEADER || at > file_size ||
	    n * ENTRY > file_size - at)
		return false;
	table = malloc(n * ENTRY);
	p->pieces = calloc(n, sizeof(*p->pieces));
	if (!table || !p->pieces || read_full(fd, table, n * ENTRY, at) < 0 ||
	    (uint32_t)crc32_z(0, table, n * ENTRY) != rfs_get_le32(h + 44))
		return false;
	for (size_t i = 0; i < n; i++)
		get_entry(table + i * ENTRY, &p->pieces[i]);
	p->npieces = p->room = n;
	p->index_size = at;
	memcpy(p->why, h + FIRST_AT, sizeof(p->why));
	p->why[sizeof(p->why) - 1] = '\0';
	return is_sound(p);
}

/* Only when it is opened: no other thread is there yet. */
bool rfs_packed_index_load(struct rfs_packed *p)
{
	RFS_CLEANUP_FD int fd = state_fd(p, false);
	uint8_t header[HEADER];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < HEADER ||
	    read_full(fd, header, HEADER, 0) < 0 || !is_ours(p, header))
		return false;
	if (load_table(p, fd, header, (uint64_t)st.st_size)) {
		p->index_fd = fd;
		fd = -1;
		return rfs_packed_fit(p, NULL) == 0;
	}
	rfs_notes_add(p->config.notes,
		      "%s: the index that is kept of it is damaged, and is "
		      "built anew",
		      p->name);
	free(p->pieces);
	p->pieces = NULL;
	p->npieces = p->room = 0;
	p->why[0] = '\0';
	return false;
}
