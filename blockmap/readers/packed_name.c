// SPDX-License-Identifier: GPL-3.0-or-later
/* packed_name.c - what the name of a file tells of its compression. */
#include <string.h>

#include "readers/readers.h"

static const struct {
	const char *ending;
	enum rfs_packing packing;
} endings[] = {
	{ ".gz", RFS_PACKED_GZ },
	{ ".xz", RFS_PACKED_XZ },
	{ ".zst", RFS_PACKED_ZST },
	{ ".bz2", RFS_PACKED_BZ2 },
};

size_t rfs_packed_strip(const char *name, enum rfs_packing *ret)
{
	enum rfs_packing packing = RFS_PACKED_NOT;
	size_t len = strlen(name), end, left = len;

	for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++) {
		end = strlen(endings[i].ending);
		if (len <= end || name[len - end - 1] == '/' ||
		    strcmp(name + len - end, endings[i].ending) != 0)
			continue;
		packing = endings[i].packing;
		left = len - end;
	}
	if (ret)
		*ret = packing;
	return left;
}
