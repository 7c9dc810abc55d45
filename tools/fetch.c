// SPDX-License-Identifier: GPL-3.0-or-later
/* rescuefs fetch: reads damaged disks into the rescued store, in passes. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/format.h"
#include "tools/fetch.h"
#include "tools/verbs.h"
#include "tools/words.h"

#define SECOND	 INT64_C(1000000000)
#define TIME_MAX 100000000ul /* seconds: three years */

/* Of a request where nobody reads beside it: a disk may try that long. */
#define PATIENCE_MS 30000

struct request {
	struct rfs_fetching_order order;
	struct rfs_fetch_maps maps;
	bool json, quiet, all;
	bool is_patient;	   /* --patience was said */
	unsigned long max_seconds; /* 0: as long as it takes */
};

static const char help[] =
	"usage: rescuefs fetch [SITE | SOURCES] [--state DIR] [--used-only]\n"
	"                      [--retries N] [--max-time SECONDS]\n"
	"                      [--json | --quiet] DISK... | --all\n"
	"       rescuefs fetch ... --import-map MAP --import-image IMAGE DISK\n"
	"       rescuefs fetch ... [--export-map MAP] [--export-image IMAGE] "
	"DISK\n"
	"\n"
	"Reads what DISK's damaged copy and its base images are made of into "
	"the\n"
	"rescued store: tables first, then what the filesystems on it use, "
	"then\n"
	"the rest; around errors in passes, as GNU ddrescue does.  It can be\n"
	"stopped at any time, and goes on where it was.  A mount of the same\n"
	"state is asked to do it; who reads there goes first.\n"
	"\n"
	"  --used-only         leave out what no filesystem uses\n"
	"  -r, --retries N     ask N times more for what is bad\n"
	"  --max-time SECONDS  stop after so long\n"
	"  --patience SECONDS  how long a request may take: 30, or beside a "
	"mount\n"
	"                      the deadline of its readers\n"
	"  --all               every disk: what is used of all of them first\n"
	"  --json              how far it is, as one object a line\n"
	"  --quiet             nothing but errors\n"
	"\n"
	"  --import-map MAP, --import-image IMAGE\n"
	"                      take over what ddrescue rescued of the damaged\n"
	"                      file itself, and read nothing\n"
	"  --export-map MAP, --export-image IMAGE\n"
	"                      write down what is rescued of it, so that "
	"ddrescue\n"
	"                      can go on, and read nothing\n"
	"  --file PATH         not of the disk's own file, but of this one on "
	"the\n"
	"                      same source: a base image\n"
	"\n"
	"SOURCES and --state are those of rescuefs mount.  The exit status is "
	"1\n"
	"if something is not rescued.\n";

static uint64_t missing(const struct rfs_fetching_news *news)
{
	return news->progress.total - news->progress.rescued;
}

static void print_part(const char *what, uint64_t bytes)
{
	char text[RFS_FORMAT_ROOM];

	if (!bytes)
		return;
	rfs_format_bytes(bytes, text);
	printf(", %s %s", text, what);
}

static void print_summary(const char *name,
			  const struct rfs_fetching_news *news)
{
	const struct rfs_fetch_progress *p = &news->progress;
	char rescued[RFS_FORMAT_ROOM], total[RFS_FORMAT_ROOM];
	char average[RFS_FORMAT_ROOM], took[RFS_FORMAT_ROOM];

	rfs_format_bytes(p->rescued, rescued);
	rfs_format_bytes(p->total, total);
	rfs_format_bytes(rfs_fetching_average(news), average);
	rfs_format_seconds((uint64_t)(news->elapsed_ns / SECOND), took);
	printf("%s: %s of %s rescued", name, rescued, total);
	if (p->areas)
		printf(", %" PRIu64 " bad area%s", p->areas,
		       p->areas == 1 ? "" : "s");
	print_part("bad", p->bad);
	print_part("near errors, not tried singly yet", p->pending);
	print_part("not delivered in time", p->late);
	print_part("not asked for yet", p->untried);
	printf("; %s, %s/s%s\n", took, average,
	       news->is_stopped ? "; stopped, and the same command goes on"
				: "");
	fflush(stdout);
}

static int status_of(int r, const struct rfs_fetching_news *news)
{
	if (r == -ENOENT || r == -EINVAL)
		return RFS_EXIT_USE;
	if (r == -EBUSY)
		return RFS_EXIT_BUSY;
	if (r < 0 && r != -EINTR)
		return RFS_EXIT_SOURCE;
	return r < 0 || missing(news) ? RFS_EXIT_LOSSES : RFS_EXIT_FINE;
}

static int worse(int a, int b)
{
	return a == RFS_EXIT_FINE || (a == RFS_EXIT_LOSSES && b) ? b : a;
}

/* One disk, in one round. */
static int fetch(const struct request *req, struct rfs_target *t, size_t i,
		 const struct rfs_fetch_watch *until, bool is_last, int *ret)
{
	RFS_CLEANUP_FREE char *name = rfs_disk_path(t->disks[i]);
	struct rfs_fetching_order order = req->order;
	struct rfs_fetching_news news = { 0 };
	struct rfs_fetch_watch watch = *until;
	struct rfs_error err = RFS_ERROR_INIT;
	int r;

	watch.name = name ? name : "?";
	if (!is_last) {
		order.used_only = true;
		order.retries = 0;
	}
	r = rfs_fetch_disk(t, t->disks[i], &order, &watch, &news, &err);
	*ret = status_of(r, &news);
	if (r < 0 && r != -EINTR)
		rfs_complain(&err, *ret);
	if (!req->json && !req->quiet && news.progress.total &&
	    (is_last || r < 0))
		print_summary(watch.name, &news);
	return r;
}

