// SPDX-License-Identifier: GPL-3.0-or-later
/* The digests of a stream, against libgcrypt in one go and known values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/digester.h"

static void digest(const char *const *pieces, size_t n, uint64_t zeros,
		   struct rfs_digests *ret)
{
	struct rfs_digester *d;

	assert_int_equal(rfs_digester_new(&d, NULL), 0);
	for (size_t i = 0; i < n; i++) {
		memcpy(rfs_digester_room(d), pieces[i], strlen(pieces[i]));
		rfs_digester_put(d, strlen(pieces[i]));
	}
	if (zeros)
		rfs_digester_zeros(d, zeros);
	rfs_digester_end(d, ret);
	rfs_digester_free(d);
}

/* As md5sum and sha512sum have them. */
static void the_known_ones(void **state)
{
	const char *pieces[] = { "re", "sc", "ue" };
	struct rfs_digests is;

	(void)state;
	digest(NULL, 0, 0, &is);
	assert_string_equal(is.md5, "d41d8cd98f00b204e9800998ecf8427e");
	digest(pieces, 3, 0, &is);
	assert_string_equal(is.md5, "92bea1d58fa4d983047774eaea85f8de");
	assert_string_equal(is.sha512, "2f04617aa7744e71be216a6d32ef8036eb776a2"
				       "1bb58229e06b00e42e473fc50"
				       "db79f7c5005e0d0cd9633e39e34faba3bdf9de1"
				       "21134a6785b7dc3cc162a4af0");
	/* head -c 10000001 /dev/zero */
	digest(NULL, 0, 10000001, &is);
	assert_string_equal(is.md5, "57d7052bde2719b06626360ab5cb8676");
}

/* More pieces than the ring is deep, each other than the one before: a buffer
 * that is filled too early shows. */
static void the_ring_goes_round(void **state)
{
	struct rfs_digester *d;
	struct rfs_digests is;

	(void)state;
	assert_int_equal(rfs_digester_new(&d, NULL), 0);
	for (int i = 0; i < 40; i++) {
		memset(rfs_digester_room(d), 'a' + i % 26, 1000000);
		rfs_digester_put(d, 1000000);
	}
	rfs_digester_end(d, &is);
	rfs_digester_free(d);
	assert_string_equal(is.md5, "04bdd80ea9b17c3b6d0a9ac2c9d0e13e");
}

static void a_stream_may_be_given_up(void **state)
{
	struct rfs_digester *d;

	(void)state;
	assert_int_equal(rfs_digester_new(&d, NULL), 0);
	memset(rfs_digester_room(d), 1, 4096);
	rfs_digester_put(d, 4096);
	rfs_digester_free(d);
	rfs_digester_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_known_ones),
		cmocka_unit_test(the_ring_goes_round),
		cmocka_unit_test(a_stream_may_be_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
