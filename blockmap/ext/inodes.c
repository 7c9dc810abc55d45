// SPDX-License-Identifier: GPL-3.0-or-later
/* A filesystem's own tables, and all inodes in them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "ext/walk.h"

#define PIECE ((uint32_t)1 << 20) /* of an inode table, read at once */

/*
 * Tables.
 */

static enum rfs_loss_kind kind_of(const struct rfs_table_range *t)
{
	switch (t->part) {
	case RFS_PART_SUPER:
		return t->group ? RFS_LOSS_SPARE : RFS_LOSS_SUPER;
	case RFS_PART_DESCRIPTORS:
		return t->group ? RFS_LOSS_SPARE : RFS_LOSS_DESCRIPTORS;
	case RFS_PART_BLOCK_BITMAP:
		return RFS_LOSS_BLOCK_BITMAP;
	case RFS_PART_INODE_BITMAP:
		return RFS_LOSS_INODE_BITMAP;
	default:
		return RFS_LOSS_SPARE;
	}
}

static int hit_tables(struct rfs_walk *w)
{
	struct rfs_table_ranges tables = { 0 };
	uint64_t mmp = w->x->fs->super->s_mmp_block;
	int r = rfs_extfs_tables(w->x, &tables, w->err);

	for (size_t i = 0; i < tables.count && r >= 0; i++) {
		const struct rfs_table_range *t = &tables.items[i];

		if (t->part != RFS_PART_INODES)
			r = rfs_walk_hit(w, t->range, kind_of(t), t->group);
	}
	free(tables.items);
	if (r >= 0 && mmp && ext2fs_has_feature_mmp(w->x->fs->super))
		r = rfs_walk_hit(w, rfs_extfs_blocks(w->x, mmp, 1),
				 RFS_LOSS_SYSTEM, 0);
	/* The boot loader's block in front of the first. */
	if (r >= 0)
		r = rfs_walk_hit(w, rfs_range(0, RFS_EXT_SUPER_OFF),
				 RFS_LOSS_SPARE, 0);
	return r < 0 ? r : 0;
}

/* The descriptors' checksums: a group that fell back to a spare one, although
 * its own was read. */
static int check_descriptors(struct rfs_walk *w)
{
	ext2_filsys fs = w->x->fs;
	uint32_t size = EXT2_DESC_SIZE(fs->super);
	uint32_t each = fs->blocksize / size;
	RFS_CLEANUP_FREE uint8_t *buf = malloc(fs->blocksize);
	int r = 0;

	if (!buf)
		return rfs_no_memory(w->err);
	for (dgrp_t g = 0; g < fs->group_desc_count && r >= 0; g++) {
		struct rfs_range range;
		blk64_t blk;

		if (w->x->groups[g] == RFS_GROUP_GOOD)
			continue;
		blk = ext2fs_descriptor_block_loc2(
			fs, fs->super->s_first_data_block, g / each);
		r = rfs_walk_read(w, blk, 1, buf);
		if (r != 0)
			continue;
		range = rfs_extfs_blocks(w->x, blk, 1);
		range.off += (uint64_t)(g % each) * size;
		range.len = range.len ? size : 0;
		r = rfs_walk_wrong(w, range, RFS_LOSS_DESCRIPTORS, g);
	}
	return r < 0 ? r : 0;
}

static int check_block_bitmaps(struct rfs_walk *w)
{
	ext2_filsys fs = w->x->fs;
	RFS_CLEANUP_FREE uint8_t *bits = malloc(fs->blocksize);
	struct rfs_ranges bad = { 0 };
	int r = 0;

	if (!bits)
		return rfs_no_memory(w->err);
	for (dgrp_t g = 0; g < fs->group_desc_count && r >= 0; g++) {
		/* Of the others it cannot be told. */
		if (w->x->groups[g] != RFS_GROUP_GOOD)
			continue;
		rfs_ranges_clear(&bad);
		r = rfs_extfs_block_bitmap(w->x, g, bits, &bad, w->err);
		if (r == 1 && !bad.count)
			r = rfs_walk_wrong(
				w,
				rfs_extfs_blocks(w->x,
						 ext2fs_block_bitmap_loc(fs, g),
						 1),
				RFS_LOSS_BLOCK_BITMAP, g);
	}
	rfs_ranges_fini(&bad);
	return r < 0 ? r : 0;
}

