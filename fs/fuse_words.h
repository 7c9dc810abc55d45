/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fuse_words.h - what libfuse says while a mount is being prepared.
 *
 * It prints what went wrong and returns a bare -1; here its first words become
 * the error's text.  Implemented in session.c, which alone prints.
 */
#ifndef RESCUEFS_FS_FUSE_WORDS_H
#define RESCUEFS_FS_FUSE_WORDS_H

#include "core/error.h"

/* From now on what libfuse says in this thread goes to 'words', which live until
 * rfs_fuse_fail or a call with NULL. */
void rfs_fuse_listen(struct rfs_error *words);

/* Ends it: 'words' tell why nothing could be mounted. */
int rfs_fuse_fail(struct rfs_error *words, int errnum, const char *mountpoint,
		  struct rfs_error *err);

#endif /* RESCUEFS_FS_FUSE_WORDS_H */
