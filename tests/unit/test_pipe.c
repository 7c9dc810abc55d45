// SPDX-License-Identifier: GPL-3.0-or-later
/* A pipe has a whole answer in it, or nothing. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/front.h"
#include "fs/pipe.h"

#define SIZE (300u << 10)

static uint8_t bytes[SIZE], got[SIZE + sizeof(struct fuse_out_header)];
static struct rfs_pipe *p;
static int file;

static int set_up(void **state)
{
	char path[] = "/tmp/rescuefs-pipe-XXXXXX";
	unsigned int seed = 5;

	(void)state;
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)rand_r(&seed);
	file = mkstemp(path);
	unlink(path);
	p = rfs_pipe_open();
	return file < 0 || !p || pwrite(file, bytes, SIZE, 0) != SIZE;
}

static int tear_down(void **state)
{
	(void)state;
	rfs_pipe_close(p);
	return close(file);
}

static int waiting(void)
{
	int n = -1;

	assert_int_equal(ioctl(p->out, FIONREAD, &n), 0);
	return n;
}

static bool fill(const struct rfs_pieces *pieces, uint64_t unique)
{
	struct fuse_out_header head = { .unique = unique };

	return rfs_pipe_fill(p, &head, pieces);
}

/* The answer is the header and the pieces, and no byte more. */
static void expect(const struct rfs_pieces *pieces, uint64_t unique)
{
	struct fuse_out_header *head = (struct fuse_out_header *)got;
	size_t at = sizeof(*head);
	ssize_t n;

	for (size_t have = 0;; have += (size_t)n) {
		n = read(p->out, got + have, sizeof(got) - have);
		if (n <= 0)
			break;
	}
	assert_int_equal(head->unique, unique);
	for (size_t i = 0; i < pieces->count; i++) {
		assert_memory_equal(got + at,
				    bytes + pieces->items[i].range.off,
				    pieces->items[i].range.len);
		at += pieces->items[i].range.len;
	}
	assert_int_equal(waiting(), 0);
}

static void pieces_come_in_their_order(void **state)
{
	struct rfs_pieces pieces = { 0 };
	size_t whole = sizeof(struct fuse_out_header) + 100 + 8193 + 40000;

	(void)state;
	rfs_pieces_add(&pieces, file, rfs_range(70001, 100));
	rfs_pieces_add(&pieces, file, rfs_range(1, 8193));
	rfs_pieces_add(&pieces, file, rfs_range(200000, 40000));
	for (uint64_t i = 1; i < 20; i++) {
		assert_true(fill(&pieces, i));
		assert_int_equal(waiting(), whole);
		expect(&pieces, i);
	}
}

static void nothing_is_left_of_one_that_fails(void **state)
{
	struct rfs_pieces good = { 0 }, cut = { 0 }, refused = { 0 };

	(void)state;
	rfs_pieces_add(&good, file, rfs_range(4096, 65536));
	/* The file has become shorter by then. */
	rfs_pieces_add(&cut, file, rfs_range(4096, 65536));
	rfs_pieces_add(&cut, file, rfs_range(SIZE - 65536, 65537));
	rfs_pieces_add(&refused, file, rfs_range(0, 5000));
	rfs_pieces_add(&refused, p->in, rfs_range(0, 4096));
	for (uint64_t i = 1; i < 50; i++) {
		assert_false(fill(&cut, i));
		assert_int_equal(waiting(), 0);
		assert_false(fill(&refused, i));
		assert_int_equal(waiting(), 0);
		assert_true(fill(&good, i));
		expect(&good, i);
	}
	assert_true(fill(&good, 7));
	rfs_pipe_empty(p);
	assert_int_equal(waiting(), 0);
}

/* It must not be waited for. */
static void what_has_no_room_is_refused(void **state)
{
	struct rfs_pieces pieces = { 0 };
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	(void)state;
	fcntl(p->in, F_SETPIPE_SZ, 16 * page);
	p->slots = 16;
	rfs_pieces_add(&pieces, file, rfs_range(0, 15 * page));
	assert_true(fill(&pieces, 1));
	expect(&pieces, 1);
	/* The same length, but on one page more. */
	pieces.items[0].range.off = 1;
	assert_false(fill(&pieces, 1));
	assert_int_equal(waiting(), 0);
}

/* Where no pipe can be had. */
static void without_a_pipe_nothing_goes_in(void **state)
{
	struct rfs_pieces pieces = { 0 };
	struct rfs_pipe none = { -1, -1, 0 };
	struct fuse_out_header head = { 0 };

	(void)state;
	rfs_pieces_add(&pieces, file, rfs_range(0, 4096));
	assert_false(rfs_pipe_fill(&none, &head, &pieces));
}

/* Whatever is asked for has room, with its header. */
static void the_largest_request_fits(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	(void)state;
	assert_true(RFS_READ_MAX / page + 1 < p->slots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		T(pieces_come_in_their_order),
		T(nothing_is_left_of_one_that_fails),
		T(what_has_no_room_is_refused),
		T(without_a_pipe_nothing_goes_in),
		T(the_largest_request_fits),
	};

	return cmocka_run_group_tests_name("pipe", tests, NULL, NULL);
}
