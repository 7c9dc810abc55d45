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

/* How a giver of blocks is called, as the names in core/merge.h are made. */
enum giver { PLAIN, HEALED, GUESSED };

/* The givers that were met: asking the state for each run would cost more. */
struct givers {
	struct rfs_state *state;
	uint32_t id[16];
	enum giver is[16];
	unsigned int count;
};

static enum giver look_up(struct rfs_state *state, uint32_t id)
{
	RFS_CLEANUP_FREE char *name = NULL;
	const char *rest;

	if (rfs_state_source_name(state, id, &name, NULL) < 0)
		return PLAIN;
	rest = strchr(name, ' ');
	if (!rest)
		return PLAIN;
	if (strcmp(rest, " guessed") == 0)
		return GUESSED;
	return strncmp(rest, " healed by ", 11) == 0 ||
			       strncmp(rest, " unproved by ", 13) == 0
		       ? HEALED
		       : PLAIN;
}

static enum giver giver_of(struct givers *g, uint32_t id)
{
	unsigned int room = sizeof(g->id) / sizeof(*g->id), at;

	for (unsigned int i = 0; i < g->count && i < room; i++)
		if (g->id[i] == id)
			return g->is[i];
	at = g->count++ % room;
	g->id[at] = id;
	g->is[at] = look_up(g->state, id);
	return g->is[at];
}

/* Adds what 'choices' says of a range that the user did not write. */
static void add_choices(const struct rfs_kept *choices, struct rfs_range range,
			struct givers *givers, struct rfs_known *known)
{
	struct rfs_run run;
	enum giver giver;
	uint32_t state;

	for (uint64_t off = range.off; off < rfs_range_end(range);
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find_in(&choices->map, off, range);
		state = rfs_merge_choice_state(run.value);
		if (state < RFS_BLOCK_STATES)
			known->bytes[state] += run.range.len;
		if (state != RFS_FRESH && state != RFS_STALE &&
		    state != RFS_UNPROVED)
			continue;
		giver = giver_of(givers, rfs_merge_choice_giver(run.value));
		known->healed += giver == PLAIN ? 0 : run.range.len;
		known->guessed += giver == GUESSED ? run.range.len : 0;
	}
}

static void add_all(struct rfs_state *state, const struct rfs_kept *choices,
		    const struct rfs_kept *overlay, struct rfs_known *known)
{
	struct givers givers = { .state = state };
	struct rfs_range all = rfs_range(0, known->size);
	struct rfs_run run;

	for (uint64_t off = 0; off < all.len; off = rfs_range_end(run.range)) {
		run = rfs_extmap_find_in(&overlay->map, off, all);
		if (run.value == RFS_OVERLAY_NONE)
			add_choices(choices, run.range, &givers, known);
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
		add_all(state, &choices, &overlay, ret);
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

#define STRAYS "stray tables"

/* "LOST TABLES GAPS LISTED", then each gap and each table. */
static bool scan_strays(const char *text, struct rfs_strays *to)
{
	int n = 0;

	if (sscanf(text, "%" SCNu64 " %" SCNu64 " %zu %zu%n", &to->lost,
		   &to->tables, &to->ngaps, &to->nitems, &n) != 4 ||
	    to->ngaps > RFS_STRAYS_LISTED || to->nitems > RFS_STRAYS_LISTED)
		return false;
	for (size_t i = 0; i < to->ngaps; i++) {
		text += n;
		if (sscanf(text, " %" SCNu64 "-%" SCNu64 "%n",
			   &to->gaps[i].first, &to->gaps[i].last, &n) != 2)
			return false;
	}
	for (size_t i = 0; i < to->nitems; i++) {
		text += n;
		if (sscanf(text,
			   " %" SCNu64 ":%" SCNu64 ":%" SCNu64 ":%" SCNu64 "%n",
			   &to->items[i].off, &to->items[i].clusters,
			   &to->items[i].first, &to->items[i].last, &n) != 4)
			return false;
	}
	return true;
}

int rfs_known_strays(struct rfs_state *state, const char *id,
		     struct rfs_strays *ret, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	struct rfs_strays strays = { .is_known = true };
	int r = rfs_state_fact(state, id, STRAYS, &text, err);

	*ret = (struct rfs_strays){ 0 };
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (!scan_strays(text, &strays))
		return rfs_fail(err, EBADMSG,
				"the state's list of stray tables of %s is "
				"damaged",
				id);
	*ret = strays;
	return 0;
}

int rfs_keep_strays(struct rfs_state *state, const char *id,
		    const struct rfs_strays *strays, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return rfs_no_memory(err);
	fprintf(f, "%" PRIu64 " %" PRIu64 " %zu %zu", strays->lost,
		strays->tables, strays->ngaps, strays->nitems);
	for (size_t i = 0; i < strays->ngaps; i++)
		fprintf(f, " %" PRIu64 "-%" PRIu64, strays->gaps[i].first,
			strays->gaps[i].last);
	for (size_t i = 0; i < strays->nitems; i++)
		fprintf(f, " %" PRIu64 ":%" PRIu64 ":%" PRIu64 ":%" PRIu64,
			strays->items[i].off, strays->items[i].clusters,
			strays->items[i].first, strays->items[i].last);
	if (fclose(f) == EOF)
		return rfs_no_memory(err);
	return rfs_state_try_fact(state, id, STRAYS, text, err);
}

int rfs_forget_strays(struct rfs_state *state, const char *id,
		      struct rfs_error *err)
{
	return rfs_state_forget_fact(state, id, STRAYS, err);
}
