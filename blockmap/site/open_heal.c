// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/open_heal.h"

#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "core/vec.h"
#include "site/open_parts.h"

#define WITNESSES_MAX 8

static int open_witness(void *data, struct rfs_reader **ret,
			struct rfs_error *err)
{
	const struct rfs_opener_witness *w = data;

	return rfs_opener_copy_file(w->op, w->disk, w->copy, ret, err);
}

static enum rfs_heal policy_of(struct rfs_opener *op,
			       const struct rfs_disk *disk)
{
	if (disk->rule && disk->rule->heal >= 0)
		return (enum rfs_heal)disk->rule->heal;
	return rfs_opener_inventory(op)->site->heal;
}

/* L2 tables that were placed by hand. */
static size_t placed(const struct rfs_disk *disk)
{
	return disk->rule ? disk->rule->tables.count : 0;
}

/* Another copy of the same disk, and not of the same bytes: those are read as
 * one file anyway. */
static bool is_other(const struct rfs_disk *disk, size_t at, size_t k)
{
	const struct rfs_copy *copy = &disk->copies[k];

	if (k == at || copy->format != RFS_FORMAT_QCOW2 ||
	    rfs_generation_is_same(copy->generation,
				   disk->copies[at].generation))
		return false;
	for (size_t i = 0; i < k; i++)
		if (rfs_generation_is_same(disk->copies[i].generation,
					   copy->generation))
			return false;
	return true;
}

static int find_witnesses(struct rfs_opener *op, const struct rfs_disk *disk,
			  size_t at, struct rfs_qcow2_witness *list,
			  size_t *ret_count, struct rfs_error *err)
{
	struct rfs_opener_witness *w;
	size_t n = 0;

	for (size_t k = 0; k < disk->ncopies && n < WITNESSES_MAX; k++) {
		if (!is_other(disk, at, k))
			continue;
		w = rfs_opener_keep_witness(op);
		if (!w)
			return rfs_no_memory(err);
		*w = (struct rfs_opener_witness){ op, disk, &disk->copies[k] };
		list[n++] = (struct rfs_qcow2_witness){
			.origin = &disk->copies[k].source->origin,
			.open = open_witness,
			.data = w,
		};
	}
	*ret_count = n;
	return 0;
}

static const char *may_move(const struct rfs_disk *disk)
{
	if (disk->is_unmapped)
		return "by its domain's XML, the image lets go of clusters";
	if (!disk->is_in_domain)
		return "no domain's XML tells whether the image lets go of "
		       "clusters";
	return NULL;
}

/* One way to read the image: by one witness. */
static int add_item(struct rfs_opener *op, struct rfs_healed item,
		    const char *name, struct rfs_opener_healed *list,
		    struct rfs_error *err)
{
	item.name = rfs_opener_keep_text(op, name);
	if (!item.name || RFS_VEC_ROOM(list) < 0) {
		rfs_reader_unref(item.reader);
		return rfs_no_memory(err);
	}
	list->items[list->count++] = item;
	return 0;
}

/* Whose tables they are that were found is the image's own: who gives is who
 * heals. */
static int add_guess(struct rfs_opener *op, const struct rfs_copy *copy,
		     size_t at, struct rfs_qcow2_healing *healing,
		     struct rfs_opener_healed *list, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *name = NULL;
	struct rfs_healed item = { .candidate = at,
				   .healed_by = &copy->source->origin,
				   .is_unproved = true };
	int r;

	if (asprintf(&name, RFS_GUESSED_NAME, copy->source->origin.name) < 0) {
		name = NULL;
		return rfs_no_memory(err);
	}
	r = rfs_qcow2_guessed_open(healing, &item.reader, err);
	return r < 0 ? r : add_item(op, item, name, list, err);
}

static int add_way(struct rfs_opener *op, const struct rfs_copy *copy,
		   size_t at, struct rfs_qcow2_healing *healing,
		   const struct rfs_qcow2_witness *w, size_t index, bool proved,
		   struct rfs_opener_healed *list, struct rfs_error *err)
{
	const char *own = copy->source->origin.name;
	RFS_CLEANUP_FREE char *name = NULL;
	struct rfs_healed item = { .candidate = at,
				   .healed_by = w->origin,
				   .is_unproved = !proved };
	int r;

	r = proved ? asprintf(&name, RFS_PROVED_NAME, own, w->origin->name)
		   : asprintf(&name, RFS_UNPROVED_NAME, own, w->origin->name);
	if (r < 0) {
		name = NULL;
		return rfs_no_memory(err);
	}
	r = rfs_qcow2_healed_open(healing, index, proved, &item.reader, err);
	return r < 0 ? r : add_item(op, item, name, list, err);
}

/* By the header of a fresher copy: one way to guess is enough. */
static bool has_guess(const struct rfs_copy *copy, size_t at,
		      const struct rfs_opener_healed *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].candidate == at &&
		    list->items[i].healed_by == &copy->source->origin)
			return true;
	return false;
}

