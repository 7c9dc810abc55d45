/* SPDX-License-Identifier: GPL-3.0-or-later */
/* open_heal.h - what other copies' tables can heal of a damaged qcow2 image; for
 * the files that open only. */
#ifndef RESCUEFS_SITE_OPEN_HEAL_H
#define RESCUEFS_SITE_OPEN_HEAL_H

#include "readers/readers.h"
#include "site/open.h"

/* A copy that may be asked for its tables; lives as long as the opener. */
struct rfs_opener_witness {
	struct rfs_opener *op;
	const struct rfs_disk *disk;
	const struct rfs_copy *copy;
};

struct rfs_opener_healed {
	struct rfs_healed *items; /* each with a reference of its reader */
	size_t count, room;
};

/* Appends what of the disk's copy 'at', whose reader is NULL where its header is
 * lost, can be healed.  What cannot be opened is left out. */
int rfs_opener_heal(struct rfs_opener *op, const struct rfs_disk *disk,
		    size_t at, struct rfs_reader *image,
		    struct rfs_opener_healed *list, struct rfs_error *err);
void rfs_opener_healed_fini(struct rfs_opener_healed *list);

#endif /* RESCUEFS_SITE_OPEN_HEAL_H */
