// SPDX-License-Identifier: GPL-3.0-or-later
/* open_device.c - whether a volume that is a block device is still the one that
 * its blocks were chosen from.
 *
 * A file that was written anew has another time of modification; a device has
 * none, so that one of the same name and size would pass for it.  A damaged
 * source's are not looked at here: what is rescued of them is held against the
 * same (readers/rescue.c).
 */
#include <errno.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "readers/identity.h"
#include "readers/reach.h"
#include "site/open_place.h"
#include "site/volumes.h"

#define WHY_MAX 512

/* Empty if it is no device, or one of which nothing is known.  One that cannot be
 * opened is left to its candidate, which says why. */
static void identify(const struct rfs_copy *copy, struct rfs_identity *ret)
{
	struct rfs_worker *w = copy->source->names;
	RFS_CLEANUP_FD int fd = -1;
	struct stat st;

	ret->text[0] = '\0';
	if (copy->place != RFS_VOLUME || copy->source->kind == RFS_DAMAGED ||
	    copy->generation.mtime_ns != RFS_TIME_UNKNOWN)
		return;
	fd = rfs_volume_open(w, copy->path, NULL);
	if (fd >= 0 && rfs_reach_stat(w, fd, &st) == 0 && S_ISBLK(st.st_mode))
		rfs_identity_of(fd, st.st_rdev, ret);
}

/* NULL: no memory. */
static char *fact_of(const struct rfs_copy *copy)
{
	char *key;

	return asprintf(&key, "device of %s", copy->source->origin.name) < 0
		       ? NULL
		       : key;
}

static int check(struct rfs_opener *op, const struct rfs_disk *disk,
		 const struct rfs_copy *copy,
		 const struct rfs_identity *identity, struct rfs_error *err)
{
	struct rfs_state *state = rfs_opener_state(op);
	RFS_CLEANUP_FREE char *key = fact_of(copy);
	RFS_CLEANUP_FREE char *was = NULL;
	char why[WHY_MAX];
	int r;

	if (!key)
		return rfs_no_memory(err);
	r = rfs_state_fact(state, disk->id, key, &was, err);
	if (r == -ENOENT)
		return rfs_state_try_fact(state, disk->id, key, identity->text,
					  err);
	if (r < 0 ||
	    !rfs_identity_differs(was, identity->text, why, sizeof(why)))
		return r;
	return rfs_fail(err, ESTALE,
			"%s: %s on %s is another device than the one that it "
			"was first read from (%s), and a view does not change "
			"under its reader; unmount and 'rescuefs refresh' "
			"takes it as it is now, or use a new --state",
			disk->name, copy->path, copy->source->origin.name, why);
}

static int renew(struct rfs_opener *op, const struct rfs_disk *disk,
		 const struct rfs_copy *copy,
		 const struct rfs_identity *identity, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *key = fact_of(copy);

	return key ? rfs_state_set_fact(rfs_opener_state(op), disk->id, key,
					identity->text, err)
		   : rfs_no_memory(err);
}

int rfs_opener_check_devices(struct rfs_opener *op, const struct rfs_disk *disk,
			     bool renews, struct rfs_error *err)
{
	struct rfs_identity identity;
	const struct rfs_copy *copy;
	int r = 0;

	for (size_t i = 0; i < disk->ncopies && r == 0; i++) {
		copy = &disk->copies[i];
		identify(copy, &identity);
		/* What was said before is more than nothing. */
		if (*identity.text)
			r = (renews ? renew : check)(op, disk, copy, &identity,
						     err);
	}
	return r;
}
