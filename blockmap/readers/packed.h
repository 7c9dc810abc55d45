/* SPDX-License-Identifier: GPL-3.0-or-later */
/* packed.h - a compressed file as a row of bytes; for packed*.c only.
 *
 *   packed.c        the reader: which piece holds a byte, and its bytes
 *   packed_build.c  the pass that finds the pieces, in a thread of its own;
 *                   where the pieces behind damage belong
 *   packed_index.c  the pieces on disk
 *   packed_pool.c   unpacked pieces in memory, for all files of a site
 *   packed_spool.c  pieces too large for that, unpacked into the state
 *   packed_input.c  the compressed bytes, one after another
 *   packed_gz.c, packed_xz.c, packed_zst.c, packed_bz2.c
 *                   a table of functions for each format
 *
 * A piece is what can be unpacked without what stands before it: the bytes
 * between two access points of a gzip file, a block of xz or bzip2, frames of
 * zstd.  The pieces are the index.  Nothing of a piece is served before a
 * checksum of the format proved it, or the index's own made when one did; what
 * came before bytes that could not be read at all is served as a plain file's
 * would be.
 */
#ifndef RESCUEFS_READERS_PACKED_H
#define RESCUEFS_READERS_PACKED_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "core/keptmap.h"
#include "readers/readers.h"

/* A part of a piece that has a checksum of its own in the index. */
#define RFS_PACKED_PAGE (64u << 10)
/* A larger piece is not unpacked in memory: above 45.9 MB, what a bzip2 block
 * of zeros holds, and xz -6 -T's 24 MiB. */
#define RFS_PACKED_PIECE_MAX (48u << 20)
/* More pieces than that are refused: their table would fill the memory. */
#define RFS_PACKED_PIECES_MAX (4u << 20)
/* Where nobody says how much a file must hold, unpacking stops here. */
#define RFS_PACKED_SIZE_MAX ((uint64_t)16 << 40)
/* What a decoder may ask for its history, in bytes. */
#define RFS_PACKED_MEMORY_MAX (160u << 20)

enum rfs_piece_flags {
	RFS_PIECE_ZERO = 1,    /* all zeros */
	RFS_PIECE_BAD = 2,     /* nothing of it can be had */
	RFS_PIECE_SPOILT = 4,  /* covered by a checksum that fails */
	RFS_PIECE_PARTIAL = 8, /* stops early: its end proves nothing */
	RFS_PIECE_PAGES = 16,  /* its pages' checksums begin its notes */
	RFS_PIECE_MEMBER = 32, /* gzip: begins at a member's header */
	/* While building: how much a BAD one holds. */
	RFS_PIECE_UNSIZED = 64, /* not known at all */
	RFS_PIECE_MOD32 = 128,	/* 'len' is right modulo 2^32 */
	RFS_PIECE_PROVED = 256, /* 'len' is right */
	/* Frames of zstd whose checksum the format does not have. */
	RFS_PIECE_UNCHECKED = 512,
};

struct rfs_packed_piece {
	uint64_t off, len; /* unpacked bytes */
	uint64_t from, to; /* compressed *bits* that it is made of */
	uint64_t notes; /* what the format keeps of it: offset in the index */
	uint32_t notes_len;
	uint32_t flags;
};

/*
 * The compressed bytes.
 */

struct rfs_packed_input {
	struct rfs_reader *file;
	uint64_t base; /* the offset of buf[0] */
	uint64_t end;  /* not read beyond */
	uint8_t *buf;
	size_t at, have, step;
	struct rfs_range bad; /* after -EIO: what cannot be read */
};

int rfs_packed_input_init(struct rfs_packed_input *in, struct rfs_reader *file,
			  uint64_t pos, uint64_t end, struct rfs_error *err);
void rfs_packed_input_fini(struct rfs_packed_input *in);
/* Sees that buf[at] to buf[have] holds something.  1, or 0 at the end.  -EIO
 * where the next byte cannot be read. */
int rfs_packed_more(struct rfs_packed_input *in, struct rfs_error *err);
/* Exactly 'len' bytes; -ENODATA where the file ends before. */
int rfs_packed_get(struct rfs_packed_input *in, void *to, size_t len,
		   struct rfs_error *err);
