// SPDX-License-Identifier: GPL-3.0-or-later
/* rescuefs compare: two copies of a disk, block by block and file by file. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "site/compare_text.h"
#include "tools/progress.h"
#include "tools/subject.h"
#include "tools/verbs.h"
#include "tools/words.h"

/* As cmp(1) has them: a program that knows one knows the other. */
enum {
	EXIT_SAME = 0,
	EXIT_DIFFERENT = 1,
	EXIT_TROUBLE = 2,
};

struct request {
	bool json, whole, read_shared, quiet, no_files;
	uint64_t block;
	char **sides; /* two words, or NULL */
};

static const char help[] =
	"usage: rescuefs compare [SITE | SOURCES] [--state DIR] [OPTIONS] "
	"DISK [A B]\n"
	"\n"
	"Holds two copies of DISK (\"april-ci/disk\") against each other: "
	"which "
	"blocks\n"
	"differ, which cannot be read on which side, and which files that "
	"hits, with\n"
	"their sizes and times on both sides.  A and B are sources by name, "
	"\"merged\",\n"
	"or the path of a raw image; by default merged and the freshest "
	"backup.\n"
	"What both sides share is not read: holes, and the same base image.\n"
	"Works beside a running mount of the same state, which tells what is "
	"shared.\n"
	"\n"
	"  --block-size N  the unit of difference, a power of two (512)\n"
	"  --no-files      blocks only\n"
	"  --read-shared   reads also what both sides have from the same "
	"file\n"
	"  --whole         lists all extents and files, not the first ones\n"
	"  --json          the same as JSON, whole\n"
	"  --quiet         no progress\n"
	"\n"
	"Exit status as cmp: 0 the same, 1 not so, or not known to be, 2 "
	"trouble.\n"
	"SOURCES and --state are those of rescuefs mount.\n";

/* The freshest copy that is not the first one, a backup where there is one. */
static const char *other_side(const struct rfs_disk *disk)
{
	for (size_t i = 0; i < disk->ncopies; i++)
		if (disk->copies[i].source->kind == RFS_BACKUP)
			return disk->copies[i].source->origin.name;
	return disk->ncopies > 1 ? disk->copies[1].source->origin.name : NULL;
}

static void show(void *data, uint64_t done, uint64_t total, uint64_t unreadable)
{
	(void)total;
	rfs_progress_set(data, done, unreadable / 512);
}

static int compare(const struct request *req, struct rfs_compared *c,
		   struct rfs_reader *a, struct rfs_reader *b,
		   struct rfs_error *err)
{
	struct rfs_progress progress;
	struct rfs_compare_config config = { .a = a,
					     .b = b,
					     .block = req->block,
					     .read_shared = req->read_shared,
					     .progress = show,
					     .data = &progress };
	uint64_t size = rfs_reader_size(a) < rfs_reader_size(b)
				? rfs_reader_size(a)
				: rfs_reader_size(b);
	int r;

	rfs_progress_begin(&progress, c->disk, size, req->quiet);
	r = rfs_compare(&config, &c->blocks, err);
	rfs_progress_clear(&progress);
	if (r == 0 && !req->no_files)
		r = rfs_differences_find(a, b, &c->blocks, &c->files, err);
	return r;
}

static int compare_and_print(const struct request *req, struct rfs_subject *s,
			     struct rfs_compared *c, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *a = NULL;
	RFS_CLEANUP_READER struct rfs_reader *b = NULL;
	int r;

	r = rfs_subject_side(s, c->a, &a, err);
	if (r == 0)
		r = rfs_subject_side(s, c->b, &b, err);
	if (r == 0)
		r = compare(req, c, a, b, err);
	if (r == 0)
		r = req->json ? rfs_compared_json(c, stdout, err)
			      : rfs_compared_text(c, req->whole, stdout, err);
	return r;
}

static int compare_disk(const struct request *req, struct rfs_target *t,
			bool *ret_equal, struct rfs_error *err)
{
	const struct rfs_disk *disk = t->disks[0];
	struct rfs_compared c = { .block_size = req->block };
	struct rfs_subject *s;
	int r, closed;

	c.a = req->sides ? req->sides[0] : "merged";
	c.b = req->sides ? req->sides[1] : other_side(disk);
	if (!c.b)
		return rfs_fail(err, EINVAL,
				"there is one copy of it only; name a file to "
				"compare it with");
	r = rfs_subject_open(t, disk, &s, err);
	if (r < 0)
		return r;
	c.disk = rfs_subject_name(s);
	r = compare_and_print(req, s, &c, err);
	*ret_equal = rfs_comparison_is_equal(&c.blocks);
	rfs_comparison_fini(&c.blocks);
	rfs_differences_fini(&c.files);
	closed = rfs_subject_close(s, r < 0 ? NULL : err);
	return r < 0 ? r : closed;
}

static int run(void *data, struct rfs_target *t)
{
	struct rfs_error err = RFS_ERROR_INIT;
	bool is_equal = false;

	if (compare_disk(data, t, &is_equal, &err) < 0)
		return rfs_complain(&err, EXIT_TROUBLE);
	return is_equal ? EXIT_SAME : EXIT_DIFFERENT;
}

/*
 * Options.
 */

static int take_block(struct request *req, const char *value,
		      struct rfs_error *err)
{
	char *end;

	errno = 0;
	req->block = strtoull(value, &end, 10);
	if (!errno && end != value && (*end == 'k' || *end == 'M')) {
		req->block <<= *end == 'k' ? 10 : 20;
		end++;
	}
	if (errno || end == value || *end || *value == '-' || !req->block ||
	    (req->block & (req->block - 1)) ||
	    req->block > RFS_COMPARE_BLOCK_MAX)
		return rfs_fail(err, EINVAL,
				"--block-size %s: a power of two up to "
				"%" PRIu64 ", or with k or M",
				value, RFS_COMPARE_BLOCK_MAX);
	return 0;
}

static int take(void *data, int letter, const char *value,
		struct rfs_error *err)
{
	struct request *req = data;

	req->whole = req->whole || letter == 'w';
	req->read_shared = req->read_shared || letter == 's';
	req->no_files = req->no_files || letter == 'n';
	return letter == 'b' ? take_block(req, value, err) : 0;
}

int rfs_verb_compare(int argc, char **argv)
{
	static const struct option options[] = {
		RFS_SETTINGS_OPTIONS,
		{ "block-size", required_argument, NULL, 'b' },
		{ "json", no_argument, NULL, 'j' },
		{ "whole", no_argument, NULL, 'w' },
		{ "read-shared", no_argument, NULL, 's' },
		{ "no-files", no_argument, NULL, 'n' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct request req = { .block = RFS_SECTOR };
	const struct rfs_verb_words verb = {
		.name = "compare",
		.help = help,
		.options = options,
		.min_disks = 1,
		.max_disks = 1,
		.tail = 2,
		.ret_tail = &req.sides,
		.ret_json = &req.json,
		.ret_quiet = &req.quiet,
		.take = take,
		.run = run,
		.data = &req,
	};
	int status = rfs_verb_with_words(&verb, argc, argv);

	return status > EXIT_TROUBLE ? EXIT_TROUBLE : status;
}
