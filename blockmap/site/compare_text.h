/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare_text.h - what is not the same on two copies of a disk, for people and
 * for programs. */
#ifndef RESCUEFS_SITE_COMPARE_TEXT_H
#define RESCUEFS_SITE_COMPARE_TEXT_H

#include <stdio.h>

#include "core/compare.h"
#include "ext/differences.h"

struct rfs_compared {
	const char *disk;    /* "april-ci/disk" */
	const char *a, *b;   /* "merged", "backup", "/srv/copy.raw" */
	uint64_t block_size; /* as asked for */
	struct rfs_comparison blocks;
	struct rfs_differences files;
};

/* Without 'whole' long lists end early, and say so.  -EIO if 'out' failed. */
int rfs_compared_text(const struct rfs_compared *c, bool whole, FILE *out,
		      struct rfs_error *err);

/* {"disk", "a", "b", "block_size", "equal", "totals", "not_read", "extents",
 * "volumes", "files"}; bytes. */
int rfs_compared_json(const struct rfs_compared *c, FILE *out,
		      struct rfs_error *err);

/* "file", "directory", "link" or "special", by st_mode. */
const char *rfs_mode_name(uint16_t mode);

#endif /* RESCUEFS_SITE_COMPARE_TEXT_H */
