/* SPDX-License-Identifier: GPL-3.0-or-later */
/* status.h - what is known and done, per disk and per source, as JSON.
 *
 * Of disks and of what was rescued by the state, so that no source is asked;
 * what a process has done by its own counters, which end with it.
 */
#ifndef RESCUEFS_SITE_STATUS_H
#define RESCUEFS_SITE_STATUS_H

#include <stdio.h>

#include "core/known.h"
#include "site/open.h"

/* Where a mount has it, at the top of the tree. */
#define RFS_STATUS_FILE "status.json"

/* What a mount knows of a disk that it has open; -ENOENT: it has not, and
 * *ret_failure says why if that failed (the caller frees it). */
typedef int rfs_status_look(void *data, const struct rfs_disk *disk,
			    struct rfs_known *ret, char **ret_failure,
			    struct rfs_error *err);

/* {"site", "mounted", "disks", "sources", "base_images_by_hand", "notes"}; bytes.
 * The opener has a state.  'look' may be NULL: no mount.  The caller frees *ret. */
int rfs_status_json(struct rfs_opener *op, rfs_status_look *look, void *data,
		    char **ret, struct rfs_error *err);

enum rfs_status_verdict {
	RFS_STATUS_FINE,
	RFS_STATUS_LOSSES, /* a disk has lost, stale or unproved blocks */
	RFS_STATUS_FAILED, /* a source, a disk or a base image given by hand
			      cannot be used, or what was rescued is
			      damaged */
};

/* Prints such a text for people, or as JSON again; of the 'nonly' disks that
 * 'only' names ("april-ci/disk"), or of all if that is 0.  Neither the sources
 * nor the notes are cut.  -EINVAL: it is no such text. */
int rfs_status_print(const char *json, char *const *only, size_t nonly,
		     bool as_json, FILE *out,
		     enum rfs_status_verdict *ret_verdict,
		     struct rfs_error *err);

#endif /* RESCUEFS_SITE_STATUS_H */
