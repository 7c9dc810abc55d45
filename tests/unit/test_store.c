// SPDX-License-Identifier: GPL-3.0-or-later
/* The rescued store: what was put is there, damage is said and never served. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "core/state_store.h"
#include "store_kit.h"

static void nothing_is_made_before_the_first_put(void **state)
{
	struct rfs_store_totals t;
	struct rfs_run run;

	(void)state;
	kit_open();
	run = rfs_store_find(kit->store, 700, rfs_range(100, 5000));
	assert_int_equal(run.value, RFS_KEPT_NOT);
	assert_int_equal(run.range.off, 700);
	assert_int_equal(run.range.len, 4400);
	must_sync();
	kit_drop();
	rfs_store_totals(kit->store, &t);
	assert_int_equal(t.kept + t.damaged, 0);
	kit_reopen();
	assert_int_equal(access(kit_path(".store"), F_OK), -1);
	/* And after all that it works. */
	must_put(rfs_range(0, SIZE));
	kit_reopen();
	set_known(rfs_range(0, SIZE), PUT);
	expect_known(PUT, true);
}

static void random_puts_come_back(void **state)
{
	struct rfs_range range;

	(void)state;
	kit_open();
	for (int i = 0; i < 1500; i++) {
		range = some_range();
		must_put(range);
		set_known(range, PUT);
		if (dice(50) == 0)
			must_sync();
		if (dice(150) == 0) {
			kit_reopen();
			expect_known(PUT, true);
		}
		if (dice(300) == 0) {
			kit_drop();
			memset(kit->known, 0, sizeof(kit->known));
			expect_known(PUT, true);
		}
	}
	kit_reopen();
	expect_known(PUT, true);
}

static void edges(void **state)
{
	uint8_t buf[3 * RFS_STORE_CHUNK];
	struct rfs_store_totals t;
	struct rfs_run run;

	(void)state;
	kit_open();
	must_put(rfs_range(SIZE - 1, 1));
	must_put(rfs_range(RFS_STORE_CHUNK - 1, RFS_STORE_CHUNK + 2));
	must_put(rfs_range(0, 0));
	run = rfs_store_find(kit->store, RFS_STORE_CHUNK, rfs_range(0, SIZE));
	assert_int_equal(run.value, RFS_KEPT_WHOLE);
	assert_int_equal(run.range.off, RFS_STORE_CHUNK);
	assert_int_equal(rfs_range_end(run.range), 2 * RFS_STORE_CHUNK + 1);
	rfs_store_totals(kit->store, &t);
	assert_int_equal(t.kept, RFS_STORE_CHUNK + 3);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(rfs_store_read(kit->store,
						rfs_range(RFS_STORE_CHUNK - 1,
							  RFS_STORE_CHUNK + 2),
						buf, NULL, NULL),
				 0);
		assert_memory_equal(buf, kit->truth + RFS_STORE_CHUNK - 1,
				    RFS_STORE_CHUNK + 2);
		assert_int_equal(rfs_store_read(kit->store,
						rfs_range(SIZE - 1, 1), buf,
						NULL, NULL),
				 0);
		assert_int_equal(buf[0], kit->truth[SIZE - 1]);
		kit_reopen();
	}
	assert_int_equal(
		rfs_store_put(kit->store, rfs_range(SIZE, 1), buf, NULL),
		-EINVAL);
	assert_int_equal(
		rfs_store_read(kit->store, rfs_range(1, SIZE), buf, NULL, NULL),
		-EINVAL);
	/* Not kept: no byte is made up. */
	assert_int_equal(
		rfs_store_read(kit->store, sector(2000), buf, NULL, NULL),
		-EIO);
	rfs_store_close(NULL);
}

static void a_journal_that_is_absorbed_is_removed(void **state)
{
	(void)state;
	kit_open();
	must_put(sector(3));
	assert_int_equal(access(kit_path(".journal1"), F_OK), 0);
	kit_close();
	assert_int_equal(access(kit_path(".journal0"), F_OK), -1);
	assert_int_equal(access(kit_path(".journal1"), F_OK), -1);
	kit_open();
	expect_truth(3);
}

