/* SPDX-License-Identifier: GPL-3.0-or-later */
/* words.h - the command line of a verb that is about disks. */
#ifndef RESCUEFS_TOOLS_WORDS_H
#define RESCUEFS_TOOLS_WORDS_H

#include <getopt.h>

#include "tools/target.h"

struct rfs_verb_words {
	const char *name; /* "losses" */
	const char *help;
	/* With RFS_SETTINGS_OPTIONS and "help" as 'h'. */
	const struct option *options;
	const char *letters; /* for getopt; NULL: ":h" */
	size_t min_disks, max_disks;
	bool needs_state; /* a directory without one is an error */
	bool whole;	  /* an instance's name is all of its disks */
	bool asks_mount;  /* where no disk is named, a mount tells all of it,
			     and nothing is scanned */
	/* So many words at the end are no disks, where more than that are
	 * said; else *ret_tail stays NULL. */
	size_t tail;
	char ***ret_tail;
	/* What most verbs have, "all" as 'a', "json" as 'j' and "quiet" as 'q':
	 * set if it is said.  NULL: a letter of the verb's own, or none. */
	bool *ret_all, *ret_json, *ret_quiet;
	bool all; /* it is about all disks, whatever is said */
	/* Any other option, by its letter in the table; NULL: there is none. */
	int (*take)(void *data, int letter, const char *value,
		    struct rfs_error *err);
	/* What it does, with a target that is open; an exit status. */
	int (*run)(void *data, struct rfs_target *target);
	void *data;
};

/* Reads the words, opens what they name, runs the verb: an exit status. */
int rfs_verb_with_words(const struct rfs_verb_words *verb, int argc,
			char **argv);

#endif /* RESCUEFS_TOOLS_WORDS_H */
