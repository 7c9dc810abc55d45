// SPDX-License-Identifier: GPL-3.0-or-later
/* The loop under a filesystem of five files: "fast" answers, "medium" does so after
 * it slept for a while, "busy" after it worked for one, "slow" once it is let go, and
 * "late" has its thread linger on. */
#define FUSE_USE_VERSION 314
#include "fs/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/loop_beside.h"

#define SIZE	  4096
#define FAST	  2
#define SLOW	  3
#define MEDIUM	  4
#define MEDIUM_US 700 /* less than the onlooker's tick */
#define BUSY	  5
#define LATE	  6
#define MANY	  32
#define MORE	  80 /* than there are threads at the most */

static struct {
	char dir[32];
	struct fuse_session *se;
	struct rfs_loop *loop;
	pthread_t thread;
	int result;
	struct rfs_error err;
	bool is_over;
	int fast, late; /* open, or -1 */

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	unsigned held, answered;
	unsigned busy, most_busy; /* with "medium" or "busy" */
	int64_t busy_ns;	  /* how long "busy" works */
	bool is_open;
	unsigned ends; /* how often it was told of the end */

	/* Answers of "fast" and "late" before which the thread gave way, requests that
	 * one worked on which did, and who lingered: in the end no longer so. */
	atomic_uint given_way, working_so, insisted, lingered;
} fs = { .lock = PTHREAD_MUTEX_INITIALIZER,
	 .changed = PTHREAD_COND_INITIALIZER };

static void say_what(fuse_ino_t ino, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_nlink = 1;
	st->st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0555 : S_IFREG | 0444;
	st->st_size = ino == FUSE_ROOT_ID ? 0 : SIZE;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = {
		.ino = strcmp(name, "fast") == 0     ? FAST
		       : strcmp(name, "medium") == 0 ? MEDIUM
		       : strcmp(name, "busy") == 0   ? BUSY
		       : strcmp(name, "late") == 0   ? LATE
						     : SLOW,
	};

	(void)parent;
	say_what(e.ino, &e.attr);
	fuse_reply_entry(req, &e);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	say_what(ino, &st);
	fuse_reply_attr(req, &st, 0);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->direct_io = 1;
	fuse_reply_open(req, fi);
}

static void work(void)
{
	struct timespec begun, now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begun);
	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	while ((now.tv_sec - begun.tv_sec) * 1000000000 + now.tv_nsec -
		       begun.tv_nsec <
	       fs.busy_ns);
}

static void take_a_while(fuse_ino_t ino)
{
	pthread_mutex_lock(&fs.lock);
	if (++fs.busy > fs.most_busy)
		fs.most_busy = fs.busy;
	pthread_mutex_unlock(&fs.lock);
	if (ino == BUSY)
		work();
	else
		usleep(MEDIUM_US);
	pthread_mutex_lock(&fs.lock);
	fs.busy--;
	pthread_mutex_unlock(&fs.lock);
}

static bool gives_way(void)
{
	return sched_getscheduler(0) == SCHED_IDLE;
}

static void linger(void)
{
	for (int i = 0; i < 5000 && gives_way(); i++)
		usleep(1000);
	fs.insisted += !gives_way();
	fs.lingered++;
}

static void answer(fuse_req_t req, fuse_ino_t ino, const char *bytes,
		   size_t size)
{
	bool way;

	if (ino == FAST || ino == LATE)
		rfs_loop_answers();
	way = gives_way();
	fs.given_way += way;
	fuse_reply_buf(req, bytes, size);
	if (way && ino == LATE)
		linger();
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	char bytes[SIZE];

	(void)fi;
	(void)off;
	fs.working_so += gives_way();
	memset(bytes,
	       ino == FAST     ? 'f'
	       : ino == LATE   ? 'l'
	       : ino == MEDIUM ? 'm'
	       : ino == BUSY   ? 'b'
			       : 's',
	       sizeof(bytes));
	if (ino == MEDIUM || ino == BUSY)
		take_a_while(ino);
	pthread_mutex_lock(&fs.lock);
	if (ino == SLOW) {
		fs.held++;
		pthread_cond_broadcast(&fs.changed);
		while (!fs.is_open)
			pthread_cond_wait(&fs.changed, &fs.lock);
	}
	fs.answered++;
	pthread_mutex_unlock(&fs.lock);
	answer(req, ino, bytes, size < SIZE ? size : SIZE);
}

static const struct fuse_lowlevel_ops operations = {
	.lookup = op_lookup,
	.getattr = op_getattr,
	.open = op_open,
	.read = op_read,
};

static void end_begins(void *data)
{
	(void)data;
	pthread_mutex_lock(&fs.lock);
	fs.ends++;
	pthread_mutex_unlock(&fs.lock);
}

