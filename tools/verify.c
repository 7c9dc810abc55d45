// SPDX-License-Identifier: GPL-3.0-or-later
/* rescuefs verify: a disk read a second time, by other means. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "core/cleanup.h"
#include "core/known.h"
#include "core/vec.h"
#include "site/second.h"
#include "site/verify_text.h"
#include "tools/each_disk.h"
#include "tools/progress.h"
#include "tools/subject.h"
#include "tools/verbs.h"
#include "tools/verify_parts.h"
#include "tools/words.h"

#define ATTRIBUTE "user.rescuefs." RFS_DIGESTS_XATTR
#define PIECE	  ((size_t)1 << 20)

struct request {
	bool json, all, quiet;
	int status; /* the worst that was found */
};

/* One disk being verified. */
struct work {
	const struct request *req;
	struct rfs_target *target;
	struct rfs_verified v;
	struct rfs_progress progress;
};

static const char help[] =
	"usage: rescuefs verify [SITE | SOURCES] [--state DIR] [--json] "
	"[--quiet]\n"
	"                       DISK... | --all\n"
	"\n"
	"Reads each DISK (\"april-ci/disk\") a second time, by independent "
	"means: its\n"
	"copies on sources that are whole, and what the merged disk took "
	"from them, by\n"
	"QEMU or what unpacks them; what was healed, where QEMU finds it by "
	"the other\n"
	"copy's tables; what was rescued of a damaged one, by its digests.  No "
	"sector of\n"
	"a damaged disk is asked for, and what you wrote to the disk is not "
	"part of it.\n"
	"Works beside a running mount of the same state.\n"
	"\n"
	"  --all     every disk\n"
	"  --json    the same as JSON, whole\n"
	"  --quiet   no progress\n"
	"\n"
	"Exit status 0 if all was verified and is equal, 1 if something is "
	"not equal,\n"
	"3 if nothing is but something could not be verified.  SOURCES and "
	"--state are\n"
	"those of rescuefs mount.\n";

/* What cannot be done of a part is told with it, and no error. */
static int excuse(char why[RFS_ERROR_MAX], int r, const struct rfs_error *text,
		  struct rfs_error *err)
{
	if (r == 0)
		return 0;
	if (rfs_is_own_want(r))
		return rfs_fail(err, -r, "%s", text->text);
	memcpy(why, text->text, sizeof(text->text));
	return 0;
}

/*
 * The copies.
 */

static void show(void *data, uint64_t done, uint64_t total, uint64_t unreadable)
{
	(void)total;
	rfs_progress_set(data, done, unreadable / RFS_SECTOR);
}

static int compare_copy(struct work *w, struct rfs_second_look *look,
			struct rfs_reader *first, struct rfs_reader *second,
			struct rfs_error *err)
{
	struct rfs_compare_config config = { .a = first,
					     .b = second,
					     .block = RFS_SECTOR,
					     .read_shared = true,
					     .progress = show,
					     .data = &w->progress };
	int r;

	rfs_progress_begin(&w->progress, w->v.name, rfs_reader_size(first),
			   w->req->quiet);
	r = rfs_compare(&config, &look->blocks, err);
	rfs_progress_clear(&w->progress);
	return r;
}

/*
 * What the merged disk took from a copy.
 */

int rfs_verify_merged(struct rfs_second_look *look, struct rfs_range range,
		      struct rfs_reader *merged, const uint8_t *bytes,
		      uint8_t *buf, struct rfs_error *err)
{
	int r = rfs_reader_read(merged, range, buf, NULL, err);

	if (rfs_is_own_want(r))
		return r;
	look->merged += range.len;
	if (r < 0)
		look->merged_unread += range.len;
	else if (memcmp(buf, bytes, range.len) != 0 &&
		 rfs_verify_list(&look->merged_differs, range, buf, bytes) < 0)
		return rfs_no_memory(err);
	return 0;
}

