// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/advice.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/format.h"
#include "site/json_text.h"
#include "site/names.h"

const char *rfs_advice_name(const struct rfs_advice_candidate *c)
{
	static const char *const merged[] = {
		[RFS_FILL_ALL] = "merged",
		[RFS_FILL_DATA] = "merged, fill = data",
		[RFS_FILL_NONE] = "merged, fill = none",
	};

	if (c->is_merged)
		return merged[c->fill];
	return c->copy->source->origin.name;
}

/*
 * The rule.
 */

static bool is_sound(const struct rfs_advice *a,
		     const struct rfs_advice_candidate *c)
{
	if (c->why[0] || c->check.unreadable)
		return false;
	if (a->is_ext)
		return c->check.is_done && c->check.final == 0;
	return c->is_merged || !c->lost;
}

/* What it costs: files with lost or older contents, and nameless ones. */
static uint64_t harm(const struct rfs_advice_candidate *c)
{
	return c->files_hit + c->check.found;
}

/* What going back to it costs: files that are newer, and what it cannot give. */
static uint64_t price(const struct rfs_advice_candidate *copy)
{
	return copy->given_up + harm(copy);
}

static bool is_mixed(const struct rfs_advice_candidate *c)
{
	return c->lost_tables || c->stale_tables || c->is_journal_hit ||
	       c->wrong;
}

/* The freshest copy alone that is sound; they come in that order. */
static const struct rfs_advice_candidate *best_copy(const struct rfs_advice *a)
{
	for (size_t i = 0; i < a->count; i++)
		if (!a->items[i].is_merged && is_sound(a, &a->items[i]))
			return &a->items[i];
	return NULL;
}

static const struct rfs_advice_candidate *merged_of(const struct rfs_advice *a)
{
	for (size_t i = 0; i < a->count; i++)
		if (a->items[i].is_merged && a->items[i].fill == RFS_FILL_ALL)
			return &a->items[i];
	return NULL;
}

