// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#include "fs/copyfile.h"
#include "fs/handle.h"
#include "site/hostfiles.h"

static int open_image(struct rfs_handle *h, struct rfs_image *img,
		      struct rfs_error *err)
{
	int r = rfs_image_view(img, &h->view, err);

	if (r < 0)
		return rfs_context(err, -EIO, "%s", img->name);
	h->image = img;
	h->is_direct = rfs_image_is_fragile(h->view);
	return 0;
}

static int open_copy(struct rfs_handle *h, struct rfs_copyfile *cf,
		     struct rfs_error *err)
{
	struct rfs_reader *rd;
	int r = rfs_copyfile_reader(cf, &rd, err);

	if (r < 0)
		return rfs_context(err, -EIO, "%s",
				   cf->copy->source->origin.name);
	h->reader = rfs_reader_ref(rd);
	h->is_direct = cf->copy->source->kind == RFS_DAMAGED;
	return 0;
}

static int open_host(struct rfs_handle *h, struct rfs_front *front,
		     const struct rfs_node *node, struct rfs_error *err)
{
	const struct rfs_source *source = NULL;
	struct stat st;
	int r = rfs_hostfiles_open(front->op, node->host.host, NULL,
				   node->host.path, &h->reader, &st, &source,
				   err);

	/* What is not a regular file cannot be opened here. */
	if (r == -EINVAL)
		return -EACCES;
	if (r < 0)
		return r;
	/* Opening may have found that an older, smaller copy is the one to
	 * serve: with the size it was told before, the kernel's cache would
	 * fill up with zeros that nobody has. */
	h->is_direct = source->kind == RFS_DAMAGED ||
		       source != node->host.host->sources[0];
	return 0;
}

static int open_text(struct rfs_handle *h, struct rfs_text *text,
		     struct rfs_error *err)
{
	int r = rfs_text_get(text, &h->text, err);

	/* The kernel may hold an older size than this rendering has. */
	h->is_direct = true;
	return r < 0 ? -EIO : 0;
}

static void close_handle(struct rfs_opened *o)
{
	struct rfs_handle *h = (struct rfs_handle *)o;

	rfs_reader_unref(h->reader);
	rfs_rendering_unref(h->text);
	free(h);
}

int rfs_handle_open(struct rfs_front *front, const struct rfs_node *node,
		    int flags, struct rfs_handle **ret, struct rfs_error *err)
{
	struct rfs_handle *h;
	int r = -EISDIR;

	if ((flags & O_ACCMODE) != O_RDONLY && node->kind != RFS_NODE_IMAGE)
		return rfs_fail(err, EROFS, "only the images can be written");
	h = calloc(1, sizeof(*h));
	if (!h)
		return rfs_no_memory(err);
	if (node->kind == RFS_NODE_IMAGE)
		r = open_image(h, node->image, err);
	else if (node->kind == RFS_NODE_COPY)
		r = open_copy(h, node->copy, err);
	else if (node->kind == RFS_NODE_HOST)
		r = open_host(h, front, node, err);
	else if (node->kind == RFS_NODE_TEXT)
		r = open_text(h, node->text, err);
	if (r < 0) {
		free(h);
		return r;
	}
	rfs_opened_add(&front->opened, &h->opened, close_handle);
	*ret = h;
	return 0;
}

uint64_t rfs_handle_size(const struct rfs_handle *h)
{
	if (h->view)
		return rfs_view_size(h->view);
	if (h->reader)
		return rfs_reader_size(h->reader);
	return h->text->len;
}

/* 'range' lies within the size that was just seen. */
static int read_source(const struct rfs_handle *h, struct rfs_range range,
		       void *buf, struct rfs_ranges *bad, struct rfs_error *err)
{
	if (h->view)
		return rfs_view_read(h->view, range, buf, bad, err);
	if (h->reader)
		return rfs_reader_read(h->reader, range, buf, bad, err);
	memcpy(buf, h->text->text + range.off, range.len);
	return 0;
}

int rfs_handle_read(const struct rfs_handle *h, struct rfs_range range,
		    void *buf, size_t *ret_len, struct rfs_error *err)
{
	struct rfs_ranges bad = { 0 };
	struct rfs_range all;
	int r;

	/* A disk may be cut between the look at its size and the read: then
	 * the size is another one, and the read is tried in that. */
	do {
		all = rfs_range(0, rfs_handle_size(h));
		all = rfs_range_cut(range, all);
		rfs_ranges_clear(&bad);
		r = all.len ? read_source(h, all, buf, &bad, err) : 0;
	} while (r == -EINVAL && rfs_range_end(all) > rfs_handle_size(h));

	if (r == -EIO && h->is_direct && bad.count &&
	    bad.items[0].off > all.off) {
		all.len = bad.items[0].off - all.off;
		r = 0;
	}
	rfs_ranges_fini(&bad);
	if (r == 0)
		*ret_len = all.len;
	return r;
}

int rfs_handle_pieces(const struct rfs_handle *h, struct rfs_range range,
		      struct rfs_taking *ret)
{
	*ret = (struct rfs_taking){ 0 };
	if (h->view)
		return rfs_view_pieces(h->view, range, ret);
	return h->reader ? rfs_reader_pieces(h->reader, range, &ret->pieces)
			 : -ENOTSUP;
}

int rfs_handle_taken(const struct rfs_handle *h,
		     const struct rfs_taking *taking, struct rfs_error *err)
{
	return h->view ? rfs_view_taken(h->view, taking, err) : 0;
}

int rfs_handle_fallocate(struct rfs_view *view, int mode,
			 struct rfs_range range, struct rfs_error *err)
{
	const int clears = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
	uint64_t end = rfs_range_end(range), size = rfs_view_size(view);
	struct rfs_range inside = rfs_range_cut(range, rfs_range(0, size));
	int r = 0;

	if ((mode & ~(clears | FALLOC_FL_KEEP_SIZE)) ||
	    mode == FALLOC_FL_KEEP_SIZE)
		return -EOPNOTSUPP;
	if ((mode & clears) && inside.len)
		r = rfs_view_punch(view, inside, err);
	if (r == 0 && !(mode & FALLOC_FL_KEEP_SIZE) && end > size)
		r = rfs_view_truncate(view, end, err);
	return r;
}
