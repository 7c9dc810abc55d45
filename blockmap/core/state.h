/* SPDX-License-Identifier: GPL-3.0-or-later */
/* state.h - what is known, kept in a directory.
 *
 * SQLite for what is known, sparse files for data; docs/state-format.md has
 * the tables.  One process holds the directory; a second is told who has it
 * (-EBUSY).
 *
 * Safe from many threads: one connection, one mutex.
 */
#ifndef RESCUEFS_CORE_STATE_H
#define RESCUEFS_CORE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

#define RFS_STATE_VERSION 4

struct rfs_state;

/* Opens or makes it (0700).  'holder' is what another process is told, such
 * as the mount point.  -EBUSY: another process has it. */
int rfs_state_open(const char *dir, const char *holder, struct rfs_state **ret,
		   struct rfs_error *err);
void rfs_state_close(struct rfs_state *st);
/* Closes it too.  A directory that this opening made, and in which nothing was
 * kept, is taken away: a word that was mistyped leaves none behind. */
void rfs_state_close_unused(struct rfs_state *st);

/* Writes the holder anew: a daemon has another pid than what opened it. */
int rfs_state_set_holder(struct rfs_state *st, const char *holder,
			 struct rfs_error *err);

/* What the holder of the directory said: its pid and its text (the caller frees
 * it).  -ENOENT if nobody holds it. */
int rfs_state_holder(const char *dir, int *ret_pid, char **ret_holder,
		     struct rfs_error *err);

/* A small number for a name, the same for ever; made if it is new. */
int rfs_state_source_id(struct rfs_state *st, const char *name,
			uint32_t *ret_id, struct rfs_error *err);
/* The name again; the caller frees it. */
int rfs_state_source_name(struct rfs_state *st, uint32_t id, char **ret_name,
			  struct rfs_error *err);

/* One fact about an object ("UUID/disk", "bm0002:/path"), as text. -ENOENT if
 * it was never said; the caller frees *ret_value. */
int rfs_state_fact(struct rfs_state *st, const char *object, const char *key,
		   char **ret_value, struct rfs_error *err);
int rfs_state_set_fact(struct rfs_state *st, const char *object,
		       const char *key, const char *value,
		       struct rfs_error *err);

struct rfs_fact {
	const char *object, *key, *value;
};

/* Many facts, all of them or none. */
int rfs_state_set_facts(struct rfs_state *st, const struct rfs_fact *facts,
			size_t nfacts, struct rfs_error *err);

/* One fact where a full or failing state directory is no reason to refuse a read:
 * -ENOSPC, -EROFS and -EIO count as done, and the fact is said again at the next
 * mount. */
int rfs_state_try_fact(struct rfs_state *st, const char *object,
		       const char *key, const char *value,
		       struct rfs_error *err);

/* Names of objects; zero it to begin. */
struct rfs_names {
	char **items;
	size_t count, room;
};

/* Appends those that begin with 'prefix', in the order of their bytes. */
int rfs_state_objects(struct rfs_state *st, const char *prefix,
		      struct rfs_names *ret, struct rfs_error *err);
void rfs_names_fini(struct rfs_names *names);

/* The object's data file (data/NAME), opened for reading and writing; made if
 * 'make' is set, else -ENOENT.  Returns the fd. */
int rfs_state_data_fd(struct rfs_state *st, const char *object, bool make,
		      struct rfs_error *err);

/* The files that an object may have, none of them ever another's. */
enum rfs_state_file {
	RFS_STATE_DATA,	    /* data/N: what was written to it */
	RFS_STATE_STORE,    /* data/N.store: what was read of it; store.h */
	RFS_STATE_JOURNAL0, /* data/N.journal0 and 1: the store's */
	RFS_STATE_JOURNAL1,
};

/* As rfs_state_data_fd.  The names of journals are not made durable. */
int rfs_state_file_fd(struct rfs_state *st, const char *object,
		      enum rfs_state_file which, bool make,
		      struct rfs_error *err);
/* One that is not there is no error; after a power cut it may be there again. */
int rfs_state_remove_file(struct rfs_state *st, const char *object,
			  enum rfs_state_file which, struct rfs_error *err);

/* Forgets an object's map of one purpose, or a fact. */
int rfs_state_forget_map(struct rfs_state *st, const char *object,
			 const char *purpose, struct rfs_error *err);
int rfs_state_forget_fact(struct rfs_state *st, const char *object,
			  const char *key, struct rfs_error *err);

/* Pages of an extent map; see keptmap.h, which alone calls these.  'each' gets
 * the blob for the time of the call. */
int rfs_state_load_pages(struct rfs_state *st, const char *object,
			 const char *purpose,
			 int (*each)(uint64_t page, const void *blob,
				     size_t len, void *data,
				     struct rfs_error *err),
			 void *data, struct rfs_error *err);
int rfs_state_begin(struct rfs_state *st, struct rfs_error *err);
int rfs_state_save_page(struct rfs_state *st, const char *object,
			const char *purpose, uint64_t page, const void *blob,
			size_t len, struct rfs_error *err);
/* The same for what a process that is killed must not forget, but a power cut
 * may: its commit waits for no disk.  Whatever is committed after it keeps it
 * too. */
int rfs_state_begin_softly(struct rfs_state *st, struct rfs_error *err);
/* What was committed softly is on the disk when it returns. */
int rfs_state_settle(struct rfs_state *st, struct rfs_error *err);

/* Ends what rfs_state_begin began, for good or for nothing.  A commit is on
 * the disk when it returns. */
int rfs_state_end(struct rfs_state *st, bool commit, struct rfs_error *err);

#endif /* RESCUEFS_CORE_STATE_H */
