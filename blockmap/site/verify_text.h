/* SPDX-License-Identifier: GPL-3.0-or-later */
/* verify_text.h - what a second reading of a disk found, for people and for
 * programs. */
#ifndef RESCUEFS_SITE_VERIFY_TEXT_H
#define RESCUEFS_SITE_VERIFY_TEXT_H

#include <stdio.h>

#include "core/compare.h"
#include "site/digests.h"

/* One copy: as it is read here (A), and by QEMU (B). */
struct rfs_second_look {
	const struct rfs_copy *copy;
	char why[RFS_ERROR_MAX]; /* why it was not read a second time, or "" */
	bool is_changed;	 /* its file changed meanwhile */
	struct rfs_comparison blocks;
	/* Of the merged disk: bytes that came from it and were held against
	 * QEMU's reading, those that were not to be had, and those that differ. */
	uint64_t merged, merged_unread;
	struct rfs_ranges merged_differs;
};

/* Zero it to begin; it owns what it has. */
struct rfs_verified {
	const struct rfs_disk *disk;
	const char *name; /* "april-ci/disk" */
	struct rfs_second_look *items;
	size_t count, room;
	struct rfs_digests_found rescued;
	char merged_why[RFS_ERROR_MAX]; /* why that was not looked at, or "" */
};

/* Something was found that is not equal. */
bool rfs_verified_differs(const struct rfs_verified *v);
/* All that was to be read a second time was, and could be. */
bool rfs_verified_is_whole(const struct rfs_verified *v);

/* -EIO if 'out' failed. */
int rfs_verified_text(const struct rfs_verified *v, FILE *out,
		      struct rfs_error *err);
/* {"disk", "equal", "whole", "overlay", "merged", "sources", "rescued"}; bytes. */
int rfs_verified_json(const struct rfs_verified *v, FILE *out,
		      struct rfs_error *err);

void rfs_verified_fini(struct rfs_verified *v);

#endif /* RESCUEFS_SITE_VERIFY_TEXT_H */
