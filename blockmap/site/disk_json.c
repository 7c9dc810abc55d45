// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A badly hit disk has a million extents, so the document is written as it goes
 * and never held as a whole; only its strings go through jansson.
 */
#include "site/disk_json.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/mapfile.h"
#include "site/strays.h"

#define LISTED_MAX 256 /* ranges in a mapfile's comment */

/* JSON is UTF-8; of a name that is not, every odd byte is written as \xNN. */
static json_t *string_of_bytes(const char *text)
{
	RFS_CLEANUP_FREE char *plain = malloc(strlen(text) * 4 + 1);
	char *p = plain;

	if (!plain)
		return NULL;
	for (; *text; text++) {
		if ((unsigned char)*text < 0x80)
			*p++ = *text;
		else
			p += sprintf(p, "\\x%02x", (unsigned char)*text);
	}
	*p = '\0';
	return json_string(plain);
}

/* With its quotes, or "null"; the caller frees it.  NULL: no memory. */
static char *quote(const char *text)
{
	json_t *s;
	char *quoted;

	if (!text)
		return strdup("null");
	s = json_string(text);
	if (!s)
		s = string_of_bytes(text);
	if (!s)
		return NULL;
	quoted = json_dumps(s, JSON_ENCODE_ANY);
	json_decref(s);
	return quoted;
}

static int put_string(FILE *out, const char *text, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *quoted = quote(text);

	if (!quoted)
		return rfs_no_memory(err);
	fputs(quoted, out);
	return 0;
}

static const char *origin_name(const struct rfs_origin *origin)
{
	return origin ? origin->name : NULL;
}

/* A live source is as of the moment that it is asked. */
static int64_t time_as_of(int64_t time_ns)
{
	if (time_ns == RFS_TIME_NOW)
		return rfs_time_of(rfs_time_spec(time_ns));
	return time_ns;
}

static int put_source(FILE *out, const struct rfs_candidate *c,
		      struct rfs_error *err)
{
	char as_of[RFS_TIME_TEXT];
	int r;

	rfs_time_print(time_as_of(c->as_of_ns), as_of);
	fputs("{\"name\": ", out);
	r = put_string(out, origin_name(c->origin), err);
	fputs(", \"kind\": ", out);
	if (r == 0)
		r = put_string(out, c->kind, err);
	fputs(", \"as_of\": ", out);
	if (r == 0)
		r = put_string(out,
			       c->as_of_ns == RFS_TIME_UNKNOWN ? NULL : as_of,
			       err);
	if (c->error && r == 0) {
		fputs(", \"error\": ", out);
		r = put_string(out, c->error, err);
	}
	fputs("}", out);
	return r;
}

static int put_sources(FILE *out, struct rfs_view *view, struct rfs_error *err)
{
	const struct rfs_candidate *c;
	size_t n = rfs_view_candidates(view, &c);
	int r = 0;

	fputs("  \"sources\": [", out);
	for (size_t i = 0; i < n && r == 0; i++) {
		fputs(i ? ",\n    " : "\n    ", out);
		r = put_source(out, &c[i], err);
	}
	fputs(n ? "\n  ],\n" : "],\n", out);
	return r;
}

static void put_totals(FILE *out, const struct rfs_report *report)
{
	uint64_t totals[RFS_BLOCK_STATES], was[RFS_BLOCK_STATES] = { 0 };
	const struct rfs_report_item *item;

	rfs_report_totals(report, totals);
	for (size_t i = 0; i < report->count; i++) {
		item = &report->items[i];
		if (item->state == RFS_LOCAL)
			was[item->was] += item->range.len;
	}
	fputs("  \"totals\": {", out);
	for (int s = 0; s < RFS_BLOCK_STATES; s++)
		fprintf(out, "%s\"%s\": %" PRIu64, s ? ", " : "",
			rfs_block_state_name(s), totals[s]);
	fprintf(out,
		"},\n  \"overwritten\": {\"stale\": %" PRIu64
		", \"lost\": %" PRIu64 "},\n  \"healed\": %" PRIu64
		",\n  \"guessed\": %" PRIu64 ",\n  \"suspect\": %" PRIu64 ",\n",
		was[RFS_STALE] + was[RFS_UNPROVED], was[RFS_LOST],
		rfs_report_healed(report), rfs_report_guessed(report),
		rfs_report_suspect(report));
}

