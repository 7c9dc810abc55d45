// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "site/hostfiles.h"
#include "site/hostfiles_looks.h"
#include "site/rooted.h"

/* A directory whose index leads in a circle never ends. */
#define ENTRIES_MAX 10000000

/* The names that were told already: open addressing, at most half full. */
struct names {
	char **slots;
	size_t nslots; /* 0 or a power of two */
	size_t count;
};

static uint64_t hash(const char *name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return h ^ h >> 32;
}

static char **find_slot(char **slots, size_t nslots, const char *name)
{
	size_t at = hash(name) & (nslots - 1);

	while (slots[at] && strcmp(slots[at], name))
		at = (at + 1) & (nslots - 1);
	return &slots[at];
}

static int grow(struct names *names)
{
	size_t nslots = names->nslots ? names->nslots * 2 : 256;
	char **slots = calloc(nslots, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < names->nslots; i++)
		if (names->slots[i])
			*find_slot(slots, nslots, names->slots[i]) =
				names->slots[i];
	free(names->slots);
	names->slots = slots;
	names->nslots = nslots;
	return 0;
}

/* 1: it is new, 0: it was there, or -ENOMEM. */
static int add_name(struct names *names, const char *name)
{
	char **slot;

	if (names->count * 2 >= names->nslots && grow(names) < 0)
		return -ENOMEM;
	slot = find_slot(names->slots, names->nslots, name);
	if (*slot)
		return 0;
	*slot = strdup(name);
	if (!*slot)
		return -ENOMEM;
	names->count++;
	return 1;
}

static void names_fini(struct names *names)
{
	for (size_t i = 0; i < names->nslots; i++)
		free(names->slots[i]);
	free(names->slots);
}

struct list {
	const char *path;
	struct rfs_notes *notes;
	struct names names;
	int (*each)(const char *name, unsigned char type, void *data);
	void *data;
	bool is_listed; /* by some source, if only in part */
	bool any_root;
	int first_errnum; /* of a source that could not list it */
	const struct rfs_source *first;
};

static int tell(struct list *l, const char *name, unsigned char type,
		struct rfs_error *err)
{
	int r;

	if (strchr(name, '/'))
		return 0;
	r = add_name(&l->names, name);
	if (r < 0)
		return rfs_no_memory(err);
	return r == 0 ? 0 : l->each(name, type, l->data);
}

static void miss(struct list *l, const struct rfs_source *source, int errnum,
		 bool is_partial)
{
	if (!l->first || l->first_errnum == ENOENT) {
		l->first = source;
		l->first_errnum = errnum;
	}
	/* Another age may well lack the directory. */
	if (errnum != ENOENT && errnum != ENOTDIR)
		rfs_notes_add(l->notes, "%s:%s: the directory could %s: %s",
			      source->origin.name, l->path,
			      is_partial ? "be listed only in part"
					 : "not be listed",
			      strerror(errnum));
}

static int list_entries(struct list *l, const struct rfs_source *source,
			struct rfs_reach_dir *dir, struct rfs_error *err)
{
	unsigned char type;
	const char *name;
	size_t count = 0;
	int r, errnum = ELOOP;

	for (; count < ENTRIES_MAX; count++) {
		r = rfs_reach_dir_next(dir, &name, &type);
		if (r <= 0) {
			errnum = -r;
			break;
		}
		r = tell(l, name, type, err);
		if (r)
			return r;
	}
	if (errnum)
		miss(l, source, errnum, count > 0);
	if (!errnum || count)
		l->is_listed = true;
	return 0;
}

static int list_source(struct list *l, const struct rfs_source *source,
		       struct rfs_error *err)
{
	struct rfs_reach_dir *dir;
	int r;

	r = rfs_rooted_opendir(source, l->path, &dir, err);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		miss(l, source, -r, false);
		return 0;
	}
	r = list_entries(l, source, dir, err);
	rfs_reach_dir_close(dir);
	return r;
}

static int fail_unlisted(const struct list *l, const struct rfs_host *host,
			 struct rfs_error *err)
{
	if (!l->any_root)
		return rfs_fail(err, EIO,
				"%s:%s: none of the host's sources could be "
				"opened; rescuefs scan says why",
				host->name, l->path);
	return rfs_fail(err, l->first_errnum,
			"%s:%s: the directory cannot be listed: %s",
			l->first->origin.name, l->path,
			strerror(l->first_errnum));
}

int rfs_hostfiles_list(struct rfs_opener *op, const struct rfs_host *host,
		       const struct rfs_source *only, const char *path,
		       int (*each)(const char *name, unsigned char type,
				   void *data),
		       void *data, struct rfs_error *err)
{
	struct list l = { .path = path,
			  .notes = rfs_looks_notes(op),
			  .each = each,
			  .data = data };
	int r = 0;

	for (size_t i = 0; i < host->nsources && r == 0; i++) {
		const struct rfs_source *source = host->sources[i];

		if (source->root_fd < 0 || (only && source != only))
			continue;
		l.any_root = true;
		r = list_source(&l, source, err);
	}
	names_fini(&l.names);
	if (r == 0 && !l.is_listed)
		return fail_unlisted(&l, host, err);
	return r;
}
