// SPDX-License-Identifier: GPL-3.0-or-later
/* scan_group.c - which directories of a host are the same instance.
 *
 * The uuid tells; where a source's description is unreadable, the name of the
 * directory does.  Two directories of one source are never one instance,
 * whatever they say of themselves: their disks would be mixed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/vec.h"
#include "site/scan.h"

/* The uuid that the directory tells, by its name or a description. */
static const char *uuid_of(const struct scan_dir *dir, char room[RFS_UUID_TEXT])
{
	if (rfs_uuid_normal(dir->name, room))
		return room;
	if (dir->own && dir->own->uuid)
		return dir->own->uuid;
	if (dir->defined && dir->defined->uuid)
		return dir->defined->uuid;
	return NULL;
}

static bool has_source(const struct scan_group *group,
		       const struct rfs_source *source)
{
	for (size_t i = 0; i < group->dirs.count; i++)
		if (group->dirs.items[i]->source == source)
			return true;
	return false;
}

static bool has_name(const struct scan_group *group, const char *name)
{
	for (size_t i = 0; i < group->dirs.count; i++)
		if (!strcmp(group->dirs.items[i]->name, name))
			return true;
	return false;
}

static struct scan_group *find_uuid(struct scan_groups *groups,
				    const struct rfs_host *host,
				    const char *uuid)
{
	for (size_t i = 0; i < groups->count; i++) {
		struct scan_group *group = &groups->items[i];

		if (group->uuid && (!host || group->host == host) &&
		    !strcmp(group->uuid, uuid))
			return group;
	}
	return NULL;
}

static struct scan_group *find_name(struct scan_groups *groups,
				    const struct rfs_host *host,
				    const struct scan_dir *dir)
{
	for (size_t i = 0; i < groups->count; i++) {
		struct scan_group *group = &groups->items[i];

		if (group->host == host && has_name(group, dir->name) &&
		    !has_source(group, dir->source))
			return group;
	}
	return NULL;
}

static int join(struct scan_group *group, struct scan_dir *dir,
		struct rfs_error *err)
{
	if (RFS_VEC_ROOM(&group->dirs) < 0)
		return rfs_no_memory(err);
	group->dirs.items[group->dirs.count++] = dir;
	return 0;
}

static int begin(struct scan_groups *groups, struct rfs_host *host,
		 struct scan_dir *dir, const char *uuid, struct rfs_error *err)
{
	struct scan_group *group;

	if (RFS_VEC_ROOM(groups) < 0)
		return rfs_no_memory(err);
	group = &groups->items[groups->count];
	*group = (struct scan_group){ .host = host };
	if (uuid) {
		group->own_id = !find_uuid(groups, NULL, uuid);
		group->uuid = strdup(uuid);
		if (!group->uuid)
			return rfs_no_memory(err);
	}
	groups->count++;
	return join(group, dir, err);
}

int rfs_scan_group(struct scan_groups *groups, struct rfs_host *host,
		   const struct scan_tree *tree, struct rfs_error *err)
{
	char room[RFS_UUID_TEXT];
	int r = 0;

	for (size_t i = 0; i < tree->dirs.count && r == 0; i++) {
		struct scan_dir *dir = tree->dirs.items[i];
		const char *uuid = uuid_of(dir, room);
		struct scan_group *group;

		if (!uuid)
			continue;
		group = find_uuid(groups, host, uuid);
		if (!group)
			r = begin(groups, host, dir, uuid, err);
		else if (!has_source(group, dir->source))
			r = join(group, dir, err);
		else
			rfs_scan_note(tree,
				      "%s: says to be %s, as %s does: taken "
				      "as another instance",
				      dir->path, uuid,
				      group->dirs.items[0]->path);
	}
	return r;
}

static bool is_grouped(const struct scan_groups *groups,
		       const struct scan_dir *dir)
{
	for (size_t i = 0; i < groups->count; i++)
		for (size_t j = 0; j < groups->items[i].dirs.count; j++)
			if (groups->items[i].dirs.items[j] == dir)
				return true;
	return false;
}

int rfs_scan_group_rest(struct scan_groups *groups, struct rfs_host *host,
			const struct scan_tree *tree, struct rfs_error *err)
{
	int r = 0;

	for (size_t i = 0; i < tree->dirs.count && r == 0; i++) {
		struct scan_dir *dir = tree->dirs.items[i];
		struct scan_group *group;

		if (is_grouped(groups, dir))
			continue;
		group = find_name(groups, host, dir);
		r = group ? join(group, dir, err)
			  : begin(groups, host, dir, NULL, err);
	}
	return r;
}

void rfs_scan_groups_fini(struct scan_groups *groups)
{
	for (size_t i = 0; i < groups->count; i++) {
		free(groups->items[i].uuid);
		free(groups->items[i].dirs.items);
	}
	free(groups->items);
}
