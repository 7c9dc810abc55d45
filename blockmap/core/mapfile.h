/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mapfile.h - GNU ddrescue's mapfile, so that its tools read our maps.
 *
 * The format is described in the ddrescue manual, "Mapfile structure": comment
 * lines with '#', a status line (current position, status, pass), then one
 * line a block: position, size, status, in decimal, 0x hexadecimal or octal.
 */
#ifndef RESCUEFS_CORE_MAPFILE_H
#define RESCUEFS_CORE_MAPFILE_H

#include <stdio.h>

#include "core/error.h"
#include "core/range.h"

struct rfs_mapfile_block {
	struct rfs_range range;
	char status; /* ? not tried, * not trimmed, / not scraped, - bad,
		      * + finished */
};

/* Zero it to begin; it owns 'items', which are in order, without gaps. */
struct rfs_mapfile {
	uint64_t current_pos;
	char current_status; /* ? * / - F G +; 0 is written as + */
	struct rfs_mapfile_block *items;
	size_t count;
	size_t room;
};

/* Appends; joined to the last one where they touch and are alike. */
int rfs_mapfile_add(struct rfs_mapfile *map, struct rfs_range range,
		    char status);
void rfs_mapfile_fini(struct rfs_mapfile *map);

/* 'comment' may be NULL or hold several lines. -EIO if 'out' failed. */
int rfs_mapfile_write(const struct rfs_mapfile *map, const char *comment,
		      FILE *out, struct rfs_error *err);

/* Reads a mapfile; 'name' is for messages.  Numbers that do not fit, blocks
 * out of order and gaps are -EINVAL with the line. */
int rfs_mapfile_read(FILE *in, const char *name, struct rfs_mapfile *ret,
		     struct rfs_error *err);

#endif /* RESCUEFS_CORE_MAPFILE_H */