void rfs_packed_seek(struct rfs_packed_input *in, uint64_t pos);

static inline uint64_t rfs_packed_pos(const struct rfs_packed_input *in)
{
	return in->base + in->at;
}

/*
 * A format.
 */

struct rfs_packed;
struct rfs_packed_build;

struct rfs_packed_format {
	const char *name;  /* "gzip" */
	const char *magic; /* its first bytes */
	size_t magic_len;
	/* Can be unpacked in part: each page proves itself. */
	bool by_pages;

	/* Reads the file and adds its pieces, with rfs_packed_add_*. */
	int (*index)(struct rfs_packed_build *b, struct rfs_error *err);

	/* Unpacking one piece, from its beginning.  'step' makes up to 'room'
	 * bytes.  None and 0: the end, and whatever check there is holds.  -EIO:
	 * the compressed bytes cannot be read there.  -ENODATA: they end there.
	 * -EILSEQ: they make no sense, or the check fails.  Also with these,
	 * *ret_made bytes were made. */
	int (*start)(struct rfs_packed *p, const struct rfs_packed_piece *piece,
		     void **ret, struct rfs_error *err);
	int (*step)(void *live, uint8_t *to, size_t room, size_t *ret_made,
		    struct rfs_error *err);
	void (*end)(void *live);
};

extern const struct rfs_packed_format rfs_packed_gz;
extern const struct rfs_packed_format rfs_packed_xz;
extern const struct rfs_packed_format rfs_packed_zst;
extern const struct rfs_packed_format rfs_packed_bz2;

/*
 * The reader.
 */

struct rfs_packed {
	const struct rfs_packed_format *format;
	struct rfs_packed_config config;
	char *object;
	const char *name; /* the file's */
	struct rfs_packed_pool *pool;
	bool owns_pool, has_object; /* it stands in the pool's list */
	struct rfs_reader *file;
	uint64_t id; /* in the pool, never used twice */
	atomic_bool closing;

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	struct rfs_packed_piece *pieces;
	size_t npieces, room;
	size_t nproved; /* the first of them, which may be served */
	bool indexed;	/* all pieces are there, and cover 'size' */
	uint64_t size;
	int index_fd;	     /* set before the first piece is served */
	uint64_t index_size; /* where its notes end */
	bool in_memory;	     /* it is no file of the state */
	char why[256];	     /* the first damage; "" */

	bool running;	/* the thread works */
	bool joinable;	/* it was started and not joined yet */
	unsigned round; /* how often it has ended */
	int result;	/* of the last round */
	struct rfs_error result_text;
	pthread_t thread;
	uint64_t wanted; /* a piece to be unpacked into the state, by offset */

	/* Pieces in the state. */
	bool spool_open;
	int spool_fd;
	struct rfs_kept spool;	     /* 1: unpacked */
	struct rfs_extmap spool_bad; /* 1: cannot be; asked once */
};

static inline bool rfs_piece_is_spooled(const struct rfs_packed_piece *piece)
{
	return piece->len > RFS_PACKED_PIECE_MAX;
}

/* True while nobody ordered the end, of the mount or of the reader. */
bool rfs_packed_goes_on(const struct rfs_packed *p);

/* Waits until the piece that holds 'off' is known, building the index if need
 * be; *ret_at is its number. */
int rfs_packed_find(struct rfs_packed *p, uint64_t off,
		    struct rfs_packed_piece *ret, size_t *ret_at,
		    struct rfs_error *err);
/* Waits until a large piece is in the state, or known not to be possible. */
int rfs_packed_await_spool(struct rfs_packed *p,
			   const struct rfs_packed_piece *piece,
			   struct rfs_error *err);
int rfs_packed_await_index(struct rfs_packed *p, struct rfs_error *err);

/* What the format keeps of a piece; checked.  The caller frees *ret. */
int rfs_packed_notes(struct rfs_packed *p, const struct rfs_packed_piece *piece,
		     uint8_t **ret, struct rfs_error *err);

/* Reads of the state's copy. */
int rfs_packed_spool_read(struct rfs_packed *p, struct rfs_range range,
			  uint8_t *buf, struct rfs_ranges *bad,
			  struct rfs_error *err);
