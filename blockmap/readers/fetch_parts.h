/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fetch_parts.h - what fetch.c and fetch_pass.c share. */
#ifndef RESCUEFS_READERS_FETCH_PARTS_H
#define RESCUEFS_READERS_FETCH_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/extmap.h"
#include "readers/fetch.h"
#include "readers/rescue_parts.h"

/* A file's share. */
struct rfs_fetch_part {
	struct rfs_reader *file; /* referenced */
	struct rfs_rescue *rescue;
	struct rfs_extmap tiers; /* guarded by the fetch's lock for all but the
				    thread that adds; 0: left out */
};

/* A request, and what it brought. */
struct rfs_fetch_slot {
	struct rfs_rescue_asking asking;
	struct rfs_range piece; /* that was asked for */
	uint8_t *buf;		/* RFS_WORKER_ROOM bytes */
};

/* The thread that keeps what a request brought, beside the next request. */
struct rfs_fetch_putter {
	pthread_t thread;
	bool is_started;      /* of the thread that runs the fetch */
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	struct rfs_fetch_slot *slot; /* to be kept; NULL: all is */
	bool ends;
	int result; /* the first failure */
	struct rfs_error err;
};

/* Ends the request in the slot that is ours; all of it came.  GOT or an error. */
int rfs_fetch_keep_slot(struct rfs_fetch_slot *slot, struct rfs_error *err);

/* The same by the putter, and the other slot is ours from then on.  An error may
 * be that of the one before. */
int rfs_fetch_put(struct rfs_fetch *f, struct rfs_error *err);
/* All is kept when it returns. */
int rfs_fetch_put_all(struct rfs_fetch *f, struct rfs_error *err);

int rfs_fetch_putter_init(struct rfs_fetch *f, struct rfs_error *err);
void rfs_fetch_putter_fini(struct rfs_fetch *f);

struct rfs_fetch {
	pthread_mutex_t lock; /* guards items and their tiers as said above */
	pthread_cond_t
		stopped; /* 'stops' was set, which is with the lock held */
	atomic_bool stops;
	struct rfs_fetch_part *items;
	size_t count;
	size_t room;

	/* Of the thread that runs; one of the slots may be the putter's. */
	struct rfs_fetch_slot slots[2];
	unsigned int slot; /* which is ours */
	struct rfs_fetch_putter putter;
	unsigned int misses;
	int64_t patience_ns; /* of a request; 0: as a reader's */

	/* Written by the thread that runs, for whoever looks. */
	atomic_int pass, tier;
	atomic_uint round;
	atomic_size_t part;
	_Atomic uint64_t pos, fetched;
};

/* The parts of a tier (0: of all) that have this status. */
int rfs_fetch_collect(struct rfs_fetch *f, const struct rfs_fetch_part *part,
		      enum rfs_fetch_tier tier, enum rfs_rescue_status status,
		      struct rfs_ranges *out, struct rfs_error *err);

enum rfs_fetch_answer {
	RFS_FETCH_FAILED, /* in part or wholly, which is kept */
	RFS_FETCH_MISSED, /* there was no answer in time */
	RFS_FETCH_GOT,	  /* all of it, and it is in the store */
};

/* One request, for the whole granules around 'piece', all of which was 'seen'.
 * An enum rfs_fetch_answer, or -EAGAIN: it is no longer as it was seen; else the
 * fetch cannot go on.  *ret_done is how many bytes of 'piece', from its begin
 * or, if the way is back, its end, are dealt with: up to a failure and with it. */
int rfs_fetch_ask(struct rfs_fetch *f, struct rfs_rescue *r,
		  struct rfs_range piece, struct rfs_run seen,
		  struct rfs_rescue_way way, uint64_t *ret_done,
		  struct rfs_error *err);

/* One pass over areas of one file, which are in order. */
typedef int rfs_fetch_pass_fn(struct rfs_fetch *f, struct rfs_rescue *r,
			      const struct rfs_ranges *areas,
			      struct rfs_error *err);

rfs_fetch_pass_fn rfs_fetch_copy;      /* NOT, skipping */
rfs_fetch_pass_fn rfs_fetch_copy_back; /* NOT, skipping, from the end */
rfs_fetch_pass_fn rfs_fetch_sweep;     /* NOT */
rfs_fetch_pass_fn rfs_fetch_trim;      /* NEAR; what is left is EDGED */
rfs_fetch_pass_fn rfs_fetch_scrape;    /* EDGED */
rfs_fetch_pass_fn rfs_fetch_late;      /* LATE */
rfs_fetch_pass_fn rfs_fetch_again;     /* BAD */
rfs_fetch_pass_fn rfs_fetch_again_back;

#endif /* RESCUEFS_READERS_FETCH_PARTS_H */
