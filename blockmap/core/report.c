// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/report.h"

#include <stdlib.h>
#include <string.h>

#include "core/vec.h"

static bool is_alike(const struct rfs_report_item *a,
		     const struct rfs_report_item *b)
{
	return a->state == b->state && a->was == b->was &&
	       a->origin == b->origin && a->healed_by == b->healed_by &&
	       a->suspect == b->suspect;
}

int rfs_report_add(struct rfs_report *report,
		   const struct rfs_report_item *item)
{
	struct rfs_report_item *last;
	int r;

	if (!item->range.len)
		return 0;
	if (report->count) {
		last = &report->items[report->count - 1];
		if (rfs_range_end(last->range) == item->range.off &&
		    is_alike(last, item)) {
			last->range.len += item->range.len;
			return 0;
		}
	}
	r = RFS_VEC_ROOM(report);
	if (r < 0)
		return r;
	report->items[report->count++] = *item;
	return 0;
}

void rfs_report_fini(struct rfs_report *report)
{
	free(report->items);
	*report = (struct rfs_report){ 0 };
}

size_t rfs_report_find(const struct rfs_report *report, uint64_t off)
{
	size_t lo = 0, hi = report->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (rfs_range_end(report->items[mid].range) > off)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

void rfs_report_totals(const struct rfs_report *report,
		       uint64_t ret_totals[RFS_BLOCK_STATES])
{
	memset(ret_totals, 0, RFS_BLOCK_STATES * sizeof(ret_totals[0]));
	for (size_t i = 0; i < report->count; i++)
		ret_totals[report->items[i].state] +=
			report->items[i].range.len;
}

uint64_t rfs_report_healed(const struct rfs_report *report)
{
	uint64_t n = 0;

	for (size_t i = 0; i < report->count; i++)
		if (report->items[i].healed_by)
			n += report->items[i].range.len;
	return n;
}

uint64_t rfs_report_guessed(const struct rfs_report *report)
{
	uint64_t n = 0;

	for (size_t i = 0; i < report->count; i++)
		if (rfs_report_is_guess(&report->items[i]))
			n += report->items[i].range.len;
	return n;
}

uint64_t rfs_report_suspect(const struct rfs_report *report)
{
	uint64_t n = 0;

	for (size_t i = 0; i < report->count; i++)
		if (report->items[i].suspect)
			n += report->items[i].range.len;
	return n;
}

const char *rfs_block_state_name(enum rfs_block_state state)
{
	static const char *const names[RFS_BLOCK_STATES] = {
		[RFS_UNREAD] = "unread",     [RFS_FRESH] = "fresh",
		[RFS_STALE] = "stale",	     [RFS_LOST] = "lost",
		[RFS_ZERO] = "hole",	     [RFS_LOCAL] = "local",
		[RFS_UNPROVED] = "unproved",
	};

	return names[state];
}

char rfs_block_state_letter(enum rfs_block_state state)
{
	switch (state) {
	case RFS_UNREAD:
		return '?';
	case RFS_STALE:
		return '/';
	case RFS_LOST:
		return '-';
	case RFS_UNPROVED:
		return '*';
	default:
		return '+';
	}
}
