/* SPDX-License-Identifier: GPL-3.0-or-later */
/* file_medium.h - asking a medium that may be failing, and no more than once.
 *
 * Read past the page cache where the file system allows it, in requests that
 * begin small, double while all is well, and fall back after an error, from
 * which they grow as rfs_medium_step_after says.  A request that fails is redone
 * in the smallest units that the medium takes, its granules: a bad sector is
 * touched twice at the most while it is found.
 *
 * Safe from many threads; there is no lock.
 */
#ifndef RESCUEFS_READERS_FILE_MEDIUM_H
#define RESCUEFS_READERS_FILE_MEDIUM_H

#include <stdatomic.h>

#include "core/range.h"

#define RFS_MEDIUM_PAGE	    4096u	/* what the page cache fails in */
#define RFS_MEDIUM_STEP	    (64u << 10) /* of a request: the first one, */
#define RFS_MEDIUM_STEP_MAX (1u << 20)	/* and the largest */

struct rfs_medium {
	int fd; /* with O_DIRECT or not; not owned */
	uint64_t size;
	unsigned int mem_align; /* of a buffer to read into */
	atomic_uint granule;	/* offsets and lengths are multiples of it */
	atomic_uint step; /* bytes in the next request, see rfs_medium_step */
	_Atomic uint64_t clean; /* bytes that came since the last error; enough
				 * for the largest request before the first */
};

/* Nothing is read. */
void rfs_medium_init(struct rfs_medium *m, int fd, uint64_t size);

/* As a reader's read, with 'bad' empty at the call.  *reterr_errnum is why
 * the first of the bad ranges failed, 0 if the file now ends before it. */
int rfs_medium_read(struct rfs_medium *m, struct rfs_range range, void *buf,
		    struct rfs_ranges *bad, int *reterr_errnum);

/* The bytes of a request when so many came since the last error.  One that fails
 * costs a request for each sector in it: if errors are n sectors apart, requests of
 * the root of n are the best, as what a request costs at all is about the same.
 * The distance from the last error has to do for n. */
unsigned int rfs_medium_step_after(uint64_t clean);

/* Bytes of the next request. */
unsigned int rfs_medium_step(struct rfs_medium *m);

/* A request of 'len' bytes was delivered: the next may be twice as large.  After one
 * that was not it is small, and grows slowly. */
void rfs_medium_went_well(struct rfs_medium *m, unsigned int len);
void rfs_medium_went_wrong(struct rfs_medium *m);

/* The medium was not asked: the next request is small, and grows as it did. */
void rfs_medium_begin_anew(struct rfs_medium *m);

/* After EINVAL for units of 'tried' bytes: the file system wants larger ones, or
 * takes no direct reads after all. */
void rfs_medium_give_way(struct rfs_medium *m, unsigned int tried);

/* True if the medium failed, and not the request or this machine. */
bool rfs_medium_failed(int errnum);

#endif /* RESCUEFS_READERS_FILE_MEDIUM_H */
