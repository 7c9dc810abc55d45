// SPDX-License-Identifier: GPL-3.0-or-later
/* rescuefs reset and rescuefs refresh: what the operator takes back.
 *
 * A mount of the same state is asked to do it, as it has the disk open; else
 * the state is opened here.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/format.h"
#include "core/view.h"
#include "site/names.h"
#include "tools/target.h"
#include "tools/verbs.h"

#define CONTROL "user.rescuefs.control"

enum order {
	ORDER_RESET,
	ORDER_REFRESH,
};

struct request {
	enum order order;
	bool is_sure;	/* --yes */
	bool is_forced; /* --force */
	struct rfs_target target;
	const struct rfs_disk *disk;
	char *path; /* "april-ci/disk" */
};

static const char help_reset[] =
	"usage: rescuefs reset [SITE | SOURCES] [--state DIR] DISK [--yes]\n"
	"\n"
	"Drops what was written to DISK (\"april-ci/disk\", as in the tree, "
	"or\n"
	"UUID/disk): it is the merged disk again.  Works beside a running\n"
	"mount of the same state.  Asks first; without a terminal it needs\n"
	"--yes.  SOURCES and --state are those of rescuefs mount.\n";

static const char help_refresh[] =
	"usage: rescuefs refresh [SITE | SOURCES] [--state DIR] DISK "
	"[--force]\n"
	"\n"
	"Forgets which blocks of DISK were stale or lost, so that the next\n"
	"reading tries the fresher sources again.  Refused while something\n"
	"is written to DISK: reset it first, or say --force.  Then what was\n"
	"written stays as it is, byte for byte, and what is below may be "
	"newer\n"
	"than what it was written to: check the filesystem afterwards.  "
	"Works\n"
	"beside a running mount of the same state.  SOURCES and --state are\n"
	"those of rescuefs mount.\n";

static const char *const order_name[] = {
	[ORDER_RESET] = "reset",
	[ORDER_REFRESH] = "refresh",
};

/* True if the operator says yes; else *ret_status is why not. */
static bool is_wanted(const struct request *req, uint64_t bytes,
		      int *ret_status)
{
	char answer[16] = "", size[RFS_FORMAT_ROOM] = "";

	if (req->order != ORDER_RESET || req->is_sure)
		return true;
	*ret_status = RFS_EXIT_USE;
	if (!isatty(STDIN_FILENO)) {
		fprintf(stderr,
			"rescuefs: nobody is there to ask; --yes drops what "
			"was written to %s\n",
			req->path);
		return false;
	}
	if (bytes)
		rfs_format_bytes(bytes, size);
	printf("Drop what was written to %s%s%s%s? [y/N] ", req->path,
	       bytes ? " (" : "", size, bytes ? ")" : "");
	fflush(stdout);
	*ret_status = RFS_EXIT_FINE;
	if (fgets(answer, sizeof(answer), stdin) &&
	    (answer[0] == 'y' || answer[0] == 'Y'))
		return true;
	printf("Nothing was dropped.\n");
	return false;
}

static int print_done(const struct request *req)
{
	if (req->order == ORDER_RESET)
		printf("%s: what was written is dropped\n", req->path);
	else if (req->is_forced)
		printf("%s: all of it will be asked for anew; what was written "
		       "to it stays as it is, over what is below now: check "
		       "its filesystem\n",
		       req->path);
	else
		printf("%s: all of it will be asked for anew\n", req->path);
	return RFS_EXIT_FINE;
}

/* What a failed order means to the operator. */
static int order_failed(const struct request *req, int r, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *word = rfs_text_shell(req->path);

	if (r == -EBUSY && req->order == ORDER_REFRESH) {
		rfs_fail(err, EBUSY,
			 "%s was written to: better blocks below would not fit "
			 "to what was written; run rescuefs reset %s first, or "
			 "refresh with --force, which keeps what was written "
			 "over them",
			 req->path, word ? word : req->path);
		return rfs_complain(err, RFS_EXIT_USE);
	}
	rfs_context(err, r, "%s %s", order_name[req->order], req->path);
	return rfs_complain(err, RFS_EXIT_SOURCE);
}

/*
 * Beside a running mount.
 */

/* What the mount says of it, in bytes; 0 where it does not. */
static uint64_t written_bytes(const char *image)
{
	char text[40];
	ssize_t n =
		getxattr(image, "user.rescuefs.local", text, sizeof(text) - 1);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	return strtoull(text, NULL, 10);
}

static int ask_mount(const struct request *req)
{
	RFS_CLEANUP_FREE char *image = NULL;
	const char *order =
		req->is_forced ? "refresh-written" : order_name[req->order];
	struct rfs_error err = RFS_ERROR_INIT;
	int status, r;

	r = rfs_target_image(&req->target, req->disk, &image, &err);
	if (r < 0)
		return rfs_complain(&err, RFS_EXIT_USE);
	if (!is_wanted(req, written_bytes(image), &status))
		return status;
	if (setxattr(image, CONTROL, order, strlen(order), 0) == 0)
		return print_done(req);
	r = -errno;
	rfs_fail(&err, -r, "%s; the mount's log says more", strerror(-r));
	return order_failed(req, r, &err);
}

