/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qcow2.h - the parts of the qcow2 reader, for themselves only.
 *
 * A read goes through them like this: qcow2.c walks the request as runs
 * (qcow2_map.c), each of which is bytes in one place: in the image, in the
 * backing image, packed, known to be zero, or nowhere to be found.  The runs
 * come from the L1 and L2 entries (qcow2_table.c); packed clusters are
 * unpacked by qcow2_packed.c; qcow2_aes.c decrypts; qcow2_suspect.c doubts
 * tables of zeros, qcow2_contest.c what two claim.
 *
 * Nothing that stands in the image is believed before it is bounded, and no
 * lock is held while a reader below reads.
 */
#ifndef RESCUEFS_READERS_QCOW2_H
#define RESCUEFS_READERS_QCOW2_H

#include <endian.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/notes.h"
#include "core/reader.h"

#define RFS_QCOW2_L1_MAX   (32u << 20) /* bytes; QEMU's own limit */
#define RFS_QCOW2_NAME_MAX 1023u

/* The incompatible features that are understood. */
#define RFS_QCOW2_DIRTY	      (1ull << 0)
#define RFS_QCOW2_CORRUPT     (1ull << 1)
#define RFS_QCOW2_DATA_FILE   (1ull << 2)
#define RFS_QCOW2_COMPRESSION (1ull << 3)
#define RFS_QCOW2_EXTENDED_L2 (1ull << 4)
#define RFS_QCOW2_KNOWN	      0x1full

/* Auto-clear features: the bitmaps are up to date; the data file is by itself the
 * whole disk. */
#define RFS_QCOW2_BITMAPS  (1ull << 0)
#define RFS_QCOW2_DATA_RAW (1ull << 1)

enum rfs_qcow2_packing { RFS_QCOW2_ZLIB = 0, RFS_QCOW2_ZSTD = 1 };

enum rfs_qcow2_crypt {
	RFS_QCOW2_PLAIN = 0,
	RFS_QCOW2_AES = 1,
	RFS_QCOW2_LUKS = 2,
};

/* The header, in the machine's byte order and checked. */
struct rfs_qcow2_header {
	uint32_t version;
	uint32_t cluster_bits;
	uint32_t l2_bits; /* log2 of the entries of an L2 table */
	enum rfs_qcow2_crypt crypt;
	uint32_t length; /* of the header itself */
	uint64_t size;	 /* of the disk */
	uint64_t incompatible, autoclear;
	uint8_t packing;
	bool packing_odd; /* the feature bit and the field disagree */
	uint64_t backing_off;
	uint32_t backing_len; /* 0: no backing file */
	uint32_t l1_entries;
	uint64_t l1_off;
	uint32_t refcount_order;
	uint64_t refcounts_off;
	uint32_t refcounts_clusters;
	uint32_t snapshots;
	uint64_t snapshots_off;
	/* From the header extensions; a length of 0: not there. */
	struct rfs_range backing_format, data_name, features, bitmaps;
	bool extensions_lost; /* unreadable or senseless from some point on */
};

int rfs_qcow2_header_read(struct rfs_reader *file, struct rfs_qcow2_header *ret,
			  struct rfs_error *err);

/* Bytes of a table that lies in a reader, with what could not be read of it
 * kept by 512-byte sector.  Entries past 'len' are as unknown as those. */
struct rfs_qcow2_table {
	uint64_t off;	/* where it lies; a multiple of 512 */
	size_t len;	/* what exists of it: less at the end of a short file */
	uint8_t *bytes; /* as they stand in the image, big-endian */
	uint8_t *lost;	/* a bit a sector; NULL: none is lost */
	/* What is lost was not waited for, or some of it: it may be there
	 * another time, so that such a table is never kept. */
	bool late;
};

/* -ETIMEDOUT is no failure here: the table is late. */
int rfs_qcow2_table_load(struct rfs_reader *file, uint64_t off, size_t len,
			 struct rfs_qcow2_table *ret, struct rfs_error *err);
void rfs_qcow2_table_fini(struct rfs_qcow2_table *table);
/* False where the entry (8 bytes at 'at') could not be read. */
bool rfs_qcow2_table_get(const struct rfs_qcow2_table *table, uint64_t at,
			 uint64_t *ret);
