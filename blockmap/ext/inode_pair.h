/* SPDX-License-Identifier: GPL-3.0-or-later */
/* inode_pair.h - the inodes of two filesystems of one geometry, number by
 * number.  Internal to ext/; one thread. */
#ifndef RESCUEFS_EXT_INODE_PAIR_H
#define RESCUEFS_EXT_INODE_PAIR_H

#include "ext/differences.h"
#include "ext/extfs.h"

struct rfs_inode_pair {
	uint32_t ino;
	struct rfs_file_side a, b;
	/* Both are there, and it is not the same file: another generation,
	 * type or time of creation. */
	bool is_replaced;
	/* The same file, with another size or time. */
	bool is_changed;
};

/* Calls 'each' for every number that is in use, or may be, on either side, the
 * root and the files, not the filesystem's own.  What 'each' returns but 0 ends
 * it. */
int rfs_inode_pairs(struct rfs_extfs *a, struct rfs_extfs *b,
		    int (*each)(void *data, const struct rfs_inode_pair *pair),
		    void *data, struct rfs_error *err);

#endif /* RESCUEFS_EXT_INODE_PAIR_H */
