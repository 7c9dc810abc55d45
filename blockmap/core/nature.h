/* SPDX-License-Identifier: GPL-3.0-or-later */
/* nature.h - which bytes of a disk may be older than the rest (fill = data).
 *
 * Contents of files, and free space, may come from an older source; a
 * filesystem's own tables may not.  Which is which is told by the tables as the
 * freshest source has them, without help from older ones; where they cannot be
 * read nothing is data.  It is found out when the first stale block is needed,
 * and kept in the state: a block that was data stays data (P4).
 *
 * Safe from many threads.
 */
#ifndef RESCUEFS_CORE_NATURE_H
#define RESCUEFS_CORE_NATURE_H

#include "core/keptmap.h"
#include "core/reader.h"

/* Sets to 1 what of 'disk' is contents of files or free; the rest stays 0. */
typedef int rfs_find_data_fn(struct rfs_reader *disk, struct rfs_extmap *ret,
			     struct rfs_error *err);

struct rfs_nature;

/* 'fresh' is the freshest source's disk alone; NULL: it is not there, so that
 * nothing is data for now. */
int rfs_nature_open(rfs_find_data_fn *find, struct rfs_reader *fresh,
		    struct rfs_state *state, const char *id,
		    struct rfs_nature **ret, struct rfs_error *err);
void rfs_nature_close(struct rfs_nature *nature); /* NULL is accepted */

/* Finds it out, unless it is known.  -ETIMEDOUT: not now, as the source did not
 * answer in time. */
int rfs_nature_learn(struct rfs_nature *nature, struct rfs_error *err);

enum rfs_nature_value {
	RFS_NATURE_UNTOLD, /* not found out yet */
	RFS_NATURE_DATA,   /* may be stale */
	RFS_NATURE_OTHER,
};

/* The run at 'off', cut to 'within'; reads nothing. */
struct rfs_run rfs_nature_find(struct rfs_nature *nature, uint64_t off,
			       struct rfs_range within);

/* Forgets it; 'nature' may be NULL, then only what the state has. */
int rfs_nature_forget(struct rfs_nature *nature, struct rfs_state *state,
		      const char *id, struct rfs_error *err);

#endif /* RESCUEFS_CORE_NATURE_H */
