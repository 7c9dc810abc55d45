// SPDX-License-Identifier: GPL-3.0-or-later
/* site_file.c - reading a site file.
 *
 * inih splits the lines, but it forgets what this needs: it cuts a section's
 * name at 50 bytes (a uuid and "/disk.local" are 52), passes over a section
 * without keys, and does not tell the line.  So the lines pass through a
 * reader of our own on their way to it, which counts them and sees each
 * section begin.
 */
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "site/site_parse.h"
#include "site/site_path.h"

/* Room for a path as long as the kernel takes, and its key. */
#define LINE_MAX_LEN 4352

int rfs_parse_fail_at(struct site_parse *p, unsigned line, int r)
{
	p->r = rfs_context(p->err, r, "%s:%u", p->path, line);
	return p->r;
}

int rfs_parse_no_memory(struct site_parse *p)
{
	p->r = rfs_no_memory(p->err);
	return p->r;
}

int rfs_parse_keep(struct site_parse *p, char **field, const char *value)
{
	free(*field);
	*field = strdup(value);
	return *field ? 0 : rfs_parse_no_memory(p);
}

/* inih's handler: its section may be cut short, ours is not. */
static int handle(void *data, const char *section, const char *key,
		  const char *value)
{
	struct site_parse *p = data;

	(void)section;
	if (p->r < 0)
		return 0;
	if (p->section == NO_SECTION)
		FAIL(p, p->line, "'%s' stands before any section", key);
	else if (!*value)
		FAIL(p, p->line, "'%s' has no value", key);
	if (p->r < 0 || rfs_parse_see_key(p, key) < 0)
		return 0;
	return rfs_parse_key(p, key, value) == 0;
}

/* "[disk x]" with blanks and a comment behind it. */
static int see_section(struct site_parse *p, char *line)
{
	char *end = strchr(line, ']'), *text = line + 1;

	if (rfs_parse_finish_section(p) < 0)
		return p->r;
	if (!end)
		return FAIL(p, p->line, "a section's name ends with ']'");
	*end = '\0';
	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	while (isspace((unsigned char)*text))
		text++;
	return rfs_parse_begin_section(p, text);
}

/* inih's reader.  Blanks in front are taken off, which would make a line the
 * continuation of the one before: there is no such thing here. */
static char *next_line(char *buf, int room, void *data)
{
	struct site_parse *p = data;
	size_t blanks, len;

	if (p->r < 0 || !fgets(buf, room, p->file))
		return NULL;
	p->line++;
	len = strlen(buf);
	if (len + 1 >= (size_t)room && buf[len - 1] != '\n') {
		FAIL(p, p->line, "the line is too long");
		return NULL;
	}
	blanks = strspn(buf, " \t");
	/* A byte order mark is no text. */
	if (p->line == 1 && !strncmp(buf, "\xEF\xBB\xBF", 3))
		blanks = 3;
	memmove(buf, buf + blanks, len - blanks + 1);
	if (*buf == '[') {
		char copy[LINE_MAX_LEN];

		snprintf(copy, sizeof(copy), "%s", buf);
		if (see_section(p, copy) < 0)
			return NULL;
		/* Whatever its length, inih sees a section that it can keep. */
		snprintf(buf, (size_t)room, "[s]\n");
	}
	return buf;
}

/* By its own name or that of its pattern. */
static const struct rfs_source *find_called(const struct rfs_site *site,
					    const char *name)
{
	for (size_t i = 0; i < site->nsources; i++)
		if (rfs_source_is_called(site->sources[i], name))
			return site->sources[i];
	return NULL;
}

/* A mapfile is of one copy, so a pattern's name is not enough. */
static int check_map_source(struct site_parse *p,
			    const struct rfs_disk_rule *rule)
{
	const char *name = rule->map_source;
	const struct rfs_source *one;

	if (!name || rfs_site_find_source(p->site, name))
		return 0;
	one = find_called(p->site, name);
	if (one)
		return FAIL(p, p->line,
			    "[disk %s]: mapfile: '%s' is a pattern of several "
			    "sources; name one, such as '%s'",
			    rule->disk, name, one->origin.name);
	return FAIL(p, p->line, "[disk %s]: mapfile: there is no source '%s'",
		    rule->disk, name);
}

static int check_sources(struct site_parse *p)
{
	for (size_t i = 0; i < p->site->nrules; i++)
		if (check_map_source(p, &p->site->rules[i]) < 0)
			return p->r;
	for (size_t i = 0; i < p->prefers.count; i++) {
		struct prefer_line at = p->prefers.items[i];
		char **name = p->site->rules[at.rule].prefer;

		for (; *name; name++)
			if (!find_called(p->site, *name))
				return FAIL(p, at.line,
					    "prefer: there is no source '%s'",
					    *name);
	}
	return 0;
}

static int parse_all(struct site_parse *p)
{
	int at;

	/* Debian's inih takes these at run time; its default of 200 bytes a
	 * line is too few for a path. */
	ini_max_line = LINE_MAX_LEN;
	ini_use_stack = true;
	at = ini_parse_stream(next_line, p, handle, p);
	if (p->r == 0 && at > 0)
		FAIL(p, (unsigned)at, "neither a [section] nor 'key = value'");
	if (p->r == 0 && at < 0)
		rfs_parse_no_memory(p);
	if (p->r == 0 && ferror(p->file))
		p->r = rfs_fail(p->err, EIO, "%s: cannot be read", p->path);
	if (rfs_parse_finish_section(p) == 0)
		check_sources(p);
	return p->r;
}

/* "/etc/rescuefs/bm0002.conf" is the site bm0002. */
static int name_site(struct site_parse *p)
{
	const char *last = rfs_path_last(p->path);
	size_t len = strlen(last);

	if (len > 5 && !strcmp(last + len - 5, ".conf"))
		len -= 5;
	free(p->site->name);
	p->site->name = strndup(last, len);
	p->site->name_made = false;
	return p->site->name ? 0 : rfs_parse_no_memory(p);
}

static int find_folder(struct site_parse *p)
{
	RFS_CLEANUP_FREE char *path = rfs_path_absolute(NULL, p->path);
	size_t len;

	if (!path)
		return rfs_parse_no_memory(p);
	len = (size_t)(rfs_path_last(path) - path);
	p->folder = strndup(path, len > 1 ? len - 1 : len);
	return p->folder ? 0 : rfs_parse_no_memory(p);
}

int rfs_site_load(struct rfs_site *site, const char *path,
		  struct rfs_error *err)
{
	RFS_CLEANUP_FILE FILE *file = fopen(path, "re");
	struct site_parse p = {
		.site = site,
		.path = path,
		.file = file,
		.kind = -1,
		.err = err,
	};

	if (!file)
		return rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	if (find_folder(&p) == 0 && name_site(&p) == 0)
		parse_all(&p);
	rfs_parse_drop_section(&p);
	free(p.prefers.items);
	free(p.folder);
	return p.r;
}
