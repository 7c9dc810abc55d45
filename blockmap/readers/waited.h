/* SPDX-License-Identifier: GPL-3.0-or-later */
/* waited.h - a file of a healthy source that is not waited for without end.
 *
 * A backup on a network may hang as a dying disk does.  Where the operator gives
 * it a deadline, its files are read by a worker, through the page cache and a
 * request at a time.  Nothing is kept of them: of what fails, guard.c knows.
 */
#ifndef RESCUEFS_READERS_WAITED_H
#define RESCUEFS_READERS_WAITED_H

#include "core/reader.h"
#include "readers/worker.h"

/* 'fd', of a regular file or a block device, belongs to it from the call on, also
 * when it fails.  'w' reads it, 'names' measures it; both outlive it.  What is
 * late is -ETIMEDOUT, with its ranges, and may come at another time. */
int rfs_waited_open(struct rfs_worker *w, struct rfs_worker *names, int fd,
		    const char *name, const struct rfs_origin *origin,
		    struct rfs_reader **ret, struct rfs_error *err);

#endif /* RESCUEFS_READERS_WAITED_H */
