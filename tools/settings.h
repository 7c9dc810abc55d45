/* SPDX-License-Identifier: GPL-3.0-or-later */
/* settings.h - what the command line says of a site.
 *
 * Kept in the order it was said, and applied when all of it is known: on top
 * of the site file, wherever in the line that stood.
 */
#ifndef RESCUEFS_TOOLS_SETTINGS_H
#define RESCUEFS_TOOLS_SETTINGS_H

#include <stddef.h>

#include "site/site.h"

struct rfs_setting;

/* Zero it to begin. */
struct rfs_settings {
	struct rfs_setting *items;
	size_t count;
	size_t room;
};

/* For getopt_long's table; add the option by its name there. */
#define RFS_SETTINGS_OPTION 256
#define RFS_SETTINGS_OPTIONS                                                   \
	{ "damaged", required_argument, NULL, RFS_SETTINGS_OPTION },           \
		{ "backup", required_argument, NULL, RFS_SETTINGS_OPTION },    \
		{ "live", required_argument, NULL, RFS_SETTINGS_OPTION },      \
		{ "state", required_argument, NULL, RFS_SETTINGS_OPTION },     \
		{ "fill", required_argument, NULL, RFS_SETTINGS_OPTION },      \
		{ "store", required_argument, NULL, RFS_SETTINGS_OPTION },     \
		{ "heal", required_argument, NULL, RFS_SETTINGS_OPTION },      \
		{ "deadline", required_argument, NULL, RFS_SETTINGS_OPTION },  \
		{ "no-heal", no_argument, NULL, RFS_SETTINGS_OPTION },         \
		{ "volumes", required_argument, NULL, RFS_SETTINGS_OPTION },   \
	{                                                                      \
		"lost", required_argument, NULL, RFS_SETTINGS_OPTION           \
	}

/* -ENOENT if there is no such setting; both texts are copied. */
int rfs_settings_add(struct rfs_settings *settings, const char *name,
		     const char *value, struct rfs_error *err);

/* True if it says a source, so that no site file is needed. */
bool rfs_settings_has_source(const struct rfs_settings *settings);

/* Makes the site: of 'file', if not NULL, and what was said.  The caller has
 * called rfs_site_init. */
int rfs_settings_apply(const struct rfs_settings *settings, const char *file,
		       struct rfs_site *site, struct rfs_error *err);

void rfs_settings_fini(struct rfs_settings *settings);

#endif /* RESCUEFS_TOOLS_SETTINGS_H */
