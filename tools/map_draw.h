/* SPDX-License-Identifier: GPL-3.0-or-later */
/* map_draw.h - a disk's blocks on a terminal. */
#ifndef RESCUEFS_TOOLS_MAP_DRAW_H
#define RESCUEFS_TOOLS_MAP_DRAW_H

#include <stdio.h>

#include "core/report.h"
#include "site/inventory.h"

struct rfs_draw_look {
	unsigned int width; /* columns; at least RFS_DRAW_WIDTH_MIN */
	bool is_plain;	    /* ASCII only */
	bool has_colour;
};

#define RFS_DRAW_WIDTH_MIN 32

/* One sign a cell, which shows the worst in its range; then what the signs mean,
 * and how much there is of each. */
int rfs_draw_map(const struct rfs_disk *disk, const struct rfs_report *report,
		 const struct rfs_draw_look *look, FILE *out,
		 struct rfs_error *err);

#endif /* RESCUEFS_TOOLS_MAP_DRAW_H */
