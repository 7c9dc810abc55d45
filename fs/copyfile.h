/* SPDX-License-Identifier: GPL-3.0-or-later */
/* copyfile.h - one source's copy of a disk in the mount, without help from
 * the others.  Opened when it is first asked for and kept; so is a failure.
 */
#ifndef RESCUEFS_FS_COPYFILE_H
#define RESCUEFS_FS_COPYFILE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "core/reader.h"
#include "site/open.h"

struct rfs_copyfile {
	const struct rfs_disk *disk;
	const struct rfs_copy *copy;
	struct rfs_opener *op;

	_Atomic(struct rfs_reader *) reader; /* set once, under 'lock' */

	pthread_mutex_t lock; /* guards all below; held while opening */
	int failed;
	char *failure;
};

/* All three outlive it. */
int rfs_copyfile_new(const struct rfs_disk *disk, const struct rfs_copy *copy,
		     struct rfs_opener *op, struct rfs_copyfile **ret);
void rfs_copyfile_free(struct rfs_copyfile *cf);

/* The reader, opened if need be; no reference is given. */
int rfs_copyfile_reader(struct rfs_copyfile *cf, struct rfs_reader **ret,
			struct rfs_error *err);

void rfs_copyfile_stat(struct rfs_copyfile *cf, struct rfs_reader *rd,
		       struct stat *st);

#endif /* RESCUEFS_FS_COPYFILE_H */