static void *loop_main(void *data)
{
	(void)data;
	fs.result = rfs_loop_run(fs.loop, end_begins, NULL, &fs.err);
	pthread_mutex_lock(&fs.lock);
	fs.is_over = true;
	pthread_cond_broadcast(&fs.changed);
	pthread_mutex_unlock(&fs.lock);
	return NULL;
}

static int set_up(void **state)
{
	char *argv[] = { (char[]){ "loop" } };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);

	(void)state;
	fs.given_way = fs.working_so = fs.insisted = fs.lingered = 0;
	fs.held = fs.answered = fs.ends = fs.busy = fs.most_busy = 0;
	fs.is_open = fs.is_over = false;
	fs.fast = fs.late = -1;
	fs.err = (struct rfs_error)RFS_ERROR_INIT;
	strcpy(fs.dir, "/tmp/rescuefs-loop.XXXXXX");
	assert_non_null(mkdtemp(fs.dir));
	fs.se = fuse_session_new(&args, &operations, sizeof(operations), NULL);
	fuse_opt_free_args(&args);
	assert_non_null(fs.se);
	if (fuse_session_mount(fs.se, fs.dir) != 0) {
		fuse_session_destroy(fs.se);
		rmdir(fs.dir);
		fs.se = NULL;
		return 0;
	}
	assert_int_equal(rfs_loop_new(fs.se, &fs.loop, &fs.err), 0);
	assert_int_equal(pthread_create(&fs.thread, NULL, loop_main, NULL), 0);
	return 0;
}

static void let_go(void)
{
	pthread_mutex_lock(&fs.lock);
	fs.is_open = true;
	pthread_cond_broadcast(&fs.changed);
	pthread_mutex_unlock(&fs.lock);
}

/* However a test ended: nothing stays mounted. */
static int tear_down(void **state)
{
	(void)state;
	if (!fs.se)
		return 0;
	let_go();
	close(fs.fast); /* else it stays mounted */
	close(fs.late);
	umount2(fs.dir, MNT_DETACH);
	pthread_join(fs.thread, NULL);
	rfs_loop_free(fs.loop);
	fuse_session_unmount(fs.se);
	fuse_session_destroy(fs.se);
	rmdir(fs.dir);
	return 0;
}

/* Waits until as many reads of "slow" are being answered at once; a minute is for
 * ever. */
static bool wait_held(unsigned count)
{
	struct timespec until;
	int r = 0;
	bool is_so;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 60;
	pthread_mutex_lock(&fs.lock);
	while (fs.held < count && r == 0)
		r = pthread_cond_timedwait(&fs.changed, &fs.lock, &until);
	is_so = fs.held >= count;
	pthread_mutex_unlock(&fs.lock);
	return is_so;
}

static bool wait_over(void)
{
	struct timespec until;
	int r = 0;
	bool is_so;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 60;
	pthread_mutex_lock(&fs.lock);
	while (!fs.is_over && r == 0)
		r = pthread_cond_timedwait(&fs.changed, &fs.lock, &until);
	is_so = fs.is_over;
	pthread_mutex_unlock(&fs.lock);
	return is_so;
}

/* One read of a file from its beginning: its first byte, or minus an errno. */
static int read_one(const char *name)
{
	char path[64], bytes[SIZE];
	ssize_t n;
	int fd, e;

	snprintf(path, sizeof(path), "%s/%s", fs.dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = pread(fd, bytes, sizeof(bytes), 0);
	e = errno;
	close(fd);
	return n < 0 ? -e : n == SIZE ? bytes[0] : -ENODATA;
}

static void *read_slow(void *data)
{
	*(int *)data = read_one("slow");
	return NULL;
}

/* Each gets its own of the items of 'size' bytes; 0: all get the same. */
static void start_threads(pthread_t *threads, size_t count,
			  void *(*main)(void *), void *items, size_t size)
{
	for (size_t i = 0; i < count; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, main,
						(char *)items + i * size),
				 0);
}

static void start_readers(pthread_t *threads, int *got, size_t count)
{
	start_threads(threads, count, read_slow, got, sizeof(*got));
}

static void join_readers(const pthread_t *threads, const int *got, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(got[i], 's');
	}
}

#define NEEDS_FUSE()                                                           \
	do {                                                                   \
		if (!fs.se) {                                                  \
			print_message("no FUSE: skipped\n");                   \
			skip();                                                \
		}                                                              \
	} while (0)

static void test_answers(void **state)
{
	(void)state;
	NEEDS_FUSE();
	for (int i = 0; i < 2000; i++)
		assert_int_equal(read_one("fast"), 'f');
}

