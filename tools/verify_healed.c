// SPDX-License-Identifier: GPL-3.0-or-later
/* verify_healed.c - what was healed of a disk, derived once more. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "site/kept.h"
#include "site/qemu_map.h"
#include "site/second.h"
#include "tools/program.h"
#include "tools/verify_parts.h"

#define ATTRIBUTE "user.rescuefs." RFS_KEPT_XATTR
#define MAPPER	  "qemu-img"

/* What one copy's tables healed of one damaged copy. */
struct derivation {
	const struct rfs_target *target;
	const struct rfs_copy *damaged;
	const char *image; /* in the mount; NULL: the state is held here */
	struct rfs_reader *merged, *second;
	struct rfs_second_healed *found;
	struct rfs_ranges todo; /* of the disk, ascending */
	size_t next;		/* the first of these that is not done */
	/* What the copy has nothing of: the image's own tables may, which are
	 * looked at last. */
	struct rfs_ranges rest, known;
	bool is_last;
	struct rfs_kept_piece kept;
	uint8_t bytes[RFS_KEPT_PIECE], other[RFS_KEPT_PIECE];
};

int rfs_verify_list(struct rfs_ranges *ret, struct rfs_range range,
		    const uint8_t *a, const uint8_t *b)
{
	struct rfs_range part;
	int r = 0;

	for (uint64_t at = 0; at < range.len && r == 0; at += part.len) {
		part = rfs_range_cut(rfs_range(range.off + at, RFS_SECTOR),
				     range);
		if (memcmp(a + at, b + at, part.len) != 0)
			r = rfs_ranges_add(ret, part);
	}
	return r;
}

/*
 * One piece.
 */

static int ask_mount(struct derivation *d, struct rfs_range range,
		     struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *question = NULL;
	RFS_CLEANUP_FREE char *name = NULL;
	RFS_CLEANUP_FREE char *answer = calloc(1, RFS_KEPT_ROOM + 1);
	int r = answer ? rfs_kept_ask(d->damaged, range, &question, err)
		       : rfs_no_memory(err);

	if (r < 0)
		return r;
	if (asprintf(&name, ATTRIBUTE "%s", question) < 0) {
		name = NULL;
		return rfs_no_memory(err);
	}
	if (getxattr(d->image, name, answer, RFS_KEPT_ROOM) < 0)
		return rfs_fail(err, errno,
				"%s: the mount does not tell what it has "
				"rescued: %s",
				d->image, strerror(errno));
	return rfs_kept_understand(answer, range, &d->kept, err);
}

/* The damaged image's file, as far as it was rescued. */
static int read_kept(struct derivation *d, struct rfs_range range,
		     struct rfs_error *err)
{
	return d->image ? ask_mount(d, range, err)
			: rfs_kept_read(d->target->state, d->damaged, range,
					&d->kept, err);
}

/* The merged disk against 'want'. */
static int compare(struct derivation *d, struct rfs_range range,
		   const uint8_t *want, struct rfs_error *err)
{
	uint64_t differed = rfs_ranges_total(&d->found->differs);
	int r = rfs_reader_read(d->merged, range, d->bytes, NULL, err);

	if (rfs_is_own_want(r))
		return r;
	if (r < 0) {
		d->found->unread += range.len;
		return 0;
	}
	if (rfs_verify_list(&d->found->differs, range, d->bytes, want) < 0)
		return rfs_no_memory(err);
	d->found->equal +=
		range.len - (rfs_ranges_total(&d->found->differs) - differed);
	return 0;
}

/* By the copy that healed it, as QEMU reads that. */
static int derive_other(struct derivation *d, struct rfs_range range,
			struct rfs_error *err)
{
	int r = rfs_reader_read(d->second, range, d->other, NULL, err);

	if (rfs_is_own_want(r))
		return r;
	if (r == 0)
		return compare(d, range, d->other, err);
	d->found->unread += range.len;
	return 0;
}

static int derive_stored(struct derivation *d, struct rfs_range *range,
			 uint64_t host, struct rfs_error *err)
{
	int r = read_kept(d, rfs_range(host, range->len), err);

	if (r < 0)
		return r;
	range->len = d->kept.len;
	if (d->kept.is_kept)
		return compare(d, *range, d->kept.bytes, err);
	d->found->unkept += range->len;
	return 0;
}

static int derive_zero(struct derivation *d, struct rfs_range range,
		       struct rfs_error *err)
{
	memset(d->other, 0, range.len);
	return compare(d, range, d->other, err);
}

