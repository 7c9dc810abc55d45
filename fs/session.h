/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session.h - a mount, from its beginning to its end. */
#ifndef RESCUEFS_FS_SESSION_H
#define RESCUEFS_FS_SESSION_H

#include <stdbool.h>

#include "core/error.h"
#include "site/inventory.h"
#include "site/open.h"

struct rfs_session;

/* Prepares the mount: builds the tree and mounts it.  'options' is a comma list
 * as behind -o, NULL for none: what FUSE knows (allow_other, ro, ...) and what
 * mount(8) and fstab carry along (noauto, nofail, _netdev, x-...).  An unknown
 * option is -EINVAL with its name.  'inv' and 'op' outlive the session. */
int rfs_session_mount(const struct rfs_inventory *inv, struct rfs_opener *op,
		      const char *mountpoint, const char *options,
		      struct rfs_session **ret, struct rfs_error *err);

/* Serves until it is unmounted or a signal ends it, then keeps what is known
 * of every disk.  Call after daemonizing.  0, or why it ended badly. */
int rfs_session_run(struct rfs_session *s, struct rfs_error *err);

/* Unmounts if need be and frees. */
void rfs_session_free(struct rfs_session *s);

#endif /* RESCUEFS_FS_SESSION_H */
