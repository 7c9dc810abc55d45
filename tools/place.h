/* SPDX-License-Identifier: GPL-3.0-or-later */
/* place.h - where a site's state and its mount may lie: not on a source (P1). */
#ifndef RESCUEFS_TOOLS_PLACE_H
#define RESCUEFS_TOOLS_PLACE_H

#include "core/error.h"
#include "site/site.h"

/* The state's directory, without symlinks; it may not exist yet, and the caller
 * frees it.  'mountpoint' is absolute, or NULL for a verb that mounts nothing.
 * Refused with a text: a state or a mount on a source, a state in the mount. */
int rfs_place_state(const struct rfs_site *site, const char *mountpoint,
		    char **ret_dir, struct rfs_error *err);

/* Whether a verb may write this file: not on a source.  0, or refused with a
 * text. */
int rfs_place_file(const struct rfs_site *site, const char *path,
		   struct rfs_error *err);

/* Whether a throw-away disk may be made where $TMPDIR has it; as above. */
int rfs_place_scratch(const struct rfs_site *site, struct rfs_error *err);

#endif /* RESCUEFS_TOOLS_PLACE_H */
