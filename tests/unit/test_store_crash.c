// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What the rescued store has after it was killed, and after a power cut.
 *
 * The state's disk is a model: this program's own pwrite and fdatasync stand
 * before the C library's and note, for the store's data, which sectors are only
 * in memory.  A power cut leaves each of those as it was or as it is, and of the
 * journals, which nobody forces to the disk, anything.  SQLite is believed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "core/state_store.h"
#include "store_kit.h"

ssize_t pwrite64(int fd, const void *buf, size_t len, off_t off);

static bool is_data(int fd)
{
	char link[64], path[256];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	return kit && n > 6 && memcmp(path + n - 6, ".store", 6) == 0;
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off_t off)
{
	ssize_t n = syscall(SYS_pwrite64, fd, buf, len, off);

	if (n > 0 && is_data(fd))
		memset(kit->dirty + off / RFS_SECTOR, 1,
		       ((size_t)n + RFS_SECTOR - 1) / RFS_SECTOR);
	return n;
}

/* One that fails leaves what was in memory for clean, as the kernel does. */
int fdatasync(int fd)
{
	struct rfs_range range;
	ssize_t n;

	if (!is_data(fd))
		return (int)syscall(SYS_fdatasync, fd);
	for (uint64_t i = 0; i < SECTORS && !kit->fail_syncs; i++) {
		range = sector(i);
		if (!kit->dirty[i])
			continue;
		n = pread(fd, kit->durable + range.off, range.len,
			  (off_t)range.off);
		if (n > 0 && kit->durable_len < range.off + (uint64_t)n)
			kit->durable_len = range.off + (uint64_t)n;
	}
	memset(kit->dirty, 0, sizeof(kit->dirty));
	if (!kit->fail_syncs)
		return 0;
	kit->fail_syncs--;
	errno = EIO;
	return -1;
}

static void put_and_note(struct rfs_range range)
{
	set_known(range, BEGUN);
	if (kit_put(range, NULL) < 0)
		_exit(2);
	set_known(range, PUT);
}

static void sync_and_note(void)
{
	if (rfs_store_sync(kit->store, NULL) < 0)
		return;
	for (uint64_t i = 0; i < SECTORS; i++)
		if (kit->known[i] == PUT)
			kit->known[i] = SYNCED;
}

/* Puts until it is killed, or so many times; ends as if it had been. */
static void child_puts(unsigned int syncs, unsigned int puts)
{
	kit_open();
	while (puts--) {
		if (dice(syncs) == 0)
			sync_and_note();
		else
			put_and_note(some_range());
		if (dice(200) == 0) {
			kit_close();
			kit_open();
		}
	}
	raise(SIGKILL);
}

