// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Names here; hostfiles_open.c has the files and which copy wins,
 * hostfiles_list.c the directories.
 */
#include "site/hostfiles.h"

#include <errno.h>
#include <string.h>

#include "site/hostfiles_looks.h"
#include "site/rooted.h"

int rfs_hostfiles_stat(struct rfs_opener *op, const struct rfs_host *host,
		       const struct rfs_source *only, const char *path,
		       struct stat *ret, const struct rfs_source **ret_source,
		       struct rfs_error *err)
{
	struct rfs_looks looks;
	size_t at = 0;
	int r;

	r = rfs_looks_take(op, host, only, path, &looks, err);
	if (r < 0)
		return r;
	if (rfs_looks_differ(&looks))
		rfs_looks_find_choice(op, host, &looks, &at);
	*ret = looks.items[at].st;
	if (ret_source)
		*ret_source = looks.items[at].source;
	rfs_looks_fini(&looks);
	return 0;
}

/* The inode could be looked at, but not the block that holds its target. */
static int readlink_elsewhere(struct rfs_opener *op,
			      const struct rfs_host *host,
			      const struct rfs_source *failed, const char *path,
			      char **ret)
{
	bool is_older = false;

	for (size_t i = 0; i < host->nsources; i++) {
		const struct rfs_source *source = host->sources[i];

		if (is_older && source->root_fd >= 0 &&
		    rfs_rooted_readlink(source, path, ret, NULL) == 0) {
			rfs_notes_add(rfs_looks_notes(op),
				      "%s:%s: the link cannot be read; what is "
				      "shown is that of %s",
				      failed->origin.name, path,
				      source->origin.name);
			return 0;
		}
		is_older = is_older || source == failed;
	}
	return -ENOENT;
}

int rfs_hostfiles_readlink(struct rfs_opener *op, const struct rfs_host *host,
			   const struct rfs_source *only, const char *path,
			   char **ret, struct rfs_error *err)
{
	const struct rfs_source *source;
	struct stat st;
	int r;

	r = rfs_hostfiles_stat(op, host, only, path, &st, &source, err);
	if (r < 0)
		return r;
	if (!S_ISLNK(st.st_mode))
		return rfs_fail(err, EINVAL, "%s:%s: is no symbolic link",
				source->origin.name, path);
	r = rfs_rooted_readlink(source, path, ret, err);
	if (r == 0)
		return 0;
	if (!only && rfs_looks_is_damage(-r) &&
	    readlink_elsewhere(op, host, source, path, ret) == 0)
		return 0;
	return rfs_context(err, r, "%s", source->origin.name);
}
