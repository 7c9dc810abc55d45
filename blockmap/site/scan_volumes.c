// SPDX-License-Identifier: GPL-3.0-or-later
/* scan_volumes.c - the volumes of each host, and which instance has them.
 *
 * Sources of one host merge by the volume's name.  A live source may be another
 * host, where the volume was made anew: its copy joins the volume of that name
 * wherever there is exactly one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "site/scan.h"

int rfs_scan_list_volumes(struct scan_tree *tree, struct rfs_error *err)
{
	struct rfs_source *source = tree->source;
	int r;

	r = rfs_volumes_find(source->names, source->volumes,
			     source->origin.name, &tree->site->notes,
			     &tree->volumes, err);
	for (size_t i = 0; i < tree->volumes.count; i++) {
		int64_t ns = tree->volumes.items[i].generation.mtime_ns;

		if (ns > source->newest_ns)
			source->newest_ns = ns;
	}
	return r;
}

/* The volumes of a host, made if there are none yet; NULL: no memory. */
static struct rfs_instance *volumes_of(struct rfs_inventory *inv,
				       struct rfs_host *host)
{
	struct rfs_instance **grown, *made;

	for (size_t i = 0; i < inv->nvolumes; i++)
		if (inv->volumes[i]->host == host)
			return inv->volumes[i];
	grown = reallocarray(inv->volumes, inv->nvolumes + 1, sizeof(made));
	if (!grown)
		return NULL;
	inv->volumes = grown;
	made = calloc(1, sizeof(*made));
	if (!made)
		return NULL;
	made->is_volumes = true;
	made->host = host;
	made->tree_name = strdup("volumes");
	if (!made->tree_name) {
		rfs_instance_free(made);
		return NULL;
	}
	inv->volumes[inv->nvolumes++] = made;
	return made;
}

static struct rfs_disk *find_disk(const struct rfs_instance *volumes,
				  const char *name)
{
	for (size_t i = 0; i < volumes->ndisks; i++)
		if (!strcmp(volumes->disks[i].name, name))
			return &volumes->disks[i];
	return NULL;
}

/* The volume of that name where exactly one host has it. */
static struct rfs_disk *find_anywhere(const struct rfs_inventory *inv,
				      const char *name)
{
	struct rfs_disk *found = NULL;

	for (size_t i = 0; i < inv->nvolumes; i++) {
		struct rfs_disk *disk = find_disk(inv->volumes[i], name);

		if (disk && found)
			return NULL;
		if (disk)
			found = disk;
	}
	return found;
}

/* A host may be known by its short name on one day and in full on another,
 * which must not make another disk of it: the short name will do unless a
 * second host has it too. */
static int host_label(const struct rfs_inventory *inv,
		      const struct rfs_host *host)
{
	size_t len = strcspn(host->name, ".");

	for (size_t i = 0; i < inv->nhosts; i++) {
		const char *other = inv->hosts[i]->name;

		if (inv->hosts[i] != host && strcspn(other, ".") == len &&
		    !strncmp(other, host->name, len))
			return (int)strlen(host->name);
	}
	return (int)len;
}

/* NULL: no memory. */
static struct rfs_disk *add_disk(const struct rfs_inventory *inv,
				 struct rfs_instance *volumes, const char *name)
{
	struct rfs_disk *grown, *disk;
	char uuid[RFS_UUID_TEXT];

	grown = reallocarray(volumes->disks, volumes->ndisks + 1,
			     sizeof(*grown));
	if (!grown)
		return NULL;
	volumes->disks = grown;
	disk = &grown[volumes->ndisks];
	*disk = (struct rfs_disk){ .instance = volumes, .name = strdup(name) };
	if (rfs_volume_uuid(name, uuid))
		disk->uuid = strdup(uuid);
	if (asprintf(&disk->id, "%.*s:volumes/%s",
		     host_label(inv, volumes->host), volumes->host->name,
		     name) < 0)
		disk->id = NULL;
	volumes->ndisks++;
	return disk->name && disk->id ? disk : NULL;
}

