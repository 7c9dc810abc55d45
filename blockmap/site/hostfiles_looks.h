/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hostfiles_looks.h - one name of a host, as its sources show it. */
#ifndef RESCUEFS_SITE_HOSTFILES_LOOKS_H
#define RESCUEFS_SITE_HOSTFILES_LOOKS_H

#include <sys/stat.h>

#include "site/inventory.h"
#include "site/open.h"

/* One name in one source. */
struct rfs_look {
	const struct rfs_source *source;
	struct stat st;
};

/* Freshest first; 'items' is owned.  Of a name whose freshest look is a
 * regular file, all regular files; of any other name the freshest look. */
struct rfs_looks {
	const char *path;
	struct rfs_look *items;
	size_t count;
	size_t room;
	bool only; /* one source's, as it has the file */
};

/* One lstat a source at the most.  -ENOENT if no source has it; what could not
 * be looked at is noted where another source stands in, else is the error:
 * unknown is not absent. */
int rfs_looks_take(struct rfs_opener *op, const struct rfs_host *host,
		   const struct rfs_source *only, const char *path,
		   struct rfs_looks *ret, struct rfs_error *err);
void rfs_looks_fini(struct rfs_looks *looks);

bool rfs_looks_same_generation(const struct rfs_look *a,
			       const struct rfs_look *b);

/* True if some look is of another generation than the first: then it takes a
 * choice which file is shown. */
bool rfs_looks_differ(const struct rfs_looks *looks);

/* The look that was chosen earlier and is to be shown for ever (P4); the first
 * one where nothing was chosen.  False if nothing was. */
bool rfs_looks_find_choice(struct rfs_opener *op, const struct rfs_host *host,
			   const struct rfs_looks *looks, size_t *ret_at);

/* Remembers it; of two who choose at once the first one's choice holds, and
 * comes back in *at.  What the state cannot keep is noted and lasts only as
 * long as the file is open: a full disk ends no reading. */
void rfs_looks_keep_choice(struct rfs_opener *op, const struct rfs_host *host,
			   const struct rfs_looks *looks, size_t *at);

/* True for what a dying medium or a torn file system says. */
bool rfs_looks_is_damage(int errnum);

struct rfs_notes *rfs_looks_notes(struct rfs_opener *op);

#endif /* RESCUEFS_SITE_HOSTFILES_LOOKS_H */
