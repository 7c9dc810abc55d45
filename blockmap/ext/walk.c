// SPDX-License-Identifier: GPL-3.0-or-later
#include "ext/walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/vec.h"

/* Levels of an extent tree at the most, by the format. */
#define LEVELS 6

/* The first ask that ends behind 'off'. */
static size_t find_ask(const struct rfs_asks *asks, uint64_t off)
{
	size_t lo = 0, hi = asks->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (rfs_range_end(asks->items[mid].range) > off)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* 'range' is of the disk. */
static int add_hit(struct rfs_walk *w, struct rfs_range range, uint32_t label,
		   enum rfs_loss_kind kind, uint32_t id)
{
	struct rfs_hit *last;

	if (w->hits.count) {
		last = &w->hits.items[w->hits.count - 1];
		if (last->id == id && last->kind == kind &&
		    last->label == label) {
			last->bytes += range.len;
			return 0;
		}
	}
	if (RFS_VEC_ROOM(&w->hits) < 0)
		return rfs_no_memory(w->err);
	w->hits.items[w->hits.count++] = (struct rfs_hit){
		.bytes = range.len,
		.first = range.off,
		.id = id,
		.label = label,
		.kind = kind,
	};
	return 0;
}

static bool is_of_inode(enum rfs_loss_kind kind)
{
	return kind <= RFS_LOSS_JOURNAL || kind == RFS_LOSS_SYSTEM;
}

/* A table stays one whoever else says that the block is theirs. */
static int set_nature(struct rfs_walk *w, struct rfs_range there,
		      enum rfs_loss_kind kind)
{
	bool is_data = kind == RFS_LOSS_DATA || kind == RFS_LOSS_UNWRITTEN;
	struct rfs_run run;
	int r = 0;

	if (!is_data)
		r = rfs_extmap_set(w->natures, there, RFS_IS_TABLE);
	for (uint64_t off = there.off;
	     is_data && off < rfs_range_end(there) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find_in(w->natures, off, there);
		if (!run.value)
			r = rfs_extmap_set(w->natures, run.range, RFS_IS_DATA);
	}
	return r < 0 ? rfs_no_memory(w->err) : 0;
}

int rfs_walk_hit(struct rfs_walk *w, struct rfs_range range,
		 enum rfs_loss_kind kind, uint32_t id)
{
	struct rfs_range there =
		rfs_range(w->x->io.base + range.off, range.len);
	struct rfs_range cut;
	int any = 0, r;

	if (w->natures)
		return set_nature(w, there, kind);
	for (size_t i = find_ask(w->asks, there.off); i < w->asks->count; i++) {
		cut = rfs_range_cut(w->asks->items[i].range, there);
		if (!cut.len)
			break;
		r = add_hit(w, cut, w->asks->items[i].label, kind, id);
		if (r < 0)
			return r;
		if (rfs_ranges_add(&w->covered, cut) < 0)
			return rfs_no_memory(w->err);
		any = 1;
	}
	if (any && is_of_inode(kind) && id <= w->inodes)
		rfs_set_bit(w->wanted, id);
	return any;
}

int rfs_walk_wrong(struct rfs_walk *w, struct rfs_range range,
		   enum rfs_loss_kind kind, uint32_t id)
{
	range.off += w->x->io.base;
	if (is_of_inode(kind) && id <= w->inodes)
		rfs_set_bit(w->wanted, id);
	return add_hit(w, range, RFS_LABEL_WRONG, kind, id);
}

int rfs_walk_read(struct rfs_walk *w, uint64_t blk, uint64_t nblk, void *buf)
{
	uint64_t bs = w->x->fs->blocksize;
	struct rfs_ranges bad = { 0 };
	int r;

	if (blk > RFS_SIZE_MAX / 4 / bs || nblk > RFS_SIZE_MAX / 4 / bs)
		return 1;
	r = rfs_ext_read(&w->x->io, rfs_range(blk * bs, nblk * bs), buf, &bad,
			 w->err);
	if (r == 0 && bad.count)
		r = 1;
	rfs_ranges_fini(&bad);
	return r;
}

/*
 * What nothing owns.
 */

/* The pieces of one bitmap. */
struct rest {
	struct rfs_walk *w;
	uint8_t *bits;
	dgrp_t group;
	bool is_loaded, is_known;
};

static int load_group(struct rest *rest, dgrp_t group)
{
	int r;

	if (rest->is_loaded && rest->group == group)
		return 0;
	r = rfs_extfs_block_bitmap(rest->w->x, group, rest->bits, NULL,
				   rest->w->err);
	if (r < 0)
		return r;
	rest->is_loaded = true;
	rest->is_known = r == 0;
	rest->group = group;
	return 0;
}

/* A range of the disk that nothing owns, block by block.  A group whose bitmap
 * is of no use may have it in use. */
static int place_rest(struct rest *rest, struct rfs_range range, uint32_t label)
{
	struct rfs_walk *w = rest->w;
	ext2_filsys fs = w->x->fs;
	uint64_t off = range.off, blk, end;
	int r;

	while (off < rfs_range_end(range)) {
		enum rfs_loss_kind kind = RFS_LOSS_FREE;

		blk = (off - w->x->io.base) / fs->blocksize;
		end = (blk + 1) * fs->blocksize + w->x->io.base;
		if (end > rfs_range_end(range))
			end = rfs_range_end(range);
		if (blk >= fs->super->s_first_data_block) {
			r = load_group(rest, ext2fs_group_of_blk2(fs, blk));
			if (r < 0)
				return r;
			blk -= ext2fs_group_first_block2(fs, rest->group);
			blk >>= fs->cluster_ratio_bits;
			if (!rest->is_known || rfs_bit(rest->bits, blk))
				kind = RFS_LOSS_UNOWNED;
		}
		r = add_hit(w, rfs_range_to(off, end), label, kind, 0);
		if (r < 0)
			return r;
		off = end;
	}
	return 0;
}

/* 'ask' without what is covered; 'at' is the first of these that may meet
 * it. */
static int place_ask(struct rest *rest, const struct rfs_ask *ask, size_t *at)
{
	const struct rfs_ranges *c = &rest->w->covered;
	struct rfs_range inside =
		rfs_range(rest->w->x->io.base, rfs_extfs_size(rest->w->x));
	struct rfs_range range = rfs_range_cut(ask->range, inside);
	uint64_t off = range.off, end = rfs_range_end(range);
	int r;

	while (*at < c->count && rfs_range_end(c->items[*at]) <= off)
		(*at)++;
	for (size_t i = *at; range.len && off < end; i++) {
		uint64_t next = i < c->count && c->items[i].off < end
					? c->items[i].off
					: end;

		if (next > off) {
			r = place_rest(rest, rfs_range_to(off, next),
				       ask->label);
			if (r < 0)
				return r;
		}
		if (next == end)
			break;
		if (rfs_range_end(c->items[i]) > off)
			off = rfs_range_end(c->items[i]);
	}
	return 0;
}

int rfs_walk_rest(struct rfs_walk *w)
{
	RFS_CLEANUP_FREE uint8_t *bits = malloc(w->x->fs->blocksize);
	struct rest rest = { .w = w, .bits = bits };
	size_t at = 0;
	int r = 0;

	if (!bits)
		return rfs_no_memory(w->err);
	rfs_ranges_sort(&w->covered);
	for (size_t i = 0; i < w->asks->count && r == 0; i++)
		r = place_ask(&rest, &w->asks->items[i], &at);
	return r;
}

/*
 * All of it.
 */

static int compare_hits(const void *a, const void *b)
{
	const struct rfs_hit *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	if (x->label != y->label)
		return x->label < y->label ? -1 : 1;
	return (x->first > y->first) - (x->first < y->first);
}

/* Inodes that turned out to be nobody's. */
static void drop_doubted(struct rfs_walk *w)
{
	struct rfs_hit *hit;

	for (size_t i = 0; i < w->hits.count; i++) {
		hit = &w->hits.items[i];
		if (hit->kind != RFS_LOSS_INODE ||
		    !rfs_bit(w->doubted, hit->id) || rfs_bit(w->named, hit->id))
			continue;
		hit->kind = RFS_LOSS_UNOWNED;
		hit->id = 0;
	}
}

/* One for each kind, id and label. */
static void join_hits(struct rfs_walk *w)
{
	struct rfs_hit *hits = w->hits.items, *last;
	size_t kept = 0;

	drop_doubted(w);
	if (w->hits.count)
		qsort(hits, w->hits.count, sizeof(*hits), compare_hits);
	for (size_t i = 0; i < w->hits.count; i++) {
		last = kept ? &hits[kept - 1] : NULL;
		if (last && last->kind == hits[i].kind &&
		    last->id == hits[i].id && last->label == hits[i].label) {
			last->bytes += hits[i].bytes;
			last->behind += hits[i].behind;
		} else {
			hits[kept++] = hits[i];
		}
	}
	w->hits.count = kept;
}

static int begin(struct rfs_walk *w)
{
	ext2_filsys fs = w->x->fs;
	size_t bytes;

	w->inodes = fs->group_desc_count * fs->super->s_inodes_per_group;
	bytes = (size_t)w->inodes / 8 + 1;
	w->wanted = calloc(bytes, 1);
	w->named = calloc(bytes, 1);
	w->doubted = calloc(bytes, 1);
	w->nodes = malloc((size_t)fs->blocksize * LEVELS);
	w->nodes_left = rfs_extfs_size(w->x) / fs->blocksize;
	w->dir_blocks_left = w->nodes_left;
	return w->wanted && w->named && w->doubted && w->nodes
		       ? 0
		       : rfs_no_memory(w->err);
}

int rfs_walk_run_for(struct rfs_walk *w, struct rfs_extfs *x,
		     const struct rfs_asks *asks, const uint8_t *wanted,
		     struct rfs_error *err)
{
	int r;

	*w = (struct rfs_walk){ .x = x, .asks = asks, .err = err };
	r = begin(w);
	if (r == 0 && wanted)
		memcpy(w->wanted, wanted, (size_t)w->inodes / 8 + 1);
	if (r == 0)
		r = rfs_walk_tables(w);
	if (r == 0)
		r = rfs_walk_inodes(w);
	if (r == 0)
		r = rfs_walk_dirs(w);
	if (r == 0)
		r = rfs_walk_rest(w);
	if (r == 0)
		join_hits(w);
	return r;
}

int rfs_walk_natures(struct rfs_walk *w, struct rfs_extfs *x,
		     struct rfs_extmap *natures, struct rfs_error *err)
{
	static const struct rfs_asks nothing;
	int r;

	*w = (struct rfs_walk){
		.x = x, .asks = &nothing, .natures = natures, .err = err
	};
	r = begin(w);
	if (r == 0)
		r = rfs_walk_tables(w);
	return r == 0 ? rfs_walk_inodes(w) : r;
}

int rfs_walk_run(struct rfs_walk *w, struct rfs_extfs *x,
		 const struct rfs_asks *asks, struct rfs_error *err)
{
	return rfs_walk_run_for(w, x, asks, NULL, err);
}

void rfs_walk_fini(struct rfs_walk *w)
{
	free(w->hits.items);
	rfs_ranges_fini(&w->covered);
	free(w->wanted);
	free(w->named);
	free(w->doubted);
	free(w->nodes);
	free(w->dirs.items);
	free(w->names.items);
	free(w->arena.items);
	*w = (struct rfs_walk){ 0 };
}