/* Reads 'range' and returns what of it is bad; the rest is the truth. */
static uint64_t bad_bytes(struct rfs_range range)
{
	struct rfs_error err = RFS_ERROR_INIT;
	uint8_t *buf = malloc(range.len);
	struct rfs_ranges bad = { 0 };
	uint64_t sum, at = range.off;
	int r = rfs_store_read(kit->store, range, buf, &bad, &err);

	assert_int_equal(r, bad.count ? -EIO : 0);
	if (r < 0) {
		assert_non_null(strstr(err.text, OBJECT));
		assert_non_null(strstr(err.text, "rescuefs refresh"));
	}
	for (size_t i = 0; i <= bad.count; i++) {
		struct rfs_range good =
			rfs_range_to(at, i < bad.count ? bad.items[i].off
						       : rfs_range_end(range));

		assert_memory_equal(buf + (good.off - range.off),
				    kit->truth + good.off, good.len);
		if (i < bad.count) {
			at = rfs_range_end(bad.items[i]);
			assert_int_equal(found(bad.items[i].off),
					 RFS_KEPT_DAMAGED);
		}
	}
	sum = rfs_ranges_total(&bad);
	rfs_ranges_fini(&bad);
	free(buf);
	return sum;
}

static void what_is_damaged_is_forgotten_on_order(void **state)
{
	struct rfs_store_totals t;

	(void)state;
	kit_open();
	must_put(rfs_range(0, 300000));
	kit_close();
	flip(".store", 1000);
	kit_open();
	assert_in_range(bad_bytes(rfs_range(0, 300000)), 1, RFS_STORE_CHUNK);
	assert_int_equal(rfs_store_forget_damaged(kit->store, NULL), 0);
	kit_reopen();
	assert_int_equal(found(1000), RFS_KEPT_NOT);
	rfs_store_totals(kit->store, &t);
	assert_int_equal(t.damaged, 0);
	assert_in_range(t.kept, 300000 - RFS_STORE_CHUNK, 299999);
	must_put(rfs_range(0, 1024));
	kit_reopen();
	assert_int_equal(bad_bytes(rfs_range(0, 1024)), 0);
}

static void a_flipped_bit_is_damage(void **state)
{
	const struct rfs_range some = rfs_range(10 * RFS_SECTOR, 300000);
	struct rfs_store_totals t;

	(void)state;
	kit_open();
	must_put(some);
	kit_close();
	flip(".store", 10 * RFS_SECTOR + dice(300000));
	for (int round = 0; round < 2; round++) { /* and it is remembered */
		kit_open();
		assert_in_range(bad_bytes(some), 1, RFS_STORE_CHUNK);
		rfs_store_totals(kit->store, &t);
		assert_in_range(t.damaged, 1, RFS_STORE_CHUNK);
		assert_int_equal(t.kept + t.damaged, some.len);
		kit_close();
	}
	kit_open();
	must_put(some);
	assert_int_equal(bad_bytes(some), 0);
	kit_reopen();
	assert_int_equal(bad_bytes(some), 0);
}

/* Many pieces in a chunk, and many bits. */
static void damage_anywhere_is_never_served(void **state)
{
	struct rfs_store_totals t;

	(void)state;
	for (int round = 0; round < 30; round++) {
		kit_open();
		for (int i = 0; i < 40; i++) {
			must_put(some_range());
			if (dice(10) == 0)
				must_sync();
		}
		kit_close();
		for (int i = 0; i < 3; i++)
			flip(".store", dice(SIZE / 2));
		kit_open();
		for (int i = 0; i < 200; i++) {
			uint64_t at = dice(SECTORS);
			struct rfs_run run = rfs_store_find(
				kit->store, sector(at).off, some_range());

			if (dice(4) == 0)
				must_put(some_range());
			run = rfs_store_find(kit->store, sector(at).off,
					     sector(at));
			if (run.value == RFS_KEPT_WHOLE)
				bad_bytes(run.range);
		}
		must_put(rfs_range(0, SIZE));
		for (uint64_t at = 0; at < SIZE; at += RFS_STORE_CHUNK)
			bad_bytes(rfs_range_cut(rfs_range(at, RFS_STORE_CHUNK),
						rfs_range(0, SIZE)));
		must_put(rfs_range(0, SIZE)); /* what was damaged */
		rfs_store_totals(kit->store, &t);
		assert_int_equal(t.kept, SIZE);
		assert_int_equal(bad_bytes(rfs_range(0, SIZE)), 0);
		kit_drop();
		kit_close();
	}
}

