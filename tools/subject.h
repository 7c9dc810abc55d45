/* SPDX-License-Identifier: GPL-3.0-or-later */
/* subject.h - one disk as a verb reads it: the merged view, what is known of it,
 * and each copy alone.
 *
 * Where a mount holds the state, the mount is read, as it alone may choose
 * blocks; else the disk is opened here.  A verb need not know which.
 */
#ifndef RESCUEFS_TOOLS_SUBJECT_H
#define RESCUEFS_TOOLS_SUBJECT_H

#include "core/report.h"
#include "core/view.h"
#include "ext/losses.h"
#include "tools/target.h"

struct rfs_subject;

/* Of a target that is open and outlives it.  -ESTALE and the like are those of
 * rfs_opener_view; -EBUSY: the mount shows another site.  A disk is open once at
 * a time. */
int rfs_subject_open(struct rfs_target *t, const struct rfs_disk *disk,
		     struct rfs_subject **ret, struct rfs_error *err);

/* Keeps what was learned first; an error there is told and the subject is gone
 * all the same.  NULL is accepted. */
int rfs_subject_close(struct rfs_subject *s, struct rfs_error *err);

/* "april-ci/disk" */
const char *rfs_subject_name(const struct rfs_subject *s);
const struct rfs_disk *rfs_subject_disk(const struct rfs_subject *s);
const struct rfs_site *rfs_subject_site(const struct rfs_subject *s);

/* The view where it is open here; NULL beside a mount. */
struct rfs_view *rfs_subject_view(struct rfs_subject *s);

/* The merged disk with what the user wrote to it, in its size of now.  Lives as
 * long as the subject; safe from many threads.  Reading it chooses blocks, as
 * any reader of the mount does. */
struct rfs_reader *rfs_subject_merged(struct rfs_subject *s);

/* Appends who gave what of it, as known now. */
int rfs_subject_report(struct rfs_subject *s, struct rfs_report *out,
		       struct rfs_error *err);

/* What is lost of it; see rfs_losses_of.  Shows its progress. */
int rfs_subject_losses(struct rfs_subject *s, bool quiet,
		       struct rfs_losses *ret, struct rfs_error *err);

/* One copy of the disk alone, without help from other sources: reading it
 * chooses nothing.  The caller unrefs it before the subject is closed. */
int rfs_subject_copy(struct rfs_subject *s, const struct rfs_copy *copy,
		     struct rfs_reader **ret, struct rfs_error *err);

/* The same by name: "merged", a source that has a copy, or else the path of a
 * plain file, which is raw.  -ENOENT says what there is. */
int rfs_subject_side(struct rfs_subject *s, const char *name,
		     struct rfs_reader **ret, struct rfs_error *err);

/* A file beside the image in the mount's rescue/, "instances/april-ci/
 * rescue/disk.json" for "json"; NULL: no mount, or no memory.  The caller frees
 * it. */
char *rfs_subject_rescue_file(const struct rfs_subject *s, const char *kind);

#endif /* RESCUEFS_TOOLS_SUBJECT_H */
