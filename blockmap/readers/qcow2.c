// SPDX-License-Identifier: GPL-3.0-or-later
/* A qcow2 image as a reader: opening, and the table of functions. */
#include "readers/qcow2_heal.h"

#include <errno.h>
#include <inttypes.h>

#include "readers/readers.h"

/* Adds what is bad of a run; -EIO. */
static int run_bad(struct rfs_ranges *bad, struct rfs_range guest,
		   struct rfs_error *err)
{
	if (rfs_ranges_add(bad, guest) < 0)
		return rfs_no_memory(err);
	return -EIO;
}

/* Reads 'guest' of the disk from 'off' on of another reader.  'bad' is told in
 * the disk's offsets. */
static int read_there(struct rfs_reader *rd, uint64_t off,
		      struct rfs_range guest, uint8_t *buf,
		      struct rfs_ranges *bad, struct rfs_error *err)
{
	struct rfs_ranges there = { 0 };
	int r = rfs_reader_read(rd, rfs_range(off, guest.len), buf, &there,
				err);

	for (size_t i = 0; rfs_read_is_partial(r) && i < there.count; i++) {
		there.items[i].off = there.items[i].off - off + guest.off;
		if (rfs_ranges_add(bad, there.items[i]) < 0)
			r = rfs_no_memory(err);
	}
	rfs_ranges_fini(&there);
	return r;
}

/* The part of the run that its reader has; the rest lies past its end. */
static uint64_t run_within(const struct rfs_qcow2_run *run,
			   const struct rfs_reader *rd, uint64_t off)
{
	uint64_t size = rfs_reader_size(rd);

	return off < size ? rfs_qcow2_min(run->guest.len, size - off) : 0;
}

/* Where stored clusters are; NULL where the data file is missing. */
static struct rfs_reader *storage(const struct rfs_qcow2 *q)
{
	return q->has_data_file ? q->data : q->file;
}

/* Past the end of a truncated file nothing is known; zeros would be a guess. */
int rfs_qcow2_stored_read(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
			  uint8_t *buf, struct rfs_ranges *bad,
			  struct rfs_error *err)
{
	struct rfs_reader *rd = storage(q);
	struct rfs_range rest = run->guest;
	uint64_t len;
	int r = 0;

	if (!rd) {
		rfs_fail(err, EIO, "%s: its data file is missing",
			 rfs_reader_name(q->file));
		return run_bad(bad, run->guest, err);
	}
	len = run_within(run, rd, run->host);
	if (len)
		r = read_there(rd, run->host, rfs_range(run->guest.off, len),
			       buf, bad, err);
	if ((r < 0 && !rfs_read_is_partial(r)) || len == run->guest.len)
		return r;
	rest.off += len;
	rest.len -= len;
	if (!r)
		rfs_fail(err, EIO, "%s: ends at %" PRIu64 ", before its data",
			 rfs_reader_name(rd), rfs_reader_size(rd));
	return rfs_read_worse(r, run_bad(bad, rest, err));
}

static int read_backing(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
			uint8_t *buf, struct rfs_ranges *bad,
			struct rfs_error *err)
{
	struct rfs_range guest = run->guest;

	if (q->has_backing && !q->backing) {
		rfs_fail(err, EIO, "%s: its backing file is missing",
			 rfs_reader_name(q->file));
		return run_bad(bad, guest, err);
	}
	guest.len = q->has_backing ? run_within(run, q->backing, guest.off) : 0;
	memset(buf + guest.len, 0, run->guest.len - guest.len);
	if (!guest.len)
		return 0;
	return read_there(q->backing, guest.off, guest, buf, bad, err);
}

static int read_nothing(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
			struct rfs_ranges *bad, struct rfs_error *err)
{
	bool late = run->kind == RFS_QCOW2_LATE;
	const char *why = "cannot be read";
	int r;

	if (run->kind == RFS_QCOW2_INVALID)
		why = "makes no sense";
	rfs_fail(err, EIO,
		 "%s: the table entry for the %" PRIu64 " bytes at %" PRIu64
		 " %s",
		 rfs_reader_name(q->file), run->guest.len, run->guest.off,
		 late ? "was not read in time" : why);
	r = run_bad(bad, run->guest, err);
	return r == -EIO && late ? -ETIMEDOUT : r;
}

