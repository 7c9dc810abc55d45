/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fetching.h - a fetch of one disk, in a thread of its own.
 *
 * It reads the files that the disk's freshest damaged copy is made of, and the
 * base images below it, into the rescued store: tables first, then what the
 * disk's filesystems use, then the rest (readers/fetch.h).  What is used is told
 * by the disk's copies, the freshest that can read a table; where none can, all
 * counts as used.
 */
#ifndef RESCUEFS_SITE_FETCHING_H
#define RESCUEFS_SITE_FETCHING_H

#include <stdio.h>

#include "readers/fetch.h"
#include "site/open.h"

#define RFS_FETCHING_RETRIES_MAX  1000u
#define RFS_FETCHING_PATIENCE_MAX 600000u /* ms */

struct rfs_fetching_order {
	bool used_only;
	unsigned int retries;	  /* rounds */
	unsigned int patience_ms; /* of a request; 0: as a reader's */
};

struct rfs_fetching;

/* 'op' and 'disk' outlive it.  -ENOENT: no damaged source has the disk. */
int rfs_fetching_start(struct rfs_opener *op, const struct rfs_disk *disk,
		       const struct rfs_fetching_order *order,
		       struct rfs_fetching **ret, struct rfs_error *err);

/* It ends soon; what it fetched is kept. */
void rfs_fetching_stop(struct rfs_fetching *f);

/* Stops it, and waits for its end.  Accepts NULL. */
void rfs_fetching_free(struct rfs_fetching *f);

/* Becomes readable when it has ended, for poll and the like; nothing is read
 * from it.  It is the fetch's own, and lives as long. */
int rfs_fetching_end_fd(const struct rfs_fetching *f);

/* What there is to say of it, now or at its end. */
struct rfs_fetching_news {
	struct rfs_fetch_progress progress;
	bool is_running;
	bool is_stopped; /* it was stopped before its end */
	int64_t elapsed_ns;
	uint64_t rate; /* bytes a second of late, by whoever looks often */
	int result;    /* once it ended: 0, or what failed */
	char error[RFS_ERROR_MAX]; /* the same in words */
};

/* For once or twice a second, as rfs_fetch_progress; safe from any thread. */
void rfs_fetching_look(struct rfs_fetching *f, struct rfs_fetching_news *ret);

/* Bytes a second on the average, and the seconds that what is untried and
 * pending would take at that; 0: not known. */
uint64_t rfs_fetching_average(const struct rfs_fetching_news *news);
uint64_t rfs_fetching_left(const struct rfs_fetching_news *news);

/* The same as one line of JSON, without its end; the caller frees it. */
int rfs_fetching_json(const char *disk, const struct rfs_fetching_news *news,
		      char **ret, struct rfs_error *err);
/* And back.  -EINVAL: it is not such a text. */
int rfs_fetching_parse(const char *json, struct rfs_fetching_news *ret,
		       struct rfs_error *err);

/* "fetch", "fetch used-only retries=3": the order as a mount is told.  The
 * caller frees the text; NULL: no memory.  False: it is no such order. */
char *rfs_fetching_order_text(const struct rfs_fetching_order *order);
bool rfs_fetching_order_parse(const char *text, size_t len,
			      struct rfs_fetching_order *ret);

/* The copy that a fetch is about; NULL if no damaged source has the disk. */
const struct rfs_copy *rfs_fetching_copy(const struct rfs_disk *disk);

/* The file of that copy as it lies on the source, or another one there by its
 * 'path'; nothing of it is read. */
int rfs_fetching_file(struct rfs_opener *op, const struct rfs_disk *disk,
		      const char *path, struct rfs_reader **ret,
		      struct rfs_error *err);

/* What is known of that file, as GNU ddrescue's mapfile. */
int rfs_fetching_map(struct rfs_opener *op, const struct rfs_disk *disk,
		     const char *path, FILE *out, struct rfs_error *err);

#endif /* RESCUEFS_SITE_FETCHING_H */
