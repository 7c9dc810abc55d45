// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/inventory.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/cleanup.h"
#include "site/names.h"
#include "site/scan.h"

static void fini_disk(struct rfs_disk *disk)
{
	for (size_t i = 0; i < disk->ncopies; i++) {
		free(disk->copies[i].path);
		free(disk->copies[i].mapfile);
		free(disk->copies[i].format_name);
	}
	free(disk->uuid);
	free(disk->copies);
	free(disk->name);
	free(disk->id);
}

static void free_strings(const struct rfs_instance *i)
{
	char *strings[] = { i->tree_name, i->id_name,	 i->uuid,
			    i->dir,	  i->flavor,	 i->display_name,
			    i->kernel,	  i->image_uuid, i->ramdisk,
			    i->project,	  i->user,	 i->created };

	for (size_t n = 0; n < sizeof(strings) / sizeof(*strings); n++)
		free(strings[n]);
}

void rfs_instance_free(struct rfs_instance *instance)
{
	if (!instance)
		return;
	free_strings(instance);
	for (size_t i = 0; i < instance->nnics; i++) {
		free(instance->nics[i].mac);
		free(instance->nics[i].bridge);
		free(instance->nics[i].ip);
	}
	for (size_t i = 0; i < instance->ndisks; i++)
		fini_disk(&instance->disks[i]);
	for (size_t i = 0; i < instance->nfiles; i++) {
		free(instance->files[i].name);
		free(instance->files[i].path);
	}
	for (size_t i = 0; i < instance->nattachments; i++) {
		free(instance->attachments[i].uuid);
		free(instance->attachments[i].dev);
		free(instance->attachments[i].target);
	}
	free(instance->attachments);
	free(instance->nics);
	free(instance->disks);
	free(instance->files);
	free(instance);
}

static void free_host(struct rfs_host *host)
{
	for (size_t i = 0; i < host->nbases; i++)
		free(host->bases[i].name);
	free(host->bases);
	free(host->name);
	free(host->sources);
	free(host);
}

void rfs_inventory_fini(struct rfs_inventory *inv)
{
	for (size_t i = 0; i < inv->ninstances; i++)
		rfs_instance_free(inv->instances[i]);
	for (size_t i = 0; i < inv->nhosts; i++)
		free_host(inv->hosts[i]);
	for (size_t i = 0; i < inv->nvolumes; i++)
		rfs_instance_free(inv->volumes[i]);
	free(inv->volumes);
	free(inv->instances);
	free(inv->hosts);
	memset(inv, 0, sizeof(*inv));
}

size_t rfs_inventory_disks(const struct rfs_inventory *inv,
			   const struct rfs_disk **ret, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < inv->ninstances + inv->nvolumes; i++) {
		const struct rfs_instance *it =
			i < inv->ninstances ? inv->instances[i]
					    : inv->volumes[i - inv->ninstances];

		for (size_t j = 0; j < it->ndisks; j++, n++)
			if (n < room)
				ret[n] = &it->disks[j];
	}
	return n;
}

char *rfs_disk_path(const struct rfs_disk *disk)
{
	char *path;

	if (rfs_disk_is_volume(disk))
		return strdup(disk->name);
	if (asprintf(&path, "%s/%s", disk->instance->tree_name, disk->name) < 0)
		return NULL;
	return path;
}

char *rfs_disk_place(const struct rfs_disk *disk)
{
	const char *top = rfs_disk_is_volume(disk) ? "" : "instances/";
	char *path;

	if (asprintf(&path, "%s%s/%s", top, disk->instance->tree_name,
		     disk->name) < 0)
		return NULL;
	return path;
}

static void drop_dashes(const char *text, char *out, size_t room)
{
	size_t n = 0;

	for (; *text && n + 1 < room; text++)
		if (*text != '-')
			out[n++] = *text;
	out[n] = '\0';
}

static bool contains(const char *text, const char *part)
{
	return text && strcasestr(text, part);
}

static bool matches(const struct rfs_instance *instance, const char *part)
{
	char uuid[RFS_UUID_TEXT], bare[RFS_UUID_TEXT + 1];

	if (contains(instance->tree_name, part) ||
	    contains(instance->display_name, part) ||
	    contains(instance->id_name, part))
		return true;
	drop_dashes(instance->uuid ? instance->uuid : "", uuid, sizeof(uuid));
	/* One more than a uuid has: a longer part is cut and still misses. */
	drop_dashes(part, bare, sizeof(bare));
	return *bare && strcasestr(uuid, bare);
}

struct rfs_host *rfs_inventory_find_host(const struct rfs_inventory *inv,
					 const char *name)
{
	for (size_t i = 0; i < inv->nhosts; i++)
		if (!strcmp(inv->hosts[i]->name, name))
			return inv->hosts[i];
	return NULL;
}

size_t rfs_inventory_find(const struct rfs_inventory *inv, const char *part,
			  const struct rfs_instance **ret, size_t room)
{
	size_t n = 0;

	if (!*part)
		return 0;
	for (size_t i = 0; i < inv->ninstances; i++)
		if (matches(inv->instances[i], part)) {
			if (n < room)
				ret[n] = inv->instances[i];
			n++;
		}
	return n;
}

