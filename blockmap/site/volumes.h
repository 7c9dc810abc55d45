/* SPDX-License-Identifier: GPL-3.0-or-later */
/* volumes.h - block devices and files that hold volumes, where the user says
 * they are: a directory (/dev/nova-volumes) or a pattern
 * (/backup/lv/volume-*.gz).
 *
 * These are names of the user's own system and not of a source's tree: LVM's
 * are symlinks to device nodes, and are followed.
 */
#ifndef RESCUEFS_SITE_VOLUMES_H
#define RESCUEFS_SITE_VOLUMES_H

#include "core/notes.h"
#include "readers/reach.h"
#include "readers/readers.h"

struct rfs_volume {
	char *name; /* "volume-00000143": without folder and endings */
	char *path;
	enum rfs_packing packing; /* as the name tells */
	char *mapfile;		  /* of ddrescue, beside it; or NULL */
	/* A device's time is unknown: its node's says nothing. */
	struct rfs_generation generation;
};

/* By name, each once.  Zero it to begin. */
struct rfs_volumes {
	struct rfs_volume *items;
	size_t count;
	size_t room;
};

/* "volume-00000143", as nova and cinder of old call them by number, or
 * "volume-UUID". */
bool rfs_is_volume_name(const char *name);

/* The uuid that the name tells, in the usual form; false if none. */
bool rfs_volume_uuid(const char *name, char ret[37]);

/* 0 if 'where' can be looked into: its directory can be opened.  Here and below
 * 'w' does it for a damaged source, and is NULL else: see readers/reach.h. */
int rfs_volumes_check(struct rfs_worker *w, const char *where,
		      struct rfs_error *err);

/* The part of 'where' that is a directory for sure; the caller frees it. */
char *rfs_volumes_folder(const char *where);

/* Finds them.  Of a directory only names like a volume's are taken, of a
 * pattern whatever it matches.  What cannot be used is noted, with 'source' in
 * front. */
int rfs_volumes_find(struct rfs_worker *w, const char *where,
		     const char *source, struct rfs_notes *notes,
		     struct rfs_volumes *ret, struct rfs_error *err);
void rfs_volumes_fini(struct rfs_volumes *list);

/* Opens one read-only, without an access time; returns the descriptor.  What
 * is neither a file nor a block device is refused before it is opened. */
int rfs_volume_open(struct rfs_worker *w, const char *path,
		    struct rfs_error *err);

#endif /* RESCUEFS_SITE_VOLUMES_H */