/* Unpacks a piece there; of the thread. */
int rfs_packed_spool_fill(struct rfs_packed *p,
			  const struct rfs_packed_piece *piece,
			  struct rfs_error *err);
bool rfs_packed_spool_knows(struct rfs_packed *p,
			    const struct rfs_packed_piece *piece);
void rfs_packed_spool_close(struct rfs_packed *p);

/*
 * Building the index.
 */

struct rfs_packed_build {
	struct rfs_packed *p;
	uint64_t total; /* unpacked bytes of the pieces so far */
	uint64_t limit; /* what it should hold, or could at the most */
	uint64_t
		hard; /* a little more: unpacking to see a checksum ends here */
	bool cut;     /* the limit was met */
	bool gap;     /* there is a BAD piece without a proved length */
	bool io_failed; /* what was found holds for this time only */
	uint64_t told;	/* progress, last said */
	uint64_t notes_end;
	char why[256]; /* the first damage; "" */
};

/* Adds a piece behind the last one; 'off' is set here.  With 'proved' it and
 * all before it may be served at once. */
int rfs_packed_add_piece(struct rfs_packed_build *b,
			 const struct rfs_packed_piece *piece,
			 const void *notes, size_t notes_len, bool proved,
			 struct rfs_error *err);
/* A hole of 'len' bytes, as far as 'flags' (UNSIZED, MOD32, PROVED or 0: a
 * claim) say that this is known.  What is said of it is formatted. */
int rfs_packed_add_gap(struct rfs_packed_build *b, uint64_t len, uint32_t flags,
		       struct rfs_error *err);
/* All pieces so far may be served. */
void rfs_packed_prove(struct rfs_packed_build *b);
/* Takes the pieces from number 'from' on back. */
void rfs_packed_take_back(struct rfs_packed_build *b, size_t from);

/* Says what is wrong; the first time counts. */
void rfs_packed_damage(struct rfs_packed_build *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Says how far it got; -EINTR when it is to end. */
int rfs_packed_progress(struct rfs_packed_build *b, uint64_t done,
			struct rfs_error *err);

/* Runs in the thread: builds, places, keeps. */
int rfs_packed_build(struct rfs_packed *p, struct rfs_error *err);

/* The last steps that build and load share: fits the pieces to the size. */
int rfs_packed_fit(struct rfs_packed *p, struct rfs_error *err);

/*
 * The index on disk.
 */

/* A descriptor to build it in: the state's, or memory where there is none. */
int rfs_packed_index_make(struct rfs_packed *p, struct rfs_error *err);
/* True if it was there and whole: pieces, why and index_fd are set. */
bool rfs_packed_index_load(struct rfs_packed *p);
/* Writes some of it and a checksum of four bytes behind; goes on in memory where
 * the state is full. */
int rfs_packed_index_write(struct rfs_packed *p, uint64_t off, const void *buf,
			   size_t len, struct rfs_error *err);
/* Makes what was built valid for the next time. */
int rfs_packed_index_keep(struct rfs_packed *p, struct rfs_packed_build *b,
			  struct rfs_error *err);

/*
 * Unpacked pieces in memory.
 */

/* The bytes of a piece up to 'end' (from its beginning) if they can be had;
 * copies what of 'in_piece' lies there into 'buf', and tells in *ret_good how
 * many bytes of the piece are good. */
int rfs_packed_pool_read(struct rfs_packed *p,
			 const struct rfs_packed_piece *piece, size_t at,
			 struct rfs_range in_piece, uint8_t *buf,
			 uint64_t *ret_good, struct rfs_error *err);
/* Drops what is kept of this reader's pieces. */
void rfs_packed_pool_drop(struct rfs_packed *p);
bool rfs_packed_pool_stopped(struct rfs_packed_pool *pool);
uint64_t rfs_packed_pool_id(struct rfs_packed_pool *pool);
/* One decoder with a large history at a time. */
void rfs_packed_pool_heavy(struct rfs_packed_pool *pool, bool begin);
/* False if another reader has this object open. */
bool rfs_packed_pool_claim(struct rfs_packed_pool *pool, const char *object);
void rfs_packed_pool_unclaim(struct rfs_packed_pool *pool, const char *object);

bool rfs_packed_is_zero(const uint8_t *buf, size_t len);

#endif /* RESCUEFS_READERS_PACKED_H */
