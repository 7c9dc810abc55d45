/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hostnode.h - the names below hosts/HOST/ that the kernel knows of now.
 *
 * A node is found or made in one locked step, so that two threads looking up
 * one name get one node.  It goes when the kernel has forgotten every lookup.
 * The inode number is made of the host and the path, so that a file keeps it
 * while it comes and goes.
 */
#ifndef RESCUEFS_FS_HOSTNODE_H
#define RESCUEFS_FS_HOSTNODE_H

#include <pthread.h>

#include "fs/node.h"

struct rfs_hostnodes {
	uint64_t seed;	      /* fixed from init on, as is... */
	pthread_mutex_t lock; /* ... this, which guards all below */
	struct rfs_node **buckets;
	size_t nbuckets; /* a power of two */
	size_t count;
	uint64_t last_generation;
};

int rfs_hostnodes_init(struct rfs_hostnodes *table);
void rfs_hostnodes_fini(struct rfs_hostnodes *table);

/* The inode number of a path, whether there is a node for it or not. */
uint64_t rfs_hostnodes_ino(const struct rfs_hostnodes *table,
			   const struct rfs_host *host, const char *path);

/* The path's node, made if need be, with one lookup counted. */
int rfs_hostnodes_get(struct rfs_hostnodes *table, const struct rfs_host *host,
		      const char *path, uint64_t parent_ino,
		      struct rfs_node **ret);

/* Takes back 'nlookups'; the node goes with the last one. */
void rfs_hostnodes_forget(struct rfs_hostnodes *table, struct rfs_node *node,
			  uint64_t nlookups);

#endif /* RESCUEFS_FS_HOSTNODE_H */