int rfs_walk_tables(struct rfs_walk *w)
{
	int r = hit_tables(w);

	if (r == 0 && w->x->is_super_wrong)
		r = rfs_walk_wrong(
			w, rfs_range(RFS_EXT_SUPER_OFF, RFS_EXT_SUPER_LEN),
			RFS_LOSS_SUPER, 0);
	if (r == 0)
		r = check_descriptors(w);
	if (r == 0)
		r = check_block_bitmaps(w);
	return r;
}

/*
 * Inodes.
 */

struct table {
	struct rfs_walk *w;
	uint8_t *bits;	/* the group's inode bitmap */
	uint8_t *piece; /* of the table */
	bool is_known;	/* the bitmap is to be believed */
	uint32_t first_ino;
	uint64_t first; /* of the table, in bytes of the partition */
	uint32_t size;	/* of an inode */
};

/* Reads the inode bitmap of a group. */
static int load_bitmap(struct table *t, dgrp_t g)
{
	struct rfs_walk *w = t->w;
	ext2_filsys fs = w->x->fs;
	blk64_t blk = ext2fs_inode_bitmap_loc(fs, g);
	int r;

	t->is_known = true;
	memset(t->bits, 0, fs->blocksize);
	if (w->x->groups[g] == RFS_GROUP_GOOD &&
	    ext2fs_has_group_desc_csum(fs) &&
	    ext2fs_bg_flags_test(fs, g, EXT2_BG_INODE_UNINIT))
		return 0;
	r = rfs_walk_read(w, blk, 1, t->bits);
	if (r == 0 && w->x->groups[g] == RFS_GROUP_GOOD &&
	    ext2fs_has_feature_metadata_csum(fs->super) &&
	    !ext2fs_inode_bitmap_csum_verify(
		    fs, g, (char *)t->bits,
		    (int)(EXT2_INODES_PER_GROUP(fs->super) / 8))) {
		r = rfs_walk_wrong(w, rfs_extfs_blocks(w->x, blk, 1),
				   RFS_LOSS_INODE_BITMAP, g);
		r = r < 0 ? r : 1;
	}
	t->is_known = r == 0;
	return r < 0 ? r : 0;
}

static bool is_zero(const uint8_t *p, size_t len)
{
	while (len && !*p) {
		p++;
		len--;
	}
	return !len;
}

/* What is hit of one place of the table: an inode in use, one that may be, or
 * room for one. */
static int hit_slot(struct table *t, uint32_t at, bool is_in_use)
{
	struct rfs_walk *w = t->w;
	uint32_t ino = t->first_ino + at;
	struct rfs_range range =
		rfs_range(t->first + (uint64_t)at * t->size, t->size);
	bool is_marked = rfs_bit(t->bits, at);
	int r;

	if (!t->is_known && !is_in_use) {
		r = rfs_walk_hit(w, range, RFS_LOSS_INODE, ino);
		if (r > 0)
			rfs_set_bit(w->doubted, ino);
		return r < 0 ? r : 0;
	}
	r = is_in_use || is_marked ? rfs_walk_hit(w, range, RFS_LOSS_INODE, ino)
				   : rfs_walk_hit(w, range, RFS_LOSS_FREE, 0);
	return r < 0 ? r : 0;
}

