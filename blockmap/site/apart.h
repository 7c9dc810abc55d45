/* SPDX-License-Identifier: GPL-3.0-or-later */
/* apart.h - that no source reads a dying disk behind the back of the one that takes
 * care of it. */
#ifndef RESCUEFS_SITE_APART_H
#define RESCUEFS_SITE_APART_H

#include "site/site.h"

/* After all sources are open.  -EINVAL: one is a damaged source itself, or a healthy
 * one lies below its directory, on its device.  What lies beside that directory, or where only its volumes are,
 * is not seen. */
int rfs_site_check_apart(const struct rfs_site *site, struct rfs_error *err);

#endif /* RESCUEFS_SITE_APART_H */
