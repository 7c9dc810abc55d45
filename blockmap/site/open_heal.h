/* SPDX-License-Identifier: GPL-3.0-or-later */
/* open_heal.h - what other copies' tables can heal of a damaged qcow2 image; for
 * open.c only. */
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

/* In open.c: the file of a copy, unpacked if it is packed; what it decodes to by
 * the header in another file; things that live as long as the opener, NULL
 * without memory. */
int rfs_opener_copy_file(struct rfs_opener *op, const struct rfs_disk *disk,
			 const struct rfs_copy *copy, struct rfs_reader **ret,
			 struct rfs_error *err);
int rfs_opener_copy_by(struct rfs_opener *op, const struct rfs_disk *disk,
		       const struct rfs_copy *copy, struct rfs_reader *header,
		       struct rfs_reader **ret, struct rfs_error *err);
const char *rfs_opener_keep_text(struct rfs_opener *op, const char *text);
struct rfs_opener_witness *rfs_opener_keep_witness(struct rfs_opener *op);

#endif /* RESCUEFS_SITE_OPEN_HEAL_H */
