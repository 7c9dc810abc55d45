/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare.h - two rows of bytes, side by side.
 *
 * What both are known to be without reading is not read: holes of both, and
 * what lies at the same seat of the same file below (seats.h).  All else is read
 * by a few threads and compared.
 */
#ifndef RESCUEFS_CORE_COMPARE_H
#define RESCUEFS_CORE_COMPARE_H

#include "core/extmap.h"
#include "core/reader.h"

enum rfs_likeness {
	RFS_EQUAL, /* the value of a byte of which the map says nothing */
	RFS_DIFFERENT,
	/* Zero without storage in one, and something else in the other. */
	RFS_HOLE_IN_A,
	RFS_HOLE_IN_B,
	RFS_UNREADABLE_IN_A,
	RFS_UNREADABLE_IN_B,
	RFS_UNREADABLE_IN_BOTH,
	/* Behind the end of the other. */
	RFS_ONLY_IN_A,
	RFS_ONLY_IN_B,
	RFS_LIKENESSES,
};

#define RFS_COMPARE_BLOCK_MAX (UINT64_C(1) << 30)

struct rfs_compare_config {
	struct rfs_reader *a, *b;
	/* The unit of difference, a power of two up to RFS_COMPARE_BLOCK_MAX: a
	 * block that differs in one byte differs. */
	uint64_t block;
	bool read_shared; /* what both have from the same seat, too */
	/* May be NULL.  Called by the thread that called rfs_compare. */
	void (*progress)(void *data, uint64_t done, uint64_t total,
			 uint64_t unreadable);
	void *data;
};

/* Zero it to begin; it owns the map. */
struct rfs_comparison {
	uint64_t size_a, size_b;
	struct rfs_extmap map; /* enum rfs_likeness */
	/* Bytes; of the larger size. */
	uint64_t totals[RFS_LIKENESSES];
	/* Of the equal ones: what was not read, for the same bytes below, and
	 * for being a hole in both. */
	uint64_t shared, holes;
};

/* -ENOMEM and the like; what cannot be read is no error. */
int rfs_compare(const struct rfs_compare_config *config,
		struct rfs_comparison *ret, struct rfs_error *err);
void rfs_comparison_fini(struct rfs_comparison *c);

/* The run at 'off', to the end of the larger one at the most. */
struct rfs_run rfs_comparison_find(const struct rfs_comparison *c,
				   uint64_t off);
uint64_t rfs_comparison_size(const struct rfs_comparison *c);
bool rfs_comparison_is_equal(const struct rfs_comparison *c);

/* "equal", "different", "hole in A", ... */
const char *rfs_likeness_name(enum rfs_likeness likeness);

#endif /* RESCUEFS_CORE_COMPARE_H */
