/* SPDX-License-Identifier: GPL-3.0-or-later */
/* probe.h - the name of what fills a partition, by libblkid. */
#ifndef RESCUEFS_EXT_PROBE_H
#define RESCUEFS_EXT_PROBE_H

#include "ext/losses.h"

/* Fills in type, label and uuid of a volume that is no ext filesystem; "unknown"
 * where nothing is recognised.  Looks at its first and last MiB. */
int rfs_probe(struct rfs_reader *disk, struct rfs_volume *volume,
	      struct rfs_error *err);

#endif /* RESCUEFS_EXT_PROBE_H */
