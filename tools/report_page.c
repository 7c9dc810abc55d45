// SPDX-License-Identifier: GPL-3.0-or-later
#include "tools/report_page.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "core/format.h"
#include "site/markup.h"
#include "tools/report_parts.h"

/*
 * Pieces.
 */

void rfs_page_raw(struct rfs_page *p, const char *markup)
{
	fputs(markup, p->out);
}

void rfs_page_text(struct rfs_page *p, const char *text)
{
	int r;

	if (!text) {
		fputs("&ndash;", p->out);
		return;
	}
	r = rfs_put_markup(p->out, text, p->failed ? NULL : p->err);
	if (r < 0 && !p->failed)
		p->failed = r;
}

void rfs_page_bytes(struct rfs_page *p, uint64_t bytes)
{
	char text[RFS_FORMAT_ROOM];

	rfs_format_bytes(bytes, text);
	fputs(bytes ? text : "0", p->out);
}

void rfs_page_number(struct rfs_page *p, uint64_t n)
{
	fprintf(p->out, "%" PRIu64, n);
}

void rfs_page_time(struct rfs_page *p, int64_t time_ns)
{
	char text[RFS_TIME_TEXT];

	rfs_time_print_short(time_ns, text);
	fputs(text, p->out);
}

/*
 * In short.
 */

/* The whole table is about figures, so that a program can read them too. */
static void put_data(struct rfs_page *p, const struct rfs_disk_facts *f)
{
	rfs_page_raw(p, "<tr class=\"disk\" data-disk=\"");
	rfs_page_text(p, f->name);
	fprintf(p->out, "\" data-size=\"%" PRIu64 "\"", f->size);
	for (int s = 0; s < RFS_BLOCK_STATES; s++)
		fprintf(p->out, " data-%s=\"%" PRIu64 "\"",
			rfs_block_state_name((enum rfs_block_state)s),
			f->totals[s]);
	for (int s = RFS_LOSS_LOST; s <= RFS_LOSS_WRONG; s++)
		fprintf(p->out,
			" data-%s-inodes=\"%" PRIu64
			"\" data-%s-data=\"%" PRIu64
			"\" data-%s-tables=\"%" PRIu64 "\"",
			rfs_loss_state_name((enum rfs_loss_state)s),
			f->sums[s].inodes,
			rfs_loss_state_name((enum rfs_loss_state)s),
			f->sums[s].data,
			rfs_loss_state_name((enum rfs_loss_state)s),
			f->sums[s].tables);
	rfs_page_raw(p, ">");
}

static void put_bar(struct rfs_page *p, const struct rfs_disk_facts *f)
{
	static const enum rfs_block_state order[] = {
		RFS_LOST,  RFS_STALE,  RFS_UNPROVED, RFS_LOCAL,
		RFS_FRESH, RFS_UNREAD, RFS_ZERO,
	};

	_Static_assert(sizeof(order) / sizeof(*order) == RFS_BLOCK_STATES,
		       "every state has its place in the bar");

	rfs_page_raw(p, "<div class=\"bar\" aria-hidden=\"true\">");
	for (size_t i = 0; i < RFS_BLOCK_STATES && f->size; i++)
		if (f->totals[order[i]])
			fprintf(p->out,
				"<span class=\"%s\" style=\"width:%.2f%%\">"
				"</span>",
				rfs_block_state_name(order[i]),
				100.0 * (double)f->totals[order[i]] /
					(double)f->size);
	rfs_page_raw(p, "</div>");
}

static void put_short_row(struct rfs_page *p, const struct rfs_disk_facts *f,
			  size_t n)
{
	static const enum rfs_block_state columns[] = {
		RFS_FRESH,
		RFS_STALE,
		RFS_LOST,
		RFS_UNREAD,
	};
	const char *class, *verdict = rfs_page_verdict(f, &class);

	put_data(p, f);
	fprintf(p->out, "<td><a href=\"#disk-%zu\">", n);
	rfs_page_text(p, f->name);
	rfs_page_raw(p, "</a></td><td class=\"n\">");
	rfs_page_bytes(p, f->size);
	rfs_page_raw(p, "</td><td>");
	put_bar(p, f);
	rfs_page_raw(p, "</td>");
	for (size_t i = 0; i < 4; i++) {
		rfs_page_raw(p, "<td class=\"n\">");
		rfs_page_bytes(p, f->totals[columns[i]]);
		rfs_page_raw(p, "</td>");
	}
	rfs_page_raw(p, "<td class=\"n\">");
	rfs_page_number(p, f->sums[RFS_LOSS_LOST].inodes);
	rfs_page_raw(p, "</td><td class=\"n\">");
	rfs_page_number(p, f->sums[RFS_LOSS_STALE].inodes);
	fprintf(p->out,
		"</td><td><span class=\"verdict %s\">%s</span></td></tr>\n",
		class, verdict);
}

