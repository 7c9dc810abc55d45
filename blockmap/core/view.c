// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/known.h"
#include "core/overlay.h"

struct rfs_view {
	char *name, *id;
	struct rfs_state *state;
	struct rfs_merge *merge;
	struct rfs_overlay *overlay;
};

int rfs_view_open(const struct rfs_view_config *config, struct rfs_view **ret,
		  struct rfs_error *err)
{
	struct rfs_view *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return rfs_no_memory(err);
	v->name = strdup(config->name);
	v->id = strdup(config->id);
	v->state = config->state;
	r = v->name && v->id
		    ? rfs_merge_open(config->id, config->name, config->state,
				     config->policy, config->candidates,
				     config->ncandidates, config->healed,
				     config->nhealed, &v->merge, err)
		    : rfs_no_memory(err);
	if (r == 0)
		r = rfs_overlay_open(config->id, config->state,
				     rfs_merge_size(v->merge), &v->overlay,
				     err);
	if (r < 0) {
		rfs_merge_close(v->merge);
		free(v->name);
		free(v->id);
		free(v);
		return r;
	}
	*ret = v;
	return 0;
}

int rfs_view_close(struct rfs_view *view, struct rfs_error *err)
{
	int r;

	if (!view)
		return 0;
	r = rfs_view_sync(view, err);
	rfs_overlay_close(view->overlay);
	rfs_merge_close(view->merge);
	free(view->name);
	free(view->id);
	free(view);
	return r;
}

uint64_t rfs_view_size(struct rfs_view *view)
{
	return rfs_overlay_size(view->overlay);
}

uint64_t rfs_view_allocated(struct rfs_view *view)
{
	uint64_t n = rfs_merge_allocated(view->merge) +
		     rfs_overlay_allocated(view->overlay);
	uint64_t size = rfs_view_size(view);

	return n < size ? n : size;
}

uint64_t rfs_view_version(struct rfs_view *view)
{
	return rfs_merge_version(view->merge) +
	       rfs_overlay_version(view->overlay);
}

static int check_range(struct rfs_view *view, struct rfs_range range,
		       struct rfs_error *err)
{
	if (rfs_range_fits(range, rfs_view_size(view)))
		return 0;
	return rfs_fail(err, EINVAL,
			"%s: %" PRIu64 " bytes at %" PRIu64 " reach beyond "
			"its end",
			view->name, range.len, range.off);
}

/* A run's value where the overlay counts on a base that is shorter now, its
 * source being away: nobody knows what is there. */
#define BEYOND (RFS_OVERLAY_ZERO + 1)

/* A run that nobody wrote, cut to where the merge ends. */
static struct rfs_run find(struct rfs_view *view, uint64_t off,
			   struct rfs_range within)
{
	struct rfs_run run = rfs_overlay_find(view->overlay, off, within);

	if (run.value == RFS_OVERLAY_NONE &&
	    off >= rfs_merge_reach(view->merge))
		run.value = BEYOND;
	else if (run.value == RFS_OVERLAY_NONE)
		run.range = rfs_range_cut(
			run.range, rfs_range(0, rfs_merge_reach(view->merge)));
	return run;
}

static int fail_beyond(struct rfs_view *view, struct rfs_range range,
		       struct rfs_ranges *bad, struct rfs_error *err)
{
	if (!bad->count)
		rfs_fail(err, EIO,
			 "%s: %" PRIu64 " bytes at %" PRIu64 " lie beyond what "
			 "any source has now, though one had them when the "
			 "disk was first written to; mount that source too",
			 view->name, range.len, range.off);
	return rfs_ranges_add(bad, range) < 0 ? rfs_no_memory(err) : 0;
}

static int read_run(struct rfs_view *view, struct rfs_run run, uint8_t *buf,
		    struct rfs_ranges *bad, struct rfs_error *err)
{
	int r;

