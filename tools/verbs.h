/* SPDX-License-Identifier: GPL-3.0-or-later */
/* verbs.h - what main.c calls, one function a verb.
 *
 * A verb gets its own arguments: argv[0] is its name, and "optind" is 1.  It
 * returns an exit status and never exits itself.
 */
#ifndef RESCUEFS_TOOLS_VERBS_H
#define RESCUEFS_TOOLS_VERBS_H

#include "core/error.h"

enum rfs_exit {
	RFS_EXIT_FINE = 0,
	RFS_EXIT_LOSSES = 1, /* differences or losses found */
	RFS_EXIT_USE = 2,    /* wrong use or bad input */
	RFS_EXIT_SOURCE = 3, /* a source failed */
	RFS_EXIT_BUSY = 4,   /* the state is in use */
};

int rfs_verb_mount(int argc, char **argv);
int rfs_verb_scan(int argc, char **argv);
int rfs_verb_fetch(int argc, char **argv);
int rfs_verb_advise(int argc, char **argv);
int rfs_verb_compare(int argc, char **argv);
int rfs_verb_status(int argc, char **argv);
int rfs_verb_reset(int argc, char **argv);
int rfs_verb_refresh(int argc, char **argv);
int rfs_verb_losses(int argc, char **argv);
int rfs_verb_map(int argc, char **argv);
int rfs_verb_verify(int argc, char **argv);
int rfs_verb_report(int argc, char **argv);
int rfs_verb_export(int argc, char **argv);
int rfs_verb_plan(int argc, char **argv);

/* Prints the text as one sentence on stderr and returns 'status'. */
int rfs_complain(const struct rfs_error *err, int status);

/* The exit status for a site that rfs_site_open refused with 'r'. */
int rfs_site_exit(int r);

#endif /* RESCUEFS_TOOLS_VERBS_H */
