/* SPDX-License-Identifier: GPL-3.0-or-later */
/* open.h - from a disk of the inventory to something that can be read.
 *
 * An opener keeps what several disks share: a base image is opened once and
 * healed from every source that has one of the same name and size (rule 3).
 * Safe from many threads.
 */
#ifndef RESCUEFS_SITE_OPEN_H
#define RESCUEFS_SITE_OPEN_H

#include "core/state.h"
#include "core/view.h"
#include "site/inventory.h"

struct rfs_given;
struct rfs_opener;

/* 'inv' and 'state' outlive it.  'state' may be NULL where nothing is to be
 * remembered (scan); then rfs_opener_view is refused. */
int rfs_opener_new(const struct rfs_inventory *inv, struct rfs_state *state,
		   struct rfs_opener **ret, struct rfs_error *err);
void rfs_opener_free(struct rfs_opener *op);

/* What it was made with; the state may be NULL. */
struct rfs_state *rfs_opener_state(struct rfs_opener *op);
const struct rfs_inventory *rfs_opener_inventory(struct rfs_opener *op);

/* The base images given by hand; the opener's. */
struct rfs_given *rfs_opener_given(struct rfs_opener *op);

/* The merged disk.  Each call opens a view of its own: one disk must not be
 * open twice. */
int rfs_opener_view(struct rfs_opener *op, const struct rfs_disk *disk,
		    struct rfs_view **ret, struct rfs_error *err);

/* The same although a source's file has changed since: to drop what was written
 * to the disk, not to read it. */
int rfs_opener_view_changed(struct rfs_opener *op, const struct rfs_disk *disk,
			    struct rfs_view **ret, struct rfs_error *err);

/* One copy of a disk alone, decoded, without help from other sources. */
int rfs_opener_copy(struct rfs_opener *op, const struct rfs_disk *disk,
		    const struct rfs_copy *copy, struct rfs_reader **ret,
		    struct rfs_error *err);

/* A file of one source, by the fd that the reader owns from the call on, and by
 * the name that it has in messages and in the state ("bm0002:/path").  Of a
 * damaged source it is rescued, of another guarded. */
int rfs_opener_file(struct rfs_opener *op, const struct rfs_source *source,
		    int fd, const char *name, struct rfs_reader **ret,
		    struct rfs_error *err);

/* The mount is ending: whoever waits for a long pass over a compressed copy, or for
 * a checksum, gets -EINTR soon.  Safe from any thread. */
void rfs_opener_stop(struct rfs_opener *op);

/* What was read off the damaged sources is safe when it returns. */
int rfs_opener_sync(struct rfs_opener *op, struct rfs_error *err);

/* Forgets what was chosen for a disk and which sectors of its files failed, so
 * that all is asked for again.  -EBUSY under a written overlay (P4), which
 * 'force' keeps and leaves as it is.  The disk must not be open. */
int rfs_opener_refresh(struct rfs_opener *op, const struct rfs_disk *disk,
		       bool force, struct rfs_error *err);

#endif /* RESCUEFS_SITE_OPEN_H */
