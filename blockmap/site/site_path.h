/* SPDX-License-Identifier: GPL-3.0-or-later */
/* site_path.h - what the paths and names of a site's sources tell. */
#ifndef RESCUEFS_SITE_SITE_PATH_H
#define RESCUEFS_SITE_SITE_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"

/* 'path' as seen from the directory 'base' (NULL: the working directory),
 * absolute and without slashes at its end.  NULL: no memory. */
char *rfs_path_absolute(const char *base, const char *path);

/* The last component, or "" for the root; points into 'path', which has no
 * slash at its end. */
const char *rfs_path_last(const char *path);

/* The last date that stands in the path: YYYY-MM-DD or YYYYMMDD, with THHMM or
 * THHMMSS behind it where the clock is told too. */
bool rfs_path_date(const char *path, int64_t *ret_ns);

/* A name of a source or a host becomes a directory, a section of a file and a
 * word in a list: 'what' says which it is, in the error. */
int rfs_name_check(const char *what, const char *name, struct rfs_error *err);

/* 'text' as such a name, what does not belong in one replaced; the caller frees
 * it, and checks what else a name must be.  NULL: no memory. */
char *rfs_name_make(const char *text);

#endif /* RESCUEFS_SITE_SITE_PATH_H */
