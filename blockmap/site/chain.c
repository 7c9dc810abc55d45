// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/chain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "core/freshness.h"
#include "site/rooted.h"

/* "nbd://...", "json:{...}", "rbd:pool/image": QEMU takes what stands before a
 * colon, if no slash comes first, for a protocol. */
static bool is_protocol(const char *name)
{
	size_t n = strcspn(name, ":/");

	return name[n] == ':';
}

/* The path against the directory of the image that names it. */
static char *absolute(const struct rfs_chain *chain, const char *name)
{
	const char *slash = strrchr(chain->path, '/');
	size_t dir = slash ? (size_t)(slash - chain->path) : 0;
	char *path;

	if (*name == '/')
		return strdup(name);
	if (asprintf(&path, "%.*s/%s", (int)dir, chain->path, name) < 0)
		return NULL;
	return path;
}

static int check_loop(const struct rfs_chain *chain, const char *path,
		      struct rfs_error *err)
{
	int depth = 1;

	for (const struct rfs_chain *c = chain; c; c = c->above, depth++)
		if (depth >= RFS_CHAIN_DEPTH || strcmp(c->path, path) == 0)
			return rfs_fail(err, ELOOP,
					"%s:%s: its backing chain %s; it is "
					"not read",
					chain->source->origin.name, chain->path,
					depth >= RFS_CHAIN_DEPTH
						? "has more than 32 links"
						: "comes back to itself");
	return 0;
}

static int check_format(const struct rfs_chain *chain, const char *name,
			const char *format, struct rfs_notes *notes,
			bool *ret_is_qcow2, struct rfs_error *err)
{
	*ret_is_qcow2 = false;
	if (!format) {
		rfs_notes_add(notes,
			      "%s:%s does not say of what format its backing "
			      "file %s is: it is read as raw",
			      chain->source->origin.name, chain->path, name);
		return 0;
	}
	*ret_is_qcow2 = !strcmp(format, "qcow2") || !strcmp(format, "qcow");
	if (*ret_is_qcow2 || strcmp(format, "raw") == 0)
		return 0;
	return rfs_fail(err, ENOTSUP,
			"%s:%s: its backing file %s is of format %s, which "
			"this version does not read",
			chain->source->origin.name, chain->path, name, format);
}

int rfs_chain_next(const struct rfs_chain *chain, const char *name,
		   const char *format, struct rfs_notes *notes,
		   struct rfs_chain *ret, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *path = NULL;
	bool is_qcow2;
	int r;

	if (is_protocol(name))
		return rfs_fail(err, EINVAL,
				"%s:%s names %s as its backing file: a "
				"protocol is not followed, only files of the "
				"same source are",
				chain->source->origin.name, chain->path, name);
	path = absolute(chain, name);
	if (!path)
		return rfs_no_memory(err);
	r = check_loop(chain, path, err);
	if (r == 0)
		r = check_format(chain, name, format, notes, &is_qcow2, err);
	if (r < 0)
		return r;
	*ret = (struct rfs_chain){
		.source = chain->source,
		.path = RFS_STEAL(path),
		.is_qcow2 = is_qcow2,
		.healed = chain->healed,
		.rule = chain->rule,
		.above = chain,
	};
	return 0;
}

void rfs_chain_fini(struct rfs_chain *link)
{
	free(link->path);
	link->path = NULL;
}

/* .../_base/NAME */
static bool is_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash - path >= 6 &&
	       memcmp(slash - 6, "/_base", 6) == 0;
}

const char *rfs_chain_base(const struct rfs_chain *link)
{
	return is_base(link->path) ? strrchr(link->path, '/') + 1 : NULL;
}

static bool stat_file(const struct rfs_source *source, const char *path,
		      struct stat *ret)
{
	return rfs_rooted_stat(source, path, ret, NULL) == 0 &&
	       S_ISREG(ret->st_mode);
}

bool rfs_chain_is_same_file(const struct rfs_chain *link,
			    const struct rfs_source *other, bool compare)
{
	struct rfs_generation a, b;
	struct stat ours, theirs;
	bool seen = stat_file(link->source, link->path, &ours);

	if (!stat_file(other, link->path, &theirs))
		return false;
	if (!seen)
		return !compare && is_base(link->path);
	if (is_base(link->path))
		return ours.st_size == theirs.st_size;
	a = (struct rfs_generation){ (uint64_t)ours.st_size,
				     rfs_time_of(ours.st_mtim) };
	b = (struct rfs_generation){ (uint64_t)theirs.st_size,
				     rfs_time_of(theirs.st_mtim) };
	return strcmp(link->source->host, other->host) == 0 &&
	       rfs_generation_is_same(a, b);
}

char *rfs_chain_identity(const struct rfs_chain *link, uint64_t size)
{
	char *text;

	if (!is_base(link->path) ||
	    asprintf(&text, "base image %s of %" PRIu64 " bytes",
		     strrchr(link->path, '/') + 1, size) < 0)
		return NULL;
	return text;
}
