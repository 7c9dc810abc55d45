// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/vec.h"
#include "fs/copyfile.h"
#include "fs/image.h"
#include "fs/text.h"
#include "fs/tree.h"
#include "site/status.h"

static void free_node(struct rfs_node *node)
{
	switch (node->kind) {
	case RFS_NODE_DIR:
		for (size_t i = 0; i < node->children.count; i++)
			free_node(node->children.items[i]);
		free(node->children.items);
		break;
	case RFS_NODE_LINK:
		free(node->target);
		break;
	case RFS_NODE_TEXT:
		rfs_text_free(node->text);
		break;
	case RFS_NODE_COPY:
		rfs_copyfile_free(node->copy);
		break;
	case RFS_NODE_HOST:
		free(node->host.path);
		break;
	case RFS_NODE_IMAGE: /* rfs_tree_fini has them all */
		break;
	}
	free(node->name);
	free(node);
}

static bool is_a_file_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= 255 && !strchr(name, '/') &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* The new node, or NULL without memory.  The caller fills in what its kind
 * needs before anyone looks. */
static struct rfs_node *add(struct rfs_tree *tree, struct rfs_node *dir,
			    const char *name, enum rfs_node_kind kind)
{
	struct rfs_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->kind = kind;
	node->ino = ++tree->last_ino;
	node->parent_ino = dir ? dir->ino : node->ino;
	node->name = strdup(name);
	if (!node->name || (dir && RFS_VEC_ROOM(&dir->children) < 0)) {
		free(node->name);
		free(node);
		return NULL;
	}
	if (dir) {
		dir->children.items[dir->children.count++] = node;
		dir->children.subdirs += kind == RFS_NODE_DIR;
	}
	return node;
}

static int add_link(struct rfs_tree *tree, struct rfs_node *dir,
		    const char *name, const char *target)
{
	struct rfs_node *node;

	if (!name || !is_a_file_name(name))
		return 0;
	node = add(tree, dir, name, RFS_NODE_LINK);
	if (!node || asprintf(&node->target, "../%s", target) < 0)
		return -ENOMEM;
	return 0;
}

/* NULL without memory. */
static struct rfs_text *add_text(struct rfs_tree *tree, struct rfs_node *dir,
				 const char *name, rfs_render_fn *render)
{
	struct rfs_node *node = add(tree, dir, name, RFS_NODE_TEXT);

	if (!node || rfs_text_new(render, tree->inv, &node->text) < 0)
		return NULL;
	return node->text;
}

/* rescue/DISK.damaged.map */
static int add_damaged_map(struct rfs_tree *tree, struct rfs_node *dir,
			   struct rfs_image *img)
{
	struct rfs_text *text;
	char name[300];

	snprintf(name, sizeof(name), "%s.damaged.map", img->disk->name);
	if (!is_a_file_name(name))
		return 0;
	text = add_text(tree, dir, name, rfs_render_damaged_map);
	if (!text)
		return -ENOMEM;
	text->image = img;
	text->is_live = true;
	return 0;
}

/* rescue/DISK.map and the rest */
static int add_rescue(struct rfs_tree *tree, struct rfs_node *dir,
		      struct rfs_image *img)
{
	static const struct {
		const char *suffix;
		rfs_render_fn *render;
	} kinds[] = { { "map", rfs_render_map },
		      { "json", rfs_render_json },
		      { "svg", rfs_render_svg },
		      { "losses", rfs_render_losses } };
	struct rfs_text *text;
	char name[300];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		snprintf(name, sizeof(name), "%s.%s", img->disk->name,
			 kinds[i].suffix);
		if (!is_a_file_name(name))
			continue;
		text = add_text(tree, dir, name, kinds[i].render);
		if (!text)
			return -ENOMEM;
		text->image = img;
	}
	return rfs_fetching_copy(img->disk) ? add_damaged_map(tree, dir, img)
					    : 0;
}

