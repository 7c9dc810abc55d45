/* SPDX-License-Identifier: GPL-3.0-or-later */
/* site_naming.h - what sources, their hosts and the site are called; for site.c only. */
#ifndef RESCUEFS_SITE_SITE_NAMING_H
#define RESCUEFS_SITE_SITE_NAMING_H

#include "site/site.h"

/* Gives a source its name: 'name', or if that is NULL one made of its place that no
 * other has.  -EINVAL: another source, or its pattern, is called so. */
int rfs_site_name_source(const struct rfs_site *site, struct rfs_source *source,
			 const char *name, struct rfs_error *err);

/* Makes anew whatever hosts' names, and the site's, are made from the paths. */
int rfs_site_settle(struct rfs_site *site, struct rfs_error *err);

#endif /* RESCUEFS_SITE_SITE_NAMING_H */
