/* SPDX-License-Identifier: GPL-3.0-or-later */
/* reading.h - a disk of one age read from end to end, to know what of it cannot be
 * had. */
#ifndef RESCUEFS_EXT_READING_H
#define RESCUEFS_EXT_READING_H

#include "core/reader.h"
#include "core/report.h"

struct rfs_ext_reading {
	struct rfs_reader *disk;
	const struct rfs_origin *origin; /* who gives it, for the report */
	/* Optional.  Bytes: of how many so many were asked for, and could not
	 * be had. */
	void (*progress)(void *data, uint64_t done, uint64_t total,
			 uint64_t unreadable);
	void *data;
};

/* Reads what the disk's filesystems use, or all of it where none is known, but no
 * holes, and appends to 'report', from the disk's beginning to its end: fresh, lost,
 * or unread what is not in use or was not waited for.  An error if the disk fails
 * without saying where. */
int rfs_ext_read_used(const struct rfs_ext_reading *reading,
		      struct rfs_report *report, struct rfs_error *err);

#endif /* RESCUEFS_EXT_READING_H */
