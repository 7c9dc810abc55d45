// SPDX-License-Identifier: GPL-3.0-or-later
/* Counting what the tables claim, and what the refcounts say. */
#include "readers/qcow2_census.h"

#include <errno.h>
#include <stdlib.h>

#include "core/big_endian.h"

#define MAP_BYTES     (4u << 20)   /* of a map: 2 TiB of 64 KiB clusters */
#define TABLE_BYTES   (256u << 20) /* read for it at the most */
#define REFTABLE_MAX  (8u << 20)   /* bytes; QEMU's own limit */
#define SNAPSHOTS_MAX 65536u
#define BITMAPS_MAX   65535u

/* A census being taken. */
struct census {
	struct rfs_qcow2 *q;
	struct rfs_qcow2_census *to;
	uint64_t budget; /* bytes of tables that may still be read */
	bool is_shared;	 /* claims of now may be another's too */
};

static void claim_by(struct rfs_qcow2_census *to, uint64_t i, unsigned int by)
{
	unsigned int once = RFS_QCOW2_BY_L1 | RFS_QCOW2_BY_L2;

	to->by[i] |= (uint8_t)(by | (to->by[i] & by & once) << 1);
}

/* 'by' 0: by nobody whose claim would speak against another's. */
static void claim(struct census *c, uint64_t off, uint64_t len, unsigned int by)
{
	uint64_t first = off >> c->q->cluster_bits, last;

	if (!len || off >= c->q->file_size)
		return;
	len = rfs_qcow2_min(len, c->q->file_size - off);
	last = (off + len - 1) >> c->q->cluster_bits;
	for (uint64_t i = first; i <= last; i++) {
		rfs_qcow2_set_bit(c->to->claimed, i);
		claim_by(c->to, i, c->is_shared ? 0 : by);
	}
}

/* False: more is to be read than we do. */
static bool spend(struct census *c, uint64_t len)
{
	if (len > c->budget) {
		c->to->partial = c->to->cut = true;
		return false;
	}
	c->budget -= len;
	return true;
}

static void see_lost(struct census *c, const struct rfs_qcow2_table *t)
{
	c->to->partial = c->to->partial || t->lost;
	c->to->late = c->to->late || t->late;
}

/* Loads a table and claims it.  False: not to be had, and the census is partial
 * for it.  The budget bounds what a hostile image can make us claim, too. */
static bool load(struct census *c, uint64_t off, uint64_t len,
		 struct rfs_qcow2_table *ret)
{
	if (off % RFS_SECTOR ||
	    !rfs_range_fits(rfs_range(off, len), c->q->file_size) ||
	    !spend(c, len) ||
	    rfs_qcow2_table_load(c->q->file, off, len, ret, NULL) < 0) {
		c->to->partial = true;
		return false;
	}
	claim(c, off, len, RFS_QCOW2_BY_META);
	see_lost(c, ret);
	return true;
}

/* Whatever an entry points to is claimed, be the entry valid or not. */
static void claim_entry(struct census *c, uint64_t entry, bool makes_sense)
{
	struct rfs_qcow2 *q = c->q;

	if (entry & RFS_QCOW2_PACKED_BIT && makes_sense && !c->is_shared)
		rfs_qcow2_note_packed(&c->to->packed,
				      rfs_qcow2_packed_host(q, entry),
				      rfs_qcow2_packed_len(q, entry));
	if (entry & RFS_QCOW2_PACKED_BIT)
		claim(c, rfs_qcow2_packed_host(q, entry),
		      rfs_qcow2_packed_len(q, entry),
		      makes_sense ? RFS_QCOW2_BY_PACKED : 0);
	else if (entry & RFS_QCOW2_OFFSET_MASK && !q->has_data_file)
		claim(c, entry & RFS_QCOW2_OFFSET_MASK, q->cluster_size,
		      makes_sense ? RFS_QCOW2_BY_L2 : 0);
}

