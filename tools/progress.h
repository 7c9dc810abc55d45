/* SPDX-License-Identifier: GPL-3.0-or-later */
/* progress.h - how far a long piece of work is, on a terminal.
 *
 * One line on stderr that is written over; nothing where stderr is no terminal,
 * and nothing of work that takes less than a second.
 */
#ifndef RESCUEFS_TOOLS_PROGRESS_H
#define RESCUEFS_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rfs_progress {
	const char *what; /* "april-ci/disk" */
	uint64_t total;	  /* bytes; 0: not known */
	uint64_t done;
	uint64_t errors; /* of any kind; shown if there are any */
	bool is_shown;	 /* there is a terminal, and nobody wants it quiet */
	bool is_printed; /* there is a line that must go */
	int64_t begun_ns, printed_ns;
};

/* 'what' outlives it.  'quiet' shows nothing in any case. */
void rfs_progress_begin(struct rfs_progress *p, const char *what,
			uint64_t total, bool quiet);

/* 'done' bytes of the total; cheap enough to be called for every request.  One
 * thread at a time. */
void rfs_progress_set(struct rfs_progress *p, uint64_t done, uint64_t errors);

/* Shows 'text' instead, which the caller makes up. */
void rfs_progress_say(struct rfs_progress *p, const char *text);

/* Takes the line away, as also before anything else is printed. */
void rfs_progress_clear(struct rfs_progress *p);

/* The line's text, as of 'now_ns' of CLOCK_MONOTONIC; for tests. */
void rfs_progress_text(const struct rfs_progress *p, int64_t now_ns, char *text,
		       size_t room);

#endif /* RESCUEFS_TOOLS_PROGRESS_H */
