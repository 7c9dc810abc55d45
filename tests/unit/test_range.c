// SPDX-License-Identifier: GPL-3.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "core/error.h"
#include "core/extents.h"
#include "core/range.h"

static void ranges_that_touch_are_joined(void **data)
{
	struct rfs_ranges list = { 0 };

	(void)data;
	assert_int_equal(rfs_ranges_add(&list, rfs_range(0, 512)), 0);
	assert_int_equal(rfs_ranges_add(&list, rfs_range(512, 512)), 0);
	assert_int_equal(rfs_ranges_add(&list, rfs_range(2048, 0)), 0);
	assert_int_equal(rfs_ranges_add(&list, rfs_range(2048, 512)), 0);
	assert_int_equal(list.count, 2);
	assert_int_equal(list.items[0].len, 1024);
	assert_int_equal(rfs_ranges_total(&list), 1536);
	rfs_ranges_fini(&list);
}

static void extents_join_only_alike(void **data)
{
	struct rfs_extents list = { 0 };

	(void)data;
	assert_int_equal(rfs_extents_add(&list, rfs_range(0, 5), RFS_DATA), 0);
	assert_int_equal(rfs_extents_add(&list, rfs_range(5, 5), RFS_DATA), 0);
	assert_int_equal(rfs_extents_add(&list, rfs_range(10, 5), RFS_HOLE), 0);
	assert_int_equal(list.count, 2);
	assert_int_equal(list.items[0].range.len, 10);
	rfs_extents_fini(&list);
}

static void hostile_numbers_do_not_fit(void **data)
{
	(void)data;
	assert_true(rfs_range_fits(rfs_range(10, 0), 10));
	assert_false(rfs_range_fits(rfs_range(11, 0), 10));
	assert_false(rfs_range_fits(rfs_range(UINT64_MAX, 2), 10));
	assert_false(rfs_range_fits(rfs_range(5, UINT64_MAX), 10));
}

static void cut_and_widen(void **data)
{
	struct rfs_range r;

	(void)data;
	r = rfs_range_cut(rfs_range(10, 20), rfs_range(25, 100));
	assert_int_equal(r.off, 25);
	assert_int_equal(r.len, 5);
	r = rfs_range_cut(rfs_range(10, 5), rfs_range(25, 100));
	assert_int_equal(r.len, 0);
	r = rfs_range_widen(rfs_range(513, 1), 512);
	assert_int_equal(r.off, 512);
	assert_int_equal(r.len, 512);
}

static void context_stands_in_front_and_is_cut(void **data)
{
	struct rfs_error err = RFS_ERROR_INIT;
	char big[2 * RFS_ERROR_MAX];

	(void)data;
	assert_int_equal(rfs_fail(&err, EIO, "no %s", "disk"), -EIO);
	assert_int_equal(rfs_context(&err, -EIO, "open %d", 7), -EIO);
	assert_string_equal(err.text, "open 7: no disk");
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	rfs_context(&err, -EIO, "%s", big);
	assert_int_equal(strlen(err.text), RFS_ERROR_MAX - 1);
	assert_int_equal(rfs_fail(NULL, ENOENT, "nobody asks"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_that_touch_are_joined),
		cmocka_unit_test(extents_join_only_alike),
		cmocka_unit_test(hostile_numbers_do_not_fit),
		cmocka_unit_test(cut_and_widen),
		cmocka_unit_test(context_stands_in_front_and_is_cut),
	};

	return cmocka_run_group_tests_name("range", tests, NULL, NULL);
}
