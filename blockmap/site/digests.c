// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/digests.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/vec.h"
#include "readers/rescue.h"
#include "site/json_text.h"

#define PIECE ((uint64_t)64 << 20)

/*
 * A piece.
 */

/* "bm0002:/.../_base/NAME" */
static bool is_base(const char *object)
{
	return strstr(object, "/_base/") != NULL;
}

static int keep(struct rfs_names *names, const char *name)
{
	char *copy = strdup(name);

	if (!copy || RFS_VEC_ROOM(names) < 0) {
		free(copy);
		return -ENOMEM;
	}
	names->items[names->count++] = copy;
	return 0;
}

/* What the state has of one copy and of its source's base images. */
static int list_copy(struct rfs_state *state, const struct rfs_copy *copy,
		     struct rfs_names *ret, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *prefix = NULL;
	struct rfs_names all = { 0 };
	size_t len;
	int r;

	if (asprintf(&prefix, "%s:/", copy->source->origin.name) < 0) {
		prefix = NULL;
		return rfs_no_memory(err);
	}
	len = strlen(prefix) - 1;
	r = rfs_state_objects(state, prefix, &all, err);
	for (size_t i = 0; i < all.count && r == 0; i++)
		if (strcmp(all.items[i] + len, copy->path) == 0 ||
		    is_base(all.items[i]))
			r = keep(ret, all.items[i]) < 0 ? rfs_no_memory(err)
							: 0;
	rfs_names_fini(&all);
	return r;
}

static int list_files(struct rfs_state *state, const struct rfs_disk *disk,
		      struct rfs_names *ret, struct rfs_error *err)
{
	int r = 0;

	for (size_t i = 0; i < disk->ncopies && r == 0; i++)
		if (disk->copies[i].source->kind == RFS_DAMAGED)
			r = list_copy(state, &disk->copies[i], ret, err);
	return r;
}

static int parse_position(const char *text, uint64_t *ret_file,
			  uint64_t *ret_off, struct rfs_error *err)
{
	char *end;

	*ret_file = strtoull(text, &end, 10);
	if (end != text && *end == '.') {
		text = end + 1;
		*ret_off = strtoull(text, &end, 10);
		if (end != text && !*end && *ret_off < RFS_SIZE_MAX)
			return 0;
	}
	return rfs_fail(err, EINVAL, "that is no position in what is rescued");
}

static json_t *ranges_json(const struct rfs_ranges *ranges)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ranges->count; i++)
		json_array_append_new(
			list,
			json_pack("[oo]", rfs_json_number(ranges->items[i].off),
				  rfs_json_number(ranges->items[i].len)));
	return list;
}

static int piece_json(const char *file, const struct rfs_ranges *bad,
		      uint64_t checked, const char *next, char **ret,
		      struct rfs_error *err)
{
	json_t *root = json_pack("{so so so so}", "file", rfs_json_text(file),
				 "checked", rfs_json_number(checked), "damaged",
				 ranges_json(bad), "next", rfs_json_text(next));

	return root ? rfs_json_dump(root, ret, err) : rfs_no_memory(err);
}

int rfs_digests_piece(struct rfs_state *state, const struct rfs_disk *disk,
		      const char *position, char **ret, struct rfs_error *err)
{
	struct rfs_names files = { 0 };
	struct rfs_ranges bad = { 0 };
	uint64_t file, off, checked = 0;
	char next[64] = "";
	int r = parse_position(position, &file, &off, err);

	if (r == 0)
		r = list_files(state, disk, &files, err);
	if (r == 0 && file < files.count) {
		r = rfs_rescue_verify(state, files.items[file], &off, PIECE,
				      &bad, &checked, err);
		if (r == -ENOENT) {
			off = RFS_SIZE_MAX;
			r = 0;
		}
		if (off < RFS_SIZE_MAX)
			snprintf(next, sizeof(next), "%" PRIu64 ".%" PRIu64,
				 file, off);
		else if (file + 1 < files.count)
			snprintf(next, sizeof(next), "%" PRIu64 ".0", file + 1);
	}
	if (r == 0)
		r = piece_json(file < files.count ? files.items[file] : NULL,
			       &bad, checked, next[0] ? next : NULL, ret, err);
	rfs_ranges_fini(&bad);
	rfs_names_fini(&files);
	return r;
}

/*
 * All of them together.
 */

static struct rfs_digests_file *find_file(struct rfs_digests_found *found,
					  const char *name)
{
	struct rfs_digests_file *f;

	for (size_t i = 0; i < found->count; i++)
		if (strcmp(found->items[i].name, name) == 0)
			return &found->items[i];
	if (RFS_VEC_ROOM(found) < 0)
		return NULL;
	f = &found->items[found->count];
	*f = (struct rfs_digests_file){ .name = strdup(name) };
	found->count += f->name != NULL;
	return f->name ? f : NULL;
}

static int add_damaged(struct rfs_digests_file *f, const json_t *list)
{
	const json_t *item;
	json_int_t off, len;
	size_t i;
	int r = 0;

	json_array_foreach(list, i, item)
	{
		off = json_integer_value(json_array_get(item, 0));
		len = json_integer_value(json_array_get(item, 1));
		if (off >= 0 && len > 0 && r == 0 &&
		    rfs_range_fits(rfs_range((uint64_t)off, (uint64_t)len),
				   RFS_SIZE_MAX))
			r = rfs_ranges_add(
				&f->damaged,
				rfs_range((uint64_t)off, (uint64_t)len));
	}
	return r;
}

static int add_file(struct rfs_digests_found *found, const char *name,
		    uint64_t checked, const json_t *damaged,
		    struct rfs_error *err)
{
	struct rfs_digests_file *f;

	if (!checked)
		return 0;
	f = find_file(found, name);
	if (!f || add_damaged(f, damaged) < 0)
		return rfs_no_memory(err);
	f->checked += checked;
	return 0;
}

int rfs_digests_add(struct rfs_digests_found *found, const char *piece,
		    char **ret_next, struct rfs_error *err)
{
	json_t *root = json_loads(piece, 0, NULL);
	const char *file = json_string_value(json_object_get(root, "file"));
	const char *next = json_string_value(json_object_get(root, "next"));
	const json_t *checked = json_object_get(root, "checked");
	int r = 0;

	*ret_next = NULL;
	if (!json_is_integer(checked))
		r = rfs_fail(err, EBADMSG,
			     "what the mount says of its digests makes no "
			     "sense; is it of the same version?");
	else if (file)
		r = add_file(found, file, (uint64_t)json_integer_value(checked),
			     json_object_get(root, "damaged"), err);
	if (r == 0 && next) {
		*ret_next = strdup(next);
		r = *ret_next ? 0 : rfs_no_memory(err);
	}
	json_decref(root);
	return r;
}

void rfs_digests_fini(struct rfs_digests_found *found)
{
	for (size_t i = 0; i < found->count; i++) {
		free(found->items[i].name);
		rfs_ranges_fini(&found->items[i].damaged);
	}
	free(found->items);
	*found = (struct rfs_digests_found){ 0 };
}