/* Each takes a thread for as long as it takes, and the others go on. */
static void test_slow_requests_hold_up_nobody(void **state)
{
	pthread_t threads[MANY];
	int got[MANY];

	(void)state;
	NEEDS_FUSE();
	start_readers(threads, got, MANY);
	assert_true(wait_held(MANY));
	for (int i = 0; i < 100; i++)
		assert_int_equal(read_one("fast"), 'f');
	let_go();
	join_readers(threads, got, MANY);
}

/* What is more than there are threads waits, and is answered then. */
static void test_more_than_threads(void **state)
{
	pthread_t threads[MORE];
	int got[MORE];

	(void)state;
	NEEDS_FUSE();
	start_readers(threads, got, MORE);
	assert_true(wait_held(64));
	let_go();
	join_readers(threads, got, MORE);
	assert_int_equal(read_one("fast"), 'f');
}

/* Threads that are not needed any more are: again and again. */
static void test_waves(void **state)
{
	pthread_t threads[MANY];
	int got[MANY];

	(void)state;
	NEEDS_FUSE();
	for (unsigned wave = 1; wave <= 5; wave++) {
		start_readers(threads, got, MANY);
		assert_true(wait_held(MANY));
		let_go();
		join_readers(threads, got, MANY);
		usleep(20000u * wave); /* some park meanwhile */
		pthread_mutex_lock(&fs.lock);
		fs.held = 0;
		fs.is_open = false;
		pthread_mutex_unlock(&fs.lock);
	}
}

/* Until as many are answered at once as ask. */
static void *read_medium(void *data)
{
	unsigned *count = data, most = 0;

	for (int i = 0; i < 3000 && most < *count; i++) {
		read_one("medium");
		pthread_mutex_lock(&fs.lock);
		most = fs.most_busy;
		pthread_mutex_unlock(&fs.lock);
	}
	return NULL;
}

static void test_each_reader_has_a_thread(unsigned count)
{
	pthread_t threads[8];

	NEEDS_FUSE();
	start_threads(threads, count, read_medium, &count, 0);
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(fs.most_busy, count);
}

/* Requests that are over before the onlooker's next look wait for each other only
 * until it saw that they do. */
static void test_two_readers(void **state)
{
	(void)state;
	test_each_reader_has_a_thread(2);
}

static void test_four_readers(void **state)
{
	(void)state;
	test_each_reader_has_a_thread(4);
}

/* Processes, whose time counts only when they are over. */
static void start_processes(pid_t *pids, size_t count, int times)
{
	for (size_t i = 0; i < count; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] > 0)
			continue;
		for (int k = 0; k < times; k++)
			if (read_one("busy") != 'b')
				_exit(1);
		_exit(0);
	}
}