static int read_run(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
		    uint8_t *buf, struct rfs_ranges *bad, struct rfs_error *err)
{
	switch (run->kind) {
	case RFS_QCOW2_STORED:
		if (q->cipher)
			return rfs_qcow2_sealed_read(q, run, buf, bad, err);
		return rfs_qcow2_stored_read(q, run, buf, bad, err);
	case RFS_QCOW2_UNALLOCATED:
		return read_backing(q, run, buf, bad, err);
	case RFS_QCOW2_PACKED:
		return rfs_qcow2_packed_read(q, run, buf, bad, err);
	case RFS_QCOW2_ZERO:
		memset(buf, 0, run->guest.len);
		return 0;
	default:
		return read_nothing(q, run, bad, err);
	}
}

/* What could not be read of the run is in 'bad', also where its reader does not
 * tell which bytes of it. */
static int read_whole_run(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
			  uint8_t *buf, struct rfs_ranges *bad,
			  struct rfs_error *err)
{
	uint64_t before = rfs_ranges_total(bad);
	int r = read_run(q, run, buf, bad, err);

	if (rfs_read_is_partial(r) && rfs_ranges_total(bad) == before &&
	    rfs_ranges_add(bad, run->guest) < 0)
		return rfs_no_memory(err);
	return r;
}

static struct rfs_qcow2_walk begin(struct rfs_qcow2 *q, struct rfs_range range,
				   const struct rfs_qcow2_healer *healer)
{
	return (struct rfs_qcow2_walk){ .q = q,
					.pos = range.off,
					.end = rfs_range_end(range),
					.healer = healer };
}

int rfs_qcow2_read_as(struct rfs_qcow2 *q,
		      const struct rfs_qcow2_healer *healer,
		      struct rfs_range range, void *buf, struct rfs_ranges *bad,
		      struct rfs_error *err)
{
	struct rfs_qcow2_walk walk = begin(q, range, healer);
	struct rfs_qcow2_run run = { .guest.len = 1 };
	int r, worst = 0;

	/* The text tells of the first failure. */
	while (!(r = rfs_qcow2_walk_next(&walk, &run, worst ? NULL : err)) &&
	       run.guest.len) {
		r = read_whole_run(q, &run,
				   (uint8_t *)buf + (run.guest.off - range.off),
				   bad, worst ? NULL : err);
		if (r < 0 && !rfs_read_is_partial(r))
			break;
		worst = rfs_read_worse(worst, r);
		r = 0;
	}
	rfs_qcow2_walk_fini(&walk);
	return r < 0 ? r : worst;
}

static int qcow2_read(void *state, struct rfs_range range, void *buf,
		      struct rfs_ranges *bad, struct rfs_error *err)
{
	return rfs_qcow2_read_as(state, NULL, range, buf, bad, err);
}

static int add(struct rfs_extents *out, struct rfs_range range,
	       enum rfs_content content, struct rfs_error *err)
{
	if (rfs_extents_add(out, range, content) < 0)
		return rfs_no_memory(err);
	return 0;
}

/* The data file is asked, the image is not: what it stores is data. */
static int extents_stored(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
			  struct rfs_extents *out, struct rfs_error *err)
{
	struct rfs_reader *rd = storage(q);
	uint64_t len = rd ? run_within(run, rd, run->host) : 0;
	struct rfs_range guest = rfs_range(run->guest.off, len);
	int r;

	/* In a data file the offsets are the disk's. */
	if (q->has_data_file && len)
		r = rfs_reader_extents(rd, guest, out, err);
	else
		r = add(out, guest, RFS_DATA, err);
	if (r < 0)
		return r;
	return add(
		out,
		rfs_range_to(rfs_range_end(guest), rfs_range_end(run->guest)),
		RFS_UNKNOWN, err);
}

static int extents_backing(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
			   struct rfs_extents *out, struct rfs_error *err)
{
	struct rfs_range guest = run->guest;
	int r;

	if (q->has_backing && !q->backing)
		return add(out, guest, RFS_UNKNOWN, err);
	guest.len = q->has_backing ? run_within(run, q->backing, guest.off) : 0;
	if (guest.len) {
		r = rfs_reader_extents(q->backing, guest, out, err);
		if (r < 0)
			return r;
	}
	return add(
		out,
		rfs_range_to(rfs_range_end(guest), rfs_range_end(run->guest)),
		RFS_HOLE, err);
}