int rfs_scan_add_volume(struct rfs_inventory *inv, const struct rfs_site *site,
			const char *name, const struct rfs_copy *copy,
			struct rfs_error *err)
{
	struct rfs_host *host =
		rfs_inventory_find_host(inv, copy->source->host);
	struct rfs_instance *volumes;
	struct rfs_disk *disk = NULL;

	volumes = host ? volumes_of(inv, host) : NULL;
	if (!volumes)
		return rfs_no_memory(err);
	disk = find_disk(volumes, name);
	if (!disk && copy->source->kind == RFS_LIVE)
		disk = find_anywhere(inv, name);
	if (!disk)
		disk = add_disk(inv, volumes, name);
	if (!disk || rfs_scan_add_copy(site, disk, copy) < 0)
		return rfs_no_memory(err);
	return 0;
}

static int add_copy(struct rfs_inventory *inv, const struct scan_tree *tree,
		    const struct rfs_volume *volume, struct rfs_error *err)
{
	const struct rfs_copy copy = {
		.source = tree->source,
		.place = RFS_VOLUME,
		.path = volume->path,
		.packing = volume->packing,
		.mapfile = volume->mapfile,
		.generation = volume->generation,
	};

	return rfs_scan_add_volume(inv, tree->site, volume->name, &copy, err);
}

static int add_copies(struct rfs_inventory *inv, const struct scan_tree *tree,
		      struct rfs_error *err)
{
	int r = 0;

	for (size_t i = 0; i < tree->volumes.count && r == 0; i++)
		r = add_copy(inv, tree, &tree->volumes.items[i], err);
	return r;
}

/* Every one that shares its name with another host's is called after its host
 * too, so that none depends on which came first. */
static int name_apart(struct rfs_inventory *inv, struct rfs_error *err)
{
	size_t n = rfs_inventory_disks(inv, NULL, 0);
	RFS_CLEANUP_FREE bool *shared = calloc(n + 1, sizeof(*shared));
	size_t at = 0;

	if (!shared)
		return rfs_no_memory(err);
	for (size_t i = 0; i < inv->nvolumes; i++)
		for (size_t j = 0; j < inv->volumes[i]->ndisks; j++) {
			const char *name = inv->volumes[i]->disks[j].name;

			shared[at++] = !find_anywhere(inv, name);
		}
	at = 0;
	for (size_t i = 0; i < inv->nvolumes; i++)
		for (size_t j = 0; j < inv->volumes[i]->ndisks; j++) {
			struct rfs_disk *disk = &inv->volumes[i]->disks[j];
			char *longer;

			if (!shared[at++])
				continue;
			if (asprintf(&longer, "%s-%s", disk->name,
				     inv->volumes[i]->host->name) < 0)
				return rfs_no_memory(err);
			free(disk->name);
			disk->name = longer;
		}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct rfs_disk *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Hosts of which a live source gave its volumes to others have none left. */
static void sort_volumes(struct rfs_inventory *inv)
{
	size_t kept = 0;

	for (size_t i = 0; i < inv->nvolumes; i++) {
		struct rfs_instance *volumes = inv->volumes[i];

		if (!volumes->ndisks) {
			rfs_instance_free(volumes);
			continue;
		}
		qsort(volumes->disks, volumes->ndisks, sizeof(*volumes->disks),
		      by_name);
		inv->volumes[kept++] = volumes;
	}
	inv->nvolumes = kept;
}

int rfs_scan_volumes(struct rfs_inventory *inv, struct scan_tree *trees,
		     size_t ntrees, struct rfs_error *err)
{
	int r = 0;

	/* Live sources last: they join what the others have. */
	for (int live = 0; live <= 1 && r == 0; live++)
		for (size_t i = 0; i < ntrees && r == 0; i++)
			if ((trees[i].source->kind == RFS_LIVE) == live)
				r = add_copies(inv, &trees[i], err);
	return r;
}

int rfs_scan_end_volumes(struct rfs_inventory *inv, struct rfs_error *err)
{
	int r = name_apart(inv, err);

	sort_volumes(inv);
	return r;
}

static bool has_attachment(const struct rfs_instance *instance,
			   const struct rfs_attachment *a)
{
	for (size_t i = 0; i < instance->nattachments; i++) {
		const struct rfs_attachment *b = &instance->attachments[i];

		if (a->target && b->target
			    ? !strcmp(a->target, b->target)
			    : a->uuid && b->uuid && !strcmp(a->uuid, b->uuid))
			return true;
	}
	return false;
}

/* True if a component of 'dev', or a part of it between colons and dashes as
 * iSCSI names have it, is the volume's name. */
static bool names_volume(const char *dev, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = dev; (p = strstr(p, name)); p++)
		if ((p == dev || strchr("/:", p[-1])) &&
		    (!p[len] || strchr("/-", p[len])))
			return true;
	return false;
}

