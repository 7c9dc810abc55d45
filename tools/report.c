// SPDX-License-Identifier: GPL-3.0-or-later
/* rescuefs report: all that is known of a site, as one page. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "tools/place.h"
#include "tools/report_page.h"
#include "tools/verbs.h"
#include "tools/words.h"

struct request {
	const char *file; /* NULL: not said; "-": stdout */
	struct rfs_facts_config facts;
};

static const char help[] =
	"usage: rescuefs report [SITE | SOURCES] [--state DIR] [--quiet]\n"
	"                       [--no-advice] -o FILE\n"
	"\n"
	"Writes one page of HTML about a site: its instances and volumes, "
	"their\n"
	"copies and ages, a picture of each disk, what is lost of it, and "
	"what to do\n"
	"about it (see rescuefs advise).  It is read without network and "
	"scripts, "
	"and\n"
	"prints.  Works beside a running mount of the same state.\n"
	"\n"
	"  -o, --output FILE  where to; \"-\" is standard output\n"
	"  --no-advice        tries no e2fsck on throw-away disks, which may "
	"take long\n"
	"  --quiet            gives no advice either, and reads nothing that "
	"was\n"
	"                     not read before; without it the tables of the "
	"disks'\n"
	"                     filesystems are read\n"
	"\n"
	"Exit status 1 if anything that matters is lost or stale.  SOURCES "
	"and\n"
	"--state are those of rescuefs mount.\n";

/* In place of 'path' in one step, so that nobody sees half of it. */
static int write_file(const char *path, const struct rfs_inventory *inv,
		      const struct rfs_site_facts *facts, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *made = NULL;
	FILE *out;
	int fd, r;

	if (asprintf(&made, "%s.XXXXXX", path) < 0) {
		made = NULL;
		return rfs_no_memory(err);
	}
	fd = mkstemp(made);
	out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!out) {
		r = rfs_fail(err, errno, "%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return r;
	}
	r = rfs_report_page(inv, facts, out, err);
	if (fclose(out) != 0 && r == 0)
		r = rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	if (r == 0 && rename(made, path) < 0)
		r = rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	if (r < 0)
		unlink(made);
	return r;
}

/* Most sentences name the disk themselves. */
static void complain_of(const struct rfs_disk_facts *f)
{
	size_t len = strlen(f->name);
	bool is_named = strncmp(f->error, f->name, len) == 0;

	fprintf(stderr, "rescuefs: %s%s%s\n", is_named ? "" : f->name,
		is_named ? "" : ": ", f->error);
}

static int status_of(const struct rfs_site_facts *facts)
{
	int status = RFS_EXIT_FINE;

	for (size_t i = 0; i < facts->count; i++) {
		if (facts->items[i].error) {
			complain_of(&facts->items[i]);
			status = RFS_EXIT_SOURCE;
		} else if (status == RFS_EXIT_FINE &&
			   rfs_losses_matter(&facts->items[i].losses)) {
			status = RFS_EXIT_LOSSES;
		}
	}
	return status;
}

static int run(void *data, struct rfs_target *t)
{
	const struct request *req = data;
	struct rfs_site_facts facts = { 0 };
	struct rfs_error err = RFS_ERROR_INIT;
	int status, r;

	if (!req->file) {
		rfs_fail(&err, EINVAL, "say where the page goes: -o FILE");
		return rfs_complain(&err, RFS_EXIT_USE);
	}
	if (strcmp(req->file, "-") != 0 &&
	    rfs_place_file(&t->site, req->file, &err) < 0)
		return rfs_complain(&err, RFS_EXIT_USE);
	if (req->facts.advise && !req->facts.quiet &&
	    rfs_place_scratch(&t->site, &err) < 0)
		return rfs_complain(&err, RFS_EXIT_USE);
	r = rfs_site_facts_gather(t, &req->facts, &facts, &err);
	if (r < 0)
		return rfs_complain(&err, RFS_EXIT_SOURCE);
	if (strcmp(req->file, "-") == 0)
		r = rfs_report_page(&t->inv, &facts, stdout, &err);
	else
		r = write_file(req->file, &t->inv, &facts, &err);
	status = r < 0 ? rfs_complain(&err, RFS_EXIT_USE) : status_of(&facts);
	rfs_site_facts_fini(&facts);
	return status;
}

static int take(void *data, int letter, const char *value,
		struct rfs_error *err)
{
	struct request *req = data;

	(void)err;
	if (letter == 'o')
		req->file = value;
	req->facts.advise = req->facts.advise && letter != 'n';
	return 0;
}

int rfs_verb_report(int argc, char **argv)
{
	static const struct option options[] = {
		RFS_SETTINGS_OPTIONS,
		{ "output", required_argument, NULL, 'o' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "no-advice", no_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct request req = { .facts = { .advise = true } };
	const struct rfs_verb_words verb = {
		.name = "report",
		.help = help,
		.options = options,
		.letters = ":ho:",
		.take = take,
		.all = true,
		.ret_quiet = &req.facts.quiet,
		.run = run,
		.data = &req,
	};

	return rfs_verb_with_words(&verb, argc, argv);
}