/* False: nothing of it is in use, or something makes no sense. */
static bool claim_entries(struct census *c, const struct rfs_qcow2_table *t)
{
	bool is_used = false, is_odd = false, makes_sense;
	uint64_t entry, bitmap = 0;

	for (uint64_t at = 0; at < t->len; at += c->q->entry_size) {
		if (!rfs_qcow2_table_get(t, at, &entry))
			continue;
		makes_sense = !c->q->extended ||
			      rfs_qcow2_table_get(t, at + 8, &bitmap);
		/* Where it maps matters with data files only. */
		makes_sense = makes_sense &&
			      rfs_qcow2_decode(c->q, entry, bitmap, 0).kind !=
				      RFS_QCOW2_INVALID;
		is_used = is_used || entry;
		is_odd = is_odd || !makes_sense;
		claim_entry(c, entry, makes_sense);
	}
	return is_used && !is_odd;
}

/* Through the cache: what reads need too is read once. */
static void claim_active_l2(struct census *c, uint64_t off, bool makes_sense)
{
	struct rfs_qcow2_census *to = c->to;
	uint64_t i = off >> c->q->cluster_bits;
	struct rfs_qcow2_l2 *l2;
	bool is_known = i < to->clusters && to->by[i] & RFS_QCOW2_BY_L1;

	claim(c, off, c->q->cluster_size, makes_sense ? RFS_QCOW2_BY_L1 : 0);
	if (makes_sense && is_known)
		return;
	if (off & (c->q->cluster_size - 1) || off >= c->q->file_size ||
	    !spend(c, c->q->cluster_size) ||
	    rfs_qcow2_l2_get(c->q, off, &l2, NULL) < 0) {
		to->partial = true;
		return;
	}
	see_lost(c, &l2->table);
	to->partial = to->partial || l2->table.len < c->q->cluster_size;
	if (l2->is_zero) {
		if (to->zeros < RFS_QCOW2_NOTED_TABLES)
			to->zero_at[to->zeros] = off;
		to->zeros++;
	}
	if (!claim_entries(c, &l2->table) && makes_sense)
		claim_by(to, i, RFS_QCOW2_BY_ODD_L1);
	rfs_qcow2_l2_put(l2);
}

static void claim_l2(struct census *c, uint64_t off)
{
	struct rfs_qcow2_table t;

	if (!load(c, off, c->q->cluster_size, &t))
		return;
	claim_entries(c, &t);
	rfs_qcow2_table_fini(&t);
}

/* A snapshot's. */
static void claim_l1(struct census *c, uint64_t off, uint64_t entries)
{
	struct rfs_qcow2_table t;
	uint64_t entry;

	if (!entries || entries > RFS_QCOW2_L1_MAX / 8) {
		c->to->partial = c->to->partial || entries;
		return;
	}
	if (!load(c, off, entries * 8, &t))
		return;
	for (uint64_t i = 0; i < entries; i++)
		if (rfs_qcow2_table_get(&t, i * 8, &entry) &&
		    entry & RFS_QCOW2_OFFSET_MASK)
			claim_l2(c, entry & RFS_QCOW2_OFFSET_MASK);
	rfs_qcow2_table_fini(&t);
}

/* The L1 table is in memory, but for entries beyond what the disk needs. */
static void claim_active(struct census *c)
{
	struct rfs_qcow2 *q = c->q;
	uint64_t entry, off, unused, have = q->l1.len / 8;
	uint64_t all = q->header.l1_entries;

	claim(c, q->header.l1_off, all * 8, RFS_QCOW2_BY_META);
	see_lost(c, &q->l1);
	for (uint64_t i = 0; i < have && !c->to->late; i++) {
		if (!rfs_qcow2_table_get(&q->l1, i * 8, &entry)) {
			c->to->partial = c->to->l1_lost = true;
			continue;
		}
		off = entry & RFS_QCOW2_OFFSET_MASK;
		if (off)
			claim_active_l2(c, off,
					rfs_qcow2_l1_plain(q, i, &unused) ==
						RFS_QCOW2_STORED);
	}
	have &= ~(RFS_SECTOR / 8 - 1ull);
	c->is_shared = true;
	if (q->l1.len / 8 < all)
		claim_l1(c, q->header.l1_off + have * 8, all - have);
	c->is_shared = false;
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static bool read_at(struct census *c, uint64_t off, size_t len, uint8_t *buf)
{
	bool ok = rfs_range_fits(rfs_range(off, len), c->q->file_size) &&
		  rfs_reader_read(c->q->file, rfs_range(off, len), buf, NULL,
				  NULL) == 0;

	c->to->partial = c->to->partial || !ok;
	return ok;
}

static void claim_snapshots(struct census *c)
{
	const struct rfs_qcow2_header *h = &c->q->header;
	uint64_t at = h->snapshots_off;
	uint8_t p[40];

	for (uint32_t i = 0; i < h->snapshots && !c->to->partial; i++) {
		if (i == SNAPSHOTS_MAX || !read_at(c, at, sizeof(p), p)) {
			c->to->partial = true;
			return;
		}
		claim_l1(c, rfs_get_be64(p), rfs_get_be32(p + 8));
		at += sizeof(p) + get16(p + 12) + get16(p + 14);
		at = (at + rfs_get_be32(p + 36) + 7) & ~7ull;
	}
	if (h->snapshots)
		claim(c, h->snapshots_off, at - h->snapshots_off,
		      RFS_QCOW2_BY_META);
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
			      c->q->cluster_size, RFS_QCOW2_BY_META);
	rfs_qcow2_table_fini(&t);
}

