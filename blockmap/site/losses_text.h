/* SPDX-License-Identifier: GPL-3.0-or-later */
/* losses_text.h - what was lost, for people and for programs: rescue/disk.losses
 * and what rescuefs losses prints. */
#ifndef RESCUEFS_SITE_LOSSES_TEXT_H
#define RESCUEFS_SITE_LOSSES_TEXT_H

#include <stdio.h>

#include "ext/losses.h"
#include "site/inventory.h"

/* A table with what it comes to, and what to do.  -EIO if 'out' failed. */
int rfs_losses_text(const struct rfs_disk *disk,
		    const struct rfs_losses *losses, FILE *out,
		    struct rfs_error *err);

/* {"disk", "size", "sources", "matters", "unread", "overwritten", "orphans",
 * "strays", "sums", "volumes", "alarms", "losses"}; bytes. */
int rfs_losses_json(const struct rfs_disk *disk,
		    const struct rfs_losses *losses, FILE *out,
		    struct rfs_error *err);

/* How old what 'origin' gave of the disk is; RFS_TIME_UNKNOWN where it has no
 * copy of it (a base image heals from any source). */
int64_t rfs_disk_age(const struct rfs_disk *disk,
		     const struct rfs_origin *origin);

/* What a volume's alarm says, and what helps, in sentences; the caller frees
 * it.  NULL: no memory. */
char *rfs_losses_alarm_text(const struct rfs_disk *disk,
			    const struct rfs_losses *losses, uint32_t volume);

/* What is to be said of the disk's size, or ""; the caller frees it.  NULL: no
 * memory. */
char *rfs_losses_size_text(const struct rfs_losses *losses);

/* "ext4 \"root\" on partition 1", fit for a terminal; the caller frees it.
 * NULL: no memory. */
char *rfs_volume_text(const struct rfs_volume *volume);

/* What still is to be said of a volume, a sentence, or "": why it was not looked
 * into, or not wholly. */
void rfs_volume_doubt(const struct rfs_losses *losses,
		      const struct rfs_volume *volume, char *text, size_t room);

#endif /* RESCUEFS_SITE_LOSSES_TEXT_H */
