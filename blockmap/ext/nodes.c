// SPDX-License-Identifier: GPL-3.0-or-later
/* From an inode to its blocks: extent trees, and the older indirect blocks. */
#include <errno.h>
#include <string.h>

#include "core/vec.h"
#include "ext/walk.h"

/* It needs what the others define. */
#include <ext2fs/ext3_extents.h>

#define EXTENTS_FL  0x00080000u
#define INLINE_FL   0x10000000u
#define EA_INODE_FL 0x00200000u

struct file {
	struct rfs_walk *w;
	uint32_t ino;
	uint64_t size;
	enum rfs_loss_kind kind;
	bool is_dir;
	/* The run that is being joined, of an inode with indirect blocks. */
	uint64_t run, nrun;
};

static uint64_t inode_size(const struct ext2_inode_large *inode)
{
	return ext2fs_le32_to_cpu(inode->i_size) |
	       (uint64_t)ext2fs_le32_to_cpu(inode->i_size_high) << 32;
}

static int keep_dir(struct rfs_walk *w, uint32_t ino, uint64_t blk,
		    uint64_t nblk)
{
	if (nblk > UINT32_MAX || RFS_VEC_ROOM(&w->dirs) < 0)
		return rfs_no_memory(w->err);
	w->dirs.items[w->dirs.count++] = (struct rfs_dir_run){
		.blk = blk,
		.nblk = (uint32_t)nblk,
		.ino = ino,
	};
	return 0;
}

/* A run of blocks that hold what the file holds. */
static int put_run(struct file *f, uint64_t blk, uint64_t nblk,
		   enum rfs_loss_kind kind)
{
	struct rfs_walk *w = f->w;
	struct rfs_range range = rfs_extfs_blocks(w->x, blk, nblk);
	int r;

	if (!range.len || !blk)
		return 0;
	r = rfs_walk_hit(w, range, kind, f->ino);
	if (r < 0 || !f->is_dir)
		return r < 0 ? r : 0;
	nblk = range.len / w->x->fs->blocksize;
	if (nblk > w->dir_blocks_left) {
		w->is_endless = true;
		return 0;
	}
	w->dir_blocks_left -= nblk;
	return keep_dir(w, f->ino, blk, nblk);
}

/* A node: a block that says where blocks are.  Hit, and read into 'buf'.  1: it
 * is of no use; then what only it leads to is out of reach. */
static int read_node(struct file *f, uint64_t blk, uint8_t *buf,
		     uint64_t behind)
{
	struct rfs_walk *w = f->w;
	struct rfs_range range = rfs_extfs_blocks(w->x, blk, 1);
	int hit, r;

	if (!range.len || !blk)
		return 1;
	hit = rfs_walk_hit(w, range, RFS_LOSS_EXTENTS, f->ino);
	if (hit < 0)
		return hit;
	if (!w->nodes_left) {
		w->is_endless = true;
		return 1;
	}
	w->nodes_left--;
	r = rfs_walk_read(w, blk, 1, buf);
	if (r == 1 && hit)
		w->hits.items[w->hits.count - 1].behind += behind;
	return r;
}

/* It was read and makes no sense. */
static int wrong_node(struct file *f, uint64_t blk, uint64_t behind)
{
	struct rfs_walk *w = f->w;
	int r = rfs_walk_wrong(w, rfs_extfs_blocks(w->x, blk, 1),
			       RFS_LOSS_EXTENTS, f->ino);

	if (r == 0)
		w->hits.items[w->hits.count - 1].behind += behind;
	return r;
}

/*
 * Extents.
 */

/* Bytes of the file from one block of it to another, within its size. */
static uint64_t bytes_between(const struct file *f, uint64_t from, uint64_t to)
{
	uint64_t bs = f->w->x->fs->blocksize;
	uint64_t first = from * bs, end = to * bs;

	if (end > f->size)
		end = f->size;
	return end > first ? end - first : 0;
}

static bool is_header(const struct ext3_extent_header *eh, size_t room,
		      unsigned int depth)
{
	unsigned int entries = ext2fs_le16_to_cpu(eh->eh_entries);

	return ext2fs_le16_to_cpu(eh->eh_magic) == EXT3_EXT_MAGIC &&
	       ext2fs_le16_to_cpu(eh->eh_depth) == depth &&
	       entries <= ext2fs_le16_to_cpu(eh->eh_max) &&
	       entries <= (room - sizeof(*eh)) / sizeof(struct ext3_extent);
}

