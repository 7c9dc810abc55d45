/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hostfiles.h - a host's own file tree, its sources merged file by file.
 *
 * Rule 7: an ordinary file is never a mix of two ages.  Copies of the same
 * generation heal each other block by block; else the freshest whole file
 * wins.  A name that any source has is there, so that a directory or an inode
 * which the damaged source cannot read comes from the backup.
 *
 * Paths begin with '/' and are inside the host.  Safe from many threads.
 */
#ifndef RESCUEFS_SITE_HOSTFILES_H
#define RESCUEFS_SITE_HOSTFILES_H

#include <sys/stat.h>

#include "site/inventory.h"
#include "site/open.h"

/* A name as lstat would tell it.  'only' restricts it to one source (for
 * sources/), NULL merges.  *ret_source, if wanted, is who told it. */
int rfs_hostfiles_stat(struct rfs_opener *op, const struct rfs_host *host,
		       const struct rfs_source *only, const char *path,
		       struct stat *ret, const struct rfs_source **ret_source,
		       struct rfs_error *err);

/* Calls 'each' once for every name, of any source, but "." and "..".  What
 * could not be listed is noted in the site's notes; an error only if no source
 * could list it.  'each' returns 0 to go on. 'type' is a DT_ value. */
int rfs_hostfiles_list(struct rfs_opener *op, const struct rfs_host *host,
		       const struct rfs_source *only, const char *path,
		       int (*each)(const char *name, unsigned char type,
				   void *data),
		       void *data, struct rfs_error *err);

int rfs_hostfiles_readlink(struct rfs_opener *op, const struct rfs_host *host,
			   const struct rfs_source *only, const char *path,
			   char **ret, struct rfs_error *err);

/* Opens a regular file for reading; anything else is -EINVAL or -EACCES by
 * name.  *ret_stat is of the file that is served. */
int rfs_hostfiles_open(struct rfs_opener *op, const struct rfs_host *host,
		       const struct rfs_source *only, const char *path,
		       struct rfs_reader **ret, struct stat *ret_stat,
		       const struct rfs_source **ret_source,
		       struct rfs_error *err);

#endif /* RESCUEFS_SITE_HOSTFILES_H */