/* The disks that no damaged source has are left out where all are meant. */
static void drop_others(struct rfs_target *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->ndisks; i++)
		if (rfs_fetching_copy(t->disks[i]))
			t->disks[n++] = t->disks[i];
	t->ndisks = n;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec;
}

/* With several disks there are two rounds: what is used of all of them, and
 * then the rest of each. */
static int fetch_all(const struct request *req, struct rfs_target *t)
{
	struct rfs_fetch_watch watch = { .json = req->json,
					 .quiet = req->quiet };
	RFS_CLEANUP_FREE bool *failed = calloc(t->ndisks + 1, sizeof(bool));
	bool is_last = t->ndisks == 1 || req->order.used_only;
	int status = RFS_EXIT_FINE, one, r;

	if (!failed)
		return RFS_EXIT_SOURCE;
	if (req->max_seconds)
		watch.until_ns = now_ns() + (int64_t)req->max_seconds * SECOND;
	for (;; is_last = true) {
		for (size_t i = 0; i < t->ndisks; i++) {
			if (failed[i])
				continue;
			r = fetch(req, t, i, &watch, is_last, &one);
			if (is_last || r < 0)
				status = worse(status, one);
			if (r == -EINTR)
				return status;
			failed[i] = r < 0;
		}
		if (is_last)
			return status;
	}
}

static int run(void *data, struct rfs_target *t)
{
	struct request *req = data;
	struct rfs_error err = RFS_ERROR_INIT;

	if (rfs_fetch_has_maps(&req->maps))
		return rfs_fetch_exchange(&req->maps, t);
	if (req->all)
		drop_others(t);
	if (req->all && !t->ndisks) {
		rfs_fail(&err, ENOENT,
			 "no damaged source has a disk, so that there is "
			 "nothing to fetch");
		return rfs_complain(&err, RFS_EXIT_USE);
	}
	if (!req->is_patient && !t->mountpoint)
		req->order.patience_ms = PATIENCE_MS;
	return fetch_all(req, t);
}

/*
 * Options.
 */

static int take_number(const char *name, const char *value, unsigned long most,
		       unsigned long *ret, struct rfs_error *err)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (errno || *end || end == value || *value == '-' || n > most)
		return rfs_fail(err, EINVAL,
				"%s: %s is no number from 0 to %lu", name,
				value, most);
	*ret = n;
	return 0;
}

enum letter {
	IMPORT_MAP = 1000,
	IMPORT_IMAGE,
	EXPORT_MAP,
	EXPORT_IMAGE,
	OF_FILE,
	MAX_TIME,
	PATIENCE,
};

static int take(void *data, int letter, const char *value,
		struct rfs_error *err)
{
	struct request *req = data;
	struct rfs_fetch_maps *maps = &req->maps;
	unsigned long n = 0;
	int r = 0;

	switch (letter) {
	case 'r':
		r = take_number("--retries", value, RFS_FETCHING_RETRIES_MAX,
				&n, err);
		req->order.retries = (unsigned int)n;
		break;
	case MAX_TIME:
		r = take_number("--max-time", value, TIME_MAX,
				&req->max_seconds, err);
		break;
	case PATIENCE:
		r = take_number("--patience", value,
				RFS_FETCHING_PATIENCE_MAX / 1000, &n, err);
		req->order.patience_ms = (unsigned int)n * 1000;
		req->is_patient = true;
		break;
	case IMPORT_MAP:
		maps->import_map = value;
		break;
	case IMPORT_IMAGE:
		maps->import_image = value;
		break;
	case EXPORT_MAP:
		maps->export_map = value;
		break;
	case EXPORT_IMAGE:
		maps->export_image = value;
		break;
	case OF_FILE:
		maps->file = value;
		break;
	default:
		req->order.used_only = req->order.used_only || letter == 'u';
		break;
	}
	return r;
}

int rfs_verb_fetch(int argc, char **argv)
{
	static const struct option options[] = {
		RFS_SETTINGS_OPTIONS,
		{ "used-only", no_argument, NULL, 'u' },
		{ "retries", required_argument, NULL, 'r' },
		{ "max-time", required_argument, NULL, MAX_TIME },
		{ "patience", required_argument, NULL, PATIENCE },
		{ "all", no_argument, NULL, 'a' },
		{ "json", no_argument, NULL, 'j' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "import-map", required_argument, NULL, IMPORT_MAP },
		{ "import-image", required_argument, NULL, IMPORT_IMAGE },
		{ "export-map", required_argument, NULL, EXPORT_MAP },
		{ "export-image", required_argument, NULL, EXPORT_IMAGE },
		{ "file", required_argument, NULL, OF_FILE },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct request req = { 0 };
	const struct rfs_verb_words verb = {
		.name = "fetch",
		.help = help,
		.options = options,
		.letters = ":hr:",
		.min_disks = 1,
		.max_disks = SIZE_MAX,
		.take = take,
		.ret_all = &req.all,
		.ret_json = &req.json,
		.ret_quiet = &req.quiet,
		.run = run,
		.data = &req,
	};

	return rfs_verb_with_words(&verb, argc, argv);
}
