// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/seats.h"

#include <stdlib.h>

#include "core/vec.h"

static bool goes_on(const struct rfs_seat *last, struct rfs_range range,
		    const char *of, uint64_t off)
{
	return last->of == of && rfs_range_end(last->range) == range.off &&
	       (!of || last->off + last->range.len == off);
}

int rfs_seats_add(struct rfs_seats *list, struct rfs_range range,
		  const char *of, uint64_t off)
{
	int r;

	if (!range.len)
		return 0;
	if (list->count &&
	    goes_on(&list->items[list->count - 1], range, of, off)) {
		list->items[list->count - 1].range.len += range.len;
		return 0;
	}
	r = RFS_VEC_ROOM(list);
	if (r < 0)
		return r;
	list->items[list->count++] = (struct rfs_seat){ range, of, off };
	return 0;
}

void rfs_seats_clear(struct rfs_seats *list)
{
	list->count = 0;
}

void rfs_seats_fini(struct rfs_seats *list)
{
	free(list->items);
	*list = (struct rfs_seats){ 0 };
}
