/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store_parts.h - what the files of the store's code share; nobody else's.
 *
 * A put writes its bytes to the data file, then a record of each piece (what of
 * it lies in one chunk) to a journal, then the piece is 'fresh': kept, with a
 * digest of its own.  A sync absorbs pieces into the map and the chunks'
 * digests, which SQLite keeps.  There are two journals: while one is absorbed,
 * puts go on in the other.  Each turn to the other has a number, counted up for
 * ever; records of a turn that SQLite says is absorbed mean nothing.
 *
 * A byte is kept if it is fresh, or WHOLE in the map, never both.  A chunk's
 * digest is that of all its bytes which are WHOLE in the map, in their order.
 */
#ifndef RESCUEFS_CORE_STORE_PARTS_H
#define RESCUEFS_CORE_STORE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/keptmap.h"
#include "core/state_store.h"
#include "core/store.h"

/* What a sync has not covered: from here on one is begun beside the puts... */
#define RFS_STORE_SYNC_BYTES  ((uint64_t)128 << 20)
#define RFS_STORE_SYNC_PIECES 32768u
/* ...and from here on a put waits for one. */
#define RFS_STORE_MOST_BYTES  (4 * RFS_STORE_SYNC_BYTES)
#define RFS_STORE_MOST_PIECES (4 * RFS_STORE_SYNC_PIECES)

/* At the most in one chunk. */
struct rfs_store_piece {
	struct rfs_range range;
	struct rfs_digest digest;
};

/* The pieces that one journal speaks of. */
struct rfs_store_turn {
	struct rfs_store_piece *items; /* those that 'fresh' names count */
	size_t count;
	size_t room;
	uint64_t bytes;
	uint64_t journal_len; /* where the next record goes */
	int fd;		      /* of the journal; -1: not opened */
};

struct rfs_store_chunk {
	uint64_t number;
	struct rfs_digest digest;
};

struct rfs_store_claim {
	struct rfs_range range;
	struct rfs_store_claim *next;
};

struct rfs_store {
	struct rfs_state *state;
	char *object;
	uint64_t size;
	struct rfs_digest salt; /* so that no journal is taken for another's */

	/* One sync at a time.  Held by whoever says that kept bytes are damaged
	 * or moves them from 'fresh' to the map; guards the next two. */
	pthread_mutex_t syncing;
	uint64_t rewrite;  /* turns below it are written again first */
	uint64_t absorbed; /* the last turn in the map that SQLite has */

	pthread_mutex_t journal; /* guards the journals, and the turn */
	_Atomic uint64_t turn;	 /* the current one; turns[turn & 1] */

	/* Its lock guards all up to the next blank line. */
	struct rfs_kept map;	 /* enum rfs_kept_byte; what is absorbed */
	struct rfs_extmap fresh; /* rfs_store_name of a piece */
	struct rfs_extmap checked;
	struct rfs_store_turn turns[2];
	struct rfs_store_chunk *unsaved; /* digests that SQLite lacks */
	size_t nunsaved, unsaved_room;	 /* ascending */

	pthread_mutex_t files; /* guards opening files */
	atomic_bool ready;     /* all files are open and the row is there */
	atomic_bool has_row;
	atomic_int fd; /* of the data; -1: not there */

	pthread_mutex_t claiming;	/* guards the ranges being put */
	pthread_cond_t unclaimed;	/* one fewer */
	struct rfs_store_claim *claims; /* on the stacks of those who put */

	pthread_mutex_t behind; /* guards the thread that syncs behind puts */
	bool behind_started;	/* to be joined */
	atomic_bool behind_runs;
	pthread_t behind_thread;
	_Atomic uint64_t waiting_bytes, waiting_pieces; /* for a sync */
	_Atomic uint64_t sync_at_bytes, sync_at_pieces;
	_Atomic int64_t retry_s; /* monotonic: no sync for a put before */
	atomic_int retry_errno;	 /* what the last one said */
};

/* What one reader needs to check chunks; zero 'loaded' to begin. */
struct rfs_store_scratch {
	uint8_t data[RFS_STORE_CHUNK];	   /* the chunk */
	uint8_t gathered[RFS_STORE_CHUNK]; /* parts of it side by side */
	bool loaded;
	uint64_t page; /* that 'digests' is of */
	struct rfs_digests digests;
};

/* A piece's name in 'fresh': never 0. */
static inline uint32_t rfs_store_name(uint64_t turn, size_t index)
{
	return (uint32_t)(index << 1 | (turn & 1)) + 1;
}

static inline bool rfs_store_is_of(uint32_t name, uint64_t turn)
{
	return name && ((name - 1) & 1) == (turn & 1);
}

static inline struct rfs_store_piece *rfs_store_named(struct rfs_store *s,
						      uint32_t name)
{
	return &s->turns[(name - 1) & 1].items[(name - 1) >> 1];
}

static inline struct rfs_range rfs_store_chunk_range(const struct rfs_store *s,
						     uint64_t number)
{
	return rfs_range_cut(
		rfs_range(number * RFS_STORE_CHUNK, RFS_STORE_CHUNK),
		rfs_range(0, s->size));
}

/* store.c: all of 'range', or a negative errno: -EIO if it is not to be had,
 * else our own want. */
int rfs_store_pread(struct rfs_store *s, struct rfs_range range, void *buf);
int rfs_store_pwrite(struct rfs_store *s, struct rfs_range range,
		     const void *buf, struct rfs_error *err);
/* store.c: one run of the bytes at 'off', as the maps have it; with map.lock. */
struct rfs_run rfs_store_look(struct rfs_store *s, uint64_t off,
			      struct rfs_range within, uint32_t *ret_name);

/* store_check.c */
bool rfs_store_is_checked(struct rfs_store *s, uint64_t chunk);
/* With map.lock held for writing. */
void rfs_store_set_checked(struct rfs_store *s, uint64_t chunk, bool checked);
/* Compares the chunk's kept bytes with what their digests say; those that do
 * not agree are DAMAGED from then on.  A negative errno: it could not be told. */
int rfs_store_check(struct rfs_store *s, uint64_t chunk,
		    struct rfs_store_scratch *scratch, struct rfs_error *err);
/* The same with 'syncing' held; the bytes that agreed are in scratch->data. */
int rfs_store_judge(struct rfs_store *s, uint64_t chunk,
		    struct rfs_store_scratch *scratch, struct rfs_error *err);
/* With map.lock held for writing. */
int rfs_store_condemn(struct rfs_store *s, struct rfs_range range,
		      struct rfs_error *err);

/* store_journal.c */
/* With 'journal' held.  All records, or none. */
int rfs_store_record(struct rfs_store *s, const struct rfs_store_piece *pieces,
		     size_t npieces, struct rfs_error *err);
/* Makes what the journals say fresh, as far as its digests prove it; for a store
 * that nobody else has yet. */
int rfs_store_replay(struct rfs_store *s, struct rfs_error *err);
/* Puts go to the other journal from now on; with 'syncing' held, and nothing of
 * the turn before left to absorb. */
void rfs_store_turn_over(struct rfs_store *s);
void rfs_store_empty_journal(struct rfs_store_turn *turn);

#endif /* RESCUEFS_CORE_STORE_PARTS_H */
