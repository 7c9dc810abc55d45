// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/extents.h"

#include <stdlib.h>

#include "core/vec.h"

int rfs_extents_add(struct rfs_extents *list, struct rfs_range range,
		    enum rfs_content content)
{
	struct rfs_extent *last;
	int r;

	if (!range.len)
		return 0;
	if (list->count) {
		last = &list->items[list->count - 1];
		if (last->content == content &&
		    rfs_range_end(last->range) == range.off) {
			last->range.len += range.len;
			return 0;
		}
	}
	r = RFS_VEC_ROOM(list);
	if (r < 0)
		return r;
	list->items[list->count++] = (struct rfs_extent){ range, content };
	return 0;
}

void rfs_extents_clear(struct rfs_extents *list)
{
	list->count = 0;
}

void rfs_extents_fini(struct rfs_extents *list)
{
	free(list->items);
	*list = (struct rfs_extents){ 0 };
}
