/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rescue_parts.h - what rescue.c and rescue_read.c share. */
#ifndef RESCUEFS_READERS_RESCUE_PARTS_H
#define RESCUEFS_READERS_RESCUE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/freshness.h"
#include "core/keptmap.h"
#include "readers/file_medium.h"
#include "readers/identity.h"
#include "readers/rescue.h"

/* Sectors that someone is asking for: others wait for them. */
struct rfs_flight {
	struct rfs_range range;
	struct rfs_flight *next;
	struct rfs_ticket ticket;
};

struct rfs_rescue {
	struct rfs_rescue *next; /* guarded by all_lock, as refs is */
	size_t refs;
	struct rfs_state *state;
	struct rfs_worker *worker;
	struct rfs_notes *notes;
	const struct rfs_origin *origin;
	char *object, *name;
	enum rfs_store_mode mode;

	struct rfs_worker_file *file;
	struct rfs_medium medium; /* its granule and its pace */
	uint64_t device, inode;	  /* which file it is */
	dev_t below;		  /* the block device that it is, or lies on */
	struct rfs_generation generation;
	struct rfs_identity identity; /* of a device, as far as it is known */
	uint64_t size, allocated;
	bool is_device;

	struct rfs_kept known;	 /* statuses but DONE and SPOILT */
	struct rfs_kept suspect; /* verdicts */
	struct rfs_store *store; /* NULL without a state */
	atomic_bool storing;	 /* what is delivered is kept */
	atomic_bool has_fact;	 /* which file it is, is in the state */
	atomic_bool expects;	 /* a late answer may come */
	atomic_bool said_full;

	pthread_mutex_t lock;  /* guards flights */
	pthread_cond_t landed; /* by CLOCK_MONOTONIC */
	struct rfs_flight *flights;
};

/* How a request is put to the medium. */
struct rfs_rescue_way {
	/* Bytes that are read at once, whole granules, one such unit after the
	 * other, up to the first that fails: that one is BAD if it is one
	 * granule, and else NEAR, and the rest stays as it was.  0: all. */
	uint64_t unit;
	bool back; /* from the end; units are granules, none cut by the file's */
};

/* One request to the medium for the whole granules of 'range'; 'seen' is what
 * was known of it when the caller looked.  -EAGAIN: the medium was not asked, as
 * that has changed, or someone else was asking (and has been waited for).  -EINPROGRESS:
 * someone else is asking still, and the medium has had his request for as long as
 * there is patience; not in the background, which waits for others until it is
 * told to stop.
 *
 * Returns the bytes delivered into 'buf', or a negative errno: -EIO and its kin the
 * medium's (rfs_medium_failed), -ETIMEDOUT.  When it returns, what was delivered is
 * kept, where it is to be kept or 'keep' is set, and what was not delivered is
 * recorded: BAD if it is one granule, NEAR if it is more, LATE if the medium had the
 * request when the patience ended. */
ssize_t rfs_rescue_ask(struct rfs_rescue *r, struct rfs_range range,
		       struct rfs_run seen, struct rfs_rescue_way way,
		       void *buf, bool keep, struct rfs_patience *patience);

/* The same in two steps, so that the next request can be with the medium while
 * what this one brought is kept.  The second must follow whatever the first
 * returned, with the same buffer; until then nobody else asks for this range. */
struct rfs_rescue_asking {
	struct rfs_rescue *r;
	struct rfs_flight flight;
	bool is_flying;
	struct rfs_rescue_way way;
	bool keep;
	ssize_t n;
	struct rfs_patience left;
};

ssize_t rfs_rescue_ask_begin(struct rfs_rescue_asking *a, struct rfs_rescue *r,
			     struct rfs_range range, struct rfs_run seen,
			     struct rfs_rescue_way way, void *buf, bool keep,
			     struct rfs_patience *patience);
void rfs_rescue_ask_end(struct rfs_rescue_asking *a, const void *buf);

/* The first part of 'range' that is all of it in someone's request, or in
 * nobody's, as it is now. */
struct rfs_range rfs_rescue_cut_at_flights(struct rfs_rescue *r,
					   struct rfs_range range);

/* The unit of a request that failed, from the last good granule before the
 * error on: 'n' is what the request brought, or why it failed. */
struct rfs_range rfs_rescue_failed_part(const struct rfs_rescue *r,
					struct rfs_range range,
					struct rfs_rescue_way way, ssize_t n);

/* With the first thing that is recorded: a file that was only looked at leaves
 * nothing in the state. */
void rfs_rescue_keep_generation(struct rfs_rescue *r);

/* Bytes that the copies do not agree on. */
uint64_t rfs_rescue_suspect_bytes(struct rfs_rescue *r);

/* Takes in what a late request brought after all. */
void rfs_rescue_harvest(struct rfs_rescue *r);

/* True for what says that the whole source is away, and nothing of a sector. */
bool rfs_rescue_is_away(int r);

#endif /* RESCUEFS_READERS_RESCUE_PARTS_H */
