// SPDX-License-Identifier: GPL-3.0-or-later
/* L1 and L2 tables: loading, what their entries say, and the cache of L2. */
#include "readers/qcow2.h"

#include <errno.h>
#include <inttypes.h>

#include "core/big_endian.h"

#define CACHE_BYTES  (16u << 20)
#define CACHE_LEAST  4
#define CACHE_TABLES 16384 /* of 512 bytes each, half the bytes are ours */

/* Entry bits. */
#define L1_RESERVED 0x7f000000000001ffull
#define L2_RESERVED 0x3f000000000001feull /* of a standard cluster */
#define L2_ZERO	    1ull

static void mark_lost(struct rfs_qcow2_table *t, struct rfs_range bad)
{
	uint64_t first = (bad.off - t->off) / RFS_SECTOR;
	uint64_t last = (rfs_range_end(bad) - 1 - t->off) / RFS_SECTOR;

	for (uint64_t s = first; s <= last; s++)
		t->lost[s / 8] |= (uint8_t)(1u << (s % 8));
}

/* 'bad' empty: the reader below does not say which bytes, so all of them. */
static int keep_lost(struct rfs_qcow2_table *t, const struct rfs_ranges *bad)
{
	t->lost = calloc(1, t->len / RFS_SECTOR / 8 + 1);
	if (!t->lost)
		return -ENOMEM;
	for (size_t i = 0; i < bad->count; i++)
		mark_lost(t, bad->items[i]);
	if (!bad->count)
		mark_lost(t, rfs_range(t->off, t->len));
	return 0;
}

int rfs_qcow2_table_load(struct rfs_reader *file, uint64_t off, size_t len,
			 struct rfs_qcow2_table *ret, struct rfs_error *err)
{
	struct rfs_range there = rfs_range_cut(
		rfs_range(off, len), rfs_range(0, rfs_reader_size(file)));
	struct rfs_qcow2_table t = { .off = off, .len = there.len };
	struct rfs_ranges bad = { 0 };
	int r;

	t.bytes = malloc(t.len ? t.len : 1);
	if (!t.bytes)
		return rfs_no_memory(err);
	there.off = there.len ? off : 0;
	r = rfs_reader_read(file, there, t.bytes, &bad, err);
	if (r == -EIO || r == -ETIMEDOUT) {
		t.late = r == -ETIMEDOUT;
		r = keep_lost(&t, &bad);
		if (r < 0)
			rfs_no_memory(err);
	}
	rfs_ranges_fini(&bad);
	if (r < 0)
		rfs_qcow2_table_fini(&t);
	else
		*ret = t;
	return r;
}

void rfs_qcow2_table_fini(struct rfs_qcow2_table *table)
{
	free(table->bytes);
	free(table->lost);
	*table = (struct rfs_qcow2_table){ 0 };
}

static bool is_lost(const struct rfs_qcow2_table *t, uint64_t at)
{
	uint64_t s = at / RFS_SECTOR;

	return t->lost && t->lost[s / 8] & 1u << (s % 8);
}

bool rfs_qcow2_table_get(const struct rfs_qcow2_table *table, uint64_t at,
			 uint64_t *ret)
{
	if (at + sizeof(*ret) > table->len || is_lost(table, at))
		return false;
	*ret = rfs_get_be64(table->bytes + at);
	return true;
}

bool rfs_qcow2_table_is_zero(const struct rfs_qcow2_table *table)
{
	if (!table->len || table->lost || table->bytes[0])
		return false;
	return !memcmp(table->bytes, table->bytes + 1, table->len - 1);
}

bool rfs_qcow2_table_is_blank(const struct rfs_qcow2_table *table)
{
	uint64_t v;

	for (uint64_t at = 0; at < table->len; at += sizeof(v))
		if (rfs_qcow2_table_get(table, at, &v) && v)
			return false;
	return true;
}

size_t rfs_qcow2_table_lost(const struct rfs_qcow2_table *table)
{
	size_t n = 0;

	for (size_t at = 0; at < table->len; at += RFS_SECTOR)
		n += is_lost(table, at);
	return n;
}

/* Kinds of damage, each noted once an image. */
enum {
	ODD_RESERVED,
	ODD_MISALIGNED,
	ODD_HEADER,
	ODD_BEYOND,
	ODD_ZERO_V2,
	ODD_SUBCLUSTERS,
	ODD_DATA_FILE,
	ODD_PACKED_EXTERNAL,
	ODD_CONTESTED,
};

