/* SPDX-License-Identifier: GPL-3.0-or-later */
/* unpack.h - the compressed files of a site, each opened once.
 *
 * Merged views and the views of single sources share a reader of a compressed
 * file, its index and the memory for its unpacked pieces.  Safe from many
 * threads.
 */
#ifndef RESCUEFS_SITE_UNPACK_H
#define RESCUEFS_SITE_UNPACK_H

#include "readers/readers.h"

struct rfs_unpacker;

/* 'state' may be NULL; both outlive it. */
int rfs_unpacker_new(struct rfs_state *state, struct rfs_notes *notes,
		     struct rfs_unpacker **ret, struct rfs_error *err);
/* After the last of its readers has closed; accepts NULL. */
void rfs_unpacker_free(struct rfs_unpacker *u);

/* The unpacked bytes of 'file', whose name tells how it is packed.  'object' is
 * what the state calls it.  'expected' bytes are in it, or 0: not known.  Who
 * comes while another thread opens the same one waits for it. */
int rfs_unpacker_open(struct rfs_unpacker *u, struct rfs_reader *file,
		      const char *object, enum rfs_packing packing,
		      struct rfs_generation generation, uint64_t expected,
		      struct rfs_reader **ret, struct rfs_error *err);

/* Ends what is under way soon, with -EINTR. */
void rfs_unpacker_stop(struct rfs_unpacker *u);

#endif /* RESCUEFS_SITE_UNPACK_H */
