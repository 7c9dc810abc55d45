/* SPDX-License-Identifier: GPL-3.0-or-later */
/* extfs.h - one filesystem of a disk, opened, with what is damaged of its
 * superblock and descriptors made good from the spare copies.
 *
 * libext2fs is used for what it knows without reading: layout, features, byte
 * order, checksums.  Bitmaps, inode tables and blocks are read here, as its own
 * scans end at the first thing that is wrong.
 *
 * One thread at a time.
 */
#ifndef RESCUEFS_EXT_EXTFS_H
#define RESCUEFS_EXT_EXTFS_H

#include "ext/io.h"

/* Of a group, how its descriptor came about. */
enum rfs_group_state {
	RFS_GROUP_GOOD,	 /* read, and right by its checksum if it has one */
	RFS_GROUP_SPARE, /* from a spare copy: where things are, not more */
	RFS_GROUP_LOST,	 /* none that makes sense */
};

struct rfs_extfs {
	struct rfs_ext_io io; /* first: its address is the channel's */
	ext2_filsys fs;
	_Alignas(8) uint8_t
		super[RFS_EXT_SUPER_LEN]; /* the spare one, if it is used */
	uint8_t *groups;		  /* an enum rfs_group_state each */
	/* The first superblock cannot be read, or makes no sense. */
	bool is_super_spare;
	/* It can, and fails its checksum. */
	bool is_super_wrong;
};

/* The filesystem that fills 'range' of the disk, or begins there.  -ENOTSUP if
 * there is none that this can read; then *ret_is_ext says whether there seems
 * to be one all the same, with the reason in 'err'. */
int rfs_extfs_open(struct rfs_reader *disk, struct rfs_range range,
		   struct rfs_extfs **ret, bool *ret_is_ext,
		   struct rfs_error *err);
void rfs_extfs_close(struct rfs_extfs *x); /* NULL is accepted */

/* Blocks as ranges of the partition, cut to the filesystem. */
struct rfs_range rfs_extfs_blocks(const struct rfs_extfs *x, uint64_t blk,
				  uint64_t nblk);

/* Bytes that the filesystem spans, from the partition's beginning. */
uint64_t rfs_extfs_size(const struct rfs_extfs *x);
/* And that it would span behind the partition's end. */
uint64_t rfs_extfs_missing(const struct rfs_extfs *x);

/* What a group's own tables are. */
enum rfs_table_part {
	RFS_PART_SUPER, /* a superblock, the first or a spare one */
	RFS_PART_DESCRIPTORS,
	RFS_PART_RESERVED, /* room for more descriptors */
	RFS_PART_BLOCK_BITMAP,
	RFS_PART_INODE_BITMAP,
	RFS_PART_INODES, /* the group's part of the inode table */
};

struct rfs_table_range {
	struct rfs_range range; /* in bytes of the partition */
	enum rfs_table_part part;
	uint32_t group;
};

/* Zero it to begin. */
struct rfs_table_ranges {
	struct rfs_table_range *items;
	size_t count;
	size_t room;
};

/* All groups' tables, ascending. */
int rfs_extfs_tables(const struct rfs_extfs *x, struct rfs_table_ranges *ret,
		     struct rfs_error *err);

/* How many inodes of a group's table may be in use. */
uint32_t rfs_extfs_inodes(const struct rfs_extfs *x, dgrp_t group);

/* Reads the block bitmap of a group into 'bits' (a block's size): one bit a
 * cluster, set where it is in use.  1: it cannot be read or is wrong, and
 * 'bits' says what was read; what was bad is appended to 'bad', which may be
 * NULL. */
int rfs_extfs_block_bitmap(struct rfs_extfs *x, dgrp_t group, uint8_t *bits,
			   struct rfs_ranges *bad, struct rfs_error *err);

#endif /* RESCUEFS_EXT_EXTFS_H */