/* A piece of a place, as far as one reading of it goes. */
static int derive_piece(struct derivation *d, struct rfs_range *piece,
			const struct rfs_qemu_place *place,
			struct rfs_error *err)
{
	if (place->is_data && place->is_told)
		return derive_stored(
			d, piece, place->host + piece->off - place->range.off,
			err);
	if (place->is_present && !place->is_data)
		return derive_zero(d, *piece, err);
	/* Compressed in that copy; or in what that stands on, where the image's
	 * own tables have nothing either. */
	return derive_other(d, *piece, err);
}

/* 'range' lies in the place, and in what is to be done. */
static int derive(struct derivation *d, struct rfs_range range,
		  const struct rfs_qemu_place *place, struct rfs_error *err)
{
	struct rfs_range piece;
	int r = 0;

	if (!place->is_data && !d->is_last)
		return rfs_ranges_add(&d->rest, range) < 0 ? rfs_no_memory(err)
							   : 0;
	/* What is packed there nobody but us could unpack. */
	if (d->is_last && place->is_data && !place->is_told) {
		d->found->packed += range.len;
		return 0;
	}
	for (; range.len && r == 0;
	     range.off += piece.len, range.len -= piece.len) {
		piece = rfs_range_cut(rfs_range(range.off, RFS_KEPT_PIECE),
				      range);
		r = derive_piece(d, &piece, place, err);
	}
	return r;
}

/*
 * QEMU's map.
 */

/* Places ascend, as the ranges do. */
static int take_place(struct derivation *d, const struct rfs_qemu_place *place,
		      struct rfs_error *err)
{
	const uint64_t end = rfs_range_end(place->range);
	struct rfs_range range;
	int r = 0;

	while (d->next < d->todo.count && r == 0) {
		range = d->todo.items[d->next];
		if (range.off >= end)
			break;
		if (rfs_range_cut(range, place->range).len)
			r = derive(d, rfs_range_cut(range, place->range), place,
				   err);
		if (rfs_range_end(range) > end)
			break;
		d->next++;
	}
	return r;
}

static int read_map(struct derivation *d, FILE *in, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *line = NULL;
	struct rfs_qemu_place place;
	size_t room = 0;
	int r = 0;

	while (r == 0 && getline(&line, &room, in) > 0) {
		if (!strchr(line, '{'))
			continue;
		r = rfs_qemu_map_line(line, &place, err);
		if (r == 0)
			r = take_place(d, &place, err);
	}
	return r;
}

static int run_map(struct derivation *d, char *image, struct rfs_error *err)
{
	const struct rfs_range last = d->todo.items[d->todo.count - 1];
	char from[64], most[64], name[] = MAPPER, verb[] = "map";
	char form[] = "--output=json";
	char *argv[] = { name, verb, form, from, most, image, NULL };
	RFS_CLEANUP_FILE FILE *in = NULL;
	RFS_CLEANUP_FREE char *text = NULL;
	struct rfs_program p;
	int r, out;

	snprintf(from, sizeof(from), "--start-offset=%" PRIu64,
		 d->todo.items[0].off);
	snprintf(most, sizeof(most), "--max-length=%" PRIu64,
		 rfs_range_end(last) - d->todo.items[0].off);
	r = rfs_program_start(&p, argv, false, err);
	if (r < 0)
		return r;
	out = dup(p.out);
	in = out < 0 ? NULL : fdopen(out, "r");
	if (!in && out >= 0)
		close(out);
	r = in ? read_map(d, in, err) : rfs_no_memory(err);
	if (r == 0)
		return rfs_program_finish(&p, &text, err);
	rfs_program_stop(&p);
	return r;
}

/*
 * All of it.
 */

/* What 'by' healed of 'damaged', and the user has not written over. */
static int list_healed(const struct rfs_report *report,
		       const struct rfs_origin *damaged,
		       const struct rfs_origin *by, struct rfs_ranges *ret)
{
	const struct rfs_report_item *item;
	int r = 0;

	for (size_t i = 0; i < report->count && r == 0; i++) {
		item = &report->items[i];
		if (item->healed_by == by && item->origin == damaged &&
		    item->state != RFS_LOCAL)
			r = rfs_ranges_add(ret, item->range);
	}
	return r;
}

