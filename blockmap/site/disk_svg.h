/* SPDX-License-Identifier: GPL-3.0-or-later */
/* disk_svg.h - rescue/disk.svg: a disk's blocks as a picture. */
#ifndef RESCUEFS_SITE_DISK_SVG_H
#define RESCUEFS_SITE_DISK_SVG_H

#include <stdio.h>

#include "core/picture.h"
#include "site/inventory.h"

/* One SVG that needs nothing else: the blocks row by row, what each colour and
 * hatch means, and how much there is of it.  'prefix' makes its names differ
 * from those of others on the same page; "" for a file.  -EIO if 'out' failed. */
int rfs_disk_svg(const struct rfs_disk *disk, const struct rfs_report *report,
		 const char *prefix, FILE *out, struct rfs_error *err);

/* What a cell means: "stale, from backup of 2013-05-10T03:00:00Z".  The caller
 * frees it; NULL: no memory. */
char *rfs_key_text(const struct rfs_disk *disk,
		   const struct rfs_picture_key *key);

/* Which of the disk's sources gave it, from 0; as many as it has copies if it
 * was another one. */
size_t rfs_key_source(const struct rfs_disk *disk,
		      const struct rfs_picture_key *key);

/* "12.5 %", "under 0.1 %". */
#define RFS_SHARE_ROOM 16
void rfs_share_text(uint64_t part, uint64_t whole, char text[RFS_SHARE_ROOM]);

#endif /* RESCUEFS_SITE_DISK_SVG_H */
