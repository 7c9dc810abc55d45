// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/reader.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/vec.h"

struct rfs_reader {
	const struct rfs_reader_ops *ops;
	void *state;
	uint64_t size;
	char *name;
	char *identity; /* or NULL */
	const struct rfs_origin *origin;
	atomic_uint refs;
};

int rfs_trace_add_item(struct rfs_trace *trace,
		       const struct rfs_trace_item *item)
{
	struct rfs_trace_item *last;
	int r;

	if (!item->range.len)
		return 0;
	if (trace->count) {
		last = &trace->items[trace->count - 1];
		if (last->origin == item->origin &&
		    last->suspect == item->suspect &&
		    rfs_range_end(last->range) == item->range.off) {
			last->range.len += item->range.len;
			return 0;
		}
	}
	r = RFS_VEC_ROOM(trace);
	if (r < 0)
		return r;
	trace->items[trace->count++] = *item;
	return 0;
}

int rfs_trace_add(struct rfs_trace *trace, struct rfs_range range,
		  const struct rfs_origin *origin)
{
	const struct rfs_trace_item item = { range, origin, NULL };

	return rfs_trace_add_item(trace, &item);
}

void rfs_trace_fini(struct rfs_trace *trace)
{
	free(trace->items);
	*trace = (struct rfs_trace){ 0 };
}

int rfs_spots_add(struct rfs_spots *spots, struct rfs_reader *bottom,
		  struct rfs_range range)
{
	struct rfs_spot *last;
	int r;

	if (!range.len)
		return 0;
	if (spots->count) {
		last = &spots->items[spots->count - 1];
		if (last->bottom == bottom &&
		    rfs_range_end(last->range) == range.off) {
			last->range.len += range.len;
			return 0;
		}
	}
	r = RFS_VEC_ROOM(spots);
	if (r < 0)
		return r;
	spots->items[spots->count++] = (struct rfs_spot){ bottom, range };
	return 0;
}

void rfs_spots_fini(struct rfs_spots *spots)
{
	free(spots->items);
	*spots = (struct rfs_spots){ 0 };
}

int rfs_reader_new(const struct rfs_reader_ops *ops, void *state, uint64_t size,
		   const char *name, const struct rfs_origin *origin,
		   struct rfs_reader **ret, struct rfs_error *err)
{
	struct rfs_reader *rd = calloc(1, sizeof(*rd));

	if (rd)
		rd->name = strdup(name);
	if (!rd || !rd->name || size > RFS_SIZE_MAX) {
		free(rd ? rd->name : NULL);
		free(rd);
		ops->close(state);
		if (size > RFS_SIZE_MAX)
			return rfs_fail(err, EFBIG,
					"%s: a size of %" PRIu64
					" bytes is more than a file can have",
					name, size);
		return rfs_no_memory(err);
	}
	rd->ops = ops;
	rd->state = state;
	rd->size = size;
	rd->origin = origin;
	atomic_init(&rd->refs, 1);
	*ret = rd;
	return 0;
}

int rfs_reader_identify(struct rfs_reader *rd, const char *identity,
			struct rfs_error *err)
{
	char *copy = strdup(identity);

	if (!copy)
		return rfs_no_memory(err);
	free(rd->identity);
	rd->identity = copy;
	return 0;
}

const char *rfs_reader_identity(const struct rfs_reader *rd)
{
	return rd->identity;
}

struct rfs_reader *rfs_reader_ref(struct rfs_reader *rd)
{
	atomic_fetch_add_explicit(&rd->refs, 1, memory_order_relaxed);
	return rd;
}

struct rfs_reader *rfs_reader_unref(struct rfs_reader *rd)
{
	if (!rd || atomic_fetch_sub(&rd->refs, 1) != 1)
		return NULL;
	rd->ops->close(rd->state);
	free(rd->identity);
	free(rd->name);
	free(rd);
	return NULL;
}

uint64_t rfs_reader_size(const struct rfs_reader *rd)
{
	return rd->size;
}

const char *rfs_reader_name(const struct rfs_reader *rd)
{
	return rd->name;
}

const struct rfs_origin *rfs_reader_origin(const struct rfs_reader *rd)
{
	return rd->origin;
}

uint64_t rfs_reader_allocated(const struct rfs_reader *rd)
{
	uint64_t n = rd->size;

	if (rd->ops->allocated)
		n = rd->ops->allocated(rd->state);
	return n < rd->size ? n : rd->size;
}

void *rfs_reader_state(const struct rfs_reader *rd,
		       const struct rfs_reader_ops *ops)
{
	return rd->ops == ops ? rd->state : NULL;
}

static int check_range(const struct rfs_reader *rd, struct rfs_range range,
		       struct rfs_error *err)
{
	if (rfs_range_fits(range, rd->size))
		return 0;
	return rfs_fail(err, EINVAL,
			"%s: %" PRIu64 " bytes at %" PRIu64
			" asked for, but it has only %" PRIu64,
			rd->name, range.len, range.off, rd->size);
}

