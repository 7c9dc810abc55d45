// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/compare_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "core/format.h"
#include "core/freshness.h"
#include "site/names.h"

#define SHORT_LIST 20

const char *rfs_mode_name(uint16_t mode)
{
	if (S_ISREG(mode))
		return "file";
	if (S_ISDIR(mode))
		return "directory";
	return S_ISLNK(mode) ? "link" : "special";
}

static void put_total(FILE *out, const char *what, uint64_t bytes)
{
	char text[RFS_FORMAT_ROOM];

	if (!bytes)
		return;
	rfs_format_bytes(bytes, text);
	fprintf(out, "%-20s %14" PRIu64 "  %s\n", what, bytes, text);
}

static void put_totals(const struct rfs_compared *c, FILE *out)
{
	for (int i = 0; i < RFS_LIKENESSES; i++)
		put_total(out, rfs_likeness_name((enum rfs_likeness)i),
			  c->blocks.totals[i]);
	if (c->blocks.shared || c->blocks.holes)
		fputs("Equal without being read:\n", out);
	put_total(out, "  the same file", c->blocks.shared);
	put_total(out, "  holes in both", c->blocks.holes);
}

static void put_more(uint64_t left, FILE *out)
{
	if (left)
		fprintf(out, "... and %" PRIu64 " more; --whole lists all\n",
			left);
}

static void put_extents(const struct rfs_compared *c, bool whole, FILE *out)
{
	uint64_t size = rfs_comparison_size(&c->blocks), n = 0;
	struct rfs_run run;

	for (uint64_t off = 0; off < size; off = rfs_range_end(run.range)) {
		run = rfs_comparison_find(&c->blocks, off);
		if (run.value == RFS_EQUAL)
			continue;
		if (!n)
			fprintf(out, "\n%14s  %14s  STATE\n", "OFFSET",
				"BYTES");
		if (whole || n < SHORT_LIST)
			fprintf(out, "%14" PRIu64 "  %14" PRIu64 "  %s\n",
				run.range.off, run.range.len,
				rfs_likeness_name(run.value));
		n++;
	}
	if (!whole && n > SHORT_LIST)
		put_more(n - SHORT_LIST, out);
}

/*
 * Files.
 */

static void put_side(const struct rfs_file_side *s, FILE *out)
{
	char time[RFS_TIME_TEXT];

	if (s->is_there) {
		rfs_time_print_short(s->mtime_ns, time);
		fprintf(out, "  %12" PRIu64 " %-20s %12" PRIu64, s->size, time,
			s->bytes);
	} else {
		fprintf(out, "  %12s %-20s %12s", "-",
			s->is_unknown ? "(unreadable)" : "-", "-");
	}
}

static int put_file(const struct rfs_file_difference *f, FILE *out,
		    struct rfs_error *err)
{
	const struct rfs_file_side *s = f->a.is_there ? &f->a : &f->b;
	RFS_CLEANUP_FREE char *path = rfs_path_escape(f->path);

	if (!path)
		return rfs_no_memory(err);
	fprintf(out, "%-9s", rfs_mode_name(s->mode));
	put_side(&f->a, out);
	put_side(&f->b, out);
	fprintf(out, "  %s\n", path);
	return 0;
}

static int put_files(const struct rfs_compared *c, bool whole, FILE *out,
		     struct rfs_error *err)
{
	size_t n = c->files.count;
	int r = 0;

	if (!n)
		return 0;
	fprintf(out, "\n%-9s  %12s %-20s %12s  %12s %-20s %12s  PATH\n", "WHAT",
		"SIZE IN A", "MODIFIED", "DIFFERS", "SIZE IN B", "MODIFIED",
		"DIFFERS");
	if (!whole && n > SHORT_LIST)
		n = SHORT_LIST;
	for (size_t i = 0; i < n && r == 0; i++)
		r = put_file(&c->files.items[i], out, err);
	put_more(c->files.count - n, out);
	return r;
}

static int put_volume(const struct rfs_volume_pair *v, FILE *out,
		      struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *why = rfs_text_escape(v->why);

	if (!why)
		return rfs_no_memory(err);
	if (v->partition)
		fprintf(out, "Partition %u: ", v->partition);
	if (!v->is_comparable) {
		fprintf(out, "no files are compared: %s\n", why);
		return 0;
	}
	fprintf(out,
		"files and links: %" PRIu64 " with the same size and times, "
		"%" PRIu64 " changed, %" PRIu64 " only in A, %" PRIu64
		" only in B",
		v->files_same, v->files_changed, v->files_only_a,
		v->files_only_b);
	if (v->files_unknown)
		fprintf(out, ", of %" PRIu64 " it cannot be read",
			v->files_unknown);
	fputc('\n', out);
	return 0;
}

int rfs_compared_text(const struct rfs_compared *c, bool whole, FILE *out,
		      struct rfs_error *err)
{
	int r = 0;

	fprintf(out, "%s: A is %s, B is %s\n\n", c->disk, c->a, c->b);
	put_totals(c, out);
	put_extents(c, whole, out);
	if (c->files.npairs)
		fputc('\n', out);
	for (size_t i = 0; i < c->files.npairs && r == 0; i++)
		r = put_volume(&c->files.pairs[i], out, err);
	if (r == 0)
		r = put_files(c, whole, out, err);
	if (r == 0 && (fflush(out) == EOF || ferror(out)))
		r = rfs_fail(err, EIO, "%s: what differs could not be written",
			     c->disk);
	return r;
}