static void put_short(struct rfs_page *p, const struct rfs_site_facts *facts)
{
	rfs_page_raw(
		p,
		"<h2>In short</h2>\n<div class=\"scroll\"><table>\n<thead><tr>"
		"<th>Disk</th><th class=\"n\">Size</th><th>Blocks</th>"
		"<th class=\"n\">Fresh</th><th class=\"n\">Stale</th>"
		"<th class=\"n\">Lost</th><th class=\"n\">Not read</th>"
		"<th class=\"n\">Files lost in</th>"
		"<th class=\"n\">Files stale in</th><th></th></tr></thead>\n"
		"<tbody>\n");
	for (size_t i = 0; i < facts->count; i++)
		put_short_row(p, &facts->items[i], i);
	rfs_page_raw(p, "</tbody></table></div>\n"
			"<p class=\"dim\">Stale: from an older source. Lost: "
			"no source can read it. Files count in which anything "
			"is lost or stale; directories count as files. What "
			"is not read yet may be lost too.</p>\n");
}

/*
 * Sources.
 */

static void put_sources(struct rfs_page *p, const struct rfs_site *site)
{
	rfs_page_raw(p, "<h2>Sources</h2>\n<div class=\"scroll\"><table><thead>"
			"<tr><th>Name</th><th>Kind</th><th>Host</th>"
			"<th>As of</th><th>Where</th></tr></thead><tbody>\n");
	for (size_t i = 0; i < site->nsources; i++) {
		const struct rfs_source *s = site->sources[i];

		rfs_page_raw(p, "<tr><td>");
		rfs_page_text(p, s->origin.name);
		rfs_page_raw(p, "</td><td>");
		rfs_page_text(p, rfs_source_kind_name(s->kind));
		rfs_page_raw(p, "</td><td>");
		rfs_page_text(p, s->host);
		rfs_page_raw(p, "</td><td class=\"nw\">");
		rfs_page_time(p, rfs_source_as_of(s));
		rfs_page_raw(p, "</td><td class=\"path\">");
		rfs_page_text(p, rfs_source_place(s));
		if (s->open_error) {
			rfs_page_raw(p, "<div class=\"error\">");
			rfs_page_text(p, s->open_error);
			rfs_page_raw(p, "</div>");
		}
		rfs_page_raw(p, "</td></tr>\n");
	}
	rfs_page_raw(p, "</tbody></table></div>\n");
}

/*
 * Instances and volumes.
 */

static void put_fact(struct rfs_page *p, const char *what, const char *text)
{
	if (!text)
		return;
	fprintf(p->out, "<dt>%s</dt><dd>", what);
	rfs_page_text(p, text);
	rfs_page_raw(p, "</dd>");
}

static void put_nics(struct rfs_page *p, const struct rfs_instance *it)
{
	for (size_t i = 0; i < it->nnics; i++) {
		rfs_page_raw(p, "<dt>Network</dt><dd>");
		rfs_page_text(p, it->nics[i].mac);
		if (it->nics[i].ip) {
			rfs_page_raw(p, ", ");
			rfs_page_text(p, it->nics[i].ip);
		}
		if (it->nics[i].bridge) {
			rfs_page_raw(p, ", on ");
			rfs_page_text(p, it->nics[i].bridge);
		}
		rfs_page_raw(p, "</dd>");
	}
}

