// SPDX-License-Identifier: GPL-3.0-or-later
/* rescuefs advise: the merged disk or a backup, with the figures behind it. */
#include "tools/advise.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/vec.h"
#include "core/withhold.h"
#include "ext/differences.h"
#include "ext/ext.h"
#include "ext/reading.h"
#include "tools/check.h"
#include "tools/each_disk.h"
#include "tools/place.h"
#include "tools/progress.h"
#include "tools/verbs.h"
#include "tools/words.h"

static struct rfs_advice_candidate *add(struct rfs_advice *a)
{
	if (RFS_VEC_ROOM(a) < 0)
		return NULL;
	a->items[a->count] = (struct rfs_advice_candidate){ 0 };
	return &a->items[a->count++];
}

static bool has_ext(const struct rfs_losses *losses)
{
	for (size_t i = 0; i < losses->nvolumes; i++)
		if (losses->volumes[i].is_ext)
			return true;
	return false;
}

static int take_losses(struct rfs_advice_candidate *c,
		       const struct rfs_losses *losses, struct rfs_error *err)
{
	bool is_ext = has_ext(losses);
	struct rfs_losses_sum lost, stale, wrong;
	int r = rfs_losses_sum(losses, RFS_LOSS_LOST, &lost, err);

	if (r == 0)
		r = rfs_losses_sum(losses, RFS_LOSS_STALE, &stale, err);
	if (r == 0)
		r = rfs_losses_sum(losses, RFS_LOSS_WRONG, &wrong, err);
	if (r < 0)
		return r;
	c->lost = lost.data + lost.tables + lost.unknown;
	c->lost_tables = lost.tables;
	c->stale = stale.data + stale.tables + stale.unknown;
	c->stale_tables = stale.tables;
	c->wrong = wrong.data + wrong.tables + wrong.unknown;
	c->files_hit = lost.inodes + stale.inodes;
	c->other = 0;
	for (size_t i = 0; is_ext && i < losses->count; i++)
		if (losses->items[i].kind == RFS_LOSS_OTHER)
			c->other += losses->items[i].bytes;
	c->unread = losses->unread_used;
	for (uint32_t i = 0; i < losses->nvolumes; i++)
		if (rfs_losses_journal(losses, i) == RFS_JOURNAL_HIT_DIRTY)
			c->is_journal_hit = true;
	return 0;
}

/* What cannot be done for one candidate is told, and not an error. */
static int excuse(struct rfs_advice_candidate *c, int r,
		  const struct rfs_error *why, struct rfs_error *err)
{
	if (r == 0)
		return 0;
	if (r == -EINTR || rfs_is_own_want(r))
		return rfs_fail(err, -r, "%s", why->text);
	memcpy(c->why, why->text, sizeof(c->why));
	return 0;
}

/* A disk with what 'report' says of it. */
static int look_at(struct rfs_advice *a, struct rfs_advice_candidate *c,
		   struct rfs_reader *disk, const struct rfs_report *report,
		   struct rfs_error *err)
{
	struct rfs_losses losses = { 0 };
	int r = rfs_losses_find(disk, report, &losses, err);

	if (r < 0)
		return r;
	r = take_losses(c, &losses, err);
	if (r == 0 && has_ext(&losses)) {
		a->is_ext = true;
		r = rfs_check_disk(disk, &losses, &c->check, err);
	}
	rfs_losses_fini(&losses);
	return r;
}

/* An older block without those parts of it that 'data' does not name. */
static int withhold_item(const struct rfs_report_item *from,
			 const struct rfs_extmap *data, struct rfs_report *ret,
			 bool *ret_any)
{
	struct rfs_report_item item;
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = from->range.off;
	     off < rfs_range_end(from->range) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find_in(data, off, from->range);
		item = *from;
		item.range = run.range;
		if (!run.value) {
			item.state = item.was = RFS_LOST;
			item.origin = NULL;
			*ret_any = true;
		}
		r = rfs_report_add(ret, &item);
	}
	return r;
}

/* The same report without its older blocks, but where 'data' has a value. */
static int withheld_report(const struct rfs_report *from,
			   const struct rfs_extmap *data,
			   struct rfs_report *ret, bool *ret_any)
{
	int r = 0;

	*ret_any = false;
	for (size_t i = 0; i < from->count && r == 0; i++)
		r = from->items[i].state == RFS_STALE
			    ? withhold_item(&from->items[i], data, ret, ret_any)
			    : rfs_report_add(ret, &from->items[i]);
	return r;
}

/* Nothing, if it is no other than the merged disk as it is. */
static int look_withheld(struct rfs_advice *a, struct rfs_subject *s,
			 const struct rfs_report *report, enum rfs_fill fill,
			 const struct rfs_extmap *data, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *disk = NULL;
	struct rfs_error why = RFS_ERROR_INIT;
	struct rfs_advice_candidate *c;
	struct rfs_report without = { 0 };
	bool any;
	int r = withheld_report(report, data, &without, &any);

	if (r == 0 && any) {
		c = add(a);
		r = c ? rfs_withhold_open(rfs_subject_merged(s), &without,
					  &disk, err)
		      : -ENOMEM;
		if (r == 0) {
			c->is_merged = true;
			c->fill = fill;
			r = excuse(c, look_at(a, c, disk, &without, &why), &why,
				   err);
		}
	}
	rfs_reader_unref(RFS_STEAL(disk));
	rfs_report_fini(&without);
	return r == -ENOMEM ? rfs_no_memory(err) : r;
}

