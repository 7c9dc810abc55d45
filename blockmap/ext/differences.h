/* SPDX-License-Identifier: GPL-3.0-or-later */
/* differences.h - which files are not the same on two disks that were one.
 *
 * Inodes are compared number by number, and the blocks that differ are given to
 * the files that they belong to on either side.  Two filesystems are comparable
 * where they lie at the same place of the disk and have the same uuid and
 * geometry of inodes.
 */
#ifndef RESCUEFS_EXT_DIFFERENCES_H
#define RESCUEFS_EXT_DIFFERENCES_H

#include "core/compare.h"
#include "core/reader.h"
#include "ext/losses.h"

/* A file on one of the sides. */
struct rfs_file_side {
	bool is_there;
	bool is_unknown; /* its inode cannot be read: it may be there */
	uint32_t inode;
	uint16_t mode; /* as in st_mode */
	uint64_t size;
	int64_t mtime_ns;
	/* Of its blocks on this side, what is not equal on the other. */
	uint64_t bytes;
};

struct rfs_file_difference {
	uint32_t volume; /* index into volumes */
	char *path;	 /* of A where it is there; "#12" where it has none */
	struct rfs_file_side a, b;
};

struct rfs_volume_pair {
	struct rfs_range range;
	unsigned int partition; /* 0: the whole disk */
	bool is_comparable;
	char why[RFS_ERROR_MAX]; /* why not, or "" */
	/* Regular files and symlinks.  Changed: another size or time of
	 * modification, or of change. */
	uint64_t files_same, files_changed, files_only_a, files_only_b;
	uint64_t files_unknown; /* whose inode cannot be read on one side */
	/* What the bytes belong to that are not equal, on either side. */
	uint64_t kinds_a[RFS_LOSS_KINDS], kinds_b[RFS_LOSS_KINDS];
};

/* Zero it to begin; it owns what it points to. */
struct rfs_differences {
	struct rfs_file_difference *items; /* by volume and path */
	size_t count, room;
	struct rfs_volume_pair *pairs;
	size_t npairs;
};

/* With 'compared', of the same two readers: the list, of all kinds of files.
 * With NULL only the inodes are looked at, and counted. */
int rfs_differences_find(struct rfs_reader *a, struct rfs_reader *b,
			 const struct rfs_comparison *compared,
			 struct rfs_differences *ret, struct rfs_error *err);
void rfs_differences_fini(struct rfs_differences *d);

#endif /* RESCUEFS_EXT_DIFFERENCES_H */
