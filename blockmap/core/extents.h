/* SPDX-License-Identifier: GPL-3.0-or-later */
/* extents.h - what is known of a row of bytes without reading it. */
#ifndef RESCUEFS_CORE_EXTENTS_H
#define RESCUEFS_CORE_EXTENTS_H

#include "core/range.h"

enum rfs_content {
	RFS_DATA,    /* has storage: must be read */
	RFS_HOLE,    /* known to be zero, without storage */
	RFS_UNKNOWN, /* nothing can say: a table was unreadable (P3) */
};

struct rfs_extent {
	struct rfs_range range;
	enum rfs_content content;
};

/* Zero it to begin; it owns 'items'. */
struct rfs_extents {
	struct rfs_extent *items;
	size_t count;
	size_t room;
};

/* Appends; joined to the last one where they touch and are alike.
 * Returns 0 or -ENOMEM. */
int rfs_extents_add(struct rfs_extents *list, struct rfs_range range,
		    enum rfs_content content);
void rfs_extents_clear(struct rfs_extents *list); /* keeps the memory */
void rfs_extents_fini(struct rfs_extents *list);

#endif /* RESCUEFS_CORE_EXTENTS_H */
