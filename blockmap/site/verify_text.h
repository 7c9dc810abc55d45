/* SPDX-License-Identifier: GPL-3.0-or-later */
/* verify_text.h - what a second reading of a disk found, for people and for
 * programs. */
#ifndef RESCUEFS_SITE_VERIFY_TEXT_H
#define RESCUEFS_SITE_VERIFY_TEXT_H

#include <stdio.h>

#include "core/compare.h"
#include "site/digests.h"

/* What the tables of a copy healed of the disk, derived by QEMU's reading of them:
 * bytes, each in one of the next five, or else not looked at. */
struct rfs_second_healed {
	uint64_t bytes;
	uint64_t equal;
	struct rfs_ranges differs;
	uint64_t packed; /* compressed since that copy was taken */
	uint64_t unkept; /* not rescued, or not any more */
	uint64_t unread; /* of the merged disk, or of what is compressed */
	char why[RFS_ERROR_MAX]; /* why it ended early, or "" */
};

/* One copy: as it is read here (A), and by another program (B). */
struct rfs_second_look {
	const struct rfs_copy *copy;
	const char *by;		 /* "QEMU", "gzip" */
	char why[RFS_ERROR_MAX]; /* why it was not read a second time, or "" */
	/* Its file changed meanwhile: what follows is of two files. */
	bool is_changed;
	struct rfs_comparison blocks;
	/* Of the merged disk: bytes that came from it and were held against
	 * QEMU's reading, those that were not to be had, and those that differ. */
	uint64_t merged, merged_unread;
	struct rfs_ranges merged_differs;
	struct rfs_second_healed healed;
};

/* Zero it to begin; it owns what it has. */
struct rfs_verified {
	const struct rfs_disk *disk;
	const char *name; /* "april-ci/disk" */
	struct rfs_second_look *items;
	size_t count, room;
	struct rfs_digests_found rescued;
	uint64_t healed;		/* bytes of the disk, by whomever */
	char merged_why[RFS_ERROR_MAX]; /* why that was not looked at, or "" */
};

/* Something was found that is not equal. */
bool rfs_verified_differs(const struct rfs_verified *v);
/* All that was to be read a second time was, and could be. */
bool rfs_verified_is_whole(const struct rfs_verified *v);

/* -EIO if 'out' failed. */
int rfs_verified_text(const struct rfs_verified *v, FILE *out,
		      struct rfs_error *err);
/* {"disk", "equal", "whole", "overlay", "merged", "sources", "healed",
 * "rescued"}; bytes. */
int rfs_verified_json(const struct rfs_verified *v, FILE *out,
		      struct rfs_error *err);

void rfs_verified_fini(struct rfs_verified *v);

#endif /* RESCUEFS_SITE_VERIFY_TEXT_H */
