/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fetch.h - what the files of rescuefs fetch share. */
#ifndef RESCUEFS_TOOLS_FETCH_H
#define RESCUEFS_TOOLS_FETCH_H

#include "site/fetching.h"
#include "tools/target.h"

/* Names of files; NULL: not wanted. */
struct rfs_fetch_maps {
	const char *import_map, *import_image;
	const char *export_map, *export_image;
	const char *file; /* which one on the source; NULL: the disk's own */
};

static inline bool rfs_fetch_has_maps(const struct rfs_fetch_maps *m)
{
	return m->import_map || m->import_image || m->export_map ||
	       m->export_image;
}

/* Takes over what ddrescue rescued, or hands on what is rescued here, of the
 * one disk of the target: an exit status. */
int rfs_fetch_exchange(const struct rfs_fetch_maps *m, struct rfs_target *t);

/* Watches a fetch to its end: here, or in the mount that holds the state. */
struct rfs_fetch_watch {
	const char *name; /* of the disk */
	bool json, quiet;
	int64_t until_ns; /* of CLOCK_MONOTONIC; 0: as long as it takes */
};

/* One disk.  -EINTR: a signal, or the time is over; then too *ret is what there
 * is to say at the end. */
int rfs_fetch_disk(struct rfs_target *t, const struct rfs_disk *disk,
		   const struct rfs_fetching_order *order,
		   const struct rfs_fetch_watch *watch,
		   struct rfs_fetching_news *ret, struct rfs_error *err);

#endif /* RESCUEFS_TOOLS_FETCH_H */