static int extents_run(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
		       struct rfs_extents *out, struct rfs_error *err)
{
	/* Unknown is not empty (P3): such zeros are no hole. */
	if (run->is_suspect && run->kind < RFS_QCOW2_UNKNOWN)
		return add(out, run->guest, RFS_DATA, err);
	switch (run->kind) {
	case RFS_QCOW2_STORED:
		return extents_stored(q, run, out, err);
	case RFS_QCOW2_UNALLOCATED:
		return extents_backing(q, run, out, err);
	case RFS_QCOW2_PACKED:
		return add(out, run->guest, RFS_DATA, err);
	case RFS_QCOW2_ZERO:
		return add(out, run->guest, RFS_HOLE, err);
	default:
		return add(out, run->guest, RFS_UNKNOWN, err);
	}
}

int rfs_qcow2_extents_as(struct rfs_qcow2 *q,
			 const struct rfs_qcow2_healer *healer,
			 struct rfs_range range, struct rfs_extents *out,
			 struct rfs_error *err)
{
	struct rfs_qcow2_walk walk = begin(q, range, healer);
	struct rfs_qcow2_run run;
	int r;

	while (!(r = rfs_qcow2_walk_next(&walk, &run, err)) && run.guest.len) {
		r = extents_run(q, &run, out, err);
		if (r < 0)
			break;
	}
	rfs_qcow2_walk_fini(&walk);
	return r;
}

static int qcow2_extents(void *state, struct rfs_range range,
			 struct rfs_extents *out, struct rfs_error *err)
{
	return rfs_qcow2_extents_as(state, NULL, range, out, err);
}

static int add_trace(struct rfs_trace *out, struct rfs_range range,
		     const struct rfs_origin *origin, struct rfs_error *err)
{
	if (rfs_trace_add(out, range, origin) < 0)
		return rfs_no_memory(err);
	return 0;
}

/* Traces 'guest' of the disk, which lies from 'off' on in another reader. */
static int trace_there(struct rfs_reader *rd, uint64_t off,
		       struct rfs_range guest, struct rfs_trace *out,
		       struct rfs_error *err)
{
	struct rfs_trace there = { 0 };
	int r = rfs_reader_trace(rd, rfs_range(off, guest.len), &there, err);

	for (size_t i = 0; !r && i < there.count; i++) {
		there.items[i].range.off += guest.off - off;
		if (rfs_trace_add_item(out, &there.items[i]) < 0)
			r = rfs_no_memory(err);
	}
	rfs_trace_fini(&there);
	return r;
}

/* A packed cluster is its first byte's: without it there is none of it. */
static int trace_packed(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
			struct rfs_trace *out, struct rfs_error *err)
{
	struct rfs_trace_item item = { 0 };
	struct rfs_trace there = { 0 };
	int r = rfs_reader_trace(q->file, rfs_range(run->host, 1), &there, err);

	if (there.count)
		item = there.items[0];
	item.range = run->guest;
	if (!r && rfs_trace_add_item(out, &item) < 0)
		r = rfs_no_memory(err);
	rfs_trace_fini(&there);
	return r;
}

/* The reader that has a run as it is, and from where on; or NULL. */
static struct rfs_reader *run_home(const struct rfs_qcow2 *q,
				   const struct rfs_qcow2_run *run,
				   uint64_t *ret_off)
{
	*ret_off = run->kind == RFS_QCOW2_STORED ? run->host : run->guest.off;
	if (run->kind == RFS_QCOW2_STORED)
		return storage(q);
	return run->kind == RFS_QCOW2_UNALLOCATED ? q->backing : NULL;
}

static int trace_believed(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
			  struct rfs_trace *out, struct rfs_error *err)
{
	struct rfs_range guest = run->guest;
	struct rfs_reader *rd;
	uint64_t off;
	int r = 0;

	if (run->kind == RFS_QCOW2_PACKED)
		return trace_packed(q, run, out, err);
	rd = run_home(q, run, &off);
	guest.len = rd ? run_within(run, rd, off) : 0;
	if (guest.len)
		r = trace_there(rd, off, guest, out, err);
	if (r < 0)
		return r;
	/* That the rest is zero, or lost, is what the image says. */
	return add_trace(
		out,
		rfs_range_to(rfs_range_end(guest), rfs_range_end(run->guest)),
		rfs_reader_origin(q->file), err);
}