/* Dirty bitmaps (of incremental backups) have clusters of their own; out of date,
 * they may have been given to others. */
static void claim_bitmaps(struct census *c)
{
	struct rfs_range ext = c->q->header.bitmaps;
	uint32_t most = BITMAPS_MAX;
	uint8_t p[24];
	uint64_t at, end;

	if (ext.len < sizeof(p) || !read_at(c, ext.off, sizeof(p), p))
		return;
	at = rfs_get_be64(p + 16);
	if (!rfs_range_fits(rfs_range(at, rfs_get_be64(p + 8)),
			    c->q->file_size)) {
		c->to->partial = true;
		return;
	}
	end = at + rfs_get_be64(p + 8);
	c->is_shared = !(c->q->header.autoclear & RFS_QCOW2_BITMAPS);
	claim(c, at, end - at, RFS_QCOW2_BY_META);
	while (most-- && !c->to->partial && at + sizeof(p) <= end &&
	       read_at(c, at, sizeof(p), p)) {
		claim_bitmap(c, rfs_get_be64(p), rfs_get_be32(p + 8));
		at += sizeof(p) + get16(p + 18) + rfs_get_be32(p + 20);
		at = (at + 7) & ~7ull;
	}
	c->is_shared = false;
}

static uint64_t refcount(const struct census *c,
			 const struct rfs_qcow2_table *block, uint64_t index)
{
	uint32_t bits = 1u << c->q->header.refcount_order;
	const uint8_t *p = block->bytes + index * bits / 8;
	uint64_t n = 0;

	if (bits < 8)
		return p[0] >> (index * bits % 8) & ((1u << bits) - 1);
	for (uint32_t i = 0; i < bits / 8; i++)
		n = n << 8 | p[i];
	return n;
}

static void count(struct census *c, uint64_t off, uint64_t first)
{
	uint32_t bits = 1u << c->q->header.refcount_order;
	struct rfs_qcow2_census *to = c->to;
	uint64_t in, n, unused;
	struct rfs_qcow2_table block;

	if (!load(c, off, c->q->cluster_size, &block))
		return;
	for (uint64_t i = first; i < to->clusters; i++) {
		in = (i - first) * bits / 8 & ~7ull;
		if (in >= c->q->cluster_size)
			break;
		if (!rfs_qcow2_table_get(&block, in, &unused))
			continue;
		n = refcount(c, &block, i - first);
		rfs_qcow2_set_bit(to->counted, i);
		if (n)
			rfs_qcow2_set_bit(to->used, i);
		if (n > 1)
			rfs_qcow2_set_bit(to->shared, i);
		to->refs[i] = (uint8_t)rfs_qcow2_min(n, RFS_QCOW2_REFS_MAX);
	}
	rfs_qcow2_table_fini(&block);
}

/* What the refcount table does not have is not in use. */
static void count_none(struct census *c, uint64_t first, uint64_t n)
{
	for (uint64_t i = first; i < c->to->clusters && i - first < n; i++)
		rfs_qcow2_set_bit(c->to->counted, i);
}

