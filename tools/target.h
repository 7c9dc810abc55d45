/* SPDX-License-Identifier: GPL-3.0-or-later */
/* target.h - what a verb is about: disks of a site, and who has their state.
 *
 * The words of such a verb are "[SITE] [DISK]...".  The state is opened here,
 * or a mount holds it: then the mount is asked, at the images that it shows.
 */
#ifndef RESCUEFS_TOOLS_TARGET_H
#define RESCUEFS_TOOLS_TARGET_H

#include "core/state.h"
#include "site/inventory.h"
#include "site/open.h"
#include "tools/given.h"
#include "tools/settings.h"

struct rfs_target {
	struct rfs_site site;
	struct rfs_inventory inv;
	bool is_scanned;
	const struct rfs_disk **disks;
	size_t ndisks;
	char *mountpoint; /* of the mount that holds the state, or NULL */
	struct rfs_state *state;   /* held here, or NULL */
	struct rfs_opener *opener; /* with the state, or NULL */
	struct rfs_given_show given;
};

struct rfs_target_words {
	const struct rfs_settings *settings;
	char **words;
	int nwords;
	const char *verb; /* what another process is told of us */
	size_t min_disks, max_disks;
	bool all;	  /* --all: every disk, and none is named */
	bool whole;	  /* an instance's name is all of its disks */
	bool renews;	  /* what failed of a description is tried again */
	bool needs_state; /* a directory without one is an error */
	bool asks_mount;  /* where no disk is named, a mount tells all of it,
			     and nothing is scanned */
	bool quiet;	  /* nothing is told of how far a checksum is */
};

/* Opens all of it.  An exit status, with a text in 'err' if it is not
 * RFS_EXIT_FINE; rfs_target_close in any case. */
int rfs_target_open(struct rfs_target *t, const struct rfs_target_words *words,
		    struct rfs_error *err);
void rfs_target_close(struct rfs_target *t);

/* The disk's image in the mount that holds the state; the caller frees it. */
int rfs_target_image(const struct rfs_target *t, const struct rfs_disk *disk,
		     char **ret, struct rfs_error *err);

/* One copy of a disk alone, without help from other sources, in the mount or
 * opened here.  The caller unrefs it before the target is closed. */
int rfs_target_copy(const struct rfs_target *t, const struct rfs_disk *disk,
		    const struct rfs_copy *copy, struct rfs_reader **ret,
		    struct rfs_error *err);

#endif /* RESCUEFS_TOOLS_TARGET_H */
