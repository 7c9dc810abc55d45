// SPDX-License-Identifier: GPL-3.0-or-later
/* P5: a sector found bad is not asked for again, across restarts. */
#include "fake_reader.h"

#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "core/keptmap.h"
#include "readers/readers.h"

static struct fake fake;

static struct rfs_reader *guarded(struct rfs_state *st)
{
	struct rfs_reader *below, *rd;

	below = fake_open(&fake, "bm0002", 7);
	assert_int_equal(rfs_guard_open(below, st, "bm0002:/d", &rd, NULL), 0);
	rfs_reader_unref(below);
	return rd;
}

static void bad_sectors_are_asked_for_once(void **state)
{
	struct rfs_reader *rd = guarded(NULL);
	unsigned int seed = 11;

	(void)state;
	fake.is_bad[3] = fake.is_bad[4] = fake.is_bad[90] = true;
	fake.is_bad[FAKE_SECTORS - 1] = true;
	expect_read(rd, &fake, fake.is_bad, rfs_range(0, FAKE_SIZE));
	for (int i = 0; i < 2000; i++)
		expect_read(rd, &fake, fake.is_bad, random_range(&seed));
	for (int s = 0; s < FAKE_SECTORS; s++)
		if (fake.is_bad[s])
			assert_int_equal(fake.touches[s], 1);
	rfs_reader_unref(rd);
}

static void part_of_a_bad_sector_stands_for_it(void **state)
{
	struct rfs_reader *rd = guarded(NULL);

	(void)state;
	fake.is_bad[3] = fake.is_bad[FAKE_SECTORS - 1] = true;
	expect_read(rd, &fake, fake.is_bad, rfs_range(3 * 512 + 100, 5));
	expect_read(rd, &fake, fake.is_bad, rfs_range(2 * 512, 3 * 512));
	expect_read(rd, &fake, fake.is_bad, rfs_range(FAKE_SIZE - 9, 3));
	expect_read(rd, &fake, fake.is_bad, rfs_range(FAKE_SIZE - 600, 600));
	assert_int_equal(fake.touches[3], 1);
	assert_int_equal(fake.touches[FAKE_SECTORS - 1], 1);
	rfs_reader_unref(rd);
}

static void what_is_bad_is_no_piece(void **state)
{
	struct rfs_reader *rd = guarded(NULL);
	struct rfs_pieces pieces = { 0 };

	(void)state;
	fake.is_bad[3] = true;
	assert_int_equal(rfs_reader_pieces(rd, rfs_range(0, 4096), &pieces), 0);
	expect_read(rd, &fake, fake.is_bad, rfs_range(0, 4096));
	assert_true(rfs_reader_pieces(rd, rfs_range(0, 4096), &pieces) < 0);
	assert_true(rfs_reader_pieces(rd, rfs_range(1536, 512), &pieces) < 0);
	assert_int_equal(rfs_reader_pieces(rd, rfs_range(2048, 512), &pieces),
			 0);
	rfs_reader_unref(rd);
}

static void the_text_says_which_and_what_next(void **state)
{
	struct rfs_reader *rd = guarded(NULL);
	struct rfs_error err = RFS_ERROR_INIT;
	uint8_t buf[2048];

	(void)state;
	fake.is_bad[1] = true;
	rfs_reader_read(rd, rfs_range(0, 2048), buf, NULL, &err);
	assert_string_equal(err.text, "bm0002 fails");
	rfs_reader_read(rd, rfs_range(0, 2048), buf, NULL, &err);
	assert_string_equal(err.text,
			    "bm0002: 512 bytes at 512 failed before and are "
			    "not asked for again; 'rescuefs refresh' orders "
			    "another try");
	rfs_reader_unref(rd);
}

/* Not to be reached is not to be bad. */
static void other_failures_are_not_remembered(void **state)
{
	struct rfs_reader *rd = guarded(NULL);
	uint8_t buf[512];

	(void)state;
	fake.errnum = ENOLINK;
	assert_int_equal(
		rfs_reader_read(rd, rfs_range(0, 512), buf, NULL, NULL),
		-ENOLINK);
	fake.errnum = 0;
	expect_read(rd, &fake, NULL, rfs_range(0, FAKE_SIZE));
	fake.is_bad[2] = true;
	expect_read(rd, &fake, fake.is_bad, rfs_range(0, 4096));
	fake.errnum = ENOLINK;
	assert_int_equal(rfs_reader_read(rd, rfs_range(512, 2048),
					 (uint8_t[2048]){ 0 }, NULL, NULL),
			 -ENOLINK);
	rfs_reader_unref(rd);
}