static int compare_piece(struct rfs_second_look *look, struct rfs_range range,
			 struct rfs_reader *merged, struct rfs_reader *second,
			 uint8_t *bufs, struct rfs_error *err)
{
	int r = rfs_reader_read(second, range, bufs + PIECE, NULL, err);

	if (r == 0)
		return rfs_verify_merged(look, range, merged, bufs + PIECE,
					 bufs, err);
	if (rfs_is_own_want(r))
		return r;
	look->merged += range.len;
	look->merged_unread += range.len;
	return 0;
}

static int compare_merged(struct rfs_second_look *look,
			  const struct rfs_report *report,
			  struct rfs_reader *merged, struct rfs_reader *second,
			  struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *bufs = malloc(2 * PIECE);
	const struct rfs_range both =
		rfs_range(0, rfs_reader_size(merged) < rfs_reader_size(second)
				     ? rfs_reader_size(merged)
				     : rfs_reader_size(second));
	int r = bufs ? 0 : rfs_no_memory(err);

	for (size_t i = 0; i < report->count && r == 0; i++) {
		const struct rfs_report_item *item = &report->items[i];
		struct rfs_range part = rfs_range_cut(item->range, both), piece;

		if (item->origin != &look->copy->source->origin ||
		    item->state == RFS_LOCAL)
			continue;
		for (; part.len && r == 0;
		     part.off += piece.len, part.len -= piece.len) {
			piece = rfs_range_cut(rfs_range(part.off, PIECE), part);
			r = compare_piece(look, piece, merged, second, bufs,
					  err);
		}
	}
	return r;
}

/*
 * All copies.
 */

static int unpack(struct work *w, struct rfs_second_look *look,
		  struct rfs_subject *s, const struct rfs_report *report,
		  struct rfs_second *second, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *first = NULL;
	struct rfs_verify_stream stream = {
		.look = look,
		.merged = s ? rfs_subject_merged(s) : NULL,
		.report = report,
		.progress = &w->progress,
	};
	int r = rfs_target_copy(w->target, w->v.disk, look->copy, &first, err);
	int fd = r < 0 ? r : rfs_second_file(look->copy, second, err);

	if (fd < 0)
		return fd;
	stream.first = first;
	rfs_progress_begin(&w->progress, w->v.name, rfs_reader_size(first),
			   w->req->quiet);
	r = rfs_verify_stream(&stream, fd, err);
	rfs_progress_clear(&w->progress);
	return r;
}

/* It changes while it is read, and what the merged disk took from it may be older. */
static int ask_server(struct work *w, struct rfs_second_look *look,
		      const struct rfs_report *report,
		      struct rfs_second *second, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *first = NULL;
	struct rfs_opener *op = w->target->opener, *own = NULL;
	int r = rfs_second_open(look->copy, &w->target->site.notes, second,
				err);

	/* A mount's file would come from the page cache. */
	if (r == 0 && !op)
		r = rfs_opener_new(&w->target->inv, NULL, &own, err);
	if (r == 0)
		r = rfs_opener_copy(op ? op : own, w->v.disk, look->copy,
				    &first, err);
	if (r == 0)
		r = compare_copy(w, look, first, second->reader, err);
	if (r == 0)
		r = rfs_verify_settle(look, first, second->reader, err);
	first = rfs_reader_unref(first);
	if (own)
		rfs_opener_free(own);
	for (size_t i = 0; i < report->count && r == 0; i++)
		if (report->items[i].origin == &look->copy->source->origin &&
		    report->items[i].state != RFS_LOCAL)
			look->merged += report->items[i].range.len;
	look->merged_unread = look->merged;
	return r;
}

