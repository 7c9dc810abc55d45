// SPDX-License-Identifier: GPL-3.0-or-later
/* Doubts about tables of zeros (P3).
 *
 * A copy that put zeros where it could not read looks, in a table, like a disk
 * that was never written.  The refcounts know better: they say which clusters
 * are in use.  So when a table reads as zeros, all that the tables claim is
 * counted once against the refcounts; clusters in use that nothing claims
 * speak against the zeros.  They prove nothing (a crash of QEMU leaks
 * clusters, too), so the data is served as the tables say, marked as suspect
 * and not called a hole, and a note made.
 */
#include "readers/qcow2_census.h"

#include <inttypes.h>

static void note_zero(struct rfs_qcow2 *q, const struct rfs_qcow2_census *c,
		      const char *what, uint64_t off)
{
	const char *name = rfs_reader_name(q->file);

	if (c->partial)
		rfs_notes_add(q->notes,
			      "%s: the %s table at %" PRIu64
			      " reads as zeros; whether it should cannot be "
			      "told, as other tables cannot all be read",
			      name, what, off);
	else if (c->orphans)
		rfs_notes_add(q->notes,
			      "%s: suspect: the %s table at %" PRIu64
			      " reads as zeros, but %" PRIu64
			      " clusters (from %" PRIu64
			      " on) are in use and no table claims them",
			      name, what, off, c->orphans, c->first_orphan);
}

static void conclude(struct rfs_qcow2 *q, const struct rfs_qcow2_census *c)
{
	size_t n = rfs_qcow2_min(c->zeros, RFS_QCOW2_NOTED_TABLES);

	if (q->l1_zero)
		note_zero(q, c, "L1", q->header.l1_off);
	for (size_t i = 0; i < n; i++)
		note_zero(q, c, "L2", c->zero_at[i]);
	if (c->zeros > n && (c->partial || c->orphans))
		rfs_notes_add(q->notes,
			      "%s: suspect: %zu more L2 tables read as zeros",
			      rfs_reader_name(q->file), c->zeros - n);
}

bool rfs_qcow2_suspect(struct rfs_qcow2 *q)
{
	const struct rfs_qcow2_census *c;

	/* Version 1 has no refcounts. */
	if (q->header.version == 1)
		return false;
	c = rfs_qcow2_census_try(q);
	if (!c)
		return false;
	if (!atomic_flag_test_and_set(&q->suspected))
		conclude(q, c);
	return c->orphans && !c->partial;
}
