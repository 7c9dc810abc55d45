/* SPDX-License-Identifier: GPL-3.0-or-later */
/* keptmap.h - an extent map that outlives the process.
 *
 * In memory an extmap; in the state a row for each RFS_KEPT_PAGE bytes of the
 * disk that have any value.  A change touches pages; saving writes the touched
 * ones, all in one transaction or none.
 *
 * Safe from many threads: 'lock' guards the map and the list of pages.  Saving
 * holds it only while it copies.
 */
#ifndef RESCUEFS_CORE_KEPTMAP_H
#define RESCUEFS_CORE_KEPTMAP_H

#include <pthread.h>

#include "core/extmap.h"
#include "core/state.h"

/* Small enough that a random write rewrites little, large enough that a disk
 * in one piece has few rows. */
#define RFS_KEPT_PAGE ((uint64_t)4 << 20)

struct rfs_kept {
	struct rfs_state *state; /* NULL: kept in memory only */
	char *object;
	const char *purpose;   /* a literal: "choices", "overlay", "bad", ... */
	pthread_rwlock_t lock; /* guards all below */
	struct rfs_extmap map;
	struct rfs_extmap touched; /* pages, as ranges; 1 = not saved */
	pthread_mutex_t saving;	   /* one save at a time */
};

/* Loads what was kept.  -EBADMSG if a page makes no sense. */
int rfs_kept_open(struct rfs_kept *k, struct rfs_state *state,
		  const char *object, const char *purpose,
		  struct rfs_error *err);
void rfs_kept_close(struct rfs_kept *k);

/* The lock, to change the map or to look at it; a thread must not take it twice.  Most
 * hold it for less time than another needs to fall asleep and be woken: who finds it
 * taken tries for some microseconds before it sleeps. */
void rfs_kept_lock(struct rfs_kept *k);
void rfs_kept_lock_shared(struct rfs_kept *k);
void rfs_kept_unlock(struct rfs_kept *k);

int rfs_kept_set(struct rfs_kept *k, struct rfs_range range, uint32_t value,
		 struct rfs_error *err);

/* The same for a caller that has locked it. */
int rfs_kept_set_locked(struct rfs_kept *k, struct rfs_range range,
			uint32_t value, struct rfs_error *err);

/* The same where the caller has seen that none of 'range' has this value. */
int rfs_kept_change_locked(struct rfs_kept *k, struct rfs_range range,
			   uint32_t value, struct rfs_error *err);

/* The run at 'off', cut to 'within'. */
struct rfs_run rfs_kept_find(struct rfs_kept *k, uint64_t off,
			     struct rfs_range within);

/* True if all of 'range' has this value. */
bool rfs_kept_is(struct rfs_kept *k, struct rfs_range range, uint32_t value);

/* On the disk when it returns; what changes meanwhile is saved next time. */
int rfs_kept_save(struct rfs_kept *k, struct rfs_error *err);

/* The same, so that it outlives the process but perhaps no power cut, until
 * rfs_state_settle. */
int rfs_kept_save_softly(struct rfs_kept *k, struct rfs_error *err);

/* The same as rfs_kept_save, and in the same transaction what 'also' writes, which
 * is called even when the map has nothing to save. */
int rfs_kept_save_with(struct rfs_kept *k,
		       int (*also)(void *data, struct rfs_error *err),
		       void *data, struct rfs_error *err);

/* Forgets all of it, in memory and in the state. */
int rfs_kept_forget(struct rfs_kept *k, struct rfs_error *err);

#endif /* RESCUEFS_CORE_KEPTMAP_H */
