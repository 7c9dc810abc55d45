// SPDX-License-Identifier: GPL-3.0-or-later
#include "tools/words.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tools/verbs.h"

/* True if the option is one of those that most verbs have. */
static bool take_common(const struct rfs_verb_words *verb, int letter)
{
	bool *flag = letter == 'a'   ? verb->ret_all
		     : letter == 'j' ? verb->ret_json
		     : letter == 'q' ? verb->ret_quiet
				     : NULL;

	if (flag)
		*flag = true;
	return flag;
}

/* 0, or -EINVAL with a text, or -ECANCELED if only help was asked for. */
static int read_options(const struct rfs_verb_words *verb,
			struct rfs_settings *settings, int argc, char **argv,
			struct rfs_error *err)
{
	int c, at = 0, r = 0;

	while (r == 0 && (c = getopt_long(argc, argv,
					  verb->letters ? verb->letters : ":h",
					  verb->options, &at)) != -1) {
		if (c == RFS_SETTINGS_OPTION)
			r = rfs_settings_add(settings, verb->options[at].name,
					     optarg, err);
		else if (c == 'h')
			r = -ECANCELED;
		else if (c == ':')
			r = rfs_fail(err, EINVAL, "%s needs a value",
				     argv[optind - 1]);
		else if (c == '?')
			r = rfs_fail(err, EINVAL,
				     "%s is no option of this verb, or is said "
				     "in a way that it is not; rescuefs %s "
				     "--help lists them",
				     argv[optind - 1], verb->name);
		else if (!take_common(verb, c))
			r = verb->take(verb->data, c, optarg, err);
	}
	return r;
}

static int open_and_run(const struct rfs_verb_words *verb,
			const struct rfs_settings *settings, int argc,
			char **argv)
{
	struct rfs_target_words words = {
		.settings = settings,
		.words = argv + optind,
		.nwords = argc - optind,
		.verb = verb->name,
		.min_disks = verb->min_disks,
		.max_disks = verb->max_disks,
		.needs_state = verb->needs_state,
		.whole = verb->whole,
		.asks_mount = verb->asks_mount,
		.all = verb->all || (verb->ret_all && *verb->ret_all),
		.quiet = verb->ret_quiet && *verb->ret_quiet,
	};
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_target target;
	int status;

	if (verb->tail && words.nwords > (int)verb->tail) {
		words.nwords -= (int)verb->tail;
		*verb->ret_tail = words.words + words.nwords;
	}
	status = rfs_target_open(&target, &words, &err);

	status = status == RFS_EXIT_FINE ? verb->run(verb->data, &target)
					 : rfs_complain(&err, status);
	rfs_target_close(&target);
	return status;
}

int rfs_verb_with_words(const struct rfs_verb_words *verb, int argc,
			char **argv)
{
	struct rfs_settings settings = { 0 };
	struct rfs_error err = RFS_ERROR_INIT;
	int status, r;

	umask(077);
	r = read_options(verb, &settings, argc, argv, &err);
	if (r == 0)
		status = open_and_run(verb, &settings, argc, argv);
	else if (r == -ECANCELED)
		status = fputs(verb->help, stdout) < 0 ? RFS_EXIT_USE
						       : RFS_EXIT_FINE;
	else
		status = rfs_complain(&err, RFS_EXIT_USE);
	rfs_settings_fini(&settings);
	return status;
}
