// SPDX-License-Identifier: GPL-3.0-or-later
/* scan.c - from opened sources to an inventory. */
#include "site/scan.h"

#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "site/mapped.h"

/* The scan's own state: trees and groups go when it ends. */
struct scan {
	struct rfs_site *site;
	struct rfs_inventory *inv;
	struct scan_tree *trees; /* in the order of the site's sources */
	size_t ntrees;
	struct scan_groups groups;
	struct rfs_texts texts;
};

static struct rfs_host *add_host(struct rfs_inventory *inv, const char *name,
				 size_t nsources)
{
	struct rfs_host *host = calloc(1, sizeof(*host));

	if (!host)
		return NULL;
	host->name = strdup(name);
	host->sources = calloc(nsources, sizeof(*host->sources));
	inv->hosts[inv->nhosts++] = host;
	return host->name && host->sources ? host : NULL;
}

static bool source_comes_before(const struct rfs_source *a,
				const struct rfs_source *b)
{
	int64_t x = rfs_source_as_of(a), y = rfs_source_as_of(b);

	if (x != y)
		return x > y;
	return a->kind == RFS_DAMAGED && b->kind == RFS_BACKUP;
}

static void put_source(struct rfs_host *host, struct rfs_source *source)
{
	size_t at = host->nsources++;

	for (; at > 0 && source_comes_before(source, host->sources[at - 1]);
	     at--)
		host->sources[at] = host->sources[at - 1];
	host->sources[at] = source;
}

/* After the sources were read: their ages are known only then. */
static int make_hosts(struct scan *scan, struct rfs_error *err)
{
	struct rfs_inventory *inv = scan->inv;

	inv->hosts = calloc(scan->ntrees + 1, sizeof(*inv->hosts));
	if (!inv->hosts)
		return rfs_no_memory(err);
	for (size_t i = 0; i < scan->ntrees; i++) {
		struct rfs_source *source = scan->trees[i].source;
		struct rfs_host *host =
			rfs_inventory_find_host(inv, source->host);

		if (!host)
			host = add_host(inv, source->host, scan->ntrees);
		if (!host)
			return rfs_no_memory(err);
		/* One of volumes alone has no part in the host's files. */
		if (source->root_fd >= 0)
			put_source(host, source);
	}
	return 0;
}

static struct scan_tree *tree_of(struct scan *scan,
				 const struct rfs_source *source)
{
	for (size_t i = 0; i < scan->ntrees; i++)
		if (scan->trees[i].source == source)
			return &scan->trees[i];
	return NULL;
}

static int read_tree(struct scan *scan, struct scan_tree *tree,
		     struct rfs_source *source, struct rfs_error *err)
{
	int r = 0;

	*tree = (struct scan_tree){ .site = scan->site,
				    .source = source,
				    .texts = &scan->texts };
	source->newest_ns = RFS_TIME_UNKNOWN;
	if (source->root_fd >= 0)
		r = rfs_scan_tree(tree, err);
	if (r == 0 && source->has_volumes)
		r = rfs_scan_list_volumes(tree, err);
	return r;
}

static int read_trees(struct scan *scan, struct rfs_error *err)
{
	struct rfs_site *site = scan->site;
	int r = 0;

	scan->trees = calloc(site->nsources + 1, sizeof(*scan->trees));
	if (!scan->trees)
		return rfs_no_memory(err);
	for (size_t i = 0; i < site->nsources && r == 0; i++)
		if (rfs_source_is_open(site->sources[i]))
			r = read_tree(scan, &scan->trees[scan->ntrees++],
				      site->sources[i], err);
	return r;
}

static int probe_trees(struct scan *scan, struct rfs_error *err)
{
	int r = 0;

	for (size_t i = 0; i < scan->ntrees && r == 0; i++)
		for (size_t j = 0; j < scan->ntrees && r == 0; j++) {
			struct scan_tree *tree = &scan->trees[i];
			struct scan_tree *other = &scan->trees[j];

			if (i != j &&
			    !strcmp(tree->source->host, other->source->host))
				r = rfs_scan_probe(tree, other, err);
		}
	for (size_t i = 0; i < scan->ntrees && r == 0; i++)
		r = rfs_scan_describe(&scan->trees[i], err);
	return r;
}

static size_t rank(const struct scan_group *group, const struct scan_dir *dir)
{
	size_t i = 0;

	while (group->host->sources[i] != dir->source)
		i++;
	return i;
}

