/* SPDX-License-Identifier: GPL-3.0-or-later */
/* check.h - what e2fsck says of a disk, found out by running it on a throw-away
 * copy. */
#ifndef RESCUEFS_TOOLS_CHECK_H
#define RESCUEFS_TOOLS_CHECK_H

#include "core/reader.h"
#include "ext/losses.h"
#include "site/advice.h"

/* The filesystems are those among 'losses'.  -EINTR after SIGINT, SIGTERM or
 * SIGHUP, with everything taken away. */
int rfs_check_disk(struct rfs_reader *disk, const struct rfs_losses *losses,
		   struct rfs_advice_check *ret, struct rfs_error *err);

#endif /* RESCUEFS_TOOLS_CHECK_H */