/* One inode, as on the disk; 'is_whole': it was read. */
static int take_inode(struct table *t, uint32_t at, uint8_t *raw, bool is_whole)
{
	struct rfs_walk *w = t->w;
	struct ext2_inode_large *inode = (struct ext2_inode_large *)raw;
	bool is_marked = t->is_known && rfs_bit(t->bits, at);
	uint32_t ino = t->first_ino + at;
	bool is_in_use, is_wrong;
	int r;

	if (!is_whole)
		return hit_slot(t, at, false);
	is_in_use =
		inode->i_links_count != 0 &&
		(inode->i_mode != 0 || ino < EXT2_FIRST_INODE(w->x->fs->super));
	r = hit_slot(t, at, is_in_use);
	/* A bit without an inode is what a bitmap newer than the table has, or
	 * an inode that was zeroed; the reserved ones may be empty. */
	if (r < 0 || (!is_in_use && !is_marked))
		return r;
	is_wrong = !ext2fs_inode_csum_verify(w->x->fs, ino, inode);
	if (is_wrong &&
	    !(ino < EXT2_FIRST_INODE(w->x->fs->super) && is_zero(raw, t->size)))
		r = rfs_walk_wrong(
			w,
			rfs_range(t->first + (uint64_t)at * t->size, t->size),
			RFS_LOSS_INODE, ino);
	/* What it says of its blocks is told, but nothing follows from it. */
	if (r < 0 || !is_in_use || (is_wrong && w->natures))
		return r;
	if (LINUX_S_ISDIR(ext2fs_le16_to_cpu(inode->i_mode)))
		rfs_set_bit(w->wanted, ino);
	return rfs_walk_inode_blocks(w, ino, inode);
}

static int take_piece(struct table *t, uint32_t from, uint32_t n)
{
	struct rfs_walk *w = t->w;
	struct rfs_range range = rfs_range(t->first + (uint64_t)from * t->size,
					   (uint64_t)n * t->size);
	struct rfs_ranges bad = { 0 };
	size_t b = 0;
	int r = rfs_ext_read(&w->x->io, range, t->piece, &bad, w->err);

	for (uint32_t i = 0; i < n && r == 0; i++) {
		uint64_t off =
			w->x->io.base + range.off + (uint64_t)i * t->size;

		while (b < bad.count && rfs_range_end(bad.items[b]) <= off)
			b++;
		r = take_inode(t, from + i, t->piece + (size_t)i * t->size,
			       b == bad.count ||
				       bad.items[b].off >= off + t->size);
	}
	rfs_ranges_fini(&bad);
	return r;
}

/* The rest of the table, which nothing is in. */
static int hit_unused(struct table *t, uint32_t from)
{
	struct rfs_walk *w = t->w;
	ext2_filsys fs = w->x->fs;
	uint64_t end =
		t->first + (uint64_t)fs->inode_blocks_per_group * fs->blocksize;
	uint64_t off = t->first + (uint64_t)from * t->size;
	int r = rfs_walk_hit(w, rfs_range_to(off, end), RFS_LOSS_FREE, 0);

	return r < 0 ? r : 0;
}

static int take_group(struct table *t, dgrp_t g)
{
	struct rfs_walk *w = t->w;
	uint32_t n = rfs_extfs_inodes(w->x, g), each = PIECE / t->size, now;
	int r = load_bitmap(t, g);

	t->first_ino = g * w->x->fs->super->s_inodes_per_group + 1;
	t->first = ext2fs_inode_table_loc(w->x->fs, g) * w->x->fs->blocksize;
	for (uint32_t from = 0; from < n && r == 0; from += now) {
		now = n - from < each ? n - from : each;
		r = take_piece(t, from, now);
	}
	return r == 0 ? hit_unused(t, n) : r;
}

int rfs_walk_inodes(struct rfs_walk *w)
{
	RFS_CLEANUP_FREE uint8_t *bits = malloc(w->x->fs->blocksize);
	RFS_CLEANUP_FREE uint8_t *piece = malloc(PIECE);
	struct table t = {
		.w = w,
		.bits = bits,
		.piece = piece,
		.size = EXT2_INODE_SIZE(w->x->fs->super),
	};
	int r = 0;

	if (!bits || !piece)
		return rfs_no_memory(w->err);
	for (dgrp_t g = 0; g < w->x->fs->group_desc_count && r == 0; g++)
		if (w->x->groups[g] != RFS_GROUP_LOST)
			r = take_group(&t, g);
	return r;
}