	switch (run.value) {
	case RFS_OVERLAY_NONE:
		r = rfs_merge_read(view->merge, run.range, buf, bad, err);
		return r == -EIO && bad->count ? 0 : r;
	case RFS_OVERLAY_DATA:
		return rfs_overlay_read(view->overlay, run.range, buf, err);
	case BEYOND:
		return fail_beyond(view, run.range, bad, err);
	default:
		memset(buf, 0, run.range.len);
		return 0;
	}
}

int rfs_view_read(struct rfs_view *view, struct rfs_range range, void *buf,
		  struct rfs_ranges *bad, struct rfs_error *err)
{
	struct rfs_ranges mine = { 0 };
	struct rfs_run run;
	int r = check_range(view, range, err);

	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = find(view, off, range);
		r = read_run(view, run, (uint8_t *)buf + (off - range.off),
			     &mine, err);
	}
	if (r == 0 && mine.count)
		r = -EIO;
	for (size_t i = 0; i < mine.count && bad && r == -EIO; i++)
		if (rfs_ranges_add(bad, mine.items[i]) < 0)
			r = rfs_no_memory(err);
	rfs_ranges_fini(&mine);
	return r;
}

int rfs_view_pieces(struct rfs_view *view, struct rfs_range range,
		    struct rfs_taking *ret)
{
	struct rfs_run run;
	int r = check_range(view, range, NULL);

	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = find(view, off, range);
		r = run.value == RFS_OVERLAY_NONE
			    ? rfs_merge_pieces(view->merge, run.range, ret)
			    : -ENOTSUP;
	}
	return r;
}

int rfs_view_taken(struct rfs_view *view, const struct rfs_taking *taking,
		   struct rfs_error *err)
{
	return rfs_merge_taken(view->merge, taking, err);
}

static enum rfs_content content_of(uint32_t value)
{
	if (value == RFS_OVERLAY_DATA)
		return RFS_DATA;
	return value == BEYOND ? RFS_UNKNOWN : RFS_HOLE;
}

int rfs_view_extents(struct rfs_view *view, struct rfs_range range,
		     struct rfs_extents *out, struct rfs_error *err)
{
	struct rfs_run run;
	int r = check_range(view, range, err);

	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = find(view, off, range);
		if (run.value == RFS_OVERLAY_NONE)
			r = rfs_merge_extents(view->merge, run.range, out, err);
		else if (rfs_extents_add(out, run.range,
					 content_of(run.value)) < 0)
			r = rfs_no_memory(err);
	}
	return r;
}

int rfs_view_seats(struct rfs_view *view, struct rfs_range range,
		   struct rfs_seats *out, struct rfs_error *err)
{
	struct rfs_run run;
	int r = check_range(view, range, err);

	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = find(view, off, range);
		if (run.value == RFS_OVERLAY_NONE)
			r = rfs_merge_seats(view->merge, run.range, out, err);
		else if (rfs_seats_add(out, run.range, NULL, 0) < 0)
			r = rfs_no_memory(err);
	}
	return r;
}

int rfs_view_write(struct rfs_view *view, struct rfs_range range,
		   const void *buf, struct rfs_error *err)
{
	if (!rfs_range_fits(range, RFS_SIZE_MAX))
		return rfs_fail(err, EFBIG, "%s: a disk cannot be that large",
				view->name);
	if (!range.len)
		return 0;
	return rfs_overlay_write(view->overlay, range, buf, err);
}

int rfs_view_punch(struct rfs_view *view, struct rfs_range range,
		   struct rfs_error *err)
{
	if (!rfs_range_fits(range, RFS_SIZE_MAX))
		return rfs_fail(err, EFBIG, "%s: a disk cannot be that large",
				view->name);
	return rfs_overlay_punch(view->overlay, range, err);
}

int rfs_view_truncate(struct rfs_view *view, uint64_t size,
		      struct rfs_error *err)
{
	return rfs_overlay_truncate(view->overlay, size, err);
}