/* A new digest is made of an old one's bytes: not before they were checked. */
static void damage_gets_no_good_name_by_a_put_beside_it(void **state)
{
	(void)state;
	kit_open();
	must_put(sector(7));
	kit_close();
	flip(".store", 7 * RFS_SECTOR + 3);
	kit_open();
	must_put(sector(9));
	must_sync();
	kit_reopen();
	assert_int_equal(bad_bytes(sector(9)), 0);
	assert_int_equal(found(7 * RFS_SECTOR), RFS_KEPT_DAMAGED);
}

static void lost_files_are_damage(void **state)
{
	const struct rfs_range all = rfs_range(0, SIZE);

	(void)state;
	kit_open();
	must_put(all);
	kit_close();
	assert_int_equal(truncate(kit_path(".store"), 1000000), 0);
	kit_open();
	assert_in_range(bad_bytes(all), SIZE - 1000000,
			SIZE - 1000000 + RFS_STORE_CHUNK);
	kit_close();
	assert_int_equal(unlink(kit_path(".store")), 0);
	kit_open();
	assert_int_equal(bad_bytes(all), SIZE);
	must_put(all);
	assert_int_equal(bad_bytes(all), 0);
	kit_reopen();
	assert_int_equal(bad_bytes(all), 0);
}

/* A file that ends short while it is open. */
static void what_cannot_be_read_is_damage(void **state)
{
	(void)state;
	kit_open();
	must_put(rfs_range(0, SIZE));
	assert_int_equal(bad_bytes(rfs_range(0, SIZE)), 0);
	assert_int_equal(truncate(kit_path(".store"), 512), 0);
	assert_int_equal(bad_bytes(rfs_range(0, SIZE)), SIZE);
	assert_int_equal(found(0), RFS_KEPT_DAMAGED);
}

static void sql(const char *text)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/known.db", kit->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void expect_refused(uint64_t size, int errnum, const char *word)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_store *s = NULL;

	assert_int_equal(rfs_state_open(kit->dir, "test", &kit->state, NULL),
			 0);
	assert_int_equal(rfs_store_open(kit->state, OBJECT, size, &s, &err),
			 -errnum);
	assert_non_null(strstr(err.text, word));
	assert_non_null(strstr(err.text, OBJECT));
	assert_null(s);
	kit_close();
}

static void numbers_that_make_no_sense(void **state)
{
	(void)state;
	kit_open();
	must_put(rfs_range(0, SIZE));
	kit_close();
	sql("UPDATE digest SET digests = x'00'");
	kit_open();
	assert_int_equal(bad_bytes(rfs_range(0, SIZE)), SIZE);
	kit_close();
	sql("UPDATE map SET runs = x'000107' WHERE purpose = 'store'");
	expect_refused(SIZE, EBADMSG, "makes no sense");
	sql("UPDATE map SET page = 1, runs = x'000101'");
	expect_refused(SIZE, EBADMSG, "makes no sense");
	sql("UPDATE store SET absorbed = -1");
	expect_refused(SIZE, EBADMSG, "makes no sense");
	sql("UPDATE store SET absorbed = 5, size = -1");
	expect_refused(SIZE, EBADMSG, "makes no sense");
	sql("DELETE FROM store");
	expect_refused(SIZE, EBADMSG, "makes no sense");
	assert_int_equal(rfs_state_open(kit->dir, "test", &kit->state, NULL),
			 0);
	assert_int_equal(rfs_store_drop(kit->state, OBJECT, NULL), 0);
	kit_close();
	kit_open();
	assert_int_equal(found(0), RFS_KEPT_NOT);
}

