/* SPDX-License-Identifier: GPL-3.0-or-later */
/* strays.h - tables of a damaged image that nothing leads to, as JSON and in words.
 *
 * {"entries": lost, "lost": [{"first", "last"}], "tables": found, "listed":
 * [{"offset", "clusters", "first", "last"}]}: indexes of the L1 table, and of the
 * entries of an L2 table.
 */
#ifndef RESCUEFS_SITE_STRAYS_H
#define RESCUEFS_SITE_STRAYS_H

#include <jansson.h>
#include <stdio.h>

#include "core/report.h"

/* null where nothing is known. */
json_t *rfs_strays_json(const struct rfs_strays *strays);

/* What makes no sense is not known. */
void rfs_strays_read(const json_t *json, struct rfs_strays *ret);

/* Nothing where no entry is lost; 'indent' stands before each line. */
void rfs_strays_text(const struct rfs_strays *strays, const char *indent,
		     FILE *out);

#endif /* RESCUEFS_SITE_STRAYS_H */
