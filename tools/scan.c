// SPDX-License-Identifier: GPL-3.0-or-later
/* rescuefs scan: what there is, and how old each copy of it is. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "site/inventory.h"
#include "tools/given.h"
#include "tools/settings.h"
#include "tools/verbs.h"

struct request {
	struct rfs_settings settings;
	const char *file;  /* the site file, or NULL */
	const char *part;  /* of a name or a uuid, or NULL for all */
	const char *write; /* where the site file is to be written, or NULL */
	bool json;
};

static const char help[] =
	"usage: rescuefs scan [SITE | SOURCES] [--json] [--write FILE] [PART]\n"
	"\n"
	"Lists hosts, instances and disks, and the sources of each with their\n"
	"ages; of base images given by hand also what the state knows.  No\n"
	"image is opened.  With PART, only the instances whose name or uuid\n"
	"contains it; exit status 1 if there is none.\n"
	"\n"
	"SITE is a site file; see rescuefs.conf(5).  SOURCES are:\n"
	"  --damaged DIR   the root of the host that is dying\n"
	"  --backup DIR[,taken=TIME][,name=NAME][,host=HOST]\n"
	"                  a backup of it, as a tree of /\n"
	"  --live DIR      a directory tree of a host that is well\n"
	"  --volumes PATTERN\n"
	"                  of the source said before it: the directory of its\n"
	"                  volumes, or a pattern\n"
	"\n"
	"  --json          the same as JSON\n"
	"  --write FILE    writes a site file that says all this; never over "
	"an\n"
	"                  existing file\n"
	"  --state DIR, --fill all|data|none, --lost eio|zero\n"
	"                  as for rescuefs mount: they go into the site file\n";

static bool is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Unless options say the sources, the first word is the site file; what is
 * left is PART. */
static int take_words(struct request *req, int argc, char **argv,
		      struct rfs_error *err)
{
	int i = optind;

	if (i < argc && !rfs_settings_has_source(&req->settings)) {
		if (!is_file(argv[i]))
			return rfs_fail(err, ENOENT,
					"%s: is no site file; name one, or say "
					"--damaged DIR and --backup DIR",
					argv[i]);
		req->file = argv[i++];
	}
	if (i < argc)
		req->part = argv[i++];
	if (i < argc)
		return rfs_fail(err, EINVAL, "%s: one word too many", argv[i]);
	return 0;
}

/* 0, a negative errno, or 1 for --help. */
static int parse(struct request *req, int argc, char **argv,
		 struct rfs_error *err)
{
	static const struct option options[] = {
		RFS_SETTINGS_OPTIONS,
		{ "json", no_argument, NULL, 'j' },
		{ "write", required_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int opt, which = 0, r = 0;

	while (r == 0 &&
	       (opt = getopt_long(argc, argv, "h", options, &which)) != -1) {
		if (opt == 'h')
			return 1;
		if (opt == 'j')
			req->json = true;
		else if (opt == 'w')
			req->write = optarg;
		else if (opt == RFS_SETTINGS_OPTION)
			r = rfs_settings_add(&req->settings,
					     options[which].name, optarg, err);
		else
			r = rfs_fail(err, EINVAL,
				     "rescuefs scan --help lists the options");
	}
	return r < 0 ? r : take_words(req, argc, argv, err);
}

/* The state is said in full: the default is named after the site, which a file
 * of another name would not be. */
static int site_text(struct rfs_site *site, char **ret_text,
		     struct rfs_error *err)
{
	char *dir;
	int r;

	r = rfs_site_state_dir(site, &dir, err);
	if (r < 0)
		return r;
	free(site->state_dir);
	site->state_dir = dir;
	return rfs_site_print(site, ret_text, err);
}

static int write_site(struct rfs_site *site, const char *path,
		      struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	FILE *out;
	int fd, r;

	r = site_text(site, &text, err);
	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 && errno == EEXIST)
		return rfs_fail(err, EEXIST,
				"%s: is there already, and is not written over",
				path);
	out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!out)
		return rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	fputs(text, out);
	if (fclose(out) != 0)
		return rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	return 0;
}

