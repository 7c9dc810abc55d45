// SPDX-License-Identifier: GPL-3.0-or-later
/* rescuefs losses: what lost and stale blocks hit, by name. */
#include <stdio.h>

#include "site/losses_text.h"
#include "tools/each_disk.h"
#include "tools/subject.h"
#include "tools/verbs.h"
#include "tools/words.h"

struct request {
	bool json, quiet, all;
	int status; /* the worst that was found */
};

static const char help[] =
	"usage: rescuefs losses [SITE | SOURCES] [--state DIR] [--json] "
	"[--quiet]\n"
	"                       DISK... | --all\n"
	"\n"
	"Says which files of DISK (\"april-ci/disk\") lost and stale blocks "
	"hit,\n"
	"and what of the filesystem's own tables: path, inode, bytes, source "
	"and\n"
	"age, and whether it matters.  Reads the tables of its filesystems "
	"and\n"
	"nothing else; of what was not read yet it says how much there is.\n"
	"Works beside a running mount of the same state.\n"
	"\n"
	"  --all     every disk\n"
	"  --json    the same as JSON\n"
	"  --quiet   reads nothing that was not read before, for a disk that\n"
	"            must be spared; this is what rescue/disk.losses shows\n"
	"\n"
	"Exit status 1 if anything that matters is hit.  SOURCES and --state "
	"are\n"
	"those of rescuefs mount.\n";

static int print(struct request *req, struct rfs_subject *s,
		 struct rfs_error *err)
{
	struct rfs_losses losses = { 0 };
	int r = rfs_subject_losses(s, req->quiet, &losses, err);

	if (r < 0)
		return r;
	if (rfs_losses_matter(&losses))
		req->status = RFS_EXIT_LOSSES;
	r = req->json
		    ? rfs_losses_json(rfs_subject_disk(s), &losses, stdout, err)
		    : rfs_losses_text(rfs_subject_disk(s), &losses, stdout,
				      err);
	rfs_losses_fini(&losses);
	return r;
}

static int print_disk(void *data, struct rfs_target *t,
		      const struct rfs_disk *disk, struct rfs_error *err)
{
	struct rfs_subject *s;
	int r = rfs_subject_open(t, disk, &s, err), closed;

	if (r < 0)
		return r;
	r = print(data, s, err);
	closed = rfs_subject_close(s, r < 0 ? NULL : err);
	return r < 0 ? r : closed;
}

static int run(void *data, struct rfs_target *t)
{
	struct request *req = data;
	int failed = rfs_print_each_disk(t, req->json, print_disk, req);

	return failed ? failed : req->status;
}

/*
 * Options.
 */

int rfs_verb_losses(int argc, char **argv)
{
	static const struct option options[] = {
		RFS_SETTINGS_OPTIONS,
		{ "json", no_argument, NULL, 'j' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "all", no_argument, NULL, 'a' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct request req = { 0 };
	const struct rfs_verb_words verb = {
		.name = "losses",
		.help = help,
		.options = options,
		.min_disks = 1,
		.max_disks = SIZE_MAX,
		.ret_all = &req.all,
		.ret_json = &req.json,
		.ret_quiet = &req.quiet,
		.run = run,
		.data = &req,
	};

	return rfs_verb_with_words(&verb, argc, argv);
}