static double seconds(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

/* Of the processors' time since the start: of us, and of processes that ended. */
static double seconds_worked(void)
{
	struct rusage self, others;

	getrusage(RUSAGE_SELF, &self);
	getrusage(RUSAGE_CHILDREN, &others);
	return seconds(self.ru_utime) + seconds(self.ru_stime) +
	       seconds(others.ru_utime) + seconds(others.ru_stime);
}

/* The part of the processors that we had meanwhile. */
static double read_busy(size_t count, unsigned processors, int times)
{
	double worked = seconds_worked();
	struct timespec begun, now;
	pid_t pids[64];
	int status;

	fs.most_busy = 0;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	start_processes(pids, count, times);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (seconds_worked() - worked) /
	       ((double)(now.tv_sec - begun.tv_sec) +
		(double)(now.tv_nsec - begun.tv_nsec) / 1e9) /
	       processors;
}

static unsigned count_processors(void)
{
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	return (unsigned)CPU_COUNT(&set);
}

/* With so many readers, each of whom has a request worked on for 'busy_ns'. */
static void test_few_threads_work(int64_t busy_ns, int times)
{
	const unsigned processors = count_processors(), few = 3 * processors;
	double part = 1;

	if (8 * processors > 64)
		skip(); /* there are hardly more threads than that */
	fs.busy_ns = busy_ns;
	for (int i = 0; i < 5 && part > 0.9; i++) {
		part = read_busy(8 * processors, processors, times);
		if (fs.most_busy <= few)
			return;
	}
	if (part > 0.9)
		fail_msg("%u threads on %u processors", fs.most_busy,
			 processors);
	print_message("others have the processors: skipped\n");
	skip();
}

/* More threads than processors would but wait for these, and the longer each of them
 * takes for that, the less may it look like a source that is slow.  Those that were
 * there for one go. */
static void test_work_has_a_thread_for_each_processor(void **state)
{
	pthread_t threads[MANY];
	int got[MANY];

	(void)state;
	NEEDS_FUSE();
	start_readers(threads, got, MANY);
	assert_true(wait_held(MANY));
	let_go();
	join_readers(threads, got, MANY);
	test_few_threads_work(400000, 300);
}

/* Nor where each request is so much work that others are not to wait for it. */
static void test_much_work_has_few_threads(void **state)
{
	(void)state;
	NEEDS_FUSE();
	test_few_threads_work(8000000, 15);
}

static void *read_fast(void *data)
{
	int *bad = data;

	for (int i = 0; i < 500; i++)
		*bad += read_one("fast") != 'f';
	return NULL;
}

static void test_many_readers(void **state)
{
	pthread_t threads[8];
	int bad[8] = { 0 };

	(void)state;
	NEEDS_FUSE();
	start_threads(threads, 8, read_fast, bad, sizeof(bad[0]));
	for (size_t i = 0; i < 8; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(bad[i], 0);
	}
}

static void test_ends_when_unmounted(void **state)
{
	(void)state;
	NEEDS_FUSE();
	assert_int_equal(read_one("fast"), 'f');
	assert_int_equal(umount2(fs.dir, 0), 0);
	assert_true(wait_over());
	assert_int_equal(fs.result, 0);
}

static void take_signal(int number)
{
	(void)number;
	rfs_loop_stop(fs.loop);
}

static int open_one(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", fs.dir, name);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	return fd;
}

/* Reads until the thread gave way once more, a minute at the most. */
static bool read_until_given_way(void)
{
	unsigned before = fs.given_way;
	time_t until = time(NULL) + 60;
	char c;

	while (fs.given_way == before && time(NULL) < until)
		assert_int_equal(pread(fs.fast, &c, 1, 0), 1);
	return fs.given_way != before;
}

/* A thread beside its reader gives way from its answer to the next request, and no
 * longer; who cannot go on is no longer made to. */
static void test_gives_way_between_requests(void **state)
{
	char c;

	(void)state;
	NEEDS_FUSE();
	if (!rfs_loop_can_give_way() || count_processors() < 2)
		skip();
	fs.fast = open_one("fast");
	fs.late = open_one("late");
	for (int i = 0; i < 1000 && !fs.lingered; i++) {
		assert_true(read_until_given_way());
		assert_int_equal(pread(fs.late, &c, 1, 0), 1);
		assert_int_equal(c, 'l');
	}
	assert_true(fs.lingered);
	assert_int_equal(fs.insisted, fs.lingered);
	assert_int_equal(fs.working_so, 0);
}

/* It sleeps, as it has nothing to do, when the signal comes. */
static void test_ends_by_signal(void **state)
{
	struct sigaction sa = { .sa_handler = take_signal }, old;

	(void)state;
	NEEDS_FUSE();
	assert_int_equal(sigaction(SIGTERM, &sa, &old), 0);
	assert_int_equal(read_one("fast"), 'f');
	usleep(50000);
	pthread_kill(pthread_self(), SIGTERM);
	assert_true(wait_over());
	sigaction(SIGTERM, &old, NULL);
	assert_int_equal(fs.result, 0);
	assert_int_equal(fs.ends, 1);
}

/* Although requests still come. */
static void test_stops_when_told(void **state)
{
	pthread_t threads[2];
	int bad[2] = { 0 };

	(void)state;
	NEEDS_FUSE();
	start_threads(threads, 2, read_fast, bad, sizeof(bad[0]));
	rfs_loop_stop(fs.loop);
	assert_true(wait_over());
	assert_int_equal(fs.result, 0);
	fuse_session_unmount(fs.se);
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL); /* whatever they got */
}

/* What was taken is answered before it ends; until then it serves, as the one may
 * wait for the other. */
static void test_answers_before_it_ends(void **state)
{
	pthread_t threads[2];
	int got[2];

	(void)state;
	NEEDS_FUSE();
	start_readers(threads, got, 2);
	assert_true(wait_held(2));
	rfs_loop_stop(fs.loop);
	usleep(50000);
	for (int i = 0; i < 20; i++)
		assert_int_equal(read_one("fast"), 'f');
	pthread_mutex_lock(&fs.lock);
	assert_false(fs.is_over);
	pthread_mutex_unlock(&fs.lock);
	let_go();
	assert_true(wait_over());
	/* Else they wait in close for ever. */
	fuse_session_unmount(fs.se);
	join_readers(threads, got, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answers),
		TEST(test_slow_requests_hold_up_nobody),
		TEST(test_more_than_threads),
		TEST(test_waves),
		TEST(test_two_readers),
		TEST(test_four_readers),
		TEST(test_work_has_a_thread_for_each_processor),
		TEST(test_much_work_has_few_threads),
		TEST(test_many_readers),
		TEST(test_gives_way_between_requests),
		TEST(test_ends_when_unmounted),
		TEST(test_ends_by_signal),
		TEST(test_stops_when_told),
		TEST(test_answers_before_it_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
