/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tree.h - the static part of the mount: all but what lies below hosts/HOST/.
 *
 * Built once from the inventory, without touching a source, and unchanged from
 * then on: any thread may walk it without a lock.
 */
#ifndef RESCUEFS_FS_TREE_H
#define RESCUEFS_FS_TREE_H

#include "fs/node.h"
#include "site/open.h"

struct rfs_tree {
	const struct rfs_inventory *inv;
	struct rfs_opener *op;
	struct rfs_node *root;
	uint64_t last_ino;
	/* Every disk's image, for whoever keeps and closes them. */
	struct rfs_image **images;
	size_t nimages;
};

/* 'inv' and 'op' outlive it.  A name that cannot stand in a directory, or
 * stands there already, is left out, with a note. */
int rfs_tree_build(struct rfs_tree *tree, const struct rfs_inventory *inv,
		   struct rfs_opener *op, struct rfs_error *err);

/* Closes the images, after keeping what is known of them.  Each failure is
 * told to 'each'; the first is returned, with its text in 'err'. */
int rfs_tree_fini(struct rfs_tree *tree, void (*each)(const char *text),
		  struct rfs_error *err);

/* NULL if there is none. */
struct rfs_node *rfs_tree_find(const struct rfs_node *dir, const char *name);

#endif /* RESCUEFS_FS_TREE_H */
