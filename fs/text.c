// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "fs/log.h"
#include "fs/text.h"
#include "site/disk_json.h"
#include "site/disk_svg.h"
#include "site/losses_text.h"

int rfs_text_new(rfs_render_fn *render, const struct rfs_inventory *inv,
		 struct rfs_text **ret)
{
	struct rfs_text *text = calloc(1, sizeof(*text));

	if (!text)
		return -ENOMEM;
	text->render = render;
	text->inv = inv;
	pthread_mutex_init(&text->lock, NULL);
	*ret = text;
	return 0;
}

void rfs_text_free(struct rfs_text *text)
{
	if (!text)
		return;
	rfs_rendering_unref(text->kept);
	pthread_mutex_destroy(&text->lock);
	free(text);
}

void rfs_rendering_unref(struct rfs_rendering *rendering)
{
	if (!rendering || atomic_fetch_sub(&rendering->refs, 1) > 1)
		return;
	free(rendering->text);
	free(rendering);
}

static int render(struct rfs_text *text, uint64_t version,
		  struct rfs_rendering **ret, struct rfs_error *err)
{
	struct rfs_rendering *made = calloc(1, sizeof(*made));
	struct rfs_error why = RFS_ERROR_INIT;
	FILE *out;
	int r;

	if (!made)
		return rfs_no_memory(err);
	made->refs = 1;
	made->version = version;
	made->made_ns = rfs_now_ns();
	out = open_memstream(&made->text, &made->len);
	if (!out) {
		free(made);
		return rfs_no_memory(err);
	}
	r = text->render(text, out, &why);
	if (fclose(out) != 0 && r == 0)
		r = rfs_no_memory(&why);
	if (r < 0) {
		rfs_rendering_unref(made);
		rfs_log_often("%s", why.text);
		return rfs_fail(err, -r, "%s", why.text);
	}
	*ret = made;
	return 0;
}

/* What the text tells of is the disk's view, or else the inventory, which
 * never changes, with the notes, which grow. */
static int current_version(struct rfs_text *text, uint64_t *ret,
			   struct rfs_error *err)
{
	struct rfs_view *view;
	int r;

	if (text->is_live) {
		*ret = (uint64_t)rfs_now_ns();
		return 0;
	}
	if (!text->image) {
		*ret = rfs_notes_each(&text->inv->site->notes, SIZE_MAX, NULL,
				      NULL);
		return 0;
	}
	r = rfs_image_view(text->image, &view, err);
	if (r == 0)
		*ret = rfs_view_version(view);
	return r;
}

int rfs_text_get(struct rfs_text *text, struct rfs_rendering **ret,
		 struct rfs_error *err)
{
	struct rfs_rendering *made;
	uint64_t version = 0;
	int r;

	/* Before rendering: what changes meanwhile is rendered next time. */
	r = current_version(text, &version, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&text->lock);
	if (!text->kept || text->kept->version != version) {
		r = render(text, version, &made, err);
		if (r == 0) {
			rfs_rendering_unref(text->kept);
			text->kept = made;
		}
	}
	if (r == 0) {
		atomic_fetch_add(&text->kept->refs, 1);
		*ret = text->kept;
	}
	pthread_mutex_unlock(&text->lock);
	return r;
}

int rfs_render_instance(struct rfs_text *text, FILE *out, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *json = NULL;
	int r = rfs_instance_json(text->inv, text->instance, &json, err);

	if (r == 0)
		fputs(json, out);
	return r;
}

int rfs_render_map(struct rfs_text *text, FILE *out, struct rfs_error *err)
{
	struct rfs_view *view;
	int r = rfs_image_view(text->image, &view, err);

	return r < 0 ? r : rfs_disk_map(view, text->image->name, out, err);
}

int rfs_render_json(struct rfs_text *text, FILE *out, struct rfs_error *err)
{
	struct rfs_view *view;
	int r = rfs_image_view(text->image, &view, err);

	return r < 0 ? r : rfs_disk_json(view, text->image->name, out, err);
}

int rfs_render_svg(struct rfs_text *text, FILE *out, struct rfs_error *err)
{
	struct rfs_report report = { 0 };
	struct rfs_view *view;
	int r = rfs_image_view(text->image, &view, err);

	if (r == 0)
		r = rfs_view_report(view, &report, err);
	if (r == 0)
		r = rfs_disk_svg(text->image->disk, &report, "", out, err);
	rfs_report_fini(&report);
	return r;
}

int rfs_render_losses(struct rfs_text *text, FILE *out, struct rfs_error *err)
{
	struct rfs_losses losses = { 0 };
	struct rfs_view *view;
	int r = rfs_image_view(text->image, &view, err);

	if (r == 0)
		r = rfs_losses_of_view(view, true, &losses, err);
	if (r == 0)
		r = rfs_losses_text(text->image->disk, &losses, out, err);
	rfs_losses_fini(&losses);
	return r;
}

int rfs_render_damaged_map(struct rfs_text *text, FILE *out,
			   struct rfs_error *err)
{
	return rfs_fetching_map(text->image->op, text->image->disk, NULL, out,
				err);
}
