// SPDX-License-Identifier: GPL-3.0-or-later
/* The losses of a disk that reading it may change. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "ext/losses.h"

/* Reading the tables may find more of them bad, once; more rounds than that
 * mean that others are reading the disk too. */
#define ROUNDS_MAX 4

/*
 * The disk as the search reads it.
 */

struct viewed {
	struct rfs_reader *disk;
	/* Quiet: what the report calls unread is not asked for. */
	const struct rfs_report *known;
	atomic_ullong refused; /* bytes */
};

/* A part of 'range', in one state. */
static int read_part(struct viewed *v, struct rfs_range part, bool is_known,
		     uint8_t *buf, struct rfs_ranges *bad,
		     struct rfs_error *err)
{
	if (is_known)
		return rfs_reader_read(v->disk, part, buf, bad, err);
	v->refused += part.len;
	if (rfs_ranges_add(bad, part) < 0)
		return rfs_no_memory(err);
	return -EIO;
}

static int read_known(struct viewed *v, struct rfs_range range, uint8_t *buf,
		      struct rfs_ranges *bad, struct rfs_error *err)
{
	uint64_t at = range.off, end = rfs_range_end(range);
	size_t i = rfs_report_find(v->known, at);
	int r, first = 0;

	while (at < end) {
		struct rfs_range part = rfs_range_to(at, end);
		bool is_known = i < v->known->count &&
				v->known->items[i].state != RFS_UNREAD;

		if (i < v->known->count)
			part = rfs_range_cut(part, v->known->items[i].range);
		r = read_part(v, part, is_known, buf + (at - range.off), bad,
			      err);
		if (r < 0 && r != -EIO && r != -ETIMEDOUT)
			return r;
		if (r < 0)
			first = r;
		at = rfs_range_end(part);
		i++;
	}
	return first;
}

static int viewed_read(void *state, struct rfs_range range, void *buf,
		       struct rfs_ranges *bad, struct rfs_error *err)
{
	struct viewed *v = state;

	if (v->known)
		return read_known(v, range, buf, bad, err);
	return rfs_reader_read(v->disk, range, buf, bad, err);
}

static void viewed_close(void *state)
{
	(void)state; /* on the stack of who made it */
}

static const struct rfs_reader_ops viewed_ops = {
	.kind = "view",
	.read = viewed_read,
	.close = viewed_close,
};

/*
 * Rounds.
 */

static bool is_loss(const struct rfs_report_item *item)
{
	return item->state == RFS_LOST || item->state == RFS_STALE ||
	       item->state == RFS_UNPROVED;
}

static bool is_same_item(const struct rfs_report_item *a,
			 const struct rfs_report_item *b)
{
	return a->range.off == b->range.off && a->range.len == b->range.len &&
	       a->state == b->state && a->origin == b->origin;
}

/* That both tell of the same losses. */
static bool is_same(const struct rfs_report *a, const struct rfs_report *b)
{
	size_t i = 0, k = 0;

	for (;;) {
		while (i < a->count && !is_loss(&a->items[i]))
			i++;
		while (k < b->count && !is_loss(&b->items[k]))
			k++;
		if (i == a->count || k == b->count)
			return i == a->count && k == b->count;
		if (!is_same_item(&a->items[i++], &b->items[k++]))
			return false;
	}
}

/* As far as both the report and the disk go: someone may be resizing it. */
static uint64_t size_of(struct rfs_reader *disk,
			const struct rfs_report *report)
{
	uint64_t size = rfs_reader_size(disk), told = 0;

	if (report->count)
		told = rfs_range_end(report->items[report->count - 1].range);
	return told < size ? told : size;
}

static int find_once(struct rfs_reader *disk, const struct rfs_report *report,
		     bool quiet, struct rfs_losses *ret, struct rfs_error *err)
{
	struct viewed v = { .disk = disk, .known = quiet ? report : NULL };
	struct rfs_reader *viewed;
	int r = rfs_reader_new(&viewed_ops, &v, size_of(disk, report),
			       rfs_reader_name(disk), NULL, &viewed, err);

	if (r < 0)
		return r;
	r = rfs_losses_find(viewed, report, ret, err);
	if (r == 0)
		ret->unread_tables = v.refused;
	rfs_reader_unref(viewed);
	return r;
}

/* Of the last answer, what is unread now. */
static uint64_t count_unread(const struct rfs_report *report)
{
	uint64_t totals[RFS_BLOCK_STATES];

	rfs_report_totals(report, totals);
	return totals[RFS_UNREAD];
}

int rfs_losses_of(const struct rfs_losses_subject *s, bool quiet,
		  struct rfs_losses *ret, struct rfs_error *err)
{
	struct rfs_report now = { 0 }, then = { 0 };
	struct rfs_losses found = { 0 };
	bool done = false;
	int r = s->report(s->data, &now, err);

	for (int round = 0; round < ROUNDS_MAX && r == 0 && !done; round++) {
		rfs_losses_fini(&found);
		r = find_once(s->disk, &now, quiet, &found, err);
		rfs_report_fini(&then);
		then = now;
		now = (struct rfs_report){ 0 };
		if (r == 0 && !quiet)
			r = s->report(s->data, &now, err);
		done = quiet || (r == 0 && is_same(&then, &now) &&
				 count_unread(&then) == count_unread(&now));
	}
	rfs_report_fini(&then);
	rfs_report_fini(&now);
	if (r == 0)
		*ret = found;
	else
		rfs_losses_fini(&found);
	return r;
}

static int report_of_view(void *data, struct rfs_report *out,
			  struct rfs_error *err)
{
	return rfs_view_report(data, out, err);
}

int rfs_losses_of_view(struct rfs_view *view, bool quiet,
		       struct rfs_losses *ret, struct rfs_error *err)
{
	struct rfs_losses_subject s = { .report = report_of_view,
					.data = view };
	int r = rfs_view_reader(view, "the merged disk", &s.disk, err);

	if (r < 0)
		return r;
	r = rfs_losses_of(&s, quiet, ret, err);
	rfs_reader_unref(s.disk);
	return r;
}
