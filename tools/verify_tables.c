// SPDX-License-Identifier: GPL-3.0-or-later
/* verify_tables.c - the tables of a damaged image by themselves, for QEMU.
 *
 * In memory, each at its own place: a header, the L1 entries that are wanted and the
 * L2 tables that they lead to.  All else is zeros there, and nobody looks at it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/big_endian.h"
#include "core/cleanup.h"
#include "tools/verify_parts.h"

#define MAGIC	    0x514649fbu
#define EXTENDED_L2 (1ull << 4)
#define OFFSET_MASK 0x00fffffffffffe00ull

#define MEMORY_MAX  ((uint64_t)256 << 20)
#define L1_MAX	    ((uint64_t)32 << 20)
#define HEADER_ROOM 512u

struct tables {
	const struct rfs_verify_tables *from;
	int fd; /* of the memory */
	uint64_t cluster, l1_off, l1_entries, taken;
	unsigned int entry;	  /* bytes of an L2 entry */
	unsigned int span_bits;	  /* log2 of what an L1 entry maps */
	struct rfs_ranges *known; /* of the disk: what was taken maps that */
};

static int put(const struct tables *t, struct rfs_range range,
	       const uint8_t *bytes, struct rfs_error *err)
{
	ssize_t n = pwrite(t->fd, bytes, range.len, (off_t)range.off);

	return n == (ssize_t)range.len ? 0 : rfs_no_memory(err);
}

/* The image's own bytes, or else those of the copy that healed it. */
static int read_either(const struct tables *t, struct rfs_range range,
		       uint8_t *buf, struct rfs_error *err)
{
	bool kept = false;
	uint64_t len = 0;
	int r = 0;

	memset(buf, 0, range.len);
	for (uint64_t at = 0; at < range.len && r == 0; at += len) {
		r = t->from->read(
			t->from->data,
			rfs_range_to(range.off + at, rfs_range_end(range)),
			buf + at, &len, &kept, err);
		if (r == 0 && !kept &&
		    pread(t->from->other_fd, buf + at, len,
			  (off_t)(range.off + at)) < 0)
			r = rfs_fail(err, errno, "its tables: %s",
				     strerror(errno));
	}
	return r;
}

/* Only what we are after: no extensions, backing file, snapshots or bitmaps. */
static int take_header(struct tables *t, struct rfs_error *err)
{
	uint8_t h[HEADER_ROOM];
	uint32_t version, bits, length = 72;
	bool extended = false;
	int r = read_either(t, rfs_range(0, sizeof(h)), h, err);

	if (r < 0)
		return r;
	version = rfs_get_be32(h + 4);
	bits = rfs_get_be32(h + 20);
	t->l1_entries = rfs_get_be32(h + 36);
	t->l1_off = rfs_get_be64(h + 40);
	if (version >= 3) {
		length = rfs_get_be32(h + 100);
		extended = rfs_get_be64(h + 72) & EXTENDED_L2;
		memset(h + 88, 0, 8);
	}
	if (rfs_get_be32(h) != MAGIC || version < 2 || version > 3 ||
	    bits < 9 || bits > 21 || length > sizeof(h) ||
	    t->l1_entries * 8 > L1_MAX ||
	    !rfs_range_fits(rfs_range(t->l1_off, t->l1_entries * 8),
			    t->from->size))
		return rfs_fail(err, ENOTSUP, "its header is not read again");
	memset(h + 8, 0, 12);
	memset(h + 60, 0, 12);
	memset(h + length, 0, sizeof(h) - length);
	t->cluster = 1ull << bits;
	t->entry = extended ? 16 : 8;
	t->span_bits = 2 * bits - (extended ? 4 : 3);
	return put(t, rfs_range(0, sizeof(h)), h, err);
}

/* Of an L2 table what is kept; the rest of it tells nothing.  'first' is where on
 * the disk it begins. */
static int take_l2(struct tables *t, uint64_t off, uint64_t first,
		   struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *buf = malloc(t->cluster);
	const struct rfs_range table = rfs_range(off, t->cluster);
	bool kept = false;
	uint64_t len = 0;
	int r = buf ? 0 : rfs_no_memory(err);

	t->taken += t->cluster;
	if (r == 0 && t->taken > MEMORY_MAX)
		return rfs_fail(err, EFBIG, "its tables are too many");
	for (uint64_t at = 0; at < table.len && r == 0; at += len) {
		r = t->from->read(t->from->data,
				  rfs_range_to(off + at, rfs_range_end(table)),
				  buf, &len, &kept, err);
		if (r < 0 || !kept)
			continue;
		r = put(t, rfs_range(off + at, len), buf, err);
		if (r == 0 &&
		    rfs_ranges_add(t->known,
				   rfs_range(first + at / t->entry * t->cluster,
					     len / t->entry * t->cluster)) < 0)
			r = rfs_no_memory(err);
	}
	return r;
}

static int take_l1(struct tables *t, uint64_t index, struct rfs_error *err)
{
	const struct rfs_range entry = rfs_range(t->l1_off + 8 * index, 8);
	uint8_t bytes[8];
	uint64_t l2;
	int r = read_either(t, entry, bytes, err);

	if (r < 0)
		return r;
	l2 = rfs_get_be64(bytes) & OFFSET_MASK;
	if (!l2 || l2 % t->cluster != 0 ||
	    !rfs_range_fits(rfs_range(l2, t->cluster), t->from->size))
		return 0;
	r = take_l2(t, l2, index << t->span_bits, err);
	return r < 0 ? r : put(t, entry, bytes, err);
}

static int take_all(struct tables *t, const struct rfs_ranges *wanted,
		    struct rfs_error *err)
{
	uint64_t next = 0, last;
	int r = take_header(t, err);

	for (size_t i = 0; i < wanted->count && r == 0; i++) {
		last = (rfs_range_end(wanted->items[i]) - 1) >> t->span_bits;
		if (next < wanted->items[i].off >> t->span_bits)
			next = wanted->items[i].off >> t->span_bits;
		for (; next <= last && next < t->l1_entries && r == 0; next++)
			r = take_l1(t, next, err);
	}
	return r;
}

int rfs_verify_tables(const struct rfs_verify_tables *from,
		      const struct rfs_ranges *wanted,
		      struct rfs_ranges *ret_known, struct rfs_error *err)
{
	struct tables t = { .from = from, .known = ret_known };
	int r;

	t.fd = memfd_create("tables", MFD_CLOEXEC);
	if (t.fd < 0)
		return rfs_no_memory(err);
	r = ftruncate(t.fd, (off_t)from->size) < 0
		    ? rfs_fail(err, errno, "its tables: %s", strerror(errno))
		    : take_all(&t, wanted, err);
	if (r == 0)
		return t.fd;
	close(t.fd);
	return r;
}
