/* SPDX-License-Identifier: GPL-3.0-or-later */
/* mapped.h - the mapfile of GNU ddrescue that lies beside an image.
 *
 * "disk.map", "disk.mapfile" and "disk.log" are of "disk"; of "disk.img" also
 * those.  It is believed only where it takes away: one that cannot be read
 * makes its image unreadable, and never whole.
 */
#ifndef RESCUEFS_SITE_MAPPED_H
#define RESCUEFS_SITE_MAPPED_H

#include <stdbool.h>

#include "core/error.h"
#include "core/notes.h"
#include "core/reader.h"

struct rfs_worker;

/* True for a name that ends as a mapfile does.  "console.log", which nova keeps
 * beside every disk, is none. */
bool rfs_is_mapfile_name(const char *name);

/* The mapfile of 'path' that 'is_there' finds, or NULL; of several the first
 * of .map, .mapfile and .log, and a note.  The caller frees *ret. */
int rfs_mapfile_find(const char *path,
		     bool (*is_there)(const void *data, const char *path),
		     const void *data, struct rfs_notes *notes, char **ret,
		     struct rfs_error *err);

/* Restricts *rd to what the mapfile behind 'fd' says was copied.  'fd' is closed
 * and *rd given up, whatever comes of it; 'name' is the mapfile's, and 'w' reads
 * it where it lies on a damaged source, or is NULL. */
int rfs_mapfile_apply(struct rfs_worker *w, int fd, const char *name,
		      struct rfs_reader **rd, struct rfs_error *err);

#endif /* RESCUEFS_SITE_MAPPED_H */
