// SPDX-License-Identifier: GPL-3.0-or-later
/* rescuefs VERB ...: finds the verb and leaves the rest to it. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/verbs.h"

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *does;
} verbs[] = {
	{ "mount", rfs_verb_mount,
	  "show a damaged host and its backups as one tree" },
	{ "scan", rfs_verb_scan,
	  "list hosts, instances and disks, and the copies of each" },
	{ "map", rfs_verb_map, "draw where the blocks of a disk came from" },
	{ "losses", rfs_verb_losses,
	  "say which files lost and stale blocks hit" },
	{ "report", rfs_verb_report,
	  "write one page about all of a site's disks" },
	{ "fetch", rfs_verb_fetch,
	  "read damaged disks into the rescued store, the used blocks first" },
	{ "advise", rfs_verb_advise,
	  "say whether to keep a merged disk or go back to a backup" },
	{ "compare", rfs_verb_compare,
	  "hold two copies of a disk against each other" },
	{ "verify", rfs_verb_verify,
	  "read a disk a second time by other means, and compare" },
	{ "status", rfs_verb_status,
	  "say what is known of each disk and each source" },
	{ "export", rfs_verb_export,
	  "write a merged disk out, or upload it, with its digests" },
	{ "plan", rfs_verb_plan,
	  "write the commands that bring instances and volumes back" },
	{ "reset", rfs_verb_reset, "drop what was written to a disk" },
	{ "refresh", rfs_verb_refresh,
	  "forget what was chosen for a disk, and try again" },
};

#define NVERBS (sizeof(verbs) / sizeof(*verbs))

int rfs_site_exit(int r)
{
	return r == -EINVAL ? RFS_EXIT_USE : RFS_EXIT_SOURCE;
}

int rfs_complain(const struct rfs_error *err, int status)
{
	fprintf(stderr, "rescuefs: %s\n", err->text);
	return status;
}

static void print_help(FILE *out)
{
	fprintf(out, "usage: rescuefs VERB ...\n"
		     "       rescuefs SITE MOUNTPOINT [-o OPTIONS]\n\n");
	for (size_t i = 0; i < NVERBS; i++)
		fprintf(out, "  %-9s %s\n", verbs[i].name, verbs[i].does);
	fprintf(out, "\n"
		     "rescuefs VERB --help says more; so does rescuefs(1).\n");
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < NVERBS; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static bool may_be_site(const char *word)
{
	return strcmp(word, "none") == 0 || strchr(word, '/') ||
	       access(word, F_OK) == 0;
}

/* SITE MOUNTPOINT, as fstab and mount(8) have it: a first word that is no
 * option, and a second one somewhere behind it. */
static bool is_mount(int argc, char **argv)
{
	int words = 0;

	for (int i = 1; i < argc; i++) {
		if (argv[i][0] != '-')
			words++;
		else if (strcmp(argv[i], "-o") == 0)
			i++;
	}
	return argv[1][0] != '-' && words >= 2 && may_be_site(argv[1]);
}

static bool is_option(const char *word, const char *long_name, char letter)
{
	const char letters[] = { '-', letter, '\0' };

	return strcmp(word, long_name) == 0 || strcmp(word, letters) == 0;
}

int main(int argc, char **argv)
{
	const struct verb *verb;

	if (argc < 2) {
		print_help(stderr);
		return RFS_EXIT_USE;
	}
	if (is_option(argv[1], "--help", 'h')) {
		print_help(stdout);
		return RFS_EXIT_FINE;
	}
	if (is_option(argv[1], "--version", 'V')) {
		printf("rescuefs %s\n", RFS_VERSION);
		return RFS_EXIT_FINE;
	}
	verb = find_verb(argv[1]);
	if (verb)
		return verb->run(argc - 1, argv + 1);
	if (is_mount(argc, argv))
		return rfs_verb_mount(argc, argv);
	fprintf(stderr,
		"rescuefs: %s is neither a verb nor a site file; rescuefs "
		"--help lists the verbs\n",
		argv[1]);
	return RFS_EXIT_USE;
}