static void below_tells_the_rest(void **state)
{
	struct rfs_reader *rd = guarded(NULL);
	struct rfs_extents ext = { 0 };
	struct rfs_trace t = { 0 };

	(void)state;
	fake.content = RFS_HOLE;
	fake.is_bad[1] = true;
	expect_read(rd, &fake, fake.is_bad, rfs_range(0, 4096));
	assert_string_equal(rfs_reader_name(rd), "bm0002");
	assert_ptr_equal(rfs_reader_origin(rd), &fake.origin);
	assert_int_equal(rfs_reader_allocated(rd), 4711);
	assert_int_equal(rfs_reader_size(rd), FAKE_SIZE);
	rfs_reader_extents(rd, rfs_range(0, FAKE_SIZE), &ext, NULL);
	assert_int_equal(ext.count, 2);
	assert_int_equal(ext.items[1].content, RFS_HOLE);
	rfs_reader_trace(rd, rfs_range(100, 4000), &t, NULL);
	assert_int_equal(t.count, 3);
	assert_ptr_equal(t.items[0].origin, &fake.origin);
	assert_null(t.items[1].origin);
	assert_int_equal(t.items[1].range.off, 512);
	assert_int_equal(t.items[1].range.len, 512);
	assert_int_equal(rfs_range_end(t.items[2].range), 4100);
	rfs_extents_fini(&ext);
	rfs_trace_fini(&t);
	rfs_reader_unref(rd);
}

static int rm_entry(const char *path, const struct stat *st, int type,
		    struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void the_state_remembers(void **state)
{
	char dir[] = "/tmp/test_guard.XXXXXX";
	struct rfs_state *st;
	struct rfs_reader *rd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(rfs_state_open(dir, "test", &st, NULL), 0);
	rd = guarded(st);
	expect_read(rd, &fake, NULL, rfs_range(0, FAKE_SIZE));
	fake.is_bad[8] = fake.is_bad[100] = true;
	expect_read(rd, &fake, fake.is_bad, rfs_range(0, FAKE_SIZE));
	rfs_reader_unref(rd);
	rfs_state_close(st);

	assert_int_equal(rfs_state_open(dir, "test", &st, NULL), 0);
	rd = guarded(st);
	fake.is_bad[8] = fake.is_bad[100] = true;
	expect_read(rd, &fake, fake.is_bad, rfs_range(0, FAKE_SIZE));
	assert_int_equal(fake.touches[8], 0);
	assert_int_equal(fake.touches[100], 0);
	assert_int_equal(fake.touches[9], 1);
	rfs_reader_unref(rd);
	rfs_state_close(st);
	nftw(dir, rm_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* The same file in the merged view and under sources/. */
static void two_guards_save_as_one(void **state)
{
	char dir[] = "/tmp/test_guard.XXXXXX";
	struct rfs_reader *one, *two;
	struct rfs_state *st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(rfs_state_open(dir, "test", &st, NULL), 0);
	one = guarded(st);
	two = guarded(st);
	fake.is_bad[8] = fake.is_bad[100] = true;
	expect_read(one, &fake, fake.is_bad, rfs_range(8 * 512, 512));
	expect_read(two, &fake, fake.is_bad, rfs_range(8 * 512, 512));
	expect_read(two, &fake, fake.is_bad, rfs_range(100 * 512, 512));
	assert_int_equal(fake.touches[8], 1);
	rfs_reader_unref(one);
	rfs_reader_unref(two);
	rfs_state_close(st);

	assert_int_equal(rfs_state_open(dir, "test", &st, NULL), 0);
	one = guarded(st);
	fake.is_bad[8] = fake.is_bad[100] = true;
	expect_read(one, &fake, fake.is_bad, rfs_range(0, FAKE_SIZE));
	assert_int_equal(fake.touches[8], 0);
	assert_int_equal(fake.touches[100], 0);
	rfs_reader_unref(one);
	rfs_state_close(st);
	nftw(dir, rm_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void *reads_much(void *data)
{
	static atomic_uint number;
	unsigned int seed = 100 + number++;

	for (int i = 0; i < 500; i++)
		expect_read(data, &fake, fake.is_bad, random_range(&seed));
	return NULL;
}

static void threads_agree(void **state)
{
	struct rfs_reader *rd = guarded(NULL);
	pthread_t threads[4];

	(void)state;
	for (int s = 5; s < FAKE_SECTORS; s += 17)
		fake.is_bad[s] = true;
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, reads_much, rd);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	rfs_reader_unref(rd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_sectors_are_asked_for_once),
		cmocka_unit_test(part_of_a_bad_sector_stands_for_it),
		cmocka_unit_test(what_is_bad_is_no_piece),
		cmocka_unit_test(the_text_says_which_and_what_next),
		cmocka_unit_test(other_failures_are_not_remembered),
		cmocka_unit_test(below_tells_the_rest),
		cmocka_unit_test(the_state_remembers),
		cmocka_unit_test(two_guards_save_as_one),
		cmocka_unit_test(threads_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
