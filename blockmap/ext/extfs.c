// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The on-disk format is described in the kernel's
 * Documentation/filesystems/ext4, and in libext2fs's headers.
 */
#include "ext/extfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/vec.h"

/* Descriptors that are read into memory at the most: enough for 128 TiB. */
#define DESCRIPTORS_MAX ((uint64_t)64 << 20)

/*
 * Superblocks.
 */

static uint32_t super_block_size(const struct ext2_super_block *sb)
{
	return 1024u << ext2fs_le32_to_cpu(sb->s_log_block_size);
}

static uint64_t super_blocks(const struct ext2_super_block *sb)
{
	uint64_t n = ext2fs_le32_to_cpu(sb->s_blocks_count);

	if (ext2fs_le32_to_cpu(sb->s_feature_incompat) &
	    EXT4_FEATURE_INCOMPAT_64BIT)
		n |= (uint64_t)ext2fs_le32_to_cpu(sb->s_blocks_count_hi) << 32;
	return n;
}

static bool has_right_checksum(const struct ext2_super_block *sb)
{
	uint32_t crc;

	if (!(ext2fs_le32_to_cpu(sb->s_feature_ro_compat) &
	      EXT4_FEATURE_RO_COMPAT_METADATA_CSUM))
		return true;
	crc = ext2fs_crc32c_le(UINT32_MAX, (const unsigned char *)sb,
			       offsetof(struct ext2_super_block, s_checksum));
	return crc == ext2fs_le32_to_cpu(sb->s_checksum);
}

static bool is_power_of_two(uint32_t n)
{
	return n && !(n & (n - 1));
}

/* Sizes of inodes and descriptors, and how many descriptors there are. */
static bool has_sane_sizes(const struct ext2_super_block *sb, uint32_t bs,
			   uint64_t groups)
{
	uint32_t inode = ext2fs_le16_to_cpu(sb->s_inode_size);
	uint32_t desc = EXT2_MIN_DESC_SIZE;

	if (ext2fs_le32_to_cpu(sb->s_rev_level) == EXT2_GOOD_OLD_REV)
		inode = EXT2_GOOD_OLD_INODE_SIZE;
	if (ext2fs_le32_to_cpu(sb->s_feature_incompat) &
	    EXT4_FEATURE_INCOMPAT_64BIT)
		desc = ext2fs_le16_to_cpu(sb->s_desc_size);
	return is_power_of_two(inode) && inode >= EXT2_GOOD_OLD_INODE_SIZE &&
	       inode <= bs && is_power_of_two(desc) &&
	       desc >= EXT2_MIN_DESC_SIZE && desc <= EXT2_MAX_DESC_SIZE &&
	       groups <= DESCRIPTORS_MAX / desc &&
	       /* The inode tables fit in. */
	       (groups - 1) * ext2fs_le32_to_cpu(sb->s_inodes_per_group) /
			       (bs / inode) <=
		       super_blocks(sb);
}

/* Bounds for all that libext2fs and the rest of this folder multiply and
 * allocate by.  A filesystem may be larger than what is left of its disk, but
 * not by much. */
static bool is_sane(const struct rfs_extfs *x,
		    const struct ext2_super_block *sb)
{
	uint64_t blocks, groups, per_group;
	uint32_t bs, inodes;

	if (ext2fs_le16_to_cpu(sb->s_magic) != EXT2_SUPER_MAGIC ||
	    ext2fs_le32_to_cpu(sb->s_log_block_size) > 6)
		return false;
	bs = super_block_size(sb);
	blocks = super_blocks(sb);
	per_group = ext2fs_le32_to_cpu(sb->s_blocks_per_group);
	inodes = ext2fs_le32_to_cpu(sb->s_inodes_per_group);
	if (!blocks || blocks > RFS_SIZE_MAX / bs ||
	    blocks / 16 > x->io.size / bs || per_group < 8 || !inodes ||
	    inodes > bs * 8)
		return false;
	groups = blocks / per_group + 1;
	return has_sane_sizes(sb, bs, groups) &&
	       (groups - 1) * inodes <= UINT32_MAX;
}

