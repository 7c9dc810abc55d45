// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/site_naming.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "site/site_path.h"

static bool is_same_text(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

bool rfs_source_is_called(const struct rfs_source *source, const char *name)
{
	return is_same_text(source->origin.name, name) ||
	       is_same_text(source->section, name);
}

/* The first component of 'path' from its end that is 'name' or begins with
 * 'name' and a dot: "bm0002.the.re" for "bm0002".  The caller frees it. */
static char *longer_name(const char *path, const char *name)
{
	size_t len = strlen(name);
	const char *p = path + strlen(path);

	if (!len)
		return NULL;
	while (p > path) {
		const char *end = p;

		while (p > path && p[-1] != '/')
			p--;
		if ((size_t)(end - p) >= len && !strncmp(p, name, len) &&
		    (p + len == end || p[len] == '.'))
			return strndup(p, (size_t)(end - p));
		if (p > path)
			p--;
	}
	return NULL;
}

/* "nbd://bm0001.the.re:10809/x" is bm0001.the.re; a socket has no name. */
static char *name_of_server(const char *uri)
{
	const char *host = strstr(uri, "://") + 3;
	size_t len = strcspn(host, ":/?");
	char *name = strndup(host, len);

	if (name && rfs_name_check("source", name, NULL) < 0) {
		free(name);
		name = strdup("nbd");
	}
	return name;
}

/* A name for a source or a host out of a path's last component. */
static char *name_of_path(const struct rfs_source *source)
{
	const char *last = rfs_path_last(rfs_source_place(source));
	char *name;

	if (!source->root && !source->volumes && source->nbd)
		return name_of_server(source->nbd);
	if (rfs_name_check("source", last, NULL) == 0)
		return strdup(last);
	name = rfs_name_make(last);
	if (name && rfs_name_check("source", name, NULL) < 0) {
		free(name);
		name = strdup(rfs_source_kind_name(source->kind));
	}
	return name;
}

/* A damaged root at /mnt/bm0002 and a backup below /backup/bm0002.the.re are
 * one host, and the more complete name is the better one. */
static char *host_of_damaged(const struct rfs_site *site,
			     const struct rfs_source *source)
{
	const char *last = rfs_path_last(rfs_source_place(source));

	for (size_t i = 0; i < site->nsources; i++) {
		const struct rfs_source *s = site->sources[i];
		char *name = NULL;

		if (s->host_made && s->kind == RFS_BACKUP)
			name = longer_name(rfs_source_place(s), last);
		if (name && rfs_name_check("host", name, NULL) == 0)
			return name;
		free(name);
	}
	return name_of_path(source);
}

/* Whose copy a backup or a live directory is, by its path; else, for a
 * backup, the first damaged source's. */
static char *host_of_copy(const struct rfs_site *site,
			  const struct rfs_source *source)
{
	const struct rfs_source *first = NULL;

	for (size_t i = 0; i < site->nsources; i++) {
		const struct rfs_source *s = site->sources[i];
		char *name;

		if (s->kind != RFS_DAMAGED)
			continue;
		if (!first)
			first = s;
		name = longer_name(rfs_source_place(source),
				   rfs_path_last(rfs_source_place(s)));
		free(name);
		if (name)
			return strdup(s->host);
	}
	if (first && source->kind == RFS_BACKUP)
		return strdup(first->host);
	return name_of_path(source);
}

static int settle_host(const struct rfs_site *site, struct rfs_source *source)
{
	char *host;

	if (source->kind == RFS_DAMAGED)
		host = host_of_damaged(site, source);
	else
		host = host_of_copy(site, source);
	if (!host)
		return -ENOMEM;
	free(source->host);
	source->host = host;
	return 0;
}

static int settle_name(struct rfs_site *site)
{
	const struct rfs_source *named = site->sources[0];
	char *name;

	for (size_t i = site->nsources; i-- > 0;)
		if (site->sources[i]->kind == RFS_DAMAGED)
			named = site->sources[i];
	name = strdup(named->host);
	if (!name)
		return -ENOMEM;
	free(site->name);
	site->name = name;
	return 0;
}

/* Options come in any order, so what was made from the paths is made anew
 * whenever there is one more: damaged sources first, the others by them. */
int rfs_site_settle(struct rfs_site *site, struct rfs_error *err)
{
	int r = 0;

	for (int damaged = 1; damaged >= 0; damaged--)
		for (size_t i = 0; i < site->nsources && r == 0; i++) {
			struct rfs_source *s = site->sources[i];

			if (s->host_made && (s->kind == RFS_DAMAGED) == damaged)
				r = settle_host(site, s);
		}
	if (r == 0 && site->name_made)
		r = settle_name(site);
	return r < 0 ? rfs_no_memory(err) : 0;
}

/* "backup", then "backup-2". */
static char *unused_name(const struct rfs_site *site, char *name)
{
	char *try = name;

	for (unsigned n = 2; try && rfs_site_find_source(site, try); n++) {
		if (try != name)
			free(try);
		if (asprintf(&try, "%s-%u", name, n) < 0)
			try = NULL;
	}
	if (try != name)
		free(name);
	return try;
}

/* What both would be called: a source's name, or its pattern's.  The sources of
 * one pattern share that. */
static const char *shared_name(const struct rfs_source *a,
			       const struct rfs_source *source,
			       const char *name)
{
	if (is_same_text(a->origin.name, name))
		return name;
	if (is_same_text(a->section, source->section))
		return NULL;
	if (is_same_text(a->section, name))
		return name;
	return is_same_text(a->origin.name, source->section) ? source->section
							     : NULL;
}

static int check_name(const struct rfs_site *site,
		      const struct rfs_source *source, const char *name,
		      struct rfs_error *err)
{
	const struct rfs_source *other;
	const char *shared = NULL;
	char line[32] = "";
	size_t i = 0;

	for (; i < site->nsources && !shared; i++)
		shared = shared_name(site->sources[i], source, name);
	if (!shared)
		return 0;
	other = site->sources[i - 1];
	if (other->line)
		snprintf(line, sizeof(line), " (line %u)", other->line);
	return rfs_fail(err, EINVAL,
			"two sources are called %s: %s, and %s%s; give one "
			"another name",
			shared, rfs_source_place(source),
			rfs_source_place(other), line);
}

int rfs_site_name_source(const struct rfs_site *site, struct rfs_source *source,
			 const char *name, struct rfs_error *err)
{
	int r = name ? check_name(site, source, name, err) : 0;
	char *made;

	if (r < 0)
		return r;
	if (name)
		made = strdup(name);
	else if (source->kind == RFS_BACKUP)
		made = unused_name(site, strdup("backup"));
	else
		made = unused_name(site, name_of_path(source));
	source->origin.name = made;
	return made ? 0 : rfs_no_memory(err);
}
