/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report.h - the truth about a disk: which block came from where.
 *
 * The names of the states are those of disk.json.
 */
#ifndef RESCUEFS_CORE_REPORT_H
#define RESCUEFS_CORE_REPORT_H

#include <stdio.h>

#include "core/error.h"
#include "core/range.h"
#include "core/reader.h"

enum rfs_block_state {
	RFS_UNREAD,   /* not asked for yet */
	RFS_FRESH,    /* from the freshest source, or proved equal to it */
	RFS_STALE,    /* from an older one */
	RFS_LOST,     /* no source can read it */
	RFS_ZERO,     /* "hole": known to be zero, without storage */
	RFS_LOCAL,    /* written by the user */
	RFS_UNPROVED, /* by a table entry of another copy, which may be wrong */
	RFS_BLOCK_STATES,
};

struct rfs_report_item {
	struct rfs_range range;
	enum rfs_block_state state;
	/* Of a local block: what stood there before, so that writing over a
	 * block does not make the report forget.  Else equal to 'state'. */
	enum rfs_block_state was;
	/* Who gave it; NULL for unread, lost, hole and local. */
	const struct rfs_origin *origin;
	/* Whose tables led there, where the giver's own are lost (rule 5); the
	 * giver itself: a table that nothing leads to, a guess; NULL: its own. */
	const struct rfs_origin *healed_by;
	/* Who delivered other bytes there, though they should be the same, and
	 * was not believed, or the giver itself, whose refcounts deny its
	 * tables; NULL: nobody. */
	const struct rfs_origin *suspect;
};

/* Clusters of a damaged image that are in use, and that no table which can be
 * read claims: written since the backup, or leaked.  Nothing tells where they
 * belong. */
struct rfs_orphans {
	bool is_known;
	uint64_t clusters, bytes;
	uint64_t first;	 /* where the first lies in the file; not kept */
	bool is_partial; /* tables are lost: some of these are healed, perhaps */
};

#define RFS_STRAYS_LISTED 16 /* more are counted only */

/* L2 tables of a damaged image that nothing leads to, and the entries of its L1
 * table that are lost: which belongs where cannot be told. */
struct rfs_strays {
	bool is_known;
	uint64_t lost, tables;
	/* Of the lost entries, those that follow each other. */
	struct {
		uint64_t first, last;
	} gaps[RFS_STRAYS_LISTED];
	size_t ngaps;
	/* Where a table lies in the file, how many clusters it has, and the first
	 * and the last of its entries that have one. */
	struct {
		uint64_t off, clusters, first, last;
	} items[RFS_STRAYS_LISTED];
	size_t nitems;
};

/* Zero it to begin; it owns 'items'. */
struct rfs_report {
	struct rfs_report_item *items;
	size_t count;
	size_t room;
	struct rfs_orphans orphans;
	struct rfs_strays strays;
};

/* Appends; joined to the last one where they touch and are alike. */
int rfs_report_add(struct rfs_report *report,
		   const struct rfs_report_item *item);
void rfs_report_fini(struct rfs_report *report);

/* The first item that ends behind 'off', in a report that is in order: its index,
 * or the count if there is none. */
size_t rfs_report_find(const struct rfs_report *report, uint64_t off);

/* Bytes in each state. */
void rfs_report_totals(const struct rfs_report *report,
		       uint64_t ret_totals[RFS_BLOCK_STATES]);

/* Bytes that are healed: found by another copy's tables, whatever their state. */
uint64_t rfs_report_healed(const struct rfs_report *report);

static inline bool rfs_report_is_guess(const struct rfs_report_item *item)
{
	return item->healed_by && item->healed_by == item->origin;
}

/* Those of them that are guessed. */
uint64_t rfs_report_guessed(const struct rfs_report *report);

/* Bytes of which something says that they should be others. */
uint64_t rfs_report_suspect(const struct rfs_report *report);

/* "fresh", "hole", ... */
const char *rfs_block_state_name(enum rfs_block_state state);

/* Its letter in a mapfile of the merged view: + / - ? and * for unproved. */
char rfs_block_state_letter(enum rfs_block_state state);

#endif /* RESCUEFS_CORE_REPORT_H */
