/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report_facts.h - what the report tells of each disk. */
#ifndef RESCUEFS_TOOLS_REPORT_FACTS_H
#define RESCUEFS_TOOLS_REPORT_FACTS_H

#include "core/report.h"
#include "ext/losses.h"
#include "tools/advise.h"

struct rfs_disk_facts {
	const struct rfs_disk *disk;
	char *name; /* "april-ci/disk" */
	char *word; /* the same for a shell */
	struct rfs_report report;
	struct rfs_losses losses;
	struct rfs_losses_sum sums[RFS_LOSS_WRONG + 1];
	uint64_t size;
	uint64_t totals[RFS_BLOCK_STATES];
	bool has_advice;
	struct rfs_advice advice;
	char *commands; /* that follow from it */
	char *error;	/* why nothing is known of it, or NULL */
};

/* How far the disks are looked into. */
struct rfs_facts_config {
	bool quiet;  /* as in rfs_losses_of; then there is no advice */
	bool advise; /* tries e2fsck on throw-away disks, which takes time */
};

struct rfs_site_facts {
	struct rfs_disk_facts *items; /* as the target's disks */
	size_t count;
};

/* All disks of the target, one after the other.  A disk that cannot be opened has
 * its error.  -ENOMEM; -EINTR after a signal. */
int rfs_site_facts_gather(struct rfs_target *t,
			  const struct rfs_facts_config *config,
			  struct rfs_site_facts *ret, struct rfs_error *err);
void rfs_site_facts_fini(struct rfs_site_facts *facts);

#endif /* RESCUEFS_TOOLS_REPORT_FACTS_H */
