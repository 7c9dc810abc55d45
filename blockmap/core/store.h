/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store.h - the rescued store: what was read off a dying file, kept.
 *
 * One store holds the bytes of one file of one source, at the same offsets, in
 * a sparse file of the state directory, with a digest for each RFS_STORE_CHUNK
 * of it.  What was put is there after the process was killed; after a power
 * cut, what was put before the last sync is, and of the rest what its digest
 * proves.  docs/state-format.md has the format.
 *
 * Safe from many threads.  A store is opened once for a file; its users share
 * it (readers/rescue.c sees to that).
 */
#ifndef RESCUEFS_CORE_STORE_H
#define RESCUEFS_CORE_STORE_H

#include "core/error.h"
#include "core/extmap.h"
#include "core/range.h"
#include "core/state.h"

#define RFS_STORE_CHUNK (64u << 10)

/* When what is read is put into it: store = on | auto | off. */
enum rfs_store_mode {
	RFS_STORE_ON,
	RFS_STORE_AUTO, /* from the file's first error on */
	RFS_STORE_OFF,
};

/* What the store says of a byte. */
enum rfs_kept_byte {
	RFS_KEPT_NOT = 0,
	RFS_KEPT_WHOLE,	  /* can be read */
	RFS_KEPT_DAMAGED, /* was put, and its digest no longer agrees */
};

struct rfs_store;

/* Opens what is there, and makes nothing until the first put.  'object' names
 * the file ("bm0002:/path"), 'size' is its size in bytes.  -EBADMSG: what is
 * kept makes no sense.  -ESTALE: it is of a file of another size; both times
 * rfs_store_drop, on the operator's word, makes way for a new one. */
int rfs_store_open(struct rfs_state *state, const char *object, uint64_t size,
		   struct rfs_store **ret, struct rfs_error *err);
/* Syncs, as far as it can; accepts NULL. */
void rfs_store_close(struct rfs_store *s);

/* The run from 'off', which lies in 'within', to its end or that of 'within': an
 * enum rfs_kept_byte. */
struct rfs_run rfs_store_find(struct rfs_store *s, uint64_t off,
			      struct rfs_range within);

/* Reads 'range', all of it kept.  Each chunk's digest is checked at the first
 * read of it in this process, except for bytes that this process put.  -EIO: the
 * ranges in 'bad' (may be NULL) are damaged, or could not be read, and every
 * other byte was; rfs_store_find says so from then on. */
int rfs_store_read(struct rfs_store *s, struct rfs_range range, void *buf,
		   struct rfs_ranges *bad, struct rfs_error *err);

/* Keeps bytes; what is kept already is not written again, and what is damaged
 * is replaced.  -ENOSPC and the like: these bytes are not kept, 'err' says so,
 * and the store goes on with what it has; a later put may find room.  Where
 * much was put since the last sync, one is begun in a thread of its own; only
 * if that falls far behind does a put wait for the state's disk. */
int rfs_store_put(struct rfs_store *s, struct rfs_range range, const void *buf,
		  struct rfs_error *err);

/* Compares kept bytes with their digests once more, also those that were checked
 * before or put by this process, from '*at' on: 'most' bytes or RFS_STORE_FINDS
 * ranges of damage, then it returns with '*at' behind them, or at RFS_SIZE_MAX if
 * there is nothing more.  What does not agree is in 'bad', and damaged from then
 * on; bytes that were looked at are added to *checked. */
#define RFS_STORE_FINDS 256
int rfs_store_verify(struct rfs_store *s, uint64_t *at, uint64_t most,
		     struct rfs_ranges *bad, uint64_t *checked,
		     struct rfs_error *err);

/* Safe against a power cut when it returns. */
int rfs_store_sync(struct rfs_store *s, struct rfs_error *err);

/* Forgets what is damaged, so that it may be asked for again. */
int rfs_store_forget_damaged(struct rfs_store *s, struct rfs_error *err);

/* Drops all of one that nobody has open, on the disk too; also of one that does not
 * open. */
int rfs_store_drop(struct rfs_state *state, const char *object,
		   struct rfs_error *err);

struct rfs_store_totals {
	uint64_t kept, damaged; /* bytes */
};

void rfs_store_totals(struct rfs_store *s, struct rfs_store_totals *ret);

static inline void rfs_cleanup_store(struct rfs_store **s)
{
	rfs_store_close(*s);
}

#define RFS_CLEANUP_STORE __attribute__((cleanup(rfs_cleanup_store)))

#endif /* RESCUEFS_CORE_STORE_H */