/* Those that were joined by name came last, however fresh they are. */
static void sort_group(struct scan_group *group)
{
	struct scan_dir **dirs = group->dirs.items;

	for (size_t i = 1; i < group->dirs.count; i++) {
		struct scan_dir *dir = dirs[i];
		size_t at = i;

		for (; at > 0 && rank(group, dir) < rank(group, dirs[at - 1]);
		     at--)
			dirs[at] = dirs[at - 1];
		dirs[at] = dir;
	}
}

typedef int group_step(struct scan_groups *groups, struct rfs_host *host,
		       const struct scan_tree *tree, struct rfs_error *err);

static int group_all(struct scan *scan, group_step *step, struct rfs_error *err)
{
	int r = 0;

	for (size_t i = 0; i < scan->inv->nhosts && r == 0; i++) {
		struct rfs_host *host = scan->inv->hosts[i];

		for (size_t j = 0; j < host->nsources && r == 0; j++)
			r = step(&scan->groups, host,
				 tree_of(scan, host->sources[j]), err);
	}
	return r;
}

static int make_groups(struct scan *scan, struct rfs_error *err)
{
	int r;

	r = group_all(scan, rfs_scan_group, err);
	if (r == 0)
		r = group_all(scan, rfs_scan_group_rest, err);
	for (size_t i = 0; i < scan->groups.count; i++)
		sort_group(&scan->groups.items[i]);
	return r;
}

/* Naming sorts the inventory, so the groups are walked beside a list of its
 * own that keeps their order. */
