// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What is known, on a state's disk that once did not take it (P7).
 *
 * This program's own pwrite, ftruncate, fsync and fdatasync stand before the C
 * library's, also for SQLite, and keep a model of the disk: what is on it of
 * known.db and of its log, and what is in memory only.  A sync that fails leaves
 * that for clean, as the kernel does.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/state.h"

#define ROOM ((size_t)1 << 20)

struct model {
	uint8_t durable[ROOM], dirty[ROOM];
	size_t len;
};

/* Shared with children that are killed. */
struct disk {
	char dir[64];
	int fail_syncs; /* so many of the log fail */
	struct model db, log;
};

static struct disk *disk;

ssize_t pwrite64(int fd, const void *buf, size_t len, off_t off);
int ftruncate64(int fd, off_t len);

static struct model *model_of(int fd)
{
	char link[64], path[256];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (!disk || n < 0)
		return NULL;
	path[n] = '\0';
	if (strncmp(path, disk->dir, strlen(disk->dir)) != 0)
		return NULL;
	if (strcmp(path + strlen(disk->dir), "/known.db") == 0)
		return &disk->db;
	return strcmp(path + strlen(disk->dir), "/known.db-wal") == 0
		       ? &disk->log
		       : NULL;
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off_t off)
{
	ssize_t n = syscall(SYS_pwrite64, fd, buf, len, off);
	struct model *m = model_of(fd);

	if (m && n > 0 && (size_t)off + (size_t)n <= ROOM) {
		memset(m->dirty + off, 1, (size_t)n);
		if (m->len < (size_t)off + (size_t)n)
			m->len = (size_t)off + (size_t)n;
	}
	return n;
}

/* On the disk at once, as far as the model goes. */
int ftruncate64(int fd, off_t len)
{
	struct model *m = model_of(fd);

	if (m && (size_t)len < m->len) {
		memset(m->durable + len, 0, m->len - (size_t)len);
		memset(m->dirty + len, 0, m->len - (size_t)len);
		m->len = (size_t)len;
	}
	return (int)syscall(SYS_ftruncate, fd, len);
}

static int sync_model(struct model *m, int fd)
{
	uint8_t c;

	if (m == &disk->log && disk->fail_syncs) {
		disk->fail_syncs--;
		memset(m->dirty, 0, sizeof(m->dirty));
		errno = EIO;
		return -1;
	}
	for (size_t i = 0; i < m->len; i++)
		if (m->dirty[i] && syscall(SYS_pread64, fd, &c, 1, i) == 1)
			m->durable[i] = c;
	memset(m->dirty, 0, sizeof(m->dirty));
	return 0;
}

int fdatasync(int fd)
{
	struct model *m = model_of(fd);

	return m ? sync_model(m, fd) : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	struct model *m = model_of(fd);

	return m ? sync_model(m, fd) : (int)syscall(SYS_fsync, fd);
}

static int remove_one(const char *path, const struct stat *s, int type,
		      struct FTW *ftw)
{
	(void)s;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	disk = mmap(NULL, sizeof(*disk), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (disk == MAP_FAILED)
		return -1;
	strcpy(disk->dir, "/tmp/rescuefs-known-XXXXXX");
	return mkdtemp(disk->dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	nftw(disk->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return munmap(disk, sizeof(*disk));
}

static struct rfs_state *open_state(void)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_state *st = NULL;

	if (rfs_state_open(disk->dir, "test", &st, &err) < 0)
		fail_msg("%s", err.text);
	return st;
}

/* Another process says each of the facts, and then it is killed.  The one that is
 * 'fails' the disk does not take. */
static void say_and_die(const char *keys, char fails)
{
	char key[2] = "";
	pid_t pid;
	int status = 0;

	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rfs_state *st = open_state();

		for (; *keys; keys++) {
			key[0] = *keys;
			disk->fail_syncs = *keys == fails;
			if (rfs_state_set_fact(st, "o", key, "said", NULL) !=
			    (*keys == fails ? -EIO : 0))
				_exit(2);
		}
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void lose_memory(const char *name, const struct model *m)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", disk->dir, name);
	fd = open(path, O_RDWR);
	if (fd < 0)
		return;
	assert_int_equal(syscall(SYS_pwrite64, fd, m->durable, m->len, 0),
			 m->len);
	close(fd);
}

static void power_cut(void)
{
	lose_memory("known.db", &disk->db);
	lose_memory("known.db-wal", &disk->log);
}

static void expect_said(const char *keys)
{
	struct rfs_state *st = open_state();
	char key[2] = "", *text = NULL;

	for (; *keys; keys++) {
		key[0] = *keys;
		if (rfs_state_fact(st, "o", key, &text, NULL) < 0)
			fail_msg("%s is forgotten", key);
		free(text);
	}
	rfs_state_close(st);
}

static void what_was_said_survives(void **state)
{
	(void)state;
	say_and_die("abc", 0);
	power_cut();
	expect_said("abc");
}

/* What failed is in the log as the page cache has it, and not on the disk: what
 * comes behind it there would be lost with it. */
static void what_comes_after_a_sync_that_failed_survives(void **state)
{
	(void)state;
	say_and_die("ab", 'b');
	say_and_die("c", 0);
	power_cut();
	expect_said("ac");
}

static void the_same_process_goes_on_after_it(void **state)
{
	(void)state;
	say_and_die("abc", 'b');
	power_cut();
	expect_said("ac");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_said_survives),
		TEST(what_comes_after_a_sync_that_failed_survives),
		TEST(the_same_process_goes_on_after_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
