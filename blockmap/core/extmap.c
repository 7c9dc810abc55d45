// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Leaves are ordered and never empty, and runs inside a leaf are ordered and
 * never touch a run of equal value, also across leaves.  A change takes out
 * what overlaps the range, which at the most cuts the first and the last run,
 * and puts one run in.  All memory a change can need is taken before the first
 * run moves, so that a failure leaves the map as it was.
 */
#include "core/extmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/vec.h"

struct rfs_extmap_leaf {
	size_t count;
	struct rfs_run runs[RFS_EXTMAP_LEAF];
};

/* A place between runs; leaf == map->count at the end. */
struct place {
	size_t leaf;
	size_t run;
};

static struct rfs_run *run_at(const struct rfs_extmap *map, struct place p)
{
	return &map->items[p.leaf].leaf->runs[p.run];
}

static bool is_end(const struct rfs_extmap *map, struct place p)
{
	return p.leaf == map->count;
}

static struct place next_place(const struct rfs_extmap *map, struct place p)
{
	if (++p.run == map->items[p.leaf].leaf->count)
		p = (struct place){ p.leaf + 1, 0 };
	return p;
}

/* After a change of a leaf's last run. */
static void set_end(struct rfs_extmap *map, size_t at)
{
	struct rfs_extmap_item *item = &map->items[at];

	item->end =
		rfs_range_end(item->leaf->runs[item->leaf->count - 1].range);
}

/* The first run that ends beyond 'off'. */
static struct place seek(const struct rfs_extmap *map, uint64_t off)
{
	const struct rfs_extmap_leaf *leaf;
	size_t lo = 0, hi = map->count, mid;
	struct place p;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (map->items[mid].end > off)
			hi = mid;
		else
			lo = mid + 1;
	}
	p = (struct place){ lo, 0 };
	if (is_end(map, p))
		return p;
	leaf = map->items[lo].leaf;
	lo = 0;
	hi = leaf->count;
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (rfs_range_end(leaf->runs[mid].range) > off)
			hi = mid;
		else
			lo = mid + 1;
	}
	p.run = lo;
	return p;
}

/* The run before a place, or NULL. */
static struct rfs_run *run_before(const struct rfs_extmap *map, struct place p)
{
	struct rfs_extmap_leaf *leaf;

	if (p.run > 0)
		return &map->items[p.leaf].leaf->runs[p.run - 1];
	if (p.leaf == 0)
		return NULL;
	leaf = map->items[p.leaf - 1].leaf;
	return &leaf->runs[leaf->count - 1];
}

struct rfs_run rfs_extmap_find(const struct rfs_extmap *map, uint64_t off)
{
	struct place p = seek(map, off);
	const struct rfs_run *before;
	uint64_t from = 0, to = RFS_SIZE_MAX;

	if (!is_end(map, p)) {
		if (run_at(map, p)->range.off <= off)
			return *run_at(map, p);
		to = run_at(map, p)->range.off;
	}
	before = run_before(map, p);
	if (before)
		from = rfs_range_end(before->range);
	return (struct rfs_run){ rfs_range_to(from, to), 0 };
}

struct rfs_run rfs_extmap_find_in(const struct rfs_extmap *map, uint64_t off,
				  struct rfs_range within)
{
	struct rfs_run run = rfs_extmap_find(map, off);

	run.range = rfs_range_cut(run.range, within);
	return run;
}

bool rfs_extmap_is(const struct rfs_extmap *map, struct rfs_range range,
		   uint32_t value)
{
	struct rfs_run run;

	while (range.len) {
		run = rfs_extmap_find_in(map, range.off, range);
		if (run.value != value)
			return false;
		range = rfs_range_to(rfs_range_end(run.range),
				     rfs_range_end(range));
	}
	return true;
}

uint64_t rfs_extmap_total(const struct rfs_extmap *map)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < map->count; i++)
		for (size_t k = 0; k < map->items[i].leaf->count; k++)
			sum += map->items[i].leaf->runs[k].range.len;
	return sum;
}

void rfs_extmap_fini(struct rfs_extmap *map)
{
	for (size_t i = 0; i < map->count; i++)
		free(map->items[i].leaf);
	free(map->items);
	free(map->spare[0]);
	free(map->spare[1]);
	*map = (struct rfs_extmap){ 0 };
}

/* Takes out one run, and its leaf when that was its last. */
static void remove_run(struct rfs_extmap *map, struct place p)
{
	struct rfs_extmap_leaf *leaf = map->items[p.leaf].leaf;

	leaf->count--;
	map->runs--;
	memmove(&leaf->runs[p.run], &leaf->runs[p.run + 1],
		(leaf->count - p.run) * sizeof(leaf->runs[0]));
	if (leaf->count) {
		set_end(map, p.leaf);
		return;
	}
	free(leaf);
	map->count--;
	memmove(&map->items[p.leaf], &map->items[p.leaf + 1],
		(map->count - p.leaf) * sizeof(map->items[0]));
}

static void insert_leaf(struct rfs_extmap *map, size_t at,
			struct rfs_extmap_leaf *leaf)
{
	memmove(&map->items[at + 1], &map->items[at],
		(map->count - at) * sizeof(map->items[0]));
	map->items[at].leaf = leaf;
	map->count++;
	if (leaf->count)
		set_end(map, at);
}

/* The place in a leaf that has room for one more: the one of 'p', or after
 * moving the upper half of a full one into *spare, which is then used up.  A leaf
 * may be empty until the run is there. */
