/* SPDX-License-Identifier: GPL-3.0-or-later */
/* nbd_link.h - one connection to an export; for nbd.c only.
 *
 * A thread of its own has the connection and alone calls libnbd, which holds a
 * lock over each call.  Who wants something puts a request into the queue and
 * waits for it; many may be on the wire at once.
 *
 * A request that is given up stays the thread's until the server answers or the
 * connection ends, so that a late answer finds its buffer.
 */
#ifndef RESCUEFS_READERS_NBD_LINK_H
#define RESCUEFS_READERS_NBD_LINK_H

#include "readers/nbd.h"

struct rfs_nbd_link;

/* What the server said when it was first connected. */
struct rfs_nbd_facts {
	uint64_t size;
	uint32_t min_block; /* a power of two; requests are multiples of it */
	uint32_t max_block; /* the largest request */
	bool has_status;    /* it tells what is allocated */
};

int rfs_nbd_link_new(const struct rfs_nbd_config *config,
		     struct rfs_nbd_link **ret, struct rfs_nbd_facts *ret_facts,
		     struct rfs_error *err);
/* No request may be under way.  Does not wait for the server. */
void rfs_nbd_link_free(struct rfs_nbd_link *link);

/* CLOCK_MONOTONIC, and when a reader that begins now gives up. */
int64_t rfs_nbd_now_ns(void);
int64_t rfs_nbd_link_deadline(const struct rfs_nbd_link *link);

/* 0; -EIO: the server says that it cannot read all of it; -ETIMEDOUT: it was
 * not waited for, or there is no connection; -ENOMEM.  'range' is of whole
 * blocks and no larger than a request may be. */
int rfs_nbd_link_read(struct rfs_nbd_link *link, struct rfs_range range,
		      void *buf, int64_t until_ns);

/* Appends what the server tells of the start of 'range', at least a byte. */
int rfs_nbd_link_status(struct rfs_nbd_link *link, struct rfs_range range,
			struct rfs_extents *out, int64_t until_ns);

#endif /* RESCUEFS_READERS_NBD_LINK_H */