/* Clusters that nobody claims, where they were counted. */
static void put_orphans(FILE *out, const struct rfs_orphans *orphans)
{
	if (orphans->is_known)
		fprintf(out,
			"  \"orphans\": {\"clusters\": %" PRIu64
			", \"bytes\": %" PRIu64 ", \"partial\": %s},\n",
			orphans->clusters, orphans->bytes,
			orphans->is_partial ? "true" : "false");
}

static int put_strays(FILE *out, const struct rfs_strays *strays,
		      struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	json_t *json;

	if (!strays->is_known)
		return 0;
	json = rfs_strays_json(strays);
	text = json ? json_dumps(json, JSON_PRESERVE_ORDER) : NULL;
	json_decref(json);
	if (!text)
		return rfs_no_memory(err);
	fprintf(out, RFS_DISK_JSON_STRAYS "%s,\n", text);
	return 0;
}

static int put_extent(FILE *out, const struct rfs_report_item *item,
		      const char *quoted_source, struct rfs_error *err)
{
	int r = 0;

	fprintf(out,
		"{\"offset\": %" PRIu64 ", \"length\": %" PRIu64
		", \"state\": \"%s\", \"source\": %s",
		item->range.off, item->range.len,
		rfs_block_state_name(item->state), quoted_source);
	if (item->state == RFS_LOCAL &&
	    (item->was == RFS_STALE || item->was == RFS_LOST ||
	     item->was == RFS_UNPROVED))
		fprintf(out, ", \"was\": \"%s\"",
			rfs_block_state_name(item->was));
	if (item->healed_by) {
		fputs(", \"healed\": ", out);
		r = put_string(out, origin_name(item->healed_by), err);
		if (rfs_report_is_guess(item))
			fputs(", \"guessed\": true", out);
	}
	if (item->suspect && r == 0) {
		fputs(", \"suspect\": ", out);
		r = put_string(out, origin_name(item->suspect), err);
	}
	fputs("}", out);
	return r;
}

static int put_extents(FILE *out, const struct rfs_report *report,
		       struct rfs_error *err)
{
	const struct rfs_origin *last = NULL;
	char *quoted = quote(NULL);

	fputs("  \"extents\": [", out);
	for (size_t i = 0; i < report->count && quoted; i++) {
		if (report->items[i].origin != last) {
			last = report->items[i].origin;
			free(quoted);
			quoted = quote(origin_name(last));
			if (!quoted)
				break;
		}
		fputs(i ? ",\n    " : "\n    ", out);
		if (put_extent(out, &report->items[i], quoted, err) < 0)
			break;
	}
	fputs(report->count ? "\n  ]\n}\n" : "]\n}\n", out);
	if (!quoted)
		return rfs_no_memory(err);
	free(quoted);
	return 0;
}

/* The report's own end: a truncation beside us may have moved the view's. */
static uint64_t report_size(const struct rfs_report *report)
{
	if (!report->count)
		return 0;
	return rfs_range_end(report->items[report->count - 1].range);
}

static int put_document(FILE *out, struct rfs_view *view, const char *name,
			const struct rfs_report *report, struct rfs_error *err)
{
	int r;

	fputs("{\n  \"disk\": ", out);
	r = put_string(out, name, err);
	if (r < 0)
		return r;
	fprintf(out, ",\n  \"size\": %" PRIu64 ",\n", report_size(report));
	r = put_sources(out, view, err);
	if (r < 0)
		return r;
	put_totals(out, report);
	put_orphans(out, &report->orphans);
	r = put_strays(out, &report->strays, err);
	if (r < 0)
		return r;
	r = put_extents(out, report, err);
	if (r < 0)
		return r;
	if (fflush(out) == EOF || ferror(out))
		return rfs_fail(err, EIO, "%s: its JSON could not be written",
				name);
	return 0;
}

int rfs_disk_json(struct rfs_view *view, const char *name, FILE *out,
		  struct rfs_error *err)
{
	struct rfs_report report = { 0 };
	int r;

