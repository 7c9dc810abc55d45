// SPDX-License-Identifier: GPL-3.0-or-later
/* Points in time as people and files write them, and equal generations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/freshness.h"

#define S INT64_C(1000000000)

static void times_are_read(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} cases[] = {
		{ "1970-01-01", 0 },
		{ "2013-05-10", 1368144000 * S },
		{ "2013-05-10T03:00", 1368154800 * S },
		{ "2013-05-10 03:00:07", 1368154807 * S },
		{ "2013-05-10T03:00:00Z", 1368154800 * S },
		{ "2013-05-10T03:00:00.5Z", 1368154800 * S + S / 2 },
		{ "2013-05-10T03:00:00+02:00", 1368147600 * S },
		{ "2013-05-10T03:00:00-0330", 1368167400 * S },
		{ "@1368154800", 1368154800 * S },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int64_t ns = -1;

		if (!rfs_time_parse(cases[i].text, &ns))
			fail_msg("%s: not read", cases[i].text);
		assert_int_equal(ns, cases[i].ns);
	}
}

static void what_is_no_time_is_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"yesterday",
		"2013-13-01",
		"2013-05-32",
		"2013-5-1",
		"20130510",
		"@",
		"@99999999999999",
		"2013-05-10T3",
		"2013-05-10T25:00",
		"2013-05-10X",
		"2013-05-10T03:00:00+",
		"2013-05-10T03:00Zulu",
	};
	int64_t ns;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (rfs_time_parse(cases[i], &ns))
			fail_msg("%s: taken as a time", cases[i]);
}

static void what_is_printed_is_read_again(void **state)
{
	static const int64_t cases[] = { 0, 1368154800 * S,
					 1368154800 * S + 123456789,
					 -86400 * S + 1 };
	char text[RFS_TIME_TEXT];
	int64_t ns;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		rfs_time_print(cases[i], text);
		assert_true(rfs_time_parse(text, &ns));
		assert_int_equal(ns, cases[i]);
	}
	rfs_time_print(RFS_TIME_NOW, text);
	assert_string_equal(text, "now");
	rfs_time_print(RFS_TIME_UNKNOWN, text);
	assert_string_equal(text, "unknown");
}

static bool same(uint64_t a_size, int64_t a, uint64_t b_size, int64_t b)
{
	return rfs_generation_is_same((struct rfs_generation){ a_size, a },
				      (struct rfs_generation){ b_size, b });
}

static void a_generation_is_size_and_time(void **state)
{
	(void)state;
	assert_true(same(7, 5 * S + 3, 7, 5 * S + 3));
	assert_false(same(7, 5 * S + 3, 8, 5 * S + 3));
	assert_false(same(7, 5 * S + 3, 7, 5 * S + 4));
	assert_false(same(7, RFS_TIME_UNKNOWN, 7, RFS_TIME_UNKNOWN));
}

static void whole_seconds_are_compared_by_the_second(void **state)
{
	(void)state;
	assert_true(same(7, 5 * S, 7, 5 * S + 999));
	assert_false(same(7, 5 * S, 7, 6 * S + 999));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_read),
		cmocka_unit_test(what_is_no_time_is_refused),
		cmocka_unit_test(what_is_printed_is_read_again),
		cmocka_unit_test(a_generation_is_size_and_time),
		cmocka_unit_test(whole_seconds_are_compared_by_the_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
