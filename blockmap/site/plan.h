/* SPDX-License-Identifier: GPL-3.0-or-later */
/* plan.h - the runbook of a recovery, as a shell script that nobody has run.
 *
 * What the sources tell stands at its top, as variables, and what they do not
 * tell as FILL-IN.  Any text of a source is quoted for the shell, and for SQL by
 * the script itself; the steps are those of plan/ and the same for all.
 */
#ifndef RESCUEFS_SITE_PLAN_H
#define RESCUEFS_SITE_PLAN_H

#include <stdio.h>

#include "site/inventory.h"

enum rfs_era {
	RFS_ERA_TODAY,
	RFS_ERA_ESSEX,
};

/* An instance is named by its root disk; a volume, or another disk of an
 * instance that holds data, by itself. */
struct rfs_plan_item {
	const struct rfs_disk *disk;
	bool is_root;
	uint64_t size; /* of the merged disk, bytes; 0: not known */
};

struct rfs_plan {
	enum rfs_era era;
	const char *mountpoint; /* NULL: not known */
	const struct rfs_inventory *inv;
	const struct rfs_plan_item *items;
	size_t count;
};

/* Writes the script.  -EIO if 'out' failed. */
int rfs_plan_print(const struct rfs_plan *plan, FILE *out,
		   struct rfs_error *err);

#endif /* RESCUEFS_SITE_PLAN_H */
