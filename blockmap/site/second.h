/* SPDX-License-Identifier: GPL-3.0-or-later */
/* second.h - a copy of a disk as QEMU reads it: a second opinion on what our own
 * readers make of it.
 *
 * Only of a source that is whole.  Every file of the chain is opened here, inside
 * the source, and handed over as a descriptor; names that stand in images QEMU is
 * told not to follow (P8), and formats not to guess (P9).
 */
#ifndef RESCUEFS_SITE_SECOND_H
#define RESCUEFS_SITE_SECOND_H

#include "core/freshness.h"
#include "site/chain.h"
#include "site/inventory.h"

#define RFS_SECOND_FILES (2 * RFS_CHAIN_DEPTH)

struct rfs_second {
	struct rfs_reader *reader;
	int fds[RFS_SECOND_FILES];
	struct rfs_generation were[RFS_SECOND_FILES]; /* when it was opened */
	size_t nfds;
};

/* -ENOTSUP: there is no second way to read it, and 'err' says why; -ENOENT: there
 * is no qemu-nbd.  The caller ends it with rfs_second_close, also on failure. */
int rfs_second_open(const struct rfs_copy *copy, struct rfs_notes *notes,
		    struct rfs_second *ret, struct rfs_error *err);

/* A qcow2 copy by itself, without what it stands on, as a description for QEMU's
 * other programs: "json:...", which names a descriptor of ours.  Errors, and the
 * end, as above; the caller frees *ret_image. */
int rfs_second_alone(const struct rfs_copy *copy, struct rfs_second *ret,
		     char **ret_image, struct rfs_error *err);

/* The same of a descriptor, which must stay open. */
int rfs_second_describe(int fd, char **ret_image, struct rfs_error *err);

/* The copy's file alone, for a program to read from its start; as above. Not of a
 * damaged source.  Returns the fd, which is ret's. */
int rfs_second_file(const struct rfs_copy *copy, struct rfs_second *ret,
		    struct rfs_error *err);

/* An export, as a description for QEMU's own client; the caller frees *ret_image.
 * -ENOTSUP: none for this kind of server. */
int rfs_second_export(const struct rfs_copy *copy, char **ret_image,
		      struct rfs_error *err);

/* Of a reader of an image with a mapfile: to what that says was copied.  *rd is given
 * up, but for an error. */
int rfs_second_restrict(const struct rfs_copy *copy, struct rfs_reader **rd,
			struct rfs_error *err);

/* True if one of its files has another size or time by now. */
bool rfs_second_is_changed(const struct rfs_second *second);

void rfs_second_close(struct rfs_second *second);

#endif /* RESCUEFS_SITE_SECOND_H */