static bool is_this(const struct rfs_disk *disk, const struct rfs_attachment *a)
{
	if (a->uuid && disk->uuid)
		return !strcmp(a->uuid, disk->uuid);
	return a->dev && names_volume(a->dev, disk->name);
}

/* Of the instance's own host first, then of any. */
static struct rfs_disk *find_attached(const struct rfs_inventory *inv,
				      const struct rfs_host *host,
				      const struct rfs_attachment *a)
{
	for (int own = 1; own >= 0; own--)
		for (size_t i = 0; i < inv->nvolumes; i++) {
			struct rfs_instance *volumes = inv->volumes[i];

			if ((volumes->host == host) != own)
				continue;
			for (size_t j = 0; j < volumes->ndisks; j++)
				if (is_this(&volumes->disks[j], a))
					return &volumes->disks[j];
		}
	return NULL;
}

static void attach_disk(struct rfs_site *site, struct rfs_disk *disk,
			const struct rfs_instance *instance,
			const struct rfs_attachment *a)
{
	if (!disk->uuid && a->uuid)
		disk->uuid = strdup(a->uuid);
	if (disk->attached && disk->attached != instance)
		rfs_notes_add(&site->notes,
			      "%s: both %s and %s say that they have it",
			      disk->name, disk->attached->tree_name,
			      instance->tree_name);
	if (!disk->attached)
		disk->attached = instance;
}

static int add_attachment(struct rfs_site *site, struct rfs_inventory *inv,
			  struct rfs_instance *instance,
			  const struct rfs_attachment *a, struct rfs_error *err)
{
	struct rfs_attachment *grown, *added;
	struct rfs_disk *disk;

	if (has_attachment(instance, a))
		return 0;
	grown = reallocarray(instance->attachments, instance->nattachments + 1,
			     sizeof(*grown));
	if (!grown)
		return rfs_no_memory(err);
	instance->attachments = grown;
	added = &grown[instance->nattachments++];
	*added = (struct rfs_attachment){
		.uuid = a->uuid ? strdup(a->uuid) : NULL,
		.dev = a->dev ? strdup(a->dev) : NULL,
		.target = a->target ? strdup(a->target) : NULL,
	};
	disk = find_attached(inv, instance->host, a);
	added->volume = disk;
	if (disk)
		attach_disk(site, disk, instance, a);
	else if (inv->nvolumes)
		rfs_notes_add(&site->notes,
			      "%s: its domain has the volume %s as %s, and no "
			      "source has that volume",
			      instance->tree_name, a->uuid ? a->uuid : a->dev,
			      a->target ? a->target : "a disk");
	return 0;
}

int rfs_scan_attach(struct rfs_site *site, struct rfs_inventory *inv,
		    const struct scan_group *group,
		    struct rfs_instance *instance, struct rfs_error *err)
{
	int r = 0;

	for (size_t i = 0; i < group->dirs.count * 2; i++) {
		const struct scan_dir *dir = group->dirs.items[i / 2];
		const struct rfs_domain *domain =
			i % 2 ? dir->defined : dir->own;

		for (size_t j = 0; domain && j < domain->nattachments && r == 0;
		     j++)
			r = add_attachment(site, inv, instance,
					   &domain->attachments[j], err);
	}
	return r;
}