int rfs_reader_read(struct rfs_reader *rd, struct rfs_range range, void *buf,
		    struct rfs_ranges *bad, struct rfs_error *err)
{
	struct rfs_ranges mine = { 0 };
	bool tells;
	int r;

	r = check_range(rd, range, err);
	if (r < 0 || !range.len)
		return r;
	r = rd->ops->read(rd->state, range, buf, &mine, err);
	assert(r <= 0);
	if (r == 0 && mine.count)
		r = rfs_fail(err, EIO, "%s: some of it cannot be read",
			     rd->name);
	tells = rfs_read_is_partial(r);
	/* A driver that cannot tell which bytes failed has none of them. */
	if (tells && bad && !mine.count && rfs_ranges_add(bad, range) < 0)
		r = rfs_no_memory(err);
	for (size_t i = 0; i < mine.count && bad && tells; i++)
		if (rfs_ranges_add(bad, mine.items[i]) < 0)
			r = rfs_no_memory(err);
	rfs_ranges_fini(&mine);
	return r;
}

int rfs_reader_extents(struct rfs_reader *rd, struct rfs_range range,
		       struct rfs_extents *out, struct rfs_error *err)
{
	int r;

	r = check_range(rd, range, err);
	if (r < 0 || !range.len)
		return r;
	if (rd->ops->extents)
		return rd->ops->extents(rd->state, range, out, err);
	r = rfs_extents_add(out, range, RFS_DATA);
	return r < 0 ? rfs_no_memory(err) : 0;
}

int rfs_reader_trace(struct rfs_reader *rd, struct rfs_range range,
		     struct rfs_trace *out, struct rfs_error *err)
{
	int r;

	r = check_range(rd, range, err);
	if (r < 0 || !range.len)
		return r;
	if (rd->ops->trace)
		return rd->ops->trace(rd->state, range, out, err);
	r = rfs_trace_add(out, range, rd->origin);
	return r < 0 ? rfs_no_memory(err) : 0;
}

int rfs_reader_spots(struct rfs_reader *rd, struct rfs_range range,
		     struct rfs_spots *out, struct rfs_error *err)
{
	int r;

	r = check_range(rd, range, err);
	if (r < 0 || !range.len)
		return r;
	if (rd->ops->spots)
		return rd->ops->spots(rd->state, range, out, err);
	r = rfs_spots_add(out, rd, range);
	return r < 0 ? rfs_no_memory(err) : 0;
}

int rfs_reader_tables(struct rfs_reader *rd, struct rfs_spots *out,
		      struct rfs_error *err)
{
	return rd->ops->tables ? rd->ops->tables(rd->state, out, err) : 0;
}

/* By the identity, but for what is known not to be as that has it. */
static int seats_by_identity(struct rfs_reader *rd, struct rfs_range range,
			     struct rfs_seats *out)
{
	struct rfs_ranges apart = { 0 };
	struct rfs_range same;
	uint64_t off = range.off;
	int r = 0;

	if (rd->ops->apart)
		r = rd->ops->apart(rd->state, range, &apart);
	for (size_t i = 0; i < apart.count && r == 0; i++) {
		same = rfs_range_to(off, apart.items[i].off);
		r = rfs_seats_add(out, same, rd->identity, same.off);
		if (r == 0)
			r = rfs_seats_add(out, apart.items[i], NULL, 0);
		off = rfs_range_end(apart.items[i]);
	}
	same = rfs_range_to(off, rfs_range_end(range));
	if (r == 0)
		r = rfs_seats_add(out, same, rd->identity, same.off);
	rfs_ranges_fini(&apart);
	return r;
}

int rfs_reader_seats(struct rfs_reader *rd, struct rfs_range range,
		     struct rfs_seats *out, struct rfs_error *err)
{
	int r;

	r = check_range(rd, range, err);
	if (r < 0 || !range.len)
		return r;
	if (!rd->identity && rd->ops->seats)
		return rd->ops->seats(rd->state, range, out, err);
	r = rd->identity ? seats_by_identity(rd, range, out)
			 : rfs_seats_add(out, range, NULL, 0);
	return r < 0 ? rfs_no_memory(err) : 0;
}

int rfs_reader_pieces(struct rfs_reader *rd, struct rfs_range range,
		      struct rfs_pieces *out)
{
	int r = check_range(rd, range, NULL);

	if (r < 0 || !range.len)
		return r;
	return rd->ops->pieces ? rd->ops->pieces(rd->state, range, out)
			       : -ENOTSUP;
}

int rfs_reader_renew(struct rfs_reader *rd, struct rfs_error *err)
{
	return rd->ops->renew ? rd->ops->renew(rd->state, err) : 0;
}