static void choose(struct rfs_advice *a, const struct rfs_advice_candidate *c,
		   const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void choose(struct rfs_advice *a, const struct rfs_advice_candidate *c,
		   const char *fmt, ...)
{
	va_list ap;

	a->choice = c;
	va_start(ap, fmt);
	vsnprintf(a->reason, sizeof(a->reason), fmt, ap);
	va_end(ap);
}

/* Nobody can look into it: a mix of two ages cannot be checked. */
static void judge_blocks(struct rfs_advice *a,
			 const struct rfs_advice_candidate *m)
{
	const struct rfs_advice_candidate *copy = best_copy(a);

	if (m && !m->why[0] && !m->lost && !m->stale)
		choose(a, m,
		       "nothing that was read of the merged disk is lost or "
		       "old");
	else if (copy)
		choose(a, copy,
		       "what is on the disk is no ext filesystem, so that "
		       "nobody can check a mix of two ages; %s is of one age",
		       rfs_advice_name(copy));
	else if (m && !m->why[0])
		choose(a, m,
		       "there is nothing else that is whole; what is lost or "
		       "old of it "
		       "cannot be told in files");
}

/* Its tables are a mix, and there is a copy that is none. */
static void judge_mix(struct rfs_advice *a,
		      const struct rfs_advice_candidate *m,
		      const struct rfs_advice_candidate *copy)
{
	if (!is_sound(a, m))
		choose(a, copy,
		       "e2fsck does not get the merged disk clean, and gets %s "
		       "clean",
		       rfs_advice_name(copy));
	else if (copy->is_compared && harm(m) > price(copy))
		choose(a, copy,
		       "the merged disk's own tables are hit, which costs "
		       "%" PRIu64 " files; going back to %s gives up %" PRIu64
		       " that are newer or that it lacks",
		       harm(m), rfs_advice_name(copy), price(copy));
	else if (!copy->is_compared)
		choose(a, m,
		       "its own tables are hit, but e2fsck gets it clean, and "
		       "what going back to %s would give up cannot be told",
		       rfs_advice_name(copy));
	else
		choose(a, m,
		       "the merged disk's own tables are hit, which costs "
		       "%" PRIu64 " files, but going back to %s would give up "
		       "%" PRIu64 " that are newer or that it lacks",
		       harm(m), rfs_advice_name(copy), price(copy));
}

static void judge_files(struct rfs_advice *a,
			const struct rfs_advice_candidate *m)
{
	const struct rfs_advice_candidate *copy = best_copy(a);

	if (!m || m->why[0]) {
		if (copy)
			choose(a, copy, "the merged disk cannot be had");
	} else if (copy && (is_mixed(m) || !is_sound(a, m))) {
		judge_mix(a, m, copy);
	} else if (!is_sound(a, m)) {
		choose(a, NULL,
		       "e2fsck does not get the merged disk clean, and there "
		       "is no copy of which it does: save what can be read of "
		       "it before anything is repaired");
	} else if (is_mixed(m)) {
		choose(a, m,
		       "its own tables are hit, but e2fsck gets it clean and "
		       "there is no other copy");
	} else if (!m->files_hit && m->other) {
		choose(a, m,
		       "its ext filesystems have no file and no table that is "
		       "lost or old, and e2fsck gets them clean");
	} else if (!m->files_hit) {
		choose(a, m,
		       "of what was read no file and no table is lost or old, "
		       "and e2fsck "
		       "gets it clean");
	} else {
		choose(a, m,
		       "its tables are whole and e2fsck gets it clean; %" PRIu64
		       " files have lost or older contents, which 'rescuefs "
		       "losses' names",
		       m->files_hit);
	}
}

/* What e2fsck and the list of files know nothing of is not passed over. */
static void add_other(struct rfs_advice *a)
{
	size_t len = strlen(a->reason);
	char bytes[RFS_FORMAT_ROOM];

	if (!a->is_ext || !a->choice || !a->choice->other)
		return;
	rfs_format_bytes(a->choice->other, bytes);
	snprintf(a->reason + len, sizeof(a->reason) - len,
		 "; %s more are lost or old where no ext filesystem is, and "
		 "nobody can check what is there",
		 bytes);
}

void rfs_advice_judge(struct rfs_advice *a)
{
	const struct rfs_advice_candidate *m = merged_of(a);

	a->choice = NULL;
	strcpy(a->reason, "no candidate could be looked at");
	if (a->is_ext)
		judge_files(a, m);
	else
		judge_blocks(a, m);
	add_other(a);
}

/*
 * What follows.
 */

/* DIR/REST as one word for a shell; the caller frees it. */
static char *shell_path(const char *dir, const char *rest)
{
	RFS_CLEANUP_FREE char *path = NULL;

	if (asprintf(&path, "%s/%s", dir, rest) < 0) {
		path = NULL;
		return NULL;
	}
	return rfs_text_shell(path);
}

static const char *said(const struct rfs_advice *a)
{
	return a->said ? a->said : "";
}

static int put_merged_commands(const struct rfs_advice *a, const char *name,
			       const char *image, FILE *out)
{
	if (a->choice->files_hit || a->choice->other || is_mixed(a->choice))
		fprintf(out, "rescuefs losses%s %s\n", said(a), name);
	if (a->is_ext)
		fprintf(out, "e2fsck -fy %s\n", image);
	fprintf(out, "cp --sparse=always %s COPY\n", image);
	return 0;
}

static int put_copy_commands(const struct rfs_advice *a, const char *name,
			     const char *mountpoint, const char *place,
			     FILE *out)
{
	const char *source = rfs_advice_name(a->choice);
	RFS_CLEANUP_FREE char *copy = rfs_text_shell(source);
	RFS_CLEANUP_FREE char *path = NULL, *image = NULL;

	if (asprintf(&path, "sources/%s/%s", source, place) < 0)
		path = NULL;
	image = path ? shell_path(mountpoint, path) : NULL;
	if (!copy || !image)
		return -ENOMEM;
	fprintf(out, "rescuefs compare%s %s merged %s\n", said(a), name, copy);
	fprintf(out, "cp --sparse=always %s COPY\n", image);
	if (a->is_ext)
		fputs("e2fsck -fy COPY\n", out);
	return 0;
}

char *rfs_advice_commands(const struct rfs_advice *a, const char *mountpoint)
{
	RFS_CLEANUP_FREE char *path = rfs_disk_path(a->disk);
	RFS_CLEANUP_FREE char *place = rfs_disk_place(a->disk);
	RFS_CLEANUP_FREE char *name = path ? rfs_text_shell(path) : NULL;
	RFS_CLEANUP_FREE char *image = NULL;
	char *text = NULL;
	size_t len;
	FILE *out;
	int r = 0;

	if (!mountpoint)
		mountpoint = "MOUNTPOINT";
	image = place ? shell_path(mountpoint, place) : NULL;
	out = name && image ? open_memstream(&text, &len) : NULL;
	if (!out)
		return NULL;
	if (a->unread)
		fprintf(out, "rescuefs fetch%s %s\nrescuefs advise%s %s\n",
			said(a), name, said(a), name);
	if (a->choice && a->choice->is_merged)
		r = put_merged_commands(a, name, image, out);
	else if (a->choice)
		r = put_copy_commands(a, name, mountpoint, place, out);
	if (fclose(out) == 0 && r == 0)
		return text;
	free(text);
	return NULL;
}

static void put_check(const struct rfs_advice_check *c, FILE *out)
{
	if (!c->is_done)
		return;
	fprintf(out,
		"    e2fsck -fy: %" PRIu64 " answers of yes, %" PRIu64
		" into lost+found, %s",
		c->fixed, c->found, c->final == 0 ? "clean then" : "not clean");
	if (c->final)
		fprintf(out, " (status %d)", c->final);
	fputc('\n', out);
}

static void put_bytes(const char *what, uint64_t all, uint64_t tables,
		      FILE *out)
{
	char text[RFS_FORMAT_ROOM], own[RFS_FORMAT_ROOM];

	if (!all)
		return;
	rfs_format_bytes(all, text);
	rfs_format_bytes(tables, own);
	fprintf(out, "    %s: %s", what, text);
	if (tables)
		fprintf(out, ", %s of it tables", own);
	fputc('\n', out);
}

static int put_candidate(const struct rfs_advice_candidate *c, FILE *out,
			 struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *why = rfs_text_escape(c->why);
	char age[RFS_TIME_TEXT];

	if (!why)
		return rfs_no_memory(err);
	fprintf(out, "  %s", rfs_advice_name(c));
	if (c->copy) {
		rfs_time_print_short(c->copy->as_of_ns, age);
		fprintf(out, ", of %s", age);
	}
	fprintf(out, "%s%s\n", *why ? ": " : "", why);
	put_bytes("lost", c->lost, c->lost_tables, out);
	put_bytes("old", c->stale, c->stale_tables, out);
	put_bytes("fails its checksum", c->wrong, 0, out);
	put_bytes("of these where no ext filesystem is", c->other, 0, out);
	if (c->files_hit)
		fprintf(out, "    files and directories hit: %" PRIu64 "\n",
			c->files_hit);
	if (c->is_journal_hit)
		fputs("    its journal is hit: see rescuefs losses\n", out);
	if (c->is_compared)
		fprintf(out, "    gives up files that are newer: %" PRIu64 "\n",
			c->given_up);
	if (c->copy)
		put_bytes("not read", c->unread, 0, out);
	put_bytes("cannot be read", c->check.unreadable, 0, out);
	put_check(&c->check, out);
	return 0;
}

int rfs_advice_text(const struct rfs_advice *a, const char *mountpoint,
		    FILE *out, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *commands = rfs_advice_commands(a, mountpoint);
	RFS_CLEANUP_FREE char *name = rfs_disk_path(a->disk);
	char unread[RFS_FORMAT_ROOM];
	int r = 0;

	if (!commands || !name)
		return rfs_no_memory(err);
	fprintf(out, "%s\n", name);
	for (size_t i = 0; i < a->count && r == 0; i++)
		r = put_candidate(&a->items[i], out, err);
	rfs_format_bytes(a->unread, unread);
	if (a->unread)
		fprintf(out,
			"For now: %s in use were not read yet, so that more "
			"may be lost.\n",
			unread);
	fprintf(out, "Recommended: %s, as %s.\n%s",
		a->choice ? rfs_advice_name(a->choice) : "none", a->reason,
		commands);
	if (r == 0 && (fflush(out) == EOF || ferror(out)))
		r = rfs_fail(err, EIO, "%s: its advice could not be written",
			     name);
	return r;
}

static json_t *candidate_json(const struct rfs_advice_candidate *c)
{
	const struct rfs_advice_check *k = &c->check;
	json_t *check = json_null();

	if (k->is_done)
		check = json_pack("{si si so so}", "first", k->first, "final",
				  k->final, "fixed", rfs_json_number(k->fixed),
				  "lost_found", rfs_json_number(k->found));
	return json_pack(
		"{so so so so so so so so so so so sb so so so}", "name",
		rfs_json_text(rfs_advice_name(c)), "as_of",
		c->copy ? rfs_json_time(c->copy->as_of_ns) : json_null(),
		"problem", rfs_json_text(c->why[0] ? c->why : NULL), "lost",
		rfs_json_number(c->lost), "stale", rfs_json_number(c->stale),
		"checksum", rfs_json_number(c->wrong), "lost_tables",
		rfs_json_number(c->lost_tables), "stale_tables",
		rfs_json_number(c->stale_tables), "other",
		rfs_json_number(c->other), "files_hit",
		rfs_json_number(c->files_hit), "unread",
		rfs_json_number(c->unread), "journal_hit", c->is_journal_hit,
		"unreadable", rfs_json_number(k->unreadable), "given_up",
		c->is_compared ? rfs_json_number(c->given_up) : json_null(),
		"e2fsck", check);
}

int rfs_advice_json(const struct rfs_advice *a, const char *mountpoint,
		    FILE *out, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *commands = rfs_advice_commands(a, mountpoint);
	RFS_CLEANUP_FREE char *name = rfs_disk_path(a->disk);
	RFS_CLEANUP_FREE char *text = NULL;
	json_t *list = json_array(), *lines = json_array();
	char *rest = commands, *line;
	int r;

	for (size_t i = 0; i < a->count; i++)
		json_array_append_new(list, candidate_json(&a->items[i]));
	while (rest && (line = strsep(&rest, "\n")))
		if (*line)
			json_array_append_new(lines, rfs_json_text(line));
	r = rfs_json_dump(
		json_pack(
			"{so sb so so so so so}", "disk", rfs_json_text(name),
			"ext", a->is_ext, "unread", rfs_json_number(a->unread),
			"candidates", list, "recommend",
			rfs_json_text(a->choice ? rfs_advice_name(a->choice)
						: NULL),
			"reason", rfs_json_text(a->reason), "commands", lines),
		&text, err);
	if (r == 0 && (fputs(text, out) < 0 || fflush(out) == EOF))
		r = rfs_fail(err, EIO, "%s: its advice could not be written",
			     a->disk->id);
	return r;
}

void rfs_advice_fini(struct rfs_advice *a)
{
	free(a->items);
	*a = (struct rfs_advice){ 0 };
}
