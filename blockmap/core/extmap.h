/* SPDX-License-Identifier: GPL-3.0-or-later */
/* extmap.h - a number for each byte of a disk, kept as extents.
 *
 * Provenance, overlay and bad sectors are all this: long runs of equal values
 * and here and there a sector that differs.  A value of 0 means "nothing", and
 * is what every byte begins with.  Runs that touch and are equal are one run,
 * so that a disk read from start to end costs one extent.
 *
 * Kept as an array of leaves of up to RFS_EXTMAP_LEAF runs each, ordered: a
 * look-up is two binary searches and a change moves one leaf's runs, also
 * with a million of them.  The array has each leaf's end, so that the first
 * search touches no leaf.
 *
 * No lock: the owner says who may call.
 */
#ifndef RESCUEFS_CORE_EXTMAP_H
#define RESCUEFS_CORE_EXTMAP_H

#include "core/range.h"

#define RFS_EXTMAP_LEAF 256

struct rfs_run {
	struct rfs_range range;
	uint32_t value;
};

struct rfs_extmap_leaf;

struct rfs_extmap_item {
	uint64_t end; /* of the leaf's last run */
	struct rfs_extmap_leaf *leaf;
};

/* Zero it to begin. */
struct rfs_extmap {
	struct rfs_extmap_item *items;
	size_t count; /* of leaves, none of them empty */
	size_t room;
	size_t runs;
	/* Leaves for the next change, so that most changes allocate nothing. */
	struct rfs_extmap_leaf *spare[2];
};

/* Sets every byte of 'range'.  0, or -ENOMEM with the map as it was. */
int rfs_extmap_set(struct rfs_extmap *map, struct rfs_range range,
		   uint32_t value);

/* The run that holds 'off', or with value 0 the gap around it, which ends at
 * the next run or at RFS_SIZE_MAX. */
struct rfs_run rfs_extmap_find(const struct rfs_extmap *map, uint64_t off);

/* The same, cut to what of it lies in 'within'; 'off' must lie there. */
struct rfs_run rfs_extmap_find_in(const struct rfs_extmap *map, uint64_t off,
				  struct rfs_range within);

/* True if all of 'range' has this value; an empty range has any. */
bool rfs_extmap_is(const struct rfs_extmap *map, struct rfs_range range,
		   uint32_t value);

/* Bytes that have some value but 0. */
uint64_t rfs_extmap_total(const struct rfs_extmap *map);

void rfs_extmap_fini(struct rfs_extmap *map);

#endif /* RESCUEFS_CORE_EXTMAP_H */
