// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdio.h>

#include "core/cleanup.h"
#include "fs/image.h"
#include "fs/log.h"
#include "fs/operations.h"
#include "fs/path.h"
#include "site/hostfiles.h"

static double entry_timeout(const struct rfs_node *node)
{
	/* Only the nodes of a host's table have no name of their own. */
	return node->name ? RFS_TIMEOUT_STATIC : RFS_TIMEOUT_HOST;
}

/* The kernel may remember that there is no such name. */
static void reply_no_entry(fuse_req_t req, double timeout)
{
	struct fuse_entry_param none = { .entry_timeout = timeout };

	fuse_reply_entry(req, &none);
}

static void fill_entry(const struct rfs_front *front,
		       const struct rfs_node *node,
		       struct fuse_entry_param *entry)
{
	entry->ino = rfs_nodeid(front, node);
	entry->generation = node->generation;
	entry->attr.st_ino = node->ino;
	entry->entry_timeout = entry_timeout(node);
}

static void lookup_static(fuse_req_t req, const struct rfs_node *dir,
			  const char *name)
{
	struct rfs_front *front = rfs_front_of(req);
	struct rfs_node *node = rfs_tree_find(dir, name);
	struct fuse_entry_param entry = { 0 };
	struct rfs_error err = RFS_ERROR_INIT;
	int r;

	if (!node) {
		reply_no_entry(req, RFS_TIMEOUT_STATIC);
		return;
	}
	r = rfs_front_stat(front, node, &entry.attr, &entry.attr_timeout, &err);
	if (r < 0) {
		rfs_log_often("%s", err.text);
		fuse_reply_err(req, -r);
		return;
	}
	fill_entry(front, node, &entry);
	fuse_reply_entry(req, &entry);
}

static int find_host(struct rfs_front *front, const struct rfs_node *dir,
		     const char *name, struct fuse_entry_param *entry,
		     struct rfs_node **ret, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *path = rfs_path_join(dir->host.path, name);
	int r;

	if (!path)
		return rfs_no_memory(err);
	r = rfs_hostfiles_stat(front->op, dir->host.host, NULL, path,
			       &entry->attr, NULL, err);
	if (r == 0)
		r = rfs_hostnodes_get(&front->hostnodes, dir->host.host, path,
				      dir->ino, ret);
	return r;
}

static void lookup_host(fuse_req_t req, const struct rfs_node *dir,
			const char *name)
{
	struct fuse_entry_param entry = { .attr_timeout = RFS_TIMEOUT_HOST };
	struct rfs_front *front = rfs_front_of(req);
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_node *node;
	int r = find_host(front, dir, name, &entry, &node, &err);

	if (r == -ENOENT) {
		reply_no_entry(req, RFS_TIMEOUT_HOST);
		return;
	}
	if (r < 0) {
		rfs_log_often("%s", err.text);
		fuse_reply_err(req, -r);
		return;
	}
	fill_entry(front, node, &entry);
	/* A request that was interrupted has counted no lookup. */
	if (fuse_reply_entry(req, &entry) < 0)
		rfs_hostnodes_forget(&front->hostnodes, node, 1);
}

void rfs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct rfs_node *dir = rfs_node_of(req, parent);

	if (dir->kind == RFS_NODE_DIR)
		lookup_static(req, dir, name);
	else if (dir->kind == RFS_NODE_HOST)
		lookup_host(req, dir, name);
	else
		fuse_reply_err(req, ENOTDIR);
}

static void forget(struct rfs_front *front, struct rfs_node *node,
		   uint64_t nlookup)
{
	if (!node->name)
		rfs_hostnodes_forget(&front->hostnodes, node, nlookup);
}

void rfs_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	forget(rfs_front_of(req), rfs_node_of(req, ino), nlookup);
	fuse_reply_none(req);
}

void rfs_op_forget_multi(fuse_req_t req, size_t count,
			 struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget(rfs_front_of(req), rfs_node_of(req, forgets[i].ino),
		       forgets[i].nlookup);
	fuse_reply_none(req);
}

static void reply_stat(fuse_req_t req, const struct rfs_node *node)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct stat st;
	double timeout;
	int r = rfs_front_stat(rfs_front_of(req), node, &st, &timeout, &err);

	if (r < 0) {
		rfs_log_often("%s", err.text);
		fuse_reply_err(req, -r);
		return;
	}
	fuse_reply_attr(req, &st, timeout);
}

void rfs_op_getattr(fuse_req_t req, fuse_ino_t ino,
		    struct fuse_file_info *fi __attribute__((unused)))
{
	reply_stat(req, rfs_node_of(req, ino));
}

/* An image belongs to who mounted it, and to no one else: what asks for that
 * is granted, so that cp -p and tar do not complain. */
static bool is_owner_kept(const struct rfs_front *front,
			  const struct stat *attr, int to_set)
{
	return !((to_set & FUSE_SET_ATTR_MODE) &&
		 (attr->st_mode & 07777) != 0600) &&
	       !((to_set & FUSE_SET_ATTR_UID) && attr->st_uid != front->uid) &&
	       !((to_set & FUSE_SET_ATTR_GID) && attr->st_gid != front->gid);
}

/* Kept for the time of the mount. */
static void set_times(struct rfs_image *img, const struct stat *attr,
		      int to_set)
{
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		img->mtime_ns = rfs_now_ns();
	else if (to_set & FUSE_SET_ATTR_MTIME)
		img->mtime_ns = rfs_time_of(attr->st_mtim);
	if (to_set & FUSE_SET_ATTR_ATIME_NOW)
		img->atime_ns = rfs_now_ns();
	else if (to_set & FUSE_SET_ATTR_ATIME)
		img->atime_ns = rfs_time_of(attr->st_atim);
}

static int set_size(struct rfs_image *img, off_t size, struct rfs_error *err)
{
	struct rfs_view *view;
	int r = rfs_image_view(img, &view, err);

	if (r < 0)
		return -EIO;
	r = rfs_view_truncate(view, (uint64_t)size, err);
	if (r == 0)
		img->mtime_ns = rfs_now_ns();
	return r;
}

void rfs_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr,
		    int to_set,
		    struct fuse_file_info *fi __attribute__((unused)))
{
	const struct rfs_node *node = rfs_node_of(req, ino);
	struct rfs_error err = RFS_ERROR_INIT;
	int r = 0;

	if (node->kind != RFS_NODE_IMAGE) {
		fuse_reply_err(req, EROFS);
		return;
	}
	if (!is_owner_kept(rfs_front_of(req), attr, to_set)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	if (to_set & FUSE_SET_ATTR_SIZE)
		r = set_size(node->image, attr->st_size, &err);
	if (r < 0) {
		rfs_log_often("%s: new size: %s", node->image->name, err.text);
		fuse_reply_err(req, -r);
		return;
	}
	set_times(node->image, attr, to_set);
	reply_stat(req, node);
}

void rfs_op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	RFS_CLEANUP_FREE char *target = NULL;
	const struct rfs_node *node = rfs_node_of(req, ino);
	struct rfs_error err = RFS_ERROR_INIT;
	int r;

	if (node->kind == RFS_NODE_LINK) {
		fuse_reply_readlink(req, node->target);
		return;
	}
	if (node->kind != RFS_NODE_HOST) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	r = rfs_hostfiles_readlink(rfs_front_of(req)->op, node->host.host, NULL,
				   node->host.path, &target, &err);
	if (r == 0) {
		fuse_reply_readlink(req, target);
		return;
	}
	rfs_log_often("%s", err.text);
	fuse_reply_err(req, -r);
}
