/* SPDX-License-Identifier: GPL-3.0-or-later */
/* nbd_retry.h - when a server that did not do is tried again.
 *
 * A server that is just started anew is there again soon: the first attempts come
 * at once, and those who wait go on waiting.  After them the pauses grow, until the
 * server answers something or keeps a connection for longer than any pause: one
 * that takes connections only to drop them is not tried in a circle.
 *
 * No clock is read here: times are of whatever clock the caller has.
 */
#ifndef RESCUEFS_READERS_NBD_RETRY_H
#define RESCUEFS_READERS_NBD_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#define RFS_NBD_MS	  INT64_C(1000000)
#define RFS_NBD_PAUSE_MIN (500 * RFS_NBD_MS)
#define RFS_NBD_PAUSE_MAX (30000 * RFS_NBD_MS)
/* So often, with pauses that grow by so much, before the requests that wait are
 * passed over. */
#define RFS_NBD_QUICK_ATTEMPTS 4
#define RFS_NBD_QUICK_PAUSE    (50 * RFS_NBD_MS)

/* Zero it to begin. */
struct rfs_nbd_retry {
	unsigned int quick;  /* attempts at once, since it last did */
	unsigned int pauses; /* since then; the next is longer for each */
	int64_t pause_ns;    /* the last pause that was ordered, or 0 */
	int64_t at_ns;	     /* when the next attempt begins */
	int64_t up_ns; /* since when there is a connection; 0: there is none */
};

/* The server answered. */
void rfs_nbd_retry_heard(struct rfs_nbd_retry *r);

/* The length of the pause that begins now, which the next one will exceed, up to
 * RFS_NBD_PAUSE_MAX. */
int64_t rfs_nbd_retry_pause(struct rfs_nbd_retry *r);

/* There is no connection now; sets when the next attempt begins.  'may_be_quick':
 * there was one, and somebody may wait for it.  True: it is, and they should. */
bool rfs_nbd_retry_lost(struct rfs_nbd_retry *r, int64_t now_ns,
			bool may_be_quick);

#endif /* RESCUEFS_READERS_NBD_RETRY_H */