static int add_ways(struct rfs_opener *op, const struct rfs_disk *disk,
		    size_t at, struct rfs_reader *image,
		    const struct rfs_qcow2_witness *witnesses, size_t n,
		    struct rfs_opener_healed *list, struct rfs_error *err)
{
	const struct rfs_copy *copy = &disk->copies[at];
	struct rfs_qcow2_healing_config config = {
		.image = image,
		.witnesses = witnesses,
		.nwitnesses = n,
		.may_move = may_move(disk),
		.places = disk->rule ? disk->rule->tables.items : NULL,
		.nplaces = placed(disk),
		.may_guess = policy_of(op, disk) == RFS_HEAL_GUESSED &&
			     rfs_qcow2_has_lost_l1(image),
		.state = rfs_opener_state(op),
		.object = disk->id,
		.notes = &rfs_opener_inventory(op)->site->notes,
	};
	struct rfs_qcow2_healing *healing;
	int r;

	if (!rfs_qcow2_can_heal(image))
		return 0;
	r = rfs_qcow2_healing_new(&config, &healing, err);
	if (r < 0)
		return r;
	for (size_t k = 0; k < n && r == 0; k++)
		r = add_way(op, copy, at, healing, &witnesses[k], k, true, list,
			    err);
	for (size_t k = 0; k < n && r == 0; k++)
		if (policy_of(op, disk) != RFS_HEAL_PROVED)
			r = add_way(op, copy, at, healing, &witnesses[k], k,
				    false, list, err);
	if (r == 0 && (config.may_guess || config.nplaces) &&
	    !has_guess(copy, at, list))
		r = add_guess(op, copy, at, healing, list, err);
	rfs_qcow2_healing_unref(healing);
	return r;
}

/* The header is lost: each witness' own is tried in its place. */
static int heal_header(struct rfs_opener *op, const struct rfs_disk *disk,
		       size_t at, const struct rfs_qcow2_witness *w,
		       struct rfs_opener_healed *list, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *header = NULL;
	RFS_CLEANUP_READER struct rfs_reader *image = NULL;
	int r = w->open(w->data, &header, err);

	if (r == 0)
		r = rfs_opener_copy_by(op, disk, &disk->copies[at], header,
				       &image, err);
	return r < 0 ? r : add_ways(op, disk, at, image, w, 1, list, err);
}

/* Without a witness there is nothing but guesses, which are to be asked for. */
static bool offer_guess(struct rfs_opener *op, const struct rfs_disk *disk,
			size_t at, struct rfs_reader *image)
{
	if (!image && (placed(disk) || policy_of(op, disk) == RFS_HEAL_GUESSED))
		rfs_notes_add(&rfs_opener_inventory(op)->site->notes,
			      "%s: its header cannot be read and there is no "
			      "other copy to take one from: no L2 table is "
			      "placed or guessed",
			      disk->copies[at].path);
	if (!image)
		return false;
	if (placed(disk))
		return true;
	if (!rfs_qcow2_has_lost_l1(image))
		return false;
	if (policy_of(op, disk) == RFS_HEAL_GUESSED)
		return true;
	rfs_notes_add(&rfs_opener_inventory(op)->site->notes,
		      "%s: entries of its L1 table are lost and there is no "
		      "other copy; heal = guessed looks for its L2 tables in "
		      "the file",
		      rfs_reader_name(image));
	return false;
}

int rfs_opener_heal(struct rfs_opener *op, const struct rfs_disk *disk,
		    size_t at, struct rfs_reader *image,
		    struct rfs_opener_healed *list, struct rfs_error *err)
{
	const struct rfs_copy *copy = &disk->copies[at];
	struct rfs_qcow2_witness witnesses[WITNESSES_MAX];
	struct rfs_error why = RFS_ERROR_INIT;
	size_t n = 0;
	int r;

	if (copy->source->kind != RFS_DAMAGED ||
	    copy->format != RFS_FORMAT_QCOW2 ||
	    policy_of(op, disk) == RFS_HEAL_OFF)
		return 0;
	r = find_witnesses(op, disk, at, witnesses, &n, err);
	if (r < 0)
		return r;
	if (!n && !offer_guess(op, disk, at, image))
		return 0;
	if (image)
		return add_ways(op, disk, at, image, witnesses, n, list, err);
	for (size_t k = 0; k < n; k++) {
		r = heal_header(op, disk, at, &witnesses[k], list, &why);
		if (rfs_is_own_want(r))
			return rfs_fail(err, -r, "%s", why.text);
	}
	return 0;
}

void rfs_opener_healed_fini(struct rfs_opener_healed *list)
{
	for (size_t i = 0; i < list->count; i++)
		rfs_reader_unref(list->items[i].reader);
	free(list->items);
}
