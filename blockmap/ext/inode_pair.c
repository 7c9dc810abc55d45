// SPDX-License-Identifier: GPL-3.0-or-later
#include "ext/inode_pair.h"

#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

#define PIECE ((uint32_t)1 << 20) /* of an inode table, read at once */

/* A piece of one side's inode table. */
struct piece {
	struct rfs_extfs *x;
	uint8_t *raw;
	struct rfs_ranges bad; /* of the disk */
	uint64_t off;	       /* of the piece, on the disk */
	uint32_t count;	       /* inodes of it that may be in use */
	bool is_lost;	       /* nobody knows where the table is */
	uint32_t size;	       /* of an inode */
};

static int64_t time_of(uint32_t seconds, uint32_t extra)
{
	int64_t s = (int32_t)ext2fs_le32_to_cpu(seconds);
	uint32_t e = ext2fs_le32_to_cpu(extra);

	/* The format: two bits of epoch, then nanoseconds. */
	s += (int64_t)(e & 3) << 32;
	return s * 1000000000 + (int64_t)(e >> 2);
}

static bool has_extra(const struct ext2_inode_large *in, uint32_t size,
		      size_t end)
{
	return size > EXT2_GOOD_OLD_INODE_SIZE &&
	       EXT2_GOOD_OLD_INODE_SIZE +
			       (size_t)ext2fs_le16_to_cpu(in->i_extra_isize) >=
		       end &&
	       end <= size;
}

#define EXTRA(in, size, field)                                                 \
	(has_extra(in, size,                                                   \
		   offsetof(struct ext2_inode_large, field) +                  \
			   sizeof((in)->field))                                \
		 ? (in)->field                                                 \
		 : 0)

static bool is_readable(const struct piece *p, uint64_t off)
{
	for (size_t i = 0; i < p->bad.count; i++)
		if (rfs_range_cut(p->bad.items[i], rfs_range(off, p->size)).len)
			return false;
	return true;
}

/* One side of number 'ino'; its raw inode too, where it is in use. */
static const struct ext2_inode_large *side_of(const struct piece *p,
					      uint32_t at, uint32_t ino,
					      struct rfs_file_side *ret)
{
	const struct ext2_inode_large *in =
		(const void *)(p->raw + (size_t)at * p->size);
	uint64_t off = p->off + (uint64_t)at * p->size;

	*ret = (struct rfs_file_side){ .inode = ino };
	if (p->is_lost || (at < p->count && !is_readable(p, off))) {
		ret->is_unknown = true;
		return NULL;
	}
	if (at >= p->count || !in->i_links_count || !in->i_mode)
		return NULL;
	ret->is_there = true;
	ret->mode = ext2fs_le16_to_cpu(in->i_mode);
	ret->size = ext2fs_le32_to_cpu(in->i_size) |
		    (uint64_t)ext2fs_le32_to_cpu(in->i_size_high) << 32;
	ret->mtime_ns = time_of(in->i_mtime, EXTRA(in, p->size, i_mtime_extra));
	return in;
}

/* A number that was given to a file anew. */
static bool is_another(const struct ext2_inode_large *x,
		       const struct ext2_inode_large *y, uint32_t size)
{
	uint16_t modes = x->i_mode ^ y->i_mode;

	return x->i_generation != y->i_generation ||
	       (ext2fs_le16_to_cpu(modes) & LINUX_S_IFMT) ||
	       EXTRA(x, size, i_crtime) != EXTRA(y, size, i_crtime);
}

static int take(const struct piece *a, const struct piece *b, uint32_t at,
		uint32_t ino,
		int (*each)(void *data, const struct rfs_inode_pair *pair),
		void *data)
{
	struct rfs_inode_pair pair = { .ino = ino };
	const struct ext2_inode_large *x = side_of(a, at, ino, &pair.a);
	const struct ext2_inode_large *y = side_of(b, at, ino, &pair.b);

	if (!x && !y && !pair.a.is_unknown && !pair.b.is_unknown)
		return 0;
	if (x && y) {
		pair.is_replaced = is_another(x, y, a->size);
		pair.is_changed =
			!pair.is_replaced &&
			(pair.a.size != pair.b.size ||
			 pair.a.mtime_ns != pair.b.mtime_ns ||
			 time_of(x->i_ctime,
				 EXTRA(x, a->size, i_ctime_extra)) !=
				 time_of(y->i_ctime,
					 EXTRA(y, b->size, i_ctime_extra)));
	}
	return each(data, &pair);
}

/* The 'n' inodes from number 'from' of the group on. */
static int load(struct piece *p, dgrp_t g, uint32_t from, uint32_t n,
		struct rfs_error *err)
{
	const struct rfs_extfs *x = p->x;
	uint32_t used;
	uint64_t off;

	rfs_ranges_clear(&p->bad);
	p->count = 0;
	p->is_lost =
		g >= x->fs->group_desc_count || x->groups[g] == RFS_GROUP_LOST;
	if (p->is_lost) {
		p->is_lost = g < x->fs->group_desc_count;
		return 0;
	}
	used = rfs_extfs_inodes(x, g);
	p->count = used > from ? used - from : 0;
	if (p->count > n)
		p->count = n;
	off = ext2fs_inode_table_loc(x->fs, g) * x->fs->blocksize +
	      (uint64_t)from * p->size;
	p->off = x->io.base + off;
	if (!p->count)
		return 0;
	return rfs_ext_read(&x->io,
			    rfs_range(off, (uint64_t)p->count * p->size),
			    p->raw, &p->bad, err);
}

static bool is_own(const struct piece *p, uint32_t ino)
{
	return ino != EXT2_ROOT_INO && ino < EXT2_FIRST_INODE(p->x->fs->super);
}

static int take_group(struct piece *a, struct piece *b, dgrp_t g,
		      int (*each)(void *data,
				  const struct rfs_inode_pair *pair),
		      void *data, struct rfs_error *err)
{
	uint32_t n = a->x->fs->super->s_inodes_per_group;
	uint32_t now, ino, each_time = PIECE / a->size;
	int r = 0;

	for (uint32_t from = 0; from < n && r == 0; from += now) {
		now = n - from < each_time ? n - from : each_time;
		r = load(a, g, from, now, err);
		if (r == 0)
			r = load(b, g, from, now, err);
		for (uint32_t i = 0; i < now && r == 0; i++) {
			ino = g * n + from + i + 1;
			if (!is_own(a, ino))
				r = take(a, b, i, ino, each, data);
		}
	}
	return r;
}

int rfs_inode_pairs(struct rfs_extfs *a, struct rfs_extfs *b,
		    int (*each)(void *data, const struct rfs_inode_pair *pair),
		    void *data, struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *raw_a = malloc(PIECE);
	RFS_CLEANUP_FREE uint8_t *raw_b = malloc(PIECE);
	struct piece pa = { .x = a, .raw = raw_a };
	struct piece pb = { .x = b, .raw = raw_b };
	dgrp_t groups = a->fs->group_desc_count;
	int r = 0;

	if (!raw_a || !raw_b)
		return rfs_no_memory(err);
	pa.size = pb.size = EXT2_INODE_SIZE(a->fs->super);
	if (b->fs->group_desc_count > groups)
		groups = b->fs->group_desc_count;
	for (dgrp_t g = 0; g < groups && r == 0; g++)
		r = take_group(&pa, &pb, g, each, data, err);
	rfs_ranges_fini(&pa.bad);
	rfs_ranges_fini(&pb.bad);
	return r;
}
