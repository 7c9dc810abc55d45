// SPDX-License-Identifier: GPL-3.0-or-later
/* Which device it is, by copies of what sysfs shows, and when two are two. */
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

#include "readers/identity.h"
#include "sysfs_kit.h"

static void name(const char *path, const char *device)
{
	char from[4096], to[4096];

	snprintf(from, sizeof(from), "%s/%s", dir, device);
	snprintf(to, sizeof(to), "%s/%s", dir, path);
	unlink(from);
	assert_int_equal(symlink(to, from), 0);
}

static void expect(unsigned int major, unsigned int minor, const char *text)
{
	struct rfs_identity identity;

	rfs_identity_in(dir, makedev(major, minor), &identity);
	assert_string_equal(identity.text, text);
}

static bool differs(const char *was, const char *is)
{
	char why[256];

	return rfs_identity_differs(was, is, why, sizeof(why));
}

static void of_what_is_not_shown_nothing_is_known(void **state)
{
	struct rfs_identity identity;

	(void)state;
	expect(8, 0, "");
	rfs_identity_in("/nonexistent", makedev(8, 0), &identity);
	assert_string_equal(identity.text, "");
	put("8:0/size", "2048\n");
	expect(8, 0, "");
}

static void a_volume_has_the_uuid_that_lvm_gave_it(void **state)
{
	(void)state;
	put("253:3/dm/name", "nova--volumes-volume--00000143\n");
	put("253:3/dm/uuid", "LVM-8TJOVBxxuJ2H\n");
	expect(253, 3, "dm-uuid LVM-8TJOVBxxuJ2H\n");
	put("253:3/dm/uuid", "\n"); /* dmsetup gives none */
	expect(253, 3, "");
}

static void a_disk_has_its_wwid_and_its_serial_number(void **state)
{
	(void)state;
	put("8:0/device/wwid", "t10.ATA     ST3  \001 Z1\n");
	put_bytes("8:0/device/vpd_pg80", "\0\200\0\010  ABCDEF", 12);
	put("259:0/wwid", "eui.0025385171b04c21\n");
	put("259:0/device/serial", "of the controller\n");
	put("254:0/serial", "vol-1");
	expect(8, 0, "wwid t10.ATA     ST3  ? Z1\nserial ABCDEF\n");
	expect(259, 0, "wwid eui.0025385171b04c21\n");
	expect(254, 0, "serial vol-1\n");
}

static void numbers_of_zeros_are_none(void **state)
{
	(void)state;
	put("8:0/device/wwid", "0000-0000\n");
	put("8:0/serial", "   \n");
	expect(8, 0, "");
}

static void a_partition_is_a_place_on_its_disk(void **state)
{
	(void)state;
	put("sda/device/wwid", "naa.5000\n");
	put("sda/sda1/partition", "1\n");
	put("sda/sda1/start", "2048\n");
	put("sda/sda1/uevent", "MAJOR=8\nPARTN=1\nPARTUUID=1234-01\n");
	name("sda/sda1", "8:1");
	name("sda", "8:0");
	expect(8, 0, "wwid naa.5000\n");
	expect(8, 1, "partuuid 1234-01@2048\nwwid naa.5000@2048\n");
	put("sda/sda1/uevent", "MAJOR=8\nPARTUUID=00000000-01\n");
	expect(8, 1, "wwid naa.5000@2048\n");
	put("sda/sda1/start", "\n");
	expect(8, 1, "");
}

static void what_is_too_long_is_cut_or_left_out(void **state)
{
	struct rfs_identity identity;
	char text[3000];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < 2; i++)
		put(i ? "8:0/device/wwid" : "8:0/dm/uuid", text);
	put("8:0/md/uuid", text);
	put("8:0/serial", text);
	rfs_identity_in(dir, makedev(8, 0), &identity);
	assert_in_range(strlen(identity.text), 500, RFS_IDENTITY_MAX - 1);
	assert_int_equal(identity.text[strlen(identity.text) - 1], '\n');
	assert_false(differs(identity.text, identity.text));
}

static void two_are_two_if_nothing_says_that_they_are_one(void **state)
{
	char why[256];

	(void)state;
	assert_true(
		rfs_identity_differs("wwid a\n", "wwid b\n", why, sizeof(why)));
	assert_string_equal(why, "its wwid was a and is b");
	assert_false(differs("wwid a\n", "wwid a\n"));
	assert_true(differs("wwid a\nserial 1\n", "wwid b\nserial 2\n"));
	/* The disk went into a dock, or the partition onto another disk. */
	assert_false(differs("wwid a\nserial 1\n", "wwid b\nserial 1\n"));
	assert_false(differs("serial 1\nwwid a\n", "wwid b\nserial 1\n"));
	/* Of one of them less is known, or nothing. */
	assert_true(differs("wwid a\nserial 1\n", "wwid b\n"));
	assert_false(differs("wwid a\n", "serial 1\n"));
	assert_false(differs("", "wwid a\n"));
	assert_false(differs("wwid a\n", ""));
	/* Values that begin alike, keys that do. */
	assert_true(differs("wwid a\n", "wwid ab\n"));
	assert_true(differs("wwid ab\n", "wwid a\n"));
	assert_false(differs("ww a\n", "wwid b\n"));
	/* Several of one kind. */
	assert_false(differs("wwid a\nwwid b\n", "wwid c\nwwid b\n"));
	/* What a state has is not trusted. */
	assert_false(differs("nonsense", "wwid a\n"));
	assert_false(differs("\n\n \n", "wwid a\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(of_what_is_not_shown_nothing_is_known),
		TEST(a_volume_has_the_uuid_that_lvm_gave_it),
		TEST(a_disk_has_its_wwid_and_its_serial_number),
		TEST(numbers_of_zeros_are_none),
		TEST(a_partition_is_a_place_on_its_disk),
		TEST(what_is_too_long_is_cut_or_left_out),
		TEST(two_are_two_if_nothing_says_that_they_are_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