static int make_instances(struct scan *scan, struct rfs_error *err)
{
	struct rfs_inventory *inv = scan->inv;
	size_t n = scan->groups.count;
	struct rfs_instance **order =
		calloc(n + 1, sizeof(struct rfs_instance *));
	int r = 0;

	inv->instances = calloc(n + 1, sizeof(struct rfs_instance *));
	if (!order || !inv->instances)
		r = rfs_no_memory(err);
	for (size_t i = 0; i < n && r == 0; i++) {
		r = rfs_scan_instance(&scan->groups.items[i], &order[i], err);
		if (r == 0)
			inv->instances[inv->ninstances++] = order[i];
	}
	if (r == 0)
		r = rfs_scan_name(inv, err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = rfs_scan_disks(scan->site, &scan->groups.items[i], order[i],
				   err);
	if (r == 0)
		r = rfs_scan_volumes(inv, scan->trees, scan->ntrees, err);
	if (r == 0)
		r = rfs_scan_exports(inv, scan->trees, scan->ntrees, err);
	if (r == 0)
		r = rfs_scan_end_volumes(inv, err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = rfs_scan_attach(scan->site, inv, &scan->groups.items[i],
				    order[i], err);
	free(order);
	return r;
}

static int base_order(const void *a, const void *b)
{
	const struct rfs_base *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order
		     : strcmp(x->source->origin.name, y->source->origin.name);
}

static int add_bases(struct rfs_host *host, const struct scan_tree *tree)
{
	struct rfs_base *grown;

	grown = reallocarray(host->bases, host->nbases + tree->bases.count + 1,
			     sizeof(*grown));
	if (!grown)
		return -1;
	host->bases = grown;
	for (size_t i = 0; i < tree->bases.count; i++) {
		struct rfs_base base;

		if (rfs_is_mapfile_name(tree->bases.items[i].name))
			continue;
		base = (struct rfs_base){
			.name = strdup(tree->bases.items[i].name),
			.source = tree->source,
			.generation = tree->bases.items[i].generation,
		};

		if (!base.name)
			return -1;
		host->bases[host->nbases++] = base;
	}
	return 0;
}

static int make_bases(struct scan *scan, struct rfs_error *err)
{
	for (size_t i = 0; i < scan->ntrees; i++) {
		struct scan_tree *tree = &scan->trees[i];
		struct rfs_host *host =
			rfs_inventory_find_host(scan->inv, tree->source->host);

		if (add_bases(host, tree) < 0)
			return rfs_no_memory(err);
		qsort(host->bases, host->nbases, sizeof(*host->bases),
		      base_order);
	}
	return 0;
}

/* A domain whose directory no source shows is an instance that is missing. */
static void note_orphans(struct scan *scan, const struct scan_tree *tree)
{
	for (size_t i = 0; i < tree->domains.count; i++) {
		const struct rfs_domain *domain = tree->domains.items[i];
		bool found = !domain->uuid;

		for (size_t j = 0; j < scan->inv->ninstances && !found; j++) {
			const char *uuid = scan->inv->instances[j]->uuid;

			found = uuid && !strcmp(uuid, domain->uuid);
		}
		if (!found)
			rfs_scan_note(tree,
				      "domain %s (%s) is defined, and no "
				      "source has its directory",
				      domain->name ? domain->name : "?",
				      domain->uuid);
	}
}

/* When a disk of it was written last, as far as its files tell. */
static int64_t last_change(const struct rfs_instance *instance)
{
	int64_t last = RFS_TIME_UNKNOWN;

	for (size_t i = 0; i < instance->ndisks; i++)
		for (size_t j = 0; j < instance->disks[i].ncopies; j++)
			if (instance->disks[i].copies[j].generation.mtime_ns >
			    last)
				last = instance->disks[i]
					       .copies[j]
					       .generation.mtime_ns;
	return last;
}

/* One uuid on several hosts is two instances, of which one is a leftover. */
static void note_twins(const struct rfs_inventory *inv, size_t at)
{
	const struct rfs_instance *a = inv->instances[at], *b;
	char changed[2][RFS_TIME_TEXT];

	rfs_time_print(last_change(a), changed[0]);
	for (size_t i = at + 1; i < inv->ninstances; i++) {
		b = inv->instances[i];
		if (!a->uuid || !b->uuid || a->host == b->host ||
		    strcmp(a->uuid, b->uuid) != 0)
			continue;
		rfs_time_print(last_change(b), changed[1]);
		rfs_notes_add(
			&inv->site->notes,
			"%s is on two hosts, as a migration may leave it: "
			"%s on %s, last changed %s, and %s on %s, last "
			"changed %s; nothing of one stands in for the "
			"other",
			a->uuid, a->tree_name, a->host->name, changed[0],
			b->tree_name, b->host->name, changed[1]);
	}
}

static bool is_used(const struct rfs_inventory *inv,
		    const struct rfs_disk_rule *rule)
{
	size_t n = rfs_inventory_disks(inv, NULL, 0);
	RFS_CLEANUP_FREE const struct rfs_disk **disks =
		calloc(n + 1, sizeof(*disks));

	if (!disks)
		return true;
	rfs_inventory_disks(inv, disks, n);
	for (size_t i = 0; i < n; i++)
		if (disks[i]->rule == rule)
			return true;
	return false;
}

static void note_leftovers(struct scan *scan)
{
	for (size_t i = 0; i < scan->inv->ninstances; i++)
		note_twins(scan->inv, i);
	for (size_t i = 0; i < scan->ntrees; i++)
		note_orphans(scan, &scan->trees[i]);
	for (size_t i = 0; i < scan->site->nrules; i++)
		if (!is_used(scan->inv, &scan->site->rules[i]))
			rfs_notes_add(&scan->site->notes,
				      "[disk %s]: there is no such disk",
				      scan->site->rules[i].disk);
}

static int run(struct scan *scan, struct rfs_error *err)
{
	int r;

	r = read_trees(scan, err);
	if (r == 0)
		r = probe_trees(scan, err);
	if (r == 0)
		r = make_hosts(scan, err);
	if (r == 0)
		r = make_bases(scan, err);
	if (r == 0)
		r = make_groups(scan, err);
	if (r == 0)
		r = make_instances(scan, err);
	if (r == 0)
		note_leftovers(scan);
	return r;
}

int rfs_inventory_scan(struct rfs_site *site, const struct rfs_memory *memory,
		       struct rfs_inventory *ret, struct rfs_error *err)
{
	struct rfs_inventory inv = { .site = site };
	struct scan scan = { .site = site, .inv = &inv };
	int r;

	if (memory)
		scan.texts.memory = *memory;
	r = run(&scan, err);
	rfs_texts_save(&scan.texts);
	rfs_texts_fini(&scan.texts);
	rfs_scan_groups_fini(&scan.groups);
	for (size_t i = 0; i < scan.ntrees; i++)
		rfs_scan_tree_fini(&scan.trees[i]);
	free(scan.trees);
	if (r < 0)
		rfs_inventory_fini(&inv);
	else
		*ret = inv;
	return r;
}
