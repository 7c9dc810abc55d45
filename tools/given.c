// SPDX-License-Identifier: GPL-3.0-or-later
#include "tools/given.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "readers/readers.h"
#include "site/site_path.h"
#include "tools/ask.h"
#include "tools/place.h"

static void begin(void *data, const struct rfs_base_rule *rule, uint64_t size,
		  const char *text)
{
	struct rfs_given_show *show = data;

	if (!show->quiet)
		fprintf(stderr, "rescuefs: %s\n", text);
	rfs_progress_begin(&show->progress, rfs_path_last(rule->file), size,
			   show->quiet);
}

static void step(void *data, uint64_t done)
{
	struct rfs_given_show *show = data;

	rfs_progress_set(&show->progress, done, 0);
}

static void end(void *data)
{
	struct rfs_given_show *show = data;

	rfs_progress_clear(&show->progress);
}

void rfs_show_given(struct rfs_opener *op, struct rfs_given_show *show)
{
	const struct rfs_given_watch watch = { begin, step, end, show };

	rfs_given_tell(rfs_opener_given(op), &watch);
}

static int check(struct rfs_given *g, struct rfs_base_rule *rule,
		 struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *file = NULL;
	struct rfs_generation generation;
	int r = rfs_given_open(rule, &file, &generation, err);

	return r < 0 ? r : rfs_given_check(g, rule, file, generation, err);
}

void rfs_check_given(struct rfs_opener *op)
{
	const struct rfs_site *site = rfs_opener_inventory(op)->site;
	struct rfs_given *g = rfs_opener_given(op);
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_given_show show = { 0 };

	rfs_show_given(op, &show);
	for (size_t i = 0; i < site->nbases; i++)
		if (check(g, &site->bases[i], &err) < 0)
			fprintf(stderr, "rescuefs: base %s: not used: %s\n",
				site->bases[i].name, err.text);
	rfs_given_tell(g, NULL);
}

/* 0 with what tells, or with neither where nothing was ever kept. */
static int find_memory(struct rfs_site *site, struct rfs_state **ret_state,
		       char **ret_status, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *dir = NULL, *holder = NULL, *db = NULL;
	int pid, r;

	r = rfs_place_state(site, NULL, &dir, err);
	if (r < 0)
		return r;
	if (rfs_state_holder(dir, &pid, &holder, NULL) == 0 && *holder == '/')
		return rfs_ask_status(holder, ret_status, err);
	if (asprintf(&db, "%s/known.db", dir) < 0) {
		db = NULL;
		return rfs_no_memory(err);
	}
	if (access(db, F_OK) < 0)
		return 0;
	return rfs_state_open(dir, "scan", ret_state, err);
}

int rfs_recall_given(const struct rfs_inventory *inv,
		     struct rfs_state **ret_state, struct rfs_given **ret,
		     struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *status = NULL;
	struct rfs_error why = RFS_ERROR_INIT;
	int r;

	*ret_state = NULL;
	if (inv->site->nbases &&
	    find_memory(inv->site, ret_state, &status, &why) < 0)
		rfs_notes_add(&inv->site->notes,
			      "what is known of base images given by hand is "
			      "not shown: %s",
			      why.text);
	r = rfs_given_new(inv, *ret_state, ret, err);
	if (r == 0 && status)
		rfs_given_adopt(*ret, status);
	return r;
}
