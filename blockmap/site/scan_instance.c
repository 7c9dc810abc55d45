// SPDX-License-Identifier: GPL-3.0-or-later
/* scan_instance.c - what the sources tell of one instance.
 *
 * Each fact is taken from the freshest source that tells it, so that an
 * unreadable description costs nothing where a backup has one.
 */
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "site/scan.h"

/* Calls for each description of the group, freshest first: an instance's own
 * libvirt.xml before what libvirt keeps. */
#define EACH_DOMAIN(group, i, domain)                                          \
	for (size_t i = 0; i < (group)->dirs.count * 2; i++)                   \
		if ((domain = i % 2 ? (group)->dirs.items[i / 2]->defined      \
				    : (group)->dirs.items[i / 2]->own))

static int copy_text(char **to, const char *from)
{
	if (*to || !from)
		return 0;
	*to = strdup(from);
	return *to ? 0 : -1;
}

static int copy_nics(struct rfs_instance *to, const struct rfs_domain *from)
{
	int r = 0;

	if (to->nnics || !from->nnics)
		return 0;
	to->nics = calloc(from->nnics, sizeof(*to->nics));
	if (!to->nics)
		return -1;
	to->nnics = from->nnics;
	for (size_t i = 0; i < from->nnics; i++)
		r |= copy_text(&to->nics[i].mac, from->nics[i].mac) |
		     copy_text(&to->nics[i].bridge, from->nics[i].bridge) |
		     copy_text(&to->nics[i].ip, from->nics[i].ip);
	return r;
}

static int copy_facts(struct rfs_instance *to, const struct rfs_domain *from)
{
	if (!to->memory_kib)
		to->memory_kib = from->memory_kib;
	if (!to->vcpus)
		to->vcpus = from->vcpus;
	return copy_text(&to->id_name, from->name) |
	       copy_text(&to->display_name, from->display_name) |
	       copy_text(&to->flavor, from->flavor) |
	       copy_text(&to->image_uuid, from->image_uuid) |
	       copy_text(&to->project, from->project) |
	       copy_text(&to->user, from->user) |
	       copy_text(&to->created, from->created) |
	       copy_text(&to->kernel, from->kernel) |
	       copy_text(&to->ramdisk, from->ramdisk) | copy_nics(to, from);
}

static int fill(const struct scan_group *group, struct rfs_instance *instance)
{
	const struct scan_dir *first = group->dirs.items[0];
	const struct rfs_domain *domain;
	int r = 0;

	instance->host = group->host;
	r = copy_text(&instance->uuid, group->uuid) |
	    copy_text(&instance->dir, first->path);
	/* The directory's own name is surer than a name in a description. */
	if (rfs_is_essex_name(first->name))
		r |= copy_text(&instance->id_name, first->name);
	EACH_DOMAIN(group, i, domain)
	r |= copy_facts(instance, domain);
	return r;
}

/* The name goes into paths: by-id/. */
static int fit_id_name(struct rfs_instance *instance)
{
	char *fit;

	if (!instance->id_name)
		return 0;
	fit = rfs_name_escape(instance->id_name);
	free(instance->id_name);
	instance->id_name = fit;
	return fit ? 0 : -1;
}

int rfs_scan_instance(const struct scan_group *group, struct rfs_instance **ret,
		      struct rfs_error *err)
{
	struct rfs_instance *instance = calloc(1, sizeof(*instance));

	if (!instance)
		return rfs_no_memory(err);
	if (fill(group, instance) || fit_id_name(instance)) {
		rfs_instance_free(instance);
		return rfs_no_memory(err);
	}
	*ret = instance;
	return 0;
}

/* What the tree would call it: the name that people gave it, else nova's, else
 * its uuid, else its directory. */
static char *first_name(const struct rfs_instance *instance)
{
	const char *last = strrchr(instance->dir, '/');

	if (instance->display_name)
		return rfs_name_escape(instance->display_name);
	if (instance->id_name)
		return strdup(instance->id_name);
	return strdup(instance->uuid ? instance->uuid : last + 1);
}

/* All that tells two of them apart. */
static bool needs_host(const struct rfs_inventory *inv,
		       const struct rfs_instance *instance)
{
	return instance->uuid ? rfs_instance_shares_uuid(inv, instance)
			      : rfs_instance_shares_id(inv, instance);
}

static char *longer_name(const struct rfs_inventory *inv,
			 const struct rfs_instance *instance, const char *name,
			 unsigned turn)
{
	const char *more = instance->uuid ? instance->uuid : instance->id_name;
	char *text = NULL;
	int n;

	if (!more)
		more = strrchr(instance->dir, '/') + 1;
	if (needs_host(inv, instance))
		n = turn == 1 ? asprintf(&text, "%s-%.50s", name,
					 instance->host->name)
			      : asprintf(&text, "%.150s-%.50s-%.40s-%u", name,
					 instance->host->name, more, turn - 1);
	else if (turn == 1)
		n = asprintf(&text, "%s-%.*s", name,
			     instance->uuid ? 8 : RFS_NAME_ESCAPED_MAX / 4,
			     more);
	else if (turn == 2)
		n = asprintf(&text, "%s-%.50s", name, more);
	else
		n = asprintf(&text, "%s-%.50s-%u", name, more, turn - 1);
	return n < 0 ? NULL : text;
}

static int by_tree_name(const void *a, const void *b)
{
	const struct rfs_instance *const *x = a, *const *y = b;

	return strcmp((*x)->tree_name, (*y)->tree_name);
}

static void sort(struct rfs_inventory *inv)
{
	if (inv->ninstances)
		qsort(inv->instances, inv->ninstances, sizeof(*inv->instances),
		      by_tree_name);
}

static bool has_neighbour(const struct rfs_inventory *inv, size_t i)
{
	const char *name = inv->instances[i]->tree_name;

	return (i > 0 && !strcmp(inv->instances[i - 1]->tree_name, name)) ||
	       (i + 1 < inv->ninstances &&
		!strcmp(inv->instances[i + 1]->tree_name, name));
}

/* Everyone who shares a name gets a longer one, so that none depends on which
 * came first.  *ret_more: some were shared. */
static int lengthen(struct rfs_inventory *inv, unsigned turn, bool *ret_more)
{
	RFS_CLEANUP_FREE bool *shared = calloc(inv->ninstances + 1, 1);

	*ret_more = false;
	if (!shared)
		return -1;
	sort(inv);
	for (size_t i = 0; i < inv->ninstances; i++)
		shared[i] = has_neighbour(inv, i);
	for (size_t i = 0; i < inv->ninstances; i++) {
		struct rfs_instance *instance = inv->instances[i];
		RFS_CLEANUP_FREE char *name = first_name(instance);
		char *longer;

		if (!shared[i])
			continue;
		longer =
			name ? longer_name(inv, instance, name,
					   turn > 2 ? turn + (unsigned)i : turn)
			     : NULL;
		if (!longer)
			return -1;
		free(instance->tree_name);
		instance->tree_name = longer;
		*ret_more = true;
	}
	return 0;
}

int rfs_scan_name(struct rfs_inventory *inv, struct rfs_error *err)
{
	bool more = true;

	for (size_t i = 0; i < inv->ninstances; i++) {
		inv->instances[i]->tree_name = first_name(inv->instances[i]);
		if (!inv->instances[i]->tree_name)
			return rfs_no_memory(err);
	}
	for (unsigned turn = 1; more; turn++)
		if (lengthen(inv, turn, &more) < 0)
			return rfs_no_memory(err);
	return 0;
}
