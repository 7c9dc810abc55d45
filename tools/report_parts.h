/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report_parts.h - between the files of the report's page. */
#ifndef RESCUEFS_TOOLS_REPORT_PARTS_H
#define RESCUEFS_TOOLS_REPORT_PARTS_H

#include <stdio.h>

#include "tools/report_facts.h"

/* What goes wrong is kept and told at the end: a page is one piece. */
struct rfs_page {
	FILE *out;
	int failed; /* the first error, or 0 */
	struct rfs_error *err;
};

/* Markup of our own. */
void rfs_page_raw(struct rfs_page *p, const char *markup);
/* A text, whoever made it; NULL is a dash. */
void rfs_page_text(struct rfs_page *p, const char *text);
/* "12.3 MB" */
void rfs_page_bytes(struct rfs_page *p, uint64_t bytes);
void rfs_page_number(struct rfs_page *p, uint64_t n);
void rfs_page_time(struct rfs_page *p, int64_t time_ns);

/* The section of one disk; 'n' tells it from others on the page. */
void rfs_page_disk(struct rfs_page *p, const struct rfs_disk_facts *f,
		   size_t n);

/* What to do about it, where that was looked into. */
void rfs_page_advice(struct rfs_page *p, const struct rfs_disk_facts *f);

/* What is to be said of it in a few words, and how bad it is: a class of the
 * style. */
const char *rfs_page_verdict(const struct rfs_disk_facts *f,
			     const char **ret_class);

extern const char rfs_page_style[];

#endif /* RESCUEFS_TOOLS_REPORT_PARTS_H */
