// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/disk_info.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "core/vec.h"
#include "site/site_path.h"

static int add(struct rfs_disk_info *info, const char *path, const char *format)
{
	struct rfs_disk_info_item item;

	if (RFS_VEC_ROOM(info) < 0)
		return -ENOMEM;
	item.name = strdup(rfs_path_last(path));
	item.format = strdup(format);
	info->items[info->count++] = item;
	return item.name && item.format ? 0 : -ENOMEM;
}

static int add_all(struct rfs_disk_info *info, json_t *root)
{
	const char *path;
	json_t *value;
	int r = 0;

	json_object_foreach(root, path, value)
	{
		if (r == 0 && json_is_string(value))
			r = add(info, path, json_string_value(value));
	}
	return r;
}

int rfs_disk_info_parse(const char *text, size_t len, struct rfs_disk_info *ret,
			struct rfs_error *err)
{
	struct rfs_disk_info info = { 0 };
	json_error_t why;
	json_t *root;
	int r;

	if (len > RFS_DISK_INFO_MAX)
		return rfs_fail(err, EINVAL, "is too large for a disk.info");
	root = json_loadb(text, len, 0, &why);
	if (!root)
		return rfs_fail(err, EINVAL, "is not JSON: line %d: %s",
				why.line, why.text);
	if (!json_is_object(root)) {
		json_decref(root);
		return rfs_fail(err, EINVAL, "is not a JSON object");
	}
	r = add_all(&info, root);
	json_decref(root);
	if (r < 0) {
		rfs_disk_info_fini(&info);
		return rfs_no_memory(err);
	}
	*ret = info;
	return 0;
}

void rfs_disk_info_fini(struct rfs_disk_info *info)
{
	for (size_t i = 0; i < info->count; i++) {
		free(info->items[i].name);
		free(info->items[i].format);
	}
	free(info->items);
	memset(info, 0, sizeof(*info));
}

const char *rfs_disk_info_find(const struct rfs_disk_info *info,
			       const char *name)
{
	for (size_t i = 0; i < info->count; i++)
		if (!strcmp(info->items[i].name, name))
			return info->items[i].format;
	return NULL;
}
