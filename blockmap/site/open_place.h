/* SPDX-License-Identifier: GPL-3.0-or-later */
/* open_place.h - copies that are not in a source's tree; for open.c only. */
#ifndef RESCUEFS_SITE_OPEN_PLACE_H
#define RESCUEFS_SITE_OPEN_PLACE_H

#include "site/open.h"

/* A volume, by its path on the user's own system. */
int rfs_opener_volume(struct rfs_opener *op, const struct rfs_copy *copy,
		      struct rfs_reader **ret, struct rfs_error *err);

/* An export of the copy's NBD server. */
int rfs_opener_export(struct rfs_opener *op, const struct rfs_copy *copy,
		      struct rfs_reader **ret, struct rfs_error *err);

#endif /* RESCUEFS_SITE_OPEN_PLACE_H */
