// SPDX-License-Identifier: GPL-3.0-or-later
/* Clusters that two entries claim.
 *
 * One of the two is wrong, and shows another's data.  Who claims what is known
 * only when all tables were read, which no healthy image pays for.  So it is asked
 * only of an image that is damaged: marked corrupt, or with a table of which
 * something cannot be read or makes no sense.  Its tables are then read, once; what
 * was read of it before is not taken back.
 *
 * Both are refused, as nothing in the image says which of them is right.  But an
 * L2 table that is in use, and all of whose entries make sense, is one: then who
 * takes it for data is wrong.
 */
#include "readers/qcow2_census.h"

#define ANY_L1 (RFS_QCOW2_BY_L1 | RFS_QCOW2_BY_L1_TWICE)

/* NULL: they are not known, or need not be. */
static const struct rfs_qcow2_census *claims_of(struct rfs_qcow2 *q)
{
	if (q->header.version == 1 ||
	    !atomic_load_explicit(&q->is_doubted, memory_order_relaxed))
		return rfs_qcow2_census_known(q);
	return rfs_qcow2_census_try(q);
}

bool rfs_qcow2_is_table_contested(struct rfs_qcow2 *q, uint64_t off)
{
	const struct rfs_qcow2_census *c = claims_of(q);
	uint64_t i = off >> q->cluster_bits;
	unsigned int by, others = RFS_QCOW2_BY_META | RFS_QCOW2_BY_L2 |
				  RFS_QCOW2_BY_PACKED;

	if (!c || i >= c->clusters)
		return false;
	by = c->by[i];
	return by & RFS_QCOW2_BY_L1_TWICE ||
	       (by & RFS_QCOW2_BY_ODD_L1 && by & others);
}

bool rfs_qcow2_is_contested(struct rfs_qcow2 *q,
			    const struct rfs_qcow2_entry *entry)
{
	bool is_packed = entry->kind == RFS_QCOW2_PACKED;
	unsigned int others = RFS_QCOW2_BY_META | ANY_L1;
	const struct rfs_qcow2_census *c;
	uint64_t last = entry->host;

	if (!entry->host || q->has_data_file || entry->kind > RFS_QCOW2_PACKED)
		return false;
	c = claims_of(q);
	if (!c)
		return false;
	others |= is_packed ? RFS_QCOW2_BY_L2
			    : RFS_QCOW2_BY_L2_TWICE | RFS_QCOW2_BY_PACKED;
	if (is_packed) {
		last += entry->packed - 1;
		if (rfs_qcow2_is_overlapping(&c->packed, entry->host))
			return true;
	}
	for (uint64_t i = entry->host >> q->cluster_bits;
	     i <= last >> q->cluster_bits && i < c->clusters; i++)
		if (c->by[i] & others)
			return true;
	return false;
}