static void wait_killed(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	kit->state = NULL; /* they were the child's */
	kit->store = NULL;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

/* Runs child_puts and kills it after a while. */
static void puts_and_death(unsigned int syncs)
{
	struct timespec pause = { 0, 1000l * dice(30000) };
	pid_t pid;

	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child_puts(syncs, dice(4) ? UINT32_MAX : dice(50));
	nanosleep(&pause, NULL);
	kill(pid, SIGKILL);
	wait_killed(pid);
}

/* What was begun is there or is not: from now on that is known, too. */
static void settle(void)
{
	for (uint64_t i = 0; i < SECTORS; i++)
		if (found(i * RFS_SECTOR) == RFS_KEPT_WHOLE)
			kit->known[i] = PUT;
		else
			kit->known[i] = NOTHING;
}

static void drop_now_and_then(void)
{
	if (dice(6))
		return;
	kit_drop();
	memset(kit->known, 0, sizeof(kit->known));
}

static void what_was_put_survives_a_kill(void **state)
{
	(void)state;
	for (int round = 0; round < 60; round++) {
		puts_and_death(30);
		kit_open();
		expect_known(PUT, true);
		settle();
		drop_now_and_then();
		if (dice(2)) /* and another process goes on from there */
			kit_close();
		kit_close();
	}
}

/* The file as it may be after a power cut. */
static void cut_data(void)
{
	int fd = open(kit_path(".store"), O_RDWR);
	struct rfs_range range;
	struct stat st;
	uint64_t len;

	if (fd < 0)
		return;
	assert_int_equal(fstat(fd, &st), 0);
	for (uint64_t i = 0; i < SECTORS; i++) {
		range = sector(i);
		if (kit->dirty[i] && dice(3))
			continue; /* it was written after all */
		syscall(SYS_pwrite64, fd, kit->durable + range.off, range.len,
			range.off);
	}
	len = kit->durable_len;
	if ((uint64_t)st.st_size > len)
		len += dice((unsigned int)((uint64_t)st.st_size - len + 1));
	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	close(fd);
}

static void cut_journal(const char *suffix)
{
	int fd = open(kit_path(suffix), O_RDWR);
	uint8_t junk[RFS_SECTOR];
	struct stat st;

	if (fd < 0)
		return;
	assert_int_equal(fstat(fd, &st), 0);
	for (off_t off = 0; off < st.st_size; off += RFS_SECTOR) {
		memset(junk, dice(2) ? 0 : (int)dice(256), sizeof(junk));
		if (dice(8) == 0)
			assert_true(pwrite(fd, junk, sizeof(junk), off) > 0);
	}
	if (dice(2))
		assert_int_equal(
			ftruncate(fd,
				  (off_t)dice((unsigned int)st.st_size + 1)),
			0);
	close(fd);
	if (dice(6) == 0)
		unlink(kit_path(suffix));
}

/* The disk has what the file has. */
static void learn_disk(void)
{
	int fd = open(kit_path(".store"), O_RDONLY);
	ssize_t n;

	memset(kit->durable, 0, SIZE);
	memset(kit->dirty, 0, sizeof(kit->dirty));
	n = fd < 0 ? 0 : pread(fd, kit->durable, SIZE, 0);
	kit->durable_len = n > 0 ? (uint64_t)n : 0;
	if (fd >= 0)
		close(fd);
}

static void power_cut(void)
{
	cut_data();
	cut_journal(".journal0");
	cut_journal(".journal1");
	learn_disk();
}

static void what_was_synced_survives_a_power_cut(void **state)
{
	(void)state;
	for (int round = 0; round < 80; round++) {
		kit->fail_syncs = dice(4) ? 0 : 1 + (int)dice(3);
		puts_and_death(1 + dice(40));
		kit->fail_syncs = 0;
		power_cut();
		kit_open();
		expect_known(SYNCED, false);
		settle();
		drop_now_and_then();
		kit_close();
		learn_disk();
	}
}

/* The kernel says once that a write was lost, and then takes it for clean. */
static void a_sync_after_one_that_failed_keeps_all(void **state)
{
	pid_t pid;

	(void)state;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		kit_open();
		put_and_note(rfs_range(0, 100 * RFS_SECTOR));
		kit->fail_syncs = 1;
		if (rfs_store_sync(kit->store, NULL) != -EIO)
			_exit(3);
		put_and_note(rfs_range((uint64_t)1 << 20, 300 * RFS_SECTOR));
		sync_and_note();
		raise(SIGKILL);
	}
	wait_killed(pid);
	assert_int_equal(kit->known[0], SYNCED);
	power_cut();
	kit_open();
	expect_known(SYNCED, true);
}

/* Nor does the process after it know what the first one was told. */
static void what_another_process_failed_to_sync_is_written_again(void **state)
{
	pid_t pid;

	(void)state;
	for (int i = 0; i < 2; i++) {
		fflush(stdout);
		pid = fork();
		if (pid == 0) {
			kit_open();
			if (i == 0)
				put_and_note(rfs_range(0, 100 * RFS_SECTOR));
			kit->fail_syncs = i == 0;
			sync_and_note();
			raise(SIGKILL);
		}
		wait_killed(pid);
		assert_int_equal(kit->known[0], i == 0 ? PUT : SYNCED);
	}
	power_cut();
	kit_open();
	expect_known(SYNCED, true);
}

/* It was believed when the store was opened. */
static void a_piece_is_checked_before_it_is_served(void **state)
{
	uint8_t buf[RFS_SECTOR];
	pid_t pid;

	(void)state;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		kit_open();
		put_and_note(sector(2000));
		put_and_note(sector(2002));
		raise(SIGKILL);
	}
	wait_killed(pid);
	kit_open();
	flip(".store", 2002 * RFS_SECTOR + 9);
	assert_int_equal(
		rfs_store_read(kit->store, sector(2002), buf, NULL, NULL),
		-EIO);
	assert_int_equal(found(2002 * RFS_SECTOR), RFS_KEPT_DAMAGED);
	expect_truth(2000);
	must_sync();
	kit_reopen();
	assert_int_equal(found(2002 * RFS_SECTOR), RFS_KEPT_DAMAGED);
	expect_truth(2000);
	/* A sync that makes one digest of two pieces looks, too. */
	must_put(sector(3000));
	must_put(sector(3002));
	flip(".store", 3000 * RFS_SECTOR + 9);
	must_sync();
	assert_int_equal(found(3000 * RFS_SECTOR), RFS_KEPT_DAMAGED);
	expect_truth(3002);
}

