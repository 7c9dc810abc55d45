/* SPDX-License-Identifier: GPL-3.0-or-later */
/* advice.h - which form of a disk to keep, and why: the figures, the rule that
 * is applied to them, and how both are printed.
 *
 * The rule prefers the merged disk, and gives it up for a backup only where its
 * own tables are a mix of ages or lost and the figures say that this costs more
 * files than going back does.  It never recommends what was not tried.
 */
#ifndef RESCUEFS_SITE_ADVICE_H
#define RESCUEFS_SITE_ADVICE_H

#include <stdio.h>

#include "site/inventory.h"

/* What e2fsck made of it, all filesystems of the disk together. */
struct rfs_advice_check {
	bool is_done;
	int first;	/* the worst exit status of e2fsck -fy */
	int final;	/* and of a second e2fsck -fn: 0 is clean */
	uint64_t fixed; /* questions that were answered with yes */
	uint64_t found; /* files and directories put into lost+found */
	/* Bytes it asked for that cannot be read. */
	uint64_t unreadable;
};

struct rfs_advice_candidate {
	bool is_merged;
	enum rfs_fill fill; /* of merged: where older blocks stand in */
	const struct rfs_copy *copy; /* of one that is not merged */
	char why[RFS_ERROR_MAX];     /* why it cannot be had, or "" */
	/* Bytes that matter, and those of them that are tables. */
	uint64_t lost, stale, wrong;
	uint64_t lost_tables, stale_tables;
	/* Those of them that are in what is no ext filesystem. */
	uint64_t other;
	uint64_t files_hit;
	uint64_t unread; /* bytes in use that nobody asked for yet */
	bool is_journal_hit;
	struct rfs_advice_check check;
	/* Of a copy: files that the merged disk has newer, or alone. */
	bool is_compared;
	uint64_t given_up;
};

/* Zero it to begin; it owns 'items'. */
struct rfs_advice {
	const struct rfs_disk *disk;
	const char *said; /* of the site, or NULL; goes into the commands */
	struct rfs_advice_candidate *items;
	size_t count, room;
	bool is_ext;	 /* there is a filesystem that e2fsck knows */
	uint64_t unread; /* bytes in use that nobody asked for yet */
	const struct rfs_advice_candidate *choice; /* NULL: none */
	char reason[RFS_ERROR_MAX];
};

/* Applies the rule: fills in choice and reason. */
void rfs_advice_judge(struct rfs_advice *a);

/* "merged", "merged, fill = data", "merged, fill = none", "backup". */
const char *rfs_advice_name(const struct rfs_advice_candidate *c);

/* 'mountpoint' is of a mount that shows the disk, or NULL.  -EIO if 'out'
 * failed. */
int rfs_advice_text(const struct rfs_advice *a, const char *mountpoint,
		    FILE *out, struct rfs_error *err);
/* {"disk", "ext", "unread", "candidates", "recommend", "reason", "commands"} */
int rfs_advice_json(const struct rfs_advice *a, const char *mountpoint,
		    FILE *out, struct rfs_error *err);
/* What follows from it, a line each; the caller frees it.  NULL: no memory. */
char *rfs_advice_commands(const struct rfs_advice *a, const char *mountpoint);

void rfs_advice_fini(struct rfs_advice *a);

#endif /* RESCUEFS_SITE_ADVICE_H */
