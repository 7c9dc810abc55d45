/* SPDX-License-Identifier: GPL-3.0-or-later */
/* password.h - what an encrypted image is opened with.
 *
 * It comes from a file or from the terminal, and is nowhere printed or kept in
 * the state.
 */
#ifndef RESCUEFS_SITE_PASSWORD_H
#define RESCUEFS_SITE_PASSWORD_H

#include "site/site.h"

#define RFS_PASSWORD_MAX 1024u

/* What the rule's file holds, but for a newline at its end, or what was answered
 * to its question; NULL if the rule tells none, or is NULL itself.  The caller
 * frees it with rfs_password_free. */
int rfs_password_get(const struct rfs_disk_rule *rule, char **ret,
		     struct rfs_error *err);

/* Accepts NULL. */
void rfs_password_free(char *password);

#endif /* RESCUEFS_SITE_PASSWORD_H */