static void read_refcounts(struct census *c)
{
	const struct rfs_qcow2_header *h = &c->q->header;
	uint64_t per_block = c->q->cluster_size * 8 >> h->refcount_order;
	uint64_t len = (uint64_t)h->refcounts_clusters << c->q->cluster_bits;
	struct rfs_qcow2_table t;
	uint64_t entry, first;

	if (len > REFTABLE_MAX || !load(c, h->refcounts_off, len, &t)) {
		c->to->partial = true;
		return;
	}
	for (uint64_t i = 0; i < t.len / 8; i++) {
		first = i * per_block;
		if (first >= c->to->clusters || first / per_block != i)
			break;
		if (!rfs_qcow2_table_get(&t, i * 8, &entry))
			continue;
		claim(c, entry & ~511ull,
		      entry & ~511ull ? c->q->cluster_size : 0,
		      RFS_QCOW2_BY_META);
		if (entry & ~511ull)
			count(c, entry & ~511ull, first);
		else
			count_none(c, first, per_block);
	}
	rfs_qcow2_table_fini(&t);
}

/* The blocks of the refcounts are in use themselves: all is claimed before any
 * of it is compared. */
static void find_orphans(struct rfs_qcow2 *q, struct rfs_qcow2_census *to)
{
	for (uint64_t i = 0; i < to->clusters; i++)
		if (rfs_qcow2_bit(to->used, i) &&
		    !rfs_qcow2_bit(to->claimed, i) && !to->orphans++)
			to->first_orphan = i << q->cluster_bits;
}

static int take(struct rfs_qcow2 *q, struct rfs_qcow2_census **ret,
		struct rfs_error *err)
{
	uint64_t clusters =
		q->file_size ? (q->file_size - 1) / q->cluster_size + 1 : 0;
	uint64_t room = clusters / 8 + 1;
	struct rfs_qcow2_census *to;
	struct census c = { .q = q, .budget = TABLE_BYTES };

	if (room > MAP_BYTES)
		return rfs_fail(err, EFBIG,
				"%s: too large for its tables to be compared "
				"with each other",
				rfs_reader_name(q->file));
	to = calloc(1, sizeof(*to) + 4 * room + 2 * clusters);
	if (!to)
		return rfs_no_memory(err);
	to->clusters = clusters;
	to->claimed = (uint8_t *)(to + 1);
	to->counted = to->claimed + room;
	to->used = to->counted + room;
	to->shared = to->used + room;
	to->refs = to->shared + room;
	to->by = to->refs + clusters;
	c.to = to;
	claim(&c, 0, q->cluster_size, RFS_QCOW2_BY_META);
	claim_active(&c);
	c.is_shared = true;
	claim_snapshots(&c);
	c.is_shared = false;
	claim_bitmaps(&c);
	if (!to->late)
		read_refcounts(&c);
	find_orphans(q, to);
	rfs_qcow2_find_overlaps(&to->packed);
	*ret = to;
	return 0;
}

void rfs_qcow2_census_free(struct rfs_qcow2_census *census)
{
	if (census)
		free(census->packed.items);
	free(census);
}

const struct rfs_qcow2_census *rfs_qcow2_census_known(struct rfs_qcow2 *q)
{
	return atomic_load(&q->census);
}

/* One thread takes it; others wait, with nothing locked but this. */
int rfs_qcow2_census_get(struct rfs_qcow2 *q,
			 const struct rfs_qcow2_census **ret,
			 struct rfs_error *err)
{
	struct rfs_qcow2_census *c;
	int r = 0;

	pthread_mutex_lock(&q->counting);
	while (!(c = atomic_load(&q->census)) && q->is_counting)
		pthread_cond_wait(&q->counted, &q->counting);
	q->is_counting = q->is_counting || !c;
	pthread_mutex_unlock(&q->counting);
	if (c) {
		*ret = c;
		return 0;
	}
	r = take(q, &c, err);
	if (r == 0 && c->late) {
		rfs_qcow2_census_free(c);
		r = rfs_fail(err, ETIMEDOUT, "%s: a table was not read in time",
			     rfs_reader_name(q->file));
	}
	pthread_mutex_lock(&q->counting);
	if (r == 0)
		atomic_store(&q->census, c);
	q->is_counting = false;
	pthread_cond_broadcast(&q->counted);
	pthread_mutex_unlock(&q->counting);
	if (r == 0)
		*ret = c;
	return r;
}

const struct rfs_qcow2_census *rfs_qcow2_census_try(struct rfs_qcow2 *q)
{
	const struct rfs_qcow2_census *c = rfs_qcow2_census_known(q);

	if (c || atomic_load(&q->is_uncounted))
		return c;
	if (rfs_qcow2_census_get(q, &c, NULL) == 0)
		return c;
	atomic_store(&q->is_uncounted, true);
	return NULL;
}
