/* SPDX-License-Identifier: GPL-3.0-or-later */
/* given_json.h - base images given by hand, for scan and for status. */
#ifndef RESCUEFS_SITE_GIVEN_JSON_H
#define RESCUEFS_SITE_GIVEN_JSON_H

#include <stdio.h>

#include "site/given.h"
#include "site/json_text.h"

/* How it stands in what scan and status say. */
#define RFS_GIVEN_KEY "base_images_by_hand"

/* An array of what is known of each [base], without reading one; the caller's:
 * [{"name", "file", "format", "size", "last_changed", "error", "checksum",
 *   "checksums": [{"kind", "said", "computed"}],
 *   "disks": [{"disk", "by"}]}]
 * "checksum" is "agrees", "differs", "not computed" or "not said"; "by" is
 * "header" where an image was seen to name it, or "image id". */
json_t *rfs_given_json(struct rfs_given *g);

/* Some lines for each of such an array, with sizes as 'size' prints them into
 * RFS_FORMAT_ROOM bytes. */
void rfs_given_print(const json_t *all, void (*size)(uint64_t, char *),
		     FILE *out);

/* True if such an array has one that cannot be used. */
bool rfs_given_has_failed(const json_t *all);

#endif /* RESCUEFS_SITE_GIVEN_JSON_H */
