// SPDX-License-Identifier: GPL-3.0-or-later
/* nbd_lent.c - the disk in an image that QEMU decodes and we read.
 *
 * NBD cannot say that a sector was not waited for.  While that happened, what
 * QEMU could not read is late and not bad, be it by another request's fault: it is
 * asked for again, and what is known to be bad below costs the medium nothing.
 */
#include <errno.h>
#include <stdlib.h>

#include "readers/nbd.h"
#include "readers/nbd_lend.h"

struct lent {
	struct rfs_reader *disk; /* decoded; first to be closed */
	struct rfs_reader *file;
	struct rfs_lend *lend;
};

static int read_lent(void *state, struct rfs_range range, void *buf,
		     struct rfs_ranges *bad, struct rfs_error *err)
{
	struct lent *l = state;
	uint64_t misses = rfs_lend_misses(l->lend);
	int r = rfs_reader_read(l->disk, range, buf, bad, err);

	if (r == -EIO && rfs_lend_misses(l->lend) != misses)
		return -ETIMEDOUT;
	return r;
}

static int extents_of_lent(void *state, struct rfs_range range,
			   struct rfs_extents *out, struct rfs_error *err)
{
	struct lent *l = state;

	return rfs_reader_extents(l->disk, range, out, err);
}

/* Only QEMU knows where: anywhere in the file. */
static int spots_of_lent(void *state, struct rfs_range range,
			 struct rfs_spots *out, struct rfs_error *err)
{
	struct lent *l = state;

	(void)range;
	return rfs_reader_spots(l->file, rfs_range(0, rfs_reader_size(l->file)),
				out, err);
}

static int renew_lent(void *state, struct rfs_error *err)
{
	struct lent *l = state;

	return rfs_reader_renew(l->file, err);
}

static void close_lent(void *state)
{
	struct lent *l = state;

	rfs_reader_unref(l->disk);
	rfs_lend_free(l->lend);
	rfs_reader_unref(l->file);
	free(l);
}

static const struct rfs_reader_ops lent_ops = {
	.kind = "lent",
	.read = read_lent,
	.extents = extents_of_lent,
	.spots = spots_of_lent,
	.renew = renew_lent,
	.close = close_lent,
};

int rfs_lent_open(struct rfs_reader *disk, struct rfs_reader *file,
		  struct rfs_lend *lend, struct rfs_reader **ret,
		  struct rfs_error *err)
{
	struct lent *l = malloc(sizeof(*l));

	if (!l) {
		rfs_reader_unref(disk);
		rfs_lend_free(lend);
		return rfs_no_memory(err);
	}
	*l = (struct lent){ disk, rfs_reader_ref(file), lend };
	return rfs_reader_new(&lent_ops, l, rfs_reader_size(disk),
			      rfs_reader_name(disk), rfs_reader_origin(disk),
			      ret, err);
}
