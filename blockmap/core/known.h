/* SPDX-License-Identifier: GPL-3.0-or-later */
/* known.h - what a state says of a disk, without opening the disk.
 *
 * Nothing is read from a source.  Beside a mount it is what was kept last.
 */
#ifndef RESCUEFS_CORE_KNOWN_H
#define RESCUEFS_CORE_KNOWN_H

#include "core/report.h"
#include "core/state.h"

struct rfs_known {
	bool is_known; /* it was read from or written to */
	uint64_t size;
	uint64_t bytes[RFS_BLOCK_STATES];
	uint64_t healed, guessed; /* bytes of those; guessed: of the healed */
};

int rfs_known_disk(struct rfs_state *state, const char *id,
		   struct rfs_known *ret, struct rfs_error *err);

/* What the last judging of its copies' tables found; nothing is known where there
 * was none. */
int rfs_known_orphans(struct rfs_state *state, const char *id,
		      struct rfs_orphans *ret, struct rfs_error *err);
/* Keeps it, where the state can; see rfs_state_try_fact. */
int rfs_keep_orphans(struct rfs_state *state, const char *id,
		     const struct rfs_orphans *orphans, struct rfs_error *err);

int rfs_forget_orphans(struct rfs_state *state, const char *id,
		       struct rfs_error *err);

/* The same of tables that nothing leads to. */
int rfs_known_strays(struct rfs_state *state, const char *id,
		     struct rfs_strays *ret, struct rfs_error *err);
int rfs_keep_strays(struct rfs_state *state, const char *id,
		    const struct rfs_strays *strays, struct rfs_error *err);
int rfs_forget_strays(struct rfs_state *state, const char *id,
		      struct rfs_error *err);

#endif /* RESCUEFS_CORE_KNOWN_H */
