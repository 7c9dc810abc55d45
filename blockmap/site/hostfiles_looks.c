// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/hostfiles_looks.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/vec.h"
#include "site/rooted.h"

#define CHOICE "file"

/* Held from the question whether a choice was made to its being kept. */
static pthread_mutex_t choosing = PTHREAD_MUTEX_INITIALIZER;

struct rfs_notes *rfs_looks_notes(struct rfs_opener *op)
{
	return &rfs_opener_inventory(op)->site->notes;
}

bool rfs_looks_is_damage(int errnum)
{
	switch (errnum) {
	case EIO:
	case EUCLEAN:
	case EBADMSG:
	case ENOTRECOVERABLE:
	case EREMOTEIO:
	case ENODATA:
	case ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

/* A component that is a file here and a directory there: not there. */
static bool is_absence(int errnum)
{
	return errnum == ENOENT || errnum == ENOTDIR;
}

void rfs_looks_fini(struct rfs_looks *looks)
{
	free(looks->items);
	looks->items = NULL;
	looks->count = looks->room = 0;
}

/* What became of the sources that were no help. */
struct misses {
	const struct rfs_source *first; /* that failed but by absence */
	int errnum;
};

static void note_misses(struct rfs_opener *op, const struct misses *misses,
			const struct rfs_look *instead, const char *path)
{
	if (!misses->first)
		return;
	rfs_notes_add(rfs_looks_notes(op),
		      "%s:%s: cannot be looked at: %s; what is shown is that "
		      "of %s",
		      misses->first->origin.name, path,
		      strerror(misses->errnum), instead->source->origin.name);
}

static int fail_missed(const struct rfs_host *host, const char *path,
		       const struct misses *misses, bool any_root,
		       struct rfs_error *err)
{
	if (misses->first)
		return rfs_fail(err, misses->errnum,
				"%s:%s: %s, and no other source has it",
				misses->first->origin.name, path,
				strerror(misses->errnum));
	if (!any_root)
		return rfs_fail(err, EIO,
				"%s:%s: none of the host's sources could be "
				"opened; rescuefs scan says why",
				host->name, path);
	return rfs_fail(err, ENOENT, "%s:%s: no source has it", host->name,
			path);
}

/* 1: go on with the next source, 0: that is all there is to see. */
static int look(struct rfs_looks *looks, const struct rfs_source *source,
		struct misses *misses, struct rfs_error *err)
{
	struct stat st;
	int r;

	r = rfs_rooted_lstat(source, looks->path, &st, NULL);
	if (r < 0) {
		if (!is_absence(-r) && !misses->first)
			*misses = (struct misses){ source, -r };
		return 1;
	}
	if (looks->count && !S_ISREG(st.st_mode))
		return 1;
	if (RFS_VEC_ROOM(looks) < 0)
		return rfs_no_memory(err);
	looks->items[looks->count++] = (struct rfs_look){ source, st };
	return S_ISREG(st.st_mode);
}

/* "host:HOST:/path", the file in the state; the caller frees it. */
static char *object_name(const struct rfs_host *host, const char *path)
{
	char *name;

	return asprintf(&name, "host:%s:%s", host->name, path) < 0 ? NULL
								   : name;
}

/* That a source does not answer in time passes: a file that it gave before does
 * not become another's for so long (P4). */
static bool is_awaited(struct rfs_opener *op, const struct rfs_host *host,
		       const char *path, const struct misses *misses)
{
	struct rfs_state *state = rfs_opener_state(op);
	RFS_CLEANUP_FREE char *object = NULL;
	RFS_CLEANUP_FREE char *name = NULL;

	if (!misses->first || misses->errnum != ETIMEDOUT || !state)
		return false;
	object = object_name(host, path);
	return object &&
	       rfs_state_fact(state, object, CHOICE, &name, NULL) == 0 &&
	       strcmp(name, misses->first->origin.name) == 0;
}

int rfs_looks_take(struct rfs_opener *op, const struct rfs_host *host,
		   const struct rfs_source *only, const char *path,
		   struct rfs_looks *ret, struct rfs_error *err)
{
	struct rfs_looks looks = { .path = path, .only = only != NULL };
	struct misses misses = { 0 };
	bool any_root = false;
	int r = 1;

	for (size_t i = 0; i < host->nsources && r == 1; i++) {
		const struct rfs_source *source = host->sources[i];

		if (source->root_fd < 0 || (only && source != only))
			continue;
		any_root = true;
		r = look(&looks, source, &misses, err);
	}
	if (r < 0) {
		rfs_looks_fini(&looks);
		return r;
	}
	if (!looks.count)
		return fail_missed(host, path, &misses, any_root, err);
	if (is_awaited(op, host, path, &misses)) {
		rfs_looks_fini(&looks);
		return rfs_fail(err, ETIMEDOUT,
				"%s:%s: its copy was shown before, and now it "
				"does not answer in time; it is asked again in "
				"a while",
				misses.first->origin.name, path);
	}
	note_misses(op, &misses, &looks.items[0], path);
	*ret = looks;
	return 0;
}

bool rfs_looks_same_generation(const struct rfs_look *a,
			       const struct rfs_look *b)
{
	struct rfs_generation ga = { (uint64_t)a->st.st_size,
				     rfs_time_of(a->st.st_mtim) };
	struct rfs_generation gb = { (uint64_t)b->st.st_size,
				     rfs_time_of(b->st.st_mtim) };

	return rfs_generation_is_same(ga, gb);
}

bool rfs_looks_differ(const struct rfs_looks *looks)
{
	for (size_t i = 1; i < looks->count; i++)
		if (!rfs_looks_same_generation(&looks->items[0],
					       &looks->items[i]))
			return true;
	return false;
}

bool rfs_looks_find_choice(struct rfs_opener *op, const struct rfs_host *host,
			   const struct rfs_looks *looks, size_t *ret_at)
{
	struct rfs_state *state = rfs_opener_state(op);
	RFS_CLEANUP_FREE char *object = NULL;
	RFS_CLEANUP_FREE char *name = NULL;

	*ret_at = 0;
	if (!state)
		return false;
	object = object_name(host, looks->path);
	if (!object || rfs_state_fact(state, object, CHOICE, &name, NULL) < 0)
		return false;
	for (size_t i = 0; i < looks->count; i++) {
		if (strcmp(looks->items[i].source->origin.name, name))
			continue;
		*ret_at = i;
		return true;
	}
	return false;
}

void rfs_looks_keep_choice(struct rfs_opener *op, const struct rfs_host *host,
			   const struct rfs_looks *looks, size_t *at)
{
	struct rfs_state *state = rfs_opener_state(op);
	RFS_CLEANUP_FREE char *object = object_name(host, looks->path);
	const char *name = looks->items[*at].source->origin.name;
	struct rfs_error err = RFS_ERROR_INIT;
	size_t earlier;

	if (!state || !object)
		return;
	pthread_mutex_lock(&choosing);
	if (rfs_looks_find_choice(op, host, looks, &earlier))
		*at = earlier;
	else if (rfs_state_set_fact(state, object, CHOICE, name, &err) < 0)
		rfs_notes_add(
			rfs_looks_notes(op),
			"%s:%s: that the copy of %s is shown could not be "
			"kept: %s",
			host->name, looks->path, name, err.text);
	pthread_mutex_unlock(&choosing);
}
