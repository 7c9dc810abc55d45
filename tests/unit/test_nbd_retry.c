// SPDX-License-Identifier: GPL-3.0-or-later
/* When a server that did not do is tried again, by a clock that is passed in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "readers/nbd_retry.h"

#define SECOND INT64_C(1000000000)

/* Loses it at 'now', and goes on to when it is tried again.  True: at once. */
static bool lose(struct rfs_nbd_retry *r, int64_t *now, bool may_be_quick,
		 int64_t *ret_gap)
{
	bool quick = rfs_nbd_retry_lost(r, *now, may_be_quick);

	*ret_gap = r->at_ns - *now;
	assert_true(*ret_gap >= 0);
	*now = r->at_ns;
	return quick;
}

/* A server that does not come back: some attempts at once, then pauses, each
 * twice as long as the one before, up to half a minute. */
static void pauses_grow(void **state)
{
	struct rfs_nbd_retry r = { 0 };
	int64_t now = 100 * SECOND, gap, last = -1;

	(void)state;
	for (int i = 0; i < RFS_NBD_QUICK_ATTEMPTS; i++) {
		assert_true(lose(&r, &now, true, &gap));
		assert_true(gap > last && gap < RFS_NBD_PAUSE_MIN);
		last = gap;
	}
	assert_false(lose(&r, &now, true, &gap));
	assert_int_equal(gap, SECOND / 2);
	for (int i = 0; i < 5; i++) {
		last = gap;
		assert_false(lose(&r, &now, false, &gap));
		assert_int_equal(gap, 2 * last);
		assert_int_equal(r.pause_ns, gap);
	}
	for (int i = 0; i < 200; i++) {
		assert_false(lose(&r, &now, i % 2, &gap));
		assert_int_equal(gap, 30 * SECOND);
	}
}

/* It answers, and what was before is forgotten. */
static void an_answer_ends_it(void **state)
{
	struct rfs_nbd_retry r = { 0 };
	int64_t now = SECOND, gap;

	(void)state;
	for (int i = 0; i < 12; i++)
		lose(&r, &now, true, &gap);
	assert_true(gap > 10 * SECOND);
	r.up_ns = now;
	rfs_nbd_retry_heard(&r);
	assert_true(lose(&r, &now, true, &gap));
	assert_int_equal(gap, 0);
	assert_int_equal(rfs_nbd_retry_pause(&r), SECOND / 2);
	assert_int_equal(rfs_nbd_retry_pause(&r), SECOND);
}

/* One that takes each connection, and drops it before it answered anything. */
static void connections_alone_are_no_answer(void **state)
{
	struct rfs_nbd_retry r = { 0 };
	int64_t now = SECOND, gap, last = 0;

	(void)state;
	for (int i = 0; i < 9; i++) {
		r.up_ns = now;
		now += SECOND / 10;
		lose(&r, &now, true, &gap);
		assert_int_equal(r.up_ns, 0);
		if (i > RFS_NBD_QUICK_ATTEMPTS)
			assert_true(gap >= 2 * last);
		last = gap;
	}
	assert_true(gap > 5 * SECOND);
}

/* One that ends connections on which nothing is asked for long is not at fault,
 * however often. */
static void idle_connections_may_end(void **state)
{
	struct rfs_nbd_retry r = { 0 };
	int64_t now = SECOND, gap;

	(void)state;
	for (int i = 0; i < 50; i++) {
		r.up_ns = now;
		now += 60 * SECOND;
		assert_true(lose(&r, &now, true, &gap));
		assert_int_equal(gap, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pauses_grow),
		cmocka_unit_test(an_answer_ends_it),
		cmocka_unit_test(connections_alone_are_no_answer),
		cmocka_unit_test(idle_connections_may_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
