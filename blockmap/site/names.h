/* SPDX-License-Identifier: GPL-3.0-or-later */
/* names.h - names that come from a source, made fit for a tree and a page. */
#ifndef RESCUEFS_SITE_NAMES_H
#define RESCUEFS_SITE_NAMES_H

#include <stdbool.h>
#include <stdio.h>

#define RFS_UUID_TEXT 37

/* The longest name that rfs_name_escape makes: NAME_MAX with room for a uuid
 * behind it. */
#define RFS_NAME_ESCAPED_MAX 200

/* A uuid with or without dashes, in any case, becomes the usual form; false if
 * it is none. */
bool rfs_uuid_normal(const char *text, char ret[RFS_UUID_TEXT]);

/* "instance-000001de". */
bool rfs_is_essex_name(const char *name);

/* A file name for 'name': slashes, backslashes, control characters, bytes that
 * are no UTF-8, characters that turn the writing direction and a dot or blank
 * at the start become \xHH.  The caller frees it; NULL: no memory. */
char *rfs_name_escape(const char *name);

/* The same text as valid UTF-8 on one line, for JSON and terminals: only what
 * is no UTF-8 and control characters become \xHH. */
char *rfs_text_escape(const char *text);

/* The same, and nothing that makes one path look like another: for what stands
 * in a guest's filesystem. */
char *rfs_path_escape(const char *path);

/* Prints 'before' and what rfs_text_escape makes of 'text'; nothing where that is
 * NULL. */
void rfs_text_put(FILE *out, const char *before, const char *text);

/* 'text' as one word for a shell, for commands that are printed: as it is where
 * that is one, else in quotes, and what would steer a terminal by its number.  A
 * tenant chose the name of the instance. */
char *rfs_text_shell(const char *text);
/* Writes one word of shell that means 'text', always in quotes, and all that is no
 * printable ASCII by its number: for a script. */
void rfs_text_quote(const char *text, FILE *out);

#endif /* RESCUEFS_SITE_NAMES_H */
