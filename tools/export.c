// SPDX-License-Identifier: GPL-3.0-or-later
/* rescuefs export: the merged disk as a file, into a pipe, onto a device. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "readers/readers.h"
#include "site/manifest.h"
#include "tools/export_parts.h"
#include "tools/place.h"
#include "tools/program.h"
#include "tools/verbs.h"
#include "tools/words.h"

static const char help[] =
	"usage: rescuefs export [SITE | SOURCES] [--state DIR] [OPTIONS] DISK\n"
	"                       -o FILE|- | --glance NAME\n"
	"\n"
	"Writes the merged DISK (\"april-ci/disk\") with what was written to "
	"it out to\n"
	"a new file (sparse), a pipe or a block device, or uploads it to "
	"Glance, with\n"
	"its md5 and sha512 on the way.  Works beside a running mount of the "
	"same\n"
	"state.\n"
	"\n"
	"  -o, --output FILE  where to; \"-\" is standard output.  A file has "
	"its name\n"
	"                     only once it is whole, and FILE.manifest.json "
	"beside it\n"
	"  --glance NAME      through the openstack or glance client and its "
	"OS_*\n"
	"                     environment; what Glance has is compared, and "
	"its id\n"
	"                     printed.  With a kernel of its own it is an ami\n"
	"  --format F         of the file: raw (the default) or qcow2\n"
	"  --lost fail|zero   a lost block ends it (the default), or is zeros\n"
	"  --minimum          as small as its ext filesystem can be: fsck and\n"
	"                     resize2fs -M on a throw-away disk\n"
	"  --manifest FILE    where the manifest goes\n"
	"  --force            in place of a file that is there\n"
	"  --json             prints the manifest\n"
	"  --quiet            no progress\n"
	"\n"
	"Exit status 1 if lost blocks became zeros, 3 if a source cannot read "
	"it.\n"
	"SOURCES and --state are those of rescuefs mount.\n";

/* A disk on its way. */
struct job {
	const struct rfs_export_request *req;
	struct rfs_target *target;
	struct rfs_subject *subject;
	struct rfs_minimum minimum;
	struct rfs_exported done;
	struct rfs_report report; /* as known once all is read */
	uint64_t file_size;	  /* of another format */
	struct rfs_digests file_digests;
};

/* Whatever fed on a pipe of ours would take our end for the disk's. */
static volatile sig_atomic_t stopped;

static void stop(int number)
{
	stopped = number;
}

