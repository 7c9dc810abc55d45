/* SPDX-License-Identifier: GPL-3.0-or-later */
/* reader.h - one place that bytes can be read from.
 *
 * A file, a block device, a qcow2 image, a merge of other readers: each looks
 * the same from here, a row of bytes of a fixed size, some of which cannot be
 * read.  Readers stack: a qcow2 reader reads from a reader.  Which of two to
 * believe is the merge's question and never a driver's.
 *
 * Every driver keeps three promises:
 *
 *  - It never writes to its medium (P1).
 *  - Each byte asked for is read, or is reported unreadable.  A byte that
 *    could not be read is never passed off as a zero (P2, P3).
 *  - It may be called from many threads at once, and holds no lock while it
 *    reads from the reader below or from a medium.
 *
 * Call through the rfs_reader_* functions, not through the table: they check
 * the range against the size and see that the promises' forms are kept.
 */
#ifndef RESCUEFS_CORE_READER_H
#define RESCUEFS_CORE_READER_H

#include <stdint.h>

#include "core/error.h"
#include "core/extents.h"
#include "core/pieces.h"
#include "core/range.h"
#include "core/seats.h"

/* Where bytes come from in the end: the copy of a host that holds them.  Owned
 * by the site, outlives every reader. */
struct rfs_origin {
	const char *name; /* "backup" */
};

/* Which origin gave a range; zero it to begin. */
struct rfs_trace_item {
	struct rfs_range range;
	const struct rfs_origin *origin; /* NULL: nobody, it is zero */
	/* Who has other bytes there, though they should be the same, and was
	 * not believed, or the origin itself, where it contradicts itself; NULL:
	 * nobody. */
	const struct rfs_origin *suspect;
};

struct rfs_trace {
	struct rfs_trace_item *items;
	size_t count;
	size_t room;
};

int rfs_trace_add(struct rfs_trace *trace, struct rfs_range range,
		  const struct rfs_origin *origin);
/* The same of a whole item, whose range may be empty. */
int rfs_trace_add_item(struct rfs_trace *trace,
		       const struct rfs_trace_item *item);
void rfs_trace_fini(struct rfs_trace *trace);

/* Where bytes lie in the end: in a reader that stands on no other.  It is not
 * owned, and lives as long as the reader that was asked.  Zero the list to
 * begin. */
struct rfs_spot {
	struct rfs_reader *bottom;
	struct rfs_range range;
};

struct rfs_spots {
	struct rfs_spot *items;
	size_t count;
	size_t room;
};

/* Joined to the last one where they touch.  Returns 0 or -ENOMEM. */
int rfs_spots_add(struct rfs_spots *spots, struct rfs_reader *bottom,
		  struct rfs_range range);
void rfs_spots_fini(struct rfs_spots *spots);

/* What a driver provides. */
struct rfs_reader_ops {
	const char *kind; /* "qcow2", for messages */

	/* Fills 'buf' (range.len bytes).  0: all of it was read.
	 * -EIO: the ranges appended to 'bad' (ascending, inside 'range', as
	 * small as the driver can tell) could not be read, and every other
	 * byte of 'buf' was.  -ETIMEDOUT: the same, but some of those ranges
	 * were not waited for, so that none of them may be remembered as
	 * unreadable.  Any other negative errno: nothing is known.
	 * 'range' is not empty and lies within the size. */
	int (*read)(void *state, struct rfs_range range, void *buf,
		    struct rfs_ranges *bad, struct rfs_error *err);

	/* Optional.  Appends what is known of 'range' without reading data, in
	 * ascending order and without gaps.  NULL: all of it is data. */
	int (*extents)(void *state, struct rfs_range range,
		       struct rfs_extents *out, struct rfs_error *err);

	/* Optional.  Appends who gives the bytes of 'range', ascending and
	 * without gaps, as far as is known without reading data.  NULL: the
	 * reader's own origin. */
	int (*trace)(void *state, struct rfs_range range, struct rfs_trace *out,
		     struct rfs_error *err);

	/* Optional.  Appends where the bytes of 'range' lie, as far as tables
	 * tell, which may be read for it; in no order.  NULL: the reader
	 * stands on no other. */
	int (*spots)(void *state, struct rfs_range range, struct rfs_spots *out,
		     struct rfs_error *err);

	/* Optional.  The same of the tables that a read needs.  NULL: none. */
	int (*tables)(void *state, struct rfs_spots *out,
		      struct rfs_error *err);

	/* Optional.  Appends where the bytes of 'range' lie below, ascending
	 * and without gaps, without reading data.  NULL: it cannot be told,
	 * unless the reader has an identity. */
	int (*seats)(void *state, struct rfs_range range, struct rfs_seats *out,
		     struct rfs_error *err);

