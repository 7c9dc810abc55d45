// SPDX-License-Identifier: GPL-3.0-or-later
/* What a merge tells of its blocks without reading them. */
#include "core/merge_parts.h"

/* Who gives, or would give first, a range. */
static const struct rfs_giver *giver(const struct rfs_merge *m,
				     struct rfs_run run)
{
	const struct rfs_giver *g = NULL;

	if (run.value)
		g = rfs_merge_giver_of(m, run.value);
	for (size_t k = 0; k < m->ngivers && !run.value && !g; k++)
		if (m->givers[k].reader)
			g = &m->givers[k];
	if (g && g->reader &&
	    rfs_range_fits(run.range, rfs_reader_size(g->reader)))
		return g;
	return NULL;
}

int rfs_merge_extents(struct rfs_merge *m, struct rfs_range range,
		      struct rfs_extents *out, struct rfs_error *err)
{
	const struct rfs_giver *c;
	enum rfs_content content;
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_merge_find(m, off, range);
		c = giver(m, run);
		if (c && rfs_merge_choice_state(run.value) != RFS_ZERO) {
			r = rfs_reader_extents(c->reader, run.range, out, err);
			continue;
		}
		content = rfs_merge_choice_state(run.value) == RFS_ZERO
				  ? RFS_HOLE
				  : RFS_DATA;
		if (rfs_extents_add(out, run.range, content) < 0)
			r = rfs_no_memory(err);
	}
	return r;
}

static bool is_given(enum rfs_block_state state)
{
	return state == RFS_FRESH || state == RFS_STALE ||
	       state == RFS_UNPROVED;
}

/* Of what was chosen; where the rest would come from is not known. */
int rfs_merge_seats(struct rfs_merge *m, struct rfs_range range,
		    struct rfs_seats *out, struct rfs_error *err)
{
	const struct rfs_giver *c;
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_merge_find(m, off, range);
		c = is_given(rfs_merge_choice_state(run.value)) ? giver(m, run)
								: NULL;
		if (c)
			r = rfs_reader_seats(c->reader, run.range, out, err);
		else if (rfs_seats_add(out, run.range, NULL, 0) < 0)
			r = rfs_no_memory(err);
	}
	return r;
}

static int report_given(const struct rfs_giver *g, struct rfs_run run,
			struct rfs_report *out, struct rfs_error *err)
{
	struct rfs_trace trace = { 0 };
	struct rfs_report_item item = {
		.state = rfs_merge_choice_state(run.value),
		.was = rfs_merge_choice_state(run.value),
		.healed_by = g->healed_by,
	};
	int r;

	r = rfs_reader_trace(g->reader, run.range, &trace, err);
	for (size_t i = 0; i < trace.count && r == 0; i++) {
		item.range = trace.items[i].range;
		item.origin = trace.items[i].origin;
		item.suspect = trace.items[i].suspect;
		if (!item.origin)
			item.origin = g->candidate->origin;
		if (rfs_report_add(out, &item) < 0)
			r = rfs_no_memory(err);
	}
	rfs_trace_fini(&trace);
	return r;
}

static int report_run(struct rfs_merge *m, struct rfs_run run,
		      struct rfs_report *out, struct rfs_error *err)
{
	const struct rfs_giver *g = giver(m, run);
	struct rfs_report_item item = {
		.range = run.range,
		.state = rfs_merge_choice_state(run.value),
		.was = rfs_merge_choice_state(run.value),
	};

	if (g && is_given(item.state))
		return report_given(g, run, out, err);
	if (is_given(item.state))
		item.state = item.was = RFS_LOST; /* its source is not there */
	return rfs_report_add(out, &item) < 0 ? rfs_no_memory(err) : 0;
}

int rfs_merge_report(struct rfs_merge *m, struct rfs_range range,
		     struct rfs_report *out, struct rfs_error *err)
{
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_merge_find(m, off, range);
		r = report_run(m, run, out, err);
	}
	return r;
}
