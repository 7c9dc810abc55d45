// SPDX-License-Identifier: GPL-3.0-or-later
/* Where in the image file, and in those below, the bytes of a disk lie: for
 * whoever reads the file in an order of its own. */
#include "readers/qcow2.h"

/* A refcount table larger than this is not looked into: it maps more than any
 * file could hold. */
#define REFTABLE_MAX (8u << 20)

static int add(struct rfs_reader *rd, struct rfs_range range,
	       struct rfs_spots *out, struct rfs_error *err)
{
	range = rfs_range_cut(range, rfs_range(0, rfs_reader_size(rd)));
	return rfs_reader_spots(rd, range, out, err);
}

static int spots_run(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
		     struct rfs_spots *out, struct rfs_error *err)
{
	struct rfs_reader *storage = q->has_data_file ? q->data : q->file;

	switch (run->kind) {
	case RFS_QCOW2_STORED:
		return storage ? add(storage,
				     rfs_range(run->host, run->guest.len), out,
				     err)
			       : 0;
	case RFS_QCOW2_PACKED:
		return add(q->file, rfs_range(run->host, run->packed), out,
			   err);
	case RFS_QCOW2_UNALLOCATED:
		return q->backing ? add(q->backing, run->guest, out, err) : 0;
	default:
		return 0;
	}
}

int rfs_qcow2_spots(void *state, struct rfs_range range, struct rfs_spots *out,
		    struct rfs_error *err)
{
	struct rfs_qcow2_walk walk = { .q = state,
				       .pos = range.off,
				       .end = rfs_range_end(range) };
	struct rfs_qcow2_run run;
	int r;

	while (!(r = rfs_qcow2_walk_next(&walk, &run, err)) && run.guest.len) {
		r = spots_run(state, &run, out, err);
		if (r < 0)
			break;
	}
	rfs_qcow2_walk_fini(&walk);
	return r;
}

static int add_l2(struct rfs_qcow2 *q, struct rfs_spots *out,
		  struct rfs_error *err)
{
	uint64_t n = q->l1.len / 8, off;
	int r = 0;

	for (uint64_t i = 0; i < n && r == 0; i++)
		if (rfs_qcow2_l1_entry(q, i, &off) == RFS_QCOW2_STORED)
			r = add(q->file, rfs_range(off, q->l2_size), out, err);
	return r;
}

/* No read needs them: they are for whoever repairs the image. */
static int add_refcounts(struct rfs_qcow2 *q, struct rfs_spots *out,
			 struct rfs_error *err)
{
	const struct rfs_qcow2_header *h = &q->header;
	uint64_t len = (uint64_t)h->refcounts_clusters << q->cluster_bits;
	struct rfs_qcow2_table table;
	uint64_t entry;
	int r;

	if (h->version == 1 || !len || len > REFTABLE_MAX ||
	    h->refcounts_off % RFS_SECTOR || h->refcounts_off >= q->file_size)
		return 0;
	r = add(q->file, rfs_range(h->refcounts_off, len), out, err);
	if (r == 0)
		r = rfs_qcow2_table_load(q->file, h->refcounts_off, len, &table,
					 err);
	if (r < 0)
		return r;
	for (uint64_t at = 0; at + 8 <= table.len && r == 0; at += 8)
		if (rfs_qcow2_table_get(&table, at, &entry) && entry &&
		    entry < q->file_size && entry % RFS_SECTOR == 0)
			r = add(q->file, rfs_range(entry, q->cluster_size), out,
				err);
	rfs_qcow2_table_fini(&table);
	return r;
}

int rfs_qcow2_tables(void *state, struct rfs_spots *out, struct rfs_error *err)
{
	struct rfs_qcow2 *q = state;
	int r = add(q->file, rfs_range(0, q->cluster_size), out, err);

	if (r == 0)
		r = add(q->file, rfs_range(q->l1.off, q->l1.len), out, err);
	if (r == 0)
		r = add_l2(q, out, err);
	if (r == 0)
		r = add_refcounts(q, out, err);
	if (r == 0 && q->backing)
		r = rfs_reader_tables(q->backing, out, err);
	if (r == 0 && q->data)
		r = rfs_reader_tables(q->data, out, err);
	return r;
}
