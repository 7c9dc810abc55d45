/* SPDX-License-Identifier: GPL-3.0-or-later */
/* node.h - one name in the mount.
 *
 * The kernel knows a node by its address, so that no request has to look one
 * up.  Nodes of the static part (tree.h) live as long as the mount.  Those
 * below hosts/HOST/ are made when the kernel asks for them and live as long as
 * it remembers them (hostnode.h).
 */
#ifndef RESCUEFS_FS_NODE_H
#define RESCUEFS_FS_NODE_H

#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "site/inventory.h"

struct rfs_copyfile;
struct rfs_image;
struct rfs_text;

enum rfs_node_kind {
	RFS_NODE_DIR,	/* a directory of the tree itself */
	RFS_NODE_LINK,	/* by-uuid/UUID */
	RFS_NODE_TEXT,	/* README, instance.json, rescue/... */
	RFS_NODE_IMAGE, /* a merged disk: all that can be written */
	RFS_NODE_COPY,	/* one source's copy of a disk */
	RFS_NODE_HOST,	/* a file or directory of a host */
};

/* What a directory of the tree holds, by name once the tree is built. */
struct rfs_children {
	struct rfs_node **items;
	size_t count;
	size_t room;
	size_t subdirs;
};

struct rfs_hostfile {
	const struct rfs_host *host;
	char *path; /* inside the host, begins with '/' */
};

struct rfs_node {
	enum rfs_node_kind kind;
	uint64_t ino;	     /* as stat tells it; unique in the mount */
	uint64_t generation; /* differs where an address is used again */
	uint64_t parent_ino;
	char *name; /* NULL below hosts/HOST/: the path has it */
	union {
		struct rfs_children children;
		char *target;
		struct rfs_text *text;
		struct rfs_image *image;
		struct rfs_copyfile *copy;
		struct rfs_hostfile host;
	};
	/* Of the nodes below hosts/HOST/, guarded by their table's lock. */
	uint64_t lookups;
	struct rfs_node *next;
};

/* The type bits of st_mode as far as they are known without asking a source;
 * 0 where they are not. */
static inline mode_t rfs_node_type(const struct rfs_node *node)
{
	switch (node->kind) {
	case RFS_NODE_DIR:
		return S_IFDIR;
	case RFS_NODE_LINK:
		return S_IFLNK;
	case RFS_NODE_HOST:
		return strcmp(node->host.path, "/") == 0 ? S_IFDIR : 0;
	default:
		return S_IFREG;
	}
}

#endif /* RESCUEFS_FS_NODE_H */
