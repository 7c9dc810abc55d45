// SPDX-License-Identifier: GPL-3.0-or-later
/* What one copy cannot read comes from the next, to the sector. */
#include "fake_reader.h"

#include "readers/readers.h"

static struct fake fakes[3];
static const char *const names[] = { "bm0002", "backup", "older" };

/* Of the first 'n' fakes, each behind a guard. */
static struct rfs_reader *healed(size_t n)
{
	struct rfs_reader *members[3] = { NULL }, *below, *rd;

	for (size_t i = 0; i < n; i++) {
		below = fake_open(&fakes[i], names[i], 7);
		assert_int_equal(rfs_guard_open(below, NULL, names[i],
						&members[i], NULL),
				 0);
		rfs_reader_unref(below);
	}
	assert_int_equal(rfs_heal_open(members, n, &rd, NULL), 0);
	for (size_t i = 0; i < n; i++)
		rfs_reader_unref(members[i]);
	return rd;
}

/* Seeded; with many bad sectors, so that the copies' overlap. */
static void break_at_random(size_t n, unsigned int *seed, bool *in_all)
{
	for (int s = 0; s < FAKE_SECTORS; s++) {
		in_all[s] = true;
		for (size_t i = 0; i < n; i++) {
			fakes[i].is_bad[s] = rand_r(seed) % 3 == 0;
			in_all[s] = in_all[s] && fakes[i].is_bad[s];
		}
	}
}

static void exact_with(size_t n)
{
	unsigned int seed = (unsigned int)n;
	bool in_all[FAKE_SECTORS];

	for (int round = 0; round < 20; round++) {
		struct rfs_reader *rd = healed(n);

		break_at_random(n, &seed, in_all);
		for (int i = 0; i < 50; i++)
			expect_read(rd, &fakes[0], in_all, random_range(&seed));
		expect_read(rd, &fakes[0], in_all, rfs_range(0, FAKE_SIZE));
		rfs_reader_unref(rd);
	}
}

static void one_copy_is_itself(void **state)
{
	(void)state;
	exact_with(1);
}

static void two_copies_heal_exactly(void **state)
{
	(void)state;
	exact_with(2);
}

static void three_copies_heal_exactly(void **state)
{
	(void)state;
	exact_with(3);
}

/* Another member's pieces would be taken though the first was not asked. */
static void pieces_are_the_first_ones(void **state)
{
	struct rfs_reader *rd = healed(3);
	struct rfs_pieces pieces = { 0 };

	(void)state;
	for (int i = 0; i < 3; i++)
		fakes[i].fd = 7 + i;
	assert_int_equal(rfs_reader_pieces(rd, rfs_range(0, 4096), &pieces), 0);
	assert_int_equal(pieces.count, 1);
	assert_int_equal(pieces.items[0].fd, 7);
	fakes[0].is_bad[5] = true;
	expect_read(rd, &fakes[0], NULL, rfs_range(0, 4096));
	assert_true(rfs_reader_pieces(rd, rfs_range(0, 4096), &pieces) < 0);
	rfs_reader_unref(rd);
}

static void others_are_asked_for_the_bad_only(void **state)
{
	struct rfs_reader *rd = healed(3);

	(void)state;
	fakes[0].is_bad[5] = fakes[0].is_bad[6] = true;
	fakes[1].is_bad[6] = true;
	expect_read(rd, &fakes[0], NULL, rfs_range(0, FAKE_SIZE));
	for (int s = 0; s < FAKE_SECTORS; s++) {
		assert_int_equal(fakes[1].touches[s], s == 5 || s == 6);
		assert_int_equal(fakes[2].touches[s], s == 6);
	}
	rfs_reader_unref(rd);
}

static void a_copy_out_of_reach_is_passed_over(void **state)
{
	struct rfs_reader *rd = healed(3);
	struct rfs_error err = RFS_ERROR_INIT;
	uint8_t buf[512];

	(void)state;
	fakes[0].errnum = ENOLINK;
	fakes[1].is_bad[9] = true;
	expect_read(rd, &fakes[0], NULL, rfs_range(0, FAKE_SIZE));
	fakes[2].errnum = ENOLINK;
	expect_read(rd, &fakes[0], fakes[1].is_bad, rfs_range(0, FAKE_SIZE));
	assert_int_equal(
		rfs_reader_read(rd, rfs_range(9 * 512, 512), buf, NULL, &err),
		-ENOLINK);
	assert_string_equal(err.text, "bm0002 says no");
	rfs_reader_unref(rd);
}