static bool is_same_text(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

bool rfs_instance_shares_uuid(const struct rfs_inventory *inv,
			      const struct rfs_instance *instance)
{
	for (size_t i = 0; i < inv->ninstances; i++)
		if (inv->instances[i]->host != instance->host &&
		    is_same_text(inv->instances[i]->uuid, instance->uuid))
			return true;
	return false;
}

bool rfs_instance_shares_id(const struct rfs_inventory *inv,
			    const struct rfs_instance *instance)
{
	for (size_t i = 0; i < inv->ninstances; i++)
		if (inv->instances[i]->host != instance->host &&
		    is_same_text(inv->instances[i]->id_name, instance->id_name))
			return true;
	return false;
}

static bool is_called(const struct rfs_instance *instance, const char *name)
{
	char uuid[RFS_UUID_TEXT];

	if (!strcmp(instance->tree_name, name) ||
	    (instance->id_name && !strcmp(instance->id_name, name)))
		return true;
	return instance->uuid && rfs_uuid_normal(name, uuid) &&
	       !strcmp(instance->uuid, uuid);
}

int rfs_inventory_find_instance(const struct rfs_inventory *inv,
				const char *name,
				const struct rfs_instance **ret,
				struct rfs_error *err)
{
	const struct rfs_instance *found = NULL, *near = NULL;

	for (size_t i = 0; i < inv->ninstances; i++) {
		if (!is_called(inv->instances[i], name))
			continue;
		/* A tree's name is one instance's alone, whatever others
		 * are called besides. */
		if (!strcmp(inv->instances[i]->tree_name, name)) {
			found = inv->instances[i];
			break;
		}
		if (found)
			return rfs_fail(err, ENOENT,
					"%s: both %s and %s are called so",
					name, found->tree_name,
					inv->instances[i]->tree_name);
		found = inv->instances[i];
	}
	*ret = found;
	if (found)
		return 0;
	if (rfs_inventory_find(inv, name, &near, 1))
		return rfs_fail(err, ENOENT,
				"%s: there is no such instance; the nearest is "
				"%s",
				name, near->tree_name);
	return rfs_fail(err, ENOENT,
			"%s: there is no such instance among %zu; 'rescuefs "
			"scan' lists them",
			name, inv->ninstances);
}

static int fail_disk(const struct rfs_instance *instance, const char *name,
		     struct rfs_error *err)
{
	char list[400] = "none";
	size_t n = 0;

	for (size_t i = 0; i < instance->ndisks && n < sizeof(list); i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s",
				      i ? ", " : "", instance->disks[i].name);
	return rfs_fail(err, ENOENT, "%s: %s; the disks of %s: %s", name,
			instance->ndisks > 1 ? "which disk" : "no such disk",
			instance->tree_name, list);
}

/* "UUID/disk" is a name of both, whichever of them the state calls so. */
static int check_alone(const struct rfs_inventory *inv,
		       const struct rfs_disk *disk, const char *name,
		       struct rfs_error *err)
{
	const struct rfs_instance *it, *own = disk->instance;

	if (!own->uuid || strncasecmp(name, own->uuid, strlen(own->uuid)) != 0)
		return 0;
	for (size_t i = 0; i < inv->ninstances; i++) {
		it = inv->instances[i];
		if (it != own && is_same_text(it->uuid, own->uuid))
			return rfs_fail(err, ENOENT,
					"%s: both %s of %s and %s of %s are "
					"called so",
					name, own->tree_name, own->host->name,
					it->tree_name, it->host->name);
	}
	return 0;
}

static const struct rfs_disk *find_by_id(const struct rfs_inventory *inv,
					 const char *id)
{
	for (size_t i = 0; i < inv->ninstances; i++)
		for (size_t j = 0; j < inv->instances[i]->ndisks; j++)
			if (!strcmp(inv->instances[i]->disks[j].id, id))
				return &inv->instances[i]->disks[j];
	return NULL;
}

/* By its name, with or without "volumes/", its id or its uuid. */
static bool is_volume(const struct rfs_disk *disk, const char *name)
{
	char uuid[RFS_UUID_TEXT];

	if (!strcmp(disk->id, name))
		return true;
	if (!strncmp(name, "volumes/", 8))
		name += 8;
	return !strcmp(disk->name, name) ||
	       (disk->uuid && rfs_uuid_normal(name, uuid) &&
		!strcmp(disk->uuid, uuid));
}

/* 1: *ret is the one of that name; 0: there is none; or an error: there are
 * several. */
static int find_volume(const struct rfs_inventory *inv, const char *name,
		       const struct rfs_disk **ret, struct rfs_error *err)
{
	const struct rfs_disk *found = NULL;

	for (size_t i = 0; i < inv->nvolumes; i++)
		for (size_t j = 0; j < inv->volumes[i]->ndisks; j++) {
			const struct rfs_disk *disk =
				&inv->volumes[i]->disks[j];

			if (!is_volume(disk, name))
				continue;
			if (found)
				return rfs_fail(err, ENOENT,
						"%s: both %s of %s and %s of "
						"%s are called so",
						name, found->name,
						found->instance->host->name,
						disk->name,
						disk->instance->host->name);
			found = disk;
		}
	*ret = found;
	return found != NULL;
}

int rfs_inventory_find_disk(const struct rfs_inventory *inv, const char *name,
			    const struct rfs_disk **ret, struct rfs_error *err)
{
	const struct rfs_disk *by_id = find_by_id(inv, name);
	RFS_CLEANUP_FREE char *copy = strdup(name);
	const struct rfs_instance *instance;
	char *slash;
	int r;

	if (!copy)
		return rfs_no_memory(err);
	if (by_id) {
		*ret = by_id;
		return check_alone(inv, by_id, name, err);
	}
	r = find_volume(inv, name, ret, err);
	if (r != 0)
		return r < 0 ? r : 0;
	slash = strrchr(copy, '/');
	if (slash)
		*slash = '\0';
	r = rfs_inventory_find_instance(inv, copy, &instance, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < instance->ndisks; i++)
		if (slash ? !strcmp(instance->disks[i].name, slash + 1)
			  : instance->ndisks == 1) {
			*ret = &instance->disks[i];
			return 0;
		}
	return fail_disk(instance, name, err);
}
