/* SPDX-License-Identifier: GPL-3.0-or-later */
/* withhold.h - a merged disk as it would be without some of its blocks.
 *
 * What a report calls lost cannot be read through it, whether or not it is: that
 * is fill = none or data, for a look at it, without a choice being made or
 * forgotten.
 */
#ifndef RESCUEFS_CORE_WITHHOLD_H
#define RESCUEFS_CORE_WITHHOLD_H

#include "core/report.h"

/* Takes a reference of 'below'; 'report', of the same disk, outlives it. */
int rfs_withhold_open(struct rfs_reader *below, const struct rfs_report *report,
		      struct rfs_reader **ret, struct rfs_error *err);

#endif /* RESCUEFS_CORE_WITHHOLD_H */