static void a_file_of_another_size_is_refused(void **state)
{
	(void)state;
	kit_open();
	must_put(sector(1));
	kit_close();
	expect_refused(SIZE + 1, ESTALE, "refresh");
	kit_open();
	expect_truth(1);
	kit_close();
	assert_int_equal(rfs_state_open(kit->dir, "test", &kit->state, NULL),
			 0);
	assert_int_equal(rfs_store_drop(kit->state, OBJECT, NULL), 0);
	assert_int_equal(access(kit_path(".store"), F_OK), -1);
	assert_int_equal(
		rfs_store_open(kit->state, OBJECT, SIZE + 1, &kit->store, NULL),
		0);
	assert_int_equal(found(RFS_SECTOR), RFS_KEPT_NOT);
}

/* A journal of garbage, and one that was another file's. */
static void a_foreign_journal_proves_nothing(void **state)
{
	struct rfs_store *other;
	char copy[512];

	(void)state;
	kit_open();
	must_put(sector(1));
	must_sync();
	must_put(sector(2));
	snprintf(copy, sizeof(copy),
		 "cp %s/data/1.journal0 %s/data/2.journal0;"
		 "cp %s/data/1.store %s/data/2.store",
		 kit->dir, kit->dir, kit->dir, kit->dir);
	assert_int_equal(
		rfs_store_open(kit->state, "bm0002:/other", SIZE, &other, NULL),
		0);
	assert_int_equal(rfs_store_put(other, sector(3), kit->truth, NULL), 0);
	rfs_store_close(other);
	assert_int_equal(system(copy), 0);
	assert_int_equal(
		rfs_store_open(kit->state, "bm0002:/other", SIZE, &other, NULL),
		0);
	assert_int_equal(rfs_store_find(other, 2 * RFS_SECTOR, sector(2)).value,
			 RFS_KEPT_NOT);
	rfs_store_close(other);
}

/* In a child, so that limits and mounts end with it. */
static void in_child(int (*run)(void))
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(run());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	kit->state = NULL; /* they were the child's */
	kit->store = NULL;
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static bool has_all(struct rfs_range range)
{
	uint8_t *buf = malloc(range.len);
	bool same = rfs_store_read(kit->store, range, buf, NULL, NULL) == 0 &&
		    memcmp(buf, kit->truth + range.off, range.len) == 0;

	free(buf);
	return same;
}

static int fill_a_small_disk(void)
{
	const struct rfs_range first = rfs_range(0, 512 << 10);
	const struct rfs_range rest = rfs_range_to(512 << 10, SIZE);
	struct rfs_error err = RFS_ERROR_INIT;
	int r;

	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", kit->dir, "tmpfs", 0, "size=1500k") < 0) {
		print_message("no tmpfs of our own: %s\n", strerror(errno));
		return 77;
	}
	kit_open();
	if (kit_put(first, NULL) < 0 || rfs_store_sync(kit->store, NULL) < 0)
		return 1;
	r = kit_put(rest, &err);
	if (r != -ENOSPC || !strstr(err.text, OBJECT))
		return 2;
	if (found(rest.off) != RFS_KEPT_NOT || !has_all(first))
		return 3;
	rfs_store_sync(kit->store, NULL);
	if (!has_all(first))
		return 4;
	if (mount("none", kit->dir, NULL, MS_REMOUNT, "size=16m") < 0)
		return 5;
	if (kit_put(rest, NULL) < 0 || rfs_store_sync(kit->store, NULL) < 0)
		return 6;
	kit_reopen();
	if (!has_all(rfs_range(0, SIZE)))
		return 7;
	if (mount("none", kit->dir, NULL, MS_REMOUNT | MS_RDONLY, "") == 0)
		return 8; /* files are open for writing */
	kit_close();
	return 0;
}

static void a_full_disk_stops_the_growing_and_nothing_else(void **state)
{
	(void)state;
	in_child(fill_a_small_disk);
}

