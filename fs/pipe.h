/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pipe.h - answers for the page cache that this process never has in memory.
 *
 * The pages of a source's file go into a pipe, and from there to the kernel's
 * request: they are copied once instead of twice.  What is not as it should be
 * is seen before anything goes to the kernel, and the request is then answered
 * from memory.
 */
#ifndef RESCUEFS_FS_PIPE_H
#define RESCUEFS_FS_PIPE_H

#include <fuse_lowlevel.h>

#include "core/pieces.h"
#include "core/range.h"

struct fuse_out_header;
struct rfs_front;
struct rfs_handle;

/* One a thread; empty whenever no answer is on its way. */
struct rfs_pipe {
	int in, out;  /* -1: there is none to be had */
	size_t slots; /* of a page at the most, each */
};

/* As large as the largest answer wants it, or as this user may have it; it may
 * have no room at all.  NULL without memory. */
struct rfs_pipe *rfs_pipe_open(void);
/* Takes a struct rfs_pipe, or NULL. */
void rfs_pipe_close(void *pipe);

/* Puts the header and all bytes of the pieces in, or returns false and leaves it
 * empty: there is no room, a file has become shorter or cannot be read. */
bool rfs_pipe_fill(struct rfs_pipe *p, const struct fuse_out_header *head,
		   const struct rfs_pieces *pieces);

/* Drops what is in it. */
void rfs_pipe_empty(struct rfs_pipe *p);

/* Answers a read, or returns false: it is still to be answered. */
bool rfs_pipe_reply(struct rfs_front *front, fuse_req_t req,
		    const struct rfs_handle *h, struct rfs_range range);

#endif /* RESCUEFS_FS_PIPE_H */
