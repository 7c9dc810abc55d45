/* SPDX-License-Identifier: GPL-3.0-or-later */
/* view.h - a disk as the operator sees it: the overlay on the merge.
 *
 * Safe from many threads.  Reads of the same disk run side by side; no lock is
 * held across a read of a source.
 */
#ifndef RESCUEFS_CORE_VIEW_H
#define RESCUEFS_CORE_VIEW_H

#include "core/merge.h"
#include "core/notes.h"
#include "core/reader.h"
#include "core/report.h"
#include "core/state.h"

struct rfs_view;

struct rfs_view_config {
	const char *id;	  /* the disk's name in the state */
	const char *name; /* for people: "april-ci/disk" */
	struct rfs_state *state;
	struct rfs_merge_policy policy;
	/* Freshest first; the view takes its own references. */
	const struct rfs_candidate *candidates;
	size_t ncandidates;
	const struct rfs_healed *healed; /* of the candidates; may be NULL */
	size_t nhealed;
};

/* Errors: -EIO if no candidate could be opened, or what the state said. */
int rfs_view_open(const struct rfs_view_config *config, struct rfs_view **ret,
		  struct rfs_error *err);

/* Keeps what is known first; an error there is told and the view is gone all
 * the same.  NULL is accepted. */
int rfs_view_close(struct rfs_view *view, struct rfs_error *err);

uint64_t rfs_view_size(struct rfs_view *view);

/* Bytes of storage behind it, for st_blocks; reads nothing. */
uint64_t rfs_view_allocated(struct rfs_view *view);

/* Changes whenever the report could have. */
uint64_t rfs_view_version(struct rfs_view *view);

/* As rfs_reader_read.  A range beyond the size is -EINVAL. */
int rfs_view_read(struct rfs_view *view, struct rfs_range range, void *buf,
		  struct rfs_ranges *bad, struct rfs_error *err);
/* As rfs_merge_pieces and rfs_merge_taken; what was written is to be read. */
int rfs_view_pieces(struct rfs_view *view, struct rfs_range range,
		    struct rfs_taking *ret);
int rfs_view_taken(struct rfs_view *view, const struct rfs_taking *taking,
		   struct rfs_error *err);
int rfs_view_extents(struct rfs_view *view, struct rfs_range range,
		     struct rfs_extents *out, struct rfs_error *err);

/* As rfs_reader_seats: of what was chosen, and not of what was written. */
int rfs_view_seats(struct rfs_view *view, struct rfs_range range,
		   struct rfs_seats *out, struct rfs_error *err);

/* Writing grows the disk where the range ends beyond it.  -ENOSPC, -EIO or
 * -EFBIG: nothing of it counts as written. */
int rfs_view_write(struct rfs_view *view, struct rfs_range range,
		   const void *buf, struct rfs_error *err);
int rfs_view_punch(struct rfs_view *view, struct rfs_range range,
		   struct rfs_error *err);
int rfs_view_truncate(struct rfs_view *view, uint64_t size,
		      struct rfs_error *err);

/* All that was written before the call is on the disk when it returns. */
int rfs_view_sync(struct rfs_view *view, struct rfs_error *err);

/* True if the user wrote to it, now or in an earlier mount. */
bool rfs_view_is_written(struct rfs_view *view);

/* Drops the overlay: the disk is the merged view again, in its own size. */
int rfs_view_reset(struct rfs_view *view, struct rfs_error *err);

/* Forgets stale and lost choices, so that better sources are tried.  -EBUSY
 * under a written overlay (P4) unless 'force': what was written stays as it is,
 * over what the sources give now. */
int rfs_view_refresh(struct rfs_view *view, bool force, struct rfs_error *err);

/* Whether that would be refused for a disk that cannot be opened, because every
 * source of it has changed: 0 or -EBUSY.  'id' as in the config; the disk must not
 * be open. */
int rfs_view_may_refresh(struct rfs_state *state, const char *id, bool force,
			 struct rfs_error *err);

/* Appends who gave what of the whole disk, in order and without gaps. */
int rfs_view_report(struct rfs_view *view, struct rfs_report *out,
		    struct rfs_error *err);

/* The candidates it was opened with, freshest first; they live as long. */
size_t rfs_view_candidates(struct rfs_view *view,
			   const struct rfs_candidate **ret);

/* The view as a reader of its size of now.  The view outlives it, and is not
 * made smaller meanwhile. */
int rfs_view_reader(struct rfs_view *view, const char *name,
		    struct rfs_reader **ret, struct rfs_error *err);

#endif /* RESCUEFS_CORE_VIEW_H */
