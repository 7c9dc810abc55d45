/* SPDX-License-Identifier: GPL-3.0-or-later */
/* image.h - a merged disk in the mount, opened when it is first asked for.
 *
 * Opening may read tables off a dying disk, so it is done once: the view is
 * kept until the end, and so is a failure, until the user orders a refresh.
 */
#ifndef RESCUEFS_FS_IMAGE_H
#define RESCUEFS_FS_IMAGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "core/view.h"
#include "site/fetching.h"
#include "site/open.h"

/* Bytes, of whatever state. */
struct rfs_image_marks {
	uint64_t healed, guessed, suspect; /* guessed: of the healed */
};

struct rfs_image {
	const struct rfs_disk *disk;
	struct rfs_opener *op;
	char *name; /* "april-ci/disk", for people */

	_Atomic(struct rfs_view *) view; /* set once, under 'lock' */
	_Atomic int64_t mtime_ns;
	_Atomic int64_t atime_ns;

	pthread_mutex_t lock; /* guards all below; held while opening */
	int failed;	      /* why it could not be opened, or 0 */
	char *failure;	      /* the same in words, or NULL */
	/* Bytes in each state, as of a version of the view. */
	uint64_t totals[RFS_BLOCK_STATES];
	struct rfs_image_marks marks;
	uint64_t totals_version;
	bool has_totals;

	pthread_mutex_t fetch_lock;    /* guards 'fetching'; held while one is
					  begun or its end is waited for */
	struct rfs_fetching *fetching; /* the last that was ordered, or NULL */

	/* The keeper thread's alone: the version that it last kept. */
	uint64_t kept_version;
	bool is_kept;
};

/* 'disk' and 'op' outlive it. */
int rfs_image_new(const struct rfs_disk *disk, struct rfs_opener *op,
		  struct rfs_image **ret);

/* Keeps what is known of the disk and closes it; an error there is told and
 * the image is gone all the same.  NULL is accepted. */
int rfs_image_free(struct rfs_image *img, struct rfs_error *err);

/* The view, opened if need be. */
int rfs_image_view(struct rfs_image *img, struct rfs_view **ret,
		   struct rfs_error *err);

/* Why it could not be opened; the caller frees it.  NULL if nothing failed. */
char *rfs_image_failure(struct rfs_image *img);

/* True if sectors that nobody asked for must not be read: the freshest copy
 * lies on a damaged disk (P5). */
bool rfs_image_is_fragile(struct rfs_view *view);

void rfs_image_stat(struct rfs_image *img, struct rfs_view *view,
		    struct stat *st);

int rfs_image_totals(struct rfs_image *img, struct rfs_view *view,
		     uint64_t ret_totals[RFS_BLOCK_STATES],
		     struct rfs_image_marks *ret_marks, struct rfs_error *err);

/* Keeps what changed since the last call.  One thread only. */
int rfs_image_keep(struct rfs_image *img, struct rfs_error *err);

/* What the user orders through user.rescuefs.control. */
int rfs_image_reset(struct rfs_image *img, struct rfs_error *err);
int rfs_image_refresh(struct rfs_image *img, bool force, struct rfs_error *err);

/* A fetch in a thread of the mount, which ends with the image at the latest.
 * -EBUSY: one is running. */
int rfs_image_fetch(struct rfs_image *img,
		    const struct rfs_fetching_order *order,
		    struct rfs_error *err);
/* Without waiting for its end. */
void rfs_image_stop_fetch(struct rfs_image *img);
/* Of the last one, as JSON; the caller frees it.  -ENODATA: there was none. */
int rfs_image_fetch_news(struct rfs_image *img, char **ret,
			 struct rfs_error *err);

/* Now, as a file's times are kept. */
int64_t rfs_now_ns(void);

#endif /* RESCUEFS_FS_IMAGE_H */
