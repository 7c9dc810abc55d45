// SPDX-License-Identifier: GPL-3.0-or-later
/* rescuefs status: what is known and done, per disk and per source. */
#include "site/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "tools/ask.h"
#include "tools/verbs.h"
#include "tools/words.h"

struct request {
	bool json;
};

static const char help[] =
	"usage: rescuefs status [SITE | SOURCES] [--state DIR] [--json] "
	"[DISK...]\n"
	"\n"
	"Says what is known and done: of each DISK, or of all, how many bytes "
	"are\n"
	"in each state; of each source what was read and rescued of it, what "
	"is\n"
	"bad, and whether it can be used now.  Nothing is read from a disk.\n"
	"Beside a running mount of the same state it also says how often the "
	"mount\n"
	"has read each damaged source, with what errors and missed "
	"deadlines.\n"
	"\n"
	"  --json  the same for programs\n"
	"\n"
	"Exit status 1 if a disk has lost, stale or unproved blocks, 3 if a "
	"source\n"
	"or a disk cannot be used, or what was rescued is damaged.  SOURCES "
	"and\n"
	"--state are those of rescuefs mount.\n";

static void free_names(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

static int print(const struct request *req, const struct rfs_target *t,
		 const char *json, enum rfs_status_verdict *ret_verdict,
		 struct rfs_error *err)
{
	char **names = calloc(t->ndisks + 1, sizeof(*names));
	int r = names ? 0 : rfs_no_memory(err);

	for (size_t i = 0; i < t->ndisks && r == 0; i++) {
		names[i] = rfs_disk_path(t->disks[i]);
		r = names[i] ? 0 : rfs_no_memory(err);
	}
	if (r == 0)
		r = rfs_status_print(json, names, t->ndisks, req->json, stdout,
				     ret_verdict, err);
	if (names)
		free_names(names, t->ndisks);
	return r;
}

static int run(void *data, struct rfs_target *t)
{
	static const int status[] = {
		[RFS_STATUS_FINE] = RFS_EXIT_FINE,
		[RFS_STATUS_LOSSES] = RFS_EXIT_LOSSES,
		[RFS_STATUS_FAILED] = RFS_EXIT_SOURCE,
	};
	enum rfs_status_verdict verdict = RFS_STATUS_FINE;
	struct rfs_error err = RFS_ERROR_INIT;
	RFS_CLEANUP_FREE char *json = NULL;
	int r;

	if (t->mountpoint)
		r = rfs_ask_status(t->mountpoint, &json, &err);
	else
		r = rfs_status_json(t->opener, NULL, NULL, &json, &err);
	if (r == 0)
		r = print(data, t, json, &verdict, &err);
	if (r == 0 && (fflush(stdout) != 0 || ferror(stdout)))
		r = rfs_fail(&err, EIO, "the status could not be written");
	return r < 0 ? rfs_complain(&err, RFS_EXIT_SOURCE) : status[verdict];
}

static int take(void *data, int letter, const char *value,
		struct rfs_error *err)
{
	struct request *req = data;

	(void)letter;
	(void)value;
	(void)err;
	req->json = true;
	return 0;
}

int rfs_verb_status(int argc, char **argv)
{
	static const struct option options[] = {
		RFS_SETTINGS_OPTIONS,
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct request req = { 0 };
	const struct rfs_verb_words verb = {
		.name = "status",
		.help = help,
		.options = options,
		.max_disks = SIZE_MAX,
		.needs_state = true,
		.asks_mount = true,
		.take = take,
		.run = run,
		.data = &req,
	};

	return rfs_verb_with_words(&verb, argc, argv);
}