static int read_tables(void *data, struct rfs_range range, uint8_t *buf,
		       uint64_t *ret_len, bool *ret_kept, struct rfs_error *err)
{
	struct derivation *d = data;
	int r = read_kept(
		d, rfs_range_cut(range, rfs_range(range.off, RFS_KEPT_PIECE)),
		err);

	if (r < 0)
		return r;
	*ret_len = d->kept.len;
	*ret_kept = d->kept.is_kept;
	if (*ret_kept)
		memcpy(buf, d->kept.bytes, d->kept.len);
	return 0;
}

/* To be done is what is left, where the tables are known; both ascend. */
static int keep_known(struct derivation *d)
{
	struct rfs_range range;
	size_t k = 0;
	int r = 0;

	rfs_ranges_clear(&d->todo);
	d->next = 0;
	for (size_t i = 0; i < d->rest.count && r == 0; i++) {
		range = d->rest.items[i];
		while (k < d->known.count &&
		       rfs_range_end(d->known.items[k]) <= range.off)
			k++;
		for (size_t j = k; j < d->known.count && r == 0 &&
				   d->known.items[j].off < rfs_range_end(range);
		     j++)
			r = rfs_ranges_add(
				&d->todo,
				rfs_range_cut(range, d->known.items[j]));
	}
	d->found->unkept +=
		rfs_ranges_total(&d->rest) - rfs_ranges_total(&d->todo);
	return r;
}

/* What is left, by the image's own L2 tables. */
static int derive_rest(struct derivation *d, int other_fd,
		       struct rfs_error *err)
{
	const struct rfs_verify_tables from = {
		.read = read_tables,
		.data = d,
		.other_fd = other_fd,
		.size = d->damaged->generation.size,
	};
	RFS_CLEANUP_FREE char *image = NULL;
	RFS_CLEANUP_FD int fd = -1;
	int r;

	if (!d->rest.count)
		return 0;
	fd = rfs_verify_tables(&from, &d->rest, &d->known, err);
	if (fd < 0)
		return fd;
	if (keep_known(d) < 0)
		return rfs_no_memory(err);
	d->is_last = true;
	r = rfs_second_describe(fd, &image, err);
	return r < 0 || !d->todo.count ? r : run_map(d, image, err);
}

static int derive_all(struct derivation *d, const struct rfs_copy *by,
		      struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *image = NULL;
	struct rfs_second alone = { 0 };
	int r = rfs_second_alone(by, &alone, &image, err);

	if (r == 0)
		r = run_map(d, image, err);
	if (r == 0)
		r = derive_rest(d, alone.fds[0], err);
	rfs_second_close(&alone);
	return r;
}

/* Of one damaged copy. */
static int derive_copy(struct rfs_subject *s, struct derivation *d,
		       const struct rfs_report *report,
		       struct rfs_second_look *look, struct rfs_error *err)
{
	const struct rfs_origin *by = &look->copy->source->origin;
	struct rfs_error why = RFS_ERROR_INIT;
	int r = 0;

	if (list_healed(report, &d->damaged->source->origin, by, &d->todo) < 0)
		return rfs_no_memory(err);
	look->healed.bytes += rfs_ranges_total(&d->todo);
	d->next = 0;
	d->merged = rfs_subject_merged(s);
	d->found = &look->healed;
	if (d->todo.count)
		r = derive_all(d, look->copy, &why);
	rfs_ranges_fini(&d->todo);
	rfs_ranges_fini(&d->rest);
	rfs_ranges_fini(&d->known);
	if (rfs_is_own_want(r))
		return rfs_fail(err, -r, "%s", why.text);
	if (r < 0)
		memcpy(look->healed.why, why.text, sizeof(why.text));
	return 0;
}

int rfs_verify_healed(struct rfs_target *t, struct rfs_subject *s,
		      const struct rfs_report *report,
		      struct rfs_reader *second, struct rfs_second_look *look,
		      struct rfs_error *err)
{
	const struct rfs_disk *disk = rfs_subject_disk(s);
	RFS_CLEANUP_FREE struct derivation *d = calloc(1, sizeof(*d));
	RFS_CLEANUP_FREE char *image = NULL;
	int r = d ? 0 : rfs_no_memory(err);

	if (r == 0 && t->mountpoint)
		r = rfs_target_image(t, disk, &image, err);
	for (size_t i = 0; i < disk->ncopies && r == 0; i++) {
		if (disk->copies[i].source->kind != RFS_DAMAGED)
			continue;
		*d = (struct derivation){ .target = t,
					  .damaged = &disk->copies[i],
					  .image = image,
					  .second = second };
		r = derive_copy(s, d, report, look, err);
	}
	return r;
}