/* 0: read whole.  1: not. */
static int read_super(struct rfs_extfs *x, uint64_t off, uint8_t *buf,
		      struct rfs_error *err)
{
	struct rfs_ranges bad = { 0 };
	int r = rfs_ext_read(&x->io, rfs_range(off, RFS_EXT_SUPER_LEN), buf,
			     &bad, err);

	if (r == 0 && bad.count)
		r = 1;
	rfs_ranges_fini(&bad);
	return r;
}

/* Where spare superblocks are, by what mke2fs does when nobody tells it
 * otherwise: in groups 1, 3, 5 and 7, of 8 blocks for each byte of a block. */
static uint64_t spare_offset(int which, uint32_t bs)
{
	static const unsigned int groups[] = { 1, 3, 5, 7 };
	uint64_t first = bs == 1024 ? 1 : 0;

	return (first + (uint64_t)groups[which] * bs * 8) * bs;
}

static int find_spare(struct rfs_extfs *x, struct rfs_error *err)
{
	static const uint32_t sizes[] = { 4096, 1024, 2048 };
	struct ext2_super_block *sb = (struct ext2_super_block *)x->super;
	int r;

	for (int i = 0; i < 12; i++) {
		r = read_super(x, spare_offset(i % 4, sizes[i / 4]), x->super,
			       err);
		if (r < 0)
			return r;
		if (r == 0 && is_sane(x, sb) && has_right_checksum(sb) &&
		    super_block_size(sb) == sizes[i / 4] &&
		    ext2fs_le16_to_cpu(sb->s_block_group_nr) ==
			    2 * (i % 4) + 1) {
			sb->s_block_group_nr = 0;
			return 0;
		}
	}
	return 1;
}

static bool is_zero(const uint8_t *p, size_t len)
{
	while (len && !*p) {
		p++;
		len--;
	}
	return !len;
}

/* Where the first superblock was read and is none.  Something else is here,
 * such as a volume group, and what looks like a spare one is left of an older
 * use of the disk; unless all was wiped. */
static bool is_other(const uint8_t *start, const struct ext2_super_block *sb)
{
	return ext2fs_le16_to_cpu(sb->s_magic) != EXT2_SUPER_MAGIC &&
	       !is_zero(start, RFS_EXT_SUPER_OFF + RFS_EXT_SUPER_LEN);
}

/* Which superblock is to be used: the first, or a spare one in x->super.  1:
 * there is none. */
static int choose_super(struct rfs_extfs *x, struct rfs_error *err)
{
	_Alignas(8)
		uint8_t start[RFS_EXT_SUPER_OFF + RFS_EXT_SUPER_LEN] = { 0 };
	uint8_t *first = start + RFS_EXT_SUPER_OFF;
	struct ext2_super_block *sb = (struct ext2_super_block *)first;
	int boot, r, spare;

	boot = read_super(x, 0, start, err);
	r = boot < 0 ? boot : read_super(x, RFS_EXT_SUPER_OFF, first, err);
	if (r < 0)
		return r;
	if (r == 0 && is_sane(x, sb) && has_right_checksum(sb))
		return 0;
	if (r == 0 && is_other(start, sb))
		return 1;
	spare = find_spare(x, err);
	if (spare < 0)
		return spare;
	x->is_super_wrong = r == 0;
	if (spare == 0) {
		x->is_super_spare = true;
		x->io.super = x->super;
		return 0;
	}
	return r == 0 && is_sane(x, sb) ? 0 : 1;
}

/*
 * Descriptors.
 */

static bool is_inside(const struct rfs_extfs *x, uint64_t blk, uint64_t nblk)
{
	uint64_t blocks = ext2fs_blocks_count(x->fs->super);

	return blk >= x->fs->super->s_first_data_block && blk > 0 &&
	       blk < blocks && nblk <= blocks - blk;
}

/* That it leads to places inside the filesystem; without flex_bg, inside of its
 * own group. */
