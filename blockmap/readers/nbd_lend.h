/* SPDX-License-Identifier: GPL-3.0-or-later */
/* nbd_lend.h - a reader of ours, for a program that we have started.
 *
 * QEMU decodes an image that it must not read itself, as the disk under it dies:
 * it asks us for the file's bytes, in NBD over a socket, and gets what the reader
 * gives, with its store, its deadline and its care for bad sectors.
 *
 * The protocol is nbd's "doc/proto.md": one export without a name, which can be
 * read and nothing else.  Who connects must be of our own user; whatever it says
 * is bounded, and what makes no sense ends its connection.
 */
#ifndef RESCUEFS_READERS_NBD_LEND_H
#define RESCUEFS_READERS_NBD_LEND_H

#include <stdatomic.h>

#include "core/reader.h"

/* What one request may ask for; clients are told. */
#define RFS_LEND_MAX (1u << 20)

struct rfs_lend;

/* Starts a thread that listens, and takes a reference of 'file'. */
int rfs_lend_new(struct rfs_reader *file, struct rfs_lend **ret,
		 struct rfs_error *err);
/* Ends all connections, and waits for reads that are under way.  Accepts NULL. */
void rfs_lend_free(struct rfs_lend *lend);

/* The name of its socket, which is in no directory (an abstract one). */
const char *rfs_lend_address(const struct rfs_lend *lend);

/* How many requests were refused so far though their bytes may be readable: NBD
 * has no word for that, and they failed as bad ones do. */
uint64_t rfs_lend_misses(const struct rfs_lend *lend);

/* The disk that QEMU makes of 'file' as it is lent to it: one that tells late from
 * bad.  'disk' and 'lend' belong to it from the call on, also when it fails. */
int rfs_lent_open(struct rfs_reader *disk, struct rfs_reader *file,
		  struct rfs_lend *lend, struct rfs_reader **ret,
		  struct rfs_error *err);

/* Serves one connection until the client leaves or errs; for nbd_lend.c.  'fd'
 * stays the caller's, who can end it with shutdown(). */
void rfs_lend_talk(int fd, struct rfs_reader *file, atomic_ullong *misses);

#endif /* RESCUEFS_READERS_NBD_LEND_H */
