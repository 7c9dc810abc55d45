// SPDX-License-Identifier: GPL-3.0-or-later
/* verify_live.c - what changes while it is read is no difference of readers. */
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "tools/verify_parts.h"

#define TRIES 8
#define PIECE (64u << 10)

/* A piece that was not equal. */
struct piece {
	struct rfs_reader *readers[2];
	struct rfs_range range;
	bool equal[PIECE / RFS_SECTOR];
	uint8_t bytes[2][PIECE];
};

static bool is_difference(uint32_t likeness)
{
	return likeness == RFS_DIFFERENT || likeness == RFS_HOLE_IN_A ||
	       likeness == RFS_HOLE_IN_B;
}

static struct rfs_range sector_of(const struct piece *p, uint64_t at)
{
	return rfs_range_cut(rfs_range(p->range.off + at, RFS_SECTOR),
			     p->range);
}

static bool take_equal(struct piece *p)
{
	bool all = true;

	for (uint64_t at = 0; at < p->range.len; at += RFS_SECTOR) {
		if (memcmp(p->bytes[0] + at, p->bytes[1] + at,
			   sector_of(p, at).len) == 0)
			p->equal[at / RFS_SECTOR] = true;
		all = all && p->equal[at / RFS_SECTOR];
	}
	return all;
}

/* Each is read in turn, and held against what the other said last. */
static int read_again(struct piece *p, struct rfs_error *err)
{
	int r = rfs_reader_read(p->readers[1], p->range, p->bytes[1], NULL,
				err);

	memset(p->equal, 0, sizeof(p->equal));
	for (int i = 0; i < TRIES && r == 0; i++) {
		r = rfs_reader_read(p->readers[i % 2], p->range,
				    p->bytes[i % 2], NULL, err);
		if (r == 0 && take_equal(p))
			break;
	}
	return rfs_is_own_want(r) ? r : 0;
}

static int settle_piece(struct rfs_comparison *b, struct piece *p,
			uint32_t likeness, struct rfs_error *err)
{
	struct rfs_range sector;
	int r = read_again(p, err);

	for (uint64_t at = 0; at < p->range.len && r == 0; at += RFS_SECTOR) {
		if (!p->equal[at / RFS_SECTOR])
			continue;
		sector = sector_of(p, at);
		b->totals[likeness] -= sector.len;
		b->totals[RFS_EQUAL] += sector.len;
		if (rfs_extmap_set(&b->map, sector, RFS_EQUAL) < 0)
			r = rfs_no_memory(err);
	}
	return r;
}

int rfs_verify_settle(struct rfs_second_look *look, struct rfs_reader *first,
		      struct rfs_reader *second, struct rfs_error *err)
{
	RFS_CLEANUP_FREE struct piece *p = malloc(sizeof(*p));
	struct rfs_comparison *b = &look->blocks;
	struct rfs_run run;
	int r = p ? 0 : rfs_no_memory(err);

	if (r < 0)
		return r;
	p->readers[0] = first;
	p->readers[1] = second;
	for (uint64_t off = 0; off < rfs_comparison_size(b) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_comparison_find(b, off);
		run.range = rfs_range_cut(run.range, rfs_range(off, PIECE));
		p->range = run.range;
		if (is_difference(run.value))
			r = settle_piece(b, p, run.value, err);
	}
	return r;
}
