/* SPDX-License-Identifier: GPL-3.0-or-later */
/* given.h - base images given by hand: what people are told while one is checked. */
#ifndef RESCUEFS_TOOLS_GIVEN_H
#define RESCUEFS_TOOLS_GIVEN_H

#include "site/given.h"
#include "site/open.h"
#include "tools/progress.h"

struct rfs_given_show {
	bool quiet; /* nobody wants to know */
	struct rfs_progress progress;
};

/* From now on each computation of a checksum is told on stderr, on a terminal with how
 * far it is, unless 'show' is quiet; it outlives 'op'. */
void rfs_show_given(struct rfs_opener *op, struct rfs_given_show *show);

/* Checks each now, while there is somebody to look on.  What cannot be used is told;
 * the rest works without it.  What is found later is for the notes. */
void rfs_check_given(struct rfs_opener *op);

/* What is known of them for scan: by the state if nobody else holds it, or by the
 * mount that does; if neither can be asked, a note says why.  The caller frees *ret,
 * and closes *ret_state after it, which is NULL where it was not opened. */
int rfs_recall_given(const struct rfs_inventory *inv,
		     struct rfs_state **ret_state, struct rfs_given **ret,
		     struct rfs_error *err);

#endif /* RESCUEFS_TOOLS_GIVEN_H */
