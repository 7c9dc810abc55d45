/* SPDX-License-Identifier: GPL-3.0-or-later */
/* digests.h - whether what was rescued of a disk is still what was read.
 *
 * Piece by piece, so that a mount can be asked for it and nobody waits long.  No
 * source is asked for anything.
 */
#ifndef RESCUEFS_SITE_DIGESTS_H
#define RESCUEFS_SITE_DIGESTS_H

#include "core/range.h"
#include "core/state.h"
#include "site/inventory.h"

/* Where a mount gives a piece: behind it the position, "0.0" being the first. */
#define RFS_DIGESTS_XATTR "digests."
#define RFS_DIGESTS_ROOM  32768 /* a piece's text is shorter */

/* The next piece of the stores of a disk's damaged copies, and of the base images
 * rescued of the same sources: {"file", "checked", "damaged": [[offset, length]],
 * "next"}.  'position' is what "next" of the piece before was.  The caller frees
 * *ret.  -EINVAL: it is no position. */
int rfs_digests_piece(struct rfs_state *state, const struct rfs_disk *disk,
		      const char *position, char **ret, struct rfs_error *err);

/* One file's, all pieces together. */
struct rfs_digests_file {
	char *name; /* "bm0002:/var/lib/..." */
	uint64_t checked;
	struct rfs_ranges damaged;
};

/* Zero it to begin. */
struct rfs_digests_found {
	struct rfs_digests_file *items;
	size_t count, room;
};

/* Adds such a text.  *ret_next is the position of the next piece, which the
 * caller frees, or NULL at the end.  -EBADMSG: it is no such text. */
int rfs_digests_add(struct rfs_digests_found *found, const char *piece,
		    char **ret_next, struct rfs_error *err);
void rfs_digests_fini(struct rfs_digests_found *found);

#endif /* RESCUEFS_SITE_DIGESTS_H */
