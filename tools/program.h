/* SPDX-License-Identifier: GPL-3.0-or-later */
/* program.h - another program, which is given bytes, and whose words are read. */
#ifndef RESCUEFS_TOOLS_PROGRAM_H
#define RESCUEFS_TOOLS_PROGRAM_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/error.h"

struct rfs_program {
	const char *name;
	pid_t pid;
	int in;	 /* the end to write to, or -1 */
	int out; /* the end to read from */
};

/* Found by $PATH, in this environment.  Without 'feeds' its standard input is
 * empty.  What it says on stderr goes to ours. */
int rfs_program_start(struct rfs_program *p, char *const *argv, bool feeds,
		      struct rfs_error *err);

/* The same, reading from 'from', which stays the caller's. */
int rfs_program_start_on(struct rfs_program *p, char *const *argv, int from,
			 struct rfs_error *err);

/* One whose words are counted: it speaks English, whatever the environment says,
 * and what it says on stderr is with the rest.  It reads nothing. */
int rfs_program_start_plain(struct rfs_program *p, char *const *argv,
			    struct rfs_error *err);

/* Closes what it reads, and reads what it says to its end: up to 1 MiB, of which
 * the caller frees the text.  -EIO: it did not end well, which is said; -EINTR: a
 * signal came, and it was stopped. */
int rfs_program_finish(struct rfs_program *p, char **ret_text,
		       struct rfs_error *err);

/* Ends it before it can take the end of its input for the end of the bytes. */
void rfs_program_stop(struct rfs_program *p);

/* Both in one, where it reads nothing. */
int rfs_program_run(char *const *argv, char **ret_text, struct rfs_error *err);

/* True if $PATH has it. */
bool rfs_program_exists(const char *name);

#endif /* RESCUEFS_TOOLS_PROGRAM_H */
