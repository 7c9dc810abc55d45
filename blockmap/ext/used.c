// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "ext/ext.h"
#include "ext/extfs.h"
#include "ext/partitions.h"

/* In front of the first partition a boot loader may stand. */
#define BOOT_GAP ((uint64_t)1 << 20)

struct used {
	struct rfs_extfs *x;
	struct rfs_table_ranges tables;
	size_t at; /* the first table that ends behind the group's beginning */
	uint8_t *bits;
	struct rfs_ranges *out;
};

static int add(struct used *u, struct rfs_range range)
{
	range.off += u->x->io.base;
	return rfs_ranges_add(u->out, range);
}

/* Marks the tables that lie in the blocks from 'first' to 'last'. */
static void mark_tables(struct used *u, uint64_t first, uint64_t last)
{
	ext2_filsys fs = u->x->fs;
	const struct rfs_table_range *t;
	uint64_t blk, end;

	for (size_t i = u->at; i < u->tables.count; i++) {
		t = &u->tables.items[i];
		blk = t->range.off / fs->blocksize;
		end = (rfs_range_end(t->range) - 1) / fs->blocksize;
		if (blk > last)
			break;
		if (end < first) {
			if (i == u->at)
				u->at++;
			continue;
		}
		blk = blk < first ? first : blk;
		for (end = end > last ? last : end; blk <= end; blk++) {
			uint64_t bit = (blk - first) >> fs->cluster_ratio_bits;

			if (bit / 8 < fs->blocksize)
				u->bits[bit / 8] |= (uint8_t)(1 << (bit % 8));
		}
	}
}

static int add_marked(struct used *u, uint64_t first, uint64_t last)
{
	ext2_filsys fs = u->x->fs;
	uint64_t ratio = (uint64_t)1 << fs->cluster_ratio_bits;
	uint64_t nbits = (last - first) / ratio + 1, from;

	if (nbits > (uint64_t)fs->blocksize * 8)
		nbits = (uint64_t)fs->blocksize * 8;
	for (uint64_t bit = 0; bit < nbits; bit++) {
		if (bit % 8 == 0 && !u->bits[bit / 8]) {
			bit += 7;
			continue;
		}
		from = bit;
		while (bit < nbits && u->bits[bit / 8] & 1 << (bit % 8))
			bit++;
		if (bit == from)
			continue;
		from = first + from * ratio;
		if (add(u, rfs_extfs_blocks(u->x, from,
					    first + bit * ratio - from)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_group(struct used *u, dgrp_t g, struct rfs_error *err)
{
	ext2_filsys fs = u->x->fs;
	uint64_t first = ext2fs_group_first_block2(fs, g);
	uint64_t last = ext2fs_group_last_block2(fs, g);
	int r = rfs_extfs_block_bitmap(u->x, g, u->bits, NULL, err);

	if (r < 0)
		return r;
	if (r > 0)
		memset(u->bits, 0xff, fs->blocksize);
	mark_tables(u, first, last);
	return add_marked(u, first, last) < 0 ? rfs_no_memory(err) : 0;
}

static int add_fs(struct rfs_extfs *x, struct rfs_ranges *out,
		  struct rfs_error *err)
{
	struct used u = { .x = x, .out = out };
	RFS_CLEANUP_FREE uint8_t *bits = malloc(x->fs->blocksize);
	int r;

	if (!bits)
		return rfs_no_memory(err);
	u.bits = bits;
	r = rfs_extfs_tables(x, &u.tables, err);
	/* The block in front of the first one of a group is a boot loader's. */
	if (r == 0 &&
	    add(&u, rfs_extfs_blocks(x, 0, x->fs->super->s_first_data_block)) <
		    0)
		r = rfs_no_memory(err);
	for (dgrp_t g = 0; g < x->fs->group_desc_count && r == 0; g++)
		r = add_group(&u, g, err);
	free(u.tables.items);
	return r;
}

/*
 * Disks.
 */

/* 1: none of ours. */
static int add_range(struct rfs_reader *disk, struct rfs_range range,
		     struct rfs_ranges *out, struct rfs_error *err)
{
	struct rfs_extfs *x;
	bool is_ext;
	int r = rfs_extfs_open(disk, range, &x, &is_ext, err);

	if (r == -ENOTSUP)
		return 1;
	if (r < 0)
		return r;
	r = add_fs(x, out, err);
	rfs_extfs_close(x);
	return r;
}

static int add_partitions(struct rfs_reader *disk,
			  const struct rfs_partitions *parts,
			  struct rfs_ranges *out, bool *ret_any,
			  struct rfs_error *err)
{
	const struct rfs_partition *p;
	int r;

	for (size_t i = 0; i < parts->count; i++) {
		p = &parts->items[i];
		r = add_range(disk, p->range, out, err);
		if (r < 0)
			return r;
		*ret_any = *ret_any || r == 0;
		if (r > 0 && rfs_ranges_add(out, p->range) < 0)
			return rfs_no_memory(err);
	}
	for (size_t i = 0; i < parts->tables.count; i++)
		if (rfs_ranges_add(out, parts->tables.items[i]) < 0)
			return rfs_no_memory(err);
	return 0;
}

static int add_boot(const struct rfs_partitions *parts, uint64_t size,
		    struct rfs_ranges *out, struct rfs_error *err)
{
	uint64_t first = size < BOOT_GAP ? size : BOOT_GAP;

	for (size_t i = 0; i < parts->count; i++)
		if (parts->items[i].range.off < first)
			first = parts->items[i].range.off;
	return rfs_ranges_add(out, rfs_range(0, first)) < 0 ? rfs_no_memory(err)
							    : 0;
}

/* In order, and each byte once: a table may say that partitions overlap. */
static int append_sorted(struct rfs_ranges *out, struct rfs_ranges *list,
			 struct rfs_error *err)
{
	rfs_ranges_sort(list);
	for (size_t i = 0; i < list->count; i++)
		if (rfs_ranges_add(out, list->items[i]) < 0)
			return rfs_no_memory(err);
	return 0;
}

static int collect(struct rfs_reader *disk, const struct rfs_partitions *parts,
		   struct rfs_ranges *list, struct rfs_error *err)
{
	struct rfs_range whole = rfs_range(0, rfs_reader_size(disk));
	bool any = false;
	int r = add_partitions(disk, parts, list, &any, err);

	if (r == 0 && any)
		r = add_boot(parts, whole.len, list, err);
	if (r < 0 || any)
		return r;
	rfs_ranges_clear(list);
	r = add_range(disk, whole, list, err);
	if (r > 0)
		return rfs_fail(err, ENOTSUP,
				"%s: no ext2, ext3 or ext4 filesystem on it",
				rfs_reader_name(disk));
	return r;
}

int rfs_ext_used(struct rfs_reader *disk, struct rfs_ranges *used,
		 struct rfs_error *err)
{
	struct rfs_partitions parts;
	struct rfs_ranges list = { 0 };
	int r = rfs_partitions_read(disk, &parts, err);

	if (r < 0)
		return r;
	r = collect(disk, &parts, &list, err);
	rfs_partitions_fini(&parts);
	if (r == 0)
		r = append_sorted(used, &list, err);
	rfs_ranges_fini(&list);
	return r;
}
