// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Rule 7.  Copies of one generation form a group and are read as one file,
 * each healing the other.  The freshest group wins as it is where it has a
 * second copy, where it is the only one, and where its source is not dying.
 * Else the file is read through once: if some of it cannot be read, the next
 * group's file is shown as a whole.  Either way the choice is remembered, so
 * that the reading through happens once and stat tells of the same file (P4).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "readers/readers.h"
#include "site/hostfiles.h"
#include "site/hostfiles_looks.h"
#include "site/open_members.h"
#include "site/rooted.h"

/* A larger file is served from the freshest source, with errors where it is
 * bad: reading it through would keep its opener waiting. */
#define THROUGH_MAX  ((uint64_t)64 << 20)
#define THROUGH_STEP ((size_t)1 << 20)

/* Opening follows a link, which lstat would have shown: were one put there
 * since, or the file changed, this is another file. */
static int check_same(int fd, const struct rfs_look *look, const char *name,
		      struct rfs_error *err)
{
	struct stat st;
	int r = rfs_reach_stat(look->source->names, fd, &st);

	if (r < 0)
		return rfs_fail(err, -r, "%s: %s", name, strerror(-r));
	if (st.st_size != look->st.st_size ||
	    rfs_time_of(st.st_mtim) != rfs_time_of(look->st.st_mtim))
		return rfs_fail(err, ESTALE, "%s: changed while it was opened",
				name);
	return 0;
}

static int open_file(struct rfs_opener *op, const struct rfs_look *look,
		     const char *path, const char *name,
		     struct rfs_reader **ret, struct rfs_error *err)
{
	const struct rfs_source *source = look->source;
	int fd, r;

	fd = rfs_rooted_open(source, path, err);
	if (fd < 0)
		return rfs_context(err, fd, "%s", source->origin.name);
	r = check_same(fd, look, name, err);
	if (r < 0) {
		close(fd);
		return r;
	}
	return rfs_opener_file(op, source, fd, name, ret, err);
}

/* One copy, alone. */
static int open_copy(struct rfs_opener *op, const struct rfs_look *look,
		     const char *path, struct rfs_reader **ret,
		     struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *name = NULL;
	int r;

	if (asprintf(&name, "%s:%s", look->source->origin.name, path) < 0) {
		name = NULL;
		return rfs_no_memory(err);
	}
	r = open_file(op, look, path, name, ret, err);
	if (r < 0)
		return r;
	if (rfs_reader_size(*ret) == (uint64_t)look->st.st_size)
		return 0;
	*ret = rfs_reader_unref(*ret);
	return rfs_fail(err, ESTALE, "%s: changed while it was opened", name);
}

/* The copies of one generation. */
struct group {
	size_t head;		   /* the freshest, whose stat is told */
	size_t copies;		   /* that could be opened */
	struct rfs_reader *reader; /* NULL: none could */
};

static bool is_member(const struct rfs_looks *looks, size_t head, size_t at)
{
	return at == head || rfs_looks_same_generation(&looks->items[head],
						       &looks->items[at]);
}

/* How many could be opened, or why the first could not. */
static int open_members(struct rfs_opener *op, const struct rfs_looks *looks,
			size_t head, struct rfs_reader **members,
			struct rfs_error *err)
{
	struct rfs_error why = RFS_ERROR_INIT;
	int n = 0, first_r = 0, r;

	for (size_t i = head; i < looks->count; i++) {
		if (!is_member(looks, head, i))
			continue;
		r = open_copy(op, &looks->items[i], looks->path, &members[n],
			      &why);
		if (r == 0) {
			n++;
			continue;
		}
		rfs_notes_add(rfs_looks_notes(op), "%s", why.text);
		if (!first_r)
			first_r = rfs_fail(err, -r, "%s", why.text);
	}
	return n ? n : first_r;
}

/* What the bytes of a dying disk were held to be worth beside other copies they
 * are worth without them (P4). */
static int open_single(struct rfs_opener *op, const struct rfs_looks *looks,
		       struct rfs_reader *member, struct rfs_reader **ret,
		       struct rfs_error *err)
{
	*ret = rfs_reader_ref(member);
	return looks->only ? 0 : rfs_opener_alone(op, false, ret, err);
}

/* group->reader is NULL on failure. */
static int open_group(struct rfs_opener *op, const struct rfs_looks *looks,
		      size_t head, struct group *group, struct rfs_error *err)
{
	struct rfs_reader **members;
	int n, r = 0;

	*group = (struct group){ .head = head };
	members = calloc(looks->count, sizeof(*members));
	if (!members)
		return rfs_no_memory(err);
	n = open_members(op, looks, head, members, err);
	if (n == 1)
		r = open_single(op, looks, members[0], &group->reader, err);
	else if (n > 1)
		r = rfs_opener_equals(op, members, (size_t)n, UINT64_MAX, false,
				      &group->reader, err);
	for (int i = 0; i < n; i++)
		rfs_reader_unref(members[i]);
	free(members);
	if (n < 0)
		return n;
	group->copies = (size_t)n;
	return r;
}

