// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Each kind of block has a colour and a hatch of its own, so that it can be told
 * apart in print and by eyes that see no red.  Colours are in the style, as a
 * browser chooses those for a dark page.
 */
#include "site/disk_svg.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/format.h"
#include "site/losses_text.h"
#include "site/markup.h"

/* In the picture's own units, of which it is 1000 wide. */
#define WIDTH	1000
#define MARGIN	16
#define LABELS	84 /* the offsets in front of the rows */
#define COLUMNS 80
#define ROWS	32
#define CELL	11
#define GRID_Y	60
#define LEGEND	22 /* height of one of its lines */

/* Of several sources the fifth looks like the first, but for its hatch. */
#define COLOURS 4
#define HATCHES 5

/*
 * Words.
 */

size_t rfs_key_source(const struct rfs_disk *disk,
		      const struct rfs_picture_key *key)
{
	size_t i = 0;

	while (i < disk->ncopies &&
	       &disk->copies[i].source->origin != key->origin)
		i++;
	return i;
}

char *rfs_key_text(const struct rfs_disk *disk,
		   const struct rfs_picture_key *key)
{
	const char *name = key->origin ? key->origin->name : "?";
	const char *by = key->healed_by ? key->healed_by->name : NULL;
	int64_t as_of = rfs_disk_age(disk, key->origin);
	char age[RFS_TIME_TEXT], *text = NULL;
	int n = -1;

	switch (key->state) {
	case RFS_LOST:
		return strdup("lost: no source that may be used can read it");
	case RFS_STALE:
		rfs_time_print_short(as_of, age);
		n = asprintf(&text, "stale, from %s%s%s", name,
			     as_of == RFS_TIME_UNKNOWN ? "" : " of ",
			     as_of == RFS_TIME_UNKNOWN ? "" : age);
		break;
	case RFS_UNPROVED:
		if (by && key->healed_by == key->origin)
			n = asprintf(&text,
				     "guessed, from %s, by tables that nothing "
				     "leads to",
				     name);
		else
			n = asprintf(&text, "unproved, from %s%s%s", name,
				     by ? ", healed by the tables of " : "",
				     by ? by : "");
		break;
	case RFS_FRESH:
		n = asprintf(&text, "%s, from %s%s%s%s%s",
			     key->suspect ? "suspect" : "fresh", name,
			     by ? ", healed by the tables of " : "",
			     by ? by : "",
			     !key->suspect ? ""
			     : key->suspect == key->origin
				     ? ", and not as its refcounts have it"
				     : ", and not as it is on ",
			     key->suspect && key->suspect != key->origin
				     ? key->suspect->name
				     : "");
		break;
	case RFS_LOCAL:
		n = asprintf(&text, "written by you%s%s",
			     key->was == key->state ? "" : ", over what was ",
			     key->was == key->state
				     ? ""
				     : rfs_block_state_name(key->was));
		break;
	case RFS_ZERO:
		return strdup("hole: zero, without storage");
	default:
		return strdup("not read yet");
	}
	return n < 0 ? NULL : text;
}

void rfs_share_text(uint64_t part, uint64_t whole, char text[RFS_SHARE_ROOM])
{
	double share = whole ? 100.0 * (double)part / (double)whole : 0;

	if (part && share < 0.1)
		strcpy(text, "under 0.1 %");
	else if (part < whole && share > 99.9)
		strcpy(text, "over 99.9 %");
	else
		snprintf(text, RFS_SHARE_ROOM, "%.1f %%", share);
}

/*
 * Looks.
 */

static const char style[] =
	"<style>"
	".rfs-page{fill:#fff}.rfs-text{fill:#1d2229}.rfs-dim{fill:#5b6470}"
	".rfs-svg text{font-family:system-ui,'DejaVu Sans',Arial,sans-serif}"
	".rfs-lost{fill:#b3001b}.rfs-unread{fill:#c3c9d1}"
	".rfs-unproved{fill:#a371f7}"
	".rfs-hole{fill:#edf0f3}.rfs-local{fill:#3a74c9}"
	".rfs-fresh0{fill:#2f9e6e}.rfs-fresh1{fill:#8fcf5e}"
	".rfs-fresh2{fill:#52b8b0}.rfs-fresh3{fill:#b5c95a}"
	".rfs-stale0{fill:#f2b134}.rfs-stale1{fill:#e8862e}"
	".rfs-stale2{fill:#d9a066}.rfs-stale3{fill:#c77dba}"
	".rfs-ink{stroke:#20242b;stroke-width:1.3;fill:none}"
	".rfs-pale{stroke:#fff;stroke-width:1.8;fill:none}"
	".rfs-red{stroke:#ff5a5f;stroke-width:2.4;fill:none}"
	".rfs-amber{stroke:#ffc145;stroke-width:2.4;fill:none}"
	"@media (prefers-color-scheme:dark){"
	".rfs-page{fill:#14171c}.rfs-text{fill:#e6e9ee}.rfs-dim{fill:#9aa4b2}"
	".rfs-lost{fill:#e5383b}.rfs-unread{fill:#4b535f}"
	".rfs-hole{fill:#22272f}.rfs-local{fill:#4f8ae0}"
	".rfs-fresh0{fill:#2c8f64}.rfs-fresh1{fill:#6fae43}"
	".rfs-fresh2{fill:#3f9c95}.rfs-fresh3{fill:#93a63f}}"
	"@media print{"
	".rfs-page{fill:#fff}.rfs-text{fill:#000}.rfs-dim{fill:#444}"
	".rfs-unread{fill:#c3c9d1}.rfs-hole{fill:#edf0f3}}"
	"</style>\n";

