/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kept.h - the bytes of a damaged copy's file, as they were rescued: for whoever
 * wants to read them in another way than the readers do.
 *
 * The file itself is not touched.  A mount gives them as text, in an attribute of
 * the image.
 */
#ifndef RESCUEFS_SITE_KEPT_H
#define RESCUEFS_SITE_KEPT_H

#include "core/range.h"
#include "core/state.h"
#include "site/inventory.h"

/* Behind it stands what rfs_kept_ask says. */
#define RFS_KEPT_XATTR "kept."
#define RFS_KEPT_ROOM  65536 /* the text is shorter */
/* Bytes at a time, at the most. */
#define RFS_KEPT_PIECE ((uint64_t)30 << 10)

/* What is kept at the start of a range. */
struct rfs_kept_piece {
	uint64_t len; /* up to here all is alike */
	bool is_kept; /* and can be read; else 'bytes' say nothing */
	uint8_t bytes[RFS_KEPT_PIECE];
};

/* 'range' is of the copy's file, not empty, and at most RFS_KEPT_PIECE. */
int rfs_kept_read(struct rfs_state *state, const struct rfs_copy *copy,
		  struct rfs_range range, struct rfs_kept_piece *ret,
		  struct rfs_error *err);

/* The same through a mount: the question, its answer (-EINVAL: it is no question
 * about this disk), and what that means (-EBADMSG: it makes no sense).  The
 * caller frees *ret. */
int rfs_kept_ask(const struct rfs_copy *copy, struct rfs_range range,
		 char **ret, struct rfs_error *err);
int rfs_kept_answer(struct rfs_state *state, const struct rfs_disk *disk,
		    const char *question, char **ret, struct rfs_error *err);
int rfs_kept_understand(const char *answer, struct rfs_range range,
			struct rfs_kept_piece *ret, struct rfs_error *err);

#endif /* RESCUEFS_SITE_KEPT_H */
