/* SPDX-License-Identifier: GPL-3.0-or-later */
/* packed_gz.h - what the parts of the gzip format share; for packed_gz*.c only.
 *
 *   packed_gz_stream.c  members one after the other, from any bit on
 *   packed_gz_index.c   the pass over all of a file that makes its index
 *   packed_gz.c         unpacking a piece of the index
 *
 * Formats: RFC 1952 (gzip) and RFC 1951 (deflate).  One thread at a time has a
 * stream.
 */
#ifndef RESCUEFS_READERS_PACKED_GZ_H
#define RESCUEFS_READERS_PACKED_GZ_H

#include <zlib.h>

#include "readers/packed.h"

/* History that a block of deflate may refer to. */
#define RFS_GZ_WINDOW 32768u

enum rfs_gz_phase {
	RFS_GZ_HEADER,
	RFS_GZ_BODY,
	RFS_GZ_TRAILER,
	RFS_GZ_ENDED,
};

enum rfs_gz_event {
	RFS_GZ_NONE,
	RFS_GZ_BLOCK,  /* a block begins here */
	RFS_GZ_MEMBER, /* a member ended; its trailer was read */
	RFS_GZ_END,    /* of all of it */
};

/* One after the other. */
struct rfs_gz {
	struct rfs_packed_input in;
	z_stream z;
	enum rfs_gz_phase phase;
	bool any_member; /* what follows may be other bytes, and is then none */
	uint64_t member_at;  /* where the member's header begins */
	uint32_t crc, isize; /* of its trailer */
	bool garbage;	     /* it ended with something that is no gzip */
	bool pending;	     /* it has more to give before it needs input */
};

/* Begins at a member's header, at the byte 'from'.  rfs_gz_close in any case. */
int rfs_gz_open(struct rfs_gz *g, struct rfs_reader *file, uint64_t from,
		uint64_t end, struct rfs_error *err);
void rfs_gz_close(struct rfs_gz *g);

/* The next packed bytes; -ENODATA: they are not there. */
int rfs_gz_get(struct rfs_gz *g, uint8_t *to, size_t len,
	       struct rfs_error *err);

/* Unpacks until something was made or happened.  'flush' is zlib's: Z_BLOCK
 * stops where blocks begin. */
int rfs_gz_run(struct rfs_gz *g, uint8_t *to, size_t room, int flush,
	       size_t *ret_made, enum rfs_gz_event *ret, struct rfs_error *err);

/* struct rfs_packed_format's 'index'. */
int rfs_gz_index(struct rfs_packed_build *b, struct rfs_error *err);

#endif /* RESCUEFS_READERS_PACKED_GZ_H */