/* What an image's own refcounts deny is suspect by itself. */
static int trace_run(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
		     struct rfs_trace *out, struct rfs_error *err)
{
	struct rfs_trace there = { 0 };
	int r;

	if (!run->is_suspect)
		return trace_believed(q, run, out, err);
	r = trace_believed(q, run, &there, err);
	for (size_t i = 0; i < there.count && r == 0; i++) {
		there.items[i].suspect = rfs_reader_origin(q->file);
		if (rfs_trace_add_item(out, &there.items[i]) < 0)
			r = rfs_no_memory(err);
	}
	rfs_trace_fini(&there);
	return r;
}

int rfs_qcow2_trace_as(struct rfs_qcow2 *q,
		       const struct rfs_qcow2_healer *healer,
		       struct rfs_range range, struct rfs_trace *out,
		       struct rfs_error *err)
{
	struct rfs_qcow2_walk walk = begin(q, range, healer);
	struct rfs_qcow2_run run;
	int r;

	while (!(r = rfs_qcow2_walk_next(&walk, &run, err)) && run.guest.len) {
		r = trace_run(q, &run, out, err);
		if (r < 0)
			break;
	}
	rfs_qcow2_walk_fini(&walk);
	return r;
}

static int qcow2_trace(void *state, struct rfs_range range,
		       struct rfs_trace *out, struct rfs_error *err)
{
	return rfs_qcow2_trace_as(state, NULL, range, out, err);
}

/* 'guest' of the disk lies from 'off' on in another reader. */
static int seats_there(struct rfs_reader *rd, uint64_t off,
		       struct rfs_range guest, struct rfs_seats *out,
		       struct rfs_error *err)
{
	struct rfs_seats there = { 0 };
	int r = rfs_reader_seats(rd, rfs_range(off, guest.len), &there, err);

	for (size_t i = 0; !r && i < there.count; i++) {
		there.items[i].range.off += guest.off - off;
		if (rfs_seats_add(out, there.items[i].range, there.items[i].of,
				  there.items[i].off) < 0)
			r = rfs_no_memory(err);
	}
	rfs_seats_fini(&there);
	return r;
}

static int seats_run(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
		     struct rfs_seats *out, struct rfs_error *err)
{
	struct rfs_range guest = run->guest, rest;
	struct rfs_reader *rd;
	uint64_t off;
	int r = 0;

	/* What it has is not what it reads as. */
	rd = q->cipher && run->kind == RFS_QCOW2_STORED
		     ? NULL
		     : run_home(q, run, &off);
	guest.len = rd ? run_within(run, rd, off) : 0;
	rest = rfs_range_to(rfs_range_end(guest), rfs_range_end(run->guest));
	if (guest.len)
		r = seats_there(rd, off, guest, out, err);
	if (r == 0 && rfs_seats_add(out, rest, NULL, 0) < 0)
		r = rfs_no_memory(err);
	return r;
}

static int qcow2_seats(void *state, struct rfs_range range,
		       struct rfs_seats *out, struct rfs_error *err)
{
	struct rfs_qcow2_walk walk = begin(state, range, NULL);
	struct rfs_qcow2_run run;
	int r;

	while (!(r = rfs_qcow2_walk_next(&walk, &run, err)) && run.guest.len) {
		r = seats_run(state, &run, out, err);
		if (r < 0)
			break;
	}
	rfs_qcow2_walk_fini(&walk);
	return r;
}

static int pieces_run(struct rfs_qcow2 *q, const struct rfs_qcow2_run *run,
		      struct rfs_pieces *out)
{
	struct rfs_reader *rd;
	uint64_t off;

	/* What it has is not what it reads as. */
	if (q->cipher && run->kind == RFS_QCOW2_STORED)
		return -ENOTSUP;
	rd = run_home(q, run, &off);
	if (!rd || run_within(run, rd, off) < run->guest.len)
		return -ENOTSUP;
	return rfs_reader_pieces(rd, rfs_range(off, run->guest.len), out);
}

static int qcow2_pieces(void *state, struct rfs_range range,
			struct rfs_pieces *out)
{
	struct rfs_qcow2_walk walk = begin(state, range, NULL);
	struct rfs_qcow2_run run;
	int r;

	while (!(r = rfs_qcow2_walk_next(&walk, &run, NULL)) && run.guest.len) {
		r = pieces_run(state, &run, out);
		if (r < 0)
			break;
	}
	rfs_qcow2_walk_fini(&walk);
	return r;
}