static bool is_group_sane(const struct rfs_extfs *x, ext2_filsys fs, dgrp_t g)
{
	uint64_t place[3] = { ext2fs_block_bitmap_loc(fs, g),
			      ext2fs_inode_bitmap_loc(fs, g),
			      ext2fs_inode_table_loc(fs, g) };
	uint64_t first = ext2fs_group_first_block2(fs, g);
	uint64_t last = ext2fs_group_last_block2(fs, g);

	for (int i = 0; i < 3; i++) {
		uint64_t n = i < 2 ? 1 : fs->inode_blocks_per_group;

		if (!is_inside(x, place[i], n))
			return false;
		if (!ext2fs_has_feature_flex_bg(fs->super) &&
		    (place[i] < first || place[i] + n - 1 > last))
			return false;
	}
	return place[0] != place[1] && place[0] != place[2] &&
	       place[1] != place[2];
}

static bool is_group_right(const struct rfs_extfs *x, dgrp_t g)
{
	return is_group_sane(x, x->fs, g) &&
	       (!ext2fs_has_group_desc_csum(x->fs) ||
		ext2fs_group_desc_csum_verify(x->fs, g));
}

/* Of the groups that are lost, takes what the descriptors behind a spare
 * superblock say.  Returns how many are lost still. */
static size_t take_spare_groups(struct rfs_extfs *x, ext2_filsys spare)
{
	size_t lost = 0;

	if (spare->group_desc_count != x->fs->group_desc_count ||
	    spare->desc_blocks != x->fs->desc_blocks ||
	    spare->blocksize != x->fs->blocksize)
		return x->fs->group_desc_count;
	for (dgrp_t g = 0; g < x->fs->group_desc_count; g++) {
		if (x->groups[g] != RFS_GROUP_LOST)
			continue;
		if (!is_group_sane(x, spare, g)) {
			lost++;
			continue;
		}
		memcpy(ext2fs_group_desc(x->fs, x->fs->group_desc, g),
		       ext2fs_group_desc(spare, spare->group_desc, g),
		       EXT2_DESC_SIZE(x->fs->super));
		x->groups[g] = RFS_GROUP_SPARE;
	}
	return lost;
}

static int heal_groups(struct rfs_extfs *x, struct rfs_error *err)
{
	unsigned int bs = x->fs->blocksize;
	struct rfs_ext_io io = x->io;
	size_t lost = 1;
	int tried = 0, r;

	io.super = NULL;
	for (dgrp_t g = 1; g < x->fs->group_desc_count && tried < 4 && lost > 0;
	     g++) {
		ext2_filsys spare;

		if (!ext2fs_bg_has_super(x->fs, g))
			continue;
		tried++;
		r = rfs_ext_io_open(&io, ext2fs_group_first_block2(x->fs, g),
				    bs, &spare, err);
		if (r == -ENOTSUP)
			continue;
		if (r < 0)
			return r;
		lost = take_spare_groups(x, spare);
		ext2fs_free(spare);
	}
	return 0;
}

static int check_groups(struct rfs_extfs *x, struct rfs_error *err)
{
	bool any = false;

	x->groups = calloc(x->fs->group_desc_count, 1);
	if (!x->groups)
		return rfs_no_memory(err);
	for (dgrp_t g = 0; g < x->fs->group_desc_count; g++) {
		if (is_group_right(x, g))
			continue;
		x->groups[g] = RFS_GROUP_LOST;
		any = true;
	}
	return any ? heal_groups(x, err) : 0;
}

static int open_fs(struct rfs_extfs *x, bool *ret_is_ext, struct rfs_error *err)
{
	int r = choose_super(x, err);

	if (r < 0)
		return r;
	if (r > 0)
		return rfs_fail(err, ENOTSUP, "no ext2, ext3 or ext4 here");
	*ret_is_ext = true;
	r = rfs_ext_io_open(&x->io, 0, 0, &x->fs, err);
	if (r < 0)
		return r;
	return check_groups(x, err);
}

int rfs_extfs_open(struct rfs_reader *disk, struct rfs_range range,
		   struct rfs_extfs **ret, bool *ret_is_ext,
		   struct rfs_error *err)
{
	struct rfs_extfs *x = calloc(1, sizeof(*x));
	int r;

	*ret_is_ext = false;
	if (!x)
		return rfs_no_memory(err);
	x->io.disk = disk;
	x->io.base = range.off;
	x->io.size = range.len;
	r = open_fs(x, ret_is_ext, err);
	if (r < 0) {
		rfs_extfs_close(x);
		return r;
	}
	*ret = x;
	return 0;
}