int rfs_view_sync(struct rfs_view *view, struct rfs_error *err)
{
	int r = rfs_overlay_sync(view->overlay, err);

	if (r < 0)
		return r;
	return rfs_merge_sync(view->merge, err);
}

bool rfs_view_is_written(struct rfs_view *view)
{
	return rfs_overlay_is_written(view->overlay);
}

int rfs_view_reset(struct rfs_view *view, struct rfs_error *err)
{
	return rfs_overlay_reset(view->overlay, err);
}

static int refuse_refresh(const char *name, struct rfs_error *err)
{
	return rfs_fail(err, EBUSY,
			"%s was written to, and what is below must not change "
			"under that; 'rescuefs reset' drops what was written",
			name);
}

int rfs_view_refresh(struct rfs_view *view, bool force, struct rfs_error *err)
{
	if (!force && rfs_view_is_written(view))
		return refuse_refresh(view->name, err);
	return rfs_merge_forget(view->merge, err);
}

int rfs_view_may_refresh(struct rfs_state *state, const char *id, bool force,
			 struct rfs_error *err)
{
	struct rfs_overlay *overlay;
	bool written;
	int r;

	if (force)
		return 0;
	/* The state knows how large the sources were when it was written to. */
	r = rfs_overlay_open(id, state, RFS_SIZE_MAX, &overlay, err);
	if (r < 0)
		return r;
	written = rfs_overlay_is_written(overlay);
	rfs_overlay_close(overlay);
	return written ? refuse_refresh(id, err) : 0;
}

/* What stood below a written range, where anything did. */
static int report_local(struct rfs_view *view, struct rfs_range range,
			struct rfs_report *out, struct rfs_error *err)
{
	struct rfs_range below = rfs_range_cut(
		range, rfs_range(0, rfs_merge_reach(view->merge)));
	struct rfs_report_item item = {
		.range = rfs_range_to(rfs_range_end(below),
				      rfs_range_end(range)),
		.state = RFS_LOCAL,
		.was = RFS_LOCAL,
	};
	struct rfs_report was = { 0 };
	int r;

	r = rfs_merge_report(view->merge, below, &was, err);
	for (size_t i = 0; i < was.count && r == 0; i++) {
		was.items[i].state = RFS_LOCAL;
		was.items[i].origin = was.items[i].healed_by = NULL;
		if (rfs_report_add(out, &was.items[i]) < 0)
			r = rfs_no_memory(err);
	}
	if (!below.len)
		item.range = range;
	if (r == 0 && item.range.len && rfs_report_add(out, &item) < 0)
		r = rfs_no_memory(err);
	rfs_report_fini(&was);
	return r;
}

static int report_run(struct rfs_view *view, struct rfs_run run,
		      struct rfs_report *out, struct rfs_error *err)
{
	struct rfs_report_item item = { .range = run.range,
					.state = RFS_LOST,
					.was = RFS_LOST };

	if (run.value == RFS_OVERLAY_NONE)
		return rfs_merge_report(view->merge, run.range, out, err);
	if (run.value != BEYOND)
		return report_local(view, run.range, out, err);
	return rfs_report_add(out, &item) < 0 ? rfs_no_memory(err) : 0;
}

int rfs_view_report(struct rfs_view *view, struct rfs_report *out,
		    struct rfs_error *err)
{
	struct rfs_range all = rfs_range(0, rfs_view_size(view));
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = 0; off < all.len && r == 0;
	     off = rfs_range_end(run.range)) {
		run = find(view, off, all);
		r = report_run(view, run, out, err);
	}
	if (r == 0)
		r = rfs_known_orphans(view->state, view->id, &out->orphans,
				      err);
	if (r == 0)
		r = rfs_known_strays(view->state, view->id, &out->strays, err);
	return r;
}

size_t rfs_view_candidates(struct rfs_view *view,
			   const struct rfs_candidate **ret)
{
	return rfs_merge_candidates(view->merge, ret);
}
