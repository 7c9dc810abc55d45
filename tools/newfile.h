/* SPDX-License-Identifier: GPL-3.0-or-later */
/* newfile.h - a file that has its name only once it is whole.
 *
 * Until then it has none where the filesystem can do that (O_TMPFILE), else one
 * of its own beside the final one.
 */
#ifndef RESCUEFS_TOOLS_NEWFILE_H
#define RESCUEFS_TOOLS_NEWFILE_H

#include <stdbool.h>

#include "core/error.h"

struct rfs_newfile {
	int fd;
	char *path; /* the name that it gets */
	char *made; /* the one that it has; NULL: none */
	bool force; /* in place of what has that name */
};

/* -EEXIST where there is one already, unless 'force'.  Then rfs_newfile_keep or
 * rfs_newfile_drop. */
int rfs_newfile_open(struct rfs_newfile *f, const char *path, bool force,
		     struct rfs_error *err);

/* What was written is on disk and has its name, or is gone; closed in any case. */
int rfs_newfile_keep(struct rfs_newfile *f, struct rfs_error *err);

/* Also of one that was never opened but zeroed, or was kept. */
void rfs_newfile_drop(struct rfs_newfile *f);

#endif /* RESCUEFS_TOOLS_NEWFILE_H */
