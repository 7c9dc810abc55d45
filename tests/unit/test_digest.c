// SPDX-License-Identifier: GPL-3.0-or-later
/* Digests, against values that other programs give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/digest.h"

static void assert_digest(struct rfs_digest d, const char *hex)
{
	char text[2 * RFS_DIGEST_LEN + 1];

	for (size_t i = 0; i < RFS_DIGEST_LEN; i++)
		snprintf(text + 2 * i, 3, "%02x", d.bytes[i]);
	assert_string_equal(text, hex);
}

/* As printf ... | xxh128sum and sha256sum have it. */
static void digests_are_the_known_ones(void **state)
{
	(void)state;
	assert_digest(rfs_digest_data("", 0),
		      "99aa06d3014798d86001c324468d497f");
	assert_digest(rfs_digest_data("rescue", 6),
		      "1650670d323b66bab11ccfcfd23f39f5");
	assert_digest(rfs_digest("rescue", 6),
		      "824ef7874151e9c8c4f7c3c821d0e5da");
}

static void a_flipped_bit_does_not_agree(void **state)
{
	uint8_t data[65536];
	struct rfs_digest d;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * i >> 3);
	d = rfs_digest_data(data, sizeof(data));
	assert_true(rfs_digest_agrees(&d, data, sizeof(data)));
	for (size_t bit = 0; bit < 8 * sizeof(data); bit += 4001) {
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(rfs_digest_agrees(&d, data, sizeof(data)));
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_false(rfs_digest_agrees(&d, data, sizeof(data) - 1));
}

/* What states of version 2 kept. */
static void an_older_digest_agrees(void **state)
{
	struct rfs_digest d = rfs_digest("yesterday's", 11);

	(void)state;
	assert_true(rfs_digest_agrees(&d, "yesterday's", 11));
	assert_false(rfs_digest_agrees(&d, "yesterday.s", 11));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_are_the_known_ones),
		cmocka_unit_test(a_flipped_bit_does_not_agree),
		cmocka_unit_test(an_older_digest_agrees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