/* The class that has its colour. */
static void put_colour(FILE *out, const struct rfs_disk *disk,
		       const struct rfs_picture_key *key)
{
	fprintf(out, "rfs-%s", rfs_block_state_name(key->state));
	if (key->state == RFS_FRESH || key->state == RFS_STALE)
		fprintf(out, "%zu", rfs_key_source(disk, key) % COLOURS);
}

/* Its hatch, on a square of 8, and the ink that it is drawn with. */
static const char *hatch_of(const struct rfs_disk *disk,
			    const struct rfs_picture_key *key,
			    const char **ret_ink)
{
	static const char *const hatches[HATCHES] = {
		"M-2 2l4-4M-1 9l10-10M6 10l4-4", /* a rising line */
		"M6-2l4 4M-1-1l10 10M-2 6l4 4",	 /* a falling one */
		"M0 2h8M0 6h8",
		"M2 0v8M6 0v8",
		"M1 2h2M5 6h2",
	};
	size_t source = rfs_key_source(disk, key);

	*ret_ink = "rfs-ink";
	switch (key->state) {
	case RFS_LOST:
		*ret_ink = "rfs-pale";
		return "M1 1l6 6M7 1l-6 6";
	case RFS_LOCAL:
		*ret_ink = key->was == RFS_LOST	   ? "rfs-red"
			   : key->was == RFS_STALE ? "rfs-amber"
						   : "rfs-pale";
		return key->was == key->state ? "M4 2v4M2 4h4"
					      : "M1 1l6 6M7 1l-6 6";
	case RFS_UNREAD:
		return "M3.2 4h1.6";
	case RFS_UNPROVED:
	case RFS_STALE:
		return hatches[source % HATCHES];
	case RFS_FRESH:
		if (key->suspect) {
			*ret_ink = "rfs-red";
			return "M4 1v4M4 6v1.5";
		}
		return source ? hatches[source % HATCHES] : "";
	default:
		return "";
	}
}

static void put_patterns(FILE *out, const struct rfs_disk *disk,
			 const struct rfs_picture *p, const char *prefix)
{
	fputs("<defs>\n", out);
	for (size_t k = 0; k < p->count; k++) {
		const char *ink, *hatch = hatch_of(disk, &p->items[k], &ink);

		fprintf(out,
			"<pattern id=\"%sk%zu\" width=\"8\" height=\"8\" "
			"patternUnits=\"userSpaceOnUse\"><rect width=\"8\" "
			"height=\"8\" class=\"",
			prefix, k);
		put_colour(out, disk, &p->items[k]);
		fprintf(out, "\"/><path class=\"%s\" d=\"%s\"/></pattern>\n",
			ink, hatch);
	}
	fputs("</defs>\n", out);
}

/*
 * The blocks.
 */

struct drawing {
	FILE *out;
	const struct rfs_disk *disk;
	const struct rfs_picture *picture;
	const char *prefix;
	struct rfs_error *err;
};

/* Cells of one row that are alike, as one. */
static int put_cells(struct drawing *d, size_t from, size_t n)
{
	const struct rfs_picture *p = d->picture;
	uint32_t k = p->cells[from];
	RFS_CLEANUP_FREE char *text = rfs_key_text(d->disk, &p->items[k]);
	struct rfs_range first = rfs_picture_range(p, from);
	struct rfs_range last = rfs_picture_range(p, from + n - 1);

	if (!text)
		return rfs_no_memory(d->err);
	fprintf(d->out,
		"<rect x=\"%zu\" y=\"%zu\" width=\"%zu\" height=\"%d\" "
		"fill=\"url(#%sk%" PRIu32 ")\"><title>%" PRIu64 " to %" PRIu64
		": ",
		MARGIN + LABELS + from % COLUMNS * CELL,
		GRID_Y + from / COLUMNS * CELL, n * CELL, CELL - 1, d->prefix,
		k, first.off, rfs_range_end(last));
	if (rfs_put_markup(d->out, text, d->err) < 0)
		return -ENOMEM;
	fputs("</title></rect>\n", d->out);
	return 0;
}

static int put_row(struct drawing *d, size_t from, size_t end)
{
	const uint32_t *cells = d->picture->cells;
	size_t n;
	int r = 0;

	for (; from < end && r == 0; from += n) {
		n = 1;
		while (from + n < end && cells[from + n] == cells[from])
			n++;
		r = put_cells(d, from, n);
	}
	return r;
}

