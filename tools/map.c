// SPDX-License-Identifier: GPL-3.0-or-later
/* rescuefs map: where the blocks of a disk came from, as a picture. */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "site/disk_json.h"
#include "site/disk_svg.h"
#include "tools/each_disk.h"
#include "tools/map_draw.h"
#include "tools/subject.h"
#include "tools/verbs.h"
#include "tools/words.h"

#define WIDTH_DEFAULT 80
#define WIDTH_MAX     1000

enum colour {
	COLOUR_AUTO,
	COLOUR_ALWAYS,
	COLOUR_NEVER,
};

struct request {
	const char *form; /* "json", "map", "svg", or NULL: drawn */
	bool is_plain;
	enum colour colour;
	unsigned int width; /* 0: the terminal's */
};

static const char help[] =
	"usage: rescuefs map [SITE | SOURCES] [--state DIR] [--plain]\n"
	"                    [--color[=WHEN]] [--width N]\n"
	"                    [--svg | --mapfile | --json] DISK...\n"
	"\n"
	"Draws the blocks of DISK (\"april-ci/disk\"): fresh, stale, lost, "
	"holes,\n"
	"written by you, not read yet, and which source gave them.  Each cell\n"
	"shows the worst in its range.  Reads no block.  Works beside a "
	"running\n"
	"mount of the same state.\n"
	"\n"
	"  --plain         ASCII, without colours\n"
	"  --color[=WHEN]  auto (the default: on a terminal, unless NO_COLOR "
	"is\n"
	"                  set), always or never\n"
	"  --width N       columns, instead of those of the terminal\n"
	"  --svg           the picture as one SVG, as rescue/disk.svg\n"
	"  --mapfile       the map of GNU ddrescue, as rescue/disk.map\n"
	"  --json          extent by extent, as rescue/disk.json\n"
	"\n"
	"SOURCES and --state are those of rescuefs mount.\n";

/*
 * The terminal.
 */

static unsigned int terminal_width(void)
{
	const char *said = getenv("COLUMNS");
	struct winsize size;
	unsigned long n = 0;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		n = size.ws_col;
	else if (said)
		n = strtoul(said, NULL, 10);
	if (!n || n > WIDTH_MAX)
		n = WIDTH_DEFAULT;
	return (unsigned int)(n < RFS_DRAW_WIDTH_MIN ? RFS_DRAW_WIDTH_MIN : n);
}

static bool has_unicode(void)
{
	locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
	bool is;

	if (!locale)
		return false;
	is = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
	freelocale(locale);
	return is;
}

static bool has_colour(const struct request *req)
{
	const char *none = getenv("NO_COLOR"), *term = getenv("TERM");

	if (req->colour != COLOUR_AUTO)
		return req->colour == COLOUR_ALWAYS;
	return !req->is_plain && isatty(STDOUT_FILENO) && !(none && *none) &&
	       !(term && strcmp(term, "dumb") == 0);
}

static int draw(const struct request *req, struct rfs_subject *s,
		struct rfs_error *err)
{
	const struct rfs_draw_look look = {
		.width = req->width ? req->width : terminal_width(),
		.is_plain = req->is_plain || !has_unicode(),
		.has_colour = has_colour(req),
	};
	struct rfs_report report = { 0 };
	int r = rfs_subject_report(s, &report, err);

	if (r == 0)
		r = rfs_draw_map(rfs_subject_disk(s), &report, &look, stdout,
				 err);
	rfs_report_fini(&report);
	return r;
}

/*
 * As the mount has it.
 */

static int copy_file(const char *path, struct rfs_error *err)
{
	RFS_CLEANUP_FILE FILE *in = fopen(path, "re");
	char buf[65536];
	size_t n;

	if (!in)
		return rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	while ((n = fread(buf, 1, sizeof(buf), in)) > 0)
		if (fwrite(buf, 1, n, stdout) != n)
			break;
	if (ferror(in))
		return rfs_fail(err, EIO, "%s: cannot be read", path);
	if (fflush(stdout) == EOF || ferror(stdout))
		return rfs_fail(err, EIO, "the map could not be written");
	return 0;
}