static int ask_qemu(struct work *w, struct rfs_second_look *look,
		    struct rfs_subject *s, const struct rfs_report *report,
		    struct rfs_second *second, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *first = NULL;
	int r = rfs_second_open(look->copy, &w->target->site.notes, second,
				err);

	if (r == 0)
		r = rfs_target_copy(w->target, w->v.disk, look->copy, &first,
				    err);
	if (r == 0)
		r = compare_copy(w, look, first, second->reader, err);
	if (r == 0 && s)
		r = compare_merged(look, report, rfs_subject_merged(s),
				   second->reader, err);
	if (r == 0 && s)
		r = rfs_verify_healed(w->target, s, report, second->reader,
				      look, err);
	return r;
}

static int look_at(struct work *w, const struct rfs_copy *copy,
		   struct rfs_subject *s, const struct rfs_report *report,
		   struct rfs_error *err)
{
	const char *unpacker = rfs_verify_unpacker(copy);
	struct rfs_error why = RFS_ERROR_INIT;
	struct rfs_second second = { 0 };
	struct rfs_second_look *look;
	int r;

	if (RFS_VEC_ROOM(&w->v) < 0)
		return rfs_no_memory(err);
	look = &w->v.items[w->v.count++];
	*look = (struct rfs_second_look){ .copy = copy,
					  .by = unpacker ? unpacker : "QEMU" };
	if (unpacker)
		r = unpack(w, look, s, report, &second, &why);
	else if (copy->place == RFS_EXPORT)
		r = ask_server(w, look, report, &second, &why);
	else
		r = ask_qemu(w, look, s, report, &second, &why);
	if (r == 0)
		look->is_changed = rfs_second_is_changed(&second);
	rfs_second_close(&second);
	return excuse(look->why, r, &why, err);
}

/* What was healed, also by whom no other way leads there. */
static void count_healed(struct rfs_verified *v,
			 const struct rfs_report *report)
{
	for (size_t i = 0; i < report->count; i++)
		if (report->items[i].healed_by &&
		    report->items[i].state != RFS_LOCAL)
			v->healed += report->items[i].range.len;
}

static int look_at_copies(struct work *w, struct rfs_subject *s,
			  struct rfs_error *err)
{
	const struct rfs_disk *disk = w->v.disk;
	struct rfs_report report = { 0 };
	int r = s ? rfs_subject_report(s, &report, err) : 0;

	for (size_t i = 0; i < disk->ncopies && r == 0; i++)
		if (disk->copies[i].source->kind != RFS_DAMAGED)
			r = look_at(w, &disk->copies[i], s, &report, err);
	count_healed(&w->v, &report);
	rfs_report_fini(&report);
	return r;
}

/* Opening a disk reads its header and its first table: of a damaged one only
 * where these are kept.  False, with a reason if it was read before. */
static bool may_open(struct work *w, const struct rfs_disk *disk)
{
	const struct rfs_target *t = w->target;
	const struct rfs_source *source;
	struct rfs_known known;

	if (t->mountpoint)
		return true;
	if (rfs_known_disk(t->state, disk->id, &known, NULL) < 0 ||
	    !known.is_known)
		return false;
	for (size_t i = 0; i < disk->ncopies; i++) {
		source = disk->copies[i].source;
		if (source->kind != RFS_DAMAGED ||
		    rfs_source_store(&t->site, source) == RFS_STORE_ON)
			continue;
		snprintf(w->v.merged_why, sizeof(w->v.merged_why),
			 "opening it could read %s, of which not everything is "
			 "kept (store); beside a mount it is verified",
			 source->origin.name);
		return false;
	}
	return true;
}

static int read_again(struct work *w, struct rfs_error *err)
{
	struct rfs_error why = RFS_ERROR_INIT;
	struct rfs_subject *s = NULL;
	int r = 0, closed;

	if (may_open(w, w->v.disk))
		r = rfs_subject_open(w->target, w->v.disk, &s, &why);
	r = excuse(w->v.merged_why, r, &why, err);
	if (r == 0)
		r = look_at_copies(w, s, err);
	closed = rfs_subject_close(s, r < 0 ? NULL : err);
	return r < 0 ? r : closed;
}

