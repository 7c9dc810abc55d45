/* SPDX-License-Identifier: GPL-3.0-or-later */
/* export.h - a disk, read once from its beginning to its end, into a sink. */
#ifndef RESCUEFS_TOOLS_EXPORT_H
#define RESCUEFS_TOOLS_EXPORT_H

#include <signal.h>

#include "core/digester.h"
#include "core/reader.h"
#include "tools/sink.h"

struct rfs_export {
	struct rfs_reader *disk;
	const char *name; /* for the progress */
	bool zero_lost;	  /* lost bytes are zeros; else the first one ends it */
	bool quiet;
	/* NULL, or called once all is read, while the sink can still be told
	 * that it was in vain: an error ends it.  'blank' are the bytes that are
	 * zeros because they could not be read. */
	int (*check)(void *data, const struct rfs_ranges *blank,
		     struct rfs_error *err);
	void *data;
	const volatile sig_atomic_t *stop; /* NULL, or set to end it */
};

struct rfs_exported {
	uint64_t size;
	uint64_t lost; /* bytes that are zeros for want of any others */
	struct rfs_digests digests;
};

/* -EINTR: it was told to stop; -EIO: a byte cannot be read; else what the reader,
 * the sink or the check fails with. */
int rfs_export_copy(const struct rfs_export *e, struct rfs_sink *sink,
		    struct rfs_exported *ret, struct rfs_error *err);

/* The same without writing it anywhere, of a file that is read without losses. */
int rfs_export_digest(struct rfs_reader *file, struct rfs_exported *ret,
		      struct rfs_error *err);

#endif /* RESCUEFS_TOOLS_EXPORT_H */
