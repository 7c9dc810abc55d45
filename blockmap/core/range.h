/* SPDX-License-Identifier: GPL-3.0-or-later */
/* range.h - a run of bytes, and a list of such runs.
 *
 * Always half-open: 'off' is in it, 'off + len' is not.  Offsets and lengths
 * are bytes and stay below RFS_SIZE_MAX, so that sums of two never overflow;
 * whoever takes a number from an image checks that before making a range.
 */
#ifndef RESCUEFS_CORE_RANGE_H
#define RESCUEFS_CORE_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The largest size of anything: what off_t can hold. */
#define RFS_SIZE_MAX ((uint64_t)INT64_MAX)

/* The unit of choice: what a disk loses at the least. */
#define RFS_SECTOR 512u

struct rfs_range {
	uint64_t off;
	uint64_t len;
};

static inline struct rfs_range rfs_range(uint64_t off, uint64_t len)
{
	return (struct rfs_range){ off, len };
}

/* From one offset to another; empty when 'end' is not beyond 'off'. */
static inline struct rfs_range rfs_range_to(uint64_t off, uint64_t end)
{
	return (struct rfs_range){ off, end > off ? end - off : 0 };
}

static inline uint64_t rfs_range_end(struct rfs_range r)
{
	return r.off + r.len;
}

static inline struct rfs_range rfs_range_cut(struct rfs_range a,
					     struct rfs_range b)
{
	uint64_t off = a.off > b.off ? a.off : b.off;
	uint64_t ae = rfs_range_end(a), be = rfs_range_end(b);

	return rfs_range_to(off, ae < be ? ae : be);
}

/* True if 'r' lies within 'size' bytes, whatever numbers it holds. */
static inline bool rfs_range_fits(struct rfs_range r, uint64_t size)
{
	return r.off <= size && r.len <= size - r.off;
}

/* 'r' widened to multiples of 'unit', a power of two. */
static inline struct rfs_range rfs_range_widen(struct rfs_range r,
					       uint64_t unit)
{
	uint64_t off = r.off & ~(unit - 1);
	uint64_t end = (rfs_range_end(r) + unit - 1) & ~(unit - 1);

	return rfs_range_to(off, end);
}

/* A list of ranges.  Zero it to begin; it owns 'items'. */
struct rfs_ranges {
	struct rfs_range *items;
	size_t count;
	size_t room;
};

/* Appends; a range that touches or overlaps the last one is joined to it.
 * Returns 0 or -ENOMEM. */
int rfs_ranges_add(struct rfs_ranges *list, struct rfs_range range);
/* Ascending from then on, and those that touch or overlap joined. */
void rfs_ranges_sort(struct rfs_ranges *list);
void rfs_ranges_clear(struct rfs_ranges *list); /* keeps the memory */
void rfs_ranges_fini(struct rfs_ranges *list);
uint64_t rfs_ranges_total(const struct rfs_ranges *list);

#endif /* RESCUEFS_CORE_RANGE_H */
