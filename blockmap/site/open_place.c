// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/open_place.h"

#include <errno.h>
#include <stdio.h>

#include "core/cleanup.h"
#include "site/ceph.h"
#include "site/mapped.h"
#include "site/password.h"
#include "site/rooted.h"
#include "site/volumes.h"

int rfs_opener_volume(struct rfs_opener *op, const struct rfs_copy *copy,
		      struct rfs_reader **ret, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *name = NULL;
	int fd;

	if (asprintf(&name, "%s:%s", copy->source->origin.name, copy->path) < 0)
		return rfs_no_memory(err);
	fd = rfs_volume_open(copy->source->names, copy->path, err);
	if (fd < 0)
		return rfs_context(err, fd, "%s", copy->source->origin.name);
	return rfs_opener_file(op, copy->source, fd, name, ret, err);
}

int rfs_opener_export(struct rfs_opener *op, const struct rfs_copy *copy,
		      struct rfs_reader **ret, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *export = NULL;
	RFS_CLEANUP_FREE char *name = NULL;
	bool is_image = copy->source->rbd != NULL;
	struct rfs_nbd_config config = {
		.uri = copy->source->nbd,
		.export = copy->path,
		.origin = &copy->source->origin,
		.notes = &rfs_opener_inventory(op)->site->notes,
		.watch = copy->source->watch,
		.deadline_ms = rfs_source_deadline(
			rfs_opener_inventory(op)->site, copy->source),
	};
	int r;

	if (asprintf(&name, "%s:%s %s", copy->source->origin.name,
		     is_image ? "image" : "export", copy->path) < 0)
		return rfs_no_memory(err);
	config.name = name;
	r = is_image ? rfs_ceph_open(copy->source, copy->path, &config, &export,
				     err)
		     : rfs_nbd_open(&config, &export, err);
	if (r < 0)
		return r;
	return rfs_guard_open(export, rfs_opener_state(op), name, ret, err);
}

static bool is_in_root(const void *data, const char *path)
{
	const struct rfs_source *source = data;
	struct stat st;
	int r = rfs_rooted_stat(source, path, &st, NULL);

	/* What cannot be looked at is there: an image is not whole for that. */
	return r < 0 ? r != -ENOENT && r != -ENOTDIR : S_ISREG(st.st_mode);
}

int rfs_opener_find_map(struct rfs_opener *op, struct rfs_copy *copy,
			struct rfs_error *err)
{
	return rfs_mapfile_find(copy->path, is_in_root, copy->source,
				&rfs_opener_inventory(op)->site->notes,
				&copy->mapfile, err);
}

int rfs_opener_restrict(const struct rfs_copy *copy, struct rfs_reader **rd,
			struct rfs_error *err)
{
	bool is_ours = copy->mapfile_said || copy->place != RFS_IN_ROOT;
	struct rfs_worker *w;
	int fd;

	if (!copy->mapfile)
		return 0;
	/* What the user names himself lies anywhere. */
	w = copy->mapfile_said ? NULL : copy->source->names;
	fd = is_ours ? rfs_volume_open(w, copy->mapfile, err)
		     : rfs_rooted_open(copy->source, copy->mapfile, err);
	if (fd >= 0)
		return rfs_mapfile_apply(w, fd, copy->mapfile, rd, err);
	*rd = rfs_reader_unref(*rd);
	return rfs_context(err, fd, "%s:%s is not read without its mapfile",
			   copy->source->origin.name, copy->path);
}

/* What is bad of the disk is not at the same place of the file: a name of its
 * own, which the caller frees. */
static char *name_outside(const struct rfs_copy *copy)
{
	char *name;

	return asprintf(&name, "%s:%s as %s", copy->source->origin.name,
			copy->path, copy->format_name) < 0
		       ? NULL
		       : name;
}

