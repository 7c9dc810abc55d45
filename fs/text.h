/* SPDX-License-Identifier: GPL-3.0-or-later */
/* text.h - the files that say what is known: README, instance.json, rescue/.
 *
 * Rendered when they are asked for.  A rendering is kept as long as what it
 * tells of has not changed, and whoever has the file open keeps the one that
 * it began with.
 */
#ifndef RESCUEFS_FS_TEXT_H
#define RESCUEFS_FS_TEXT_H

#include <pthread.h>
#include <stdatomic.h>

#include "fs/image.h"
#include "site/inventory.h"

struct rfs_rendering {
	atomic_uint refs;
	uint64_t version;
	int64_t made_ns; /* serves as the file's time */
	size_t len;
	char *text;
};

struct rfs_text;

/* Renders into 'out'; what went wrong with 'out' is seen by the caller. */
typedef int rfs_render_fn(struct rfs_text *text, FILE *out,
			  struct rfs_error *err);

struct rfs_tree;

struct rfs_text {
	rfs_render_fn *render;
	const struct rfs_inventory *inv;
	const struct rfs_instance *instance; /* of instance.json, else NULL */
	struct rfs_image *image;	     /* of rescue/, else NULL */
	const struct rfs_tree *tree;	     /* of status.json, else NULL */
	bool is_live; /* tells of what changes without the view's knowing */

	pthread_mutex_t lock; /* guards 'kept'; held while rendering */
	struct rfs_rendering *kept;
};

int rfs_text_new(rfs_render_fn *render, const struct rfs_inventory *inv,
		 struct rfs_text **ret);
void rfs_text_free(struct rfs_text *text);

/* The rendering of now, with a reference for the caller. */
int rfs_text_get(struct rfs_text *text, struct rfs_rendering **ret,
		 struct rfs_error *err);
/* NULL is accepted. */
void rfs_rendering_unref(struct rfs_rendering *rendering);

int rfs_render_readme(struct rfs_text *text, FILE *out, struct rfs_error *err);
/* status.json: see site/status.h. */
int rfs_render_status(struct rfs_text *text, FILE *out, struct rfs_error *err);
/* What is known of the damaged file itself, as a mapfile. */
int rfs_render_damaged_map(struct rfs_text *text, FILE *out,
			   struct rfs_error *err);
int rfs_render_instance(struct rfs_text *text, FILE *out,
			struct rfs_error *err);
int rfs_render_map(struct rfs_text *text, FILE *out, struct rfs_error *err);
int rfs_render_json(struct rfs_text *text, FILE *out, struct rfs_error *err);
int rfs_render_svg(struct rfs_text *text, FILE *out, struct rfs_error *err);
/* Of what was read already: looking at it reads nothing off a source that was
 * not asked for. */
int rfs_render_losses(struct rfs_text *text, FILE *out, struct rfs_error *err);

#endif /* RESCUEFS_FS_TEXT_H */
