/* SPDX-License-Identifier: GPL-3.0-or-later */
/* io.h - how libext2fs reads: its io_manager over a reader.
 *
 * What cannot be read is zeros to libext2fs, which ends a scan at the first
 * error, and is recorded; whoever uses the bytes asks what of them was bad.
 * Writing is refused, whoever asks for it.
 */
#ifndef RESCUEFS_EXT_IO_H
#define RESCUEFS_EXT_IO_H

#include <ext2fs/ext2fs.h>

#include "core/range.h"
#include "core/reader.h"

#define RFS_EXT_SUPER_OFF 1024u
#define RFS_EXT_SUPER_LEN 1024u

/* A partition of a disk, or all of it. */
struct rfs_ext_io {
	struct rfs_reader *disk;
	uint64_t base; /* where it begins */
	uint64_t size;
	/* Served in place of the first superblock, where that is no good; or
	 * NULL. */
	const uint8_t *super;
	/* Of libext2fs's own reads: what failed so that they had to end. */
	int failed;
	struct rfs_error why;
};

/* Reads 'range', in bytes from the base.  What cannot be read is zeros in 'buf'
 * and appended to 'bad', in bytes of the disk; so is what lies behind the end.
 * Fails only where the reader cannot say which bytes are bad. */
int rfs_ext_read(const struct rfs_ext_io *io, struct rfs_range range, void *buf,
		 struct rfs_ranges *bad, struct rfs_error *err);

/* Opens a filesystem, read-only, checksums not yet verified.  'superblock' and
 * 'block_size' are 0, or name a spare one.  'io' outlives it; close it with
 * ext2fs_free. */
int rfs_ext_io_open(struct rfs_ext_io *io, blk64_t superblock,
		    unsigned int block_size, ext2_filsys *ret,
		    struct rfs_error *err);

#endif /* RESCUEFS_EXT_IO_H */
