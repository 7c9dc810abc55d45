// SPDX-License-Identifier: GPL-3.0-or-later
/* Compressed clusters that lie in one another.
 *
 * They share clusters of the file by right, and even a sector: where one ends within
 * a sector the next may begin.  But an entry tells all sectors that its bytes are in,
 * so all bytes before the last of them are its own.  Where another begins among these,
 * or where it does itself, one of the two entries is wrong.  It may well unpack, and
 * then shows what is another's.
 */
#include "readers/qcow2_census.h"

#include <stdlib.h>

#include "core/vec.h"

#define ENTRIES_MAX                                                            \
	(8u << 20) /* 64 MiB of them; more are not held against each
				* other */
/* An entry as a number: its first byte, which the census' bound on the file keeps
 * below 2^51, and behind it its sectors, which are 8192 at the most. */
#define SECTORS_BITS 13

static uint64_t start_of(uint64_t item)
{
	return item >> SECTORS_BITS;
}

/* Where its last sector begins: up to there the bytes are its own. */
static uint64_t own_end(uint64_t item)
{
	uint64_t more = item & ((1u << SECTORS_BITS) - 1);

	return (start_of(item) / RFS_SECTOR + more) * RFS_SECTOR;
}

void rfs_qcow2_note_packed(struct rfs_qcow2_packed *p, uint64_t off,
			   uint32_t len)
{
	uint64_t more = (off % RFS_SECTOR + len - 1) / RFS_SECTOR;

	if (p->is_cut || off >> (64 - SECTORS_BITS) || more >> SECTORS_BITS)
		return;
	if (p->count == ENTRIES_MAX || RFS_VEC_ROOM(p) < 0)
		p->is_cut = true;
	else
		p->items[p->count++] = off << SECTORS_BITS | more;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static bool lies_in(uint64_t item, uint64_t before)
{
	return start_of(item) == start_of(before) ||
	       start_of(item) < own_end(before);
}

static void give_back(struct rfs_qcow2_packed *p)
{
	uint64_t *fewer = NULL;

	if (p->count)
		fewer = realloc(p->items, p->count * sizeof(*p->items));
	else
		free(p->items);
	if (fewer || !p->count)
		p->items = fewer;
}

void rfs_qcow2_find_overlaps(struct rfs_qcow2_packed *p)
{
	size_t n = p->is_cut ? 0 : p->count;
	uint64_t furthest = 0, item;
	bool is_in = false, holds;

	p->count = 0;
	if (n)
		qsort(p->items, n, sizeof(*p->items), compare);
	for (size_t i = 0; i < n; i++) {
		item = p->items[i];
		/* In the one that reaches furthest of those before, or the next in
		 * this one. */
		is_in = i && (lies_in(item, furthest) || is_in);
		holds = i + 1 < n && lies_in(p->items[i + 1], item);
		if (is_in || holds)
			p->items[p->count++] = item;
		if (!i || own_end(item) > own_end(furthest))
			furthest = item;
		/* The same start again, though another reaches further. */
		is_in = holds && start_of(p->items[i + 1]) == start_of(item);
	}
	give_back(p);
}

static int compare_start(const void *key, const void *item)
{
	const uint64_t *off = key, *at = item;

	return (*off > start_of(*at)) - (*off < start_of(*at));
}

bool rfs_qcow2_is_overlapping(const struct rfs_qcow2_packed *p, uint64_t off)
{
	return p->count && bsearch(&off, p->items, p->count, sizeof(*p->items),
				   compare_start);
}