static const char *const odd_texts[] = {
	[ODD_RESERVED] = "has reserved bits set",
	[ODD_MISALIGNED] = "does not point to the start of a cluster",
	[ODD_HEADER] = "points to the header",
	[ODD_BEYOND] = "points beyond the end of the file",
	[ODD_ZERO_V2] = "marks a zero cluster, which version 2 does not have",
	[ODD_SUBCLUSTERS] = "contradicts itself on its subclusters",
	[ODD_DATA_FILE] = "points elsewhere than its place in the data file",
	[ODD_PACKED_EXTERNAL] = "is compressed, which a data file cannot be",
	[ODD_CONTESTED] = "leads to a cluster that another claims too",
};

static enum rfs_qcow2_kind invalid(struct rfs_qcow2 *q, int odd,
				   const char *level, uint64_t entry,
				   uint64_t guest)
{
	unsigned int bit = 1u << odd;

	rfs_qcow2_doubt(q);
	if (!(atomic_fetch_or(&q->noted, bit) & bit))
		rfs_notes_add(q->notes,
			      "%s: an %s entry (0x%016" PRIx64 ", for %" PRIu64
			      " on) %s: what it maps is "
			      "unreadable, and others like it",
			      rfs_reader_name(q->file), level, entry, guest,
			      odd_texts[odd]);
	return RFS_QCOW2_INVALID;
}

/* What is wrong with an offset into the image, or -1. */
static int odd_offset(const struct rfs_qcow2 *q, uint64_t off)
{
	if (off & (q->cluster_size - 1))
		return ODD_MISALIGNED;
	if (!off)
		return ODD_HEADER;
	if (off >= q->file_size)
		return ODD_BEYOND;
	return -1;
}

enum rfs_qcow2_kind rfs_qcow2_l1_plain(struct rfs_qcow2 *q, uint64_t index,
				       uint64_t *ret_off)
{
	uint64_t guest = index << q->span_bits, entry;
	int odd;

	if (!rfs_qcow2_table_get(&q->l1, q->l1_skew + index * 8, &entry))
		return RFS_QCOW2_UNKNOWN;
	if (!entry)
		return RFS_QCOW2_UNALLOCATED;
	if (q->header.version > 1 && !(entry & L1_RESERVED))
		entry &= ~RFS_QCOW2_COPIED;
	odd = entry & ~RFS_QCOW2_OFFSET_MASK ? ODD_RESERVED
					     : odd_offset(q, entry);
	if (odd >= 0)
		return invalid(q, odd, "L1", entry, guest);
	*ret_off = entry;
	return RFS_QCOW2_STORED;
}

enum rfs_qcow2_kind rfs_qcow2_l1_entry(struct rfs_qcow2 *q, uint64_t index,
				       uint64_t *ret_off)
{
	enum rfs_qcow2_kind kind = rfs_qcow2_l1_plain(q, index, ret_off);

	if (kind == RFS_QCOW2_STORED &&
	    rfs_qcow2_is_table_contested(q, *ret_off))
		return invalid(q, ODD_CONTESTED, "L1", *ret_off,
			       index << q->span_bits);
	return kind;
}

static struct rfs_qcow2_entry packed_entry(const struct rfs_qcow2 *q,
					   uint64_t entry)
{
	uint64_t host = rfs_qcow2_packed_host(q, entry);
	struct rfs_qcow2_entry e = {
		.kind = RFS_QCOW2_PACKED,
		.host = host,
		.packed = rfs_qcow2_packed_len(q, entry),
		.odd = -1,
	};

	if (q->has_data_file)
		e.odd = ODD_PACKED_EXTERNAL;
	else if (host < q->cluster_size)
		e.odd = ODD_HEADER;
	else if (host >= q->file_size)
		e.odd = ODD_BEYOND;
	return e;
}

/* Where a standard cluster lies, in the image or in the data file. */
static int odd_host(const struct rfs_qcow2 *q, uint64_t host, uint64_t guest)
{
	if (!q->has_data_file)
		return odd_offset(q, host);
	return host == guest ? -1 : ODD_DATA_FILE;
}