static int grow_beyond_a_limit(void)
{
	const struct rlimit some = { 1 << 20, 1 << 20 };
	const struct rfs_range low = rfs_range(0, 700 << 10);
	const struct rfs_range high = rfs_range((1 << 20) - 512, 4096);

	signal(SIGXFSZ, SIG_IGN);
	kit_open();
	if (setrlimit(RLIMIT_FSIZE, &some) < 0 || kit_put(low, NULL) < 0)
		return 1;
	if (kit_put(high, NULL) != -EFBIG || found(high.off) != RFS_KEPT_NOT)
		return 2;
	if (!has_all(low) || rfs_store_sync(kit->store, NULL) < 0)
		return 3;
	kit_reopen();
	return has_all(low) && found(high.off) == RFS_KEPT_NOT ? 0 : 4;
}

static void a_write_that_fails_in_the_middle_keeps_nothing(void **state)
{
	(void)state;
	in_child(grow_beyond_a_limit);
}

#define THREADS 4

/* A thread's last word: what went wrong. */
static void *oops(const char *what)
{
	return strdup(what);
}

static void *put_and_read(void *data)
{
	unsigned int seed = *(unsigned int *)data;
	uint8_t buf[64 * RFS_SECTOR];
	struct rfs_range range;
	struct rfs_run run;

	for (int i = 0; i < 3000; i++) {
		uint64_t at = (uint64_t)rand_r(&seed) % SECTORS;
		uint64_t n = 1 + (uint64_t)rand_r(&seed) % 64;

		range = rfs_range_cut(
			rfs_range(at * RFS_SECTOR, n * RFS_SECTOR),
			rfs_range(0, SIZE));
		if (i % 3 == 0) {
			if (rfs_store_put(kit->store, range,
					  kit->truth + range.off, NULL) < 0)
				return oops("put");
			if (rfs_store_find(kit->store, range.off, range)
				    .range.len != range.len)
				return oops("find");
		}
		run = rfs_store_find(kit->store, range.off, range);
		if (run.value == RFS_KEPT_DAMAGED)
			return oops("damage");
		if (run.value == RFS_KEPT_NOT)
			continue;
		if (rfs_store_read(kit->store, run.range, buf, NULL, NULL) < 0)
			return oops("read");
		if (memcmp(buf, kit->truth + run.range.off, run.range.len) != 0)
			return oops("bytes");
	}
	return NULL;
}

static atomic_bool done;

static void *sync_all_along(void *data)
{
	struct rfs_store_totals t;

	(void)data;
	while (!atomic_load(&done)) {
		if (rfs_store_sync(kit->store, NULL) < 0)
			return oops("sync");
		rfs_store_totals(kit->store, &t);
		if (t.damaged)
			return oops("damage");
	}
	return NULL;
}

static void many_threads_at_once(void **state)
{
	unsigned int seeds[THREADS];
	pthread_t threads[THREADS], syncer;
	void *said;

	(void)state;
	kit_open();
	for (int round = 0; round < 3; round++) {
		atomic_store(&done, false);
		pthread_create(&syncer, NULL, sync_all_along, NULL);
		for (int i = 0; i < THREADS; i++) {
			seeds[i] = dice(100000);
			pthread_create(&threads[i], NULL, put_and_read,
				       &seeds[i]);
		}
		for (int i = 0; i < THREADS; i++) {
			pthread_join(threads[i], &said);
			if (said)
				fail_msg("%s", (char *)said);
		}
		atomic_store(&done, true);
		pthread_join(syncer, &said);
		assert_null(said);
		if (round == 0) { /* next time over chunks not checked */
			kit_reopen();
		} else if (round == 1) {
			kit_drop();
		}
	}
	must_put(rfs_range(0, SIZE));
	kit_reopen();
	assert_true(has_all(rfs_range(0, SIZE)));
}

/* The linker puts this before the state's own: what comes between a reader's
 * look at the map and its look at the digests. */
int __wrap_rfs_state_digests(struct rfs_state *st, const char *object,
			     uint64_t page, struct rfs_digests *ret,
			     struct rfs_error *err);