/* True if 'at' is the freshest of its generation. */
static bool is_head(const struct rfs_looks *looks, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (rfs_looks_same_generation(&looks->items[i],
					      &looks->items[at]))
			return false;
	return true;
}

/* 1 or 0, or -ENOMEM, which says nothing of the file. */
static int is_whole(struct rfs_reader *rd)
{
	RFS_CLEANUP_FREE void *buf = malloc(THROUGH_STEP);
	uint64_t size = rfs_reader_size(rd), len;
	int r = 0;

	if (!buf)
		return -ENOMEM;
	for (uint64_t off = 0; off < size && r == 0; off += len) {
		len = size - off < THROUGH_STEP ? size - off : THROUGH_STEP;
		r = rfs_reader_read(rd, rfs_range(off, len), buf, NULL, NULL);
	}
	return r == -ENOMEM ? r : r == 0;
}

/* False: it is taken as it is. */
static bool must_prove(const struct rfs_looks *looks, const struct group *group)
{
	return group->copies == 1 &&
	       looks->items[group->head].source->kind == RFS_DAMAGED &&
	       rfs_reader_size(group->reader) <= THROUGH_MAX;
}

static void note_older(struct rfs_opener *op, const struct rfs_looks *looks,
		       size_t head)
{
	char mtime[RFS_TIME_TEXT];

	rfs_time_print(rfs_time_of(looks->items[head].st.st_mtim), mtime);
	rfs_notes_add(rfs_looks_notes(op),
		      "%s:%s: cannot be read as a whole; the file of %s, "
		      "changed %s, is shown instead",
		      looks->items[0].source->origin.name, looks->path,
		      looks->items[head].source->origin.name, mtime);
}

/* 1: this group is the one, 0: it has bytes that cannot be read. */
static int prove(const struct rfs_looks *looks, const struct group *group,
		 struct rfs_error *err)
{
	int r = must_prove(looks, group) ? is_whole(group->reader) : 1;

	return r < 0 ? rfs_no_memory(err) : r;
}

/* Only what the medium did makes way for an older file: to be short of memory
 * or of rights says nothing of the bytes. */
static int choose(struct rfs_opener *op, const struct rfs_looks *looks,
		  struct group *ret, struct rfs_error *err)
{
	struct group best = { 0 }, group;
	int r = 0, first_r = 0;

	for (size_t at = 0; at < looks->count && r == 0; at++) {
		if (!is_head(looks, at))
			continue;
		r = open_group(op, looks, at, &group, err);
		if (r < 0 && rfs_looks_is_damage(-r)) {
			first_r = r;
			r = 0;
			continue;
		}
		if (r == 0)
			r = prove(looks, &group, err);
		if (r == 0 && !best.reader)
			best = group;
		else if (r <= 0)
			rfs_reader_unref(group.reader);
	}
	if (r == 1)
		*ret = group;
	else if (r == 0 && best.reader)
		*ret = best;
	if (r == 0)
		return best.reader ? 0 : first_r;
	rfs_reader_unref(best.reader);
	return r < 0 ? r : 0;
}

/* The choice is kept where it cost a reading or is not the obvious one. */
static int choose_and_keep(struct rfs_opener *op, const struct rfs_host *host,
			   const struct rfs_looks *looks, struct group *group,
			   struct rfs_error *err)
{
	size_t at;
	int r;

	r = choose(op, looks, group, err);
	if (r < 0)
		return r;
	if (group->head == 0 && !must_prove(looks, group))
		return 0;
	at = group->head;
	rfs_looks_keep_choice(op, host, looks, &at);
	if (at != group->head) {
		rfs_reader_unref(group->reader);
		return open_group(op, looks, at, group, err);
	}
	if (at != 0)
		note_older(op, looks, at);
	return 0;
}

static int open_merged(struct rfs_opener *op, const struct rfs_host *host,
		       const struct rfs_looks *looks, struct group *group,
		       struct rfs_error *err)
{
	size_t at;

	if (!rfs_looks_differ(looks))
		return open_group(op, looks, 0, group, err);
	if (rfs_looks_find_choice(op, host, looks, &at))
		return open_group(op, looks, at, group, err);
	return choose_and_keep(op, host, looks, group, err);
}

int rfs_hostfiles_open(struct rfs_opener *op, const struct rfs_host *host,
		       const struct rfs_source *only, const char *path,
		       struct rfs_reader **ret, struct stat *ret_stat,
		       const struct rfs_source **ret_source,
		       struct rfs_error *err)
{
	struct rfs_looks looks;
	struct group group;
	int r;

	r = rfs_looks_take(op, host, only, path, &looks, err);
	if (r < 0)
		return r;
	if (!S_ISREG(looks.items[0].st.st_mode))
		r = rfs_fail(err, EACCES,
			     "%s:%s: is no regular file; of a source only "
			     "regular files are opened",
			     looks.items[0].source->origin.name, path);
	else
		r = open_merged(op, host, &looks, &group, err);
	if (r == 0) {
		*ret = group.reader;
		*ret_stat = looks.items[group.head].st;
		if (ret_source)
			*ret_source = looks.items[group.head].source;
	}
	rfs_looks_fini(&looks);
	return r;
}
