// SPDX-License-Identifier: GPL-3.0-or-later
/* What a name tells of a compressed file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "readers/readers.h"

static void expect(const char *name, size_t left, enum rfs_packing want)
{
	enum rfs_packing packing = 99;

	assert_int_equal(rfs_packed_strip(name, &packing), left);
	assert_int_equal(packing, want);
	assert_int_equal(rfs_packed_strip(name, NULL), left);
}

static void endings_tell(void **state)
{
	(void)state;
	expect("volume-1.gz", 8, RFS_PACKED_GZ);
	expect("disk.xz", 4, RFS_PACKED_XZ);
	expect("/var/disk.local.zst", 15, RFS_PACKED_ZST);
	expect("disk.bz2", 4, RFS_PACKED_BZ2);
	expect("disk.gz.xz", 7, RFS_PACKED_XZ); /* one layer at a time */
}

static void others_are_whole(void **state)
{
	(void)state;
	expect("disk", 4, RFS_PACKED_NOT);
	expect("", 0, RFS_PACKED_NOT);
	expect("diskgz", 6, RFS_PACKED_NOT);
	expect("disk.GZ", 7, RFS_PACKED_NOT);
	expect("disk.gz.part", 12, RFS_PACKED_NOT);
	expect(".gz", 3, RFS_PACKED_NOT);
	expect("/backup/.zst", 12, RFS_PACKED_NOT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endings_tell),
		cmocka_unit_test(others_are_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
