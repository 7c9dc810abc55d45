// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * An overlay on a state's disk that does not take what is written (P7).
 *
 * This program's own pwrite, fdatasync and preadv2 stand before the C library's
 * and keep a model of the disk: what is on it, and what is in memory only.  A
 * sync that fails leaves that for clean, as the kernel does.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/overlay.h"

#define ID   "u/disk"
#define SIZE ((uint64_t)1 << 20)

static char dir[64];
static uint8_t durable[SIZE], dirty[SIZE];
static int fail_syncs;
static bool is_evicted; /* the kernel has thrown pages away */
static struct rfs_state *st;
static struct rfs_overlay *o;

ssize_t pwrite64(int fd, const void *buf, size_t len, off_t off);
ssize_t preadv64v2(int fd, const struct iovec *to, int n, off_t off, int flags);

static bool is_data(int fd)
{
	char link[64], path[256];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	return n > 7 && memcmp(path + n - 7, "/data/1", 7) == 0;
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off_t off)
{
	ssize_t n = syscall(SYS_pwrite64, fd, buf, len, off);

	if (n > 0 && is_data(fd))
		memset(dirty + off, 1, (size_t)n);
	return n;
}

ssize_t preadv64v2(int fd, const struct iovec *to, int n, off_t off, int flags)
{
	assert_int_equal(n, 1);
	if (flags & RWF_NOWAIT && is_evicted) {
		errno = EAGAIN;
		return -1;
	}
	return syscall(SYS_pread64, fd, to->iov_base, to->iov_len, off);
}

int fdatasync(int fd)
{
	if (!is_data(fd))
		return (int)syscall(SYS_fdatasync, fd);
	for (size_t i = 0; i < SIZE && !fail_syncs; i++)
		if (dirty[i])
			syscall(SYS_pread64, fd, durable + i, 1, i);
	memset(dirty, 0, sizeof(dirty));
	if (!fail_syncs)
		return 0;
	fail_syncs--;
	errno = EIO;
	return -1;
}

