/* SPDX-License-Identifier: GPL-3.0-or-later */
/* json_text.h - JSON of things that are named by strangers. */
#ifndef RESCUEFS_SITE_JSON_TEXT_H
#define RESCUEFS_SITE_JSON_TEXT_H

#include <jansson.h>

#include "core/report.h"
#include "site/inventory.h"

/* null for NULL; what is no UTF-8 becomes \xHH. */
json_t *rfs_json_text(const char *text);

/* RFC 3339, "now", or null where it is unknown. */
json_t *rfs_json_time(int64_t time_ns);

/* A count that is 0 where nothing tells it: then null. */
json_t *rfs_json_count(uint64_t count);

json_t *rfs_json_number(uint64_t n);

/* As in disk.json; null where they were not counted. */
json_t *rfs_json_orphans(const struct rfs_orphans *orphans);

/* Writes 'before' and a value, whose reference is taken; where 'out' fails is
 * for the caller to see in the end.  NULL is -ENOMEM. */
int rfs_json_put(FILE *out, const char *before, json_t *value,
		 struct rfs_error *err);

/* What instance.json and scan --json say of one instance. */
json_t *rfs_json_instance(const struct rfs_instance *instance);

/* Appends each volume of a host to the array 'list'. */
void rfs_json_volumes(const struct rfs_instance *volumes, json_t *list);

/* The text of 'root', whose reference is taken; the caller frees it. */
int rfs_json_dump(json_t *root, char **ret_text, struct rfs_error *err);

/* The first copy before number 'i' with the same bytes (rule 3), or NULL. */
const struct rfs_copy *rfs_copy_twin(const struct rfs_disk *disk, size_t i);

#endif /* RESCUEFS_SITE_JSON_TEXT_H */