void rfs_extfs_close(struct rfs_extfs *x)
{
	if (!x)
		return;
	if (x->fs)
		ext2fs_free(x->fs);
	free(x->groups);
	free(x);
}

/*
 * Tables.
 */

/* By its superblock, which is_sane has bounded. */
static uint64_t said_size(const struct rfs_extfs *x)
{
	return ext2fs_blocks_count(x->fs->super) * x->fs->blocksize;
}

uint64_t rfs_extfs_size(const struct rfs_extfs *x)
{
	uint64_t size = said_size(x);

	return size < x->io.size ? size : x->io.size;
}

uint64_t rfs_extfs_missing(const struct rfs_extfs *x)
{
	return said_size(x) - rfs_extfs_size(x);
}

struct rfs_range rfs_extfs_blocks(const struct rfs_extfs *x, uint64_t blk,
				  uint64_t nblk)
{
	uint64_t most = RFS_SIZE_MAX / 2 / x->fs->blocksize;

	if (blk > most)
		blk = most;
	if (nblk > most)
		nblk = most;
	return rfs_range_cut(
		rfs_range(blk * x->fs->blocksize, nblk * x->fs->blocksize),
		rfs_range(0, rfs_extfs_size(x)));
}

static int add_table(const struct rfs_extfs *x, struct rfs_table_ranges *list,
		     enum rfs_table_part part, dgrp_t group,
		     struct rfs_range range)
{
	(void)x;
	if (!range.len)
		return 0;
	if (RFS_VEC_ROOM(list) < 0)
		return -ENOMEM;
	list->items[list->count++] = (struct rfs_table_range){
		.range = range,
		.part = part,
		.group = group,
	};
	return 0;
}

/* The superblock is a block of its own, but for the first one, which has 1024
 * bytes of a block in front of it that belong to a boot loader. */
static struct rfs_range super_range(const struct rfs_extfs *x, blk64_t blk,
				    dgrp_t group)
{
	struct rfs_range range = rfs_extfs_blocks(x, blk, 1);

	if (group > 0 || blk > 0)
		return range;
	return rfs_range_cut(range,
			     rfs_range(RFS_EXT_SUPER_OFF, RFS_EXT_SUPER_LEN));
}

/* A spare copy of the superblock and its descriptors, or the first. */
static int add_supers(const struct rfs_extfs *x, dgrp_t g,
		      struct rfs_table_ranges *list)
{
	blk64_t super, old_desc, new_desc;
	blk_t used;
	uint64_t n = x->fs->desc_blocks;

	ext2fs_super_and_bgd_loc2(x->fs, g, &super, &old_desc, &new_desc,
				  &used);
	if (ext2fs_has_feature_meta_bg(x->fs->super))
		n = x->fs->super->s_first_meta_bg;
	/* 0 is "none here", and the first superblock's block. */
	if ((super || g == 0) &&
	    add_table(x, list, RFS_PART_SUPER, g, super_range(x, super, g)) < 0)
		return -ENOMEM;
	if (old_desc && add_table(x, list, RFS_PART_DESCRIPTORS, g,
				  rfs_extfs_blocks(x, old_desc, n)) < 0)
		return -ENOMEM;
	if (old_desc &&
	    add_table(x, list, RFS_PART_RESERVED, g,
		      rfs_extfs_blocks(x, old_desc + n,
				       x->fs->super->s_reserved_gdt_blocks)) <
		    0)
		return -ENOMEM;
	if (new_desc && add_table(x, list, RFS_PART_DESCRIPTORS, g,
				  rfs_extfs_blocks(x, new_desc, 1)) < 0)
		return -ENOMEM;
	return 0;
}

static int add_group(const struct rfs_extfs *x, dgrp_t g,
		     struct rfs_table_ranges *list)
{
	ext2_filsys fs = x->fs;

	if (add_supers(x, g, list) < 0)
		return -ENOMEM;
	if (x->groups[g] == RFS_GROUP_LOST)
		return 0;
	if (add_table(x, list, RFS_PART_BLOCK_BITMAP, g,
		      rfs_extfs_blocks(x, ext2fs_block_bitmap_loc(fs, g), 1)) <
		    0 ||
	    add_table(x, list, RFS_PART_INODE_BITMAP, g,
		      rfs_extfs_blocks(x, ext2fs_inode_bitmap_loc(fs, g), 1)) <
		    0)
		return -ENOMEM;
	return add_table(x, list, RFS_PART_INODES, g,
			 rfs_extfs_blocks(x, ext2fs_inode_table_loc(fs, g),
					  fs->inode_blocks_per_group));
}

