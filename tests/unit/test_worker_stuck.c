// SPDX-License-Identifier: GPL-3.0-or-later
/* P6: how long a source that hangs again and again is left alone, and how many
 * processes may be stuck in it.  The children are none, and the clock is ours. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "readers/worker.h"
#include "readers/worker_child.h"

#define SECOND	 INT64_C(1000000000)
#define DEADLINE (2 * SECOND)
#define MOST	 64

static int64_t clock_ns;
static int started;		/* the last one's pid */
static bool hangs;		/* all that is asked for from now on */
static bool never_ends;		/* what was ended is stuck in the kernel */
static bool is_stuck[MOST + 1]; /* by pid */
static bool is_hanging[MOST + 1];
static struct rfs_worker *w;
static struct rfs_worker_file *file;

int __wrap_clock_gettime(clockid_t id, struct timespec *ret);

int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
	(void)id;
	*ret = (struct timespec){ clock_ns / SECOND, clock_ns % SECOND };
	return 0;
}

int rfs_child_start(struct rfs_child *c)
{
	c->pid = ++started;
	assert_in_range(started, 1, MOST);
	return 0;
}

void rfs_child_end(struct rfs_child *c)
{
	is_stuck[c->pid] = never_ends;
	*c = (struct rfs_child){ 0 };
}

bool rfs_child_reap(pid_t pid)
{
	return !is_stuck[pid];
}

int rfs_child_send(struct rfs_child *c, const struct rfs_child_request *q)
{
	(void)q;
	is_hanging[c->pid] = hangs;
	return 0;
}

int rfs_child_receive(struct rfs_child *c, int64_t timeout_ns, int64_t *ret)
{
	*ret = 512;
	if (!is_hanging[c->pid])
		return 0;
	clock_ns += timeout_ns;
	return -EAGAIN;
}

const void *rfs_child_bytes(const struct rfs_child *c)
{
	static uint8_t room[RFS_WORKER_ROOM];

	(void)c;
	return room;
}

const struct stat *rfs_child_stat(const struct rfs_child *c)
{
	static struct stat st;

	(void)c;
	return &st;
}

static int set_up(void **state)
{
	(void)state;
	clock_ns = 1000 * SECOND;
	started = 0;
	hangs = true;
	never_ends = false;
	memset(is_hanging, 0, sizeof(is_hanging));
	memset(is_stuck, 0, sizeof(is_stuck));
	assert_int_equal(rfs_worker_new("bm0002", DEADLINE / 1000000, &w, NULL),
			 0);
	assert_int_equal(
		rfs_worker_file_new(w, open("/dev/null", O_RDONLY | O_CLOEXEC),
				    &file, NULL),
		0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rfs_worker_file_free(file);
	rfs_worker_free(w);
	return 0;
}

static ssize_t read_some(bool background)
{
	struct rfs_patience patience = rfs_worker_patience(w);
	char buf[512];

	patience.background = background;
	return rfs_worker_pread(file, buf, 512, 0, &patience);
}

static struct rfs_worker_counts counts(void)
{
	struct rfs_worker_counts c;

	rfs_worker_counts(w, &c);
	return c;
}

static int64_t aside(bool background)
{
	return background ? counts().background_aside_ns : counts().aside_ns;
}

/* It is set aside for so long, to the last nanosecond. */
static void expect_pause(bool background, int64_t seconds)
{
	assert_int_equal(aside(background), seconds * SECOND);
	clock_ns += seconds * SECOND - 1;
	assert_int_equal(read_some(background), -ETIMEDOUT);
	assert_int_equal(aside(background), 1);
	clock_ns++;
	assert_int_equal(aside(background), 0);
}

static void pauses_double(bool background)
{
	static const int64_t seconds[] = { 1, 2, 4, 8, 16, 32, 60, 60, 60 };

	for (size_t i = 0; i < sizeof(seconds) / sizeof(*seconds); i++) {
		assert_int_equal(read_some(background), -ETIMEDOUT);
		assert_int_equal(counts().missed, i + 1);
		expect_pause(background, seconds[i]);
	}
	/* An answer, and they begin anew. */
	hangs = false;
	assert_int_equal(read_some(background), 512);
	hangs = true;
	assert_int_equal(read_some(background), -ETIMEDOUT);
	expect_pause(background, 1);
}

static void pauses_double_up_to_a_minute(void **state)
{
	(void)state;
	pauses_double(false);
}

static void so_do_those_of_the_background(void **state)
{
	(void)state;
	pauses_double(true);
	assert_int_equal(aside(false), 0);
}

static void miss_often(bool background)
{
	for (int i = 0; i < 20; i++) {
		assert_int_equal(read_some(background), -ETIMEDOUT);
		assert_true(aside(background) > 0);
		clock_ns += 60 * SECOND;
	}
}

static void few_are_stuck(void **state)
{
	(void)state;
	never_ends = true;
	miss_often(false);
	assert_int_equal(counts().stuck, 4);
	assert_int_equal(started, 5); /* the last may come back still */
	/* One of them is gone: another may be tried. */
	is_stuck[2] = false;
	hangs = false;
	assert_int_equal(read_some(false), 512);
	assert_int_equal(started, 6);
	assert_int_equal(counts().stuck, 4);
}

/* The background leaves some for the foreground. */
static void fewer_are_the_backgrounds(void **state)
{
	(void)state;
	never_ends = true;
	miss_often(true);
	assert_int_equal(counts().stuck, 2);
	assert_int_equal(started, 3);
	hangs = false;
	assert_int_equal(read_some(false), 512);
	hangs = true;
	miss_often(false);
	assert_int_equal(counts().stuck, 4);
	assert_int_equal(started, 6);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(pauses_double_up_to_a_minute),
		T(so_do_those_of_the_background),
		T(few_are_stuck),
		T(fewer_are_the_backgrounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