bool rfs_qcow2_table_is_zero(const struct rfs_qcow2_table *table);
/* What can be read of it is zeros, or nothing can. */
bool rfs_qcow2_table_is_blank(const struct rfs_qcow2_table *table);
size_t rfs_qcow2_table_lost(const struct rfs_qcow2_table *table);

/* An L2 table in the cache. */
struct rfs_qcow2_l2 {
	struct rfs_qcow2_table table;
	/* The cache's and each user's; gained with the cache's lock held, and gone
	 * with the last. */
	atomic_uint refs;
	/* These are as they are since before others knew of them. */
	uint64_t off;
	bool is_zero, is_blank;
	/* The rest is guarded by the cache's lock. */
	bool loading;
	bool is_wanted;		    /* since it came, or was last spared */
	struct rfs_qcow2_l2 *chain; /* next of the same bucket */
	struct rfs_qcow2_l2 *newer, *older; /* as they came or were spared */
};

/* Bounded in tables, which all have one size. */
struct rfs_qcow2_cache {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t loaded;
	struct rfs_qcow2_l2 **buckets;
	size_t nbuckets; /* a power of two */
	size_t count, most;
	struct rfs_qcow2_l2 *newest, *oldest;
	unsigned int renewals;
};

/* A cluster that was unpacked, shared by whoever copies from it. */
struct rfs_qcow2_unpacked {
	uint64_t host;	 /* where it lies packed: its name in the cache */
	uint32_t packed; /* and how long */
	uint32_t good;	 /* bytes of 'data' that are right */
	atomic_uint refs;
	uint8_t data[];
};

#define RFS_QCOW2_UNPACKED 8 /* sequential readers served at a time */

struct rfs_qcow2_shelf {
	pthread_mutex_t lock; /* guards all below */
	struct rfs_qcow2_unpacked *slots[RFS_QCOW2_UNPACKED];
	unsigned int next; /* the slot to be replaced next */
};

struct rfs_qcow2_census;
struct rfs_qcow2_cipher;
struct rfs_qcow2_healing;

struct rfs_qcow2 {
	struct rfs_reader *file;
	struct rfs_reader *backing; /* NULL: missing, or the header has none */
	struct rfs_reader *data;    /* NULL: missing, or not external */
	struct rfs_notes *notes;
	struct rfs_qcow2_header header;
	bool has_backing, has_data_file, extended, data_raw;
	bool is_borrowed; /* the header is another copy's: this one's is lost */
	uint32_t cluster_bits;
	uint32_t entry_size; /* bytes of an L2 entry: 8, or 16 if extended */
	uint32_t span_bits;  /* log2 of what one L2 table maps */
	uint64_t l2_size; /* bytes of an L2 table: a cluster but in version 1 */
	uint64_t cluster_size;
	uint64_t file_size;
	struct rfs_qcow2_table l1;
	uint32_t l1_skew; /* its first entry: version 1 does not align it */
	bool l1_zero;
	struct rfs_qcow2_cache cache;
	struct rfs_qcow2_shelf shelf;
	struct rfs_qcow2_cipher *cipher; /* NULL: what is stored is plain */
	atomic_uint noted;     /* bits: which kinds of damage were noted */
	atomic_flag suspected; /* the doubts were looked into */
	/* Something of its tables is damaged: what two claim is refused. */
	atomic_bool is_doubted;
	pthread_mutex_t
		counting; /* guards the next, and who takes the census */
	bool is_counting;
	pthread_cond_t counted;
	_Atomic(struct rfs_qcow2_census *) census; /* NULL: not taken yet */
	atomic_bool is_uncounted; /* it could not be taken for a read */
	/* Who may know better than the tables; NULL: nobody.  Set before others
	 * know of the image. */
	struct rfs_qcow2_healing *healing;
};

/* Tables: the one place where entries come from.  Whoever learns to heal them
 * from another copy does it here. */
enum rfs_qcow2_kind {
	RFS_QCOW2_UNALLOCATED, /* the backing image's affair */
	RFS_QCOW2_ZERO,
	RFS_QCOW2_STORED,  /* 'host' on, in the image or data file */
	RFS_QCOW2_PACKED,  /* compressed: 'packed' bytes from 'host' on */
	RFS_QCOW2_UNKNOWN, /* the entry could not be read */
	RFS_QCOW2_LATE,	   /* the entry was not waited for */
	RFS_QCOW2_INVALID, /* the entry makes no sense */
};

