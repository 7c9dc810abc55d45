// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/range.h"

#include <stdlib.h>

#include "core/vec.h"

int rfs_ranges_add(struct rfs_ranges *list, struct rfs_range range)
{
	struct rfs_range *last;
	int r;

	if (!range.len)
		return 0;
	if (list->count) {
		last = &list->items[list->count - 1];
		if (range.off >= last->off &&
		    range.off <= rfs_range_end(*last)) {
			if (rfs_range_end(range) > rfs_range_end(*last))
				last->len = rfs_range_end(range) - last->off;
			return 0;
		}
	}
	r = RFS_VEC_ROOM(list);
	if (r < 0)
		return r;
	list->items[list->count++] = range;
	return 0;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct rfs_range *x = a, *y = b;

	return (x->off > y->off) - (x->off < y->off);
}

void rfs_ranges_sort(struct rfs_ranges *list)
{
	struct rfs_ranges out = { .items = list->items, .room = list->room };

	if (!list->count)
		return;
	qsort(list->items, list->count, sizeof(*list->items), compare_ranges);
	for (size_t i = 0; i < list->count; i++)
		rfs_ranges_add(&out, list->items[i]); /* never grows */
	list->count = out.count;
}

void rfs_ranges_clear(struct rfs_ranges *list)
{
	list->count = 0;
}

void rfs_ranges_fini(struct rfs_ranges *list)
{
	free(list->items);
	*list = (struct rfs_ranges){ 0 };
}

uint64_t rfs_ranges_total(const struct rfs_ranges *list)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < list->count; i++)
		sum += list->items[i].len;
	return sum;
}