static int put_grid(struct drawing *d)
{
	const struct rfs_picture *p = d->picture;
	char label[RFS_FORMAT_ROOM];
	int r = 0;

	for (size_t c = 0; c < p->ncells && r == 0; c += COLUMNS) {
		size_t end = c + COLUMNS < p->ncells ? c + COLUMNS : p->ncells;

		/* At every second row there is room for it. */
		rfs_format_bytes(c * p->unit, label);
		if (c / COLUMNS % 2 == 0)
			fprintf(d->out,
				"<text x=\"%d\" y=\"%zu\" class=\"rfs-dim\" "
				"font-size=\"11\" text-anchor=\"end\">%s"
				"</text>\n",
				MARGIN + LABELS - 8,
				GRID_Y + c / COLUMNS * CELL + CELL - 1, label);
		r = put_row(d, c, end);
	}
	return r;
}

static int put_legend(struct drawing *d, size_t y)
{
	const struct rfs_picture *p = d->picture;
	char bytes[RFS_FORMAT_ROOM], share[RFS_SHARE_ROOM];
	int r = 0;

	for (size_t k = 0; k < p->count && r == 0; k++, y += LEGEND) {
		RFS_CLEANUP_FREE char *text =
			rfs_key_text(d->disk, &p->items[k]);

		if (!text)
			return rfs_no_memory(d->err);
		rfs_format_bytes(p->items[k].bytes, bytes);
		rfs_share_text(p->items[k].bytes, p->size, share);
		fprintf(d->out,
			"<rect x=\"%d\" y=\"%zu\" width=\"32\" height=\"16\" "
			"fill=\"url(#%sk%zu)\"/><text x=\"%d\" y=\"%zu\" "
			"class=\"rfs-text\" font-size=\"13\">",
			MARGIN + LABELS, y, d->prefix, k, MARGIN + LABELS + 44,
			y + 13);
		r = rfs_put_markup(d->out, text, d->err);
		fprintf(d->out,
			"</text><text x=\"%d\" y=\"%zu\" class=\"rfs-text\" "
			"font-size=\"13\" text-anchor=\"end\">%s</text>"
			"<text x=\"%d\" y=\"%zu\" class=\"rfs-dim\" "
			"font-size=\"13\" text-anchor=\"end\">%s</text>\n",
			WIDTH - MARGIN - 100, y + 13, bytes, WIDTH - MARGIN,
			y + 13, share);
	}
	return r;
}

/*
 * All of it.
 */

static int put_head(struct drawing *d, size_t height)
{
	RFS_CLEANUP_FREE char *name = rfs_disk_path(d->disk);
	char size[RFS_FORMAT_ROOM], unit[RFS_FORMAT_ROOM];

	if (!name)
		return rfs_no_memory(d->err);
	rfs_format_bytes(d->picture->size, size);
	rfs_format_bytes(d->picture->unit, unit);
	fprintf(d->out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"rfs-svg\" "
		"viewBox=\"0 0 %d %zu\" role=\"img\">\n<title>",
		WIDTH, height);
	if (rfs_put_markup(d->out, name, d->err) < 0)
		return -ENOMEM;
	fprintf(d->out,
		"</title>\n%s<rect width=\"%d\" height=\"%zu\" "
		"class=\"rfs-page\"/>\n<text x=\"%d\" y=\"26\" "
		"class=\"rfs-text\" font-size=\"18\" font-weight=\"600\">",
		style, WIDTH, height, MARGIN);
	if (rfs_put_markup(d->out, name, d->err) < 0)
		return -ENOMEM;
	fprintf(d->out,
		"</text>\n<text x=\"%d\" y=\"46\" class=\"rfs-dim\" "
		"font-size=\"13\">%s, a cell is %s and shows the worst in "
		"it</text>\n",
		MARGIN, size, unit);
	return 0;
}

static int draw(struct drawing *d)
{
	size_t rows = (d->picture->ncells + COLUMNS - 1) / COLUMNS;
	size_t legend = GRID_Y + rows * CELL + MARGIN;
	int r = put_head(d, legend + d->picture->count * LEGEND + MARGIN / 2);

	if (r < 0)
		return r;
	put_patterns(d->out, d->disk, d->picture, d->prefix);
	r = put_grid(d);
	if (r == 0)
		r = put_legend(d, legend);
	fputs("</svg>\n", d->out);
	if (r == 0 && (fflush(d->out) == EOF || ferror(d->out)))
		r = rfs_fail(d->err, EIO,
			     "%s: its picture could not be written",
			     d->disk->id);
	return r;
}

int rfs_disk_svg(const struct rfs_disk *disk, const struct rfs_report *report,
		 const char *prefix, FILE *out, struct rfs_error *err)
{
	struct rfs_picture picture = { 0 };
	struct drawing d = { out, disk, &picture, prefix, err };
	int r = rfs_picture_make(report, (size_t)COLUMNS * ROWS, &picture, err);

	if (r == 0)
		r = draw(&d);
	rfs_picture_fini(&picture);
	return r;
}
