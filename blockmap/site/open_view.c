// SPDX-License-Identifier: GPL-3.0-or-later
/* open_view.c - the merged disk: all copies of it as the candidates of one view. */
#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "ext/ext.h"
#include "site/open_parts.h"
#include "site/open_place.h"

/* An earlier copy of the same generation already reads this one's file. */
static const struct rfs_copy *twin_of(const struct rfs_disk *disk, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (rfs_copy_is_same(&disk->copies[i], &disk->copies[at]))
			return &disk->copies[i];
	return NULL;
}

static int open_candidate(struct rfs_opener *op, const struct rfs_disk *disk,
			  size_t at, struct rfs_candidate *ret,
			  struct rfs_opener_healed *healed,
			  struct rfs_error *err)
{
	const struct rfs_copy *copy = &disk->copies[at];
	const struct rfs_copy *twin = twin_of(disk, at);
	struct rfs_error why = RFS_ERROR_INIT;
	int r;

	*ret = (struct rfs_candidate){
		.origin = &copy->source->origin,
		.kind = rfs_source_kind_name(copy->source->kind),
		.as_of_ns = copy->as_of_ns,
		.generation = copy->generation,
		.is_same_generation = twin == &disk->copies[0],
	};
	r = twin ? 0
		 : rfs_opener_copy_by(op, disk, copy, NULL, &ret->reader, &why);
	if (r == 0)
		return twin ? 0
			    : rfs_opener_heal(op, disk, at, ret->reader, healed,
					      err);
	ret->reader = NULL;
	if (rfs_is_own_want(r))
		return rfs_fail(err, -r, "%s", why.text);
	ret->error = rfs_opener_keep_text(op, why.text);
	if (!ret->error)
		ret->error = "it could not be opened";
	rfs_notes_add(&op->inv->site->notes, "%s", why.text);
	if (r == -EIO || r == -EINVAL)
		return rfs_opener_heal(op, disk, at, NULL, healed, err);
	return 0;
}

static struct rfs_merge_policy policy_of(const struct rfs_site *site,
					 const struct rfs_disk_rule *rule)
{
	int fill = site->fill, lost = site->lost;

	if (rule && rule->fill >= 0)
		fill = rule->fill;
	if (rule && rule->lost >= 0)
		lost = rule->lost;
	return (struct rfs_merge_policy){
		.withhold_stale = fill == RFS_FILL_NONE,
		.find_data = fill == RFS_FILL_DATA ? rfs_ext_data : NULL,
		.zero_lost = lost == RFS_LOST_ZERO,
	};
}

static int open_view(struct rfs_opener *op, const struct rfs_disk *disk,
		     bool take_changed, struct rfs_view **ret,
		     struct rfs_error *err)
{
	RFS_CLEANUP_FREE struct rfs_candidate *list = NULL;
	RFS_CLEANUP_FREE char *name = NULL;
	struct rfs_view_config config = { 0 };
	struct rfs_opener_healed healed = { 0 };
	int r;

	if (!op->state)
		return rfs_fail(err, EINVAL,
				"%s: without a state directory there is no "
				"merged view",
				disk->id);
	r = rfs_opener_check_host(op, disk, err);
	if (r == 0 && (op->renews || !take_changed))
		r = rfs_opener_check_devices(op, disk, op->renews, err);
	if (r < 0)
		return r;
	list = calloc(disk->ncopies + 1, sizeof(*list));
	name = rfs_disk_path(disk);
	if (!list || !name)
		return rfs_no_memory(err);
	for (size_t i = 0; i < disk->ncopies && r == 0; i++)
		r = open_candidate(op, disk, i, &list[i], &healed, err);
	config.id = disk->id;
	config.name = name;
	config.state = op->state;
	config.policy = policy_of(op->inv->site, disk->rule);
	config.policy.take_changed = take_changed;
	config.candidates = list;
	config.ncandidates = disk->ncopies;
	config.healed = healed.items;
	config.nhealed = healed.count;
	if (r == 0)
		r = rfs_view_open(&config, ret, err);
	for (size_t i = 0; i < disk->ncopies; i++)
		rfs_reader_unref(list[i].reader);
	rfs_opener_healed_fini(&healed);
	return r;
}

int rfs_opener_view(struct rfs_opener *op, const struct rfs_disk *disk,
		    struct rfs_view **ret, struct rfs_error *err)
{
	return open_view(op, disk, false, ret, err);
}

int rfs_opener_view_changed(struct rfs_opener *op, const struct rfs_disk *disk,
			    struct rfs_view **ret, struct rfs_error *err)
{
	return open_view(op, disk, true, ret, err);
}

static int refresh_view(struct rfs_view *view, bool force,
			struct rfs_error *err)
{
	int r = rfs_view_refresh(view, force, err);
	int closed = rfs_view_close(view, r < 0 ? NULL : err);

	return r < 0 ? r : closed;
}

/* With an opener of its own: what others have open of the disk's files stays
 * as it is. */
int rfs_opener_refresh(struct rfs_opener *op, const struct rfs_disk *disk,
		       bool force, struct rfs_error *err)
{
	struct rfs_opener *mine;
	struct rfs_view *view;
	bool was_open;
	int r;

	/* A changed file of a damaged source is not opened yet: what was
	 * rescued of it goes only if nothing was written above it. */
	was_open = open_view(op, disk, true, &view, err) == 0;
	r = was_open ? refresh_view(view, force, err)
		     : rfs_view_may_refresh(op->state, disk->id, force, err);
	if (r < 0)
		return r;
	r = rfs_opener_new(op->inv, op->state, &mine, err);
	if (r < 0)
		return r;
	mine->renews = true;
	r = open_view(mine, disk, true, &view, err);
	if (r == 0)
		r = was_open ? rfs_view_close(view, err)
			     : refresh_view(view, true, err);
	rfs_opener_free(mine);
	return r;
}
