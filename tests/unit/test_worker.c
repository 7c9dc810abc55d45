// SPDX-License-Identifier: GPL-3.0-or-later
/* P6: what is done by the worker's child is waited for no longer than the
 * deadline.  A stopped child stands for one that hangs in the kernel. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "memdisk.h"
#include "readers/worker.h"

#define SIZE	 (1u << 20)
#define DEADLINE 200 /* ms */
#define MS	 INT64_C(1000000)

static uint8_t bytes[SIZE];
static char *dir;
static struct rfs_worker *w;
static struct rfs_worker_file *file;

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void sleep_ms(int ms)
{
	usleep((useconds_t)ms * 1000);
}

static int make_file(void)
{
	char path[4096];
	uint64_t seed = 3;
	int fd;

	snprintf(path, sizeof(path), "%s/file", dir);
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)test_random(&seed);
	fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_int_equal(pwrite(fd, bytes, SIZE, 0), SIZE);
	return fd;
}

static int set_up(void **state)
{
	(void)state;
	dir = test_mkdir();
	assert_int_equal(rfs_worker_new("bm0002", DEADLINE, &w, NULL), 0);
	assert_int_equal(rfs_worker_file_new(w, make_file(), &file, NULL), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rfs_worker_file_free(file);
	rfs_worker_free(w);
	test_rmdir(dir);
	return 0;
}

static ssize_t read_some(uint64_t off, size_t len)
{
	struct rfs_patience patience = rfs_worker_patience(w);
	uint8_t *buf = malloc(len);
	ssize_t n = rfs_worker_pread(file, buf, len, off, &patience);

	if (n > 0)
		assert_memory_equal(buf, bytes + off, (size_t)n);
	free(buf);
	return n;
}

static pid_t child(void)
{
	struct rfs_worker_counts counts;

	rfs_worker_counts(w, &counts);
	return counts.pid;
}

/* The child is there, and hangs. */
static pid_t stop_child(void)
{
	assert_int_equal(read_some(0, 512), 512);
	assert_int_equal(kill(child(), SIGSTOP), 0);
	return child();
}

static void it_reads(void **state)
{
	struct rfs_worker_counts counts;
	uint64_t seed = 9, off;
	size_t len;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		off = test_random(&seed) % SIZE;
		len = 1 + test_random(&seed) % (SIZE - off);
		assert_int_equal(read_some(off, len), len);
	}
	assert_int_equal(read_some(SIZE - 10, 20), 10);
	rfs_worker_counts(w, &counts);
	assert_int_equal(counts.reads, 1001);
	assert_int_equal(counts.missed, 0);
}

/* What came, from both ends, of units of which some are not there. */
static void it_reads_unit_by_unit(void **state)
{
	struct rfs_patience patience = rfs_worker_patience(w);
	uint8_t buf[4096];

	(void)state;
	assert_int_equal(rfs_worker_pread_singly(file, buf, 4096, 512, false,
						 512, &patience),
			 4096);
	assert_memory_equal(buf, bytes + 512, 4096);
	assert_int_equal(rfs_worker_pread_singly(file, buf, 4096, 512, true,
						 1024, &patience),
			 4096);
	assert_memory_equal(buf, bytes + 1024, 4096);
	/* Up to the end of the file, and what is cut off by it. */
	assert_int_equal(rfs_worker_pread_singly(file, buf, 4096, 512, false,
						 SIZE - 1300, &patience),
			 1300);
	assert_memory_equal(buf, bytes + SIZE - 1300, 1300);
	assert_int_equal(rfs_worker_pread_singly(file, buf, 4096, 512, true,
						 SIZE - 1300, &patience),
			 -EIO);
	assert_int_equal(rfs_worker_pread_singly(file, buf, 1000, 512, true, 0,
						 &patience),
			 -EINVAL);
	assert_int_equal(
		rfs_worker_pread_singly(file, buf, 512, 0, false, 0, &patience),
		-EINVAL);
}

