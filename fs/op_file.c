// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <fcntl.h>

#include "fs/handle.h"
#include "fs/log.h"
#include "fs/loop.h"
#include "fs/operations.h"
#include "fs/pipe.h"

static struct rfs_handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct rfs_handle *)(uintptr_t)fi->fh;
}

void rfs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct rfs_front *front = rfs_front_of(req);
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_handle *h;
	int r = rfs_handle_open(front, rfs_node_of(req, ino), fi->flags, &h,
				&err);

	if (r < 0) {
		if (r != -EROFS && r != -EACCES)
			rfs_log_often("%s", err.text);
		fuse_reply_err(req, -r);
		return;
	}
	fi->fh = (uintptr_t)h;
	fi->direct_io = h->is_direct;
	fi->keep_cache = !h->is_direct;
	fi->noflush = 1; /* nothing is held back that close could lose */
	if (fuse_reply_open(req, fi) < 0)
		rfs_opened_close(&front->opened, &h->opened);
}

void rfs_op_release(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		    struct fuse_file_info *fi)
{
	rfs_opened_close(&rfs_front_of(req)->opened, &handle_of(fi)->opened);
	fuse_reply_err(req, 0);
}

void rfs_op_read(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		 size_t size, off_t off, struct fuse_file_info *fi)
{
	void *buf = rfs_front_buffer(rfs_front_of(req));
	struct rfs_error err = RFS_ERROR_INIT;
	size_t len;
	int r;

	if (!buf || size > RFS_READ_MAX) {
		fuse_reply_err(req, buf ? EINVAL : ENOMEM);
		return;
	}
	/* Into the page cache; a reader's own memory is filled faster by us. */
	if (!(fi->flags & O_DIRECT) &&
	    rfs_pipe_reply(rfs_front_of(req), req, handle_of(fi),
			   rfs_range((uint64_t)off, size)))
		return;
	r = rfs_handle_read(handle_of(fi), rfs_range((uint64_t)off, size), buf,
			    &len, &err);
	if (r < 0) {
		rfs_log_often("%s", err.text);
		fuse_reply_err(req, -r);
		return;
	}
	rfs_loop_answers();
	fuse_reply_buf(req, buf, len);
}

/* Answers what changed an image, or failed to. */
static void reply_change(fuse_req_t req, const struct rfs_handle *h, int r,
			 const char *what, const struct rfs_error *err)
{
	if (r == 0)
		h->image->mtime_ns = rfs_now_ns();
	else if (r != -EOPNOTSUPP)
		rfs_log_often("%s: %s: %s", h->image->name, what, err->text);
	fuse_reply_err(req, -r);
}

void rfs_op_write(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		  const char *buf, size_t size, off_t off,
		  struct fuse_file_info *fi)
{
	const struct rfs_handle *h = handle_of(fi);
	struct rfs_error err = RFS_ERROR_INIT;
	int r;

	if (!h->view) {
		fuse_reply_err(req, EROFS);
		return;
	}
	r = size ? rfs_view_write(h->view, rfs_range((uint64_t)off, size), buf,
				  &err)
		 : 0;
	if (r < 0) {
		reply_change(req, h, r, "write", &err);
		return;
	}
	h->image->mtime_ns = rfs_now_ns();
	rfs_loop_answers();
	fuse_reply_write(req, size);
}

void rfs_op_fsync(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		  int datasync __attribute__((unused)),
		  struct fuse_file_info *fi)
{
	const struct rfs_handle *h = handle_of(fi);
	struct rfs_error err = RFS_ERROR_INIT;
	int r = h->view ? rfs_view_sync(h->view, &err) : 0;

	if (r < 0)
		rfs_log_often("%s: fsync: %s", h->image->name, err.text);
	fuse_reply_err(req, -r);
}

void rfs_op_fallocate(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		      int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
	const struct rfs_handle *h = handle_of(fi);
	struct rfs_range range = rfs_range((uint64_t)off, (uint64_t)len);
	struct rfs_error err = RFS_ERROR_INIT;

	if (!h->view) {
		fuse_reply_err(req, EROFS);
		return;
	}
	if (!rfs_range_fits(range, RFS_SIZE_MAX)) {
		fuse_reply_err(req, EFBIG);
		return;
	}
	reply_change(req, h, rfs_handle_fallocate(h->view, mode, range, &err),
		     "fallocate", &err);
}

void rfs_op_lseek(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		  off_t off, int whence, struct fuse_file_info *fi)
{
	struct rfs_error err = RFS_ERROR_INIT;
	uint64_t found;
	int r;

	if ((whence != SEEK_DATA && whence != SEEK_HOLE) || off < 0) {
		fuse_reply_err(req, off < 0 ? ENXIO : EINVAL);
		return;
	}
	r = rfs_handle_seek(handle_of(fi), (uint64_t)off, whence, &found, &err);
	if (r == 0) {
		fuse_reply_lseek(req, (off_t)found);
		return;
	}
	if (r != -ENXIO)
		rfs_log_often("%s", err.text);
	fuse_reply_err(req, -r);
}
