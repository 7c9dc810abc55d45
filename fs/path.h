/* SPDX-License-Identifier: GPL-3.0-or-later */
/* path.h - paths inside a host. */
#ifndef RESCUEFS_FS_PATH_H
#define RESCUEFS_FS_PATH_H

#include <stdio.h>
#include <string.h>

/* "/etc" and "passwd" make "/etc/passwd"; the caller frees it.  NULL without
 * memory. */
static inline char *rfs_path_join(const char *dir, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, name) <
	    0)
		return NULL;
	return path;
}

#endif /* RESCUEFS_FS_PATH_H */
