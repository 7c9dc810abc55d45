// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/mapped.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "readers/reach.h"
#include "readers/readers.h"
#include "site/site_path.h"

/* Of a disk that is bad in a million places; its list is in memory. */
#define MAPFILE_MAX (64 << 20)

static const char *const endings[] = { ".map", ".mapfile", ".log" };
#define NENDINGS (sizeof(endings) / sizeof(*endings))

static bool ends_with(const char *name, const char *ending)
{
	size_t len = strlen(name), n = strlen(ending);

	return len > n && !strcmp(name + len - n, ending);
}

bool rfs_is_mapfile_name(const char *name)
{
	for (size_t i = 0; i < NENDINGS; i++)
		if (ends_with(name, endings[i]))
			return strcmp(name, "console.log") != 0;
	return false;
}

struct search {
	bool (*is_there)(const void *data, const char *path);
	const void *data;
	struct rfs_notes *notes;
	char *found;
};

/* The first 'len' bytes of 'path' with each ending behind them. */
static int try_endings(struct search *s, const char *path, size_t len)
{
	for (size_t i = 0; i < NENDINGS; i++) {
		char *map;

		if (asprintf(&map, "%.*s%s", (int)len, path, endings[i]) < 0)
			return -ENOMEM;
		if (rfs_is_mapfile_name(rfs_path_last(map)) &&
		    s->is_there(s->data, map)) {
			if (!s->found) {
				s->found = map;
				continue;
			}
			rfs_notes_add(s->notes,
				      "%s and %s are both mapfiles of %s: the "
				      "first is read",
				      s->found, map, path);
		}
		free(map);
	}
	return 0;
}

int rfs_mapfile_find(const char *path,
		     bool (*is_there)(const void *data, const char *path),
		     const void *data, struct rfs_notes *notes, char **ret,
		     struct rfs_error *err)
{
	struct search s = { is_there, data, notes, NULL };
	size_t len = strlen(path);
	int r = try_endings(&s, path, len);

	if (r == 0 && (ends_with(path, ".img") || ends_with(path, ".raw")))
		r = try_endings(&s, path, len - 4);
	if (r < 0) {
		free(s.found);
		return rfs_no_memory(err);
	}
	*ret = s.found;
	return 0;
}

static int read_map(struct rfs_worker *w, int fd, const char *name,
		    struct rfs_mapfile *map, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	RFS_CLEANUP_FILE FILE *in = NULL;
	size_t len;
	int r = rfs_reach_whole(w, fd, MAPFILE_MAX, &text, &len);

	if (r == -EFBIG)
		return rfs_fail(err, EFBIG, "%s: too large for a mapfile",
				name);
	if (r < 0)
		return rfs_fail(err, -r, "%s: %s", name, strerror(-r));
	in = fmemopen(text, len, "r");
	if (!in)
		return rfs_no_memory(err);
	return rfs_mapfile_read(in, name, map, err);
}

int rfs_mapfile_apply(struct rfs_worker *w, int fd, const char *name,
		      struct rfs_reader **rd, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *below = RFS_STEAL(*rd);
	struct rfs_mapfile map = { 0 };
	int r = read_map(w, fd, name, &map, err);

	if (r == 0)
		r = rfs_mapped_open(below, &map, rd, err);
	if (r < 0)
		return rfs_context(err, r,
				   "%s is not read, since its mapfile cannot "
				   "be believed",
				   rfs_reader_name(below));
	return 0;
}