/*
 * Without one.
 */

static int reset_view(const struct request *req, struct rfs_view *view)
{
	uint64_t totals[RFS_BLOCK_STATES] = { 0 };
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_report report = { 0 };
	int r, status;

	if (!rfs_view_is_written(view)) {
		printf("%s: nothing was written\n", req->path);
		return RFS_EXIT_FINE;
	}
	r = rfs_view_report(view, &report, &err);
	if (r == 0)
		rfs_report_totals(&report, totals);
	rfs_report_fini(&report);
	if (r == 0 && !is_wanted(req, totals[RFS_LOCAL], &status))
		return status;
	if (r == 0)
		r = rfs_view_reset(view, &err);
	return r < 0 ? order_failed(req, r, &err) : print_done(req);
}

static int reset(const struct request *req, struct rfs_opener *op)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_view *view = NULL;
	int status, r;

	r = rfs_opener_view_changed(op, req->disk, &view, &err);
	if (r < 0)
		return order_failed(req, r, &err);
	status = reset_view(req, view);
	r = rfs_view_close(view, &err);
	return r < 0 ? order_failed(req, r, &err) : status;
}

static int refresh(const struct request *req, struct rfs_opener *op)
{
	struct rfs_error err = RFS_ERROR_INIT;
	int r = rfs_opener_refresh(op, req->disk, req->is_forced, &err);

	return r < 0 ? order_failed(req, r, &err) : print_done(req);
}

static int carry_out(struct request *req)
{
	struct rfs_opener *op = req->target.opener;
	struct rfs_error err = RFS_ERROR_INIT;

	req->disk = req->target.disks[0];
	req->path = rfs_disk_path(req->disk);
	if (!req->path) {
		rfs_no_memory(&err);
		return rfs_complain(&err, RFS_EXIT_SOURCE);
	}
	if (req->target.mountpoint)
		return ask_mount(req);
	return req->order == ORDER_RESET ? reset(req, op) : refresh(req, op);
}

/*
 * Options.
 */

struct words {
	struct rfs_settings settings;
	bool is_sure, is_forced;
};

static const struct option long_options[] = {
	RFS_SETTINGS_OPTIONS,
	{ "yes", no_argument, NULL, 'y' },
	{ "force", no_argument, NULL, 'F' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* 0, or -EINVAL with a text, or -ECANCELED if only help was asked for. */
static int read_options(struct words *w, int argc, char **argv,
			struct rfs_error *err)
{
	int c, at = 0, r = 0;

	while (r == 0 &&
	       (c = getopt_long(argc, argv, ":hy", long_options, &at)) != -1) {
		if (c == RFS_SETTINGS_OPTION)
			r = rfs_settings_add(&w->settings,
					     long_options[at].name, optarg,
					     err);
		else if (c == 'y')
			w->is_sure = true;
		else if (c == 'F')
			w->is_forced = true;
		else if (c == 'h')
			r = -ECANCELED;
		else
			r = rfs_fail(err, EINVAL,
				     c == ':' ? "%s needs a value"
					      : "%s is no option of this verb; "
						"--help lists them",
				     argv[optind - 1]);
	}
	return r;
}

static int with_words(struct request *req, const struct words *w, int argc,
		      char **argv)
{
	struct rfs_target_words words = {
		.settings = &w->settings,
		.words = argv,
		.nwords = argc,
		.verb = order_name[req->order],
		.min_disks = 1,
		.max_disks = 1,
		.renews = req->order == ORDER_REFRESH,
		.needs_state = true,
	};
	struct rfs_error err = RFS_ERROR_INIT;
	int status;

	req->is_sure = w->is_sure;
	req->is_forced = w->is_forced;
	status = rfs_target_open(&req->target, &words, &err);
	status = status == RFS_EXIT_FINE ? carry_out(req)
					 : rfs_complain(&err, status);
	free(req->path);
	rfs_target_close(&req->target);
	return status;
}

static int run(enum order order, const char *help, int argc, char **argv)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct request req = { .order = order };
	struct words words = { 0 };
	int r, status;

	umask(077);
	r = read_options(&words, argc, argv, &err);
	if (r == 0 && words.is_forced && order == ORDER_RESET)
		r = rfs_fail(&err, EINVAL,
			     "--force is of refresh; what reset drops it drops "
			     "anyway");
	if (r == 0)
		status = with_words(&req, &words, argc - optind, argv + optind);
	else if (r == -ECANCELED)
		status = fputs(help, stdout) < 0 ? RFS_EXIT_USE : RFS_EXIT_FINE;
	else
		status = rfs_complain(&err, RFS_EXIT_USE);
	rfs_settings_fini(&words.settings);
	return status;
}

int rfs_verb_reset(int argc, char **argv)
{
	return run(ORDER_RESET, help_reset, argc, argv);
}

int rfs_verb_refresh(int argc, char **argv)
{
	return run(ORDER_REFRESH, help_refresh, argc, argv);
}