static struct rfs_qcow2_entry standard_entry(const struct rfs_qcow2 *q,
					     uint64_t entry, uint64_t guest)
{
	uint64_t host = entry & RFS_QCOW2_OFFSET_MASK;
	struct rfs_qcow2_entry e = { .kind = RFS_QCOW2_STORED,
				     .host = host,
				     .odd = -1 };

	if (!(entry & ~L2_ZERO)) {
		e.kind = entry ? RFS_QCOW2_ZERO : RFS_QCOW2_UNALLOCATED;
	} else if (entry & L2_ZERO) {
		/* Preallocated, maybe: its storage is never read. */
		e.kind = RFS_QCOW2_ZERO;
		if (!q->has_data_file && host & (q->cluster_size - 1))
			e.odd = ODD_MISALIGNED;
	} else {
		e.odd = odd_host(q, host, guest);
	}
	if (entry & L2_ZERO && q->header.version < 3)
		e.odd = ODD_ZERO_V2;
	return e;
}

static struct rfs_qcow2_entry extended_entry(const struct rfs_qcow2 *q,
					     uint64_t entry, uint64_t bitmap,
					     uint64_t guest)
{
	uint64_t host = entry & RFS_QCOW2_OFFSET_MASK;
	struct rfs_qcow2_entry e = {
		.kind = entry ? RFS_QCOW2_STORED : RFS_QCOW2_UNALLOCATED,
		.host = host,
		.stored = (uint32_t)bitmap,
		.zero = (uint32_t)(bitmap >> 32),
		.odd = -1,
	};

	if (e.stored & e.zero || (!entry && e.stored))
		e.odd = ODD_SUBCLUSTERS;
	else if (entry & L2_ZERO)
		e.odd = ODD_RESERVED;
	else if (e.stored)
		e.odd = odd_host(q, host, guest);
	return e;
}

/* Version 1 has neither refcounts nor marks: what is not 0 is stored. */
static struct rfs_qcow2_entry entry_v1(const struct rfs_qcow2 *q,
				       uint64_t entry)
{
	struct rfs_qcow2_entry e = { .kind = RFS_QCOW2_UNALLOCATED, .odd = -1 };

	if (!entry)
		return e;
	e.kind = RFS_QCOW2_STORED;
	e.host = entry;
	if (!(entry & RFS_QCOW1_PACKED_BIT)) {
		e.odd = odd_offset(q, entry);
		return e;
	}
	e.kind = RFS_QCOW2_PACKED;
	e.host = rfs_qcow1_packed_host(q, entry);
	e.packed = rfs_qcow1_packed_len(q, entry);
	if (e.host < q->header.length)
		e.odd = ODD_HEADER;
	else if (e.host >= q->file_size)
		e.odd = ODD_BEYOND;
	else if (!e.packed)
		e.odd = ODD_RESERVED;
	return e;
}

struct rfs_qcow2_entry rfs_qcow2_decode(const struct rfs_qcow2 *q,
					uint64_t entry, uint64_t bitmap,
					uint64_t guest)
{
	struct rfs_qcow2_entry e = { .odd = ODD_RESERVED };

	if (q->header.version == 1)
		e = entry_v1(q, entry);
	else if (entry & RFS_QCOW2_PACKED_BIT)
		e = packed_entry(q, entry);
	else if (!(entry & L2_RESERVED))
		e = q->extended ? extended_entry(q, entry, bitmap, guest)
				: standard_entry(q, entry, guest);
	if (e.odd >= 0)
		e.kind = RFS_QCOW2_INVALID;
	return e;
}

bool rfs_qcow2_l2_raw(const struct rfs_qcow2 *q,
		      const struct rfs_qcow2_table *l2, uint64_t guest,
		      uint64_t *ret_entry, uint64_t *ret_bitmap)
{
	uint64_t in_span = guest & ((1ull << q->span_bits) - 1);
	uint64_t at = (in_span >> q->cluster_bits) * q->entry_size;

	*ret_bitmap = 0;
	return rfs_qcow2_table_get(l2, at, ret_entry) &&
	       (!q->extended || rfs_qcow2_table_get(l2, at + 8, ret_bitmap));
}

uint64_t rfs_qcow2_l2_same_until(const struct rfs_qcow2 *q,
				 const struct rfs_qcow2_table *l2,
				 uint64_t guest, uint64_t end)
{
	uint64_t last = guest | ((1ull << q->span_bits) - 1), entry, bitmap;
	uint64_t next = (guest | (q->cluster_size - 1)) + 1, e, b;

	if (!rfs_qcow2_l2_raw(q, l2, guest, &entry, &bitmap) || bitmap ||
	    entry & ~L2_ZERO)
		return 0;
	end = rfs_qcow2_min(end, last + 1);
	while (next < end && rfs_qcow2_l2_raw(q, l2, next, &e, &b) &&
	       e == entry && !b)
		next += q->cluster_size;
	return rfs_qcow2_min(next, end);
}

