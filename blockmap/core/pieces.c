// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/pieces.h"

#include <errno.h>

int rfs_pieces_add(struct rfs_pieces *pieces, int fd, struct rfs_range range)
{
	struct rfs_piece *last;

	if (!range.len)
		return 0;
	if (pieces->count) {
		last = &pieces->items[pieces->count - 1];
		if (last->fd == fd && rfs_range_end(last->range) == range.off) {
			last->range.len += range.len;
			return 0;
		}
	}
	if (pieces->count == RFS_PIECES_MAX)
		return -E2BIG;
	pieces->items[pieces->count++] = (struct rfs_piece){ fd, range };
	return 0;
}
