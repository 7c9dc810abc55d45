/* SPDX-License-Identifier: GPL-3.0-or-later */
/* heal_parts.h - what heal.c and heal_doubt.c share. */
#ifndef RESCUEFS_READERS_HEAL_PARTS_H
#define RESCUEFS_READERS_HEAL_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/extmap.h"
#include "readers/readers.h"
#include "readers/rescue.h"

struct rfs_heal_member {
	struct rfs_reader *reader;
	/* What it is read through, if it is on a damaged source: what it
	 * delivers is doubted.  NULL: it is not, or there is nothing to hold
	 * it against. */
	struct rfs_rescue *patient;
	uint32_t id;  /* the state's number of its source; 0: does not count */
	bool is_near; /* a copy of the same host */
};

struct rfs_heal {
	pthread_rwlock_t lock;	 /* guards 'given' */
	struct rfs_extmap given; /* the member that healed; 0: none had to */
	struct rfs_notes *notes;
	bool compares, is_shared;
	atomic_bool said; /* that the copies do not agree */
	size_t nmembers;
	struct rfs_heal_member members[];
};

/* One read on its way. */
struct rfs_healing {
	struct rfs_heal *h;
	struct rfs_range range;
	unsigned char *buf;	/* begins at the range's first byte */
	struct rfs_ranges left; /* what no member that was asked could give */
	struct rfs_ranges late; /* of that, what another day may give */
	/* What was delivered and may not be served: whoever was believed over
	 * it cannot be read. */
	struct rfs_ranges refused;
	bool judged; /* a verdict is new that must be kept */
};

/* Finds out whose bytes may be doubted, and by whom. */
void rfs_heal_prepare(struct rfs_heal *h, const struct rfs_heal_doubts *doubts);

/* What member 'k' delivered is compared with the others, if it is to be and was
 * not yet, and is replaced where another was believed.  -ENOMEM. */
int rfs_heal_settle(struct rfs_healing *q, size_t k, struct rfs_range piece);

/* Keeps what was found, before the bytes are served. */
void rfs_heal_keep(const struct rfs_healing *q);

/* Adds what the verdicts make of a range that member 'k' delivers. */
int rfs_heal_trace(const struct rfs_heal *h, size_t k,
		   const struct rfs_trace_item *item, struct rfs_trace *out);
int rfs_heal_extents(const struct rfs_heal *h, size_t k,
		     const struct rfs_extent *extent, struct rfs_extents *out);

#endif /* RESCUEFS_READERS_HEAL_PARTS_H */
