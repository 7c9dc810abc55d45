/* SPDX-License-Identifier: GPL-3.0-or-later */
/* state_sql.h - what the files of the state's code share; nobody else's. */
#ifndef RESCUEFS_CORE_STATE_SQL_H
#define RESCUEFS_CORE_STATE_SQL_H

#include <pthread.h>
#include <sqlite3.h>

#include "core/state.h"

enum rfs_state_statement {
	RFS_ST_SOURCE_FIND,
	RFS_ST_SOURCE_ADD,
	RFS_ST_SOURCE_NAME,
	RFS_ST_FACT_FIND,
	RFS_ST_FACT_SET,
	RFS_ST_FACT_FORGET,
	RFS_ST_OBJECT_FIND,
	RFS_ST_OBJECT_ADD,
	RFS_ST_OBJECTS,
	RFS_ST_PAGES,
	RFS_ST_PAGE_SAVE,
	RFS_ST_PAGE_DROP,
	RFS_ST_MAP_FORGET,
	RFS_ST_STORE_FIND,
	RFS_ST_STORE_SET,
	RFS_ST_STORE_FORGET,
	RFS_ST_DIGESTS_FIND,
	RFS_ST_DIGESTS_SET,
	RFS_ST_DIGESTS_FORGET,
	RFS_ST_COUNT,
};

struct rfs_state {
	char *dir;
	int dir_fd;
	bool is_made; /* the directory, by this opening */
	int lock_fd;
	pthread_mutex_t mutex; /* guards all below */
	sqlite3 *db;
	sqlite3_stmt *statements[RFS_ST_COUNT];
	bool is_soft;  /* the transaction that is open */
	bool has_soft; /* something was committed so since it was settled */
};

/* state_dir.c: the directory and data/ in it, whose names then survive a power
 * cut. */
int rfs_state_open_dir(struct rfs_state *st, struct rfs_error *err);
/* -EBUSY: another process has it. */
int rfs_state_take_lock(struct rfs_state *st, const char *holder,
			struct rfs_error *err);
/* True if there is anything in data/ that known.db has to speak of. */
bool rfs_state_has_data(struct rfs_state *st);
/* The directory and what every state has, while the lock is held.  What else is
 * in it stays, and the directory with it. */
void rfs_state_remove_dir(struct rfs_state *st);

/* All of these: with the mutex held. */

int rfs_state_run(struct rfs_state *st, const char *text,
		  struct rfs_error *err);

/* Reset and bare; its values are bound by the caller.  Prepared once. */
sqlite3_stmt *rfs_state_statement(struct rfs_state *st,
				  enum rfs_state_statement which);

/* 1: a row is there, 0: done.  A done statement holds no lock. */
int rfs_state_step(struct rfs_state *st, sqlite3_stmt *s,
		   struct rfs_error *err);

/* The object's number, made if it is new. */
int rfs_state_object_id(struct rfs_state *st, const char *name, int64_t *ret_id,
			struct rfs_error *err);

/* 1 and the object's number, or 0 where it has none. */
int rfs_state_known_object(struct rfs_state *st, const char *object,
			   int64_t *ret_id, struct rfs_error *err);

#endif /* RESCUEFS_CORE_STATE_SQL_H */