static uint64_t qcow2_allocated(void *state)
{
	struct rfs_qcow2 *q = state;
	uint64_t n = rfs_reader_allocated(q->file);

	if (q->backing)
		n += rfs_reader_allocated(q->backing);
	if (q->data)
		n += rfs_reader_allocated(q->data);
	return n;
}

/* The L1 table stays as it was read: others hold it without a lock. */
static int qcow2_renew(void *state, struct rfs_error *err)
{
	struct rfs_qcow2 *q = state;
	int r = rfs_reader_renew(q->file, err);

	if (r == 0 && q->backing)
		r = rfs_reader_renew(q->backing, err);
	if (r == 0 && q->data)
		r = rfs_reader_renew(q->data, err);
	rfs_qcow2_cache_renew(&q->cache);
	rfs_qcow2_shelf_clear(&q->shelf);
	return r;
}

static void qcow2_close(void *state)
{
	struct rfs_qcow2 *q = state;

	rfs_qcow2_cache_fini(&q->cache);
	rfs_qcow2_shelf_fini(&q->shelf);
	rfs_qcow2_cipher_free(q->cipher);
	rfs_qcow2_census_free(atomic_load(&q->census));
	pthread_cond_destroy(&q->counted);
	pthread_mutex_destroy(&q->counting);
	rfs_qcow2_table_fini(&q->l1);
	rfs_reader_unref(q->file);
	rfs_reader_unref(q->backing);
	rfs_reader_unref(q->data);
	free(q);
}

static const struct rfs_reader_ops qcow2_ops = {
	.kind = "qcow2",
	.read = qcow2_read,
	.extents = qcow2_extents,
	.trace = qcow2_trace,
	.spots = rfs_qcow2_spots,
	.tables = rfs_qcow2_tables,
	.seats = qcow2_seats,
	.pieces = qcow2_pieces,
	.allocated = qcow2_allocated,
	.renew = qcow2_renew,
	.close = qcow2_close,
};

struct rfs_qcow2 *rfs_qcow2_of(struct rfs_reader *image)
{
	return rfs_reader_state(image, &qcow2_ops);
}

static void note_header(const struct rfs_qcow2 *q)
{
	const struct rfs_qcow2_header *h = &q->header;
	const char *name = rfs_reader_name(q->file);

	if (h->incompatible & RFS_QCOW2_DIRTY)
		rfs_notes_add(q->notes, "%s: marked dirty: it was not closed",
			      name);
	if (h->incompatible & RFS_QCOW2_CORRUPT)
		rfs_notes_add(q->notes, "%s: marked corrupt: read all the same",
			      name);
	if (h->packing_odd)
		rfs_notes_add(q->notes,
			      "%s: the header contradicts itself on how "
			      "clusters are compressed: taken for %s",
			      name, h->packing ? "zstd" : "zlib");
	if (h->extensions_lost)
		rfs_notes_add(q->notes,
			      "%s: the header extensions are damaged: names "
			      "in them may be lost",
			      name);
	if (q->has_backing && !q->backing)
		rfs_notes_add(q->notes,
			      "%s: its backing file is missing: what is only "
			      "there is unreadable",
			      name);
	if (q->has_data_file && !q->data)
		rfs_notes_add(q->notes,
			      "%s: its data file is missing: all data is "
			      "unreadable",
			      name);
}

static int load_l1(struct rfs_qcow2 *q, struct rfs_error *err)
{
	const struct rfs_qcow2_header *h = &q->header;
	uint64_t entries = (h->size >> q->span_bits) + 1;
	size_t len = q->l1_skew + 8 * rfs_qcow2_min(entries, h->l1_entries);
	const char *name = rfs_reader_name(q->file);
	int r;

	r = rfs_qcow2_table_load(q->file, h->l1_off - q->l1_skew, len, &q->l1,
				 err);
	if (r < 0)
		return rfs_context(err, r, "%s: L1 table", name);
	if (q->l1.late)
		return rfs_fail(err, ETIMEDOUT,
				"%s: the L1 table at %" PRIu64
				" was not read in time",
				name, h->l1_off);
	if (q->l1.lost || q->l1.len < len ||
	    h->incompatible & RFS_QCOW2_CORRUPT)
		rfs_qcow2_doubt(q);
	if (q->l1.lost)
		rfs_notes_add(q->notes,
			      "%s: %zu sectors of the L1 table at %" PRIu64
			      " cannot be read, nor what they map",
			      name, rfs_qcow2_table_lost(&q->l1), h->l1_off);
	if (q->l1.len < len)
		rfs_notes_add(q->notes,
			      "%s: the L1 table at %" PRIu64
			      " is cut off by the end of the file",
			      name, h->l1_off);
	q->l1_zero = rfs_qcow2_table_is_zero(&q->l1);
	return 0;
}

