/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pieces.h - which pieces of which open files a range's bytes are.
 *
 * For whoever can have bytes moved from there without having them in memory.  A
 * reader that looks at what it delivers, keeps it or waits for it has no
 * pieces, nor has what is not in a file as it is read: then it is to be read.
 */
#ifndef RESCUEFS_CORE_PIECES_H
#define RESCUEFS_CORE_PIECES_H

#include <stdint.h>

#include "core/range.h"

/* A range in so many pieces is rather read. */
#define RFS_PIECES_MAX 16

struct rfs_piece {
	int fd; /* not owned; read through the page cache */
	struct rfs_range
		range; /* of that file, which may have become shorter */
};

/* One after the other, they are the range.  Zero it to begin. */
struct rfs_pieces {
	struct rfs_piece items[RFS_PIECES_MAX];
	size_t count;
};

/* Joined to the last one where they touch.  0, or -E2BIG. */
int rfs_pieces_add(struct rfs_pieces *pieces, int fd, struct rfs_range range);

#endif /* RESCUEFS_CORE_PIECES_H */
