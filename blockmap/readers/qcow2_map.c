// SPDX-License-Identifier: GPL-3.0-or-later
/* From a range of the disk to runs: bytes that lie together. */
#include "readers/qcow2_heal.h"

#include <errno.h>

#define SUBCLUSTERS_BITS 5

static enum rfs_qcow2_kind subcluster_kind(const struct rfs_qcow2_entry *e,
					   uint64_t index)
{
	if (e->stored >> index & 1)
		return RFS_QCOW2_STORED;
	if (e->is_healed)
		return RFS_QCOW2_UNKNOWN;
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
static void map_cluster(const struct rfs_qcow2 *q,
			const struct rfs_qcow2_entry *e,
			struct rfs_qcow2_run *run)
{
	uint64_t in = run->guest.off & (q->cluster_size - 1);

	run->kind = e->kind;
	run->guest.len = q->cluster_size - in;
	run->packed = e->packed;
	if (q->extended &&
	    (e->kind == RFS_QCOW2_STORED || e->kind == RFS_QCOW2_UNALLOCATED))
		cut_subclusters(q, e, run);
	run->host = run->kind == RFS_QCOW2_STORED ? e->host + in : e->host;
}

static int use_l2(struct rfs_qcow2_walk *walk, uint64_t off,
		  struct rfs_error *err)
{
	if (walk->l2 && walk->l2->off == off)
		return 0;
	if (walk->l2)
		rfs_qcow2_l2_put(walk->l2);
	walk->l2 = NULL;
	return rfs_qcow2_l2_get(walk->q, off, &walk->l2, err);
}

/* Zeros that another copy and the refcounts deny are no answer. */
static bool is_denied(struct rfs_qcow2 *q, uint64_t off, uint64_t index)
{
	return q->healing && rfs_qcow2_denies_zeros(q->healing, off, index);
}

/* Most of a large disk is empty: its entries are passed over, not decoded. */
static void widen(const struct rfs_qcow2_walk *walk, struct rfs_qcow2_run *run)
{
	uint64_t until = rfs_qcow2_l2_same_until(walk->q, &walk->l2->table,
						 run->guest.off, walk->end);

	if (until > rfs_range_end(run->guest))
		run->guest.len = until - run->guest.off;
}

static int map_stored(struct rfs_qcow2_walk *walk, uint64_t off,
		      struct rfs_qcow2_run *run, struct rfs_error *err)
{
	struct rfs_qcow2 *q = walk->q;
	struct rfs_qcow2_entry e;
	int r = use_l2(walk, off, err);

	if (r < 0)
		return r;
	e = rfs_qcow2_l2_entry(q, &walk->l2->table, run->guest.off);
	run->is_suspect = walk->l2->is_zero && rfs_qcow2_suspect(q);
	if ((walk->l2->is_blank && q->is_borrowed) ||
	    (walk->l2->is_zero &&
	     is_denied(q, off, run->guest.off >> q->span_bits)))
		e.kind = RFS_QCOW2_INVALID;
	map_cluster(q, &e, run);
	if (e.kind == RFS_QCOW2_UNALLOCATED || e.kind == RFS_QCOW2_ZERO)
		widen(walk, run);
	return 0;
}

static bool is_lost(enum rfs_qcow2_kind kind)
{
	return kind == RFS_QCOW2_UNKNOWN || kind == RFS_QCOW2_INVALID;
}

/* The same run as the walk's healer sees it, who has nothing of what the image
 * tells by itself; unless its header is another's. */
static int heal(struct rfs_qcow2_walk *walk, struct rfs_qcow2_run *run,
		struct rfs_error *err)
{
	struct rfs_qcow2 *q = walk->q;
	uint64_t in = run->guest.off & (q->cluster_size - 1), len;
	struct rfs_qcow2_entry e;
	int r;

	if (!is_lost(run->kind)) {
		if (!rfs_qcow2_gives_own(walk->healer) &&
		    run->kind != RFS_QCOW2_LATE)
			run->kind = RFS_QCOW2_UNKNOWN;
		return 0;
	}
	r = rfs_qcow2_heal_entry(walk->healer, run->guest.off, &e, &len, err);
	if (r == -ETIMEDOUT)
		e.kind = RFS_QCOW2_LATE;
	else if (r < 0)
		return r;
	if (r < 0 || is_lost(e.kind)) {
		run->kind = e.kind;
		if (!r)
			run->guest.len = len - in;
		return 0;
	}
	map_cluster(q, &e, run);
	return 0;
}

/* The next step of the walk: at most one cluster, or several that are empty, or all
 * that one L1 entry maps where it has no table. */
static int step(struct rfs_qcow2_walk *walk, struct rfs_qcow2_run *run,
		struct rfs_error *err)
{
	struct rfs_qcow2 *q = walk->q;
	uint64_t span = 1ull << q->span_bits, off = 0;
	uint64_t index = walk->pos >> q->span_bits;
	int r = 0;

	*run = (struct rfs_qcow2_run){ .guest.off = walk->pos };
	if (walk->pos >= walk->end)
		return 0;
	run->kind = rfs_qcow2_l1_entry(q, index, &off);
	if (run->kind == RFS_QCOW2_STORED) {
		r = map_stored(walk, off, run, err);
	} else {
		run->guest.len = span - (walk->pos & (span - 1));
		run->is_suspect = q->l1_zero && rfs_qcow2_suspect(q);
		if (q->l1_zero && (q->is_borrowed || is_denied(q, 0, index)))
			run->kind = RFS_QCOW2_INVALID;
	}
	if (!r && walk->healer)
		r = heal(walk, run, err);
	if (r < 0)
		return r;
	/* The data file of such an image is the disk, whatever tables say. */
	if (q->data_raw && run->kind >= RFS_QCOW2_UNKNOWN) {
		run->kind = RFS_QCOW2_STORED;
		run->host = walk->pos;
		run->is_suspect = false;
	}
	run->guest.len = rfs_qcow2_min(run->guest.len, walk->end - walk->pos);
	walk->pos += run->guest.len;
	return 0;
}

static bool joins(const struct rfs_qcow2_run *a, const struct rfs_qcow2_run *b)
{
	if (a->kind != b->kind || a->kind == RFS_QCOW2_PACKED ||
	    a->is_suspect != b->is_suspect)
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
		rfs_qcow2_l2_put(walk->l2);
	walk->l2 = NULL;
}
