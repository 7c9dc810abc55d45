/* SPDX-License-Identifier: GPL-3.0-or-later */
/* digester.h - the md5 and the sha512 of a stream, beside the work on it.
 *
 * Each digest has a thread of its own, which follows through a ring of buffers:
 * who fills them and writes them out waits only where a digest is a whole ring
 * behind.  All functions are for that one caller.
 */
#ifndef RESCUEFS_CORE_DIGESTER_H
#define RESCUEFS_CORE_DIGESTER_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

#define RFS_DIGESTER_STEP ((size_t)4 << 20) /* bytes of one buffer */

struct rfs_digester;

/* In hexadecimal digits. */
struct rfs_digests {
	char md5[33];
	char sha512[129];
};

int rfs_digester_new(struct rfs_digester **ret, struct rfs_error *err);

/* The buffer to fill next; waits for it.  It is the caller's to read until the
 * next call of this. */
void *rfs_digester_room(struct rfs_digester *d);

/* The first 'len' bytes of that buffer come next in the stream; it is not changed
 * from here on. */
void rfs_digester_put(struct rfs_digester *d, size_t len);

/* So many zeros come next. */
void rfs_digester_zeros(struct rfs_digester *d, uint64_t len);

/* The stream is over: waits for both.  Once. */
void rfs_digester_end(struct rfs_digester *d, struct rfs_digests *ret);

/* Also of a stream that is not over.  NULL is accepted. */
void rfs_digester_free(struct rfs_digester *d);

#endif /* RESCUEFS_CORE_DIGESTER_H */
