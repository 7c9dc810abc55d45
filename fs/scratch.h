/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scratch.h - a disk that may be written to and is thrown away, as a real file.
 *
 * For programs that want a file and write to it, where nothing may be written:
 * e2fsck -fy, to see what it would do, or resize2fs -M.  Reads come from a
 * reader, what is written goes to a file in a directory of its own, and all of
 * it is gone at the close.
 *
 * The file is served by threads of this process: who runs a program on it waits
 * for that from another thread than those, as is always so, and never opens the
 * path itself while it holds a lock that the base needs.
 */
#ifndef RESCUEFS_FS_SCRATCH_H
#define RESCUEFS_FS_SCRATCH_H

#include "core/view.h"

struct rfs_scratch;

struct rfs_scratch_config {
	struct rfs_reader *base; /* a reference is taken */
	/* Where its directory is made; NULL: $TMPDIR, else /var/tmp.  What is
	 * written takes room there. */
	const char *dir;
	/* What the base cannot read is zeros and no error; how much of it was
	 * met is in the view's report, as lost. */
	bool zero_lost;
	/* The page cache is left out, so that nothing of the base is read which
	 * the program did not ask for (P5). */
	bool is_direct;
};

/* Where one is made unless it is said. */
const char *rfs_scratch_dir(void);

/* Mounts it: needs /dev/fuse, and for others than root fusermount3. */
int rfs_scratch_open(const struct rfs_scratch_config *config,
		     struct rfs_scratch **ret, struct rfs_error *err);

/* The file, by its absolute path.  Only this user may open it. */
const char *rfs_scratch_path(const struct rfs_scratch *s);

/* What the file is made of: its size, whether it was written to, and the result
 * as a reader.  Lives as long as the scratch. */
struct rfs_view *rfs_scratch_view(struct rfs_scratch *s);

/* 0, or the negative errno of the first write that could not be taken, as for
 * want of room: what the program made of the disk is then worth nothing. */
int rfs_scratch_failure(const struct rfs_scratch *s);

/* Ends the mount, also under a program that still has the file open, and takes
 * everything away.  An error says what was left behind.  NULL is accepted. */
int rfs_scratch_close(struct rfs_scratch *s, struct rfs_error *err);

#endif /* RESCUEFS_FS_SCRATCH_H */
