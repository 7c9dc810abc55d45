// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/picture.h"

#include <stdlib.h>
#include <string.h>

#include "core/vec.h"

/* Nothing has been seen of a cell yet. */
#define NOTHING UINT32_MAX

/* What an item of the report is in the picture. */
static struct rfs_picture_key key_of(const struct rfs_report_item *item)
{
	struct rfs_picture_key key = {
		.state = item->state,
		.was = item->state,
		.origin = item->origin,
		.healed_by = item->healed_by,
		.suspect = item->suspect,
	};

	if (item->state == RFS_LOCAL &&
	    (item->was == RFS_LOST || item->was == RFS_STALE ||
	     item->was == RFS_UNPROVED))
		key.was = item->was;
	return key;
}

/* How bad it is; 0 is the worst. */
static int rank(const struct rfs_picture_key *key)
{
	static const int ranks[RFS_BLOCK_STATES] = {
		[RFS_LOST] = 0,	    [RFS_STALE] = 1, [RFS_UNREAD] = 4,
		[RFS_UNPROVED] = 1, [RFS_LOCAL] = 5, [RFS_FRESH] = 6,
		[RFS_ZERO] = 7,
	};

	if (key->was != key->state)
		return key->was == RFS_LOST ? 2 : 3;
	if (key->suspect && key->state == RFS_FRESH)
		return 3;
	return ranks[key->state];
}

static bool is_same_key(const struct rfs_picture_key *a,
			const struct rfs_picture_key *b)
{
	return a->state == b->state && a->was == b->was &&
	       a->origin == b->origin && a->healed_by == b->healed_by &&
	       a->suspect == b->suspect;
}

/* The place of a key in the list, which must have it. */
static uint32_t find_key(const struct rfs_picture *p,
			 const struct rfs_picture_key *key)
{
	uint32_t k = 0;

	while (k < p->count && !is_same_key(&p->items[k], key))
		k++;
	return k;
}

static int collect_keys(const struct rfs_report *report, struct rfs_picture *p)
{
	for (size_t i = 0; i < report->count; i++) {
		struct rfs_picture_key key = key_of(&report->items[i]);
		uint32_t k = find_key(p, &key);

		if (k == p->count) {
			if (RFS_VEC_ROOM(p) < 0)
				return -ENOMEM;
			p->items[p->count++] = key;
		}
		p->items[k].bytes += report->items[i].range.len;
	}
	return 0;
}

/* Worst first; of one rank the rarer, which would be lost among the other. */
static int compare_keys(const void *a, const void *b)
{
	const struct rfs_picture_key *x = a, *y = b;
	int d = rank(x) - rank(y);

	return d ? d : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static void paint(const struct rfs_report *report, struct rfs_picture *p)
{
	for (size_t i = 0; i < report->count; i++) {
		struct rfs_range range = report->items[i].range;
		struct rfs_picture_key key = key_of(&report->items[i]);
		uint32_t k = find_key(p, &key);
		size_t first = range.off / p->unit;
		size_t last = (rfs_range_end(range) - 1) / p->unit;

		for (size_t c = first; c <= last; c++)
			if (k < p->cells[c])
				p->cells[c] = k;
	}
}

/* Bytes a cell, so that there are no more cells than that. */
static uint64_t unit_for(uint64_t size, size_t max_cells)
{
	uint64_t sectors = size / RFS_SECTOR + (size % RFS_SECTOR != 0);

	return (sectors / max_cells + (sectors % max_cells != 0)) * RFS_SECTOR;
}

int rfs_picture_make(const struct rfs_report *report, size_t max_cells,
		     struct rfs_picture *ret, struct rfs_error *err)
{
	struct rfs_picture p = { 0 };

	if (report->count)
		p.size = rfs_range_end(report->items[report->count - 1].range);
	if (p.size) {
		p.unit = unit_for(p.size, max_cells);
		p.ncells = (p.size - 1) / p.unit + 1;
	}
	p.cells = malloc((p.ncells + 1) * sizeof(*p.cells));
	if (!p.cells || collect_keys(report, &p) < 0) {
		rfs_picture_fini(&p);
		return rfs_no_memory(err);
	}
	for (size_t c = 0; c < p.ncells; c++)
		p.cells[c] = NOTHING;
	if (p.count)
		qsort(p.items, p.count, sizeof(*p.items), compare_keys);
	paint(report, &p);
	*ret = p;
	return 0;
}

void rfs_picture_fini(struct rfs_picture *picture)
{
	free(picture->cells);
	free(picture->items);
	*picture = (struct rfs_picture){ 0 };
}

struct rfs_range rfs_picture_range(const struct rfs_picture *picture,
				   size_t cell)
{
	return rfs_range_cut(rfs_range(cell * picture->unit, picture->unit),
			     rfs_range(0, picture->size));
}