/* Opens the image for a program of its own. */
static int open_outside(const struct rfs_copy *copy, struct rfs_error *err)
{
	int fd =
		copy->place == RFS_IN_ROOT
			? rfs_rooted_open(copy->source, copy->path, err)
			: rfs_volume_open(copy->source->names, copy->path, err);

	return fd < 0 ? rfs_context(err, fd, "%s", copy->source->origin.name)
		      : fd;
}

bool rfs_opener_is_lent(const struct rfs_copy *copy)
{
	return copy->source->kind == RFS_DAMAGED || copy->source->worker ||
	       copy->mapfile || copy->packing;
}

int rfs_opener_lend(struct rfs_opener *op, const struct rfs_copy *copy,
		    const struct rfs_disk_rule *rule, struct rfs_reader *file,
		    struct rfs_reader **ret, struct rfs_error *err)
{
	const struct rfs_site *site = rfs_opener_inventory(op)->site;
	RFS_CLEANUP_FREE char *name = name_outside(copy);
	char *password = NULL;
	struct rfs_nbd_config as = {
		.name = name,
		.origin = &copy->source->origin,
		.notes = &rfs_opener_inventory(op)->site->notes,
		.watch = copy->source->watch,
		.deadline_ms = copy->source->worker
				       ? rfs_source_deadline(site, copy->source)
				       : 0,
	};
	int r = name ? 0 : rfs_no_memory(err);

	if (r == 0 && rfs_is_sealed_format(copy->format_name))
		r = rfs_password_get(rule, &password, err);
	as.password = password;
	if (r == 0)
		r = rfs_foreign_lend(file, copy->format_name, &as, ret, err);
	rfs_password_free(password);
	return r;
}

int rfs_opener_foreign(struct rfs_opener *op, const struct rfs_copy *copy,
		       const struct rfs_disk_rule *rule,
		       struct rfs_reader **ret, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *disk = NULL;
	RFS_CLEANUP_FREE char *name = name_outside(copy);
	char *password = NULL;
	struct rfs_nbd_config as = {
		.origin = &copy->source->origin,
		.notes = &rfs_opener_inventory(op)->site->notes,
		.watch = copy->source->watch,
	};
	int r = name ? 0 : rfs_no_memory(err), fd;

	if (r == 0 && rfs_is_sealed_format(copy->format_name))
		r = rfs_password_get(rule, &password, err);
	if (r < 0)
		return r;
	fd = open_outside(copy, err);
	if (fd < 0) {
		rfs_password_free(password);
		return fd;
	}
	as.name = name;
	as.password = password;
	r = rfs_foreign_open(fd, copy->format_name, &as, &disk, err);
	rfs_password_free(password);
	if (r < 0)
		return r;
	return rfs_guard_open(disk, rfs_opener_state(op), name, ret, err);
}

int rfs_opener_generation(const struct rfs_source *src, const char *path,
			  struct rfs_generation *ret, struct rfs_error *err)
{
	struct stat st;
	int r = rfs_rooted_stat(src, path, &st, err);

	if (r == 0)
		*ret = (struct rfs_generation){ (uint64_t)st.st_size,
						rfs_time_of(st.st_mtim) };
	return r;
}

bool rfs_opener_lacks_map(struct rfs_opener *op, const struct rfs_chain *chain,
			  const struct rfs_source *other)
{
	struct rfs_copy a = { .source = chain->source, .path = chain->path };
	struct rfs_copy b = { .source = other, .path = chain->path };
	bool lacks = false;

	if (rfs_opener_find_map(op, &a, NULL) == 0 &&
	    rfs_opener_find_map(op, &b, NULL) == 0 &&
	    rfs_opener_generation(a.source, a.path, &a.generation, NULL) == 0 &&
	    rfs_opener_generation(b.source, b.path, &b.generation, NULL) == 0)
		lacks = rfs_generation_is_same(a.generation, b.generation) &&
			!rfs_copy_is_same(&a, &b);
	free(a.mapfile);
	free(b.mapfile);
	return lacks;
}