/* A drop that was cut off after the rows: the journals are still there. */
static void a_dropped_store_does_not_come_back(void **state)
{
	pid_t pid;

	(void)state;
	for (int i = 0; i < 2; i++) {
		fflush(stdout);
		pid = fork();
		if (pid == 0) {
			kit_open();
			for (uint64_t at = 9; at > 4 && i == 0; at -= 2)
				put_and_note(sector(at));
			if (i == 1)
				put_and_note(sector(100));
			raise(SIGKILL);
		}
		wait_killed(pid);
		assert_int_equal(
			rfs_state_open(kit->dir, "test", &kit->state, NULL), 0);
		if (i == 0)
			assert_int_equal(
				rfs_state_drop_store(kit->state, OBJECT, NULL),
				0);
		kit_close();
	}
	kit_open();
	for (uint64_t at = 0; at < 100; at++)
		assert_int_equal(found(at * RFS_SECTOR), RFS_KEPT_NOT);
	expect_truth(100);
}

/* Neither memory nor the journal grows for ever, and reads go on. */
static void a_disk_that_takes_no_sync_stops_the_growing(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;
	uint64_t at = 0;
	struct stat st;
	int r = 0;

	(void)state;
	kit_open();
	kit->fail_syncs = INT32_MAX;
	for (; at < SIZE && r == 0; at += 2)
		r = kit_put(rfs_range(at, 1), &err);
	assert_int_equal(r, -EIO);
	assert_in_range(at, 100000, 400000);
	assert_int_equal(kit_put(rfs_range(SIZE - 1, 1), &err), -EIO);
	assert_non_null(strstr(err.text, "takes no more"));
	assert_int_equal(found(SIZE - 1), RFS_KEPT_NOT);
	assert_int_equal(found(0), RFS_KEPT_WHOLE);
	assert_int_equal(stat(kit_path(".journal0"), &st), 0);
	assert_in_range(st.st_size, 0, 100 << 20);
	kit->fail_syncs = 0;
	must_sync();
	must_put(rfs_range(SIZE - 1, 1));
	learn_disk();
	kit_reopen();
	assert_int_equal(found(SIZE - 1), RFS_KEPT_WHOLE);
	assert_int_equal(found(at - 4), RFS_KEPT_WHOLE);
	assert_int_equal(found(at - 3), RFS_KEPT_NOT);
}

/* Bytes that were damaged and put again, and no sync after. */
static void what_replaced_damage_survives_a_kill(void **state)
{
	uint8_t buf[RFS_SECTOR];
	pid_t pid;

	(void)state;
	kit_open();
	must_put(rfs_range(0, 2 * RFS_STORE_CHUNK));
	kit_close();
	flip(".store", 1000);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		kit_open();
		if (rfs_store_read(kit->store, sector(5), buf, NULL, NULL) !=
			    -EIO ||
		    kit_put(sector(5), NULL) < 0)
			_exit(3);
		raise(SIGKILL);
	}
	wait_killed(pid);
	for (int round = 0; round < 2; round++) {
		kit_open();
		assert_int_equal(found(4 * RFS_SECTOR), RFS_KEPT_DAMAGED);
		assert_int_equal(found(5 * RFS_SECTOR), RFS_KEPT_WHOLE);
		expect_truth(5);
		assert_int_equal(found(6 * RFS_SECTOR), RFS_KEPT_DAMAGED);
		expect_truth(RFS_STORE_CHUNK / RFS_SECTOR);
		kit_close();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_put_survives_a_kill,
						kit_setup, kit_teardown),
		cmocka_unit_test_setup_teardown(
			what_was_synced_survives_a_power_cut, kit_setup,
			kit_teardown),
		cmocka_unit_test_setup_teardown(
			a_sync_after_one_that_failed_keeps_all, kit_setup,
			kit_teardown),
		cmocka_unit_test_setup_teardown(
			what_another_process_failed_to_sync_is_written_again,
			kit_setup, kit_teardown),
		cmocka_unit_test_setup_teardown(
			a_piece_is_checked_before_it_is_served, kit_setup,
			kit_teardown),
		cmocka_unit_test_setup_teardown(
			a_dropped_store_does_not_come_back, kit_setup,
			kit_teardown),
		cmocka_unit_test_setup_teardown(
			a_disk_that_takes_no_sync_stops_the_growing, kit_setup,
			kit_teardown),
		cmocka_unit_test_setup_teardown(
			what_replaced_damage_survives_a_kill, kit_setup,
			kit_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
