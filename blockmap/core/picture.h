/* SPDX-License-Identifier: GPL-3.0-or-later */
/* picture.h - a disk as a row of cells, of which each shows the worst that is in
 * its range: one lost sector is seen in a picture of any size.
 */
#ifndef RESCUEFS_CORE_PICTURE_H
#define RESCUEFS_CORE_PICTURE_H

#include "core/report.h"

/* What a cell can be: a state, and who gave it. */
struct rfs_picture_key {
	enum rfs_block_state state;
	/* Of a local block: lost or stale, if it was; else equal to 'state'. */
	enum rfs_block_state was;
	const struct rfs_origin *origin;    /* NULL: nobody */
	const struct rfs_origin *healed_by; /* NULL: it is not */
	const struct rfs_origin *suspect;   /* NULL: all are of one mind */
	uint64_t bytes;			    /* on the whole disk */
};

/* Zero it to begin; it owns what it points to. */
struct rfs_picture {
	uint64_t size;		       /* of the disk */
	uint64_t unit;		       /* bytes a cell, a multiple of 512 */
	size_t ncells;		       /* the last one may be shorter */
	uint32_t *cells;	       /* indexes of keys */
	struct rfs_picture_key *items; /* the keys, worst first */
	size_t count;
	size_t room;
};

/* In as many cells as fit 'max_cells' (at least 1).  -ENOMEM. */
int rfs_picture_make(const struct rfs_report *report, size_t max_cells,
		     struct rfs_picture *ret, struct rfs_error *err);
void rfs_picture_fini(struct rfs_picture *picture);

/* The part of the disk that a cell shows. */
struct rfs_range rfs_picture_range(const struct rfs_picture *picture,
				   size_t cell);

#endif /* RESCUEFS_CORE_PICTURE_H */
