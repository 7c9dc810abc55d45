/* SPDX-License-Identifier: GPL-3.0-or-later */
/* advise.h - the figures behind the choice between a merged disk and a copy of
 * it. */
#ifndef RESCUEFS_TOOLS_ADVISE_H
#define RESCUEFS_TOOLS_ADVISE_H

#include "site/advice.h"
#include "tools/subject.h"

/* Looks at all candidates and applies the rule.  Reads the tables of the disk's
 * filesystems as any reader does, and what e2fsck asks for, and all that a backup or
 * a live copy uses unless 'quick'; writes to nothing of the user's.  'ret' points
 * into the subject's disk.  -EINTR as rfs_check_disk. */
int rfs_advise(struct rfs_subject *s, bool quick, struct rfs_advice *ret,
	       struct rfs_error *err);

#endif /* RESCUEFS_TOOLS_ADVISE_H */