	/* Optional.  Appends the pieces of files that the bytes of 'range' are,
	 * of which none is known to be unreadable.  Tables may be read for it.
	 * Any error: it is to be read.  NULL: always. */
	int (*pieces)(void *state, struct rfs_range range,
		      struct rfs_pieces *out);

	/* Optional.  Of a reader with an identity: appends what of 'range' is
	 * known to be other bytes than those of all who have it, ascending.
	 * NULL: nothing. */
	int (*apart)(void *state, struct rfs_range range,
		     struct rfs_ranges *out);

	/* Optional.  Bytes of storage behind it, for st_blocks: an estimate
	 * that reads nothing.  NULL: the size. */
	uint64_t (*allocated)(void *state);

	/* Optional.  The operator ordered another try (refresh): what failed
	 * before may be asked for again, here and in all readers below. */
	int (*renew)(void *state, struct rfs_error *err);

	/* Called once, after the last call on 'state' has returned. */
	void (*close)(void *state);
};

struct rfs_reader;

/* Makes a reader of 'state', which it owns from then on (also on failure:
 * close is called).  'name' says what it is in messages ("bm0002:/var/...")
 * and is copied; 'origin' may be NULL for a reader that mixes several.  The
 * caller gets one reference. */
int rfs_reader_new(const struct rfs_reader_ops *ops, void *state, uint64_t size,
		   const char *name, const struct rfs_origin *origin,
		   struct rfs_reader **ret, struct rfs_error *err);

/* Says whose bytes it has: two readers of one identity have the same bytes,
 * whatever they are asked through.  Copied; said by who opens it, before others
 * know of it.  -ENOMEM. */
int rfs_reader_identify(struct rfs_reader *rd, const char *identity,
			struct rfs_error *err);
/* NULL: none was said. */
const char *rfs_reader_identity(const struct rfs_reader *rd);

/* References are counted atomically; unref accepts NULL and returns NULL. */
struct rfs_reader *rfs_reader_ref(struct rfs_reader *rd);
struct rfs_reader *rfs_reader_unref(struct rfs_reader *rd);

uint64_t rfs_reader_size(const struct rfs_reader *rd);
const char *rfs_reader_name(const struct rfs_reader *rd);
const struct rfs_origin *rfs_reader_origin(const struct rfs_reader *rd);
uint64_t rfs_reader_allocated(const struct rfs_reader *rd);

/* What the driver keeps, if it is this one; else NULL. */
void *rfs_reader_state(const struct rfs_reader *rd,
		       const struct rfs_reader_ops *ops);

/* True where a read tells, in its list, which bytes it could not give. */
static inline bool rfs_read_is_partial(int r)
{
	return r == -EIO || r == -ETIMEDOUT;
}

/* Of two results of that kind, or 0: what both together are. */
static inline int rfs_read_worse(int a, int b)
{
	return a == -ETIMEDOUT || b == 0 ? a : b;
}

/* As the table says.  'bad' may be NULL where it does not matter which bytes
 * failed.  A range beyond the size is -EINVAL; an empty one is 0. */
int rfs_reader_read(struct rfs_reader *rd, struct rfs_range range, void *buf,
		    struct rfs_ranges *bad, struct rfs_error *err);
int rfs_reader_extents(struct rfs_reader *rd, struct rfs_range range,
		       struct rfs_extents *out, struct rfs_error *err);
int rfs_reader_trace(struct rfs_reader *rd, struct rfs_range range,
		     struct rfs_trace *out, struct rfs_error *err);
int rfs_reader_spots(struct rfs_reader *rd, struct rfs_range range,
		     struct rfs_spots *out, struct rfs_error *err);
int rfs_reader_tables(struct rfs_reader *rd, struct rfs_spots *out,
		      struct rfs_error *err);
int rfs_reader_seats(struct rfs_reader *rd, struct rfs_range range,
		     struct rfs_seats *out, struct rfs_error *err);
/* -ENOTSUP, or any other error: the range is to be read. */
int rfs_reader_pieces(struct rfs_reader *rd, struct rfs_range range,
		      struct rfs_pieces *out);
int rfs_reader_renew(struct rfs_reader *rd, struct rfs_error *err);

static inline void rfs_cleanup_reader(struct rfs_reader **rd)
{
	rfs_reader_unref(*rd);
}

#define RFS_CLEANUP_READER __attribute__((cleanup(rfs_cleanup_reader)))

#endif /* RESCUEFS_CORE_READER_H */