/* What follows from the header. */
static void derive(struct rfs_qcow2 *q)
{
	const struct rfs_qcow2_header *h = &q->header;

	q->extended = h->incompatible & RFS_QCOW2_EXTENDED_L2;
	q->has_data_file = h->incompatible & RFS_QCOW2_DATA_FILE;
	q->data_raw = q->has_data_file && h->autoclear & RFS_QCOW2_DATA_RAW;
	q->has_backing = h->backing_len;
	q->cluster_bits = h->cluster_bits;
	q->cluster_size = 1ull << h->cluster_bits;
	q->entry_size = q->extended ? 16 : 8;
	q->span_bits = h->cluster_bits + h->l2_bits;
	q->l2_size = (uint64_t)q->entry_size << h->l2_bits;
	q->l1_skew = h->version == 1 ? h->l1_off % RFS_SECTOR : 0;
	q->file_size = rfs_reader_size(q->file);
}

static int unlock(struct rfs_qcow2 *q, const char *password,
		  struct rfs_error *err)
{
	const char *name = rfs_reader_name(q->file);

	if (q->header.crypt == RFS_QCOW2_PLAIN)
		return 0;
	if (q->header.crypt == RFS_QCOW2_LUKS)
		return rfs_fail(err, ENOTSUP,
				"%s: encrypted with LUKS, which qemu-nbd "
				"reads: say 'format = qcow2-luks' and the "
				"password in a [disk] section of the site file",
				name);
	if (!password)
		return rfs_fail(err, ENOTSUP,
				"%s: encrypted with AES: say 'password_file', "
				"or 'password = ask', in a [disk] section of "
				"the site file",
				name);
	rfs_notes_add(q->notes,
		      "%s: encrypted with AES, which has nothing to tell a "
		      "wrong password by: with one, all it gives is nonsense",
		      name);
	return rfs_qcow2_cipher_new(password, q->header.size, &q->cipher, err);
}

bool rfs_qcow2_can_heal(struct rfs_reader *image)
{
	struct rfs_qcow2 *q = rfs_qcow2_of(image);

	return q && q->header.version > 1;
}

static int init(struct rfs_qcow2 *q, const struct rfs_qcow2_parts *parts,
		struct rfs_error *err)
{
	int r;

	q->file = rfs_reader_ref(parts->file);
	q->notes = parts->notes;
	rfs_qcow2_shelf_init(&q->shelf);
	pthread_mutex_init(&q->counting, NULL);
	pthread_cond_init(&q->counted, NULL);
	r = rfs_qcow2_header_read(parts->header ? parts->header : q->file,
				  &q->header, err);
	if (r < 0)
		return r;
	/* What it says of its own cluster is said of another file's. */
	q->is_borrowed = parts->header;
	if (q->is_borrowed)
		q->header.bitmaps = q->header.features = rfs_range(0, 0);
	derive(q);
	if (q->has_backing && parts->backing)
		q->backing = rfs_reader_ref(parts->backing);
	if (q->has_data_file && parts->data)
		q->data = rfs_reader_ref(parts->data);
	if (rfs_qcow2_cache_init(&q->cache, q->l2_size) < 0)
		return rfs_no_memory(err);
	r = unlock(q, parts->password, err);
	if (r < 0)
		return r;
	note_header(q);
	return load_l1(q, err);
}

int rfs_qcow2_open(const struct rfs_qcow2_parts *parts, struct rfs_reader **ret,
		   struct rfs_error *err)
{
	struct rfs_qcow2 *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return rfs_no_memory(err);
	r = init(q, parts, err);
	if (r < 0) {
		qcow2_close(q);
		return r;
	}
	return rfs_reader_new(&qcow2_ops, q, q->header.size,
			      rfs_reader_name(q->file),
			      rfs_reader_origin(q->file), ret, err);
}
