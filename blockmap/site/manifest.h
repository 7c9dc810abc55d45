/* SPDX-License-Identifier: GPL-3.0-or-later */
/* manifest.h - what a disk that was written out is, as JSON beside it. */
#ifndef RESCUEFS_SITE_MANIFEST_H
#define RESCUEFS_SITE_MANIFEST_H

#include <stdio.h>

#include "core/digester.h"
#include "ext/losses.h"
#include "site/inventory.h"

struct rfs_manifest {
	const struct rfs_disk *disk;
	uint64_t size; /* bytes of the raw disk; the digests are of these */
	const struct rfs_digests *digests;
	uint64_t zeroed; /* lost bytes that were written as zeros */
	const struct rfs_report *report;
	const struct rfs_losses *losses;
	/* Of the file, where it is not those bytes; else NULL. */
	const char *format;
	uint64_t file_size;
	const struct rfs_digests *file_digests;
	const char
		*minimum; /* what was done to it on a throw-away disk; NULL */
};

/* {"disk", "size", "md5", "sha512", "file", "zeroed", "totals", "healed", "guessed",
 * "sources", "losses"}.  -EIO if 'out' failed. */
int rfs_manifest_json(const struct rfs_manifest *m, FILE *out,
		      struct rfs_error *err);

#endif /* RESCUEFS_SITE_MANIFEST_H */
