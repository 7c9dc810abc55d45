// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <string.h>

#include "core/cleanup.h"
#include "fs/image.h"
#include "fs/log.h"
#include "fs/operations.h"
#include "fs/xattr.h"

/* The protocol of both calls: size 0 asks how much there is. */
static void reply_value(fuse_req_t req, const char *value, size_t len,
			size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, len);
	else if (len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, value, len);
}

void rfs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		     size_t size)
{
	RFS_CLEANUP_FREE char *value = NULL;
	struct rfs_error err = RFS_ERROR_INIT;
	int r = rfs_xattr_get(rfs_front_of(req), rfs_node_of(req, ino), name,
			      &value, &err);

	if (r < 0)
		fuse_reply_err(req, -r);
	else
		reply_value(req, value, strlen(value), size);
}

void rfs_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	RFS_CLEANUP_FREE char *names = NULL;
	struct rfs_error err = RFS_ERROR_INIT;
	size_t len;
	int r = rfs_xattr_list(rfs_front_of(req), rfs_node_of(req, ino), &names,
			       &len, &err);

	if (r < 0)
		fuse_reply_err(req, -r);
	else
		reply_value(req, names, len, size);
}

static bool is_text(const char *value, size_t size, const char *want)
{
	return size == strlen(want) && memcmp(value, want, size) == 0;
}

static int obey_locked(struct rfs_image *img, const char *value, size_t size,
		       struct rfs_error *err)
{
	if (is_text(value, size, "reset"))
		return rfs_image_reset(img, err);
	if (is_text(value, size, "refresh"))
		return rfs_image_refresh(img, false, err);
	if (is_text(value, size, "refresh-written"))
		return rfs_image_refresh(img, true, err);
	return rfs_fail(err, EINVAL,
			"the orders are \"reset\", \"refresh\", "
			"\"refresh-written\", \"fetch\" and \"stop-fetch\"");
}

/* What the kernel has in its page cache is no longer what the disk holds. It
 * waits for pages that are being read, which takes other threads than this
 * one, and the 'control' lock sees to it that there are some. */
static void invalidate(struct rfs_front *front, const struct rfs_node *node)
{
	int r = fuse_lowlevel_notify_inval_inode(front->se,
						 rfs_nodeid(front, node), 0, 0);

	if (r < 0 && r != -ENOENT)
		rfs_log("%s: the kernel keeps what it had read before: %s",
			node->image->name, strerror(-r));
}

static int obey(struct rfs_front *front, const struct rfs_node *node,
		const char *value, size_t size, struct rfs_error *err)
{
	struct rfs_fetching_order order;
	int r;

	/* These change nothing that the kernel has seen, and take no time. */
	if (rfs_fetching_order_parse(value, size, &order))
		return rfs_image_fetch(node->image, &order, err);
	if (is_text(value, size, "stop-fetch")) {
		rfs_image_stop_fetch(node->image);
		return 0;
	}
	if (pthread_mutex_trylock(&front->control) != 0)
		return rfs_fail(err, EAGAIN, "another order is being obeyed");
	r = obey_locked(node->image, value, size, err);
	if (r == 0)
		invalidate(front, node);
	pthread_mutex_unlock(&front->control);
	return r;
}

void rfs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		     const char *value, size_t size,
		     int flags __attribute__((unused)))
{
	struct rfs_front *front = rfs_front_of(req);
	const struct rfs_node *node = rfs_node_of(req, ino);
	uid_t uid = fuse_req_ctx(req)->uid;
	struct rfs_error err = RFS_ERROR_INIT;
	int r;

	if (node->kind != RFS_NODE_IMAGE ||
	    strcmp(name, RFS_XATTR_CONTROL) != 0) {
		fuse_reply_err(req, EROFS);
		return;
	}
	if (uid != 0 && uid != front->uid) {
		fuse_reply_err(req, EPERM);
		return;
	}
	r = obey(front, node, value, size, &err);
	if (r < 0)
		rfs_log("%s: %s", node->image->name, err.text);
	else
		rfs_log("%s: obeyed: %.*s", node->image->name, (int)size,
			value);
	fuse_reply_err(req, -r);
}

void rfs_op_removexattr(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
			const char *name __attribute__((unused)))
{
	fuse_reply_err(req, EROFS);
}
