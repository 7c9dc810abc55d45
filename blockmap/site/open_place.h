/* SPDX-License-Identifier: GPL-3.0-or-later */
/* open_place.h - where copies are, and what goes with them; for the files
 * that open only. */
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

/* True of a copy in a format that qemu-nbd reads whose file it must not read
 * itself: no other program is let near a damaged disk, or knows of packing and
 * mapfiles. */
bool rfs_opener_is_lent(const struct rfs_copy *copy);

/* Such a copy, of which 'file' is all that is in the image. 'rule', which may be
 * NULL, tells its password. */
int rfs_opener_lend(struct rfs_opener *op, const struct rfs_copy *copy,
		    const struct rfs_disk_rule *rule, struct rfs_reader *file,
		    struct rfs_reader **ret, struct rfs_error *err);

/* Any other copy in a format that qemu-nbd reads. */
int rfs_opener_foreign(struct rfs_opener *op, const struct rfs_copy *copy,
		       const struct rfs_disk_rule *rule,
		       struct rfs_reader **ret, struct rfs_error *err);

/* The base image that 'link' names as the site file gives it by hand, if it can
 * be that: as a file of the link's format.  'have' is what the sources have of
 * it, or NULL; then its size must be the same.  -ENODATA: none is given. */
int rfs_opener_base(struct rfs_opener *op, const struct rfs_chain *link,
		    const struct rfs_reader *have, struct rfs_reader **ret,
		    struct rfs_error *err);

/* Remembers which disk's image names 'link', if that is given by hand. */
void rfs_opener_note_base(struct rfs_opener *op, const struct rfs_chain *link);

/* A uuid that is on two hosts, a leftover of a migration, names the disk that
 * was found first, which another day may be the other one.  What was written to
 * one must not be shown on the other.  -ESTALE:
 * it is of another host. */
int rfs_opener_check_host(struct rfs_opener *op, const struct rfs_disk *disk,
			  struct rfs_error *err);

/* The disk's copies that are block devices are those that it was first read from,
 * as far as the kernel tells; or, where it 'renews', are from now on.  -ESTALE:
 * one is another device. */
int rfs_opener_check_devices(struct rfs_opener *op, const struct rfs_disk *disk,
			     bool renews, struct rfs_error *err);

/* Says in 'copy', a file of a source's tree, which mapfile lies beside it; it is
 * the caller's to free. */
int rfs_opener_find_map(struct rfs_opener *op, struct rfs_copy *copy,
			struct rfs_error *err);

/* Restricts *rd, the file of a copy, to what its mapfile says was copied, if it
 * has one.  On failure *rd is given up. */
int rfs_opener_restrict(const struct rfs_copy *copy, struct rfs_reader **rd,
			struct rfs_error *err);

/* The size and time that 'path' has in the source. */
int rfs_opener_generation(const struct rfs_source *src, const char *path,
			  struct rfs_generation *ret, struct rfs_error *err);

/* The same file, of which one source has the mapfile and the other has not: its
 * zeros may be what was never copied. */
bool rfs_opener_lacks_map(struct rfs_opener *op, const struct rfs_chain *chain,
			  const struct rfs_source *other);

#endif /* RESCUEFS_SITE_OPEN_PLACE_H */
