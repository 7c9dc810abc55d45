// SPDX-License-Identifier: GPL-3.0-or-later
/* An image with a mapfile: only what was copied is read. */
#include "fake_reader.h"

#include "readers/readers.h"

static struct fake fake;

/* A reader of 'fake' under a map; 'blocks' is "LEN STATUS" from 'start' on. */
static struct rfs_reader *open_mapped(uint64_t start, const uint64_t *lens,
				      const char *statuses)
{
	struct rfs_reader *file = fake_open(&fake, "bm", 3), *rd = NULL;
	struct rfs_mapfile map = { 0 };
	uint64_t off = start;

	for (size_t i = 0; statuses[i]; i++) {
		assert_int_equal(rfs_mapfile_add(&map, rfs_range(off, lens[i]),
						 statuses[i]),
				 0);
		off += lens[i];
	}
	assert_int_equal(rfs_mapped_open(file, &map, &rd, NULL), 0);
	rfs_reader_unref(file);
	return rd;
}

static void all_statuses_but_one_are_unreadable(void **state)
{
	static const uint64_t lens[] = { 4 * 512, 2 * 512, 512,	     512,
					 512,	  512,	   FAKE_SIZE };
	struct rfs_reader *rd = open_mapped(0, lens, "+-?*/-+");
	bool bad[FAKE_SECTORS] = { false };
	unsigned int seed = 11;

	(void)state;
	for (size_t i = 4; i < 10; i++)
		bad[i] = true;
	bad[20] = fake.is_bad[20] = true;
	/* The map goes on behind the image, and so does the disk. */
	assert_int_equal(rfs_reader_size(rd), FAKE_SIZE + 10 * 512);
	for (int i = 0; i < 300; i++)
		expect_read(rd, &fake, bad, random_range(&seed));
	for (size_t i = 4; i < 10; i++)
		assert_int_equal(fake.touches[i], 0);
	rfs_reader_unref(rd);
}

static void outside_the_map_nothing_is_read(void **state)
{
	static const uint64_t lens[] = { 8 * 512 };
	struct rfs_reader *rd = open_mapped(8 * 512, lens, "+");
	bool bad[FAKE_SECTORS];

	(void)state;
	for (size_t i = 0; i < FAKE_SECTORS; i++)
		bad[i] = i < 8 || i >= 16;
	assert_int_equal(rfs_reader_size(rd), FAKE_SIZE);
	expect_read(rd, &fake, bad, rfs_range(0, FAKE_SIZE));
	expect_read(rd, &fake, bad, rfs_range(8 * 512 - 1, 2));
	expect_read(rd, &fake, bad, rfs_range(16 * 512 - 1, 2));
	rfs_reader_unref(rd);
}

static void what_was_never_copied_is_no_hole(void **state)
{
	static const uint64_t lens[] = { FAKE_SIZE - 1024, 1024 };
	struct rfs_reader *rd = open_mapped(0, lens, "+?");
	struct rfs_extents out = { 0 };

	(void)state;
	fake.content = RFS_HOLE;
	assert_int_equal(
		rfs_reader_extents(rd, rfs_range(0, FAKE_SIZE), &out, NULL), 0);
	assert_int_equal(out.count, 3);
	assert_int_equal(out.items[1].content, RFS_HOLE);
	assert_int_equal(out.items[2].content, RFS_DATA);
	assert_int_equal(out.items[2].range.off, FAKE_SIZE - 1024);
	rfs_extents_fini(&out);
	rfs_reader_unref(rd);
}

static void a_copied_block_behind_the_image_is_not_there(void **state)
{
	static const uint64_t lens[] = { FAKE_SIZE + 4096 };
	struct rfs_reader *rd = open_mapped(0, lens, "+");
	struct rfs_ranges bad = { 0 };
	uint8_t buf[1024];

	(void)state;
	assert_int_equal(rfs_reader_read(rd, rfs_range(FAKE_SIZE - 512, 1024),
					 buf, &bad, NULL),
			 -EIO);
	assert_int_equal(bad.count, 1);
	assert_int_equal(bad.items[0].off, FAKE_SIZE);
	assert_int_equal(bad.items[0].len, 512);
	rfs_ranges_fini(&bad);
	rfs_reader_unref(rd);
}

static void a_size_that_nobody_knew_is_not_believed(void **state)
{
	static const uint64_t lens[] = { FAKE_SIZE, RFS_SIZE_MAX - FAKE_SIZE };
	struct rfs_reader *rd = open_mapped(0, lens, "+?");

	(void)state;
	assert_int_equal(rfs_reader_size(rd), FAKE_SIZE);
	rfs_reader_unref(rd);
}

static void an_empty_map_is_refused(void **state)
{
	struct rfs_reader *file = fake_open(&fake, "bm", 3), *rd = NULL;
	struct rfs_mapfile map = { 0 };
	struct rfs_error err = RFS_ERROR_INIT;

	(void)state;
	assert_int_equal(rfs_mapped_open(file, &map, &rd, &err), -EINVAL);
	assert_non_null(strstr(err.text, "nothing of any block"));
	rfs_reader_unref(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_statuses_but_one_are_unreadable),
		cmocka_unit_test(outside_the_map_nothing_is_read),
		cmocka_unit_test(what_was_never_copied_is_no_hole),
		cmocka_unit_test(a_copied_block_behind_the_image_is_not_there),
		cmocka_unit_test(a_size_that_nobody_knew_is_not_believed),
		cmocka_unit_test(an_empty_map_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
