// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A sign says the state and a letter the source, so that all is told apart without
 * colours too; where there are colours, each is of 256 that every terminal has.
 */
#include "tools/map_draw.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/format.h"
#include "core/picture.h"
#include "site/disk_svg.h"
#include "site/names.h"

#define ROWS_MAX 24
#define LABELS	 10 /* "123.4 MB  " in front of each row */
#define LETTERS	 20 /* sources beyond share the last one */

/* What a cell looks like. */
struct sign {
	char text[8];
	unsigned int paper, ink; /* of the 256 colours */
};

/* 'A' for the first source, and so on. */
static char letter_of(const struct rfs_disk *disk,
		      const struct rfs_picture_key *key)
{
	size_t source = rfs_key_source(disk, key);

	return (char)('A' + (source < LETTERS ? source : LETTERS - 1));
}

static void set(struct sign *sign, const struct rfs_draw_look *look,
		const char *plain, const char *fancy, unsigned int paper,
		unsigned int ink)
{
	strcpy(sign->text, look->is_plain ? plain : fancy);
	sign->paper = paper;
	sign->ink = ink;
}

/* A letter: small where the source is fresh. */
static void set_letter(struct sign *sign, char letter, unsigned int paper,
		       unsigned int ink)
{
	sign->text[0] = letter;
	sign->text[1] = '\0';
	sign->paper = paper;
	sign->ink = ink;
}

static struct sign sign_of(const struct rfs_disk *disk,
			   const struct rfs_picture_key *key,
			   const struct rfs_draw_look *look)
{
	static const unsigned int stale[] = { 214, 208, 180, 176 };
	static const unsigned int fresh[] = { 35, 113, 73, 149 };
	size_t source = rfs_key_source(disk, key) % 4;
	char letter = letter_of(disk, key);
	struct sign sign;

	switch (key->state) {
	case RFS_LOST:
		set(&sign, look, "X", "\u00d7", 160, 231);
		break;
	case RFS_STALE:
		set_letter(&sign, letter, stale[source], 16);
		break;
	case RFS_UNPROVED:
		set(&sign, look, "&", "&", 170, 231);
		break;
	case RFS_FRESH:
		/* The first source's is the plain case. */
		if (key->suspect)
			set(&sign, look, "!", "!", 201, 231);
		else if (key->healed_by)
			set(&sign, look, "~", "~", 37, 16);
		else if (letter == 'A')
			set(&sign, look, "=", look->has_colour ? " " : "\u2588",
			    fresh[0], 16);
		else
			set_letter(&sign, (char)(letter - 'A' + 'a'),
				   fresh[source], 16);
		break;
	case RFS_LOCAL:
		if (key->was == RFS_LOST)
			set(&sign, look, "#", "#", 33, 224);
		else if (key->was == RFS_STALE)
			set(&sign, look, "%", "%", 33, 222);
		else
			set(&sign, look, "+", "+", 33, 231);
		break;
	case RFS_ZERO:
		set(&sign, look, ".", "\u00b7", 236, 245);
		break;
	default:
		set(&sign, look, "?", "\u2591", 236, 246);
		break;
	}
	return sign;
}

static void put_sign(FILE *out, const struct sign *sign,
		     const struct rfs_draw_look *look)
{
	if (look->has_colour)
		fprintf(out, "\033[48;5;%u;38;5;%um%s\033[0m", sign->paper,
			sign->ink, sign->text);
	else
		fputs(sign->text, out);
}

/* Alike ones in one go: a terminal at the far end of a line is slow. */
static void put_signs(FILE *out, const struct sign *sign, size_t n,
		      const struct rfs_draw_look *look)
{
	if (look->has_colour)
		fprintf(out, "\033[48;5;%u;38;5;%um", sign->paper, sign->ink);
	while (n--)
		fputs(sign->text, out);
	if (look->has_colour)
		fputs("\033[0m", out);
}

static void put_rows(FILE *out, const struct rfs_disk *disk,
		     const struct rfs_picture *p,
		     const struct rfs_draw_look *look)
{
	size_t columns = look->width - LABELS, n;
	char label[RFS_FORMAT_ROOM];

	for (size_t row = 0; row < p->ncells; row += columns) {
		size_t end =
			row + columns < p->ncells ? row + columns : p->ncells;

		rfs_format_bytes(row * p->unit, label);
		fprintf(out, "%*s  ", LABELS - 2, row ? label : "0");
		for (size_t c = row; c < end; c += n) {
			struct sign sign =
				sign_of(disk, &p->items[p->cells[c]], look);

			n = 1;
			while (c + n < end && p->cells[c + n] == p->cells[c])
				n++;
			put_signs(out, &sign, n, look);
		}
		fputc('\n', out);
	}
}

static int put_legend(FILE *out, const struct rfs_disk *disk,
		      const struct rfs_picture *p,
		      const struct rfs_draw_look *look, struct rfs_error *err)
{
	char bytes[RFS_FORMAT_ROOM], share[RFS_SHARE_ROOM];

	for (size_t k = 0; k < p->count; k++) {
		struct sign sign = sign_of(disk, &p->items[k], look);
		RFS_CLEANUP_FREE char *text = rfs_key_text(disk, &p->items[k]);

		if (!text)
			return rfs_no_memory(err);
		rfs_format_bytes(p->items[k].bytes, bytes);
		rfs_share_text(p->items[k].bytes, p->size, share);
		fprintf(out, "%*s", LABELS, "");
		put_sign(out, &sign, look);
		fprintf(out, "  %10s  %11s  %s\n", bytes, share, text);
	}
	return 0;
}

int rfs_draw_map(const struct rfs_disk *disk, const struct rfs_report *report,
		 const struct rfs_draw_look *look, FILE *out,
		 struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *path = rfs_disk_path(disk);
	RFS_CLEANUP_FREE char *name = path ? rfs_text_escape(path) : NULL;
	size_t columns = look->width - LABELS;
	char size[RFS_FORMAT_ROOM], unit[RFS_FORMAT_ROOM];
	struct rfs_picture p = { 0 };
	int r;

	if (!name)
		return rfs_no_memory(err);
	r = rfs_picture_make(report, columns * ROWS_MAX, &p, err);
	if (r < 0)
		return r;
	rfs_format_bytes(p.size, size);
	rfs_format_bytes(p.unit, unit);
	if (p.size) {
		fprintf(out,
			"%s, %s; a cell is %s and shows the worst in it\n\n",
			name, size, unit);
		put_rows(out, disk, &p, look);
		fputc('\n', out);
		r = put_legend(out, disk, &p, look, err);
	} else {
		fprintf(out, "%s, %s: there is nothing to draw\n", name, size);
	}
	rfs_picture_fini(&p);
	if (r == 0 && (fflush(out) == EOF || ferror(out)))
		r = rfs_fail(err, EIO, "the picture could not be written");
	return r;
}
