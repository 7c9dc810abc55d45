// SPDX-License-Identifier: GPL-3.0-or-later
/* scan_exports.c - which disk each export of an NBD server is.
 *
 * By its name, unless the site file says it: a volume's name, or whatever an
 * instance is called by, with or without "/disk" behind it.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/cleanup.h"
#include "site/ceph.h"
#include "site/scan.h"

static const char *said_disk(const struct rfs_site *site, const char *export)
{
	for (size_t i = 0; i < site->nexports; i++)
		if (!strcmp(site->exports[i].export, export))
			return site->exports[i].disk;
	return NULL;
}

static bool is_called(const struct rfs_instance *instance, const char *name)
{
	const char *names[] = { instance->tree_name, instance->display_name,
				instance->id_name };
	char uuid[RFS_UUID_TEXT];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i] && !strcmp(names[i], name))
			return true;
	return instance->uuid && rfs_uuid_normal(name, uuid) &&
	       !strcmp(instance->uuid, uuid);
}

/* The one instance that is called so; NULL if none or, which is said in *several,
 * some are. */
static struct rfs_instance *find_instance(const struct rfs_inventory *inv,
					  const char *name, bool *several)
{
	struct rfs_instance *found = NULL;

	for (size_t i = 0; i < inv->ninstances; i++) {
		if (!is_called(inv->instances[i], name))
			continue;
		/* A tree's name is one instance's alone. */
		if (!strcmp(inv->instances[i]->tree_name, name))
			return inv->instances[i];
		*several |= found != NULL;
		found = inv->instances[i];
	}
	return *several ? NULL : found;
}

static struct rfs_disk *disk_of(struct rfs_instance *instance, const char *name)
{
	for (size_t i = 0; i < instance->ndisks; i++)
		if (!strcmp(instance->disks[i].name, name))
			return &instance->disks[i];
	return NULL;
}

/* NULL: there is none, or no memory. */
static struct rfs_disk *find_disk(const struct rfs_inventory *inv,
				  const char *name, bool *several)
{
	RFS_CLEANUP_FREE char *copy = strdup(name);
	struct rfs_instance *instance = find_instance(inv, name, several);
	char *slash;

	if (instance)
		return instance->ndisks == 1 ? &instance->disks[0]
					     : disk_of(instance, "disk");
	slash = copy ? strrchr(copy, '/') : NULL;
	if (!slash)
		return NULL;
	*slash = '\0';
	instance = find_instance(inv, copy, several);
	return instance ? disk_of(instance, slash + 1) : NULL;
}

/* "volume-00000143", "volumes/volume-00000143", "volume-00000143/disk" or the
 * uuid of a volume that is called by it; the caller frees it.  NULL: no volume's
 * name, or no memory. */
static char *volume_name(const struct rfs_inventory *inv, const char *name)
{
	RFS_CLEANUP_FREE char *copy = NULL;
	char uuid[RFS_UUID_TEXT], *with = NULL;
	size_t len;

	if (!strncmp(name, "volumes/", 8))
		name += 8;
	copy = strdup(name);
	len = copy ? strlen(copy) : 0;
	if (len > 5 && !strcmp(copy + len - 5, "/disk"))
		copy[len - 5] = '\0';
	if (copy && rfs_is_volume_name(copy))
		return RFS_STEAL(copy);
	if (!copy || !rfs_uuid_normal(copy, uuid) ||
	    asprintf(&with, "volume-%s", uuid) < 0)
		return NULL;
	for (size_t i = 0; i < inv->nvolumes; i++)
		if (disk_of(inv->volumes[i], with))
			return with;
	free(with);
	return NULL;
}

static bool has_source(const struct rfs_disk *disk,
		       const struct rfs_source *source)
{
	for (size_t i = 0; i < disk->ncopies; i++)
		if (disk->copies[i].source == source)
			return true;
	return false;
}

static bool is_taken(const struct rfs_inventory *inv, const char *volume,
		     const struct rfs_source *source)
{
	for (size_t i = 0; i < inv->nvolumes; i++) {
		const struct rfs_disk *disk = disk_of(inv->volumes[i], volume);

		if (disk && has_source(disk, source))
			return true;
	}
	return false;
}

static int note_second(const struct scan_tree *tree, const char *export,
		       const char *disk)
{
	rfs_scan_note(tree,
		      "export %s: is %s, of which this source has another copy "
		      "already; passed over",
		      export, disk);
	return 0;
}

static void note_unknown(const struct scan_tree *tree, const char *export,
			 const char *said, bool several)
{
	if (said)
		rfs_scan_note(
			tree,
			"export %s: the site file says that it is %s, and "
			"%s",
			export, said,
			several ? "several instances are called so"
				: "there is no such disk");
	else
		rfs_scan_note(tree,
			      "export '%s': %s called so; [export NAME] in a "
			      "site file says which it is",
			      export,
			      several ? "several instances are" : "no disk is");
}

static int add_export(struct rfs_inventory *inv, const struct scan_tree *tree,
		      const struct rfs_nbd_export *export,
		      struct rfs_error *err)
{
	const char *said = said_disk(tree->site, export->name);
	RFS_CLEANUP_FREE char *made =
		tree->source->rbd ? rfs_ceph_disk_name(export->name) : NULL;
	const char *name = said ? said : made ? made : export->name;
	RFS_CLEANUP_FREE char *volume = volume_name(inv, name);
	bool several = false;
	struct rfs_disk *disk = find_disk(inv, name, &several);
	const struct rfs_copy copy = {
		.source = tree->source,
		.place = RFS_EXPORT,
		.path = export->name,
		.generation = { export->size, RFS_TIME_UNKNOWN },
	};

	if (disk && has_source(disk, tree->source))
		return note_second(tree, export->name, name);
	if (disk)
		return rfs_scan_add_copy(tree->site, disk, &copy) < 0
			       ? rfs_no_memory(err)
			       : 0;
	if (volume && is_taken(inv, volume, tree->source))
		return note_second(tree, export->name, volume);
	if (volume)
		return rfs_scan_add_volume(inv, tree->site, volume, &copy, err);
	note_unknown(tree, export->name, said, several);
	return 0;
}

int rfs_scan_exports(struct rfs_inventory *inv, struct scan_tree *trees,
		     size_t ntrees, struct rfs_error *err)
{
	int r = 0;

	for (size_t i = 0; i < ntrees && r == 0; i++) {
		const struct rfs_nbd_exports *list = &trees[i].source->exports;

		for (size_t j = 0; j < list->count && r == 0; j++)
			r = add_export(inv, &trees[i], &list->items[j], err);
	}
	return r;
}
