/* SPDX-License-Identifier: GPL-3.0-or-later */
/* open_place.h - copies that are not in a source's tree; for open.c only. */
#ifndef RESCUEFS_SITE_OPEN_PLACE_H
#define RESCUEFS_SITE_OPEN_PLACE_H

#include "site/chain.h"
#include "site/open.h"

/* A volume, by its path on the user's own system. */
int rfs_opener_volume(struct rfs_opener *op, const struct rfs_copy *copy,
		      struct rfs_reader **ret, struct rfs_error *err);

/* An export of the copy's NBD server. */
int rfs_opener_export(struct rfs_opener *op, const struct rfs_copy *copy,
		      struct rfs_reader **ret, struct rfs_error *err);

/* The base image that 'link' names as the site file gives it by hand, if it can
 * be that: as a file of the link's format.  'have' is what the sources have of
 * it, or NULL; then its size must be the same.  -ENODATA: none is given. */
int rfs_opener_base(struct rfs_opener *op, const struct rfs_chain *link,
		    const struct rfs_reader *have, struct rfs_reader **ret,
		    struct rfs_error *err);

/* Says in 'copy', a file of a source's tree, which mapfile lies beside it; it is
 * the caller's to free. */
int rfs_opener_find_map(struct rfs_opener *op, struct rfs_copy *copy,
			struct rfs_error *err);

/* Restricts *rd, the file of a copy, to what its mapfile says was copied, if it
 * has one.  On failure *rd is given up. */
int rfs_opener_restrict(const struct rfs_copy *copy, struct rfs_reader **rd,
			struct rfs_error *err);

#endif /* RESCUEFS_SITE_OPEN_PLACE_H */
