/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ext.h - the ext2, ext3 and ext4 filesystems inside a disk.
 *
 * Read through libext2fs on a reader, never mounted, never replayed, never
 * written.  A disk is one filesystem, or has a partition table (MBR or GPT)
 * and a filesystem in some of its partitions.
 *
 * Everything here may be called from many threads, each with results of its
 * own; no lock is held.
 */
#ifndef RESCUEFS_EXT_EXT_H
#define RESCUEFS_EXT_EXT_H

#include "core/error.h"
#include "core/extmap.h"
#include "core/range.h"
#include "core/reader.h"

/* Appends the bytes of 'disk' that its filesystems use, ascending: all of
 * their tables, and every block that a block bitmap marks.  It is what should
 * be read first, and never less than what is in use:
 *
 *  - a group whose descriptor or block bitmap cannot be read, or fails its
 *    checksum, counts as used wholly;
 *  - so does a partition that holds something else, and the partition tables
 *    with the boot loader behind the first one;
 *  - space outside of partitions, and behind the end of a filesystem, does
 *    not.
 *
 * Reads the superblocks, descriptors and block bitmaps.  -ENOTSUP if there is
 * no such filesystem on the disk; then 'used' is as it was. */
int rfs_ext_used(struct rfs_reader *disk, struct rfs_ranges *used,
		 struct rfs_error *err);

/* Sets to 1 what of 'disk' is contents of files, or free, by tables that can be
 * read and are right: what an older copy may stand in for without hurting the
 * filesystem.  Never its own tables, directories, journal and the like, nor what
 * is in use for nobody knows what, nor anything outside of ext filesystems.
 *
 * Reads the tables and all trees of extents.  Finding nothing is no error. */
int rfs_ext_data(struct rfs_reader *disk, struct rfs_extmap *ret,
		 struct rfs_error *err);

#endif /* RESCUEFS_EXT_EXT_H */