static int put_leaf(struct file *f, const struct ext3_extent_header *eh)
{
	const struct ext3_extent *e = EXT_FIRST_EXTENT(eh);
	unsigned int n = ext2fs_le16_to_cpu(eh->eh_entries);
	int r = 0;

	for (unsigned int i = 0; i < n && r == 0; i++) {
		uint64_t blk = ext2fs_le32_to_cpu(e[i].ee_start) |
			       (uint64_t)ext2fs_le16_to_cpu(e[i].ee_start_hi)
				       << 32;
		uint32_t len = ext2fs_le16_to_cpu(e[i].ee_len);
		enum rfs_loss_kind kind = f->kind;

		if (len > EXT_INIT_MAX_LEN) {
			len -= EXT_INIT_MAX_LEN;
			if (kind == RFS_LOSS_DATA)
				kind = RFS_LOSS_UNWRITTEN;
		}
		r = put_run(f, blk, len, kind);
	}
	return r;
}

static int put_tree(struct file *f, const struct ext3_extent_header *eh,
		    unsigned int depth, uint64_t end);

static int put_child(struct file *f, const struct ext3_extent_idx *idx,
		     unsigned int depth, uint64_t end)
{
	struct rfs_walk *w = f->w;
	uint64_t first = ext2fs_le32_to_cpu(idx->ei_block);
	uint64_t blk = ext2fs_le32_to_cpu(idx->ei_leaf) |
		       (uint64_t)ext2fs_le16_to_cpu(idx->ei_leaf_hi) << 32;
	uint64_t behind = bytes_between(f, first, end);
	uint8_t *buf = w->nodes + (size_t)depth * w->x->fs->blocksize;
	struct ext3_extent_header *eh = (struct ext3_extent_header *)buf;
	int r = read_node(f, blk, buf, behind);

	if (r != 0)
		return r < 0 ? r : 0;
	if (!is_header(eh, w->x->fs->blocksize, depth) ||
	    !ext2fs_extent_block_csum_verify(w->x->fs, f->ino, eh))
		return wrong_node(f, blk, behind);
	return put_tree(f, eh, depth, end);
}

/* 'end': the first block of the file that is not below this node. */
static int put_tree(struct file *f, const struct ext3_extent_header *eh,
		    unsigned int depth, uint64_t end)
{
	const struct ext3_extent_idx *idx = EXT_FIRST_INDEX(eh);
	unsigned int n = ext2fs_le16_to_cpu(eh->eh_entries);
	int r = 0;

	if (depth == 0)
		return put_leaf(f, eh);
	for (unsigned int i = 0; i < n && r == 0; i++)
		r = put_child(f, &idx[i], depth - 1,
			      i + 1 < n
				      ? ext2fs_le32_to_cpu(idx[i + 1].ei_block)
				      : end);
	return r;
}

static int put_extents(struct file *f, const struct ext2_inode_large *inode)
{
	const struct ext3_extent_header *eh =
		(const struct ext3_extent_header *)inode->i_block;
	unsigned int depth = ext2fs_le16_to_cpu(eh->eh_depth);

	/* Not the checksum's matter: a wrong one is told with the inode. */
	if (depth > 5 || !is_header(eh, sizeof(inode->i_block), depth))
		return 0;
	return put_tree(f, eh, depth, (uint64_t)1 << 32);
}

/*
 * Indirect blocks.
 */

static int flush_run(struct file *f)
{
	int r = f->nrun ? put_run(f, f->run, f->nrun, f->kind) : 0;

	f->nrun = 0;
	return r;
}

static int put_block(struct file *f, uint64_t blk)
{
	int r;

	if (!blk)
		return 0;
	if (f->nrun && blk == f->run + f->nrun) {
		f->nrun++;
		return 0;
	}
	r = flush_run(f);
	f->run = blk;
	f->nrun = 1;
	return r;
}

/* A block of block numbers, 'level' levels above the file's own; 'at' is the
 * first of the file's blocks below it. */
static int put_indirect(struct file *f, uint64_t blk, unsigned int level,
			uint64_t at)
{
	struct rfs_walk *w = f->w;
	uint32_t bs = w->x->fs->blocksize, n = bs / 4;
	uint32_t *buf = (uint32_t *)(w->nodes + (size_t)level * bs);
	uint64_t each = 1;
	int r;

	if (!blk)
		return 0;
	for (unsigned int i = 1; i < level; i++)
		each *= n;
	r = flush_run(f);
	if (r == 0)
		r = read_node(f, blk, (uint8_t *)buf,
			      bytes_between(f, at, at + each * n));
	if (r != 0)
		return r < 0 ? r : 0;
	for (uint32_t i = 0; i < n && r == 0; i++) {
		uint32_t next = ext2fs_le32_to_cpu(buf[i]);

		r = level > 1 ? put_indirect(f, next, level - 1, at + i * each)
			      : put_block(f, next);
	}
	return r;
}

