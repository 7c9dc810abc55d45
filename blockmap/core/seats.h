/* SPDX-License-Identifier: GPL-3.0-or-later */
/* seats.h - where bytes lie in the end: whose row of bytes, and from where on.
 *
 * Two disks that stand on the same base image have the same bytes where both
 * leave it to that; who compares them need not read those.
 */
#ifndef RESCUEFS_CORE_SEATS_H
#define RESCUEFS_CORE_SEATS_H

#include "core/range.h"

struct rfs_seat {
	struct rfs_range range;
	/* The identity of a reader below, that lives as long as the reader that
	 * was asked; NULL: it cannot be told. */
	const char *of;
	uint64_t off; /* there */
};

/* Zero it to begin; it owns 'items'. */
struct rfs_seats {
	struct rfs_seat *items;
	size_t count;
	size_t room;
};

/* Appends; joined to the last one where it goes on there.  0 or -ENOMEM. */
int rfs_seats_add(struct rfs_seats *list, struct rfs_range range,
		  const char *of, uint64_t off);
void rfs_seats_clear(struct rfs_seats *list); /* keeps the memory */
void rfs_seats_fini(struct rfs_seats *list);

#endif /* RESCUEFS_CORE_SEATS_H */