/*
 * The rescued store.
 */

/* As the mount has it, which holds the state. */
static int ask_mount(const char *image, const char *position, char **ret,
		     struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *name = NULL;
	char *text = calloc(1, RFS_DIGESTS_ROOM + 1);

	if (!text || asprintf(&name, ATTRIBUTE "%s", position) < 0) {
		name = NULL;
		free(text);
		return rfs_no_memory(err);
	}
	if (getxattr(image, name, text, RFS_DIGESTS_ROOM) < 0) {
		free(text);
		return rfs_fail(err, errno,
				"%s: the mount does not check its digests: %s",
				image, strerror(errno));
	}
	*ret = text;
	return 0;
}

static int check_digests(struct work *w, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *position = strdup("0.0");
	RFS_CLEANUP_FREE char *image = NULL;
	uint64_t checked = 0;
	int r = position ? 0 : rfs_no_memory(err);

	if (r == 0 && w->target->mountpoint)
		r = rfs_target_image(w->target, w->v.disk, &image, err);
	rfs_progress_begin(&w->progress, w->v.name, 0, w->req->quiet);
	while (r == 0 && position) {
		RFS_CLEANUP_FREE char *piece = NULL;

		r = image ? ask_mount(image, position, &piece, err)
			  : rfs_digests_piece(w->target->state, w->v.disk,
					      position, &piece, err);
		free(RFS_STEAL(position));
		if (r == 0)
			r = rfs_digests_add(&w->v.rescued, piece, &position,
					    err);
		checked = 0;
		for (size_t i = 0; i < w->v.rescued.count; i++)
			checked += w->v.rescued.items[i].checked;
		rfs_progress_set(&w->progress, checked, 0);
	}
	rfs_progress_clear(&w->progress);
	return r;
}

/*
 * The verb.
 */

static int verify_disk(void *data, struct rfs_target *target,
		       const struct rfs_disk *disk, struct rfs_error *err)
{
	struct request *req = data;
	RFS_CLEANUP_FREE char *name = rfs_disk_path(disk);
	struct work w = { .req = req,
			  .target = target,
			  .v = { .disk = disk, .name = name } };
	int r = name ? 0 : rfs_no_memory(err);

	/* The digests first: what they find is not served any more. */
	if (r == 0)
		r = check_digests(&w, err);
	if (r == 0)
		r = read_again(&w, err);
	if (r == 0)
		r = req->json ? rfs_verified_json(&w.v, stdout, err)
			      : rfs_verified_text(&w.v, stdout, err);
	if (r == 0 && rfs_verified_differs(&w.v))
		req->status = RFS_EXIT_LOSSES;
	else if (r == 0 && !rfs_verified_is_whole(&w.v) &&
		 req->status == RFS_EXIT_FINE)
		req->status = RFS_EXIT_SOURCE;
	rfs_verified_fini(&w.v);
	return r;
}

static int run(void *data, struct rfs_target *t)
{
	struct request *req = data;
	int failed = rfs_print_each_disk(t, req->json, verify_disk, req);

	/* What is not equal weighs more than what cannot be told. */
	return req->status == RFS_EXIT_FINE ? failed : req->status;
}

int rfs_verb_verify(int argc, char **argv)
{
	static const struct option options[] = {
		RFS_SETTINGS_OPTIONS,
		{ "json", no_argument, NULL, 'j' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "all", no_argument, NULL, 'a' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct request req = { 0 };
	const struct rfs_verb_words verb = {
		.name = "verify",
		.help = help,
		.options = options,
		.min_disks = 1,
		.max_disks = SIZE_MAX,
		.ret_all = &req.all,
		.ret_json = &req.json,
		.ret_quiet = &req.quiet,
		.run = run,
		.data = &req,
	};

	return rfs_verb_with_words(&verb, argc, argv);
}
