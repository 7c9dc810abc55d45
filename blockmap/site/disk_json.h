/* SPDX-License-Identifier: GPL-3.0-or-later */
/* disk_json.h - rescue/disk.json and rescue/disk.map. */
#ifndef RESCUEFS_SITE_DISK_JSON_H
#define RESCUEFS_SITE_DISK_JSON_H

#include <stdio.h>

#include "core/view.h"

/* {"disk", "size", "sources", "totals", "overwritten", "extents"}; bytes,
 * ordered, without gaps.  'name' as in the tree. */
int rfs_disk_json(struct rfs_view *view, const char *name, FILE *out,
		  struct rfs_error *err);

/* The merged view as a ddrescue mapfile. */
int rfs_disk_map(struct rfs_view *view, const char *name, FILE *out,
		 struct rfs_error *err);

#endif /* RESCUEFS_SITE_DISK_JSON_H */
