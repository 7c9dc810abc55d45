/* SPDX-License-Identifier: GPL-3.0-or-later */
/* walk.h - one pass over a filesystem: who owns the blocks that are asked for.
 *
 * Not a map of the disk: only what meets an asked range is kept, so that a
 * million files cost what is hit of them.  Inodes are read from the tables in
 * large pieces, extent trees and indirect blocks as they come, directories last
 * and in the order of the disk.
 *
 * Internal to ext/; one thread.
 */
#ifndef RESCUEFS_EXT_WALK_H
#define RESCUEFS_EXT_WALK_H

#include "core/extmap.h"
#include "ext/extfs.h"
#include "ext/losses.h"

/* A run of the disk that is asked for.  'label' says what it is: an index of
 * the caller's, which hits come back with. */
struct rfs_ask {
	struct rfs_range range; /* in bytes of the disk */
	uint32_t label;
};

/* Ascending, not overlapping. */
struct rfs_asks {
	struct rfs_ask *items;
	size_t count;
	size_t room;
};

/* Of something that is read, and fails its checksum. */
#define RFS_LABEL_WRONG UINT32_MAX

/* What one owner lost of one label. */
struct rfs_hit {
	uint64_t bytes;
	uint64_t first;	 /* where on the disk the first of them is */
	uint64_t behind; /* bytes of the file that can be reached through them
			  * only */
	uint32_t id;	 /* an inode; a group, for a group's tables; or 0 */
	uint32_t label;
	enum rfs_loss_kind kind;
};

struct rfs_hits {
	struct rfs_hit *items;
	size_t count;
	size_t room;
};

/* Blocks of a directory; none of one that is in its inode. */
struct rfs_dir_run {
	uint64_t blk;
	uint32_t nblk;
	uint32_t ino;
};

/* The first name that was found of an inode. */
struct rfs_name {
	uint32_t ino;
	uint32_t parent;
	uint64_t text; /* into the arena */
};

struct rfs_walk {
	struct rfs_extfs *x;
	const struct rfs_asks *asks;
	/* For rfs_walk_natures: no hits, but what each block is. */
	struct rfs_extmap *natures;
	struct rfs_error *err;

	struct rfs_hits hits;
	struct rfs_ranges covered; /* of the asked, what has an owner */
	uint32_t inodes;
	uint8_t *wanted;     /* a bit an inode: its name is needed */
	uint8_t *named;	     /* a bit an inode: it has one */
	uint8_t *doubted;    /* a bit an inode: in use only if it has a name */
	uint64_t nodes_left; /* nodes of trees: each block is one at the most */
	uint64_t dir_blocks_left;
	uint8_t *nodes; /* a block for each level of a tree */
	struct {
		struct rfs_dir_run *items;
		size_t count, room;
	} dirs;
	struct {
		struct rfs_name *items;
		size_t count, room;
	} names;
	struct {
		char *items;
		size_t count, room;
	} arena;
	/* The trees or directories lead in circles: the answer is not whole. */
	bool is_endless;
};

/* What meets 'range' (of the partition) belongs to 'id'.  Returns whether any
 * did: 0 or 1, or -ENOMEM. */
int rfs_walk_hit(struct rfs_walk *w, struct rfs_range range,
		 enum rfs_loss_kind kind, uint32_t id);
/* It is read, and it is wrong. */
int rfs_walk_wrong(struct rfs_walk *w, struct rfs_range range,
		   enum rfs_loss_kind kind, uint32_t id);

/* Reads blocks; 1: not all of it can be read. */
int rfs_walk_read(struct rfs_walk *w, uint64_t blk, uint64_t nblk, void *buf);

/* The blocks of one inode, which is as on the disk. */
int rfs_walk_inode_blocks(struct rfs_walk *w, uint32_t ino,
			  const struct ext2_inode_large *inode);

/* All groups' tables, then all inodes. */
int rfs_walk_tables(struct rfs_walk *w);
int rfs_walk_inodes(struct rfs_walk *w);
/* Directories: their checksums, and names of what is wanted. */
int rfs_walk_dirs(struct rfs_walk *w);
/* What nothing owns: free, or in use by nobody knows whom. */
int rfs_walk_rest(struct rfs_walk *w);

/* All of it.  Hits come sorted, one for each kind, id and label. */
int rfs_walk_run(struct rfs_walk *w, struct rfs_extfs *x,
		 const struct rfs_asks *asks, struct rfs_error *err);
/* What the filesystem's blocks are, by tables that are right; names are not
 * looked for.  Sets RFS_IS_DATA for contents of files, RFS_IS_TABLE for all else
 * that has an owner, also where both say it is theirs. */
enum rfs_block_nature {
	RFS_IS_DATA = 1,
	RFS_IS_TABLE = 2,
};
int rfs_walk_natures(struct rfs_walk *w, struct rfs_extfs *x,
		     struct rfs_extmap *natures, struct rfs_error *err);
/* The same, and the names of inodes that have a bit in 'wanted' too, which is as
 * long as the filesystem has inodes. */
int rfs_walk_run_for(struct rfs_walk *w, struct rfs_extfs *x,
		     const struct rfs_asks *asks, const uint8_t *wanted,
		     struct rfs_error *err);
void rfs_walk_fini(struct rfs_walk *w);

/* "/srv/kept/1"; "#12/1" where a parent has no name.  The caller frees it; NULL
 * without memory. */
char *rfs_walk_path(const struct rfs_walk *w, uint32_t ino);

static inline bool rfs_bit(const uint8_t *bits, uint64_t n)
{
	return bits[n / 8] & 1 << (n % 8);
}

static inline void rfs_set_bit(uint8_t *bits, uint64_t n)
{
	bits[n / 8] |= (uint8_t)(1 << (n % 8));
}

#endif /* RESCUEFS_EXT_WALK_H */