static bool has_stale(const struct rfs_report *report)
{
	for (size_t i = 0; i < report->count; i++)
		if (report->items[i].state == RFS_STALE)
			return true;
	return false;
}

/* As a mount does: by the freshest copy's tables alone, and where they cannot be
 * had nothing is data. */
static int look_at_fills(struct rfs_advice *a, struct rfs_subject *s,
			 const struct rfs_report *report, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *fresh = NULL;
	struct rfs_extmap data = { 0 }, none = { 0 };
	int r = 0;

	if (!has_stale(report))
		return 0;
	if (rfs_subject_copy(s, &a->disk->copies[0], &fresh, NULL) == 0)
		r = rfs_ext_data(fresh, &data, NULL);
	if (rfs_is_own_want(r))
		r = rfs_fail(err, -r, "no room to look at %s",
			     rfs_subject_name(s));
	else
		r = look_withheld(a, s, report, RFS_FILL_DATA, &data, err);
	if (r == 0)
		r = look_withheld(a, s, report, RFS_FILL_NONE, &none, err);
	rfs_extmap_fini(&data);
	return r;
}

/* Its tables first, so that what they are is in the report. */
static int look_merged(struct rfs_advice *a, struct rfs_subject *s,
		       struct rfs_error *err)
{
	struct rfs_error why = RFS_ERROR_INIT;
	struct rfs_losses losses = { 0 };
	struct rfs_report report = { 0 };
	struct rfs_advice_candidate *c = add(a);
	int r;

	if (!c)
		return rfs_no_memory(err);
	c->is_merged = true;
	r = rfs_subject_losses(s, false, &losses, &why);
	if (r == 0)
		r = take_losses(c, &losses, &why);
	if (r == 0 && has_ext(&losses)) {
		a->is_ext = true;
		r = rfs_check_disk(rfs_subject_merged(s), &losses, &c->check,
				   &why);
		rfs_losses_fini(&losses);
		/* It may have asked for what nobody had before. */
		if (r == 0)
			r = rfs_subject_losses(s, false, &losses, &why);
		if (r == 0)
			r = take_losses(c, &losses, &why);
	}
	a->unread = losses.unread_used;
	rfs_losses_fini(&losses);
	r = excuse(c, r, &why, err);
	if (r == 0)
		r = rfs_subject_report(s, &report, err);
	if (r == 0)
		r = look_at_fills(a, s, &report, err);
	rfs_report_fini(&report);
	return r;
}

/* How many files the merged disk has newer, or alone. */
static int count_given_up(struct rfs_subject *s, struct rfs_reader *disk,
			  struct rfs_advice_candidate *c, struct rfs_error *err)
{
	struct rfs_differences d = { 0 };
	int r = rfs_differences_find(rfs_subject_merged(s), disk, NULL, &d,
				     err);

	for (size_t i = 0; i < d.npairs && r == 0; i++) {
		if (!d.pairs[i].is_comparable)
			continue;
		c->is_compared = true;
		c->given_up +=
			d.pairs[i].files_changed + d.pairs[i].files_only_a;
	}
	rfs_differences_fini(&d);
	return r;
}

static void show(void *data, uint64_t done, uint64_t total, uint64_t unreadable)
{
	struct rfs_progress *p = data;

	p->total = total;
	rfs_progress_set(p, done, unreadable / RFS_SECTOR);
}

/* It has no help from other sources, so that none of those is asked. */
static int read_copy(struct rfs_reader *disk, const struct rfs_copy *copy,
		     struct rfs_report *ret, struct rfs_error *err)
{
	struct rfs_progress progress;
	struct rfs_ext_reading reading = { .disk = disk,
					   .origin = &copy->source->origin,
					   .progress = show,
					   .data = &progress };
	int r;

	rfs_progress_begin(&progress, copy->source->origin.name, 0, false);
	r = rfs_ext_read_used(&reading, ret, err);
	rfs_progress_clear(&progress);
	return r;
}

static int say_unread(struct rfs_reader *disk, struct rfs_report *ret,
		      struct rfs_error *err)
{
	struct rfs_report_item all = { .state = RFS_UNREAD, .was = RFS_UNREAD };

	all.range = rfs_range(0, rfs_reader_size(disk));
	return rfs_report_add(ret, &all) < 0 ? rfs_no_memory(err) : 0;
}