static void catch_signals(void)
{
	static const int caught[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction sa = { .sa_handler = stop };

	for (size_t i = 0; i < sizeof(caught) / sizeof(*caught); i++)
		sigaction(caught[i], &sa, NULL);
	/* A pipe's end is an error of its write. */
	signal(SIGPIPE, SIG_IGN);
}

/* What of 'range' the disk's report does not call lost. */
static uint64_t not_lost(const struct job *j, struct rfs_range range)
{
	const struct rfs_report_item *item = j->report.items;
	size_t i = rfs_report_find(&j->report, range.off);
	uint64_t left = range.len;

	for (; i < j->report.count && item[i].range.off < rfs_range_end(range);
	     i++)
		if (item[i].state == RFS_LOST)
			left -= rfs_range_cut(item[i].range, range).len;
	return left;
}

/* A read also fails where a source was only late, and that makes no zeros. */
static int check_late(struct job *j, const struct rfs_ranges *blank,
		      struct rfs_error *err)
{
	uint64_t late = 0;

	for (size_t i = 0; i < blank->count; i++)
		late += not_lost(j, blank->items[i]);
	if (!late)
		return 0;
	return rfs_fail(err, ETIMEDOUT,
			"%" PRIu64 " bytes of %s were not delivered in time, "
			"which does not make them lost: let rescuefs fetch "
			"read them, and export it then",
			late, rfs_subject_name(j->subject));
}

/* What is lost although no read of ours failed: the site makes it zeros, or the
 * throw-away disk does. */
static int count_lost(struct job *j, struct rfs_ranges *blank,
		      struct rfs_error *err)
{
	uint64_t totals[RFS_BLOCK_STATES];
	int r;

	rfs_report_totals(&j->report, totals);
	j->done.lost = totals[RFS_LOST];
	if (!j->minimum.scratch)
		return 0;
	r = rfs_minimum_lost(&j->minimum, blank, err);
	j->done.lost = rfs_ranges_total(blank);
	return r;
}

static int check_lost(void *data, const struct rfs_ranges *blank,
		      struct rfs_error *err)
{
	struct job *j = data;
	struct rfs_ranges of_minimum = { 0 };
	int r = rfs_subject_report(j->subject, &j->report, err);

	if (r == 0)
		r = count_lost(j, &of_minimum, err);
	if (r == 0)
		r = check_late(j, blank, err);
	if (r == 0)
		r = check_late(j, &of_minimum, err);
	rfs_ranges_fini(&of_minimum);
	if (r < 0 || !j->done.lost || j->req->zero_lost)
		return r;
	return rfs_fail(err, EIO,
			"%" PRIu64 " bytes of %s are lost, and zeros by the "
			"site's lost = zero; --lost zero passes them on",
			j->done.lost, rfs_subject_name(j->subject));
}

/*
 * The manifest.
 */

static int print_manifest(struct job *j, FILE *out, struct rfs_error *err)
{
	struct rfs_losses losses = { 0 };
	struct rfs_manifest m = {
		.disk = rfs_subject_disk(j->subject),
		.size = j->done.size,
		.digests = &j->done.digests,
		.zeroed = j->done.lost,
		.report = &j->report,
		.losses = &losses,
		.format = j->file_size ? "qcow2" : NULL,
		.file_size = j->file_size,
		.file_digests = &j->file_digests,
		.minimum = j->req->minimum ? "e2fsck -fy, resize2fs -M" : NULL,
	};
	int r = rfs_subject_losses(j->subject, true, &losses, err);

	if (r == 0)
		r = rfs_manifest_json(&m, out, err);
	rfs_losses_fini(&losses);
	return r;
}

static int write_manifest(struct job *j, struct rfs_newfile *f,
			  struct rfs_error *err)
{
	int fd = dup(f->fd), r;
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");

	if (!out) {
		r = rfs_fail(err, errno, "%s: %s", f->path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return r;
	}
	r = print_manifest(j, out, err);
	if (fclose(out) != 0 && r == 0)
		r = rfs_fail(err, errno, "%s: %s", f->path, strerror(errno));
	return r;
}

static int open_manifest(const struct job *j, bool is_file,
			 struct rfs_newfile *f, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *beside = NULL;
	const char *path = j->req->manifest;
	int r;

	if (!path && !is_file)
		return 0;
	if (!path &&
	    asprintf(&beside, "%s.manifest.json", j->req->output) < 0) {
		beside = NULL;
		return rfs_no_memory(err);
	}
	path = path ? path : beside;
	r = rfs_sink_check_place(j->target, path, err);
	return r < 0 ? r : rfs_newfile_open(f, path, j->req->force, err);
}

/*
 * Another format: made of the raw file by qemu-img.
 */

static int digest_file(struct rfs_newfile *f, struct job *j,
		       struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *file = NULL;
	struct rfs_exported made;
	int fd = dup(f->fd), r;

	if (fd < 0)
		return rfs_fail(err, errno, "%s: %s", f->path, strerror(errno));
	r = rfs_file_open(fd, false, f->path, NULL, &file, err);
	if (r == 0)
		r = rfs_export_digest(file, &made, err);
	if (r < 0)
		return r;
	j->file_size = made.size;
	j->file_digests = made.digests;
	return 0;
}

/* In place of the raw file, which never gets a name. */
static int convert(struct job *j, struct rfs_sink *raw, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	struct rfs_newfile made;
	char from[48], to[48];
	char *const argv[] = { (char[]){ "qemu-img" },
			       (char[]){ "convert" },
			       (char[]){ "-f" },
			       (char[]){ "raw" },
			       (char[]){ "-O" },
			       (char[]){ "qcow2" },
			       from,
			       to,
			       NULL };
	int r;

	if (ftruncate(raw->fd, (off_t)j->done.size) < 0)
		return rfs_fail(err, errno, "%s: %s", raw->name,
				strerror(errno));
	r = rfs_newfile_open(&made, raw->file.path, j->req->force, err);
	if (r < 0)
		return r;
	snprintf(from, sizeof(from), "/proc/%d/fd/%d", (int)getpid(), raw->fd);
	snprintf(to, sizeof(to), "/proc/%d/fd/%d", (int)getpid(), made.fd);
	r = rfs_program_run(argv, &text, err);
	if (r == 0)
		r = digest_file(&made, j, err);
	if (r == 0)
		r = rfs_newfile_keep(&made, err);
	rfs_newfile_drop(&made);
	return r;
}

static int keep(struct job *j, struct rfs_sink *sink, struct rfs_error *err)
{
	int r;

	if (!j->req->is_qcow2)
		return rfs_sink_keep(sink, err);
	r = convert(j, sink, err);
	rfs_sink_drop(sink);
	return r;
}

/*
 * The work.
 */

static int export_to_sink(struct job *j, const struct rfs_export *what,
			  struct rfs_error *err)
{
	struct rfs_newfile manifest = { .fd = -1 };
	struct rfs_sink sink;
	int r = rfs_sink_open(&sink, j->target, j->req->output,
			      rfs_reader_size(what->disk), j->req->force, err);

	if (r < 0)
		return r;
	if (j->req->is_qcow2 && sink.kind != RFS_SINK_FILE)
		r = rfs_fail(err, EINVAL,
			     "--format qcow2 is for a file: it is not written "
			     "from its beginning to its end");
	if (r == 0)
		r = open_manifest(j, sink.kind == RFS_SINK_FILE, &manifest,
				  err);
	if (r == 0)
		r = rfs_export_copy(what, &sink, &j->done, err);
	if (r == 0)
		r = keep(j, &sink, err);
	else
		rfs_sink_drop(&sink);
	if (r == 0 && manifest.path)
		r = write_manifest(j, &manifest, err);
	if (r == 0 && manifest.path)
		r = rfs_newfile_keep(&manifest, err);
	rfs_newfile_drop(&manifest);
	return r;
}

static int export_to_glance(struct job *j, const struct rfs_export *what,
			    struct rfs_error *err)
{
	struct rfs_newfile manifest = { .fd = -1 };
	int r = open_manifest(j, false, &manifest, err);

	if (r == 0)
		r = rfs_export_to_glance(j->req, j->target, what, &j->done,
					 err);
	if (r == 0 && manifest.path)
		r = write_manifest(j, &manifest, err);
	if (r == 0 && manifest.path)
		r = rfs_newfile_keep(&manifest, err);
	rfs_newfile_drop(&manifest);
	return r;
}

static void tell(struct job *j)
{
	uint64_t totals[RFS_BLOCK_STATES];

	rfs_report_totals(&j->report, totals);
	fprintf(stderr,
		"%s: %" PRIu64 " bytes, of which %" PRIu64 " are stale and "
		"%" PRIu64 " zeros for lost ones\nmd5     %s\nsha512  %s\n",
		rfs_subject_name(j->subject), j->done.size, totals[RFS_STALE],
		j->done.lost, j->done.digests.md5, j->done.digests.sha512);
}

static int work(struct job *j, struct rfs_error *err)
{
	struct rfs_export what = {
		.disk = rfs_subject_merged(j->subject),
		.name = rfs_subject_name(j->subject),
		.zero_lost = j->req->zero_lost,
		.quiet = j->req->quiet,
		.stop = &stopped,
		.check = check_lost,
		.data = j,
	};
	int r = 0;

	if (j->req->minimum)
		r = rfs_place_scratch(&j->target->site, err);
	if (r == 0 && j->req->minimum) {
		r = rfs_minimum_open(&j->minimum, what.disk, what.name,
				     j->req->zero_lost, err);
		what.disk = j->minimum.disk;
	}
	if (r < 0)
		return r;
	r = j->req->glance ? export_to_glance(j, &what, err)
			   : export_to_sink(j, &what, err);
	if (r == 0 && j->req->json)
		r = print_manifest(j, stdout, err);
	else if (r == 0)
		tell(j);
	return r;
}

static int export_disk(struct job *j, struct rfs_error *err)
{
	int r = rfs_subject_open(j->target, j->target->disks[0], &j->subject,
				 err);
	int closed;

	if (r < 0)
		return r;
	r = work(j, err);
	closed = rfs_minimum_close(&j->minimum, r < 0 ? NULL : err);
	r = r < 0 ? r : closed;
	closed = rfs_subject_close(j->subject, r < 0 ? NULL : err);
	rfs_report_fini(&j->report);
	return r < 0 ? r : closed;
}

static int check_request(const struct rfs_export_request *req,
			 struct rfs_error *err)
{
	if (!req->output == !req->glance)
		return rfs_fail(err, EINVAL,
				"say where the disk goes: -o FILE, -o - or "
				"--glance NAME, one of them");
	if (req->glance && req->is_qcow2)
		return rfs_fail(err, EINVAL, "--glance uploads raw disks");
	if (req->json && req->output && strcmp(req->output, "-") == 0)
		return rfs_fail(err, EINVAL,
				"standard output is the disk's or the "
				"manifest's, not both; say --manifest FILE");
	return 0;
}

static int run(void *data, struct rfs_target *t)
{
	const struct rfs_export_request *req = data;
	struct job job = { .req = req, .target = t };
	struct rfs_error err = RFS_ERROR_INIT;
	int r = check_request(req, &err);

	if (r < 0)
		return rfs_complain(&err, RFS_EXIT_USE);
	catch_signals();
	r = export_disk(&job, &err);
	if (r == -EIO || r == -ETIMEDOUT || r == -EBADMSG)
		return rfs_complain(&err, RFS_EXIT_SOURCE);
	if (r < 0)
		return rfs_complain(&err, RFS_EXIT_USE);
	return job.done.lost ? RFS_EXIT_LOSSES : RFS_EXIT_FINE;
}

/*
 * Options.
 */

static int take_word(struct rfs_export_request *req, int letter,
		     const char *value, struct rfs_error *err)
{
	if (letter == 'l' && strcmp(value, "zero") != 0 &&
	    strcmp(value, "fail") != 0)
		return rfs_fail(err, EINVAL, "--lost %s: is fail or zero",
				value);
	if (letter == 'f' && strcmp(value, "raw") != 0 &&
	    strcmp(value, "qcow2") != 0)
		return rfs_fail(err, EINVAL, "--format %s: is raw or qcow2",
				value);
	if (letter == 'l')
		req->zero_lost = *value == 'z';
	if (letter == 'f')
		req->is_qcow2 = *value == 'q';
	return 0;
}

static int take(void *data, int letter, const char *value,
		struct rfs_error *err)
{
	struct rfs_export_request *req = data;

	if (letter == 'o')
		req->output = value;
	else if (letter == 'g')
		req->glance = value;
	else if (letter == 'm')
		req->manifest = value;
	else if (value)
		return take_word(req, letter, value, err);
	req->minimum = req->minimum || letter == 'M';
	req->force = req->force || letter == 'F';
	return 0;
}

int rfs_verb_export(int argc, char **argv)
{
	/* Before the site's, which has a "lost" of its own: the first counts. */
	static const struct option options[] = {
		{ "lost", required_argument, NULL, 'l' },
		RFS_SETTINGS_OPTIONS,
		{ "output", required_argument, NULL, 'o' },
		{ "glance", required_argument, NULL, 'g' },
		{ "manifest", required_argument, NULL, 'm' },
		{ "format", required_argument, NULL, 'f' },
		{ "minimum", no_argument, NULL, 'M' },
		{ "force", no_argument, NULL, 'F' },
		{ "json", no_argument, NULL, 'j' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct rfs_export_request req = { 0 };
	const struct rfs_verb_words verb = {
		.name = "export",
		.help = help,
		.options = options,
		.letters = ":ho:",
		.min_disks = 1,
		.max_disks = 1,
		.ret_json = &req.json,
		.ret_quiet = &req.quiet,
		.take = take,
		.run = run,
		.data = &req,
	};

	return rfs_verb_with_words(&verb, argc, argv);
}
