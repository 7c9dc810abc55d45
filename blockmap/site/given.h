/* SPDX-License-Identifier: GPL-3.0-or-later */
/* given.h - base images that are given by hand: is each what the site file says
 * that it is, and which disks stand on it.
 *
 * A checksum reads all of a file, so it is computed once: the state keeps it with
 * the file's size and time of modification, and another size or time makes it
 * nothing.  Nothing else of a file's content is kept.
 *
 * Safe from many threads.  One file at a time is read; who wants a checksum
 * meanwhile waits.
 */
#ifndef RESCUEFS_SITE_GIVEN_H
#define RESCUEFS_SITE_GIVEN_H

#include "core/state.h"
#include "site/inventory.h"

struct rfs_given;

/* Who is told of a computation; all are called by the thread that computes, one
 * computation after the other. */
struct rfs_given_watch {
	/* 'text' is a sentence of what goes on, for the time of the call. */
	void (*begin)(void *data, const struct rfs_base_rule *rule,
		      uint64_t size, const char *text);
	void (*step)(void *data, uint64_t done); /* bytes */
	void (*end)(void *data);
	void *data;
};

/* 'state' may be NULL: then nothing is remembered longer than this.  Both outlive
 * it. */
int rfs_given_new(const struct rfs_inventory *inv, struct rfs_state *state,
		  struct rfs_given **ret, struct rfs_error *err);
void rfs_given_free(struct rfs_given *g);

/* From now on 'watch' is told, which is copied; NULL: the site's notes are.  Not while
 * another thread may compute. */
void rfs_given_tell(struct rfs_given *g, const struct rfs_given_watch *watch);

/* Ends a computation, and waiting for one, with -EINTR, for good. */
void rfs_given_stop(struct rfs_given *g);

/* Opens the file of a [base], and says how large it is and when it was changed. */
int rfs_given_open(struct rfs_base_rule *rule, struct rfs_reader **ret,
		   struct rfs_generation *ret_generation,
		   struct rfs_error *err);

/* Holds it against the checksums that the site file says.  -EBADMSG: one is
 * another, which is said; 0 also where none is said. */
int rfs_given_check(struct rfs_given *g, const struct rfs_base_rule *rule,
		    struct rfs_reader *file, struct rfs_generation generation,
		    struct rfs_error *err);

/* Remembers that an image of the disk names the base image 'rule->name'. */
void rfs_given_note_use(struct rfs_given *g, const struct rfs_base_rule *rule,
			const struct rfs_disk *disk);

/* Takes over what a mount knows, as its status.json says it; what makes no sense
 * tells nothing.  Once, before anyone asks. */
void rfs_given_adopt(struct rfs_given *g, const char *status);

#endif /* RESCUEFS_SITE_GIVEN_H */
