// SPDX-License-Identifier: GPL-3.0-or-later
/* A thread gives way, and goes where another one is. */
#include "fs/loop_beside.h"

#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/loop_parts.h"

/* Its kernel may have moved it away again by the time one looks. */
#define TIMES 200

static struct rfs_loop loop = { .beside = true };

/* Of the loop: it is aligned as no variable on the stack can be relied on to be. */
static struct rfs_loop_member *new_member(void)
{
	struct rfs_loop_member *m = &loop.members[0];

	*m = (struct rfs_loop_member){ .loop = &loop, .tid = gettid() };
	return m;
}

/* Somebody who is on one processor until told to end. */
struct reader {
	pthread_t thread;
	size_t processor;
	pid_t tid;
	sem_t there, end;
};

static void *sit(void *data)
{
	struct reader *r = data;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(r->processor, &set);
	sched_setaffinity(0, sizeof(set), &set);
	/* The processor is the 39th field, the name the second. */
	prctl(PR_SET_NAME, "a) R 1 2 (b");
	r->tid = gettid();
	sem_post(&r->there);
	sem_wait(&r->end);
	return NULL;
}

static void start_reader(struct reader *r, size_t processor)
{
	r->processor = processor;
	sem_init(&r->there, 0, 0);
	sem_init(&r->end, 0, 0);
	assert_int_equal(pthread_create(&r->thread, NULL, sit, r), 0);
	sem_wait(&r->there);
}

static void end_reader(struct reader *r)
{
	sem_post(&r->end);
	pthread_join(r->thread, NULL);
	sem_destroy(&r->there);
	sem_destroy(&r->end);
}

static cpu_set_t allowed(void)
{
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	return set;
}

static bool gets_there(struct rfs_loop_member *m, int processor)
{
	for (int i = 0; i < TIMES; i++) {
		m->followed = 0;
		rfs_loop_follow(m);
		if (sched_getcpu() == processor)
			return true;
	}
	return false;
}

static void follows_its_reader(void **state)
{
	struct rfs_loop_member *m = new_member();
	const cpu_set_t before = allowed();
	cpu_set_t after;
	struct reader r;

	(void)state;
	for (size_t i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &before))
			continue;
		start_reader(&r, i);
		m->reader = r.tid;
		assert_true(gets_there(m, (int)i));
		assert_int_equal(loop.together, i);
		after = allowed();
		assert_true(CPU_EQUAL(&before, &after));
		end_reader(&r);
	}
}

static void readers_that_are_not_there_are_not_followed(void **state)
{
	static const pid_t nobody[] = { 0, -1, INT32_MAX };
	struct rfs_loop_member *m = new_member();

	(void)state;
	for (size_t i = 0; i < sizeof(nobody) / sizeof(nobody[0]); i++) {
		m->reader = nobody[i];
		m->followed = 0;
		loop.together = 12345;
		rfs_loop_follow(m);
		assert_int_equal(loop.together, nobody[i] > 0 ? -1 : 12345);
	}
}

static void keeps_away_from_them(void **state)
{
	const cpu_set_t before = allowed();
	bool away = false;
	cpu_set_t after;

	(void)state;
	if (CPU_COUNT(&before) < 2)
		skip();
	for (int i = 0; i < TIMES && !away; i++) {
		loop.together = sched_getcpu();
		rfs_loop_keep_away(&loop);
		away = sched_getcpu() != loop.together;
	}
	assert_true(away);
	after = allowed();
	assert_true(CPU_EQUAL(&before, &after));
}

static void gives_way_until_it_stops(void **state)
{
	struct rfs_loop_member *m = new_member();

	(void)state;
	if (!rfs_loop_can_give_way())
		skip();
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	rfs_loop_stop_giving_way(m);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	rfs_loop_give_way(m);
	assert_int_equal(sched_getscheduler(0), SCHED_IDLE);
	rfs_loop_stop_giving_way(m);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
}

/* After the end of that nobody would see to it that it gets a processor. */
static void gives_no_way_when_it_is_over(void **state)
{
	struct rfs_loop_member *m = new_member();

	(void)state;
	loop.beside = false;
	rfs_loop_give_way(m);
	loop.beside = true;
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	assert_false(m->gives_way);
}

static void *insist(void *data)
{
	rfs_loop_insist(data);
	return NULL;
}

static void another_thread_ends_it(void **state)
{
	struct rfs_loop_member *m = new_member();
	pthread_t thread;

	(void)state;
	if (!rfs_loop_can_give_way())
		skip();
	rfs_loop_give_way(m);
	assert_int_equal(pthread_create(&thread, NULL, insist, m), 0);
	pthread_join(thread, NULL);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);
	assert_true(m->gives_way);
	rfs_loop_stop_giving_way(m);
	assert_false(m->gives_way);
}

/* Who has another policy already is left alone. */
static void other_policies_stay(void **state)
{
	const struct sched_param none = { 0 };
	struct rfs_loop_member *m = new_member();
	bool can;

	(void)state;
	if (!rfs_loop_can_give_way())
		skip();
	assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &none), 0);
	can = rfs_loop_can_give_way();
	rfs_loop_give_way(m);
	assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
	assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &none), 0);
	assert_false(can);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(follows_its_reader),
		cmocka_unit_test(readers_that_are_not_there_are_not_followed),
		cmocka_unit_test(keeps_away_from_them),
		cmocka_unit_test(gives_way_until_it_stops),
		cmocka_unit_test(gives_no_way_when_it_is_over),
		cmocka_unit_test(another_thread_ends_it),
		cmocka_unit_test(other_policies_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
