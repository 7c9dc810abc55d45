// SPDX-License-Identifier: GPL-3.0-or-later
/* What the trial makes of a machine on which a second thread helps, or does not. */
#include "fs/loop_trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MS 1000000

/* A reader on a machine, as the onlooker sees it. */
struct world {
	struct rfs_trial trial;
	int64_t now_ns;
	unsigned long takes;
	unsigned wanted;
	unsigned by_one, by_two; /* requests a millisecond */
	unsigned ms_of_two;	 /* that there were two threads */
};

static void look(struct world *w, bool one_by_one)
{
	w->now_ns += MS;
	w->takes += w->wanted > 1 ? w->by_two : w->by_one;
	w->ms_of_two += w->wanted > 1;
	/* One that is not needed goes after a while: at once, here. */
	w->wanted = rfs_trial_look(&w->trial, w->now_ns, w->takes, w->wanted,
				   one_by_one);
}

static struct world run(unsigned by_one, unsigned by_two, unsigned ms)
{
	struct world w = { .wanted = 1, .by_one = by_one, .by_two = by_two };

	for (unsigned i = 0; i < ms; i++)
		look(&w, true);
	return w;
}

static void two_stay_where_they_are_faster(void **state)
{
	struct world w = run(40, 70, 200);

	(void)state;
	assert_int_equal(w.wanted, 2);
	w = run(40, 70, 10000);
	assert_in_range(w.ms_of_two, 9000, 9900); /* tried again and again */
}

/* As when much is written in large requests: some are enough to tell. */
static void one_request_a_millisecond_is_enough(void **state)
{
	struct world w = { .wanted = 1 };

	(void)state;
	for (int i = 0; i < 200; i++) {
		w.by_one = i % 2;
		w.by_two = 1;
		look(&w, true);
		if (i < 90)
			assert_int_equal(w.wanted, 1);
	}
	assert_int_equal(w.trial.phase, RFS_TRIAL_KEEP);
	assert_int_equal(w.wanted, 2);
}

static void one_stays_where_two_are_no_faster(void **state)
{
	struct world w = run(40, 42, 200);

	(void)state;
	assert_int_equal(w.wanted, 1);
	w = run(80, 75, 10000);
	assert_in_range(w.ms_of_two, 1, 500);
}

static void what_changes_is_found_within_a_second(void **state)
{
	struct world w = run(40, 70, 500);

	(void)state;
	assert_int_equal(w.wanted, 2);
	w.by_two = 30;
	for (int i = 0; i < 1200; i++)
		look(&w, true);
	assert_int_equal(w.wanted, 1);
}

static void slow_requests_are_no_reason(void **state)
{
	struct world w = { .wanted = 1 };

	(void)state;
	for (int i = 0; i < 5000; i++) {
		w.by_one = w.by_two = i % 5 == 0;
		look(&w, true);
	}
	assert_int_equal(w.ms_of_two, 0);
}

/* Several readers, or one that asks for much, get threads as they need them. */
static void requests_that_wait_for_each_other_end_it(void **state)
{
	struct world w = run(40, 70, 500);

	(void)state;
	look(&w, false);
	assert_int_equal(w.wanted, 1);
	for (int i = 0; i < 1000; i++)
		look(&w, i % 20);
	assert_int_equal(w.wanted, 1);
}

/* Two that are there for another reason are not what one is held against. */
static void one_thread_is_measured_alone(void **state)
{
	struct world w = { .wanted = 2, .by_one = 80, .by_two = 60 };

	(void)state;
	for (int i = 0; i < 100; i++) {
		w.wanted = 2;
		look(&w, true);
		assert_int_equal(w.trial.phase, RFS_TRIAL_IDLE);
	}
}

/* Nor are two that others needed meanwhile; and more than two are not ours. */
static void others_that_need_threads_end_it(void **state)
{
	struct world w = run(40, 70, 10);

	(void)state;
	assert_int_equal(w.trial.phase, RFS_TRIAL_ONE);
	w.wanted = 2;
	look(&w, true);
	assert_int_equal(w.trial.phase, RFS_TRIAL_IDLE);
	w = run(40, 70, 200);
	assert_int_equal(w.wanted, 2);
	w.wanted = 3;
	look(&w, true);
	assert_int_equal(w.wanted, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_stay_where_they_are_faster),
		cmocka_unit_test(one_request_a_millisecond_is_enough),
		cmocka_unit_test(one_stays_where_two_are_no_faster),
		cmocka_unit_test(what_changes_is_found_within_a_second),
		cmocka_unit_test(slow_requests_are_no_reason),
		cmocka_unit_test(requests_that_wait_for_each_other_end_it),
		cmocka_unit_test(one_thread_is_measured_alone),
		cmocka_unit_test(others_that_need_threads_end_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