static int put_svg(struct rfs_subject *s, struct rfs_error *err)
{
	struct rfs_report report = { 0 };
	int r = rfs_subject_report(s, &report, err);

	if (r == 0)
		r = rfs_disk_svg(rfs_subject_disk(s), &report, "", stdout, err);
	rfs_report_fini(&report);
	return r;
}

static int put_form(const char *form, struct rfs_subject *s,
		    struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *path = rfs_subject_rescue_file(s, form);
	struct rfs_view *view = rfs_subject_view(s);

	if (!view)
		return path ? copy_file(path, err) : rfs_no_memory(err);
	if (strcmp(form, "svg") == 0)
		return put_svg(s, err);
	if (strcmp(form, "map") == 0)
		return rfs_disk_map(view, rfs_subject_name(s), stdout, err);
	return rfs_disk_json(view, rfs_subject_name(s), stdout, err);
}

static int put_disk(void *data, struct rfs_target *t,
		    const struct rfs_disk *disk, struct rfs_error *err)
{
	const struct request *req = data;
	struct rfs_subject *s;
	int r = rfs_subject_open(t, disk, &s, err), closed;

	if (r < 0)
		return r;
	r = req->form ? put_form(req->form, s, err) : draw(req, s, err);
	closed = rfs_subject_close(s, r < 0 ? NULL : err);
	return r < 0 ? r : closed;
}

static int put_all(void *data, struct rfs_target *t)
{
	const struct request *req = data;
	struct rfs_error err = RFS_ERROR_INIT;

	if (req->form && t->ndisks > 1) {
		rfs_fail(&err, EINVAL, "one disk at a time in this form");
		return rfs_complain(&err, RFS_EXIT_USE);
	}
	return rfs_print_each_disk(t, false, put_disk, data);
}

/*
 * Options.
 */

static int take_colour(struct request *req, const char *value,
		       struct rfs_error *err)
{
	static const char *const names[] = { "auto", "always", "never" };

	req->colour = COLOUR_ALWAYS;
	for (size_t i = 0; value && i < 3; i++)
		if (strcmp(value, names[i]) == 0) {
			req->colour = (enum colour)i;
			return 0;
		}
	if (!value)
		return 0;
	return rfs_fail(err, EINVAL,
			"--color: %s is not one of auto, always, never", value);
}

static int take_width(struct request *req, const char *value,
		      struct rfs_error *err)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*end || end == value || n < RFS_DRAW_WIDTH_MIN || n > WIDTH_MAX)
		return rfs_fail(err, EINVAL,
				"--width: %s is no number from %d to %d", value,
				RFS_DRAW_WIDTH_MIN, WIDTH_MAX);
	req->width = (unsigned int)n;
	return 0;
}

static int take(void *data, int letter, const char *value,
		struct rfs_error *err)
{
	struct request *req = data;

	switch (letter) {
	case 'c':
		return take_colour(req, value, err);
	case 'w':
		return take_width(req, value, err);
	case 'p':
		req->is_plain = true;
		return 0;
	default:
		req->form = letter == 's'   ? "svg"
			    : letter == 'm' ? "map"
					    : "json";
		return 0;
	}
}

int rfs_verb_map(int argc, char **argv)
{
	static const struct option options[] = {
		RFS_SETTINGS_OPTIONS,
		{ "plain", no_argument, NULL, 'p' },
		{ "color", optional_argument, NULL, 'c' },
		{ "width", required_argument, NULL, 'w' },
		{ "svg", no_argument, NULL, 's' },
		{ "mapfile", no_argument, NULL, 'm' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct request req = { 0 };
	const struct rfs_verb_words verb = {
		.name = "map",
		.help = help,
		.options = options,
		.min_disks = 1,
		.max_disks = SIZE_MAX,
		.take = take,
		.run = put_all,
		.data = &req,
	};

	return rfs_verb_with_words(&verb, argc, argv);
}
