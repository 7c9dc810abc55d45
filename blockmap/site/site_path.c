// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/site_path.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/freshness.h"

static char *joined(const char *base, const char *path)
{
	char *text;

	while (path[0] == '.' && path[1] == '/') {
		path += 2;
		path += strspn(path, "/");
	}
	if (!*path || !strcmp(path, "."))
		return strdup(base);
	if (asprintf(&text, "%s/%s", strcmp(base, "/") ? base : "", path) < 0)
		return NULL;
	return text;
}

char *rfs_path_absolute(const char *base, const char *path)
{
	RFS_CLEANUP_FREE char *cwd = NULL;
	char *text;
	size_t len;

	if (*path == '/') {
		text = strdup(path);
	} else {
		if (!base)
			base = cwd = getcwd(NULL, 0);
		text = joined(base ? base : "", path);
	}
	len = text ? strlen(text) : 0;
	while (len > 1 && text[len - 1] == '/')
		text[--len] = '\0';
	return text;
}

const char *rfs_path_last(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* How many digits stand at 'p'. */
static size_t digits(const char *p)
{
	return strspn(p, "0123456789");
}

/* "THHMM" or "THHMMSS" at 'p', written for rfs_time_parse. */
static void clock_at(const char *p, char text[16])
{
	size_t n = *p == 'T' ? digits(p + 1) : 0;

	if (n == 4)
		snprintf(text, 16, "T%.2s:%.2s", p + 1, p + 3);
	else if (n == 6)
		snprintf(text, 16, "T%.2s:%.2s:%.2s", p + 1, p + 3, p + 5);
	else
		*text = '\0';
}

static bool date_at(const char *p, int64_t *ret_ns)
{
	char clock[16], text[32];

	if (digits(p) == 8) {
		clock_at(p + 8, clock);
		snprintf(text, sizeof(text), "%.4s-%.2s-%.2s%s", p, p + 4,
			 p + 6, clock);
	} else if (digits(p) == 4 && p[4] == '-' && digits(p + 5) == 2 &&
		   p[7] == '-' && digits(p + 8) == 2) {
		clock_at(p + 10, clock);
		snprintf(text, sizeof(text), "%.10s%s", p, clock);
	} else {
		return false;
	}
	/* A serial number of eight digits is no date of a backup. */
	if (strncmp(text, "1980", 4) < 0 || strncmp(text, "2100", 4) >= 0)
		return false;
	return rfs_time_parse(text, ret_ns);
}

bool rfs_path_date(const char *path, int64_t *ret_ns)
{
	bool found = false;

	for (const char *p = path; *p; p++)
		if (isdigit((unsigned char)*p) &&
		    (p == path || !isdigit((unsigned char)p[-1])) &&
		    date_at(p, ret_ns))
			found = true;
	return found;
}

static bool is_name_char(char c)
{
	return (unsigned char)c > ' ' && c != 127 && !strchr("/,;[]\"\\", c);
}

char *rfs_name_make(const char *text)
{
	char *name = strdup(text);

	for (char *p = name; p && *p; p++)
		if (!is_name_char(*p))
			*p = '_';
	return name;
}

int rfs_name_check(const char *what, const char *name, struct rfs_error *err)
{
	if (!*name)
		return rfs_fail(err, EINVAL, "the name of a %s is empty", what);
	if (!strcmp(name, ".") || !strcmp(name, "..") || strlen(name) > 200)
		return rfs_fail(err, EINVAL, "%s: not a name for a %s", name,
				what);
	for (const char *p = name; *p; p++)
		if (!is_name_char(*p))
			return rfs_fail(err, EINVAL,
					"%s: the name of a %s has no blanks, "
					"slashes, commas, semicolons, quotes "
					"or brackets",
					name, what);
	return 0;
}
