// SPDX-License-Identifier: GPL-3.0-or-later
/* What the trial makes of machines on which one way or another is faster. */
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
	unsigned by[RFS_TRIAL_WAYS]; /* requests a millisecond */
	unsigned ms[RFS_TRIAL_WAYS]; /* that it was done so */
};

static enum rfs_trial_way look(struct world *w, bool one_by_one)
{
	enum rfs_trial_way way = w->trial.way;

	w->now_ns += MS;
	w->takes += w->by[way];
	w->ms[way]++;
	way = rfs_trial_look(&w->trial, w->now_ns, w->takes, w->wanted,
			     one_by_one);
	/* One that is not needed goes after a while: at once, here. */
	w->wanted = rfs_trial_least(&w->trial);
	return way;
}

/* Requests come one by one for so long. */
static void go_on(struct world *w, unsigned ms)
{
	for (unsigned i = 0; i < ms; i++)
		look(w, true);
}

static struct world run(unsigned by_one, unsigned beside, unsigned by_two,
			unsigned ms)
{
	struct world w = { .wanted = 1,
			   .by = { by_one, beside, by_two },
			   .trial.can_be_beside = beside > 0 };

	go_on(&w, ms);
	return w;
}

static void two_stay_where_they_are_faster(void **state)
{
	struct world w = run(40, 0, 70, 200);

	(void)state;
	assert_int_equal(w.trial.way, RFS_TRIAL_TWO);
	w = run(40, 50, 70, 200);
	assert_int_equal(w.trial.way, RFS_TRIAL_TWO);
	w = run(40, 50, 70, 10000);
	assert_in_range(w.ms[RFS_TRIAL_TWO], 9000, 9900); /* tried anew */
}

static void beside_stays_where_it_is_faster(void **state)
{
	struct world w = run(40, 90, 70, 200);

	(void)state;
	assert_int_equal(w.trial.way, RFS_TRIAL_BESIDE);
	w = run(40, 90, 70, 10000);
	assert_in_range(w.ms[RFS_TRIAL_BESIDE], 9000, 9900);
}

/* As when much is written in large requests: some are enough to tell. */
static void one_request_a_millisecond_is_enough(void **state)
{
	struct world w = { .wanted = 1, .by = { 0, 0, 1 } };

	(void)state;
	for (int i = 0; i < 250; i++) {
		w.by[RFS_TRIAL_ONE] = i % 2;
		look(&w, true);
		if (i < 90)
			assert_int_equal(w.wanted, 1);
	}
	assert_int_equal(w.trial.phase, RFS_TRIAL_KEEP);
	assert_int_equal(w.wanted, 2);
}

static void one_stays_where_others_are_no_faster(void **state)
{
	struct world w = run(40, 41, 42, 200);

	(void)state;
	assert_int_equal(w.trial.way, RFS_TRIAL_ONE);
	w = run(80, 75, 75, 10000);
	assert_in_range(w.ms[RFS_TRIAL_ONE], 9000, 9900);
}

/* What was fast only while it was tried. */
static void luck_is_found_out(void **state)
{
	struct world w = run(90, 60, 50, 130);

	(void)state;
	assert_int_equal(w.trial.phase, RFS_TRIAL_KEEP);
	assert_int_equal(w.trial.way, RFS_TRIAL_ONE);
	w.by[RFS_TRIAL_ONE] = 20;
	go_on(&w, 250);
	assert_int_equal(w.trial.phase, RFS_TRIAL_KEEP);
	assert_int_equal(w.trial.way, RFS_TRIAL_BESIDE);
}

static void what_changes_is_found_in_time(void **state)
{
	struct world w = run(40, 0, 70, 500);

	(void)state;
	assert_int_equal(w.trial.way, RFS_TRIAL_TWO);
	w.by[RFS_TRIAL_ONE] = 100;
	go_on(&w, 2200);
	assert_int_equal(w.trial.way, RFS_TRIAL_ONE);
}

/* For a while; and never where it cannot be had. */
static void who_got_no_processor_is_not_beside(void **state)
{
	struct world w = run(40, 90, 30, 200);

	(void)state;
	assert_int_equal(w.trial.way, RFS_TRIAL_BESIDE);
	rfs_trial_shun_beside(&w.trial);
	for (int i = 0; i < 1900; i++)
		assert_int_not_equal(look(&w, true), RFS_TRIAL_BESIDE);
	go_on(&w, 2500);
	assert_int_equal(w.trial.way, RFS_TRIAL_BESIDE);
	w = run(40, 0, 70, 5000);
	assert_int_equal(w.ms[RFS_TRIAL_BESIDE], 0);
}

static void slow_requests_are_no_reason(void **state)
{
	struct world w = { .wanted = 1 };

	(void)state;
	for (int i = 0; i < 5000; i++) {
		w.by[RFS_TRIAL_ONE] = w.by[RFS_TRIAL_TWO] = i % 5 == 0;
		look(&w, true);
	}
	assert_int_equal(w.ms[RFS_TRIAL_TWO], 0);
}

/* Several readers, or one that asks for much, get threads as they need them. */
static void requests_that_wait_for_each_other_end_it(void **state)
{
	struct world w = run(40, 0, 70, 500);

	(void)state;
	look(&w, false);
	assert_int_equal(w.wanted, 1);
	for (int i = 0; i < 1000; i++)
		look(&w, i % 4);
	assert_int_equal(w.wanted, 1);
}

/* One reader that now and then asks for more at once does not begin from the start. */
static void after_a_moment_it_goes_on(void **state)
{
	struct world w = run(40, 90, 70, 200);
	unsigned before = w.ms[RFS_TRIAL_TWO];

	(void)state;
	for (int i = 0; i < 1500; i++)
		look(&w, i % 50);
	assert_int_equal(w.trial.way, RFS_TRIAL_BESIDE);
	assert_int_equal(w.ms[RFS_TRIAL_TWO], before);
	/* But who comes after a pause does. */
	w.by[RFS_TRIAL_ONE] = w.by[RFS_TRIAL_BESIDE] = 0;
	go_on(&w, 5);
	w.by[RFS_TRIAL_ONE] = 40;
	w.by[RFS_TRIAL_BESIDE] = 90;
	go_on(&w, 120);
	assert_true(w.ms[RFS_TRIAL_TWO] > before);
}

/* Two that are there for another reason are not what one is held against. */
static void one_thread_is_measured_alone(void **state)
{
	struct world w = { .wanted = 2, .by = { 80, 0, 60 } };

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
	struct world w = run(40, 0, 70, 10);

	(void)state;
	assert_int_equal(w.trial.phase, RFS_TRIAL_MEASURE);
	w.wanted = 2;
	look(&w, true);
	assert_int_equal(w.trial.phase, RFS_TRIAL_IDLE);
	w = run(40, 0, 70, 200);
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
		cmocka_unit_test(one_stays_where_others_are_no_faster),
		cmocka_unit_test(beside_stays_where_it_is_faster),
		cmocka_unit_test(luck_is_found_out),
		cmocka_unit_test(after_a_moment_it_goes_on),
		cmocka_unit_test(who_got_no_processor_is_not_beside),
		cmocka_unit_test(what_changes_is_found_in_time),
		cmocka_unit_test(slow_requests_are_no_reason),
		cmocka_unit_test(requests_that_wait_for_each_other_end_it),
		cmocka_unit_test(one_thread_is_measured_alone),
		cmocka_unit_test(others_that_need_threads_end_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