static struct place make_room(struct rfs_extmap *map, struct place p,
			      struct rfs_extmap_leaf **spare)
{
	struct rfs_extmap_leaf *leaf, *upper = *spare;
	size_t half = RFS_EXTMAP_LEAF / 2;

	if (is_end(map, p) && map->count) { /* behind the last run */
		p.leaf--;
		p.run = map->items[p.leaf].leaf->count;
	}
	if (!map->count) {
		*spare = NULL;
		upper->count = 0;
		insert_leaf(map, 0, upper);
		return (struct place){ 0, 0 };
	}
	leaf = map->items[p.leaf].leaf;
	if (leaf->count < RFS_EXTMAP_LEAF)
		return p;
	*spare = NULL;
	/* Growing at the end is the common case: leave the full leaf full. */
	if (p.run == RFS_EXTMAP_LEAF)
		half = RFS_EXTMAP_LEAF;
	upper->count = leaf->count - half;
	memcpy(upper->runs, &leaf->runs[half],
	       upper->count * sizeof(leaf->runs[0]));
	leaf->count = half;
	set_end(map, p.leaf);
	insert_leaf(map, p.leaf + 1, upper);
	if (p.run >= half)
		return (struct place){ p.leaf + 1, p.run - half };
	return p;
}

static void insert_run(struct rfs_extmap *map, struct place p,
		       struct rfs_run run, struct rfs_extmap_leaf **spare)
{
	struct rfs_extmap_leaf *leaf;

	p = make_room(map, p, spare);
	leaf = map->items[p.leaf].leaf;
	memmove(&leaf->runs[p.run + 1], &leaf->runs[p.run],
		(leaf->count - p.run) * sizeof(leaf->runs[0]));
	leaf->runs[p.run] = run;
	leaf->count++;
	set_end(map, p.leaf);
	map->runs++;
}

/* Takes 'range' out of all runs.  What a single run keeps beyond the range
 * needs a run of its own, which goes to *ret_tail (len 0: none). */
static void carve(struct rfs_extmap *map, struct rfs_range range,
		  struct rfs_run *ret_tail)
{
	uint64_t end = rfs_range_end(range);
	struct place p = seek(map, range.off);
	struct rfs_run *run;

	*ret_tail = (struct rfs_run){ { 0, 0 }, 0 };
	while (!is_end(map, p)) {
		run = run_at(map, p);
		if (run->range.off >= end)
			break;
		if (run->range.off < range.off) {
			if (rfs_range_end(run->range) > end)
				*ret_tail = (struct rfs_run){
					rfs_range_to(end,
						     rfs_range_end(run->range)),
					run->value
				};
			run->range = rfs_range_to(run->range.off, range.off);
			set_end(map, p.leaf);
			p = next_place(map, p);
		} else if (rfs_range_end(run->range) > end) {
			run->range =
				rfs_range_to(end, rfs_range_end(run->range));
			break;
		} else {
			remove_run(map, p);
			/* The place may now be the end of a leaf. */
			p = seek(map, range.off);
		}
	}
}

/* All memory that one change can need. */
static int prepare(struct rfs_extmap *map)
{
	size_t want = map->count + 2;

	while (map->room < want)
		if (rfs_vec_room(&map->items, map->room, &map->room,
				 sizeof(*map->items)) < 0)
			return -ENOMEM;
	/* Two at the most: one for the run, one for the tail. */
	for (int i = 0; i < 2; i++) {
		if (!map->spare[i])
			map->spare[i] = malloc(sizeof(*map->spare[i]));
		if (!map->spare[i])
			return -ENOMEM;
	}
	return 0;
}

/* Lets the runs on either side of the gap at 'p' that have the same value and touch
 * 'run' grow over it.  False: there are none. */
static bool join(struct rfs_extmap *map, struct place p, struct rfs_run run)
{
	struct rfs_run *before = run_before(map, p);
	struct rfs_run *after = is_end(map, p) ? NULL : run_at(map, p);

	if (before && (before->value != run.value ||
		       rfs_range_end(before->range) != run.range.off))
		before = NULL;
	if (after && (after->value != run.value ||
		      after->range.off != rfs_range_end(run.range)))
		after = NULL;
	if (before) {
		before->range.len += run.range.len;
		if (after) {
			before->range.len += after->range.len;
			remove_run(map, p);
		}
		set_end(map, p.run ? p.leaf : p.leaf - 1);
	} else if (after) {
		after->range = rfs_range_to(run.range.off,
					    rfs_range_end(after->range));
	}
	return before || after;
}

int rfs_extmap_set(struct rfs_extmap *map, struct rfs_range range,
		   uint32_t value)
{
	struct rfs_run run = { range, value }, tail;
	struct place p;
	bool is_gap;

	if (!range.len)
		return 0;
	p = seek(map, range.off);
	is_gap = is_end(map, p) ||
		 run_at(map, p)->range.off >= rfs_range_end(range);
	/* The common change: where nothing is yet, beside its like. */
	if (is_gap && (!value || join(map, p, run)))
		return 0;
	if (!is_gap && rfs_extmap_is(map, range, value))
		return 0;
	if (prepare(map) < 0)
		return -ENOMEM;
	if (!is_gap) {
		carve(map, range, &tail);
		if (tail.range.len)
			insert_run(map, seek(map, tail.range.off), tail,
				   &map->spare[0]);
		p = seek(map, range.off);
		if (!value || join(map, p, run))
			return 0;
	}
	insert_run(map, p, run, &map->spare[1]);
	return 0;
}