/* Of one age, as far as it can be read. */
static int look_alone(struct rfs_advice *a, struct rfs_subject *s, bool quick,
		      struct rfs_advice_candidate *c, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *disk = NULL;
	struct rfs_report report = { 0 };
	int r = rfs_subject_copy(s, c->copy, &disk, err);

	if (r < 0)
		return r;
	r = quick ? say_unread(disk, &report, err)
		  : read_copy(disk, c->copy, &report, err);
	if (r == 0)
		r = look_at(a, c, disk, &report, err);
	if (r == 0)
		r = count_given_up(s, disk, c, err);
	rfs_report_fini(&report);
	return r;
}

static int look_copies(struct rfs_advice *a, struct rfs_subject *s, bool quick,
		       struct rfs_error *err)
{
	const struct rfs_disk *disk = rfs_subject_disk(s);
	struct rfs_advice_candidate *c;
	int r = 0;

	for (size_t i = 0; i < disk->ncopies && r == 0; i++) {
		struct rfs_error why = RFS_ERROR_INIT;

		if (disk->copies[i].source->kind == RFS_DAMAGED)
			continue;
		c = add(a);
		if (!c)
			return rfs_no_memory(err);
		c->copy = &disk->copies[i];
		r = excuse(c, look_alone(a, s, quick, c, &why), &why, err);
	}
	return r;
}

int rfs_advise(struct rfs_subject *s, bool quick, struct rfs_advice *ret,
	       struct rfs_error *err)
{
	struct rfs_advice a = { .disk = rfs_subject_disk(s),
				.said = rfs_subject_site(s)->said };
	int r = look_merged(&a, s, err);

	if (r == 0)
		r = look_copies(&a, s, quick, err);
	if (r < 0) {
		rfs_advice_fini(&a);
		return r;
	}
	rfs_advice_judge(&a);
	*ret = a;
	return 0;
}

/*
 * The verb.
 */

struct request {
	bool json, all, quick;
	int status; /* the worst that was found */
};

static const char help[] =
	"usage: rescuefs advise [SITE | SOURCES] [--state DIR] [--json] "
	"DISK... | --all\n"
	"\n"
	"Says of each DISK (\"april-ci/disk\") whether to keep the merged disk "
	"or to go\n"
	"back to a copy, with the figures: what is lost and old, what e2fsck "
	"-fy does to\n"
	"each, tried on a throw-away copy in $TMPDIR (/var/tmp), and how many "
	"newer files\n"
	"a backup would give up; and the commands that follow.  Nothing is "
	"written to a\n"
	"disk.  Reads what e2fsck asks for, each sector once, as any reader "
	"does.\n"
	"Works beside a running mount of the same state.\n"
	"\n"
	"  --all     every disk\n"
	"  --quick   reads of a backup or a live copy what e2fsck asks for, "
	"and "
	"not all\n"
	"            that it uses\n"
	"  --json    the same as JSON\n"
	"\n"
	"Exit status 1 if the merged disk is not what is recommended.  SOURCES "
	"and\n"
	"--state are those of rescuefs mount.\n";

static int advise_disk(void *data, struct rfs_target *t,
		       const struct rfs_disk *disk, struct rfs_error *err)
{
	struct request *req = data;
	struct rfs_advice advice = { 0 };
	struct rfs_subject *s;
	int r = rfs_subject_open(t, disk, &s, err), closed;

	if (r < 0)
		return r;
	r = rfs_advise(s, req->quick, &advice, err);
	if (r == 0)
		r = req->json ? rfs_advice_json(&advice, t->mountpoint, stdout,
						err)
			      : rfs_advice_text(&advice, t->mountpoint, stdout,
						err);
	if (r == 0 && (!advice.choice || !advice.choice->is_merged))
		req->status = RFS_EXIT_LOSSES;
	rfs_advice_fini(&advice);
	closed = rfs_subject_close(s, r < 0 ? NULL : err);
	return r < 0 ? r : closed;
}

static int run(void *data, struct rfs_target *t)
{
	struct request *req = data;
	struct rfs_error err = RFS_ERROR_INIT;
	int failed;

	if (rfs_place_scratch(&t->site, &err) < 0)
		return rfs_complain(&err, RFS_EXIT_USE);
	failed = rfs_print_each_disk(t, req->json, advise_disk, req);
	return failed ? failed : req->status;
}

static int take(void *data, int letter, const char *value,
		struct rfs_error *err)
{
	struct request *req = data;

	(void)value;
	(void)err;
	req->quick = req->quick || letter == 'k';
	return 0;
}

int rfs_verb_advise(int argc, char **argv)
{
	static const struct option options[] = {
		RFS_SETTINGS_OPTIONS,
		{ "json", no_argument, NULL, 'j' },
		{ "all", no_argument, NULL, 'a' },
		{ "quick", no_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct request req = { 0 };
	const struct rfs_verb_words verb = {
		.name = "advise",
		.help = help,
		.options = options,
		.min_disks = 1,
		.max_disks = SIZE_MAX,
		.ret_all = &req.all,
		.ret_json = &req.json,
		.take = take,
		.run = run,
		.data = &req,
	};

	return rfs_verb_with_words(&verb, argc, argv);
}