struct rfs_qcow2_entry rfs_qcow2_l2_entry(struct rfs_qcow2 *q,
					  const struct rfs_qcow2_table *l2,
					  uint64_t guest)
{
	struct rfs_qcow2_entry e = { .kind = RFS_QCOW2_UNKNOWN, .odd = -1 };
	uint64_t entry, bitmap;

	guest &= ~(q->cluster_size - 1);
	if (rfs_qcow2_l2_raw(q, l2, guest, &entry, &bitmap))
		e = rfs_qcow2_decode(q, entry, bitmap, guest);
	else if (l2->late)
		e.kind = RFS_QCOW2_LATE;
	if (e.odd < 0 && rfs_qcow2_is_contested(q, &e)) {
		e.kind = RFS_QCOW2_INVALID;
		e.odd = ODD_CONTESTED;
		e.is_contested = true;
	}
	if (e.odd >= 0)
		invalid(q, e.odd, "L2", entry, guest);
	return e;
}

int rfs_qcow2_cache_init(struct rfs_qcow2_cache *cache, uint64_t l2_size)
{
	size_t most = CACHE_BYTES / l2_size;
	pthread_mutexattr_t attr;

	if (most > CACHE_TABLES)
		most = CACHE_TABLES;
	if (most < CACHE_LEAST)
		most = CACHE_LEAST;
	cache->most = most;
	cache->nbuckets = most; /* a power of two, as tables' sizes are */
	cache->buckets = calloc(cache->nbuckets, sizeof(*cache->buckets));
	if (!cache->buckets)
		return -ENOMEM;
	/* Held for a moment only: less than it takes to sleep and be woken. */
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&cache->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	pthread_cond_init(&cache->loaded, NULL);
	return 0;
}

void rfs_qcow2_l2_put(struct rfs_qcow2_l2 *l2)
{
	if (atomic_fetch_sub_explicit(&l2->refs, 1, memory_order_acq_rel) > 1)
		return;
	rfs_qcow2_table_fini(&l2->table);
	free(l2);
}

void rfs_qcow2_cache_fini(struct rfs_qcow2_cache *cache)
{
	struct rfs_qcow2_l2 *l2, *older;

	if (!cache->buckets)
		return;
	for (l2 = cache->newest; l2; l2 = older) {
		older = l2->older;
		rfs_qcow2_l2_put(l2);
	}
	free(cache->buckets);
	pthread_mutex_destroy(&cache->lock);
	pthread_cond_destroy(&cache->loaded);
}

static struct rfs_qcow2_l2 **bucket(struct rfs_qcow2_cache *c, uint64_t off)
{
	uint64_t h = off * 0x9e3779b97f4a7c15ull;

	return &c->buckets[(h >> 32) & (c->nbuckets - 1)];
}

static struct rfs_qcow2_l2 *find(struct rfs_qcow2_cache *c, uint64_t off)
{
	struct rfs_qcow2_l2 *l2 = *bucket(c, off);

	while (l2 && l2->off != off)
		l2 = l2->chain;
	return l2;
}

static void unlink_age(struct rfs_qcow2_cache *c, struct rfs_qcow2_l2 *l2)
{
	*(l2->newer ? &l2->newer->older : &c->newest) = l2->older;
	*(l2->older ? &l2->older->newer : &c->oldest) = l2->newer;
}

static void link_newest(struct rfs_qcow2_cache *c, struct rfs_qcow2_l2 *l2)
{
	l2->newer = NULL;
	l2->older = c->newest;
	*(c->newest ? &c->newest->newer : &c->oldest) = l2;
	c->newest = l2;
}

/* Out of the cache; who uses it may go on. */
static void drop(struct rfs_qcow2_cache *c, struct rfs_qcow2_l2 *l2)
{
	struct rfs_qcow2_l2 **at = bucket(c, l2->off);

	while (*at != l2)
		at = &(*at)->chain;
	*at = l2->chain;
	unlink_age(c, l2);
	c->count--;
	rfs_qcow2_l2_put(l2);
}

/* Tables in use stay, even if there are more of them than should be.  One that was
 * wanted again stays for another round: to order them at each use would have all
 * threads write to all of them. */
