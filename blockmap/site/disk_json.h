/* SPDX-License-Identifier: GPL-3.0-or-later */
/* disk_json.h - rescue/disk.json and rescue/disk.map. */
#ifndef RESCUEFS_SITE_DISK_JSON_H
#define RESCUEFS_SITE_DISK_JSON_H

#include <stdio.h>

#include "core/view.h"
#include "site/site.h"

/* How the line of tables that nothing leads to begins. */
#define RFS_DISK_JSON_STRAYS "  \"strays\": "

/* {"disk", "size", "sources", "totals", "overwritten", "healed", "guessed",
 * "suspect", "orphans", "strays", "extents"}; bytes, ordered, without gaps; the two
 * before the last only where they are known.  'name' as in the tree. */
int rfs_disk_json(struct rfs_view *view, const char *name, FILE *out,
		  struct rfs_error *err);

/* The merged view as a ddrescue mapfile. */
int rfs_disk_map(struct rfs_view *view, const char *name, FILE *out,
		 struct rfs_error *err);

/* Reads rescue/disk.json back, as a mount of the same site shows it: beside the
 * mount there is no other way to its view.  'name' is for messages; origins are
 * those of the site's sources.  -EINVAL: it is not such a file. */
int rfs_disk_json_read(FILE *in, const char *name, const struct rfs_site *site,
		       struct rfs_report *ret, struct rfs_error *err);

#endif /* RESCUEFS_SITE_DISK_JSON_H */