static int put_blocks(struct file *f, const struct ext2_inode_large *inode)
{
	uint64_t n = f->w->x->fs->blocksize / 4, at = EXT2_NDIR_BLOCKS;
	int r = 0;

	for (int i = 0; i < EXT2_NDIR_BLOCKS && r == 0; i++)
		r = put_block(f, ext2fs_le32_to_cpu(inode->i_block[i]));
	for (unsigned int level = 1; level <= 3 && r == 0; level++) {
		r = put_indirect(
			f,
			ext2fs_le32_to_cpu(
				inode->i_block[EXT2_NDIR_BLOCKS - 1 + level]),
			level, at);
		at += level == 1 ? n : n * n;
	}
	return r == 0 ? flush_run(f) : r;
}

/*
 * Inodes.
 */

static int put_xattr(struct rfs_walk *w, uint32_t ino,
		     const struct ext2_inode_large *inode)
{
	uint64_t blk = ext2fs_le32_to_cpu(inode->i_file_acl) |
		       (uint64_t)ext2fs_le16_to_cpu(
			       inode->osd2.linux2.l_i_file_acl_high)
			       << 32;
	struct rfs_range range = rfs_extfs_blocks(w->x, blk, 1);
	int r;

	if (!blk || !range.len)
		return 0;
	r = rfs_walk_hit(w, range, RFS_LOSS_XATTR, ino);
	if (r < 0 || !ext2fs_has_feature_metadata_csum(w->x->fs->super))
		return r < 0 ? r : 0;
	r = rfs_walk_read(w, blk, 1, w->nodes);
	if (r == 0 && !ext2fs_ext_attr_block_csum_verify(
			      w->x->fs, ino, blk,
			      (struct ext2_ext_attr_header *)w->nodes))
		r = rfs_walk_wrong(w, range, RFS_LOSS_XATTR, ino);
	return r < 0 ? r : 0;
}

static enum rfs_loss_kind kind_of(const struct rfs_walk *w, uint32_t ino,
				  const struct ext2_inode_large *inode)
{
	const struct ext2_super_block *sb = w->x->fs->super;
	uint32_t own[] = { EXT2_BAD_INO, sb->s_usr_quota_inum,
			   sb->s_grp_quota_inum, sb->s_prj_quota_inum,
			   sb->s_orphan_file_inum };

	if (ino == sb->s_journal_inum &&
	    ext2fs_has_feature_journal(w->x->fs->super))
		return RFS_LOSS_JOURNAL;
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (own[i] == ino)
			return RFS_LOSS_SYSTEM;
	if (LINUX_S_ISDIR(ext2fs_le16_to_cpu(inode->i_mode)))
		return RFS_LOSS_DIRECTORY;
	if (ext2fs_le32_to_cpu(inode->i_flags) & EA_INODE_FL)
		return RFS_LOSS_XATTR;
	return RFS_LOSS_DATA;
}

static bool has_blocks(const struct ext2_inode_large *inode)
{
	uint16_t mode = ext2fs_le16_to_cpu(inode->i_mode);
	uint32_t flags = ext2fs_le32_to_cpu(inode->i_flags);

	if (flags & INLINE_FL)
		return false;
	if (LINUX_S_ISLNK(mode))
		return inode_size(inode) >= sizeof(inode->i_block) ||
		       flags & EXTENTS_FL;
	return !mode || LINUX_S_ISDIR(mode) || LINUX_S_ISREG(mode);
}

/* The resize inode's blocks are spare descriptors, which the tables have; of its
 * own it has one. */
static int put_resize(struct rfs_walk *w, uint32_t ino,
		      const struct ext2_inode_large *inode)
{
	uint64_t blk = ext2fs_le32_to_cpu(inode->i_block[EXT2_DIND_BLOCK]);
	int r = blk ? rfs_walk_hit(w, rfs_extfs_blocks(w->x, blk, 1),
				   RFS_LOSS_SYSTEM, ino)
		    : 0;

	return r < 0 ? r : 0;
}

int rfs_walk_inode_blocks(struct rfs_walk *w, uint32_t ino,
			  const struct ext2_inode_large *inode)
{
	struct file f = {
		.w = w,
		.ino = ino,
		.size = inode_size(inode),
		.kind = kind_of(w, ino, inode),
	};
	int r;

	f.is_dir = f.kind == RFS_LOSS_DIRECTORY;
	if (ino == EXT2_RESIZE_INO)
		return put_resize(w, ino, inode);
	r = put_xattr(w, ino, inode);
	if (r == 0 && f.is_dir &&
	    ext2fs_le32_to_cpu(inode->i_flags) & INLINE_FL)
		return keep_dir(w, ino, 0, 0);
	if (r < 0 || !has_blocks(inode))
		return r;
	return ext2fs_le32_to_cpu(inode->i_flags) & EXTENTS_FL
		       ? put_extents(&f, inode)
		       : put_blocks(&f, inode);
}
