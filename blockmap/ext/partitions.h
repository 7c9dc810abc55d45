/* SPDX-License-Identifier: GPL-3.0-or-later */
/* partitions.h - the partition table of a disk: MBR with logical partitions, or
 * GPT.
 *
 * Formats: the UEFI specification, chapter 5 (GPT, and the MBR in its table of
 * "legacy MBR"); a logical partition's record is an MBR of its own, of which
 * the first entry is the partition and the second leads to the next record.
 */
#ifndef RESCUEFS_EXT_PARTITIONS_H
#define RESCUEFS_EXT_PARTITIONS_H

#include "core/range.h"
#include "core/reader.h"

/* More than any table in use has; keeps a looping chain short. */
#define RFS_PARTITIONS_MAX 256

enum rfs_table_kind {
	RFS_TABLE_NONE,
	RFS_TABLE_MBR,
	RFS_TABLE_GPT,
};

struct rfs_partition {
	unsigned int number; /* as in /dev/sda1 */
	struct rfs_range range;
};

/* Zero it to begin; it owns what it points to. */
struct rfs_partitions {
	enum rfs_table_kind kind;
	struct rfs_partition *items; /* as the table has them */
	size_t count;
	size_t room;
	uint64_t end; /* of the last of them, by the table: maybe no longer on
		       * the disk */
	struct rfs_ranges tables; /* where the table lies, not in order */
	/* What the table should be, or a part of it, could not be read: there
	 * may be partitions that are not in the list (P3). */
	bool is_partial;
};

/* Reads the table; RFS_TABLE_NONE if there is none.  Entries that do not lie on
 * the disk are cut to it, or left out.  -ENOMEM, or what the reader fails with
 * when it cannot say which bytes are bad. */
int rfs_partitions_read(struct rfs_reader *disk, struct rfs_partitions *ret,
			struct rfs_error *err);
void rfs_partitions_fini(struct rfs_partitions *list);

#endif /* RESCUEFS_EXT_PARTITIONS_H */
