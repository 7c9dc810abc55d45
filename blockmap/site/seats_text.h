/* SPDX-License-Identifier: GPL-3.0-or-later */
/* seats_text.h - where the bytes of a disk lie, as a mount tells another process.
 *
 * Piece by piece, as a disk may lie in very many places.  A line a seat: offset
 * and length on the disk, offset there, and a digest of whose bytes they are; what
 * is in no line cannot be told.  The last line is where the next piece begins.
 */
#ifndef RESCUEFS_SITE_SEATS_TEXT_H
#define RESCUEFS_SITE_SEATS_TEXT_H

#include "core/reader.h"

/* Where a mount gives a piece: behind it, "0.1073741824", the range in bytes that
 * is asked for, from its beginning to its end. */
#define RFS_SEATS_XATTR "seats."
#define RFS_SEATS_ROOM	32768 /* a piece's text is shorter */

/* The first piece of the range that 'words' name.  The caller frees *ret.  -EINVAL:
 * they name none of this disk. */
int rfs_seats_piece(struct rfs_reader *rd, const char *words, char **ret,
		    struct rfs_error *err);

/* Names of whose bytes there are, that stay where they are; zero it to begin. */
struct rfs_seats_names {
	char **items;
	size_t count, room;
};

void rfs_seats_names_fini(struct rfs_seats_names *names);

/* Appends what a piece for 'range' tells, without gaps.  What 'out' points to is in
 * 'names'.  *ret_next is where the next piece begins: the range's end after the
 * last.  -EBADMSG: it is no such text. */
int rfs_seats_parse(const char *piece, struct rfs_range range,
		    struct rfs_seats_names *names, struct rfs_seats *out,
		    uint64_t *ret_next, struct rfs_error *err);

#endif /* RESCUEFS_SITE_SEATS_TEXT_H */
