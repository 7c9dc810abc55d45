// SPDX-License-Identifier: GPL-3.0-or-later
/* The section of one disk. */
#include <inttypes.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "site/disk_svg.h"
#include "site/losses_text.h"
#include "tools/report_parts.h"

/* A page has to be read; the rest is for rescuefs losses. */
#define ROWS_MAX 200

static bool is_cut_short(const struct rfs_losses *losses)
{
	for (size_t i = 0; i < losses->nvolumes; i++)
		if (losses->volumes[i].missing)
			return true;
	return losses->missing;
}

static bool has_alarm(const struct rfs_losses *losses)
{
	for (uint32_t i = 0; i < losses->nvolumes; i++)
		if (rfs_losses_journal(losses, i) == RFS_JOURNAL_HIT_DIRTY)
			return true;
	return false;
}

const char *rfs_page_verdict(const struct rfs_disk_facts *f,
			     const char **ret_class)
{
	const struct rfs_losses_sum *lost = &f->sums[RFS_LOSS_LOST];
	const struct rfs_losses_sum *stale = &f->sums[RFS_LOSS_STALE];

	*ret_class = "bad";
	if (f->error)
		return "cannot be opened";
	if (has_alarm(&f->losses))
		return "journal: see the alarm";
	if (lost->tables || stale->tables || f->sums[RFS_LOSS_WRONG].tables)
		return "tables are hit";
	if (lost->data || lost->unknown)
		return "files are hit";
	if (is_cut_short(&f->losses))
		return "cut short";
	*ret_class = "warn";
	if (rfs_losses_matter(&f->losses))
		return stale->data ? "files are old in places"
				   : "hit, for what cannot be told";
	*ret_class = "idle";
	if (f->losses.unread_used)
		return "not read yet";
	*ret_class = "good";
	return "whole";
}

/*
 * Its copies.
 */

static void put_copies(struct rfs_page *p, const struct rfs_disk *disk)
{
	rfs_page_raw(p, "<div class=\"scroll\"><table><thead><tr><th>Source"
			"</th><th>Kind</th><th>As of</th><th>Format</th>"
			"<th>File</th></tr></thead><tbody>\n");
	for (size_t i = 0; i < disk->ncopies; i++) {
		const struct rfs_copy *c = &disk->copies[i];

		rfs_page_raw(p, "<tr><td>");
		rfs_page_text(p, c->source->origin.name);
		rfs_page_raw(p, "</td><td>");
		rfs_page_text(p, rfs_source_kind_name(c->source->kind));
		rfs_page_raw(p, "</td><td class=\"nw\">");
		rfs_page_time(p, c->as_of_ns);
		rfs_page_raw(p, "</td><td>");
		rfs_page_text(p, c->format_name);
		rfs_page_raw(p, "</td><td class=\"path\">");
		rfs_page_text(p, c->path);
		rfs_page_raw(p, "</td></tr>\n");
	}
	rfs_page_raw(p, "</tbody></table></div>\n");
}

/*
 * What is lost of it.
 */

static void put_volumes(struct rfs_page *p, const struct rfs_losses *losses)
{
	RFS_CLEANUP_FREE char *size = rfs_losses_size_text(losses);
	char doubt[RFS_ERROR_MAX + 100];

	for (size_t i = 0; i < losses->nvolumes; i++) {
		const struct rfs_volume *v = &losses->volumes[i];
		RFS_CLEANUP_FREE char *what = rfs_volume_text(v);

		rfs_volume_doubt(losses, v, doubt, sizeof(doubt));
		rfs_page_raw(p, "<p>");
		rfs_page_text(p, what);
		rfs_page_raw(p, ", ");
		rfs_page_bytes(p, v->range.len);
		if (doubt[0]) {
			rfs_page_raw(p, ": ");
			rfs_page_text(p, doubt);
		}
		rfs_page_raw(p, "</p>\n");
	}
	if (size && *size) {
		rfs_page_raw(p, "<p>");
		rfs_page_text(p, size);
		rfs_page_raw(p, "</p>\n");
	}
}

static void put_alarms(struct rfs_page *p, const struct rfs_disk_facts *f)
{
	for (uint32_t i = 0; i < f->losses.nvolumes; i++) {
		RFS_CLEANUP_FREE char *text = NULL;

		if (rfs_losses_journal(&f->losses, i) == RFS_JOURNAL_GOOD)
			continue;
		text = rfs_losses_alarm_text(f->disk, &f->losses, i);
		rfs_page_raw(p, "<p class=\"alarm\"><strong>Alarm:</strong> ");
		rfs_page_text(p, text);
		rfs_page_raw(p, "</p>\n");
	}
}

