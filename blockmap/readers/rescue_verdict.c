// SPDX-License-Identifier: GPL-3.0-or-later
/* What came of comparing a dying disk's bytes with other copies of them. */
#include "readers/rescue_parts.h"

struct rfs_run rfs_rescue_verdict(struct rfs_rescue *r, uint64_t off,
				  struct rfs_range within)
{
	return rfs_kept_find(&r->suspect, off, within);
}

int rfs_rescue_suspects(struct rfs_rescue *r, struct rfs_range range,
			struct rfs_ranges *out)
{
	struct rfs_run run;
	int e = 0;

	for (uint64_t off = range.off; off < rfs_range_end(range) && e == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_rescue_verdict(r, off, range);
		if (run.value > RFS_VERDICT_OWN)
			e = rfs_ranges_add(out, run.range);
	}
	return e;
}

static int judge_locked(struct rfs_kept *k, struct rfs_range range,
			uint32_t value, struct rfs_error *err)
{
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find_in(&k->map, off, range);
		if (run.value == RFS_VERDICT_NONE)
			r = rfs_kept_set_locked(k, run.range, value, err);
	}
	return r;
}

int rfs_rescue_judge(struct rfs_rescue *r, struct rfs_range range,
		     uint32_t value, struct rfs_error *err)
{
	int e;

	rfs_rescue_keep_generation(r);
	rfs_kept_lock(&r->suspect);
	e = judge_locked(&r->suspect, range, value, err);
	rfs_kept_unlock(&r->suspect);
	return e;
}

int rfs_rescue_keep_verdicts(struct rfs_rescue *r, struct rfs_error *err)
{
	return rfs_kept_save_softly(&r->suspect, err);
}

int rfs_rescue_forget_verdicts(struct rfs_rescue *r, struct rfs_error *err)
{
	return rfs_kept_forget(&r->suspect, err);
}

uint64_t rfs_rescue_suspect_bytes(struct rfs_rescue *r)
{
	struct rfs_range whole = rfs_range(0, r->size);
	struct rfs_run run;
	uint64_t n = 0;

	for (uint64_t off = 0; off < r->size; off = rfs_range_end(run.range)) {
		run = rfs_rescue_verdict(r, off, whole);
		if (run.value > RFS_VERDICT_OWN)
			n += run.range.len;
	}
	return n;
}
