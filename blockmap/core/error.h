/* SPDX-License-Identifier: GPL-3.0-or-later */
/* error.h - what went wrong, where, and what would help.
 *
 * Functions return 0 or a negative errno; the text goes into the struct that
 * is always the last parameter.  The one who sees the failure writes the text,
 * with the source and the range in it; each layer above adds at most one
 * phrase in front.  Nothing below tools/ and fs/session.c prints.
 *
 * A struct rfs_error belongs to one thread.  NULL is accepted where the
 * caller does not want the text.
 */
#ifndef RESCUEFS_CORE_ERROR_H
#define RESCUEFS_CORE_ERROR_H

#include <errno.h>
#include <stdbool.h>

#define RFS_ERROR_MAX 768

struct rfs_error {
	char text[RFS_ERROR_MAX]; /* one sentence, no newline, cut to fit */
};

#define RFS_ERROR_INIT                                                         \
	{                                                                      \
		{                                                              \
			0                                                      \
		}                                                              \
	}

/* Writes the text and returns -errnum, so that a failure is one line. */
int rfs_fail(struct rfs_error *err, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "phrase: " before the text and returns 'r' unchanged. */
int rfs_context(struct rfs_error *err, int r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same for memory, which has nothing more to say. */
int rfs_no_memory(struct rfs_error *err);

/* True for our own want of something: no word about the source.  Going on without
 * it would be a choice for ever, made by a moment without memory, descriptors
 * or room in the state. */
static inline bool rfs_is_own_want(int r)
{
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE || r == -EINTR ||
	       r == -ENOSPC;
}

#endif /* RESCUEFS_CORE_ERROR_H */
