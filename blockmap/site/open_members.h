/* SPDX-License-Identifier: GPL-3.0-or-later */
/* open_members.h - files that hold the same bytes, and are read as one. */
#ifndef RESCUEFS_SITE_OPEN_MEMBERS_H
#define RESCUEFS_SITE_OPEN_MEMBERS_H

#include "site/chain.h"
#include "site/open.h"

/* Zero it to begin. */
struct rfs_opener_members {
	struct rfs_reader *items[RFS_CHAIN_MEMBERS];
	size_t count;
	uint64_t near;	/* bit i: that one is a copy of the same host */
	bool is_shared; /* other disks may stand on them, too */
};

/* 'rd' is taken over; one of another size than the first is not used. */
void rfs_opener_add(struct rfs_opener_members *m, struct rfs_reader *rd,
		    bool is_near);

/* One reader of them all, which are given up: what a damaged source delivers is
 * held against the others (readers/heal_doubt.c), where the site wants that. */
int rfs_opener_join(struct rfs_opener *op, struct rfs_opener_members *m,
		    struct rfs_reader **ret, struct rfs_error *err);

/* A file of a damaged source that has no equal, in place: what it shows is the
 * same on the day when it has one. */
int rfs_opener_alone(struct rfs_opener *op, bool is_shared,
		     struct rfs_reader **file, struct rfs_error *err);

/* As rfs_heal_open_doubting for this site. */
int rfs_opener_equals(struct rfs_opener *op, struct rfs_reader *const *members,
		      size_t nmembers, uint64_t near, bool is_shared,
		      struct rfs_reader **ret, struct rfs_error *err);

#endif /* RESCUEFS_SITE_OPEN_MEMBERS_H */
