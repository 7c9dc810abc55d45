// SPDX-License-Identifier: GPL-3.0-or-later
#include "tools/subject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "readers/readers.h"
#include "site/disk_json.h"
#include "tools/mounted.h"
#include "tools/progress.h"

struct rfs_subject {
	struct rfs_target *target;
	const struct rfs_disk *disk;
	char *name;
	struct rfs_view *view;	   /* NULL beside a mount */
	struct rfs_reader *merged; /* of the view, or of the mount's image */
};

static int open_image(struct rfs_subject *s, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *image = NULL;
	int r = rfs_target_image(s->target, s->disk, &image, err);

	return r < 0 ? r
		     : rfs_mounted_open(image, s->name, NULL, &s->merged, err);
}

static int open_view(struct rfs_subject *s, struct rfs_error *err)
{
	int r = rfs_opener_view(s->target->opener, s->disk, &s->view, err);

	return r < 0 ? r : rfs_view_reader(s->view, s->name, &s->merged, err);
}

int rfs_subject_open(struct rfs_target *t, const struct rfs_disk *disk,
		     struct rfs_subject **ret, struct rfs_error *err)
{
	struct rfs_subject *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return rfs_no_memory(err);
	s->target = t;
	s->disk = disk;
	s->name = rfs_disk_path(disk);
	if (!s->name)
		r = rfs_no_memory(err);
	else
		r = t->mountpoint ? open_image(s, err) : open_view(s, err);
	if (r < 0) {
		rfs_subject_close(s, NULL);
		return r;
	}
	*ret = s;
	return 0;
}

int rfs_subject_close(struct rfs_subject *s, struct rfs_error *err)
{
	int r;

	if (!s)
		return 0;
	rfs_reader_unref(s->merged);
	r = rfs_view_close(s->view, err);
	free(s->name);
	free(s);
	return r;
}

const char *rfs_subject_name(const struct rfs_subject *s)
{
	return s->name;
}

const struct rfs_disk *rfs_subject_disk(const struct rfs_subject *s)
{
	return s->disk;
}

const struct rfs_site *rfs_subject_site(const struct rfs_subject *s)
{
	return &s->target->site;
}

struct rfs_view *rfs_subject_view(struct rfs_subject *s)
{
	return s->view;
}

struct rfs_reader *rfs_subject_merged(struct rfs_subject *s)
{
	return s->merged;
}

char *rfs_subject_rescue_file(const struct rfs_subject *s, const char *kind)
{
	RFS_CLEANUP_FREE char *place = rfs_disk_place(s->disk);
	char *base = place ? strrchr(place, '/') : NULL, *path;

	if (!base || !s->target->mountpoint)
		return NULL;
	if (asprintf(&path, "%s/%.*s/rescue%s.%s", s->target->mountpoint,
		     (int)(base - place), place, base, kind) < 0)
		return NULL;
	return path;
}

/* Beside a mount: what it says of the disk. */
static int read_report(struct rfs_subject *s, struct rfs_report *out,
		       struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *path = rfs_subject_rescue_file(s, "json");
	FILE *in;
	int r;

	if (!path)
		return rfs_no_memory(err);
	in = fopen(path, "re");
	if (!in)
		return rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	r = rfs_disk_json_read(in, path, &s->target->site, out, err);
	fclose(in);
	return r;
}

int rfs_subject_report(struct rfs_subject *s, struct rfs_report *out,
		       struct rfs_error *err)
{
	return s->view ? rfs_view_report(s->view, out, err)
		       : read_report(s, out, err);
}

int rfs_subject_copy(struct rfs_subject *s, const struct rfs_copy *copy,
		     struct rfs_reader **ret, struct rfs_error *err)
{
	return rfs_target_copy(s->target, s->disk, copy, ret, err);
}

/*
 * Losses.
 */

/* The disk with an eye on how much of it is read: of the tables nobody knows
 * beforehand how large they are. */
struct watched {
	struct rfs_reader *disk;
	struct rfs_progress progress;
};

static int watched_read(void *state, struct rfs_range range, void *buf,
			struct rfs_ranges *bad, struct rfs_error *err)
{
	struct watched *w = state;
	int r = rfs_reader_read(w->disk, range, buf, bad, err);

	rfs_progress_set(&w->progress, w->progress.done + range.len,
			 w->progress.errors + (r < 0));
	return r;
}

static void watched_close(void *state)
{
	(void)state; /* on the stack of who made it */
}

static const struct rfs_reader_ops watched_ops = {
	.kind = "watched",
	.read = watched_read,
	.close = watched_close,
};

static int report_of(void *data, struct rfs_report *out, struct rfs_error *err)
{
	return rfs_subject_report(data, out, err);
}

int rfs_subject_losses(struct rfs_subject *s, bool quiet,
		       struct rfs_losses *ret, struct rfs_error *err)
{
	struct watched w = { .disk = s->merged };
	struct rfs_losses_subject what = { .report = report_of, .data = s };
	int r = rfs_reader_new(&watched_ops, &w, rfs_reader_size(s->merged),
			       s->name, NULL, &what.disk, err);

	if (r < 0)
		return r;
	rfs_progress_begin(&w.progress, s->name, 0, false);
	r = rfs_losses_of(&what, quiet, ret, err);
	rfs_progress_clear(&w.progress);
	rfs_reader_unref(what.disk);
	return r;
}

static int no_side(const struct rfs_subject *s, const char *name, int errnum,
		   struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *list = NULL;
	size_t len;
	FILE *out = open_memstream(&list, &len);

	if (!out)
		return rfs_no_memory(err);
	for (size_t i = 0; i < s->disk->ncopies; i++)
		fprintf(out, ", %s", s->disk->copies[i].source->origin.name);
	if (fclose(out) == EOF)
		return rfs_no_memory(err);
	return rfs_fail(err, errnum,
			"%s is no copy of %s, nor a file that can be read "
			"(%s); there are: merged%s",
			name, s->name, strerror(errnum), list);
}

int rfs_subject_side(struct rfs_subject *s, const char *name,
		     struct rfs_reader **ret, struct rfs_error *err)
{
	const struct rfs_copy *copy;
	int fd;

	if (strcmp(name, "merged") == 0) {
		*ret = rfs_reader_ref(s->merged);
		return 0;
	}
	for (size_t i = 0; i < s->disk->ncopies; i++) {
		copy = &s->disk->copies[i];
		if (strcmp(copy->source->origin.name, name) == 0)
			return rfs_subject_copy(s, copy, ret, err);
	}
	/* A FIFO that nobody writes to would hang. */
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return no_side(s, name, errno, err);
	return rfs_file_open(fd, false, name, NULL, ret, err);
}