static int read_sectors(struct rfs_reader *rd, int first, int n,
			struct rfs_ranges *bad)
{
	uint8_t buf[FAKE_SECTORS * 512];

	bad->count = 0;
	return rfs_reader_read(
		rd, rfs_range((uint64_t)first * 512, (uint64_t)n * 512), buf,
		bad, NULL);
}

static void what_came_late_is_not_lost(void **state)
{
	struct rfs_reader *rd = healed(3);
	struct rfs_ranges bad = { 0 };

	(void)state;
	/* Late, but the other copy has it. */
	fakes[0].is_late[5] = true;
	assert_int_equal(read_sectors(rd, 0, 10, &bad), 0);
	/* In none of them, as one was not waited for: whichever. */
	fakes[1].is_bad[5] = fakes[2].is_bad[5] = true;
	assert_int_equal(read_sectors(rd, 0, 10, &bad), -ETIMEDOUT);
	assert_int_equal(bad.count, 1);
	assert_int_equal(bad.items[0].off, 5 * 512);
	assert_int_equal(bad.items[0].len, 512);
	fakes[0].is_bad[20] = fakes[2].is_bad[20] = true;
	fakes[1].is_late[20] = true;
	assert_int_equal(read_sectors(rd, 20, 1, &bad), -ETIMEDOUT);
	/* Lost in all is lost, whatever was late elsewhere and found. */
	fakes[0].is_bad[30] = fakes[1].is_late[30] = true;
	fakes[0].is_bad[40] = fakes[1].is_bad[40] = fakes[2].is_bad[40] = true;
	assert_int_equal(read_sectors(rd, 30, 11, &bad), -EIO);
	assert_int_equal(bad.count, 1);
	assert_int_equal(bad.items[0].off, 40 * 512);
	fakes[0].is_late[5] = false;
	rfs_reader_renew(rd, NULL);
	assert_int_equal(read_sectors(rd, 0, 10, &bad), 0);
	rfs_ranges_fini(&bad);
	rfs_reader_unref(rd);
}

static void the_text_says_where(void **state)
{
	struct rfs_reader *rd = healed(2);
	struct rfs_error err = RFS_ERROR_INIT;
	uint8_t buf[4096];

	(void)state;
	fakes[0].is_bad[1] = fakes[0].is_bad[3] = true;
	fakes[1].is_bad[3] = true;
	rfs_reader_read(rd, rfs_range(0, 4096), buf, NULL, &err);
	assert_string_equal(err.text, "512 bytes at 1536 are in none of 2 "
				      "copies: bm0002 fails");
	rfs_reader_unref(rd);
}

static void expect_trace(struct rfs_reader *rd, struct rfs_range range,
			 const struct rfs_origin *origin)
{
	struct rfs_trace t = { 0 };

	assert_int_equal(rfs_reader_trace(rd, range, &t, NULL), 0);
	assert_int_equal(t.count, 1);
	assert_int_equal(t.items[0].range.off, range.off);
	assert_int_equal(t.items[0].range.len, range.len);
	assert_ptr_equal(t.items[0].origin, origin);
	rfs_trace_fini(&t);
}

static void trace_names_who_healed(void **state)
{
	struct rfs_reader *rd = healed(3);

	(void)state;
	for (int i = 0; i < 3; i++)
		fakes[i].is_bad[8] = true;
	fakes[0].is_bad[6] = fakes[0].is_bad[7] = true;
	fakes[1].is_bad[7] = true;
	expect_trace(rd, rfs_range(0, FAKE_SIZE), &fakes[0].origin);
	expect_read(rd, &fakes[0], fakes[2].is_bad, rfs_range(0, FAKE_SIZE));
	expect_trace(rd, rfs_range(0, 6 * 512), &fakes[0].origin);
	expect_trace(rd, rfs_range(6 * 512, 512), &fakes[1].origin);
	expect_trace(rd, rfs_range(7 * 512, 512), &fakes[2].origin);
	expect_trace(rd, rfs_range(8 * 512, 512), NULL);
	expect_trace(rd, rfs_range_to(9 * 512, FAKE_SIZE), &fakes[0].origin);
	rfs_reader_unref(rd);
}

