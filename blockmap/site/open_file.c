// SPDX-License-Identifier: GPL-3.0-or-later
/* open_file.c - a copy's file as it lies there, in whatever place: rescued of a
 * damaged source, else guarded against asking for a bad sector twice. */
#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "readers/readers.h"
#include "readers/rescue.h"
#include "readers/waited.h"
#include "site/open_parts.h"
#include "site/open_place.h"
#include "site/rooted.h"
#include "site/texts.h"

int rfs_opener_file(struct rfs_opener *op, const struct rfs_source *src, int fd,
		    const char *name, struct rfs_reader **ret,
		    struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *file = NULL;
	RFS_CLEANUP_READER struct rfs_reader *made = NULL;
	struct rfs_rescue_config config = {
		.state = op->state,
		.worker = src->worker,
		.names = src->names,
		.object = name,
		.name = name,
		.origin = &src->origin,
		.notes = &op->inv->site->notes,
		.store = rfs_source_store(op->inv->site, src),
		.renew = op->renews,
	};
	struct rfs_rescue *rescue;
	int r;

	if (src->kind == RFS_DAMAGED) {
		r = rfs_rescue_open(&config, fd, &rescue, err);
		if (r == 0) {
			rfs_texts_hand_over(op->state, src, rescue);
			r = rfs_rescue_reader(rescue, &made, err);
		}
		rfs_rescue_unref(rescue);
	} else {
		r = src->worker
			    ? rfs_waited_open(src->worker, src->names, fd, name,
					      &src->origin, &file, err)
			    : rfs_file_open(fd, false, name, &src->origin,
					    &file, err);
		if (r == 0)
			r = rfs_guard_open(file, op->state, name, &made, err);
	}
	if (r == 0)
		r = rfs_reader_identify(made, name, err);
	if (r == 0)
		*ret = RFS_STEAL(made);
	return r;
}

/* A file of one source, by its path there. */
static int open_file(struct rfs_opener *op, const struct rfs_source *src,
		     const char *path, struct rfs_reader **ret,
		     struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *name = NULL;
	int fd;

	if (src->root_fd < 0)
		return rfs_fail(err, ENODEV, "%s: could not be opened: %s",
				src->origin.name,
				src->open_error ? src->open_error : "?");
	if (asprintf(&name, "%s:%s", src->origin.name, path) < 0)
		return rfs_no_memory(err);
	fd = rfs_rooted_open(src, path, err);
	if (fd < 0)
		return rfs_context(err, fd, "%s", src->origin.name);
	return rfs_opener_file(op, src, fd, name, ret, err);
}

/* One connection, and one program, for all who read it: some servers take no
 * second one. */
int rfs_opener_server(struct rfs_opener *op, const struct rfs_copy *copy,
		      const struct rfs_disk_rule *rule, struct rfs_reader **ret,
		      struct rfs_error *err)
{
	bool is_export = copy->place == RFS_EXPORT;
	RFS_CLEANUP_FREE char *key = NULL;
	int r;

	if (asprintf(&key, "%s:%s:%s", is_export ? "export" : "foreign",
		     copy->source->origin.name, copy->path) < 0)
		return rfs_no_memory(err);
	*ret = rfs_shelf_find(&op->shelf, key);
	if (*ret)
		return 0;
	r = is_export ? rfs_opener_export(op, copy, ret, err)
		      : rfs_opener_foreign(op, copy, rule, ret, err);
	if (r == 0)
		rfs_shelf_add(&op->shelf, key, *ret);
	return r;
}

int rfs_opener_place(struct rfs_opener *op, const struct rfs_copy *copy,
		     struct rfs_reader **ret, struct rfs_error *err)
{
	int r;

	if (copy->place == RFS_VOLUME)
		r = rfs_opener_volume(op, copy, ret, err);
	else if (copy->place == RFS_EXPORT)
		r = rfs_opener_server(op, copy, NULL, ret, err);
	else
		r = open_file(op, copy->source, copy->path, ret, err);
	return r < 0 ? r : rfs_opener_restrict(copy, ret, err);
}

/* A file that an image names, with the mapfile that lies beside it. */
int rfs_opener_named(struct rfs_opener *op, const struct rfs_source *src,
		     const char *path, struct rfs_reader **ret,
		     struct rfs_error *err)
{
	struct rfs_copy copy = { .source = src, .path = (char *)path };
	int r = 0;

	if (src->root_fd >= 0)
		r = rfs_opener_find_map(op, &copy, err);
	if (r == 0)
		r = rfs_opener_place(op, &copy, ret, err);
	free(copy.mapfile);
	return r;
}
