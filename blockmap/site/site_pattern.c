// SPDX-License-Identifier: GPL-3.0-or-later
/* site_pattern.c - backups of several ages, named by one pattern.
 *
 * Each directory that it matches is a source of its own.  What the state keeps
 * is kept by a source's name, so a name must not depend on how many others
 * there are: it is made of the parts of the path that the pattern leaves open.
 */
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "site/site.h"
#include "site/site_path.h"

/* A backup a day for years. */
#define MATCHES_MAX 2000

static bool is_open(const char *text, size_t len)
{
	size_t n = strcspn(text, "*?[");

	return n < len;
}

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool rfs_site_is_pattern(const struct rfs_source_spec *spec)
{
	return spec->kind == RFS_BACKUP && spec->root && !spec->of_pattern &&
	       strpbrk(spec->root, "*?[") && !is_directory(spec->root);
}

/* Adds "-" and the text, or the text alone to nothing; NULL: no memory.  Frees
 * 'name'. */
static char *join(char *name, const char *text, size_t len)
{
	char *longer;

	if (asprintf(&longer, "%s%s%.*s", name, *name ? "-" : "", (int)len,
		     text) < 0)
		longer = NULL;
	free(name);
	return longer;
}

/* A pattern and what it matches have the same number of parts. */
static char *name_match(const char *pattern, const char *path,
			const char *given)
{
	const char *fixed = "backup";
	size_t fixed_len = strlen(fixed), n, m;
	RFS_CLEANUP_FREE char *whole = NULL;
	char *label = strdup("");

	while (label && *pattern && *path) {
		pattern += strspn(pattern, "/");
		path += strspn(path, "/");
		n = strcspn(pattern, "/");
		m = strcspn(path, "/");
		if (is_open(pattern, n)) {
			label = join(label, path, m);
		} else if (n) {
			fixed = pattern;
			fixed_len = n;
		}
		pattern += n;
		path += m;
	}
	if (given)
		whole = strdup(given);
	else
		whole = strndup(fixed, fixed_len);
	if (whole && label)
		whole = join(RFS_STEAL(whole), label, strlen(label));
	else
		free(RFS_STEAL(whole));
	free(label);
	return whole ? rfs_name_make(whole) : NULL;
}

static int add_match(struct rfs_site *site, const struct rfs_source_spec *spec,
		     const char *pattern, const char *path,
		     struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *name = name_match(pattern, path, spec->name);
	struct rfs_source_spec one = *spec;

	if (!name)
		return rfs_no_memory(err);
	one.root = path;
	one.name = name;
	one.section = spec->name;
	one.of_pattern = true;
	return rfs_site_add_source(site, &one, err);
}

static int add_matches(struct rfs_site *site,
		       const struct rfs_source_spec *spec, const char *pattern,
		       const glob_t *found, struct rfs_error *err)
{
	struct rfs_source_spec none = *spec;
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; i < found->gl_pathc && r == 0; i++)
		if (is_directory(found->gl_pathv[i])) {
			r = add_match(site, spec, pattern, found->gl_pathv[i],
				      err);
			count++;
		}
	if (count || r < 0)
		return r;
	none.of_pattern = true;
	return rfs_site_add_source(site, &none, err);
}

int rfs_site_add_pattern(struct rfs_site *site,
			 const struct rfs_source_spec *spec,
			 struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *root = NULL;
	glob_t found = { 0 };
	int r;

	if (spec->volumes || spec->nbd || spec->rbd)
		return rfs_fail(err, EINVAL,
				"%s: a pattern stands for several sources; "
				"give volumes and servers sources of their own",
				spec->root);
	root = rfs_path_absolute(NULL, spec->root);
	if (!root)
		return rfs_no_memory(err);
	r = glob(root, GLOB_ONLYDIR, NULL, &found);
	if (r == GLOB_NOSPACE)
		r = rfs_no_memory(err);
	else if (found.gl_pathc > MATCHES_MAX)
		r = rfs_fail(err, EINVAL, "%s: matches more than %d names",
			     root, MATCHES_MAX);
	else
		r = add_matches(site, spec, root, &found, err);
	globfree(&found);
	return r;
}