	r = rfs_view_report(view, &report, err);
	if (r == 0)
		r = put_document(out, view, name, &report, err);
	rfs_report_fini(&report);
	return r;
}

/* A mapfile has no letter for it: healed blocks are finished, and listed. */
static void tell_healed(const struct rfs_report *report, FILE *out)
{
	size_t n = 0;

	if (!rfs_report_healed(report))
		return;
	fprintf(out, "Healed by another copy's tables, %" PRIu64 " bytes:\n",
		rfs_report_healed(report));
	for (size_t i = 0; i < report->count; i++) {
		const struct rfs_report_item *item = &report->items[i];

		if (!item->healed_by || ++n > LISTED_MAX)
			continue;
		fprintf(out, "  0x%08" PRIX64 "  0x%08" PRIX64 "  by %s%s\n",
			item->range.off, item->range.len, item->healed_by->name,
			rfs_report_is_guess(item)     ? ", guessed"
			: item->state == RFS_UNPROVED ? ", unproved"
						      : "");
	}
	if (n > LISTED_MAX)
		fprintf(out, "  and %zu more, in the JSON\n", n - LISTED_MAX);
}

/* Nor for this: whoever was believed is taken for right, and it is said. */
static void tell_suspect(const struct rfs_report *report, FILE *out)
{
	size_t n = 0;

	if (!rfs_report_suspect(report))
		return;
	fprintf(out,
		"Suspect, as what should say the same does not, %" PRIu64
		" bytes:\n",
		rfs_report_suspect(report));
	for (size_t i = 0; i < report->count; i++) {
		const struct rfs_report_item *item = &report->items[i];

		if (!item->suspect || ++n > LISTED_MAX)
			continue;
		fprintf(out,
			"  0x%08" PRIX64 "  0x%08" PRIX64
			"  from %s, and not as %s%s\n",
			item->range.off, item->range.len,
			item->origin ? item->origin->name : "?",
			item->suspect == item->origin ? "its refcounts have it"
						      : item->suspect->name,
			item->suspect == item->origin ? "" : " has it");
	}
	if (n > LISTED_MAX)
		fprintf(out, "  and %zu more, in the JSON\n", n - LISTED_MAX);
}

/* The caller frees it; NULL: no memory. */
static char *map_comment(struct rfs_view *view, const char *name,
			 const struct rfs_report *report)
{
	const struct rfs_candidate *c;
	size_t n = rfs_view_candidates(view, &c), len;
	char as_of[RFS_TIME_TEXT], *text = NULL;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	fprintf(f,
		"Disk %s, merged of its sources.\n"
		"+ fresh, hole or local   / stale   - lost   ? unread   "
		"* unproved\n"
		"Sources, freshest first:\n",
		name);
	for (size_t i = 0; i < n; i++) {
		rfs_time_print(c[i].as_of_ns, as_of);
		fprintf(f, "  %s (%s), as of %s%s%s\n",
			c[i].origin ? c[i].origin->name : "?", c[i].kind, as_of,
			c[i].error ? ": " : "", c[i].error ? c[i].error : "");
	}
	tell_healed(report, f);
	tell_suspect(report, f);
	if (fclose(f) == EOF) {
		free(text);
		return NULL;
	}
	return text;
}

static int fill_map(const struct rfs_report *report, struct rfs_mapfile *map,
		    struct rfs_error *err)
{
	for (size_t i = 0; i < report->count; i++)
		if (rfs_mapfile_add(
			    map, report->items[i].range,
			    rfs_block_state_letter(report->items[i].state)) < 0)
			return rfs_no_memory(err);
	return 0;
}

int rfs_disk_map(struct rfs_view *view, const char *name, FILE *out,
		 struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *comment = NULL;
	struct rfs_report report = { 0 };
	struct rfs_mapfile map = { 0 };
	int r;

	r = rfs_view_report(view, &report, err);
	if (r == 0) {
		comment = map_comment(view, name, &report);
		r = comment ? 0 : rfs_no_memory(err);
	}
	if (r == 0)
		r = fill_map(&report, &map, err);
	if (r == 0)
		r = rfs_mapfile_write(&map, comment, out, err);
	rfs_mapfile_fini(&map);
	rfs_report_fini(&report);
	return r;
}