/* What a guard knows from another time is enough to say who will be asked. */
static void trace_asks_the_guards(void **state)
{
	struct rfs_reader *below[2], *members[2], *rd;
	uint8_t buf[2048];

	(void)state;
	for (int i = 0; i < 2; i++) {
		below[i] = fake_open(&fakes[i], names[i], 7);
		rfs_guard_open(below[i], NULL, names[i], &members[i], NULL);
		rfs_reader_unref(below[i]);
	}
	fakes[0].is_bad[1] = true;
	rfs_reader_read(members[0], rfs_range(0, 2048), buf, NULL, NULL);
	assert_int_equal(rfs_heal_open(members, 2, &rd, NULL), 0);
	expect_trace(rd, rfs_range(512, 512), &fakes[1].origin);
	expect_trace(rd, rfs_range(1024, 512), &fakes[0].origin);
	assert_int_equal(fakes[1].touches[1], 0);
	rfs_reader_unref(members[0]);
	rfs_reader_unref(members[1]);
	rfs_reader_unref(rd);
}

static void unknown_extents_are_asked_of_the_next(void **state)
{
	struct rfs_reader *rd = healed(3);
	struct rfs_extents ext = { 0 };

	(void)state;
	fakes[0].content = fakes[1].content = RFS_UNKNOWN;
	fakes[2].content = RFS_HOLE;
	rfs_reader_extents(rd, rfs_range(0, FAKE_SIZE), &ext, NULL);
	assert_int_equal(ext.count, 2);
	assert_int_equal(ext.items[0].content, RFS_DATA);
	assert_int_equal(ext.items[1].content, RFS_HOLE);
	rfs_extents_clear(&ext);
	fakes[2].content = RFS_UNKNOWN;
	rfs_reader_extents(rd, rfs_range(0, FAKE_SIZE), &ext, NULL);
	assert_int_equal(ext.items[1].content, RFS_UNKNOWN);
	assert_int_equal(rfs_range_end(ext.items[1].range), FAKE_SIZE);
	rfs_extents_fini(&ext);
	rfs_reader_unref(rd);
}

/* A failure that names no byte is of all of them, and not of none. */
static void an_error_without_a_place_is_healed(void **state)
{
	struct rfs_reader *rd = healed(2);

	(void)state;
	fakes[0].errnum = EIO;
	expect_read(rd, &fakes[1], NULL, rfs_range(0, FAKE_SIZE));
	rfs_reader_unref(rd);
}

static void want_of_memory_is_not_a_bad_sector(void **state)
{
	struct rfs_reader *rd = healed(2);
	uint8_t buf[512];

	(void)state;
	fakes[0].is_bad[0] = true;
	fakes[1].errnum = ENOMEM;
	assert_int_equal(
		rfs_reader_read(rd, rfs_range(0, 512), buf, NULL, NULL),
		-ENOMEM);
	rfs_reader_unref(rd);
}

static void sizes_must_agree(void **state)
{
	struct rfs_reader *members[2], *rd = NULL;
	struct rfs_error err = RFS_ERROR_INIT;

	(void)state;
	members[0] = fake_open(&fakes[0], names[0], 7);
	rfs_reader_new(&fake_ops, &fakes[1], 512, "backup", NULL, &members[1],
		       NULL);
	assert_int_equal(rfs_heal_open(members, 2, &rd, &err), -EINVAL);
	assert_non_null(strstr(err.text, "bm0002"));
	assert_non_null(strstr(err.text, "backup"));
	rfs_reader_unref(members[0]);
	rfs_reader_unref(members[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_copy_is_itself),
		cmocka_unit_test(two_copies_heal_exactly),
		cmocka_unit_test(three_copies_heal_exactly),
		cmocka_unit_test(pieces_are_the_first_ones),
		cmocka_unit_test(others_are_asked_for_the_bad_only),
		cmocka_unit_test(a_copy_out_of_reach_is_passed_over),
		cmocka_unit_test(what_came_late_is_not_lost),
		cmocka_unit_test(the_text_says_where),
		cmocka_unit_test(trace_names_who_healed),
		cmocka_unit_test(trace_asks_the_guards),
		cmocka_unit_test(unknown_extents_are_asked_of_the_next),
		cmocka_unit_test(an_error_without_a_place_is_healed),
		cmocka_unit_test(want_of_memory_is_not_a_bad_sector),
		cmocka_unit_test(sizes_must_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
