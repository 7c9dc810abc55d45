/* SPDX-License-Identifier: GPL-3.0-or-later */
/* given_parts.h - what given.c and given_json.c share. */
#ifndef RESCUEFS_SITE_GIVEN_PARTS_H
#define RESCUEFS_SITE_GIVEN_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/checksum.h"
#include "site/given.h"

/* Of one file, as it was then. */
struct rfs_given_kept {
	struct rfs_generation generation;
	struct rfs_checksums sums;
};

struct rfs_given {
	const struct rfs_inventory *inv;
	struct rfs_state *state; /* or NULL */
	struct rfs_given_watch watch;
	struct json_t *theirs; /* what a mount knows, or NULL */
	atomic_bool is_over;   /* set under the lock */
	pthread_mutex_t lock;  /* guards all below */
	pthread_cond_t changed;
	bool is_computing;
	struct rfs_given_kept *kept; /* one for each [base] */
};

/* What was computed of the file as it is, without computing. */
void rfs_given_known(struct rfs_given *g, const struct rfs_base_rule *rule,
		     struct rfs_generation generation,
		     struct rfs_checksums *ret);

/* The file's size and time, or a negative errno. */
int rfs_given_stat(const struct rfs_base_rule *rule,
		   struct rfs_generation *ret);

/* True if an image of the disk was seen to name it. */
bool rfs_given_is_used(struct rfs_given *g, const struct rfs_base_rule *rule,
		       const struct rfs_disk *disk);

#endif /* RESCUEFS_SITE_GIVEN_PARTS_H */
