// SPDX-License-Identifier: GPL-3.0-or-later
/* What a mount says of rescued bytes, and qemu-img of its map: texts of others. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "site/kept.h"
#include "site/qemu_map.h"

static const struct rfs_range asked = { 4096, 1024 };

static void kept_bytes_are_understood(void **state)
{
	static struct rfs_kept_piece piece;

	(void)state;
	assert_int_equal(rfs_kept_understand("+00ff7a", asked, &piece, NULL),
			 0);
	assert_true(piece.is_kept);
	assert_int_equal(piece.len, 3);
	assert_memory_equal(piece.bytes, "\x00\xff\x7a", 3);
	assert_int_equal(rfs_kept_understand("-512", asked, &piece, NULL), 0);
	assert_false(piece.is_kept);
	assert_int_equal(piece.len, 512);
}

static void senseless_answers_are_refused(void **state)
{
	static const char *const answers[] = {
		"",   "00",    "+",    "+0g",	 "+GG",
		"-",  "-0",    "-1x",  "-1025",	 "-18446744073709551615",
		"x1", "+0x0x", "- -1", "--1024", "-99999999999999999999",
	};
	static struct rfs_kept_piece piece;
	char *long_one = calloc(1, 2 * asked.len + 4);

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++)
		assert_int_equal(
			rfs_kept_understand(answers[i], asked, &piece, NULL),
			-EBADMSG);
	/* More than was asked for. */
	memset(long_one, '0', 2 * asked.len + 3);
	long_one[0] = '+';
	assert_int_equal(rfs_kept_understand(long_one, asked, &piece, NULL),
			 -EBADMSG);
	free(long_one);
}

static void lines_of_the_map_are_understood(void **state)
{
	struct rfs_qemu_place place;

	(void)state;
	assert_int_equal(
		rfs_qemu_map_line(
			"[{ \"start\": 65536, \"length\": 512, \"depth\": 0, "
			"\"present\": true, \"zero\": false, \"data\": true, "
			"\"offset\": 327680},\n",
			&place, NULL),
		0);
	assert_int_equal(place.range.off, 65536);
	assert_int_equal(place.range.len, 512);
	assert_true(place.is_present && place.is_data && place.is_told);
	assert_int_equal(place.host, 327680);
	/* Compressed: stored, but at no offset of the disk's bytes. */
	assert_int_equal(rfs_qemu_map_line("{ \"start\": 0, \"length\": 65536, "
					   "\"data\": true}]",
					   &place, NULL),
			 0);
	assert_true(place.is_data && !place.is_told);
	assert_int_equal(rfs_qemu_map_line("{ \"start\": 0, \"length\": 65536, "
					   "\"data\": false}]",
					   &place, NULL),
			 0);
	assert_false(place.is_present || place.is_data);
}

static void senseless_lines_are_refused(void **state)
{
	static const char *const lines[] = {
		"",
		"[]",
		"{",
		"{}",
		"{ \"start\": 0, \"data\": true}",
		"{ \"start\": -1, \"length\": 512, \"data\": true}",
		"{ \"start\": 0, \"length\": \"512\", \"data\": true}",
		"{ \"start\": 9223372036854775807, \"length\": 512}",
		"{\"start\":0,\"length\":512,\"offset\":9223372036854775807}",
	};
	struct rfs_qemu_place place;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		assert_int_equal(rfs_qemu_map_line(lines[i], &place, NULL),
				 -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_bytes_are_understood),
		cmocka_unit_test(senseless_answers_are_refused),
		cmocka_unit_test(lines_of_the_map_are_understood),
		cmocka_unit_test(senseless_lines_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
