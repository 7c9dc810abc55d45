// SPDX-License-Identifier: GPL-3.0-or-later
/* What sysfs says of a device that is gone, by copies of what it shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "readers/device.h"
#include "sysfs_kit.h"

static bool is_gone(unsigned int major, unsigned int minor)
{
	return rfs_device_is_gone_in(dir, makedev(major, minor));
}

static void what_is_there_is_not_gone(void **state)
{
	(void)state;
	put("8:0/size", "2048\n");
	put("8:0/device/state", "running\n");
	assert_false(is_gone(8, 0));
}

static void not_to_be_told_is_not_gone(void **state)
{
	(void)state;
	assert_false(is_gone(8, 0)); /* no device at all is shown */
	assert_false(is_gone(0, 45));
	assert_false(rfs_device_is_gone_in("/nonexistent", makedev(8, 0)));
	put("8:0/ro", "0\n");
	assert_false(is_gone(8, 0)); /* no size */
}

static void what_is_not_shown_among_others_is_gone(void **state)
{
	(void)state;
	put("8:16/size", "2048\n");
	assert_true(is_gone(8, 0));
	assert_false(is_gone(0, 45)); /* no block device */
}

static void a_device_without_a_size_is_gone(void **state)
{
	(void)state;
	put("43:0/size", "0\n");
	assert_true(is_gone(43, 0));
}

static void an_offline_disk_is_gone_with_its_partitions(void **state)
{
	char from[4096], to[4096];

	(void)state;
	put("sda/size", "2048\n");
	put("sda/device/state", "offline\n");
	put("sda/sda1/size", "1024\n");
	snprintf(from, sizeof(from), "%s/8:1", dir);
	snprintf(to, sizeof(to), "%s/sda/sda1", dir);
	assert_int_equal(symlink(to, from), 0);
	assert_true(is_gone(8, 1));
	put("sda/device/state", "running\n");
	assert_false(is_gone(8, 1));
}

static void a_volume_on_a_disk_that_is_gone_is_gone(void **state)
{
	(void)state;
	put("253:3/size", "2048\n");
	put("253:3/slaves/dm-1/size", "2048\n");
	put("253:3/slaves/dm-1/slaves/sdb/size", "4096\n");
	assert_false(is_gone(253, 3));
	put("253:3/slaves/dm-1/slaves/sdb/size", "0\n");
	assert_true(is_gone(253, 3));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_there_is_not_gone),
		TEST(not_to_be_told_is_not_gone),
		TEST(what_is_not_shown_among_others_is_gone),
		TEST(a_device_without_a_size_is_gone),
		TEST(an_offline_disk_is_gone_with_its_partitions),
		TEST(a_volume_on_a_disk_that_is_gone_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