int __real_rfs_state_digests(struct rfs_state *st, const char *object,
			     uint64_t page, struct rfs_digests *ret,
			     struct rfs_error *err);

static _Thread_local void (*between)(void);
static _Thread_local int fail_digests;

int __wrap_rfs_state_digests(struct rfs_state *st, const char *object,
			     uint64_t page, struct rfs_digests *ret,
			     struct rfs_error *err)
{
	void (*run)(void) = between;

	between = NULL;
	if (run)
		run();
	if (fail_digests)
		return rfs_fail(err, fail_digests, "no digests today");
	return __real_rfs_state_digests(st, object, page, ret, err);
}

static void put_and_sync(void)
{
	must_put(sector(1));
	must_sync();
}

static void a_sync_beside_a_first_read_is_no_damage(void **state)
{
	(void)state;
	kit_open();
	must_put(sector(0));
	kit_reopen();
	between = put_and_sync;
	expect_truth(0);
	assert_null(between);
	expect_truth(1);
	assert_int_equal(found(0), RFS_KEPT_WHOLE);
}

/* Then nothing is proved, and nothing is condemned. */
static void digests_that_cannot_be_read_prove_nothing(void **state)
{
	static const int errnums[] = { EIO, ENOMEM };
	struct rfs_ranges bad = { 0 };
	uint8_t buf[RFS_SECTOR];

	(void)state;
	kit_open();
	must_put(sector(0));
	kit_reopen();
	for (int i = 0; i < 2; i++) {
		fail_digests = errnums[i];
		rfs_ranges_clear(&bad);
		assert_int_equal(
			rfs_store_read(kit->store, sector(0), buf, &bad, NULL),
			-errnums[i]);
		fail_digests = 0;
		assert_int_equal(rfs_ranges_total(&bad),
				 i == 0 ? RFS_SECTOR : 0);
	}
	rfs_ranges_fini(&bad);
	expect_truth(0);
}

/* More than a sync is waited for with: one begins by itself. */
static void much_is_synced_without_being_told(void **state)
{
	const uint64_t big = (uint64_t)200 << 20;
	const size_t piece = 1 << 20;
	uint8_t *buf = malloc(piece);
	struct stat st;

	(void)state;
	memset(buf, 5, piece);
	assert_int_equal(rfs_state_open(kit->dir, "test", &kit->state, NULL),
			 0);
	assert_int_equal(
		rfs_store_open(kit->state, OBJECT, big, &kit->store, NULL), 0);
	for (uint64_t off = 0; off < big; off += piece)
		assert_int_equal(rfs_store_put(kit->store,
					       rfs_range(off, piece), buf,
					       NULL),
				 0);
	/* Turn 1 is in journal1; once it is absorbed that is empty. */
	for (int i = 0; i < 3000; i++) {
		assert_int_equal(stat(kit_path(".journal1"), &st), 0);
		if (st.st_size == 0)
			break;
		usleep(10000);
	}
	assert_int_equal(st.st_size, 0);
	free(buf);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
	const struct CMUnitTest tests[] = {
		T(nothing_is_made_before_the_first_put),
		T(random_puts_come_back),
		T(edges),
		T(a_journal_that_is_absorbed_is_removed),
		T(a_flipped_bit_is_damage),
		T(what_is_damaged_is_forgotten_on_order),
		T(damage_anywhere_is_never_served),
		T(damage_gets_no_good_name_by_a_put_beside_it),
		T(lost_files_are_damage),
		T(what_cannot_be_read_is_damage),
		T(numbers_that_make_no_sense),
		T(a_file_of_another_size_is_refused),
		T(a_foreign_journal_proves_nothing),
		T(a_full_disk_stops_the_growing_and_nothing_else),
		T(a_write_that_fails_in_the_middle_keeps_nothing),
		T(many_threads_at_once),
		T(a_sync_beside_a_first_read_is_no_damage),
		T(digests_that_cannot_be_read_prove_nothing),
		T(much_is_synced_without_being_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