static int compare_tables(const void *a, const void *b)
{
	const struct rfs_table_range *x = a, *y = b;

	return (x->range.off > y->range.off) - (x->range.off < y->range.off);
}

int rfs_extfs_tables(const struct rfs_extfs *x, struct rfs_table_ranges *ret,
		     struct rfs_error *err)
{
	struct rfs_table_ranges list = { 0 };

	for (dgrp_t g = 0; g < x->fs->group_desc_count; g++) {
		if (add_group(x, g, &list) < 0) {
			free(list.items);
			return rfs_no_memory(err);
		}
	}
	if (list.count)
		qsort(list.items, list.count, sizeof(*list.items),
		      compare_tables);
	*ret = list;
	return 0;
}

uint32_t rfs_extfs_inodes(const struct rfs_extfs *x, dgrp_t group)
{
	ext2_filsys fs = x->fs;
	uint32_t n = fs->super->s_inodes_per_group, unused;

	if (x->groups[group] != RFS_GROUP_GOOD ||
	    !ext2fs_has_group_desc_csum(fs))
		return n;
	if (ext2fs_bg_flags_test(fs, group, EXT2_BG_INODE_UNINIT))
		return 0;
	unused = ext2fs_bg_itable_unused(fs, group);
	return unused <= n ? n - unused : n;
}

/*
 * Block bitmaps.
 */

/* Where no checksum speaks: a bitmap marks itself and its group's tables, where
 * they lie in the group. */
static bool marks_own_tables(const struct rfs_extfs *x, dgrp_t g,
			     const uint8_t *bits)
{
	ext2_filsys fs = x->fs;
	uint64_t first = ext2fs_group_first_block2(fs, g);
	uint64_t last = ext2fs_group_last_block2(fs, g);
	uint64_t place[3] = { ext2fs_block_bitmap_loc(fs, g),
			      ext2fs_inode_bitmap_loc(fs, g),
			      ext2fs_inode_table_loc(fs, g) };
	uint64_t bit;

	for (int i = 0; i < 3; i++) {
		if (place[i] < first || place[i] > last)
			continue;
		bit = (place[i] - first) >> fs->cluster_ratio_bits;
		if (bit / 8 >= fs->blocksize ||
		    !(bits[bit / 8] & 1 << (bit % 8)))
			return false;
	}
	return true;
}

int rfs_extfs_block_bitmap(struct rfs_extfs *x, dgrp_t group, uint8_t *bits,
			   struct rfs_ranges *bad, struct rfs_error *err)
{
	ext2_filsys fs = x->fs;
	struct rfs_ranges mine = { 0 };
	struct rfs_range range;
	size_t before;
	int r;

	if (!bad)
		bad = &mine;
	before = bad->count;
	memset(bits, 0, fs->blocksize);
	if (x->groups[group] == RFS_GROUP_LOST)
		return 1;
	/* Nothing of the group is in use, but for tables. */
	if (x->groups[group] == RFS_GROUP_GOOD &&
	    ext2fs_has_group_desc_csum(fs) &&
	    ext2fs_bg_flags_test(fs, group, EXT2_BG_BLOCK_UNINIT))
		return 0;
	range = rfs_range(ext2fs_block_bitmap_loc(fs, group) * fs->blocksize,
			  fs->blocksize);
	r = rfs_ext_read(&x->io, range, bits, bad, err);
	if (r == 0 && bad->count > before)
		r = 1;
	else if (r == 0 && ext2fs_has_feature_metadata_csum(fs->super))
		r = !ext2fs_block_bitmap_csum_verify(
			fs, group, (char *)bits,
			(int)(EXT2_CLUSTERS_PER_GROUP(fs->super) / 8));
	if (r == 0)
		r = !marks_own_tables(x, group, bits);
	rfs_ranges_fini(&mine);
	return r;
}
