// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/qemu_map.h"

#include <errno.h>
#include <string.h>

#include "site/json_text.h"

static bool read_number(const json_t *entry, const char *name, uint64_t *ret)
{
	const json_t *value = json_object_get(entry, name);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(value);
	return true;
}

int rfs_qemu_map_line(const char *line, struct rfs_qemu_place *ret,
		      struct rfs_error *err)
{
	const char *start = strchr(line, '{');
	json_t *entry =
		start ? json_loads(start, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	bool fits;

	*ret = (struct rfs_qemu_place){ 0 };
	fits = read_number(entry, "start", &ret->range.off) &&
	       read_number(entry, "length", &ret->range.len) &&
	       rfs_range_fits(ret->range, RFS_SIZE_MAX);
	ret->is_present = json_is_true(json_object_get(entry, "present"));
	ret->is_data = json_is_true(json_object_get(entry, "data"));
	ret->is_told = read_number(entry, "offset", &ret->host);
	if (ret->is_told &&
	    !rfs_range_fits(rfs_range(ret->host, ret->range.len), RFS_SIZE_MAX))
		fits = false;
	json_decref(entry);
	return fits ? 0
		    : rfs_fail(err, EBADMSG,
			       "what qemu-img says of its map makes no sense");
}
