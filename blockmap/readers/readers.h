/* SPDX-License-Identifier: GPL-3.0-or-later */
/* readers.h - how each kind of reader is opened. */
#ifndef RESCUEFS_READERS_READERS_H
#define RESCUEFS_READERS_READERS_H

#include "core/notes.h"
#include "core/reader.h"
#include "core/state.h"

/* A regular file or block device, read through 'fd', which the reader owns
 * from the call on, also when it fails.  The size is taken once.
 *
 * With 'sparing' the medium may be dying: it is read past the page cache
 * where the file system allows it, without read-ahead, in requests that fall
 * to single sectors around an error.  Without it the page cache is used, and
 * only the neighbourhood of an error is read that way. */
int rfs_file_open(int fd, bool sparing, const char *name,
		  const struct rfs_origin *origin, struct rfs_reader **ret,
		  struct rfs_error *err);

/* Wraps a reader whose medium may be bad in places: a sector that failed is
 * remembered in the state, under 'object' ("bm0002:/path"), before the read
 * returns, and is not asked for again (P5).  'state' may be NULL: remembered
 * while it is open.  Takes its own reference of 'below'. */
int rfs_guard_open(struct rfs_reader *below, struct rfs_state *state,
		   const char *object, struct rfs_reader **ret,
		   struct rfs_error *err);

/* Several files that hold the same bytes (rule 3: same generation, or a base
 * image of the same name and size): what the first cannot read comes from the
 * next.  All must have the size of the first.  Takes its own references. */
int rfs_heal_open(struct rfs_reader *const *members, size_t nmembers,
		  struct rfs_reader **ret, struct rfs_error *err);

/* A qcow2 image, version 2 or 3.  Only the header and the L1 table are read at
 * open.  The format is documented in QEMU's docs/interop/qcow2.txt.
 *
 * 'file' is the image; 'backing' its backing image or NULL where that is
 * missing although the header names one (then only unallocated ranges are
 * unreadable), 'data' the external data file or NULL.  The reader takes its own
 * references. */
struct rfs_qcow2_parts {
	struct rfs_reader *file;
	struct rfs_reader *backing;
	struct rfs_reader *data;
	struct rfs_notes *notes; /* outlives the reader; may be NULL */
};

int rfs_qcow2_open(const struct rfs_qcow2_parts *parts, struct rfs_reader **ret,
		   struct rfs_error *err);

/* What the header says of the other files, for whoever must find them.  A name
 * or a format that is there but cannot be read is "", and must not be guessed. */
struct rfs_qcow2_info {
	uint32_t version;
	uint32_t cluster_size;
	uint64_t virtual_size;
	char *backing_file;   /* NULL: has none; free with _info_fini */
	char *backing_format; /* NULL: not said */
	char *data_file;      /* NULL: not external, or not named */
	bool has_data_file;
	bool dirty, corrupt; /* the marks in the header */
	uint32_t snapshots;
};

int rfs_qcow2_info(struct rfs_reader *file, struct rfs_qcow2_info *ret,
		   struct rfs_error *err);
void rfs_qcow2_info_fini(struct rfs_qcow2_info *info);

#endif /* RESCUEFS_READERS_READERS_H */
