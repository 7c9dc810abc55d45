// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/known.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/keptmap.h"
#include "core/merge.h"
#include "core/overlay.h"

/* A size that the state tells; 0 where it does not. */
static int told_size(struct rfs_state *state, const char *id, const char *key,
		     uint64_t *ret, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	int r = rfs_state_fact(state, id, key, &text, err);

	*ret = 0;
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		*ret = strtoull(text, NULL, 10);
	if (*ret > RFS_SIZE_MAX)
		return rfs_fail(err, EBADMSG,
				"the state's size of %s is damaged", id);
	return r;
}

/* Adds what 'choices' says of a range that the user did not write. */
static void add_choices(const struct rfs_kept *choices, struct rfs_range range,
			struct rfs_known *known)
{
	struct rfs_run run;
	uint32_t state;

	for (uint64_t off = range.off; off < rfs_range_end(range);
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find_in(&choices->map, off, range);
		state = rfs_merge_choice_state(run.value);
		if (state < RFS_BLOCK_STATES)
			known->bytes[state] += run.range.len;
	}
}

static void add_all(const struct rfs_kept *choices,
		    const struct rfs_kept *overlay, struct rfs_known *known)
{
	struct rfs_range all = rfs_range(0, known->size);
	struct rfs_run run;

	for (uint64_t off = 0; off < all.len; off = rfs_range_end(run.range)) {
		run = rfs_extmap_find_in(&overlay->map, off, all);
		if (run.value == RFS_OVERLAY_NONE)
			add_choices(choices, run.range, known);
		else
			known->bytes[RFS_LOCAL] += run.range.len;
	}
}

int rfs_known_disk(struct rfs_state *state, const char *id,
		   struct rfs_known *ret, struct rfs_error *err)
{
	struct rfs_kept choices, overlay;
	uint64_t own_size = 0;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = told_size(state, id, RFS_MERGE_SIZE_FACT, &ret->size, err);
	if (r == 0)
		r = told_size(state, id, RFS_OVERLAY_SIZE_FACT, &own_size, err);
	if (r < 0)
		return r;
	if (own_size)
		ret->size = own_size;
	r = rfs_kept_open(&choices, state, id, "choices", err);
	if (r < 0)
		return r;
	r = rfs_kept_open(&overlay, state, id, "overlay", err);
	if (r == 0) {
		ret->is_known =
			choices.map.count || overlay.map.count || own_size;
		add_all(&choices, &overlay, ret);
		rfs_kept_close(&overlay);
	}
	rfs_kept_close(&choices);
	return r;
}

#define ORPHANS "orphans"

int rfs_known_orphans(struct rfs_state *state, const char *id,
		      struct rfs_orphans *ret, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	char how[8];
	int r = rfs_state_fact(state, id, ORPHANS, &text, err);

	*ret = (struct rfs_orphans){ 0 };
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (sscanf(text, "%" SCNu64 " %" SCNu64 " %7s", &ret->clusters,
		   &ret->bytes, how) != 3)
		return rfs_fail(err, EBADMSG,
				"the state's count of orphans of %s is damaged",
				id);
	ret->is_partial = strcmp(how, "partial") == 0;
	ret->is_known = true;
	return 0;
}

int rfs_keep_orphans(struct rfs_state *state, const char *id,
		     const struct rfs_orphans *orphans, struct rfs_error *err)
{
	char text[64];

	snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 " %s",
		 orphans->clusters, orphans->bytes,
		 orphans->is_partial ? "partial" : "whole");
	return rfs_state_try_fact(state, id, ORPHANS, text, err);
}

int rfs_forget_orphans(struct rfs_state *state, const char *id,
		       struct rfs_error *err)
{
	return rfs_state_forget_fact(state, id, ORPHANS, err);
}