static int print_part(const struct request *req,
		      const struct rfs_inventory *inv, struct rfs_given *given,
		      char **ret_text, size_t *ret_found, struct rfs_error *err)
{
	RFS_CLEANUP_FREE const struct rfs_instance **only = NULL;

	only = calloc(inv->ninstances + 1, sizeof(struct rfs_instance *));
	if (!only)
		return rfs_no_memory(err);
	*ret_found = rfs_inventory_find(inv, req->part, only, inv->ninstances);
	return rfs_inventory_print(inv, given, only, *ret_found, req->json,
				   ret_text, err);
}

static int make_text(const struct request *req, const struct rfs_inventory *inv,
		     char **ret_text, size_t *ret_found, struct rfs_error *err)
{
	struct rfs_given *given = NULL;
	struct rfs_state *state;
	int r = rfs_recall_given(inv, &state, &given, err);

	*ret_found = 1;
	if (r == 0 && req->part)
		r = print_part(req, inv, given, ret_text, ret_found, err);
	else if (r == 0)
		r = rfs_inventory_print(inv, given, NULL, 0, req->json,
					ret_text, err);
	rfs_given_free(given);
	rfs_state_close(state);
	return r;
}

static int print(const struct request *req, const struct rfs_inventory *inv)
{
	struct rfs_error err = RFS_ERROR_INIT;
	RFS_CLEANUP_FREE char *text = NULL;
	size_t found;

	if (make_text(req, inv, &text, &found, &err) < 0)
		return rfs_complain(&err, RFS_EXIT_USE);
	if (found || req->json)
		fputs(text, stdout);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		rfs_fail(&err, EIO, "the list could not be written");
		return rfs_complain(&err, RFS_EXIT_USE);
	}
	if (found)
		return RFS_EXIT_FINE;
	fprintf(stderr, "rescuefs: %s: no instance's name or uuid has that\n",
		req->part);
	return RFS_EXIT_LOSSES;
}

/* A source that failed shows in the status, even if the others tell enough. */
static int source_status(const struct rfs_site *site)
{
	int status = RFS_EXIT_FINE;

	for (size_t i = 0; i < site->nsources; i++)
		if (site->sources[i]->open_error) {
			fprintf(stderr, "rescuefs: source %s: %s\n",
				site->sources[i]->origin.name,
				site->sources[i]->open_error);
			status = RFS_EXIT_SOURCE;
		}
	return status;
}

static int scan(const struct request *req, struct rfs_site *site)
{
	struct rfs_inventory inv = { 0 };
	struct rfs_error err = RFS_ERROR_INIT;
	int status, failed, r = rfs_site_open(site, &err);

	if (r < 0)
		return rfs_complain(&err, rfs_site_exit(r));
	if (rfs_inventory_scan(site, NULL, &inv, &err) < 0)
		return rfs_complain(&err, RFS_EXIT_SOURCE);
	status = print(req, &inv);
	rfs_inventory_fini(&inv);
	failed = source_status(site);
	if (status != RFS_EXIT_FINE)
		return status;
	if (req->write && write_site(site, req->write, &err) < 0)
		return rfs_complain(&err, RFS_EXIT_USE);
	return failed;
}

int rfs_verb_scan(int argc, char **argv)
{
	struct request req = { 0 };
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_site site;
	int r, status;

	rfs_site_init(&site);
	r = parse(&req, argc, argv, &err);
	if (r == 0)
		r = rfs_settings_apply(&req.settings, req.file, &site, &err);
	if (r > 0) {
		fputs(help, stdout);
		status = RFS_EXIT_FINE;
	} else if (r < 0) {
		status = rfs_complain(&err, RFS_EXIT_USE);
	} else {
		status = scan(&req, &site);
	}
	rfs_settings_fini(&req.settings);
	rfs_site_fini(&site);
	return status;
}
