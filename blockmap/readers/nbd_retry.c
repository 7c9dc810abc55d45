// SPDX-License-Identifier: GPL-3.0-or-later
#include "readers/nbd_retry.h"

void rfs_nbd_retry_heard(struct rfs_nbd_retry *r)
{
	r->quick = 0;
	r->pauses = 0;
	r->pause_ns = 0;
}

int64_t rfs_nbd_retry_pause(struct rfs_nbd_retry *r)
{
	int64_t pause = RFS_NBD_PAUSE_MIN;

	for (unsigned int i = 0; i < r->pauses && pause < RFS_NBD_PAUSE_MAX;
	     i++)
		pause *= 2;
	if (pause < RFS_NBD_PAUSE_MAX)
		r->pauses++;
	else
		pause = RFS_NBD_PAUSE_MAX;
	r->pause_ns = pause;
	return pause;
}

bool rfs_nbd_retry_lost(struct rfs_nbd_retry *r, int64_t now_ns,
			bool may_be_quick)
{
	/* Some servers end what is idle. */
	if (r->up_ns && now_ns - r->up_ns > RFS_NBD_PAUSE_MAX)
		rfs_nbd_retry_heard(r);
	r->up_ns = 0;
	if (may_be_quick && r->quick < RFS_NBD_QUICK_ATTEMPTS) {
		r->at_ns = now_ns + r->quick++ * RFS_NBD_QUICK_PAUSE;
		return true;
	}
	r->at_ns = now_ns + rfs_nbd_retry_pause(r);
	return false;
}
