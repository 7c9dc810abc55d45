/* SPDX-License-Identifier: GPL-3.0-or-later */
/* export_parts.h - what the parts of rescuefs export tell each other. */
#ifndef RESCUEFS_TOOLS_EXPORT_PARTS_H
#define RESCUEFS_TOOLS_EXPORT_PARTS_H

#include "tools/export.h"
#include "tools/subject.h"

struct rfs_export_request {
	const char *output;   /* "-": standard output; NULL: Glance */
	const char *glance;   /* the image's name, or NULL */
	const char *manifest; /* where it goes, if not beside the file */
	bool is_qcow2, minimum, zero_lost, force, json, quiet;
};

/* The target's one disk.  Prints the image's id, unless it is JSON that is to be
 * printed. */
int rfs_export_to_glance(const struct rfs_export_request *req,
			 struct rfs_target *t, const struct rfs_export *what,
			 struct rfs_exported *ret, struct rfs_error *err);

/* A disk that is fsck'd and made as small as its filesystem allows, thrown away
 * afterwards. */
struct rfs_minimum {
	struct rfs_scratch *scratch;
	struct rfs_reader *disk;
};

int rfs_minimum_open(struct rfs_minimum *m, struct rfs_reader *disk,
		     const char *name, bool zero_lost, struct rfs_error *err);
/* Appends what it wanted to read and nobody gave. */
int rfs_minimum_lost(const struct rfs_minimum *m, struct rfs_ranges *ret,
		     struct rfs_error *err);
int rfs_minimum_close(struct rfs_minimum *m, struct rfs_error *err);

#endif /* RESCUEFS_TOOLS_EXPORT_PARTS_H */
