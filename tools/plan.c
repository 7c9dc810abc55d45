// SPDX-License-Identifier: GPL-3.0-or-later
/* rescuefs plan: the runbook of a recovery; it runs nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "site/plan.h"
#include "tools/subject.h"
#include "tools/verbs.h"
#include "tools/words.h"

struct request {
	enum rfs_era era;
	bool all;
};

static const char help[] =
	"usage: rescuefs plan [SITE | SOURCES] [--state DIR] [--era "
	"today|essex]"
	"\n"
	"                     INSTANCE... | VOLUME... | --all\n"
	"\n"
	"Prints a shell script with the commands that bring an instance or a "
	"volume\n"
	"back: take the host out, upload the merged disk and compare it, "
	"re-home or\n"
	"delete the old instance, boot the new one; create a volume, copy into "
	"it,\n"
	"mark the old one deleted.  What the sources tell is filled in, and "
	"what they\n"
	"do not tell is FILL-IN, at the top.  It runs nothing itself; without\n"
	"arguments the script lists its steps.\n"
	"Works beside a running mount of the same state, whose place it fills "
	"in.\n"
	"\n"
	"  --era today     the openstack client, nova-manage, SQL (the "
	"default)\n"
	"  --era essex     nova-manage, glance add, nova boot, euca2ools, SQL\n"
	"  --all           every instance and volume\n"
	"\n"
	"SOURCES and --state are those of rescuefs mount.\n";

/* nova makes these anew, and what they held is worth nothing. */
static bool is_remade(const char *name)
{
	return strcmp(name, "disk.config") == 0 ||
	       strcmp(name, "disk.swap") == 0;
}

/* 0 where it cannot be opened, which is told. */
static uint64_t size_of(struct rfs_target *t, const struct rfs_disk *disk)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_subject *s;
	uint64_t size = 0;
	int r = rfs_subject_open(t, disk, &s, &err);

	if (r == 0) {
		size = rfs_reader_size(rfs_subject_merged(s));
		r = rfs_subject_close(s, &err);
	}
	if (r < 0)
		rfs_complain(&err, RFS_EXIT_SOURCE);
	return size;
}

/* The disks that hold data; *ret_status tells of those that cannot be opened. */
static size_t gather(struct rfs_target *t, struct rfs_plan_item *items,
		     int *ret_status)
{
	size_t n = 0;

	for (size_t i = 0; i < t->ndisks; i++) {
		const struct rfs_disk *disk = t->disks[i];

		if (is_remade(disk->name))
			continue;
		items[n].disk = disk;
		items[n].is_root = strcmp(disk->name, "disk") == 0;
		items[n].size = size_of(t, disk);
		if (!items[n].size)
			*ret_status = RFS_EXIT_SOURCE;
		n++;
	}
	return n;
}

static int print(void *data, struct rfs_target *t)
{
	const struct request *req = data;
	RFS_CLEANUP_FREE struct rfs_plan_item *items = NULL;
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_plan plan = { .era = req->era,
				 .mountpoint = t->mountpoint,
				 .inv = &t->inv };
	int status = RFS_EXIT_FINE, r = 0;

	items = calloc(t->ndisks + 1, sizeof(*items));
	if (!items) {
		rfs_no_memory(&err);
		return rfs_complain(&err, RFS_EXIT_USE);
	}
	plan.items = items;
	plan.count = gather(t, items, &status);
	r = plan.count ? rfs_plan_print(&plan, stdout, &err)
		       : rfs_fail(&err, ENOENT,
				  "there is no disk that holds data");
	return r < 0 ? rfs_complain(&err, RFS_EXIT_USE) : status;
}

static int take(void *data, int letter, const char *value,
		struct rfs_error *err)
{
	struct request *req = data;

	(void)letter; /* there is but one */
	if (strcmp(value, "today") != 0 && strcmp(value, "essex") != 0)
		return rfs_fail(err, EINVAL, "--era %s: is today or essex",
				value);
	req->era = *value == 'e' ? RFS_ERA_ESSEX : RFS_ERA_TODAY;
	return 0;
}

int rfs_verb_plan(int argc, char **argv)
{
	static const struct option options[] = {
		RFS_SETTINGS_OPTIONS,
		{ "era", required_argument, NULL, 'e' },
		{ "all", no_argument, NULL, 'a' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct request req = { 0 };
	const struct rfs_verb_words verb = {
		.name = "plan",
		.help = help,
		.options = options,
		.min_disks = 1,
		.max_disks = SIZE_MAX,
		.whole = true,
		.take = take,
		.ret_all = &req.all,
		.run = print,
		.data = &req,
	};

	return rfs_verb_with_words(&verb, argc, argv);
}