static void errors_are_the_kernels(void **state)
{
	struct rfs_patience patience = rfs_worker_patience(w);
	struct rfs_worker_file *closed;
	char buf[512];

	(void)state;
	assert_int_equal(rfs_worker_file_new(w, open(dir, O_RDONLY | O_CLOEXEC),
					     &closed, NULL),
			 0);
	assert_int_equal(rfs_worker_pread(closed, buf, 512, 0, &patience),
			 -EISDIR);
	rfs_worker_file_free(closed);
	assert_int_equal(
		rfs_worker_pread(file, buf, RFS_WORKER_ROOM + 1, 0, &patience),
		-EINVAL);
}

static struct rfs_worker_counts counts_now(void);

/* The operator is told how often the disk failed: a hole is no failure. */
static void the_end_of_the_data_is_no_error(void **state)
{
	struct rfs_patience patience = rfs_worker_patience(w);

	(void)state;
	assert_int_equal(rfs_worker_seek(file, SIZE, SEEK_DATA, &patience),
			 -ENXIO);
	assert_int_equal(counts_now().errors, 0);
	assert_int_equal(rfs_worker_seek(file, 0, 99, &patience), -EINVAL);
	assert_int_equal(counts_now().errors, 1);
}

static void names_are_looked_up(void **state)
{
	struct rfs_patience patience = rfs_worker_patience(w);
	int root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd;
	struct stat st;
	char buf[4096], path[5000];

	(void)state;
	fd = rfs_worker_openat2(w, root, "file", O_PATH | O_CLOEXEC, 0, &st,
				&patience);
	assert_true(fd >= 0);
	assert_int_equal(st.st_size, SIZE);
	st.st_size = 0;
	assert_int_equal(rfs_worker_fstat(w, fd, &st, &patience), 0);
	assert_int_equal(st.st_size, SIZE);
	close(fd);
	assert_int_equal(rfs_worker_openat2(w, root, "none", O_RDONLY, 0, NULL,
					    &patience),
			 -ENOENT);
	memset(path, 'a', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(
		rfs_worker_openat2(w, root, path, O_RDONLY, 0, NULL, &patience),
		-ENAMETOOLONG);
	assert_int_equal(symlinkat("the target", root, "link"), 0);
	fd = rfs_worker_openat2(w, root, "link",
				O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, NULL,
				&patience);
	assert_int_equal(rfs_worker_readlinkat(w, fd, buf, 4096, &patience),
			 10);
	assert_memory_equal(buf, "the target", 10);
	close(fd);
	fd = rfs_worker_openat2(w, root, ".", O_RDONLY | O_CLOEXEC, 0, NULL,
				&patience);
	assert_true(rfs_worker_getdents(w, fd, buf, 4096, &patience) > 0);
	assert_int_equal(rfs_worker_getdents(w, fd, buf, 4096, &patience), 0);
	close(fd);
	close(root);
}

static void the_deadline_is_kept(void **state)
{
	struct rfs_worker_counts counts;
	int64_t began, took;

	(void)state;
	stop_child();
	began = now();
	assert_int_equal(read_some(0, 512), -ETIMEDOUT);
	took = now() - began;
	assert_true(took >= DEADLINE * MS && took < 10 * DEADLINE * MS);
	rfs_worker_counts(w, &counts);
	assert_int_equal(counts.missed, 1);
	assert_true(counts.aside_ns > 0);
	/* Set aside: nobody else waits. */
	began = now();
	for (int i = 0; i < 100; i++)
		assert_int_equal(read_some(512, 512), -ETIMEDOUT);
	assert_true(now() - began < DEADLINE * MS / 2);
}

static void the_patience_tells_who_was_late(void **state)
{
	struct rfs_patience patience = rfs_worker_patience(w);
	char buf[512];

	(void)state;
	stop_child();
	assert_int_equal(rfs_worker_pread(file, buf, 512, 0, &patience),
			 -ETIMEDOUT);
	assert_true(patience.left_ns <= 0);
	patience = rfs_worker_patience(w);
	assert_int_equal(rfs_worker_pread(file, buf, 512, 0, &patience),
			 -ETIMEDOUT);
	assert_int_equal(patience.left_ns, DEADLINE * MS);
}

static void another_child_takes_over(void **state)
{
	struct rfs_worker_counts counts;
	pid_t stuck;

	(void)state;
	stuck = stop_child();
	assert_int_equal(read_some(0, 512), -ETIMEDOUT);
	sleep_ms(1100); /* the first pause */
	assert_int_equal(read_some(0, SIZE), SIZE);
	assert_int_not_equal(child(), stuck);
	rfs_worker_counts(w, &counts);
	assert_int_equal(counts.aside_ns, 0);
}

static void a_late_answer_is_not_lost(void **state)
{
	static uint8_t buf[RFS_WORKER_ROOM];
	uint64_t off = 0;
	pid_t pid;

	(void)state;
	pid = stop_child();
	assert_int_equal(read_some(4096, 8192), -ETIMEDOUT);
	assert_int_equal(rfs_worker_late(file, buf, &off), -EAGAIN);
	kill(pid, SIGCONT);
	sleep_ms(100);
	assert_int_equal(rfs_worker_late(file, buf, &off), 8192);
	assert_int_equal(off, 4096);
	assert_memory_equal(buf, bytes + 4096, 8192);
	assert_int_equal(rfs_worker_late(file, buf, &off), -ENOENT);
	/* The same child goes on when the pause is over. */
	sleep_ms(1100);
	assert_int_equal(read_some(0, 512), 512);
	assert_int_equal(child(), pid);
}

static void a_late_answer_goes_to_its_own_file(void **state)
{
	struct rfs_worker_file *other;
	static uint8_t buf[RFS_WORKER_ROOM];
	uint64_t off;
	pid_t pid;

	(void)state;
	assert_int_equal(rfs_worker_file_new(w, dup(rfs_worker_file_fd(file)),
					     &other, NULL),
			 0);
	pid = stop_child();
	assert_int_equal(read_some(4096, 8192), -ETIMEDOUT);
	kill(pid, SIGCONT);
	sleep_ms(100);
	assert_int_equal(rfs_worker_late(other, buf, &off), -ENOENT);
	assert_int_equal(rfs_worker_late(file, buf, &off), 8192);
	rfs_worker_file_free(other);
}

/* Of one that reads from the back the bytes belong to the end. */
static void a_late_answer_from_the_back_is_not_lost(void **state)
{
	struct rfs_patience patience = rfs_worker_patience(w);
	static uint8_t buf[RFS_WORKER_ROOM];
	uint64_t off = 0;
	pid_t pid;

	(void)state;
	pid = stop_child();
	assert_int_equal(rfs_worker_pread_singly(file, buf, 8192, 512, true,
						 4096, &patience),
			 -ETIMEDOUT);
	kill(pid, SIGCONT);
	while (rfs_worker_late(file, buf, &off) == -EAGAIN)
		sleep_ms(1);
	assert_int_equal(off, 4096);
	assert_memory_equal(buf, bytes + 4096, 8192);
	assert_int_equal(rfs_worker_late(file, buf, &off), -ENOENT);
}

static void a_killed_child_is_replaced(void **state)
{
	pid_t pid;

	(void)state;
	for (int i = 0; i < 10; i++) {
		assert_int_equal(read_some(0, 512), 512);
		pid = child();
		kill(pid, SIGKILL);
		assert_int_equal(read_some(0, SIZE), SIZE);
		assert_int_not_equal(child(), pid);
	}
}

struct asker {
	pthread_t thread;
	bool background;
	const atomic_bool *stops;
	int64_t left_ns;
	ssize_t result;
	struct rfs_ticket ticket;
	atomic_bool is_done;
};

static void *ask(void *data)
{
	struct asker *a = data;
	struct rfs_patience patience = { .left_ns = a->left_ns,
					 .background = a->background,
					 .stops = a->stops,
					 .ticket = &a->ticket };
	char buf[512];

	a->result = rfs_worker_pread(file, buf, 512, 0, &patience);
	a->left_ns = patience.left_ns;
	atomic_store(&a->is_done, true);
	return NULL;
}

static void who_waits_is_sent_on_at_once(void **state)
{
	struct asker a[8];
	int64_t began;

	(void)state;
	stop_child();
	began = now();
	for (int i = 0; i < 8; i++) {
		a[i] = (struct asker){ .left_ns = DEADLINE * MS };
		pthread_create(&a[i].thread, NULL, ask, &a[i]);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(a[i].thread, NULL);
		assert_int_equal(a[i].result, -ETIMEDOUT);
	}
	assert_true(now() - began < 4 * DEADLINE * MS);
}

static struct rfs_worker_counts counts_now(void)
{
	struct rfs_worker_counts counts;

	rfs_worker_counts(w, &counts);
	return counts;
}

/* As set_up made it, but with another deadline. */
static void set_deadline(unsigned int ms)
{
	int fd = dup(rfs_worker_file_fd(file));

	rfs_worker_file_free(file);
	rfs_worker_free(w);
	assert_int_equal(rfs_worker_new("bm0002", ms, &w, NULL), 0);
	assert_int_equal(rfs_worker_file_new(w, fd, &file, NULL), 0);
}

/* One who has the turn, and keeps it until its child may go on. */
static pid_t start_stuck(struct asker *a)
{
	struct asker first = { .background = a->background,
			       .left_ns = 60000 * MS };
	pid_t pid;

	ask(&first);
	assert_int_equal(first.result, 512);
	pid = a->background ? counts_now().background_pid : child();
	assert_int_equal(kill(pid, SIGSTOP), 0);
	pthread_create(&a->thread, NULL, ask, a);
	while (!atomic_load(&a->ticket.began_ns))
		sleep_ms(1);
	return pid;
}

static void start_waiting(struct asker *a)
{
	unsigned int before = counts_now().waiting;

	pthread_create(&a->thread, NULL, ask, a);
	while (counts_now().waiting == before)
		sleep_ms(1);
}

/* Its own patience is the background's; the foreground goes on without it. */
static void the_background_may_wait_longer(void **state)
{
	struct asker slow = { .background = true, .left_ns = 600000 * MS };
	pid_t pid;

	(void)state;
	pid = start_stuck(&slow);
	for (int i = 0; i < 10; i++)
		assert_int_equal(read_some(0, 512), 512);
	assert_int_equal(counts_now().missed, 0);
	assert_int_equal(counts_now().background_pid, pid);
	kill(pid, SIGCONT);
	pthread_join(slow.thread, NULL);
	assert_int_equal(slow.result, 512);
	assert_int_equal(read_some(0, 512), 512);
}

/* What it misses is its own affair. */
static void the_background_is_set_aside_alone(void **state)
{
	struct asker slow = { .background = true, .left_ns = DEADLINE * MS };

	(void)state;
	start_stuck(&slow);
	pthread_join(slow.thread, NULL);
	assert_int_equal(slow.result, -ETIMEDOUT);
	assert_true(slow.left_ns <= 0);
	assert_int_equal(counts_now().missed, 1);
	assert_true(counts_now().background_aside_ns > 0);
	assert_int_equal(counts_now().aside_ns, 0);
	assert_int_equal(read_some(0, SIZE), SIZE);
	/* But not the other way round. */
	stop_child();
	assert_int_equal(read_some(0, 512), -ETIMEDOUT);
	assert_true(counts_now().aside_ns > 0);
	slow = (struct asker){ .background = true, .left_ns = DEADLINE * MS };
	ask(&slow);
	assert_int_equal(slow.result, -ETIMEDOUT);
	assert_int_equal(slow.left_ns, DEADLINE * MS);
}

/* Another has the turn; the background's child will hang. */
static pid_t start_all_stuck(struct asker *holder)
{
	struct asker first = { .background = true, .left_ns = 600000 * MS };

	set_deadline(600000);
	ask(&first);
	assert_int_equal(first.result, 512);
	assert_int_equal(kill(counts_now().background_pid, SIGSTOP), 0);
	alarm(250);
	return start_stuck(holder);
}

static void end_all_stuck(struct asker *holder, struct asker *back,
			  struct asker *fore)
{
	kill(counts_now().background_pid, SIGCONT);
	pthread_join(holder->thread, NULL);
	pthread_join(back->thread, NULL);
	pthread_join(fore->thread, NULL);
	alarm(0);
	assert_int_equal(holder->result, 512);
	assert_int_equal(back->result, 512);
	assert_int_equal(fore->result, 512);
}

/* If it did not, it would wait for the background's child. */
static void the_foreground_goes_first(void **state)
{
	struct asker holder = { .left_ns = 600000 * MS };
	struct asker back = { .background = true, .left_ns = 600000 * MS };
	struct asker fore = { .left_ns = 600000 * MS };
	pid_t pid;

	(void)state;
	pid = start_all_stuck(&holder);
	start_waiting(&back);
	start_waiting(&fore);
	kill(pid, SIGCONT);
	while (!atomic_load(&fore.is_done))
		sleep_ms(1);
	end_all_stuck(&holder, &back, &fore);
}

/* Lifted, as a reader waits for it: then the foreground waits in its turn. */
static void what_is_lifted_stands_with_the_foreground(void **state)
{
	struct asker holder = { .left_ns = 600000 * MS };
	struct asker back = { .background = true, .left_ns = 600000 * MS };
	struct asker fore = { .left_ns = 600000 * MS };
	pid_t pid;

	(void)state;
	pid = start_all_stuck(&holder);
	start_waiting(&back);
	start_waiting(&fore);
	atomic_store(&back.ticket.is_lifted, true);
	kill(pid, SIGCONT);
	while (!atomic_load(&back.ticket.began_ns))
		sleep_ms(1);
	assert_int_equal(counts_now().waiting, 1);
	end_all_stuck(&holder, &back, &fore);
}

/* Told to stop, it waits neither for the child nor for its turn, and is not
 * said to have missed a deadline. */
static void it_can_be_stopped(void **state)
{
	atomic_bool stops = false;
	struct asker a[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		a[i] = (struct asker){ .background = true,
				       .left_ns = 600000 * MS,
				       .stops = &stops };
	set_deadline(300000);
	start_stuck(&a[0]);
	start_waiting(&a[1]);
	alarm(250);
	atomic_store(&stops, true);
	for (int i = 0; i < 2; i++) {
		pthread_join(a[i].thread, NULL);
		assert_int_equal(a[i].result, -ETIMEDOUT);
		assert_true(a[i].left_ns > 0);
	}
	alarm(0);
	assert_int_equal(counts_now().missed, 0);
}

static void *read_a_lot(void *data)
{
	uint64_t seed = (uintptr_t)data, off;

	for (int i = 0; i < 300; i++) {
		off = test_random(&seed) % (SIZE - 65536);
		assert_int_equal(read_some(off, 65536), 65536);
	}
	return NULL;
}

static void many_read_at_once(void **state)
{
	pthread_t threads[8];

	(void)state;
	for (uintptr_t i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, read_a_lot, (void *)i);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
}

static void the_end_waits_for_nothing(void **state)
{
	int64_t began;
	pid_t pid;

	(void)state;
	pid = stop_child();
	assert_int_equal(read_some(0, 512), -ETIMEDOUT);
	began = now();
	rfs_worker_file_free(file);
	rfs_worker_free(w);
	assert_true(now() - began < 500 * MS);
	sleep_ms(100);
	waitpid(pid, NULL, WNOHANG);
	assert_int_equal(kill(pid, 0), -1);
	test_rmdir(dir);
	set_up(state);
}

/* What the daemon has open ends with the daemon. */
static void the_child_keeps_nothing_open(void **state)
{
	int ends[2], n;
	char c;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(read_some(0, 512), 512);
	close(ends[1]);
	n = (int)read(ends[0], &c, 1);
	assert_int_equal(n, 0);
	close(ends[0]);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(it_reads),
		T(it_reads_unit_by_unit),
		T(errors_are_the_kernels),
		T(the_end_of_the_data_is_no_error),
		T(names_are_looked_up),
		T(the_deadline_is_kept),
		T(the_patience_tells_who_was_late),
		T(another_child_takes_over),
		T(a_late_answer_is_not_lost),
		T(a_late_answer_goes_to_its_own_file),
		T(a_late_answer_from_the_back_is_not_lost),
		T(a_killed_child_is_replaced),
		T(who_waits_is_sent_on_at_once),
		T(the_background_may_wait_longer),
		T(the_background_is_set_aside_alone),
		T(the_foreground_goes_first),
		T(what_is_lifted_stands_with_the_foreground),
		T(it_can_be_stopped),
		T(many_read_at_once),
		T(the_end_waits_for_nothing),
		T(the_child_keeps_nothing_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