/* What one L1 entry says: STORED (an L2 table at *ret_off), UNALLOCATED,
 * UNKNOWN or INVALID.  *ret_off is also set where it is INVALID because another
 * claims that table. */
enum rfs_qcow2_kind rfs_qcow2_l1_entry(struct rfs_qcow2 *q, uint64_t index,
				       uint64_t *ret_off);
/* The same by itself, whoever else claims that table. */
enum rfs_qcow2_kind rfs_qcow2_l1_plain(struct rfs_qcow2 *q, uint64_t index,
				       uint64_t *ret_off);

/* What one L2 entry says of the cluster at 'guest'. */
struct rfs_qcow2_entry {
	enum rfs_qcow2_kind kind;
	uint64_t host;
	uint32_t packed;
	/* Extended entries that are UNALLOCATED, ZERO or STORED: a bit a
	 * subcluster; what is in neither is unallocated. */
	uint32_t stored, zero;
	int odd;	   /* INVALID: why; else -1 */
	bool is_contested; /* INVALID for no other reason: another claims it */
	/* Another copy's: what was not stored when it was taken may be by now. */
	bool is_healed;
};

/* What an entry's own bytes say, wherever they come from and whoever else claims
 * that cluster; 'bitmap' is of an extended one.  'guest' is the start of a
 * cluster. */
struct rfs_qcow2_entry rfs_qcow2_decode(const struct rfs_qcow2 *q,
					uint64_t entry, uint64_t bitmap,
					uint64_t guest);

/* The bytes themselves; false where they could not be read. */
bool rfs_qcow2_l2_raw(const struct rfs_qcow2 *q,
		      const struct rfs_qcow2_table *l2, uint64_t guest,
		      uint64_t *ret_entry, uint64_t *ret_bitmap);

struct rfs_qcow2_entry rfs_qcow2_l2_entry(struct rfs_qcow2 *q,
					  const struct rfs_qcow2_table *l2,
					  uint64_t guest);
/* Where the entries end that are the same as that of 'guest' and lead nowhere: up to
 * there the disk is of one kind.  At most 'end', and all in this table; 0 where the
 * entry is another. */
uint64_t rfs_qcow2_l2_same_until(const struct rfs_qcow2 *q,
				 const struct rfs_qcow2_table *l2,
				 uint64_t guest, uint64_t end);

int rfs_qcow2_cache_init(struct rfs_qcow2_cache *cache, uint64_t l2_size);
void rfs_qcow2_cache_fini(struct rfs_qcow2_cache *cache);
/* Tables of which something is lost are read again when they are next wanted. */
void rfs_qcow2_cache_renew(struct rfs_qcow2_cache *cache);
/* The L2 table at 'off', to be given back with _put. */
int rfs_qcow2_l2_get(struct rfs_qcow2 *q, uint64_t off,
		     struct rfs_qcow2_l2 **ret, struct rfs_error *err);
void rfs_qcow2_l2_put(struct rfs_qcow2_l2 *l2);

/* A piece of the disk whose bytes lie together. */
struct rfs_qcow2_run {
	struct rfs_range guest;
	enum rfs_qcow2_kind kind;
	uint64_t host;
	uint32_t packed;
	bool is_suspect; /* by a table of zeros that the refcounts deny */
};

/* Walks a range of the disk; zero it but for 'q', 'pos' and 'end'. */
struct rfs_qcow2_walk {
	struct rfs_qcow2 *q;
	uint64_t pos, end;
	struct rfs_qcow2_l2 *l2; /* the table last used */
	/* NULL: what the image's own tables say; else what can be healed of
	 * it, and only that. */
	const struct rfs_qcow2_healer *healer;
	struct rfs_qcow2_run ahead; /* found already, if not empty */
};

/* The next run, as long as can be; one of length 0 at the end. */
int rfs_qcow2_walk_next(struct rfs_qcow2_walk *walk, struct rfs_qcow2_run *ret,
			struct rfs_error *err);
void rfs_qcow2_walk_fini(struct rfs_qcow2_walk *walk);

/* Reads a stored run as it stands in the image.  As a reader's read. */
int rfs_qcow2_stored_read(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
			  uint8_t *buf, struct rfs_ranges *bad,
			  struct rfs_error *err);