static void put_volumes_of(struct rfs_page *p, const struct rfs_instance *it)
{
	for (size_t i = 0; i < it->nattachments; i++) {
		const struct rfs_attachment *a = &it->attachments[i];

		rfs_page_raw(p, "<dt>Volume</dt><dd>");
		rfs_page_text(p, a->volume ? a->volume->name : a->uuid);
		if (a->target) {
			rfs_page_raw(p, " as ");
			rfs_page_text(p, a->target);
		}
		if (!a->volume)
			rfs_page_raw(p, " (no source has it)");
		rfs_page_raw(p, "</dd>");
	}
}

static void put_instance(struct rfs_page *p, const struct rfs_instance *it)
{
	rfs_page_raw(p, "<h2>");
	rfs_page_text(p, it->tree_name);
	rfs_page_raw(p, "</h2>\n<dl>");
	put_fact(p, "Host", it->host->name);
	put_fact(p, "Uuid", it->uuid);
	put_fact(p, "Name there", it->id_name);
	put_fact(p, "Flavor", it->flavor);
	if (it->memory_kib)
		fprintf(p->out,
			"<dt>Memory</dt><dd>%" PRIu64 " MiB, %u vCPU</dd>",
			it->memory_kib / 1024, it->vcpus);
	put_fact(p, "Image", it->image_uuid);
	put_fact(p, "Kernel", it->kernel);
	put_fact(p, "Ramdisk", it->ramdisk);
	put_fact(p, "Project", it->project);
	put_fact(p, "User", it->user);
	put_fact(p, "Created", it->created);
	put_nics(p, it);
	put_volumes_of(p, it);
	rfs_page_raw(p, "</dl>\n");
}

/* The facts are in the inventory's order: by instance. */
static void put_disks(struct rfs_page *p, const struct rfs_site_facts *facts)
{
	const struct rfs_instance *last = NULL;
	bool in_volumes = false;

	for (size_t i = 0; i < facts->count; i++) {
		const struct rfs_instance *it = facts->items[i].disk->instance;

		if (it->is_volumes && !in_volumes)
			rfs_page_raw(p, "<h2>Volumes</h2>\n");
		else if (!it->is_volumes && it != last)
			put_instance(p, it);
		in_volumes = it->is_volumes;
		last = it;
		rfs_page_disk(p, &facts->items[i], i);
	}
}

/*
 * All of it.
 */

static void put_note(const char *text, void *data)
{
	struct rfs_page *p = data;

	rfs_page_raw(p, "<li>");
	rfs_page_text(p, text);
	rfs_page_raw(p, "</li>\n");
}

static void put_notes(struct rfs_page *p, struct rfs_notes *notes)
{
	if (rfs_notes_each(notes, SIZE_MAX, NULL, NULL) == 0)
		return;
	rfs_page_raw(p, "<h2>Notes</h2>\n<ul>\n");
	rfs_notes_each(notes, 0, put_note, p);
	rfs_page_raw(p, "</ul>\n");
}

static void put_head(struct rfs_page *p, const struct rfs_site *site)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	rfs_page_raw(p, "<!doctype html>\n<html lang=\"en\"><head>"
			"<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
			"content=\"width=device-width,initial-scale=1\">\n"
			"<meta http-equiv=\"Content-Security-Policy\" content="
			"\"default-src 'none'; style-src 'unsafe-inline'\">\n"
			"<title>");
	rfs_page_text(p, site->name);
	rfs_page_raw(p, "</title>\n<style>");
	rfs_page_raw(p, rfs_page_style);
	rfs_page_raw(p, "</style></head>\n<body>\n<h1>");
	rfs_page_text(p, site->name);
	rfs_page_raw(p, "</h1>\n<p class=\"dim\">What is left of its disks, by "
			"rescuefs " RFS_VERSION ", ");
	rfs_page_time(p, rfs_time_of(now));
	rfs_page_raw(p, "</p>\n");
}

int rfs_report_page(const struct rfs_inventory *inv,
		    const struct rfs_site_facts *facts, FILE *out,
		    struct rfs_error *err)
{
	struct rfs_page p = { .out = out, .err = err };

	put_head(&p, inv->site);
	put_short(&p, facts);
	put_sources(&p, inv->site);
	put_disks(&p, facts);
	put_notes(&p, &inv->site->notes);
	rfs_page_raw(&p, "</body></html>\n");
	if (p.failed)
		return p.failed;
	if (fflush(out) == EOF || ferror(out))
		return rfs_fail(err, EIO, "the report could not be written");
	return 0;
}
