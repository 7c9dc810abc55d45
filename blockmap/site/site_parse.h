/* SPDX-License-Identifier: GPL-3.0-or-later */
/* site_parse.h - a site file that is being read: its lines (site_file.c), its
 * sections (site_section.c), its keys (site_keys.c); for these only.
 *
 * Each function is 0, or the failure that p->r then is.
 */
#ifndef RESCUEFS_SITE_SITE_PARSE_H
#define RESCUEFS_SITE_SITE_PARSE_H

#include <stdio.h>

#include "site/site.h"

enum section {
	NO_SECTION,
	SITE_SECTION,
	SOURCE_SECTION,
	DISK_SECTION,
	EXPORT_SECTION,
	BASE_SECTION,
};

struct prefer_line {
	size_t rule;
	unsigned line;
};

struct site_parse {
	struct rfs_site *site;
	const char *path;
	char *folder; /* of the site file, absolute */
	FILE *file;
	unsigned line;
	enum section section;
	unsigned section_line;
	bool site_seen;
	char *seen[16]; /* keys of this section */
	size_t nseen;
	/* The [source] being read; the strings are owned here. */
	int kind;
	char *name, *host, *root, *volumes, *nbd, *taken, *store, *deadline;
	char *rbd, *ceph_conf, *ceph_user, *ceph_keyring;
	/* Where each rule's 'prefer' stands. */
	struct {
		struct prefer_line *items;
		size_t count, room;
	} prefers;
	int r; /* the first failure; nothing is done after it */
	struct rfs_error *err;
};

/* With the file's name and the line in the text. */
#define FAIL(p, at, ...)                                                       \
	rfs_parse_fail_at(p, at, rfs_fail((p)->err, EINVAL, __VA_ARGS__))

int rfs_parse_fail_at(struct site_parse *p, unsigned line, int r);
int rfs_parse_no_memory(struct site_parse *p);

/* Gives *field, a string that is owned there, a copy of 'value'. */
int rfs_parse_keep(struct site_parse *p, char **field, const char *value);

/* A section begins, by what stands between its brackets, or has ended. */
int rfs_parse_begin_section(struct site_parse *p, const char *text);
int rfs_parse_finish_section(struct site_parse *p);
/* Frees what is kept of one, whatever became of it. */
void rfs_parse_drop_section(struct site_parse *p);

/* Whether the section has such a key, and it was not said before. */
int rfs_parse_see_key(struct site_parse *p, const char *key);

/* Takes what a key of the section says. */
int rfs_parse_key(struct site_parse *p, const char *key, const char *value);

#endif /* RESCUEFS_SITE_SITE_PARSE_H */
