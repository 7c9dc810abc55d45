/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sink.h - where a disk that is written out goes: a new file, a block device, or
 * a pipe.
 *
 * Bytes come in order.  Zeros are a hole in a file, are made by the device where
 * it can, and are written into a pipe.
 */
#ifndef RESCUEFS_TOOLS_SINK_H
#define RESCUEFS_TOOLS_SINK_H

#include <signal.h>

#include "tools/newfile.h"
#include "tools/target.h"

enum rfs_sink_kind {
	RFS_SINK_FILE,
	RFS_SINK_DEVICE,
	RFS_SINK_PIPE,
};

struct rfs_sink {
	enum rfs_sink_kind kind;
	struct rfs_newfile file; /* a file's */
	int fd;			 /* of any kind */
	bool is_ours;		 /* to be closed: not standard output */
	const char *name;	 /* for messages; outlives it */
	const volatile sig_atomic_t
		*stop; /* NULL, or set by a signal to end it */
	uint64_t off;
};

/* "-" is standard output.  Refused with a text: what lies on a source or in the
 * mount, a device that is in use, is a source's or is smaller than 'size' bytes,
 * a file that is there unless 'force'. */
int rfs_sink_open(struct rfs_sink *s, const struct rfs_target *t,
		  const char *path, uint64_t size, bool force,
		  struct rfs_error *err);

/* Whether a file may come to lie there: not on a source nor in the mount. */
int rfs_sink_check_place(const struct rfs_target *t, const char *path,
			 struct rfs_error *err);

/* A pipe that is open already, which the caller closes. */
void rfs_sink_pipe(struct rfs_sink *s, int fd, const char *name);

/* -EPIPE: nobody reads any more; -EINTR: it was told to stop. */
int rfs_sink_write(struct rfs_sink *s, const void *buf, size_t len,
		   struct rfs_error *err);
int rfs_sink_zeros(struct rfs_sink *s, uint64_t len, struct rfs_error *err);

/* All of it is on disk, and a file has its name.  Closed in any case. */
int rfs_sink_keep(struct rfs_sink *s, struct rfs_error *err);

/* A file is gone; a device holds what was written so far. */
void rfs_sink_drop(struct rfs_sink *s);

#endif /* RESCUEFS_TOOLS_SINK_H */
