// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "fs/copyfile.h"
#include "fs/image.h"
#include "fs/xattr.h"
#include "site/digests.h"
#include "site/hostfiles.h"
#include "site/kept.h"
#include "site/seats_text.h"

/* A value or -ENODATA, as rfs_xattr_get. */
struct attribute {
	const char *name; /* behind the prefix */
	int (*get)(struct rfs_front *front, const struct rfs_node *node,
		   char **ret, struct rfs_error *err);
};

static int give(const char *text, char **ret)
{
	if (!text)
		return -ENODATA;
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

static const struct rfs_disk *disk_of(const struct rfs_node *node)
{
	return node->kind == RFS_NODE_COPY ? node->copy->disk
					   : node->image->disk;
}

/* The candidates that the view was opened with, or none. */
static size_t candidates_of(const struct rfs_node *node,
			    const struct rfs_candidate **ret)
{
	struct rfs_view *view;

	if (node->kind != RFS_NODE_IMAGE ||
	    rfs_image_view(node->image, &view, NULL) < 0)
		return 0;
	return rfs_view_candidates(view, ret);
}

/* The copy that the image is made of first: a site file may prefer another
 * one than the freshest. */
static const struct rfs_copy *first_copy(const struct rfs_node *node)
{
	const struct rfs_disk *disk = disk_of(node);
	const struct rfs_candidate *candidates;

	if (node->kind == RFS_NODE_COPY)
		return node->copy->copy;
	if (candidates_of(node, &candidates) > 0)
		for (size_t i = 0; i < disk->ncopies; i++)
			if (&disk->copies[i].source->origin ==
			    candidates[0].origin)
				return &disk->copies[i];
	return disk->ncopies ? &disk->copies[0] : NULL;
}

static int get_disk(struct rfs_front *front __attribute__((unused)),
		    const struct rfs_node *node, char **ret,
		    struct rfs_error *err __attribute__((unused)))
{
	*ret = rfs_disk_path(disk_of(node));
	return *ret ? 0 : -ENOMEM;
}

static int get_uuid(struct rfs_front *front __attribute__((unused)),
		    const struct rfs_node *node, char **ret,
		    struct rfs_error *err __attribute__((unused)))
{
	const struct rfs_disk *disk = disk_of(node);

	return give(rfs_disk_is_volume(disk) ? disk->uuid
					     : disk->instance->uuid,
		    ret);
}

/* "bm0002 backup": in the order in which they are asked. */
static int get_sources(struct rfs_front *front __attribute__((unused)),
		       const struct rfs_node *node, char **ret,
		       struct rfs_error *err)
{
	const struct rfs_disk *disk = disk_of(node);
	const struct rfs_candidate *candidates;
	size_t len, n = candidates_of(node, &candidates);
	FILE *out = open_memstream(ret, &len);

	if (!out)
		return rfs_no_memory(err);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s%s", i ? " " : "", candidates[i].origin->name);
	for (size_t i = 0; n == 0 && i < disk->ncopies; i++)
		fprintf(out, "%s%s", i ? " " : "",
			disk->copies[i].source->origin.name);
	return fclose(out) == 0 ? 0 : rfs_no_memory(err);
}

static int get_as_of(struct rfs_front *front __attribute__((unused)),
		     const struct rfs_node *node, char **ret,
		     struct rfs_error *err __attribute__((unused)))
{
	const struct rfs_copy *copy = first_copy(node);
	char text[RFS_TIME_TEXT];

	if (!copy)
		return -ENODATA;
	rfs_time_print(copy->as_of_ns, text);
	return give(text, ret);
}

static int get_format(struct rfs_front *front __attribute__((unused)),
		      const struct rfs_node *node, char **ret,
		      struct rfs_error *err __attribute__((unused)))
{
	const struct rfs_copy *copy = first_copy(node);

	return give(copy ? copy->format_name : NULL, ret);
}

static int get_copy_source(struct rfs_front *front __attribute__((unused)),
			   const struct rfs_node *node, char **ret,
			   struct rfs_error *err __attribute__((unused)))
{
	return give(node->copy->copy->source->origin.name, ret);
}

static int get_host_source(struct rfs_front *front, const struct rfs_node *node,
			   char **ret, struct rfs_error *err)
{
	const struct rfs_source *source = NULL;
	struct stat st;
	int r = rfs_hostfiles_stat(front->op, node->host.host, NULL,
				   node->host.path, &st, &source, err);

	if (r < 0)
		return r;
	return give(source ? source->origin.name : NULL, ret);
}

static int get_error(struct rfs_front *front __attribute__((unused)),
		     const struct rfs_node *node, char **ret,
		     struct rfs_error *err __attribute__((unused)))
{
	struct rfs_view *view;

	/* Open it, or there is no knowing. */
	if (rfs_image_view(node->image, &view, NULL) == 0)
		return -ENODATA;
	*ret = rfs_image_failure(node->image);
	return *ret ? 0 : -ENODATA;
}

static int get_fetch(struct rfs_front *front __attribute__((unused)),
		     const struct rfs_node *node, char **ret,
		     struct rfs_error *err)
{
	return rfs_image_fetch_news(node->image, ret, err);
}

/* Totals beside those of the states. */
#define HEALED	RFS_BLOCK_STATES
#define GUESSED (HEALED + 1)
#define SUSPECT (GUESSED + 1)

static const char *total_name(int total)
{
	static const char *const marks[] = { "healed", "guessed", "suspect" };

	return total < HEALED ? rfs_block_state_name(total)
			      : marks[total - HEALED];
}

static int get_total(const struct rfs_node *node, int state, char **ret,
		     struct rfs_error *err)
{
	uint64_t totals[SUSPECT + 1];
	struct rfs_image_marks marks = { 0 };
	struct rfs_view *view;
	int r = rfs_image_view(node->image, &view, err);

	if (r < 0)
		return -ENODATA;
	r = rfs_image_totals(node->image, view, totals, &marks, err);
	totals[HEALED] = marks.healed;
	totals[GUESSED] = marks.guessed;
	totals[SUSPECT] = marks.suspect;
	if (r == 0 && asprintf(ret, "%" PRIu64, totals[state]) < 0)
		r = rfs_no_memory(err);
	return r;
}

/* Who compares this disk with another need not read what both share. */
static int get_seats(const struct rfs_node *node, const char *words, char **ret,
		     struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *merged = NULL;
	struct rfs_reader *rd;
	struct rfs_view *view;
	int r;

	if (node->kind == RFS_NODE_COPY) {
		r = rfs_copyfile_reader(node->copy, &rd, err);
		return r < 0 ? r : rfs_seats_piece(rd, words, ret, err);
	}
	if (node->kind != RFS_NODE_IMAGE)
		return -ENODATA;
	r = rfs_image_view(node->image, &view, err);
	if (r == 0)
		r = rfs_view_reader(view, node->image->name, &merged, err);
	return r < 0 ? r : rfs_seats_piece(merged, words, ret, err);
}

static const struct attribute image_attributes[] = {
	{ "disk", get_disk },	    { "uuid", get_uuid },
	{ "sources", get_sources }, { "as_of", get_as_of },
	{ "format", get_format },   { "error", get_error },
	{ "fetch", get_fetch },
};

static const struct attribute copy_attributes[] = {
	{ "disk", get_disk },	       { "uuid", get_uuid },
	{ "source", get_copy_source }, { "as_of", get_as_of },
	{ "format", get_format },
};

static const struct attribute host_attributes[] = {
	{ "source", get_host_source },
};

static size_t table_of(const struct rfs_node *node,
		       const struct attribute **ret)
{
	switch (node->kind) {
	case RFS_NODE_IMAGE:
		*ret = image_attributes;
		return sizeof(image_attributes) / sizeof(**ret);
	case RFS_NODE_COPY:
		*ret = copy_attributes;
		return sizeof(copy_attributes) / sizeof(**ret);
	case RFS_NODE_HOST:
		*ret = host_attributes;
		return sizeof(host_attributes) / sizeof(**ret);
	default:
		return 0;
	}
}

int rfs_xattr_get(struct rfs_front *front, const struct rfs_node *node,
		  const char *name, char **ret, struct rfs_error *err)
{
	const size_t len = strlen(RFS_XATTR_PREFIX);
	const struct attribute *table = NULL;
	size_t n = table_of(node, &table);

	/* Every write asks for security.capability: be quick to say no. */
	if (strncmp(name, RFS_XATTR_PREFIX, len) != 0)
		return -ENODATA;
	name += len;
	for (size_t i = 0; i < n; i++)
		if (strcmp(name, table[i].name) == 0)
			return table[i].get(front, node, ret, err);
	/* These are not in any list, as they take time. */
	if (strncmp(name, RFS_SEATS_XATTR, strlen(RFS_SEATS_XATTR)) == 0)
		return get_seats(node, name + strlen(RFS_SEATS_XATTR), ret,
				 err);
	if (node->kind != RFS_NODE_IMAGE)
		return -ENODATA;
	if (strncmp(name, RFS_DIGESTS_XATTR, strlen(RFS_DIGESTS_XATTR)) == 0)
		return rfs_digests_piece(
			rfs_opener_state(front->op), disk_of(node),
			name + strlen(RFS_DIGESTS_XATTR), ret, err);
	if (strncmp(name, RFS_KEPT_XATTR, strlen(RFS_KEPT_XATTR)) == 0)
		return rfs_kept_answer(rfs_opener_state(front->op),
				       disk_of(node),
				       name + strlen(RFS_KEPT_XATTR), ret, err);
	for (int s = 0; s <= SUSPECT; s++)
		if (strcmp(name, total_name(s)) == 0)
			return get_total(node, s, ret, err);
	return -ENODATA;
}

/* Appends the name if it has a value; what cannot be told is left out. */
static void list_name(struct rfs_front *front, const struct rfs_node *node,
		      const char *name, FILE *out)
{
	RFS_CLEANUP_FREE char *value = NULL;
	char full[64];
	int len = snprintf(full, sizeof(full), RFS_XATTR_PREFIX "%s", name);

	if (rfs_xattr_get(front, node, full, &value, NULL) == 0)
		fwrite(full, 1, (size_t)len + 1, out);
}

int rfs_xattr_list(struct rfs_front *front, const struct rfs_node *node,
		   char **ret, size_t *ret_len, struct rfs_error *err)
{
	const struct attribute *table = NULL;
	size_t n = table_of(node, &table);
	FILE *out = open_memstream(ret, ret_len);

	if (!out)
		return rfs_no_memory(err);
	for (size_t i = 0; i < n; i++)
		list_name(front, node, table[i].name, out);
	if (node->kind == RFS_NODE_IMAGE)
		for (int s = 0; s <= SUSPECT; s++)
			list_name(front, node, total_name(s), out);
	return fclose(out) == 0 ? 0 : rfs_no_memory(err);
}
