/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fetch.h - reading files off a dying disk in an order of our own.
 *
 * What is worth most comes first: each file's bytes are in tiers, and a tier is
 * done with before the next one is begun, its bad areas too.  A tier is read in
 * passes, as GNU ddrescue does (its manual, "Algorithm"), each over all files:
 *
 *  - copying, forwards and then backwards, in large requests; after one that
 *    fails some of what is next is skipped, twice as much after each;
 *  - sweeping: what was skipped;
 *  - trimming: of each area that failed, single granules from both ends up to
 *    the first that is bad;
 *  - scraping: each granule in between;
 *  - asking once more for what was late.
 *
 * So a bad sector is touched twice at the most: in the request that failed, and
 * alone.  More is for retries, on order.
 *
 * All that is known of a byte is in the rescue (rescue.h), from which a later
 * fetch goes on; it is kept before the next request.  Requests are one at a
 * time, in the background: whoever reads in the foreground goes first.
 *
 * One thread adds and runs; any thread may stop it and look at its progress.
 */
#ifndef RESCUEFS_READERS_FETCH_H
#define RESCUEFS_READERS_FETCH_H

#include "core/reader.h"
#include "readers/rescue.h"

enum rfs_fetch_tier {
	RFS_FETCH_TABLES = 1, /* without them nothing is found */
	RFS_FETCH_USED,
	RFS_FETCH_REST,
};

enum rfs_fetch_pass {
	RFS_FETCH_PLANNING,
	RFS_FETCH_COPYING,
	RFS_FETCH_BACKWARDS,
	RFS_FETCH_SWEEPING,
	RFS_FETCH_TRIMMING,
	RFS_FETCH_SCRAPING,
	RFS_FETCH_LATE,
	RFS_FETCH_RETRYING,
	RFS_FETCH_DONE,
	RFS_FETCH_PASSES,
};

/* "copying", "trimming", ...; "tables", "used", "rest". */
const char *rfs_fetch_pass_name(enum rfs_fetch_pass pass);
const char *rfs_fetch_tier_name(enum rfs_fetch_tier tier);

struct rfs_fetch;

int rfs_fetch_new(struct rfs_fetch **ret, struct rfs_error *err);
void rfs_fetch_free(struct rfs_fetch *f); /* accepts NULL */

/* How long a request may take; 0: as long as a reader's. */
void rfs_fetch_set_patience(struct rfs_fetch *f, int64_t ns);

/* Adds a range of a file, to come in this tier unless it is in an earlier one.
 * A reader that is no rescue's is passed over.  Takes its own reference. */
int rfs_fetch_add(struct rfs_fetch *f, struct rfs_reader *file,
		  struct rfs_range range, enum rfs_fetch_tier tier,
		  struct rfs_error *err);

/* Adds all else of the files added so far ('all'), and leaves out what is known
 * to be a hole in them. */
int rfs_fetch_add_rest(struct rfs_fetch *f, bool all, struct rfs_error *err);

/* Nothing of that range of 'file' is asked for, whatever was added. */
int rfs_fetch_leave_out(struct rfs_fetch *f, const struct rfs_reader *file,
			struct rfs_range range, struct rfs_error *err);

/* Reads what is not there yet of a tier.  -EINTR: it was stopped.  -ENOSPC: the
 * store takes no more.  Other errors: the source is gone, or gave no answer
 * many times in a row.  What cannot be read is no error. */
int rfs_fetch_run(struct rfs_fetch *f, enum rfs_fetch_tier tier,
		  struct rfs_error *err);

/* Asks once more for all that is bad, spoilt or late, of every tier.  'round'
 * is from 1; odd ones go forwards. */
int rfs_fetch_retry(struct rfs_fetch *f, unsigned int round,
		    struct rfs_error *err);

/* What was fetched is safe when it returns. */
int rfs_fetch_sync(struct rfs_fetch *f, struct rfs_error *err);

/* It ends after the request that is under way. */
void rfs_fetch_stop(struct rfs_fetch *f);
void rfs_fetch_set_pass(struct rfs_fetch *f, enum rfs_fetch_pass pass);

#define RFS_FETCH_NAME 256

struct rfs_fetch_progress {
	enum rfs_fetch_pass pass;
	enum rfs_fetch_tier tier;  /* 0: none yet */
	unsigned int round;	   /* of retries; 0: none yet */
	char file[RFS_FETCH_NAME]; /* that is read; cut to fit */
	uint64_t pos;		   /* in it, in bytes */
	/* Bytes of all that was added; their sum is 'total'. */
	uint64_t total, rescued, untried, pending, bad, late;
	uint64_t areas;	  /* stretches that are bad, pending or late */
	uint64_t fetched; /* bytes delivered to this fetch */
	int64_t aside_ns; /* more than 0: the source is set aside */
};

/* Goes through all that is known of the files: for once or twice a second. */
void rfs_fetch_progress(struct rfs_fetch *f, struct rfs_fetch_progress *ret);

#endif /* RESCUEFS_READERS_FETCH_H */