static int remove_one(const char *path, const struct stat *s, int type,
		      struct FTW *ftw)
{
	(void)s;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void open_both(void)
{
	struct rfs_error err = RFS_ERROR_INIT;

	if (rfs_state_open(dir, "test", &st, &err) < 0 ||
	    rfs_overlay_open(ID, st, SIZE, &o, &err) < 0)
		fail_msg("%s", err.text);
}

static void close_both(void)
{
	rfs_overlay_close(o);
	rfs_state_close(st);
	o = NULL;
	st = NULL;
}

static int setup(void **state)
{
	(void)state;
	memset(durable, 0, sizeof(durable));
	memset(dirty, 0, sizeof(dirty));
	fail_syncs = 0;
	is_evicted = false;
	strcpy(dir, "/tmp/rescuefs-overlay-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	open_both();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close_both();
	return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *data_path(void)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/data/1", dir);
	return path;
}

static int put(uint64_t off, size_t len, int c, struct rfs_error *err)
{
	uint8_t buf[70000];

	assert_true(len <= sizeof(buf));
	memset(buf, c, len);
	return rfs_overlay_write(o, rfs_range(off, len), buf, err);
}

static void must_put(uint64_t off, size_t len, int c)
{
	assert_int_equal(put(off, len, c, NULL), 0);
}

static void expect_run(uint64_t off, uint64_t len, uint32_t value)
{
	struct rfs_range range = rfs_range(off, len);
	struct rfs_run run = rfs_overlay_find(o, off, range);

	assert_int_equal(run.value, value);
	assert_int_equal(run.range.len, len);
}

static void expect_bytes(uint64_t off, size_t len, int c)
{
	struct rfs_error err = RFS_ERROR_INIT;
	uint8_t buf[70000];

	assert_true(len <= sizeof(buf));
	expect_run(off, len, RFS_OVERLAY_DATA);
	if (rfs_overlay_read(o, rfs_range(off, len), buf, &err) < 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(buf[i], c);
}

static void expect_eio(uint64_t off, size_t len, const char *word)
{
	struct rfs_error err = RFS_ERROR_INIT;
	uint8_t buf[70000];

	assert_int_equal(rfs_overlay_read(o, rfs_range(off, len), buf, &err),
			 -EIO);
	assert_non_null(strstr(err.text, word));
}

/* The process is gone, and memory with it. */
static void power_cut(void)
{
	int fd;

	close_both();
	fd = open(data_path(), O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(syscall(SYS_pwrite64, fd, durable, SIZE, 0), SIZE);
	close(fd);
	is_evicted = false;
	open_both();
}

static void a_sync_after_one_that_failed_keeps_all(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;

	(void)state;
	must_put(1000, 50000, 'a');
	assert_int_equal(rfs_overlay_sync(o, NULL), 0);
	must_put(40000, 30000, 'b'); /* in part over what is in the map */
	must_put(900000, 700, 'c');
	fail_syncs = 2;
	assert_int_equal(rfs_overlay_sync(o, &err), -EIO);
	assert_non_null(strstr(err.text, "does not take"));
	assert_int_equal(rfs_overlay_sync(o, NULL), -EIO);
	must_put(800000, 700, 'd');
	assert_int_equal(rfs_overlay_sync(o, NULL), 0);
	power_cut();
	expect_bytes(1000, 39000, 'a');
	expect_bytes(40000, 30000, 'b');
	expect_bytes(900000, 700, 'c');
	expect_bytes(800000, 700, 'd');
}

/* It cannot be written again, and what is there may be older. */
static void what_the_kernel_threw_away_is_said_to_be_lost(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;

	(void)state;
	must_put(0, 4096, 'a');
	assert_int_equal(rfs_overlay_sync(o, NULL), 0);
	must_put(8192, 8192, 'b');
	fail_syncs = 1;
	is_evicted = true;
	assert_int_equal(rfs_overlay_sync(o, NULL), -EIO);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rfs_overlay_sync(o, &err), -EIO);
		assert_non_null(strstr(err.text, "lost 8192 bytes at 8192"));
	}
	expect_bytes(0, 4096, 'a');
	expect_eio(8192, 8192, "lost");
	expect_eio(4000, 5000, "lost");
	power_cut();
	expect_bytes(0, 4096, 'a');
	expect_run(8192, 8192, RFS_OVERLAY_NONE);
}

static void what_was_lost_and_written_again_is_synced(void **state)
{
	(void)state;
	must_put(0, 20000, 'a');
	fail_syncs = 1;
	is_evicted = true;
	assert_int_equal(rfs_overlay_sync(o, NULL), -EIO);
	must_put(0, 10000, 'b');
	assert_int_equal(rfs_overlay_sync(o, NULL), -EIO);
	assert_int_equal(rfs_overlay_punch(o, rfs_range(10000, 10000), NULL),
			 0);
	assert_int_equal(rfs_overlay_sync(o, NULL), 0);
	power_cut();
	expect_bytes(0, 10000, 'b');
	expect_run(10000, 10000, RFS_OVERLAY_ZERO);
}

static void expect_nothing_more(void)
{
	struct rfs_error err = RFS_ERROR_INIT;

	assert_int_equal(put(500000, 10, 'x', &err), -EIO);
	assert_non_null(strstr(err.text, "rescuefs reset"));
	assert_int_equal(rfs_overlay_truncate(o, 77, &err), -EIO);
	assert_int_equal(rfs_overlay_punch(o, rfs_range(0, 10), &err), -EIO);
}

/* Else a write behind would make zeros of what is missing (P2). */
static void a_file_that_is_too_short_is_not_written(void **state)
{
	(void)state;
	must_put(0, 60000, 'a');
	assert_int_equal(rfs_overlay_sync(o, NULL), 0);
	close_both();
	assert_int_equal(truncate(data_path(), 30000), 0);
	open_both();
	expect_bytes(0, 30000, 'a');
	expect_eio(20000, 40000, "30000 bytes at 30000");
	expect_nothing_more();
	assert_int_equal(rfs_overlay_sync(o, NULL), 0);
	assert_int_equal(rfs_overlay_reset(o, NULL), 0);
	must_put(500000, 10, 'x');
	assert_int_equal(rfs_overlay_sync(o, NULL), 0);
	expect_bytes(500000, 10, 'x');
}

static void a_file_that_is_missing_is_not_made_anew(void **state)
{
	struct stat s;

	(void)state;
	must_put(0, 60000, 'a');
	assert_int_equal(rfs_overlay_sync(o, NULL), 0);
	close_both();
	assert_int_equal(unlink(data_path()), 0);
	open_both();
	expect_eio(0, 60000, "put a copy");
	expect_nothing_more();
	assert_int_equal(stat(data_path(), &s), -1);
	assert_int_equal(rfs_overlay_reset(o, NULL), 0);
	must_put(0, 10, 'x');
	expect_bytes(0, 10, 'x');
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_sync_after_one_that_failed_keeps_all),
		TEST(what_the_kernel_threw_away_is_said_to_be_lost),
		TEST(what_was_lost_and_written_again_is_synced),
		TEST(a_file_that_is_too_short_is_not_written),
		TEST(a_file_that_is_missing_is_not_made_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
