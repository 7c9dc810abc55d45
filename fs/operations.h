/* SPDX-License-Identifier: GPL-3.0-or-later */
/* operations.h - what the kernel can ask, for the table in operations.c.
 *
 * Each answers its request exactly once.
 */
#ifndef RESCUEFS_FS_OPERATIONS_H
#define RESCUEFS_FS_OPERATIONS_H

#include "fs/front.h"

/* op_name.c: names and what stands beside them */
void rfs_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void rfs_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup);
void rfs_op_forget_multi(fuse_req_t req, size_t count,
			 struct fuse_forget_data *forgets);
void rfs_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void rfs_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr,
		    int to_set, struct fuse_file_info *fi);
void rfs_op_readlink(fuse_req_t req, fuse_ino_t ino);

/* op_dir.c: listings */
void rfs_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void rfs_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi);
void rfs_op_releasedir(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi);

/* op_file.c: what is in a file */
void rfs_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void rfs_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void rfs_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		 struct fuse_file_info *fi);
void rfs_op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size,
		  off_t off, struct fuse_file_info *fi);
void rfs_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		  struct fuse_file_info *fi);
void rfs_op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
		      off_t len, struct fuse_file_info *fi);
void rfs_op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		  struct fuse_file_info *fi);

/* op_xattr.c: extended attributes, and what is ordered through them */
void rfs_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		     size_t size);
void rfs_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void rfs_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		     const char *value, size_t size, int flags);
void rfs_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

#endif /* RESCUEFS_FS_OPERATIONS_H */
