/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rescue_map.h - what is known of a damaged file, from and to GNU ddrescue.
 *
 * A mapfile of the file itself, and an image with its bytes at their places:
 * with both a rescue that one of the two programs began is carried on by the
 * other.  '+' is what is kept, and holes; '-' bad; '*' in a request that
 * failed, or late; '/' the same with trimmed edges; '?' not asked for.
 */
#ifndef RESCUEFS_READERS_RESCUE_MAP_H
#define RESCUEFS_READERS_RESCUE_MAP_H

#include "core/mapfile.h"
#include "readers/rescue.h"

/* 'file' is a reader of a rescue; nothing of it is read. */
int rfs_rescue_map(struct rfs_reader *file, struct rfs_mapfile *ret,
		   struct rfs_error *err);

/* Writes what is kept into 'fd', a regular file, at its places, and gives it the
 * file's size; what is there else stays.  'name' is for messages. */
int rfs_rescue_write_image(struct rfs_reader *file, int fd, const char *name,
			   struct rfs_error *err);

struct rfs_rescue_taken {
	uint64_t kept; /* bytes that were not known before */
	uint64_t bad, pending;
};

/* Takes over what 'map' says, with the bytes of '+' from 'fd'; what is kept
 * already stays.  -EINVAL, and then nothing is taken: the map goes beyond the
 * end of the file, or the image is shorter than what the map says is in it. */
int rfs_rescue_take(struct rfs_reader *file, const struct rfs_mapfile *map,
		    int fd, const char *name, struct rfs_rescue_taken *ret,
		    struct rfs_error *err);

#endif /* RESCUEFS_READERS_RESCUE_MAP_H */
