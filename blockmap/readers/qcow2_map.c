// SPDX-License-Identifier: GPL-3.0-or-later
/* From a range of the disk to runs: bytes that lie together. */
#include "readers/qcow2.h"

#define SUBCLUSTERS_BITS 5

static enum rfs_qcow2_kind subcluster_kind(const struct rfs_qcow2_entry *e,
					   uint64_t index)
{
	if (e->stored >> index & 1)
		return RFS_QCOW2_STORED;
	return e->zero >> index & 1 ? RFS_QCOW2_ZERO : RFS_QCOW2_UNALLOCATED;
}

/* The subclusters alike from run->guest.off on.  'e' is no packed cluster. */
static void cut_subclusters(const struct rfs_qcow2 *q,
			    const struct rfs_qcow2_entry *e,
			    struct rfs_qcow2_run *run)
{
	uint32_t bits = q->cluster_bits - SUBCLUSTERS_BITS;
	uint64_t in = run->guest.off & (q->cluster_size - 1);
	uint64_t first = in >> bits, next = first + 1;

	run->kind = subcluster_kind(e, first);
	while (next < 1u << SUBCLUSTERS_BITS &&
	       subcluster_kind(e, next) == run->kind)
		next++;
	run->guest.len = (next << bits) - in;
}

/* The run's part within one cluster. */
static void map_cluster(struct rfs_qcow2 *q, const struct rfs_qcow2_table *l2,
			struct rfs_qcow2_run *run)
{
	struct rfs_qcow2_entry e = rfs_qcow2_l2_entry(q, l2, run->guest.off);
	uint64_t in = run->guest.off & (q->cluster_size - 1);

	run->kind = e.kind;
	run->guest.len = q->cluster_size - in;
	run->packed = e.packed;
	if (q->extended &&
	    (e.kind == RFS_QCOW2_STORED || e.kind == RFS_QCOW2_UNALLOCATED))
		cut_subclusters(q, &e, run);
	run->host = run->kind == RFS_QCOW2_STORED ? e.host + in : e.host;
}

static int use_l2(struct rfs_qcow2_walk *walk, uint64_t off,
		  struct rfs_error *err)
{
	if (walk->l2 && walk->l2->off == off)
		return 0;
	if (walk->l2)
		rfs_qcow2_l2_put(walk->q, walk->l2);
	walk->l2 = NULL;
	return rfs_qcow2_l2_get(walk->q, off, &walk->l2, err);
}

/* The next step of the walk: at most one cluster, or all that one L1 entry
 * maps where it has no table. */
static int step(struct rfs_qcow2_walk *walk, struct rfs_qcow2_run *run,
		struct rfs_error *err)
{
	struct rfs_qcow2 *q = walk->q;
	uint64_t span = 1ull << q->span_bits, off = 0;
	int r;

	*run = (struct rfs_qcow2_run){ .guest.off = walk->pos };
	if (walk->pos >= walk->end)
		return 0;
	run->kind = rfs_qcow2_l1_entry(q, walk->pos >> q->span_bits, &off);
	if (run->kind == RFS_QCOW2_STORED) {
		r = use_l2(walk, off, err);
		if (r < 0)
			return r;
		map_cluster(q, &walk->l2->table, run);
	} else {
		run->guest.len = span - (walk->pos & (span - 1));
	}
	/* The data file of such an image is the disk, whatever tables say. */
	if (q->data_raw && run->kind >= RFS_QCOW2_UNKNOWN) {
		run->kind = RFS_QCOW2_STORED;
		run->host = walk->pos;
	}
	run->guest.len = rfs_qcow2_min(run->guest.len, walk->end - walk->pos);
	walk->pos += run->guest.len;
	return 0;
}

static bool joins(const struct rfs_qcow2_run *a, const struct rfs_qcow2_run *b)
{
	if (a->kind != b->kind || a->kind == RFS_QCOW2_PACKED)
		return false;
	return a->kind != RFS_QCOW2_STORED || a->host + a->guest.len == b->host;
}

int rfs_qcow2_walk_next(struct rfs_qcow2_walk *walk, struct rfs_qcow2_run *ret,
			struct rfs_error *err)
{
	struct rfs_qcow2_run run = walk->ahead;
	int r = 0;

	if (!run.guest.len)
		r = step(walk, &run, err);
	walk->ahead.guest.len = 0;
	while (!r && run.guest.len) {
		r = step(walk, &walk->ahead, err);
		if (r < 0 || !walk->ahead.guest.len ||
		    !joins(&run, &walk->ahead))
			break;
		run.guest.len += walk->ahead.guest.len;
	}
	if (!r)
		*ret = run;
	return r;
}

void rfs_qcow2_walk_fini(struct rfs_qcow2_walk *walk)
{
	if (walk->l2)
		rfs_qcow2_l2_put(walk->q, walk->l2);
	walk->l2 = NULL;
}
