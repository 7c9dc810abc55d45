/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fake_reader.h - a reader with bad sectors, that counts how often it is asked
 * for each of its sectors. */
#ifndef RESCUEFS_TESTS_FAKE_READER_H
#define RESCUEFS_TESTS_FAKE_READER_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/reader.h"

#define FAKE_SECTORS 512
#define FAKE_SIZE    (FAKE_SECTORS * 512 - 100) /* the last one is short */

/* On the test's stack: it outlives its reader. */
struct fake {
	struct rfs_origin origin;
	uint8_t bytes[FAKE_SECTORS * 512];
	bool is_bad[FAKE_SECTORS];
	bool is_late[FAKE_SECTORS]; /* not waited for */
	atomic_uint touches[FAKE_SECTORS];
	int errnum; /* not 0: this is all it says */
	int fd;	    /* says whose a piece is */
	enum rfs_content content;
};

static int fake_read(void *state, struct rfs_range range, void *buf,
		     struct rfs_ranges *bad, struct rfs_error *err)
{
	struct fake *f = state;
	size_t before = bad->count;
	struct rfs_range sector;
	bool late = false;

	memset(buf, 0xee, range.len); /* what is bad has something in it */
	if (f->errnum)
		return rfs_fail(err, f->errnum, "%s says no", f->origin.name);
	for (uint64_t s = range.off / 512; s * 512 < rfs_range_end(range);
	     s++) {
		sector = rfs_range_cut(rfs_range(s * 512, 512), range);
		f->touches[s]++;
		late = late || f->is_late[s];
		if (f->is_bad[s] || f->is_late[s])
			assert_int_equal(rfs_ranges_add(bad, sector), 0);
		else
			memcpy((uint8_t *)buf + (sector.off - range.off),
			       f->bytes + sector.off, sector.len);
	}
	if (bad->count == before)
		return 0;
	return rfs_fail(err, late ? ETIMEDOUT : EIO, "%s fails",
			f->origin.name);
}

static int fake_extents(void *state, struct rfs_range range,
			struct rfs_extents *out, struct rfs_error *err)
{
	struct fake *f = state;
	uint64_t half = FAKE_SIZE / 2, end = rfs_range_end(range);
	struct rfs_range low = rfs_range_cut(range, rfs_range(0, half));

	(void)err;
	assert_int_equal(rfs_extents_add(out, low, RFS_DATA), 0);
	return rfs_extents_add(
		out, rfs_range_to(range.off > half ? range.off : half, end),
		f->content);
}

static int fake_pieces(void *state, struct rfs_range range,
		       struct rfs_pieces *out)
{
	const struct fake *f = state;

	return rfs_pieces_add(out, f->fd, range);
}

static uint64_t fake_allocated(void *state)
{
	(void)state;
	return 4711;
}

static void fake_close(void *state)
{
	(void)state;
}

static const struct rfs_reader_ops fake_ops = {
	.kind = "fake",
	.read = fake_read,
	.extents = fake_extents,
	.pieces = fake_pieces,
	.allocated = fake_allocated,
	.close = fake_close,
};

/* Both halves are told apart by 'content', the upper one's. */
static struct rfs_reader *fake_open(struct fake *f, const char *name,
				    unsigned int seed)
{
	struct rfs_reader *rd;

	memset(f, 0, sizeof(*f));
	f->origin.name = name;
	for (size_t i = 0; i < sizeof(f->bytes); i++)
		f->bytes[i] = (uint8_t)((i * 2654435761u + seed) >> 11);
	assert_int_equal(rfs_reader_new(&fake_ops, f, FAKE_SIZE, name,
					&f->origin, &rd, NULL),
			 0);
	return rd;
}

/* Reads, and compares what is not bad with the bytes of 'f' and what is bad
 * with 'is_bad'. */
static inline void expect_read(struct rfs_reader *rd, const struct fake *f,
			       const bool *is_bad, struct rfs_range range)
{
	uint8_t *buf = malloc(range.len ? range.len : 1);
	bool *told = calloc(FAKE_SECTORS * 512, 1), any = false, want;
	struct rfs_ranges bad = { 0 };
	uint64_t last = range.off;
	int r;

	assert_non_null(buf);
	assert_non_null(told);
	r = rfs_reader_read(rd, range, buf, &bad, NULL);
	for (size_t i = 0; i < bad.count; i++) {
		assert_true(bad.items[i].off >= last);
		assert_true(bad.items[i].len > 0);
		last = rfs_range_end(bad.items[i]);
		assert_true(last <= rfs_range_end(range));
		memset(told + bad.items[i].off, 1, bad.items[i].len);
	}
	for (uint64_t o = range.off; o < rfs_range_end(range); o++) {
		want = is_bad && is_bad[o / 512];
		any = any || want;
		if (told[o] != want)
			fail_msg("byte %zu is told wrongly", (size_t)o);
		if (!want && buf[o - range.off] != f->bytes[o])
			fail_msg("byte %zu is wrong", (size_t)o);
	}
	assert_int_equal(r, any ? -EIO : 0);
	rfs_ranges_fini(&bad);
	free(told);
	free(buf);
}

/* A range for a random test; printed seeds make it the same again. */
static inline struct rfs_range random_range(unsigned int *seed)
{
	uint64_t off = (uint64_t)rand_r(seed) % FAKE_SIZE;
	uint64_t len = 1 + (uint64_t)rand_r(seed) % 20000;

	return rfs_range(off, len < FAKE_SIZE - off ? len : FAKE_SIZE - off);
}

#endif /* RESCUEFS_TESTS_FAKE_READER_H */
