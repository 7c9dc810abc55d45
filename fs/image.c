// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "fs/image.h"
#include "fs/log.h"

int64_t rfs_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return rfs_time_of(now);
}

/* The freshest copy's; a live one is as new as the mount. */
static int64_t first_mtime(const struct rfs_disk *disk)
{
	int64_t t = disk->ncopies ? disk->copies[0].generation.mtime_ns : 0;

	if (t == RFS_TIME_NOW ||
	    (t == RFS_TIME_UNKNOWN && disk->copies[0].source->kind == RFS_LIVE))
		return rfs_now_ns();
	return t == RFS_TIME_UNKNOWN ? 0 : t;
}

int rfs_image_new(const struct rfs_disk *disk, struct rfs_opener *op,
		  struct rfs_image **ret)
{
	struct rfs_image *img = calloc(1, sizeof(*img));

	if (!img)
		return -ENOMEM;
	img->name = rfs_disk_path(disk);
	if (!img->name) {
		free(img);
		return -ENOMEM;
	}
	img->disk = disk;
	img->op = op;
	img->mtime_ns = img->atime_ns = first_mtime(disk);
	pthread_mutex_init(&img->lock, NULL);
	pthread_mutex_init(&img->fetch_lock, NULL);
	*ret = img;
	return 0;
}

int rfs_image_free(struct rfs_image *img, struct rfs_error *err)
{
	int r;

	if (!img)
		return 0;
	rfs_fetching_free(img->fetching);
	r = rfs_view_close(img->view, err);
	if (r < 0)
		rfs_context(err, r, "%s", img->name);
	pthread_mutex_destroy(&img->lock);
	pthread_mutex_destroy(&img->fetch_lock);
	free(img->failure);
	free(img->name);
	free(img);
	return r;
}

/* Only what the sources are to blame for is worth remembering: memory, file
 * descriptors and room in the state may be there again at the next attempt, and so
 * may a source that did not answer in time. */
static bool is_passing(int r)
{
	return rfs_is_own_want(r) || r == -ETIMEDOUT;
}

static int open_locked(struct rfs_image *img, struct rfs_error *err)
{
	struct rfs_view *view;
	struct rfs_error why = RFS_ERROR_INIT;
	int r;

	if (img->failed)
		return rfs_fail(err, -img->failed, "%s",
				img->failure ? img->failure : img->name);
	r = rfs_opener_view(img->op, img->disk, &view, &why);
	if (r == 0) {
		free(img->failure);
		img->failure = NULL;
		img->view = view;
		return 0;
	}
	/* The text of a passing one is kept too: user.rescuefs.error tells it. */
	free(img->failure);
	img->failure = strdup(why.text);
	if (!is_passing(r)) {
		img->failed = r;
		rfs_log("%s: %s", img->name, why.text);
	}
	return rfs_fail(err, -r, "%s", why.text);
}

int rfs_image_view(struct rfs_image *img, struct rfs_view **ret,
		   struct rfs_error *err)
{
	int r = 0;

	if (!img->view) {
		pthread_mutex_lock(&img->lock);
		if (!img->view)
			r = open_locked(img, err);
		pthread_mutex_unlock(&img->lock);
	}
	if (r == 0)
		*ret = img->view;
	return r;
}

char *rfs_image_failure(struct rfs_image *img)
{
	char *text;

	pthread_mutex_lock(&img->lock);
	text = img->failure ? strdup(img->failure) : NULL;
	pthread_mutex_unlock(&img->lock);
	return text;
}

bool rfs_image_is_fragile(struct rfs_view *view)
{
	const struct rfs_candidate *candidates;

	if (rfs_view_candidates(view, &candidates) == 0)
		return true;
	return strcmp(candidates[0].kind, rfs_source_kind_name(RFS_DAMAGED)) ==
	       0;
}

void rfs_image_stat(struct rfs_image *img, struct rfs_view *view,
		    struct stat *st)
{
	st->st_size = (off_t)rfs_view_size(view);
	st->st_blocks = (blkcnt_t)((rfs_view_allocated(view) + 511) / 512);
	st->st_mtim = st->st_ctim = rfs_time_spec(img->mtime_ns);
	st->st_atim = rfs_time_spec(img->atime_ns);
}

int rfs_image_totals(struct rfs_image *img, struct rfs_view *view,
		     uint64_t ret_totals[RFS_BLOCK_STATES],
		     struct rfs_image_marks *ret_marks, struct rfs_error *err)
{
	struct rfs_report report = { 0 };
	uint64_t version;
	int r = 0;

	pthread_mutex_lock(&img->lock);
	/* Before the report: what changes meanwhile is then seen next time. */
	version = rfs_view_version(view);
	if (!img->has_totals || img->totals_version != version) {
		r = rfs_view_report(view, &report, err);
		if (r == 0) {
			rfs_report_totals(&report, img->totals);
			img->marks.healed = rfs_report_healed(&report);
			img->marks.guessed = rfs_report_guessed(&report);
			img->marks.suspect = rfs_report_suspect(&report);
			img->totals_version = version;
			img->has_totals = true;
		}
	}
	if (r == 0) {
		memcpy(ret_totals, img->totals, sizeof(img->totals));
		*ret_marks = img->marks;
	}
	pthread_mutex_unlock(&img->lock);
	rfs_report_fini(&report);
	return r;
}

int rfs_image_keep(struct rfs_image *img, struct rfs_error *err)
{
	struct rfs_view *view = img->view;
	uint64_t version;
	int r;

	if (!view)
		return 0;
	version = rfs_view_version(view);
	if (img->is_kept && img->kept_version == version)
		return 0;
	r = rfs_view_sync(view, err);
	if (r < 0)
		return rfs_context(err, r, "%s", img->name);
	img->kept_version = version;
	img->is_kept = true;
	return 0;
}

int rfs_image_reset(struct rfs_image *img, struct rfs_error *err)
{
	struct rfs_view *view;
	int r = rfs_image_view(img, &view, err);

	if (r == 0)
		r = rfs_view_reset(view, err);
	if (r == 0)
		img->mtime_ns = first_mtime(img->disk);
	return r;
}

int rfs_image_refresh(struct rfs_image *img, bool force, struct rfs_error *err)
{
	struct rfs_view *view;
	bool had_view = img->view;
	int r;

	pthread_mutex_lock(&img->lock);
	img->failed = 0;
	free(img->failure);
	img->failure = NULL;
	pthread_mutex_unlock(&img->lock);
	r = rfs_image_view(img, &view, err);
	if (r == 0 && had_view)
		r = rfs_view_refresh(view, force, err);
	return r;
}
