// SPDX-License-Identifier: GPL-3.0-or-later
#include "fs/scratch_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "fs/handle.h"
#include "fs/log.h"
#include "fs/loop.h"

#define FILE_INO 2
#define TIMEOUT	 1.0

static struct rfs_scratch_file *file_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static struct rfs_handle handle_of(const struct rfs_scratch_file *f)
{
	return (struct rfs_handle){ .view = f->view,
				    .is_direct = f->is_direct };
}

static void op_init(void *userdata __attribute__((unused)),
		    struct fuse_conn_info *conn)
{
	conn->want = conn->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO);
	conn->max_write = RFS_IO_MAX;
	conn->max_read = RFS_IO_MAX;
	conn->time_gran = 1;
}

static struct stat stat_of(const struct rfs_scratch_file *f, fuse_ino_t ino)
{
	struct stat st = { .st_ino = ino,
			   .st_nlink = 1,
			   .st_uid = getuid(),
			   .st_gid = getgid(),
			   .st_blksize = 4096 };

	if (ino == FUSE_ROOT_ID) {
		st.st_mode = S_IFDIR | 0700;
		st.st_nlink = 2;
		return st;
	}
	st.st_mode = S_IFREG | 0600;
	st.st_size = (off_t)rfs_view_size(f->view);
	st.st_blocks = (blkcnt_t)((rfs_view_allocated(f->view) + 511) / 512);
	return st;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = { .ino = FILE_INO,
					  .attr = stat_of(file_of(req),
							  FILE_INO),
					  .attr_timeout = TIMEOUT,
					  .entry_timeout = TIMEOUT };

	if (parent != FUSE_ROOT_ID || strcmp(name, RFS_SCRATCH_NAME) != 0)
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi __attribute__((unused)))
{
	struct stat st = stat_of(file_of(req), ino);

	fuse_reply_attr(req, &st, TIMEOUT);
}

static void refuse_write(fuse_req_t req, int r, const struct rfs_error *err)
{
	int none = 0;

	atomic_compare_exchange_strong(&file_of(req)->failure, &none, r);
	rfs_log_often("%s", err->text);
	fuse_reply_err(req, -r);
}

/* Times and modes are taken and forgotten. */
static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr,
		       int to_set, struct fuse_file_info *fi)
{
	struct rfs_error err = RFS_ERROR_INIT;
	int r = 0;

	if (ino == FILE_INO && (to_set & FUSE_SET_ATTR_SIZE))
		r = rfs_view_truncate(file_of(req)->view,
				      (uint64_t)attr->st_size, &err);
	if (r < 0) {
		refuse_write(req, r, &err);
		return;
	}
	op_getattr(req, ino, fi);
}

static void op_open(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		    struct fuse_file_info *fi)
{
	fi->direct_io = file_of(req)->is_direct;
	fi->keep_cache = !fi->direct_io;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

static void op_read(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		    size_t size, off_t off,
		    struct fuse_file_info *fi __attribute__((unused)))
{
	RFS_CLEANUP_FREE void *buf =
		size <= RFS_IO_MAX ? malloc(size + 1) : NULL;
	struct rfs_handle h = handle_of(file_of(req));
	size_t len;
	int r = -ENOMEM;

	/* What cannot be read is for the program to say: it asked. */
	if (buf)
		r = rfs_handle_read(&h, rfs_range((uint64_t)off, size), buf,
				    &len, NULL);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	rfs_loop_answers();
	fuse_reply_buf(req, buf, len);
}

static void op_write(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		     const char *buf, size_t size, off_t off,
		     struct fuse_file_info *fi __attribute__((unused)))
{
	struct rfs_error err = RFS_ERROR_INIT;
	int r = rfs_view_write(file_of(req)->view,
			       rfs_range((uint64_t)off, size), buf, &err);

	if (r < 0) {
		refuse_write(req, r, &err);
		return;
	}
	rfs_loop_answers();
	fuse_reply_write(req, size);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		     int datasync __attribute__((unused)),
		     struct fuse_file_info *fi __attribute__((unused)))
{
	fuse_reply_err(req, 0); /* it is going to be thrown away */
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
			 int mode, off_t off, off_t len,
			 struct fuse_file_info *fi __attribute__((unused)))
{
	struct rfs_range range = rfs_range((uint64_t)off, (uint64_t)len);
	struct rfs_error err = RFS_ERROR_INIT;

	fuse_reply_err(req, -rfs_handle_fallocate(file_of(req)->view, mode,
						  range, &err));
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		     off_t off, int whence,
		     struct fuse_file_info *fi __attribute__((unused)))
{
	struct rfs_handle h = handle_of(file_of(req));
	uint64_t found;
	int r = rfs_handle_seek(&h, (uint64_t)off, whence, &found, NULL);

	if (r < 0)
		fuse_reply_err(req, -r);
	else
		fuse_reply_lseek(req, (off_t)found);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi __attribute__((unused)))
{
	struct stat st = stat_of(file_of(req), FILE_INO);
	char buf[64];
	size_t len = 0;

	if (ino != FUSE_ROOT_ID) {
		fuse_reply_err(req, ENOTDIR);
		return;
	}
	if (off == 0)
		len = fuse_add_direntry(req, buf,
					size < sizeof(buf) ? size : sizeof(buf),
					RFS_SCRATCH_NAME, &st, 1);
	fuse_reply_buf(req, buf, len);
}

const struct fuse_lowlevel_ops rfs_scratch_operations = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.readdir = op_readdir,
};
