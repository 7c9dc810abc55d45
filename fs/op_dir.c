// SPDX-License-Identifier: GPL-3.0-or-later
/* A listing is made when a directory is opened and stays as it is until it is
 * closed: it is the kernel's own form, so that each request is a piece of it.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "fs/log.h"
#include "fs/operations.h"
#include "fs/path.h"
#include "site/hostfiles.h"

struct listing {
	struct rfs_opened opened;
	fuse_req_t req;
	const struct rfs_node *dir;
	char *buf;
	size_t len;
	size_t room;
};

static int grow(struct listing *list, size_t more)
{
	size_t room = list->room ? list->room : 4096;
	char *buf;

	while (room - list->len < more)
		room *= 2;
	if (room == list->room)
		return 0;
	buf = realloc(list->buf, room);
	if (!buf)
		return -ENOMEM;
	list->buf = buf;
	list->room = room;
	return 0;
}

static int append(struct listing *list, const char *name, uint64_t ino,
		  mode_t type)
{
	struct stat st = { .st_ino = ino, .st_mode = type };
	size_t need = fuse_add_direntry(list->req, NULL, 0, name, NULL, 0);

	if (grow(list, need) < 0)
		return -ENOMEM;
	/* The next entry's place is what the kernel comes back with. */
	fuse_add_direntry(list->req, list->buf + list->len, need, name, &st,
			  (off_t)(list->len + need));
	list->len += need;
	return 0;
}

static int append_host(const char *name, unsigned char type, void *data)
{
	struct listing *list = data;
	const struct rfs_front *front = rfs_front_of(list->req);
	RFS_CLEANUP_FREE char *path = rfs_path_join(list->dir->host.path, name);

	if (!path)
		return -ENOMEM;
	return append(list, name,
		      rfs_hostnodes_ino(&front->hostnodes, list->dir->host.host,
					path),
		      DTTOIF(type));
}

static int append_static(struct listing *list)
{
	const struct rfs_children *children = &list->dir->children;
	int r = 0;

	for (size_t i = 0; r == 0 && i < children->count; i++) {
		const struct rfs_node *node = children->items[i];

		r = append(list, node->name, node->ino, rfs_node_type(node));
	}
	return r;
}

static int fill(struct listing *list, struct rfs_error *err)
{
	const struct rfs_node *dir = list->dir;

	if (append(list, ".", dir->ino, S_IFDIR) < 0 ||
	    append(list, "..", dir->parent_ino, S_IFDIR) < 0)
		return rfs_no_memory(err);
	if (dir->kind == RFS_NODE_HOST)
		return rfs_hostfiles_list(rfs_front_of(list->req)->op,
					  dir->host.host, NULL, dir->host.path,
					  append_host, list, err);
	return append_static(list) < 0 ? rfs_no_memory(err) : 0;
}

static void free_listing(struct rfs_opened *o)
{
	struct listing *list = (struct listing *)o;

	free(list->buf);
	free(list);
}

void rfs_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct listing *list = calloc(1, sizeof(*list));
	struct rfs_front *front = rfs_front_of(req);
	struct rfs_error err = RFS_ERROR_INIT;
	int r;

	if (!list) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	list->req = req;
	list->dir = rfs_node_of(req, ino);
	r = fill(list, &err);
	if (r < 0) {
		rfs_log_often("%s", err.text);
		free_listing(&list->opened);
		fuse_reply_err(req, -r);
		return;
	}
	fi->fh = (uintptr_t)list;
	rfs_opened_add(&front->opened, &list->opened, free_listing);
	if (fuse_reply_open(req, fi) < 0)
		rfs_opened_close(&front->opened, &list->opened);
}

/* A last entry that is cut off is no harm: the kernel leaves it and asks again
 * from where it stands.  The piece is copied, as the directory may be closed
 * as soon as the kernel has it, before fuse_reply_buf returns. */
void rfs_op_readdir(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		    size_t size, off_t off, struct fuse_file_info *fi)
{
	const struct listing *list = (void *)(uintptr_t)fi->fh;
	char *buf = rfs_front_buffer(rfs_front_of(req));
	struct rfs_range piece;

	if (!buf) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	if (size > RFS_READ_MAX)
		size = RFS_READ_MAX;
	piece = rfs_range_cut(rfs_range((uint64_t)off, size),
			      rfs_range(0, list->len));
	if (piece.len)
		memcpy(buf, list->buf + piece.off, piece.len);
	fuse_reply_buf(req, buf, piece.len);
}

void rfs_op_releasedir(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		       struct fuse_file_info *fi)
{
	struct listing *list = (void *)(uintptr_t)fi->fh;

	rfs_opened_close(&rfs_front_of(req)->opened, &list->opened);
	fuse_reply_err(req, 0);
}
