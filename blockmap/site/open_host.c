// SPDX-License-Identifier: GPL-3.0-or-later
/* open_host.c - whether what the state keeps is of this host's disk. */
#include <errno.h>
#include <string.h>

#include "core/cleanup.h"
#include "site/open_place.h"

/* A host may be known by its short name on one day and in full on another,
 * when a source that says it in full was added. */
static bool is_same_host(const char *a, const char *b)
{
	size_t short_len = strcspn(a, ".");

	if (short_len != strcspn(b, ".") || strncmp(a, b, short_len) != 0)
		return false;
	return !a[short_len] || !b[short_len] || strcmp(a, b) == 0;
}

int rfs_opener_check_host(struct rfs_opener *op, const struct rfs_disk *disk,
			  struct rfs_error *err)
{
	const char *host = disk->instance->host->name;
	RFS_CLEANUP_FREE char *was = NULL;
	int r = rfs_state_fact(rfs_opener_state(op), disk->id, "host", &was,
			       err);

	if (r == -ENOENT)
		return rfs_state_try_fact(rfs_opener_state(op), disk->id,
					  "host", host, err);
	if (r < 0 || is_same_host(was, host))
		return r;
	return rfs_fail(err, ESTALE,
			"%s: what the state keeps of %s is of host %s, not of "
			"%s; name the host as before, list that host's sources "
			"first, or use a new --state",
			disk->instance->tree_name, disk->id, was, host);
}