static int add_disks(struct rfs_tree *tree, struct rfs_node *dir,
		     struct rfs_node *rescue,
		     const struct rfs_instance *instance)
{
	for (size_t i = 0; i < instance->ndisks; i++) {
		const struct rfs_disk *disk = &instance->disks[i];
		struct rfs_node *node;
		struct rfs_image *img;

		if (!is_a_file_name(disk->name)) {
			rfs_notes_add(&tree->inv->site->notes,
				      "%s: a disk's name cannot be a file's, "
				      "so it is not in the tree",
				      disk->id);
			continue;
		}
		if (rfs_image_new(disk, tree->op, &img) < 0)
			return -ENOMEM;
		tree->images[tree->nimages++] = img;
		node = add(tree, dir, disk->name, RFS_NODE_IMAGE);
		if (!node)
			return -ENOMEM;
		node->image = img;
		if (add_rescue(tree, rescue, img) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_host_file(struct rfs_tree *tree, struct rfs_node *dir,
			 const char *name, const struct rfs_host *host,
			 const char *path)
{
	struct rfs_node *node = add(tree, dir, name, RFS_NODE_HOST);

	if (!node)
		return -ENOMEM;
	node->host.host = host;
	node->host.path = strdup(path);
	return node->host.path ? 0 : -ENOMEM;
}

/* The order matters: of two equal names the first one stays. */
static int add_instance(struct rfs_tree *tree, struct rfs_node *instances,
			const struct rfs_instance *instance)
{
	struct rfs_node *dir =
		add(tree, instances, instance->tree_name, RFS_NODE_DIR);
	struct rfs_node *rescue = NULL;
	struct rfs_text *json = NULL;

	if (dir)
		rescue = add(tree, dir, "rescue", RFS_NODE_DIR);
	if (rescue)
		json = add_text(tree, dir, "instance.json",
				rfs_render_instance);
	if (!json)
		return -ENOMEM;
	json->instance = instance;
	if (add_disks(tree, dir, rescue, instance) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < instance->nfiles; i++) {
		const struct rfs_instance_file *file = &instance->files[i];

		if (is_a_file_name(file->name) &&
		    add_host_file(tree, dir, file->name, instance->host,
				  file->path) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* volumes/NAME and volumes/rescue/; only where there are any. */
static int add_volumes(struct rfs_tree *tree, struct rfs_node *by_uuid)
{
	const struct rfs_inventory *inv = tree->inv;
	struct rfs_node *dir, *rescue;
	char target[300];

	if (!inv->nvolumes)
		return 0;
	dir = add(tree, tree->root, "volumes", RFS_NODE_DIR);
	rescue = dir ? add(tree, dir, "rescue", RFS_NODE_DIR) : NULL;
	if (!rescue)
		return -ENOMEM;
	for (size_t i = 0; i < inv->nvolumes; i++) {
		const struct rfs_instance *volumes = inv->volumes[i];

		if (add_disks(tree, dir, rescue, volumes) < 0)
			return -ENOMEM;
		for (size_t j = 0; j < volumes->ndisks; j++) {
			const struct rfs_disk *disk = &volumes->disks[j];

			snprintf(target, sizeof(target), "volumes/%s",
				 disk->name);
			if (add_link(tree, by_uuid, disk->uuid, target) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

/* by-uuid/UUID, by-id/NAME; with the host behind it where another host's instance
 * is called so, too: a link must not lead to the wrong one. */
static int add_names(struct rfs_tree *tree, struct rfs_node *by_uuid,
		     struct rfs_node *by_id, const struct rfs_instance *it)
{
	const struct rfs_inventory *inv = tree->inv;
	const struct {
		struct rfs_node *dir;
		const char *name;
		bool is_shared;
	} links[] = {
		{ by_uuid, it->uuid, rfs_instance_shares_uuid(inv, it) },
		{ by_id, it->id_name, rfs_instance_shares_id(inv, it) },
	};
	char target[300], name[512];

	snprintf(target, sizeof(target), "instances/%s", it->tree_name);
	for (size_t i = 0; i < 2; i++) {
		if (!links[i].name)
			continue;
		snprintf(name, sizeof(name), "%s%s%s", links[i].name,
			 links[i].is_shared ? "-" : "",
			 links[i].is_shared ? it->host->name : "");
		if (add_link(tree, links[i].dir, name, target) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_instances(struct rfs_tree *tree)
{
	struct rfs_node *instances, *by_uuid, *by_id;
	const struct rfs_inventory *inv = tree->inv;

	instances = add(tree, tree->root, "instances", RFS_NODE_DIR);
	by_uuid = add(tree, tree->root, "by-uuid", RFS_NODE_DIR);
	by_id = add(tree, tree->root, "by-id", RFS_NODE_DIR);
	if (!instances || !by_uuid || !by_id)
		return -ENOMEM;
	for (size_t i = 0; i < inv->ninstances; i++) {
		if (add_instance(tree, instances, inv->instances[i]) < 0 ||
		    add_names(tree, by_uuid, by_id, inv->instances[i]) < 0)
			return -ENOMEM;
	}
	return add_volumes(tree, by_uuid);
}

static int add_hosts(struct rfs_tree *tree)
{
	struct rfs_node *hosts = add(tree, tree->root, "hosts", RFS_NODE_DIR);

	if (!hosts)
		return -ENOMEM;
	for (size_t i = 0; i < tree->inv->nhosts; i++) {
		const struct rfs_host *host = tree->inv->hosts[i];

		if (!host->nsources)
			continue; /* known by its volumes alone */
		if (!is_a_file_name(host->name)) {
			rfs_notes_add(&tree->inv->site->notes,
				      "host \"%s\": a directory cannot have "
				      "this name, so it is not in the tree",
				      host->name);
			continue;
		}
		if (add_host_file(tree, hosts, host->name, host, "/") < 0)
			return -ENOMEM;
		hosts->children.subdirs++;
	}
	return 0;
}

/* sources/SOURCE/instances/NAME/DISK, for what this source has of it. */
static int add_copies(struct rfs_tree *tree, struct rfs_node *instances,
		      const struct rfs_instance *instance,
		      const struct rfs_source *source)
{
	struct rfs_node *dir = NULL, *node;

	for (size_t d = 0; d < instance->ndisks; d++) {
		const struct rfs_disk *disk = &instance->disks[d];

		for (size_t c = 0; c < disk->ncopies; c++) {
			if (disk->copies[c].source != source ||
			    !is_a_file_name(disk->name))
				continue;
			if (!dir)
				dir = add(tree, instances, instance->tree_name,
					  RFS_NODE_DIR);
			node = dir ? add(tree, dir, disk->name, RFS_NODE_COPY)
				   : NULL;
			if (!node ||
			    rfs_copyfile_new(disk, &disk->copies[c], tree->op,
					     &node->copy) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

/* sources/SOURCE/volumes/NAME, of all hosts whose volumes it has. */
static int add_source_volumes(struct rfs_tree *tree, struct rfs_node *dir,
			      const struct rfs_source *source)
{
	struct rfs_node *volumes = NULL, *node;
	const struct rfs_inventory *inv = tree->inv;
	size_t n = rfs_inventory_disks(inv, NULL, 0);
	const struct rfs_disk **disks = calloc(n + 1, sizeof(*disks));
	int r = disks ? 0 : -ENOMEM;

	if (disks)
		rfs_inventory_disks(inv, disks, n);
	for (size_t i = 0; i < n && r == 0; i++)
		for (size_t c = 0; c < disks[i]->ncopies && r == 0; c++) {
			if (disks[i]->copies[c].source != source ||
			    !rfs_disk_is_volume(disks[i]) ||
			    !is_a_file_name(disks[i]->name))
				continue;
			if (!volumes)
				volumes =
					add(tree, dir, "volumes", RFS_NODE_DIR);
			node = volumes ? add(tree, volumes, disks[i]->name,
					     RFS_NODE_COPY)
				       : NULL;
			if (!node ||
			    rfs_copyfile_new(disks[i], &disks[i]->copies[c],
					     tree->op, &node->copy) < 0)
				r = -ENOMEM;
		}
	free(disks);
	return r;
}

static int add_sources(struct rfs_tree *tree)
{
	struct rfs_node *sources, *dir, *instances;
	const struct rfs_inventory *inv = tree->inv;

	sources = add(tree, tree->root, "sources", RFS_NODE_DIR);
	if (!sources)
		return -ENOMEM;
	for (size_t s = 0; s < inv->site->nsources; s++) {
		const struct rfs_source *source = inv->site->sources[s];

		if (!is_a_file_name(source->origin.name))
			continue;
		dir = add(tree, sources, source->origin.name, RFS_NODE_DIR);
		instances =
			dir ? add(tree, dir, "instances", RFS_NODE_DIR) : NULL;
		if (!instances)
			return -ENOMEM;
		for (size_t i = 0; i < inv->ninstances; i++)
			if (add_copies(tree, instances, inv->instances[i],
				       source) < 0)
				return -ENOMEM;
		if (add_source_volumes(tree, dir, source) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* By name; equal names in the order in which they were added. */
static int compare_nodes(const void *a, const void *b)
{
	const struct rfs_node *x = *(struct rfs_node *const *)a;
	const struct rfs_node *y = *(struct rfs_node *const *)b;
	int d = strcmp(x->name, y->name);

	return d ? d : (x->ino > y->ino) - (x->ino < y->ino);
}

static void drop_twins(struct rfs_tree *tree, struct rfs_node *dir)
{
	struct rfs_children *list = &dir->children;
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++) {
		struct rfs_node *node = list->items[i];

		if (kept == 0 ||
		    strcmp(list->items[kept - 1]->name, node->name) != 0) {
			list->items[kept++] = node;
			continue;
		}
		rfs_notes_add(&tree->inv->site->notes,
			      "%s/%s: there are two of this name, and only one "
			      "is in the tree",
			      dir->name, node->name);
		list->subdirs -= node->kind == RFS_NODE_DIR;
		free_node(node);
	}
	list->count = kept;
}

static void sort_tree(struct rfs_tree *tree, struct rfs_node *dir)
{
	struct rfs_children *list = &dir->children;

	if (list->count)
		qsort(list->items, list->count, sizeof(*list->items),
		      compare_nodes);
	drop_twins(tree, dir);
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i]->kind == RFS_NODE_DIR)
			sort_tree(tree, list->items[i]);
}

static int add_status(struct rfs_tree *tree)
{
	struct rfs_text *text =
		add_text(tree, tree->root, RFS_STATUS_FILE, rfs_render_status);

	if (!text)
		return -ENOMEM;
	text->tree = tree;
	text->is_live = true;
	return 0;
}

static int build(struct rfs_tree *tree)
{
	size_t ndisks;

	ndisks = rfs_inventory_disks(tree->inv, NULL, 0);
	tree->images = calloc(ndisks + 1, sizeof(struct rfs_image *));
	tree->root = add(tree, NULL, "", RFS_NODE_DIR);
	if (!tree->images || !tree->root)
		return -ENOMEM;
	if (!add_text(tree, tree->root, "README", rfs_render_readme) ||
	    add_status(tree) < 0 || add_instances(tree) < 0 ||
	    add_hosts(tree) < 0)
		return -ENOMEM;
	return add_sources(tree);
}

int rfs_tree_build(struct rfs_tree *tree, const struct rfs_inventory *inv,
		   struct rfs_opener *op, struct rfs_error *err)
{
	*tree = (struct rfs_tree){ .inv = inv, .op = op };
	if (build(tree) < 0) {
		rfs_tree_fini(tree, NULL, NULL);
		return rfs_no_memory(err);
	}
	sort_tree(tree, tree->root);
	return 0;
}

int rfs_tree_fini(struct rfs_tree *tree, void (*each)(const char *text),
		  struct rfs_error *err)
{
	struct rfs_error why = RFS_ERROR_INIT;
	int r, first = 0;

	/* All first, so that they end together. */
	for (size_t i = 0; i < tree->nimages; i++)
		rfs_image_stop_fetch(tree->images[i]);
	for (size_t i = 0; i < tree->nimages; i++) {
		r = rfs_image_free(tree->images[i], &why);
		if (r < 0 && each)
			each(why.text);
		if (r < 0 && first == 0)
			first = rfs_fail(err, -r, "%s", why.text);
	}
	tree->nimages = 0;
	free(tree->images);
	tree->images = NULL;
	if (tree->root)
		free_node(tree->root);
	tree->root = NULL;
	return first;
}

struct rfs_node *rfs_tree_find(const struct rfs_node *dir, const char *name)
{
	size_t lo = 0, hi = dir->children.count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int d = strcmp(name, dir->children.items[mid]->name);

		if (d == 0)
			return dir->children.items[mid];
		if (d < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}