/* The same, decrypted by the image's cipher. */
int rfs_qcow2_sealed_read(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
			  uint8_t *buf, struct rfs_ranges *bad,
			  struct rfs_error *err);
/* For a disk of 'size' bytes; -EFBIG if that is too large for it. */
int rfs_qcow2_cipher_new(const char *password, uint64_t size,
			 struct rfs_qcow2_cipher **ret, struct rfs_error *err);
void rfs_qcow2_cipher_free(struct rfs_qcow2_cipher *cipher);

/* As a reader's spots and tables. */
int rfs_qcow2_spots(void *state, struct rfs_range range, struct rfs_spots *out,
		    struct rfs_error *err);
int rfs_qcow2_tables(void *state, struct rfs_spots *out, struct rfs_error *err);

/* Reads the run's bytes, of a packed cluster.  As a reader's read. */
int rfs_qcow2_packed_read(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
			  uint8_t *buf, struct rfs_ranges *bad,
			  struct rfs_error *err);
void rfs_qcow2_shelf_init(struct rfs_qcow2_shelf *shelf);
void rfs_qcow2_shelf_fini(struct rfs_qcow2_shelf *shelf);
void rfs_qcow2_shelf_clear(struct rfs_qcow2_shelf *shelf);

/* Unpacks 'len' bytes of 'from' into at most 'size' bytes.  *ret_whole: all of
 * it came out.  Returns the bytes that came out right, or a negative errno
 * where the packed bytes make no sense. */
int64_t rfs_qcow2_unpack(enum rfs_qcow2_packing packing, const uint8_t *from,
			 size_t len, uint8_t *to, size_t size, bool *ret_whole);

/* Called when a table reads as zeros.  True if the refcounts speak against it; the
 * first call looks, and notes it. */
bool rfs_qcow2_suspect(struct rfs_qcow2 *q);

/* Called where something of the tables is damaged. */
static inline void rfs_qcow2_doubt(struct rfs_qcow2 *q)
{
	atomic_store_explicit(&q->is_doubted, true, memory_order_relaxed);
}

/* True if another entry is known to claim the L2 table at 'off', or what the entry
 * leads to.  Where something is damaged the first question has all tables read. */
bool rfs_qcow2_is_table_contested(struct rfs_qcow2 *q, uint64_t off);
bool rfs_qcow2_is_contested(struct rfs_qcow2 *q,
			    const struct rfs_qcow2_entry *entry);

#define RFS_QCOW2_OFFSET_MASK 0x00fffffffffffe00ull
#define RFS_QCOW2_PACKED_BIT  (1ull << 62)
/* Of an entry of either table: the refcount of where it leads is 1. */
#define RFS_QCOW2_COPIED (1ull << 63)

/* Where an L2 entry with PACKED_BIT says that the packed bytes begin. */
static inline uint64_t rfs_qcow2_packed_host(const struct rfs_qcow2 *q,
					     uint64_t entry)
{
	return entry & ((1ull << (70 - q->cluster_bits)) - 1);
}

/* And how many they are at the most: up to the end of a sector. */
static inline uint32_t rfs_qcow2_packed_len(const struct rfs_qcow2 *q,
					    uint64_t entry)
{
	uint64_t sectors =
		(entry & (RFS_QCOW2_PACKED_BIT - 1)) >> (70 - q->cluster_bits);

	return (uint32_t)((sectors + 1) * RFS_SECTOR -
			  (entry & (RFS_SECTOR - 1)));
}

/* The same of an entry of version 1, whose PACKED_BIT is the highest. */
#define RFS_QCOW1_PACKED_BIT (1ull << 63)

static inline uint64_t rfs_qcow1_packed_host(const struct rfs_qcow2 *q,
					     uint64_t entry)
{
	return entry & ((1ull << (63 - q->cluster_bits)) - 1);
}

static inline uint32_t rfs_qcow1_packed_len(const struct rfs_qcow2 *q,
					    uint64_t entry)
{
	return (uint32_t)(entry >> (63 - q->cluster_bits) &
			  (q->cluster_size - 1));
}

static inline uint64_t rfs_qcow2_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

#endif /* RESCUEFS_READERS_QCOW2_H */
