// SPDX-License-Identifier: GPL-3.0-or-later
/* Doubts about tables of zeros (P3).
 *
 * A copy that put zeros where it could not read looks, in a table, like a disk
 * that was never written.  The refcounts know better: they say which clusters
 * are in use.  So when a table reads as zeros, all that the tables claim is
 * counted once against the refcounts; clusters in use that nothing claims
 * speak against the zeros.  They prove nothing (a crash of QEMU leaks
 * clusters, too), so the data is served as the tables say, and a note made.
 */
#include "readers/qcow2.h"

#include <inttypes.h>

#define CLAIMS_BYTES  (32u << 20) /* of bitmap: 16 TiB of 64 KiB clusters */
#define TABLE_BYTES   (64u << 20) /* read for it at the most */
#define NOTED_TABLES  16	  /* more are counted only */
#define REFTABLE_MAX  (8u << 20)  /* bytes; QEMU's own limit */
#define SNAPSHOTS_MAX 65536u
#define BITMAPS_MAX   65535u

struct census {
	struct rfs_qcow2 *q;
	uint64_t clusters;
	uint8_t *claimed; /* a bit a cluster of the image */
	uint64_t budget;  /* bytes of tables that may still be read */
	bool partial;	  /* something could not be read: nothing is proved */
	uint64_t zero_at[NOTED_TABLES];
	size_t zeros;
	uint64_t orphans, first_orphan;
};

static bool is_claimed(const struct census *c, uint64_t cluster)
{
	return c->claimed[cluster / 8] & 1u << (cluster % 8);
}

static void claim(struct census *c, uint64_t off, uint64_t len)
{
	uint64_t first = off >> c->q->cluster_bits, last;

	if (!len || off >= c->q->file_size)
		return;
	len = rfs_qcow2_min(len, c->q->file_size - off);
	last = (off + len - 1) >> c->q->cluster_bits;
	for (uint64_t i = first; i <= last; i++)
		c->claimed[i / 8] |= (uint8_t)(1u << (i % 8));
}

/* Loads a table and claims it.  False: not to be had, and the census is partial
 * for it.  The budget bounds what a hostile image can make us claim, too. */
static bool load(struct census *c, uint64_t off, uint64_t len,
		 struct rfs_qcow2_table *ret)
{
	bool fits = off % RFS_SECTOR == 0 &&
		    rfs_range_fits(rfs_range(off, len), c->q->file_size);

	if (fits && len <= c->budget &&
	    rfs_qcow2_table_load(c->q->file, off, len, ret, NULL) == 0) {
		c->budget -= len;
		claim(c, off, len);
		if (ret->lost)
			c->partial = true;
		return true;
	}
	c->partial = true;
	return false;
}

/* Whatever an entry points to is claimed, be the entry valid or not. */
static void claim_entry(struct census *c, uint64_t entry)
{
	struct rfs_qcow2 *q = c->q;

	if (entry & RFS_QCOW2_PACKED_BIT)
		claim(c, rfs_qcow2_packed_host(q, entry),
		      rfs_qcow2_packed_len(q, entry));
	else if (entry & RFS_QCOW2_OFFSET_MASK && !q->has_data_file)
		claim(c, entry & RFS_QCOW2_OFFSET_MASK, q->cluster_size);
}

static void claim_l2(struct census *c, uint64_t off, bool active)
{
	struct rfs_qcow2 *q = c->q;
	struct rfs_qcow2_table t;
	uint64_t entry;

	if (!load(c, off, q->cluster_size, &t))
		return;
	if (active && rfs_qcow2_table_is_zero(&t)) {
		if (c->zeros < NOTED_TABLES)
			c->zero_at[c->zeros] = off;
		c->zeros++;
	}
	for (uint64_t at = 0; at < t.len; at += q->entry_size)
		if (rfs_qcow2_table_get(&t, at, &entry))
			claim_entry(c, entry);
	rfs_qcow2_table_fini(&t);
}