static void shrink(struct rfs_qcow2_cache *c)
{
	struct rfs_qcow2_l2 *l2 = c->oldest, *newer;

	for (; l2 && c->count > c->most; l2 = newer) {
		newer = l2->newer;
		if (atomic_load(&l2->refs) > 1)
			continue;
		if (!l2->is_wanted) {
			drop(c, l2);
		} else {
			l2->is_wanted = false;
			unlink_age(c, l2);
			link_newest(c, l2);
		}
	}
}

void rfs_qcow2_cache_renew(struct rfs_qcow2_cache *c)
{
	struct rfs_qcow2_l2 *l2, *older;

	pthread_mutex_lock(&c->lock);
	c->renewals++;
	for (l2 = c->newest; l2; l2 = older) {
		older = l2->older;
		if (!l2->loading && l2->table.lost)
			drop(c, l2);
	}
	pthread_mutex_unlock(&c->lock);
}

/* Called with the lock held.  A table that is in nobody's hands yet, so that
 * others wait for it instead of reading it too. */
static struct rfs_qcow2_l2 *add(struct rfs_qcow2_cache *c, uint64_t off)
{
	struct rfs_qcow2_l2 *l2 = calloc(1, sizeof(*l2)), **head;

	if (!l2)
		return NULL;
	l2->off = off;
	atomic_init(&l2->refs, 2); /* the cache's, and the caller's */
	l2->loading = true;
	head = bucket(c, off);
	l2->chain = *head;
	*head = l2;
	link_newest(c, l2);
	c->count++;
	shrink(c);
	return l2;
}

static void note_lost(struct rfs_qcow2 *q, const struct rfs_qcow2_l2 *l2)
{
	const struct rfs_qcow2_table *t = &l2->table;

	if (t->lost || t->len < q->l2_size)
		rfs_qcow2_doubt(q);
	if (t->lost)
		rfs_notes_add(q->notes,
			      "%s: %zu of %zu sectors of the L2 table at "
			      "%" PRIu64 " cannot be read, nor what they map",
			      rfs_reader_name(q->file), rfs_qcow2_table_lost(t),
			      t->len / RFS_SECTOR, t->off);
	if (t->len < q->l2_size)
		rfs_notes_add(q->notes,
			      "%s: the L2 table at %" PRIu64
			      " is cut off by the end of the file",
			      rfs_reader_name(q->file), t->off);
}

/* 'renewals': how many there had been when the table was added. */
static int load(struct rfs_qcow2 *q, struct rfs_qcow2_l2 *l2,
		unsigned int renewals, struct rfs_error *err)
{
	struct rfs_qcow2_cache *c = &q->cache;
	struct rfs_qcow2_table table;
	int r = rfs_qcow2_table_load(q->file, l2->off, q->l2_size, &table, err);

	pthread_mutex_lock(&c->lock);
	l2->loading = false;
	if (!r) {
		l2->table = table;
		l2->is_zero = rfs_qcow2_table_is_zero(&table);
		l2->is_blank = rfs_qcow2_table_is_blank(&table);
	}
	/* The next to want it reads it anew, also if it may have been read before
	 * and came after what is lost was to be asked for again. */
	if (r < 0 || table.late || (table.lost && c->renewals != renewals))
		drop(c, l2);
	pthread_cond_broadcast(&c->loaded);
	pthread_mutex_unlock(&c->lock);
	if (r < 0)
		rfs_qcow2_l2_put(l2);
	if (r < 0 || table.late)
		return r;
	note_lost(q, l2);
	return 0;
}

int rfs_qcow2_l2_get(struct rfs_qcow2 *q, uint64_t off,
		     struct rfs_qcow2_l2 **ret, struct rfs_error *err)
{
	struct rfs_qcow2_cache *c = &q->cache;
	struct rfs_qcow2_l2 *l2;
	unsigned int renewals;
	bool mine = false;
	int r;

	pthread_mutex_lock(&c->lock);
	while ((l2 = find(c, off)) && l2->loading)
		pthread_cond_wait(&c->loaded, &c->lock);
	if (l2) {
		atomic_fetch_add(&l2->refs, 1);
		l2->is_wanted = true;
	} else {
		l2 = add(c, off);
		mine = true;
	}
	renewals = c->renewals;
	pthread_mutex_unlock(&c->lock);
	if (!l2)
		return rfs_no_memory(err);
	r = mine ? load(q, l2, renewals, err) : 0;
	if (!r)
		*ret = l2;
	return r;
}
