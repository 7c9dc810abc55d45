// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * As it is written, so it is read: one extent at a time, never a million of them
 * as a tree of JSON.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "core/cleanup.h"
#include "site/disk_json.h"
#include "site/json_text.h"
#include "site/strays.h"

struct reading {
	FILE *in;
	const char *name;
	const struct rfs_site *site;
	struct rfs_report *report;
	/* The source of the extent before, which the next one often has. */
	const struct rfs_origin *last;
};

static int not_such(const struct reading *rd, const char *what,
		    struct rfs_error *err)
{
	return rfs_fail(err, EINVAL,
			"%s: %s; is the mount of the same version?", rd->name,
			what);
}

static void take_orphans(const char *line, struct rfs_orphans *ret)
{
	char how[8];

	if (sscanf(line,
		   "  \"orphans\": {\"clusters\": %" SCNu64
		   ", \"bytes\": %" SCNu64 ", \"partial\": %5[a-z]}",
		   &ret->clusters, &ret->bytes, how) != 3)
		return;
	ret->is_known = true;
	ret->is_partial = strcmp(how, "true") == 0;
}

static void take_strays(const char *line, struct rfs_strays *ret)
{
	const size_t len = strlen(RFS_DISK_JSON_STRAYS);
	json_t *json;

	if (strncmp(line, RFS_DISK_JSON_STRAYS, len) != 0)
		return;
	/* A comma stands behind it. */
	json = json_loads(line + len, JSON_DISABLE_EOF_CHECK, NULL);
	rfs_strays_read(json, ret);
	json_decref(json);
}

/* The document's lines up to its extents. */
static int skip_head(struct reading *rd, struct rfs_error *err)
{
	static const char mark[] = "  \"extents\": [";
	RFS_CLEANUP_FREE char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, rd->in) >= 0) {
		take_orphans(line, &rd->report->orphans);
		take_strays(line, &rd->report->strays);
		if (strncmp(line, mark, sizeof(mark) - 1) == 0) {
			/* "]" on the same line: there is none. */
			if (line[sizeof(mark) - 1] == ']')
				return 1;
			return 0;
		}
	}
	return not_such(rd, "it has no list of extents", err);
}

static bool is_named(const struct rfs_source *source, const char *name)
{
	json_t *text = rfs_json_text(source->origin.name);
	const char *said = text ? json_string_value(text) : NULL;
	bool is = said && strcmp(said, name) == 0;

	json_decref(text);
	return is;
}

static int find_origin(struct reading *rd, const json_t *source,
		       const struct rfs_origin **ret, struct rfs_error *err)
{
	const char *name = json_string_value(source);

	*ret = NULL;
	if (!name)
		return 0;
	if (rd->last && strcmp(rd->last->name, name) == 0) {
		*ret = rd->last;
		return 0;
	}
	for (size_t i = 0; i < rd->site->nsources; i++)
		if (is_named(rd->site->sources[i], name)) {
			*ret = rd->last = &rd->site->sources[i]->origin;
			return 0;
		}
	return rfs_fail(err, EINVAL,
			"%s: it tells of a source %s that this site does not "
			"have; name the sources as the mount has them",
			rd->name, name);
}

/* RFS_BLOCK_STATES if it is none. */
static enum rfs_block_state state_named(const json_t *text)
{
	const char *name = json_string_value(text);
	enum rfs_block_state s = 0;

	while (s < RFS_BLOCK_STATES &&
	       (!name || strcmp(rfs_block_state_name(s), name) != 0))
		s++;
	return s;
}

static bool take_number(const json_t *object, const char *key, uint64_t *ret)
{
	const json_t *n = json_object_get(object, key);

	if (!json_is_integer(n) || json_integer_value(n) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(n);
	return true;
}

static int add_extent(struct reading *rd, const json_t *extent,
		      struct rfs_error *err)
{
	const json_t *was = json_object_get(extent, "was");
	struct rfs_report_item item = { 0 };
	size_t n = rd->report->count;
	uint64_t at = n ? rfs_range_end(rd->report->items[n - 1].range) : 0;
	int r;

	item.state = state_named(json_object_get(extent, "state"));
	/* Of what was written over, only stale and lost are told. */
	item.was = was			     ? state_named(was)
		   : item.state == RFS_LOCAL ? RFS_FRESH
					     : item.state;
	if (!take_number(extent, "offset", &item.range.off) ||
	    !take_number(extent, "length", &item.range.len) ||
	    item.state == RFS_BLOCK_STATES || item.was == RFS_BLOCK_STATES ||
	    item.range.off != at || !item.range.len ||
	    item.range.len > INT64_MAX - at)
		return not_such(rd, "an extent makes no sense", err);
	r = find_origin(rd, json_object_get(extent, "healed"), &item.healed_by,
			err);
	if (r == 0)
		r = find_origin(rd, json_object_get(extent, "suspect"),
				&item.suspect, err);
	if (r == 0)
		r = find_origin(rd, json_object_get(extent, "source"),
				&item.origin, err);
	if (r == 0 && rfs_report_add(rd->report, &item) < 0)
		r = rfs_no_memory(err);
	return r;
}

/* The next extent of the list. 1: that was the last. */
static int read_extent(struct reading *rd, struct rfs_error *err)
{
	json_t *extent = json_loadf(rd->in, JSON_DISABLE_EOF_CHECK, NULL);
	int r, c;

	if (!extent)
		return not_such(rd, "it breaks off", err);
	r = add_extent(rd, extent, err);
	json_decref(extent);
	if (r < 0)
		return r;
	do
		c = getc(rd->in);
	while (c == ' ' || c == '\n');
	if (c == ']')
		return 1;
	return c == ',' ? 0 : not_such(rd, "it breaks off", err);
}

int rfs_disk_json_read(FILE *in, const char *name, const struct rfs_site *site,
		       struct rfs_report *ret, struct rfs_error *err)
{
	struct rfs_report report = { 0 };
	struct reading rd = {
		.in = in, .name = name, .site = site, .report = &report
	};
	int r = skip_head(&rd, err);

	while (r == 0)
		r = read_extent(&rd, err);
	if (r < 0) {
		rfs_report_fini(&report);
		return r;
	}
	*ret = report;
	return 0;
}