static void claim_l1(struct census *c, uint64_t off, uint64_t entries,
		     bool active)
{
	struct rfs_qcow2_table t;
	uint64_t entry;

	if (!entries || entries > RFS_QCOW2_L1_MAX / 8) {
		c->partial = c->partial || entries;
		return;
	}
	if (!load(c, off, entries * 8, &t))
		return;
	for (uint64_t i = 0; i < entries; i++)
		if (rfs_qcow2_table_get(&t, i * 8, &entry) &&
		    entry & RFS_QCOW2_OFFSET_MASK)
			claim_l2(c, entry & RFS_QCOW2_OFFSET_MASK, active);
	rfs_qcow2_table_fini(&t);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint64_t get64(const uint8_t *p)
{
	return (uint64_t)get32(p) << 32 | get32(p + 4);
}

static bool read_at(struct census *c, uint64_t off, size_t len, uint8_t *buf)
{
	bool ok = rfs_range_fits(rfs_range(off, len), c->q->file_size) &&
		  rfs_reader_read(c->q->file, rfs_range(off, len), buf, NULL,
				  NULL) == 0;

	c->partial = c->partial || !ok;
	return ok;
}

static void claim_snapshots(struct census *c)
{
	const struct rfs_qcow2_header *h = &c->q->header;
	uint64_t at = h->snapshots_off;
	uint8_t p[40];

	for (uint32_t i = 0; i < h->snapshots && !c->partial; i++) {
		if (i == SNAPSHOTS_MAX || !read_at(c, at, sizeof(p), p)) {
			c->partial = true;
			return;
		}
		claim_l1(c, get64(p), get32(p + 8), false);
		at += sizeof(p) + get16(p + 12) + get16(p + 14);
		at = (at + get32(p + 36) + 7) & ~7ull;
	}
	if (h->snapshots)
		claim(c, h->snapshots_off, at - h->snapshots_off);
}

static void claim_bitmap(struct census *c, uint64_t off, uint32_t entries)
{
	struct rfs_qcow2_table t;
	uint64_t entry;

	if (!load(c, off, 8ull * entries, &t))
		return;
	for (uint64_t i = 0; i < entries; i++)
		if (rfs_qcow2_table_get(&t, i * 8, &entry) &&
		    entry & RFS_QCOW2_OFFSET_MASK)
			claim(c, entry & RFS_QCOW2_OFFSET_MASK,
			      c->q->cluster_size);
	rfs_qcow2_table_fini(&t);
}

/* Dirty bitmaps (of incremental backups) have clusters of their own. */
static void claim_bitmaps(struct census *c)
{
	struct rfs_range ext = c->q->header.bitmaps;
	uint32_t most = BITMAPS_MAX;
	uint8_t p[24];
	uint64_t at, end;

	if (ext.len < sizeof(p) || !read_at(c, ext.off, sizeof(p), p))
		return;
	at = get64(p + 16);
	if (!rfs_range_fits(rfs_range(at, get64(p + 8)), c->q->file_size)) {
		c->partial = true;
		return;
	}
	end = at + get64(p + 8);
	claim(c, at, end - at);
	while (most-- && !c->partial && at + sizeof(p) <= end &&
	       read_at(c, at, sizeof(p), p)) {
		claim_bitmap(c, get64(p), get32(p + 8));
		at += sizeof(p) + get16(p + 18) + get32(p + 20);
		at = (at + 7) & ~7ull;
	}
}

static bool is_used(const struct census *c, const struct rfs_qcow2_table *block,
		    uint64_t index)
{
	uint32_t bits = 1u << c->q->header.refcount_order;
	const uint8_t *p = block->bytes + index * bits / 8;

	if (bits < 8)
		return p[0] >> (index * bits % 8) & ((1u << bits) - 1);
	for (uint32_t i = 0; i < bits / 8; i++)
		if (p[i])
			return true;
	return false;
}

static void count_orphans(struct census *c, uint64_t off, uint64_t first)
{
	uint64_t n = c->q->cluster_size * 8 >> c->q->header.refcount_order;
	struct rfs_qcow2_table block;

	if (!load(c, off, c->q->cluster_size, &block))
		return;
	for (uint64_t i = 0; !block.lost && i < n && first + i < c->clusters;
	     i++) {
		if (!is_used(c, &block, i) || is_claimed(c, first + i))
			continue;
		if (!c->orphans++)
			c->first_orphan = (first + i) << c->q->cluster_bits;
	}
	rfs_qcow2_table_fini(&block);
}

/* The blocks are in use themselves: all are claimed before any is counted. */
static void compare_refcounts(struct census *c)
{
	const struct rfs_qcow2_header *h = &c->q->header;
	uint64_t per_block = c->q->cluster_size * 8 >> h->refcount_order;
	uint64_t len = (uint64_t)h->refcounts_clusters << c->q->cluster_bits;
	struct rfs_qcow2_table t;
	uint64_t entry;

	if (len > REFTABLE_MAX || !load(c, h->refcounts_off, len, &t)) {
		c->partial = true;
		return;
	}
	for (uint64_t i = 0; i < t.len / 8; i++)
		if (rfs_qcow2_table_get(&t, i * 8, &entry))
			claim(c, entry & ~511ull, c->q->cluster_size);
	for (uint64_t i = 0; i < t.len / 8; i++)
		if (rfs_qcow2_table_get(&t, i * 8, &entry) && entry & ~511ull)
			count_orphans(c, entry & ~511ull, i * per_block);
	rfs_qcow2_table_fini(&t);
}

static void note_zero(const struct census *c, const char *what, uint64_t off)
{
	const char *name = rfs_reader_name(c->q->file);

	if (c->partial)
		rfs_notes_add(c->q->notes,
			      "%s: the %s table at %" PRIu64
			      " reads as zeros; whether it should cannot be "
			      "told, as other tables cannot all be read",
			      name, what, off);
	else if (c->orphans)
		rfs_notes_add(c->q->notes,
			      "%s: suspect: the %s table at %" PRIu64
			      " reads as zeros, but %" PRIu64
			      " clusters (from %" PRIu64
			      " on) are in use and no table claims them",
			      name, what, off, c->orphans, c->first_orphan);
}

static void conclude(const struct census *c)
{
	size_t n = c->zeros < NOTED_TABLES ? c->zeros : NOTED_TABLES;

	if (c->q->l1_zero)
		note_zero(c, "L1", c->q->header.l1_off);
	for (size_t i = 0; i < n; i++)
		note_zero(c, "L2", c->zero_at[i]);
	if (c->zeros > n && (c->partial || c->orphans))
		rfs_notes_add(c->q->notes,
			      "%s: suspect: %zu more L2 tables read as zeros",
			      rfs_reader_name(c->q->file), c->zeros - n);
}

void rfs_qcow2_suspect(struct rfs_qcow2 *q)
{
	uint64_t clusters = (q->file_size - 1) / q->cluster_size + 1;
	struct census c = { .q = q, .clusters = clusters };

	if (atomic_flag_test_and_set(&q->suspected))
		return;
	c.budget = TABLE_BYTES;
	if (clusters / 8 <= CLAIMS_BYTES)
		c.claimed = calloc(1, clusters / 8 + 1);
	if (!c.claimed)
		return;
	claim(&c, 0, q->cluster_size);
	claim_l1(&c, q->header.l1_off, q->header.l1_entries, true);
	claim_snapshots(&c);
	claim_bitmaps(&c);
	compare_refcounts(&c);
	conclude(&c);
	free(c.claimed);
}
