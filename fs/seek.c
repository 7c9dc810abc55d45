// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <unistd.h>

#include "fs/handle.h"

/* The look ahead grows from one to the other: most answers are near, and a
 * large empty disk shall not cost a call a megabyte. */
#define WINDOW_FIRST (UINT64_C(1) << 20)
#define WINDOW_LAST  (UINT64_C(1) << 30)

static int extents_of(const struct rfs_handle *h, struct rfs_range range,
		      struct rfs_extents *out, struct rfs_error *err)
{
	if (h->view)
		return rfs_view_extents(h->view, range, out, err);
	if (h->reader)
		return rfs_reader_extents(h->reader, range, out, err);
	return rfs_extents_add(out, range, RFS_DATA);
}

/* The first byte of the kind that is wanted, or the list's end. */
static bool find_in(const struct rfs_extents *list, struct rfs_range within,
		    bool want_hole, uint64_t *ret_off)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct rfs_extent *ext = &list->items[i];
		struct rfs_range part = rfs_range_cut(ext->range, within);

		if (part.len && (ext->content == RFS_HOLE) == want_hole) {
			*ret_off = part.off;
			return true;
		}
	}
	return false;
}

int rfs_handle_seek(const struct rfs_handle *h, uint64_t off, int whence,
		    uint64_t *ret_off, struct rfs_error *err)
{
	uint64_t size = rfs_handle_size(h), len = WINDOW_FIRST;
	struct rfs_extents list = { 0 };
	bool found = false;
	int r = 0;

	if (off >= size)
		return -ENXIO;
	while (r == 0 && !found && off < size) {
		struct rfs_range window =
			rfs_range_cut(rfs_range(off, len), rfs_range(0, size));

		rfs_extents_clear(&list);
		r = extents_of(h, window, &list, err);
		if (r == 0)
			found = find_in(&list, window, whence == SEEK_HOLE,
					ret_off);
		off = rfs_range_end(window);
		if (len < WINDOW_LAST)
			len *= 2;
	}
	rfs_extents_fini(&list);
	if (r < 0 || found)
		return r;
	/* There is a hole at the end of every file. */
	if (whence != SEEK_HOLE)
		return -ENXIO;
	*ret_off = size;
	return 0;
}
