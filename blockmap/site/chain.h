/* SPDX-License-Identifier: GPL-3.0-or-later */
/* chain.h - from an image to the file that its header names (P8, P9).
 *
 * The name was written by whoever made the image, perhaps by a guest: it is
 * only ever a path inside the same source, of a format that the header says.
 */
#ifndef RESCUEFS_SITE_CHAIN_H
#define RESCUEFS_SITE_CHAIN_H

#include <stdbool.h>

#include "core/error.h"
#include "core/notes.h"
#include "site/site.h"

/* As many as QEMU's users have ever had, and few enough for the stack. */
#define RFS_CHAIN_DEPTH 32

/* How many copies of one file are opened to heal it. */
#define RFS_CHAIN_MEMBERS 16

/* One link; those above it are reached by 'above'. */
struct rfs_chain {
	const struct rfs_source *source;
	char *path; /* inside the source, absolute */
	bool is_qcow2;
	bool healed; /* other sources may give what this one cannot */
	const struct rfs_disk_rule *rule; /* of the disk; or NULL */
	uint64_t virtual_size;	       /* of what is decoded; 0: not read yet */
	const struct rfs_chain *above; /* NULL: the disk itself */
};

/* The link that 'chain' names as 'name', of 'format' (NULL: not said, then raw,
 * which is noted).  -EINVAL for a URL or the like, -ENOTSUP for a format that
 * is not read, -ELOOP for a chain too long or one that comes back.  'chain' must
 * outlive *ret; end it with rfs_chain_fini. */
int rfs_chain_next(const struct rfs_chain *chain, const char *name,
		   const char *format, struct rfs_notes *notes,
		   struct rfs_chain *ret, struct rfs_error *err);
void rfs_chain_fini(struct rfs_chain *link);

/* The name of a base image in a directory _base; NULL for another file. */
const char *rfs_chain_base(const struct rfs_chain *link);

/* True if 'other' has a file that holds the same bytes: a base image (a file
 * in a directory _base) of the same name and size; else a file of the same
 * generation on the same host.  Without 'compare' a base image will do by its
 * name where the link's own size is not to be had. */
bool rfs_chain_is_same_file(const struct rfs_chain *link,
			    const struct rfs_source *other, bool compare);

/* Whose bytes a base image of 'size' has: the same for all that rule 3 takes to
 * be equal.  NULL for another file; -ENOMEM is no error here and gives NULL. */
char *rfs_chain_identity(const struct rfs_chain *link, uint64_t size);

#endif /* RESCUEFS_SITE_CHAIN_H */
