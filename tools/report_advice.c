// SPDX-License-Identifier: GPL-3.0-or-later
/* What to do about a disk, as rescuefs advise has it. */
#include <inttypes.h>
#include <string.h>

#include "core/cleanup.h"
#include "tools/report_parts.h"

/* The figures as rescuefs advise --json names them, so that a program can read
 * them too. */
static void put_data(struct rfs_page *p, const struct rfs_advice_candidate *c)
{
	rfs_page_raw(p, "<tr class=\"candidate\" data-name=\"");
	rfs_page_text(p, rfs_advice_name(c));
	fprintf(p->out,
		"\" data-lost=\"%" PRIu64 "\" data-stale=\"%" PRIu64
		"\" data-lost_tables=\"%" PRIu64
		"\" data-stale_tables=\"%" PRIu64 "\" data-checksum=\"%" PRIu64
		"\" data-unreadable=\"%" PRIu64 "\" data-files_hit=\"%" PRIu64
		"\"",
		c->lost, c->stale, c->lost_tables, c->stale_tables, c->wrong,
		c->check.unreadable, c->files_hit);
	if (c->is_compared)
		fprintf(p->out, " data-given_up=\"%" PRIu64 "\"", c->given_up);
	if (c->check.is_done)
		fprintf(p->out,
			" data-fixed=\"%" PRIu64 "\" data-lost_found=\"%" PRIu64
			"\" data-first=\"%d\" data-final=\"%d\"",
			c->check.fixed, c->check.found, c->check.first,
			c->check.final);
	rfs_page_raw(p, ">");
}

static void put_check(struct rfs_page *p, const struct rfs_advice_check *c)
{
	if (!c->is_done) {
		rfs_page_text(p, NULL);
		return;
	}
	fprintf(p->out, "%s, %" PRIu64 " mended, %" PRIu64 " into lost+found",
		c->final == 0 ? "clean then" : "not clean", c->fixed, c->found);
}

static void put_amount(struct rfs_page *p, uint64_t all, uint64_t tables)
{
	rfs_page_raw(p, "<td class=\"n\">");
	rfs_page_bytes(p, all);
	if (tables) {
		rfs_page_raw(p, ", of it tables ");
		rfs_page_bytes(p, tables);
	}
	rfs_page_raw(p, "</td>");
}

static void put_candidate(struct rfs_page *p, const struct rfs_advice *a,
			  const struct rfs_advice_candidate *c)
{
	put_data(p, c);
	rfs_page_raw(p, c == a->choice ? "<td><strong>" : "<td>");
	rfs_page_text(p, rfs_advice_name(c));
	rfs_page_raw(p, c == a->choice ? "</strong></td>" : "</td>");
	if (c->why[0]) {
		rfs_page_raw(p, "<td colspan=\"5\" class=\"error\">");
		rfs_page_text(p, c->why);
		rfs_page_raw(p, "</td></tr>\n");
		return;
	}
	put_amount(p, c->lost, c->lost_tables);
	put_amount(p, c->stale, c->stale_tables);
	rfs_page_raw(p, "<td class=\"n\">");
	rfs_page_number(p, c->files_hit);
	rfs_page_raw(p, "</td><td class=\"n\">");
	if (c->is_compared)
		rfs_page_number(p, c->given_up);
	else
		rfs_page_text(p, NULL);
	rfs_page_raw(p, "</td><td>");
	put_check(p, &c->check);
	rfs_page_raw(p, "</td></tr>\n");
}

static void put_commands(struct rfs_page *p, const char *commands)
{
	RFS_CLEANUP_FREE char *copy = strdup(commands);
	char *rest = copy, *line;

	if (!copy && !p->failed)
		p->failed = rfs_no_memory(p->err);
	rfs_page_raw(p, "<pre class=\"commands\">");
	while (rest && (line = strsep(&rest, "\n"))) {
		if (!*line)
			continue;
		rfs_page_text(p, line);
		rfs_page_raw(p, "\n");
	}
	rfs_page_raw(p, "</pre>\n");
}

void rfs_page_advice(struct rfs_page *p, const struct rfs_disk_facts *f)
{
	const struct rfs_advice *a = &f->advice;
	const char *choice = a->choice ? rfs_advice_name(a->choice) : "none";

	if (!f->has_advice)
		return;
	rfs_page_raw(p,
		     "<h4>Advice</h4>\n<p class=\"advice\" data-recommend=\"");
	rfs_page_text(p, choice);
	rfs_page_raw(p, "\">Recommended: <strong>");
	rfs_page_text(p, choice);
	rfs_page_raw(p, "</strong>, as <span class=\"reason\">");
	rfs_page_text(p, a->reason);
	rfs_page_raw(p, "</span>.</p>\n<div class=\"scroll\"><table>"
			"<thead><tr><th>Candidate</th><th class=\"n\">Lost</th>"
			"<th class=\"n\">Old</th><th class=\"n\">Files hit</th>"
			"<th class=\"n\">Newer files given up</th>"
			"<th>e2fsck -fy</th></tr></thead><tbody>\n");
	for (size_t i = 0; i < a->count; i++)
		put_candidate(p, a, &a->items[i]);
	rfs_page_raw(p, "</tbody></table></div>\n");
	put_commands(p, f->commands);
}
