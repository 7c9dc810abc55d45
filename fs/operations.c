// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <sys/ioctl.h>

#include "fs/operations.h"

/* What is wanted of the kernel, and why not the rest:
 *
 *  - no READDIRPLUS: a listing would ask for each image's size, and so open
 *    every image of a directory;
 *  - no AUTO_INVAL_DATA: a write changes the time of modification, and the
 *    kernel would drop the page cache for it.  A reset says so itself;
 *  - no splice by libfuse, which tells the kernel of a short file's end before
 *    we know of it; where pages can go through a pipe fs/pipe.c has them do so;
 *  - no WRITEBACK_CACHE: what write(2) took is in the overlay;
 *  - no ATOMIC_O_TRUNC: the size is then set by one road only.
 */
static const unsigned wanted =
	FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS |
	FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_CACHE_SYMLINKS;

static void op_init(void *userdata __attribute__((unused)),
		    struct fuse_conn_info *conn)
{
	conn->want = conn->capable & wanted;
	conn->max_write = RFS_IO_MAX;
	conn->max_read = RFS_READ_MAX; /* as the mount option says */
	conn->max_readahead = RFS_WINDOW;
	/* A loop device or qemu-img keeps many requests in flight. */
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	conn->time_gran = 1;
}

/* Nothing is free and nothing is full: writes go to the state directory, and
 * what the sources have is theirs. */
static void op_statfs(fuse_req_t req, fuse_ino_t ino __attribute__((unused)))
{
	struct statvfs st = { .f_bsize = 4096,
			      .f_frsize = 4096,
			      .f_namemax = 255 };

	fuse_reply_statfs(req, &st);
}

/* Names are made by the sources alone.  Without these the kernel would say
 * "not implemented", and a tool would not know why. */
static void op_mknod(fuse_req_t req, fuse_ino_t parent __attribute__((unused)),
		     const char *name __attribute__((unused)),
		     mode_t mode __attribute__((unused)),
		     dev_t rdev __attribute__((unused)))
{
	fuse_reply_err(req, EROFS);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent __attribute__((unused)),
		     const char *name __attribute__((unused)),
		     mode_t mode __attribute__((unused)))
{
	fuse_reply_err(req, EROFS);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent __attribute__((unused)),
		      const char *name __attribute__((unused)))
{
	fuse_reply_err(req, EROFS);
}

static void op_symlink(fuse_req_t req,
		       const char *target __attribute__((unused)),
		       fuse_ino_t parent __attribute__((unused)),
		       const char *name __attribute__((unused)))
{
	fuse_reply_err(req, EROFS);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent __attribute__((unused)),
		      const char *name __attribute__((unused)),
		      fuse_ino_t new_parent __attribute__((unused)),
		      const char *new_name __attribute__((unused)),
		      unsigned flags __attribute__((unused)))
{
	fuse_reply_err(req, EROFS);
}

static void op_link(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		    fuse_ino_t parent __attribute__((unused)),
		    const char *name __attribute__((unused)))
{
	fuse_reply_err(req, EROFS);
}

static void op_create(fuse_req_t req, fuse_ino_t parent __attribute__((unused)),
		      const char *name __attribute__((unused)),
		      mode_t mode __attribute__((unused)),
		      struct fuse_file_info *fi __attribute__((unused)))
{
	fuse_reply_err(req, EROFS);
}

static void op_ioctl(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		     unsigned cmd __attribute__((unused)),
		     void *arg __attribute__((unused)),
		     struct fuse_file_info *fi __attribute__((unused)),
		     unsigned flags __attribute__((unused)),
		     const void *in __attribute__((unused)),
		     size_t in_len __attribute__((unused)),
		     size_t out_len __attribute__((unused)))
{
	fuse_reply_err(req, ENOTTY);
}

const struct fuse_lowlevel_ops rfs_operations = {
	.init = op_init,
	.lookup = rfs_op_lookup,
	.forget = rfs_op_forget,
	.forget_multi = rfs_op_forget_multi,
	.getattr = rfs_op_getattr,
	.setattr = rfs_op_setattr,
	.readlink = rfs_op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_unlink,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.create = op_create,
	.open = rfs_op_open,
	.read = rfs_op_read,
	.write = rfs_op_write,
	.release = rfs_op_release,
	.fsync = rfs_op_fsync,
	.fallocate = rfs_op_fallocate,
	.lseek = rfs_op_lseek,
	.opendir = rfs_op_opendir,
	.readdir = rfs_op_readdir,
	.releasedir = rfs_op_releasedir,
	.statfs = op_statfs,
	.getxattr = rfs_op_getxattr,
	.listxattr = rfs_op_listxattr,
	.setxattr = rfs_op_setxattr,
	.removexattr = rfs_op_removexattr,
	.ioctl = op_ioctl,
};