static void put_loss(struct rfs_page *p, const struct rfs_disk *disk,
		     const struct rfs_loss *l)
{
	rfs_page_raw(p, "<tr><td>");
	rfs_page_raw(p, rfs_loss_state_name(l->state));
	rfs_page_raw(p, "</td><td>");
	rfs_page_raw(p, rfs_loss_kind_name(l->kind));
	rfs_page_raw(p, "</td><td class=\"n\">");
	rfs_page_number(p, l->bytes);
	rfs_page_raw(p, "</td><td class=\"n\">");
	if (l->inode)
		rfs_page_number(p, l->inode);
	rfs_page_raw(p, "</td><td class=\"nw\">");
	rfs_page_text(p, l->origin ? l->origin->name : NULL);
	rfs_page_raw(p, "</td><td class=\"nw\">");
	if (l->origin)
		rfs_page_time(p, rfs_disk_age(disk, l->origin));
	rfs_page_raw(p, "</td><td class=\"path\" dir=\"ltr\">");
	if (l->path)
		rfs_page_text(p, l->path);
	else if (l->group != UINT32_MAX)
		fprintf(p->out, "group %" PRIu32, l->group);
	else
		fprintf(p->out, "at %" PRIu64, l->offset);
	if (l->behind) {
		rfs_page_raw(p, "<br>and ");
		rfs_page_bytes(p, l->behind);
		rfs_page_raw(p, " that only this leads to");
	}
	rfs_page_raw(p, "</td></tr>\n");
}

static void put_table(struct rfs_page *p, const struct rfs_disk_facts *f)
{
	size_t shown = 0, more = 0;

	for (size_t i = 0; i < f->losses.count; i++) {
		if (!rfs_loss_matters(&f->losses.items[i]))
			continue;
		if (shown == ROWS_MAX) {
			more++;
			continue;
		}
		if (shown++ == 0)
			rfs_page_raw(
				p,
				"<div class=\"scroll\"><table class=\"losses\">"
				"<thead><tr><th>State</th><th>What</th>"
				"<th class=\"n\">Bytes</th>"
				"<th class=\"n\">Inode</th><th>Source</th>"
				"<th>As of</th><th>Path</th></tr></thead>"
				"<tbody>\n");
		put_loss(p, f->disk, &f->losses.items[i]);
	}
	if (shown)
		rfs_page_raw(p, "</tbody></table></div>\n");
	if (more) {
		fprintf(p->out, "<p>and %zu more: <code>rescuefs losses ",
			more);
		rfs_page_text(p, f->word);
		rfs_page_raw(p, "</code></p>\n");
	}
}

static void put_rest(struct rfs_page *p, const struct rfs_disk_facts *f)
{
	uint64_t harmless = 0;

	for (int s = RFS_LOSS_LOST; s <= RFS_LOSS_WRONG; s++)
		harmless += f->sums[s].harmless;
	if (harmless) {
		rfs_page_raw(p, "<p class=\"dim\">");
		rfs_page_bytes(p, harmless);
		rfs_page_raw(p, " lost or stale are harmless: nothing is "
				"there.</p>\n");
	}
	if (!f->losses.unread_used)
		return;
	rfs_page_raw(p, "<p class=\"dim\">Not read yet: ");
	rfs_page_bytes(p, f->losses.unread_used);
	rfs_page_raw(p, f->losses.unread_tables ? " that may be in use; "
						: " in use; ");
	rfs_page_raw(p, "<code>rescuefs fetch ");
	rfs_page_text(p, f->word);
	rfs_page_raw(p, "</code> reads it.</p>\n");
}

void rfs_page_disk(struct rfs_page *p, const struct rfs_disk_facts *f, size_t n)
{
	char prefix[32];
	int r;

	fprintf(p->out, "<section class=\"card\" id=\"disk-%zu\">\n<h3>", n);
	rfs_page_text(p, f->name);
	rfs_page_raw(p, "</h3>\n");
	if (f->disk->attached) {
		rfs_page_raw(p, "<p>In use by ");
		rfs_page_text(p, f->disk->attached->tree_name);
		rfs_page_raw(p, "</p>\n");
	}
	put_copies(p, f->disk);
	if (f->error) {
		rfs_page_raw(p, "<p class=\"error\">");
		rfs_page_text(p, f->error);
		rfs_page_raw(p, "</p>\n</section>\n");
		return;
	}
	put_alarms(p, f);
	snprintf(prefix, sizeof(prefix), "d%zu-", n);
	r = rfs_disk_svg(f->disk, &f->report, prefix, p->out,
			 p->failed ? NULL : p->err);
	if (r < 0 && !p->failed)
		p->failed = r;
	put_volumes(p, &f->losses);
	put_table(p, f);
	put_rest(p, f);
	rfs_page_advice(p, f);
	rfs_page_raw(p, "</section>\n");
}
