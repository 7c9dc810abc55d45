// SPDX-License-Identifier: GPL-3.0-or-later
/* status.json: what the mount itself knows, which is more than the state says. */
#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "fs/text.h"
#include "fs/tree.h"
#include "site/status.h"

static struct rfs_image *find_image(const struct rfs_tree *tree,
				    const struct rfs_disk *disk)
{
	for (size_t i = 0; i < tree->nimages; i++)
		if (tree->images[i]->disk == disk)
			return tree->images[i];
	return NULL;
}

/* Opens nothing: that may read from a source. */
static int look(void *data, const struct rfs_disk *disk, struct rfs_known *ret,
		char **ret_failure, struct rfs_error *err)
{
	struct rfs_image *img = find_image(data, disk);
	struct rfs_view *view = img ? img->view : NULL;
	struct rfs_image_marks marks = { 0 };
	int r;

	if (img && !view)
		*ret_failure = rfs_image_failure(img);
	if (!view)
		return -ENOENT;
	r = rfs_image_totals(img, view, ret->bytes, &marks, err);
	for (int s = 0; s < RFS_BLOCK_STATES; s++)
		ret->size += ret->bytes[s];
	ret->is_known = true;
	ret->healed = marks.healed;
	ret->guessed = marks.guessed;
	return r;
}

int rfs_render_status(struct rfs_text *text, FILE *out, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *json = NULL;
	int r = rfs_status_json(text->tree->op, look, (void *)text->tree, &json,
				err);

	if (r == 0)
		fputs(json, out);
	return r;
}
