/* SPDX-License-Identifier: GPL-3.0-or-later */
/* front.h - what every request of the kernel is answered from. */
#ifndef RESCUEFS_FS_FRONT_H
#define RESCUEFS_FS_FRONT_H

#include <fuse_lowlevel.h>
#include <pthread.h>

#include "fs/hostnode.h"
#include "fs/opened.h"
#include "fs/tree.h"

/* The most that one request writes, or reads of a throw-away disk. */
#define RFS_IO_MAX (1024u * 1024)
/* The most that one request reads: of what a program reads past the page cache at
 * once the kernel makes several, which are answered side by side. */
#define RFS_READ_MAX (256u * 1024)
/* How far the kernel reads ahead. */
#define RFS_WINDOW (1024u * 1024)

/* How long the kernel may believe what it was told, in seconds.  The tree and
 * the sources do not change; an image changes through the kernel itself, which
 * then asks again, or by a reset, which tells it.  What is left is its
 * st_blocks.  Opening a host's file may show that an older copy is the one to
 * serve.  A generated file changes at any time. */
#define RFS_TIMEOUT_STATIC 3600.0
#define RFS_TIMEOUT_HOST   1.0
#define RFS_TIMEOUT_IMAGE  1.0
#define RFS_TIMEOUT_TEXT   0.0

struct rfs_front {
	/* Fixed before the first request. */
	struct rfs_opener *op;
	struct fuse_session *se;
	struct rfs_tree tree;
	struct rfs_hostnodes hostnodes;
	pthread_key_t buffers; /* of RFS_READ_MAX bytes, one a thread */
	pthread_key_t pipes;   /* of struct rfs_pipe, one a thread */
	uid_t uid;
	gid_t gid;
	int64_t mounted_ns;

	struct rfs_opened_list opened;

	/* Held by the one thread that carries out a reset or a refresh: it
	 * waits for pages that other threads may have to fill, so no second
	 * thread may wait for it. */
	pthread_mutex_t control;
};

/* 'inv' and 'op' outlive it. */
int rfs_front_init(struct rfs_front *front, const struct rfs_inventory *inv,
		   struct rfs_opener *op, struct rfs_error *err);
/* As rfs_tree_fini. */
int rfs_front_fini(struct rfs_front *front, void (*each)(const char *text),
		   struct rfs_error *err);

/* This thread's buffer, page-aligned; NULL without memory. */
void *rfs_front_buffer(struct rfs_front *front);

/* What stat tells of a node, and for how long. */
int rfs_front_stat(struct rfs_front *front, const struct rfs_node *node,
		   struct stat *ret, double *ret_timeout,
		   struct rfs_error *err);

/* The table that libfuse calls. */
extern const struct fuse_lowlevel_ops rfs_operations;

static inline struct rfs_front *rfs_front_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* The kernel gives back the address that it was given, or the root's 1. */
static inline struct rfs_node *rfs_node_of(fuse_req_t req, fuse_ino_t ino)
{
	if (ino == FUSE_ROOT_ID)
		return rfs_front_of(req)->tree.root;
	return (struct rfs_node *)(uintptr_t)ino;
}

static inline fuse_ino_t rfs_nodeid(const struct rfs_front *front,
				    const struct rfs_node *node)
{
	if (node == front->tree.root)
		return FUSE_ROOT_ID;
	return (fuse_ino_t)(uintptr_t)node;
}

#endif /* RESCUEFS_FS_FRONT_H */
