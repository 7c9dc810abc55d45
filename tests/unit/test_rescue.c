// SPDX-License-Identifier: GPL-3.0-or-later
/* P5 and P6: each sector is asked for once, and nothing is waited for twice. */
#include "fake_worker.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/notes.h"
#include "readers/rescue_parts.h"

#define SIZE ((uint64_t)FAKE_SECTORS * 512)

static const struct rfs_origin origin = { "bm0002" };
static struct rfs_worker worker;
static struct rfs_notes notes;
static char *dir, *path;
static struct rfs_state *st;

static int set_up(void **state)
{
	int fd;

	(void)state;
	dir = test_mkdir();
	assert_true(asprintf(&path, "%s/file", dir) > 0);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	close(fd);
	fake_worker_init(&worker, SIZE);
	rfs_notes_init(&notes);
	st = NULL;
	return 0;
}

static void open_state(void)
{
	char at[4096];

	snprintf(at, sizeof(at), "%s/state", dir);
	assert_int_equal(rfs_state_open(at, "test", &st, NULL), 0);
}

static int tear_down(void **state)
{
	(void)state;
	rfs_state_close(st);
	rfs_notes_fini(&notes);
	fake_worker_fini(&worker);
	free(path);
	test_rmdir(dir);
	return 0;
}

static int open_rescue(enum rfs_store_mode mode, bool renew,
		       struct rfs_rescue **ret, struct rfs_error *err)
{
	struct rfs_rescue_config config = {
		.state = st,
		.worker = &worker,
		.names = &worker,
		.object = "bm0002:/file",
		.name = "bm0002:/file",
		.origin = &origin,
		.notes = &notes,
		.store = mode,
		.renew = renew,
	};

	return rfs_rescue_open(&config, open(path, O_RDONLY), ret, err);
}

static struct rfs_rescue *rescued(enum rfs_store_mode mode)
{
	struct rfs_rescue *r;

	assert_int_equal(open_rescue(mode, false, &r, NULL), 0);
	return r;
}

static struct rfs_reader *reader_of(struct rfs_rescue *r)
{
	struct rfs_reader *rd;

	assert_int_equal(rfs_rescue_reader(r, &rd, NULL), 0);
	return rd;
}

/* True if the granule around it has a bad sector. */
static bool is_bad(const struct rfs_rescue *r, uint64_t off)
{
	unsigned int granule = rfs_rescue_granule(r);
	uint64_t from = off - off % granule;

	for (uint64_t at = from; at < from + granule && at < SIZE; at += 512)
		if (worker.disk.is_bad[at / 512])
			return true;
	return false;
}

/* Every byte is the medium's, or is said to be bad and is. */
static void expect_read(struct rfs_rescue *r, struct rfs_reader *rd,
			struct rfs_range range)
{
	struct rfs_ranges bad = { 0 };
	uint8_t *buf = malloc(range.len);
	size_t at = 0;
	bool any = false;
	int ret;

	ret = rfs_reader_read(rd, range, buf, &bad, NULL);
	for (uint64_t off = range.off; off < rfs_range_end(range); off++) {
		while (at < bad.count && rfs_range_end(bad.items[at]) <= off)
			at++;
		if (at < bad.count && off >= bad.items[at].off) {
			any = true;
			assert_true(is_bad(r, off));
		} else {
			assert_false(is_bad(r, off));
			assert_int_equal(buf[off - range.off],
					 worker.disk.bytes[off]);
		}
	}
	assert_int_equal(ret, any ? -EIO : 0);
	rfs_ranges_fini(&bad);
	free(buf);
}

static void set_bad(uint64_t from, uint64_t count)
{
	for (uint64_t s = from; s < from + count; s++)
		worker.disk.is_bad[s] = true;
}

/* Nothing but the sectors near a bad one is delivered twice when it is kept. */
static void expect_spared(const struct rfs_rescue *r)
{
	for (uint64_t s = 0; s < FAKE_SECTORS; s++) {
		if (is_bad(r, s * 512))
			assert_in_range(worker.disk.touches[s], 0, 2);
		else
			assert_in_range(worker.delivered[s], 0, 1);
	}
}

static struct rfs_range some_range(uint64_t *seed)
{
	uint64_t off = test_random(seed) % SIZE;
	uint64_t len = 1 + test_random(seed) % (300 << 10);

	return rfs_range(off, len < SIZE - off ? len : SIZE - off);
}

static void each_sector_is_asked_for_once(void **state)
{
	struct rfs_rescue *r;
	struct rfs_reader *rd;
	uint64_t seed = test_seed();

	(void)state;
	open_state();
	for (int i = 0; i < 30; i++)
		set_bad(test_random(&seed) % (FAKE_SECTORS - 9),
			1 + test_random(&seed) % 9);
	for (int session = 0; session < 3; session++) {
		r = rescued(RFS_STORE_ON);
		rd = reader_of(r);
		for (int i = 0; i < 300; i++)
			expect_read(r, rd, some_range(&seed));
		expect_read(r, rd, rfs_range(0, SIZE));
		expect_spared(r);
		rfs_reader_unref(rd);
		rfs_rescue_unref(r);
	}
}

static void bad_sectors_are_left_alone_without_a_store(void **state)
{
	struct rfs_rescue *r;
	struct rfs_reader *rd;
	struct rfs_rescue_totals totals;

	(void)state;
	open_state();
	set_bad(100, 3);
	set_bad(FAKE_SECTORS - 1, 1);
	for (int session = 0; session < 3; session++) {
		r = rescued(RFS_STORE_OFF);
		rd = reader_of(r);
		expect_read(r, rd, rfs_range(0, SIZE));
		rfs_rescue_totals(r, &totals);
		assert_int_equal(totals.bytes[RFS_RESCUE_DONE], 0);
		rfs_reader_unref(rd);
		rfs_rescue_unref(r);
	}
	for (int s = 100; s < 103; s++)
		assert_in_range(worker.disk.touches[s], 1, 2);
}

/* A sector each, which alone fails; the requests are few all the same. */
static void what_is_near_an_error_is_asked_for_together(void **state)
{
	struct rfs_rescue *r = rescued(RFS_STORE_ON);
	struct rfs_reader *rd = reader_of(r);

	(void)state;
	for (uint64_t s = 200; s < FAKE_SECTORS; s += 300)
		set_bad(s, 1);
	expect_read(r, rd, rfs_range(0, SIZE));
	for (uint64_t s = 0; s < FAKE_SECTORS; s++)
		assert_in_range(worker.disk.touches[s], 1, 2);
	assert_in_range(worker.requests - worker.joined, 14, 250);
	rfs_reader_unref(rd);
	rfs_rescue_unref(r);
}

static void nothing_beyond_what_is_asked_is_read(void **state)
{
	struct rfs_rescue *r = rescued(RFS_STORE_ON);
	struct rfs_reader *rd = reader_of(r);
	uint64_t unit = rfs_rescue_granule(r) / 512;

	(void)state;
	expect_read(r, rd, rfs_range(64 * 512, 16 << 10));
	for (uint64_t s = 0; s < FAKE_SECTORS; s++)
		assert_int_equal(worker.disk.touches[s], s >= 64 && s < 96);
	expect_read(r, rd, rfs_range(200 * 512 + 10, 3));
	for (uint64_t s = 96; s < FAKE_SECTORS; s++)
		assert_int_equal(worker.disk.touches[s],
				 s / unit == 200 / unit);
	rfs_reader_unref(rd);
	rfs_rescue_unref(r);
}

static int read_at(struct rfs_reader *rd, uint64_t off, uint64_t len,
		   struct rfs_ranges *bad, struct rfs_error *err)
{
	uint8_t *buf = malloc(len);
	int r = rfs_reader_read(rd, rfs_range(off, len), buf, bad, err);
	uint64_t bad_end = bad->count ? rfs_range_end(bad->items[0]) : 0;

	for (uint64_t i = 0; i < len && (r == 0 || r == -ETIMEDOUT); i++)
		if (bad->count != 1 || off + i < bad->items[0].off ||
		    off + i >= bad_end)
			assert_int_equal(buf[i], worker.disk.bytes[off + i]);
	free(buf);
	return r;
}

static void what_hangs_is_waited_for_once(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_ranges bad = { 0 };
	struct rfs_rescue *r;
	struct rfs_reader *rd;
	unsigned int asked;

	(void)state;
	open_state();
	r = rescued(RFS_STORE_ON);
	rd = reader_of(r);
	worker.hangs[300] = true;
	assert_int_equal(read_at(rd, 296 * 512, 8 * 512, &bad, &err),
			 -ETIMEDOUT);
	assert_int_equal(bad.count, 1);
	asked = worker.requests;
	rfs_ranges_clear(&bad);
	assert_int_equal(read_at(rd, 300 * 512, 512, &bad, &err), -ETIMEDOUT);
	assert_int_equal(worker.requests, asked);
	assert_non_null(strstr(err.text, "not waited for again"));
	/* All else goes on. */
	rfs_ranges_clear(&bad);
	assert_int_equal(read_at(rd, 400 * 512, 8 * 512, &bad, NULL), 0);
	/* It outlives the process. */
	rfs_reader_unref(rd);
	rfs_rescue_unref(r);
	asked = worker.requests;
	r = rescued(RFS_STORE_ON);
	rd = reader_of(r);
	assert_int_equal(read_at(rd, 300 * 512, 512, &bad, NULL), -ETIMEDOUT);
	assert_int_equal(worker.requests, asked);
	rfs_ranges_fini(&bad);
	rfs_reader_unref(rd);
	rfs_rescue_unref(r);
}

static void what_comes_late_is_taken_in(void **state)
{
	struct rfs_ranges bad = { 0 };
	struct rfs_rescue *r;
	struct rfs_reader *rd;

	(void)state;
	open_state();
	r = rescued(RFS_STORE_ON);
	rd = reader_of(r);
	worker.hangs[300] = true;
	assert_int_equal(read_at(rd, 296 * 512, 8 * 512, &bad, NULL),
			 -ETIMEDOUT);
	worker.late_is_there = true;
	rfs_ranges_clear(&bad);
	assert_int_equal(read_at(rd, 296 * 512, 8 * 512, &bad, NULL), 0);
	assert_int_equal(worker.delivered[300], 1);
	assert_int_equal(bad.count, 0);
	rfs_ranges_fini(&bad);
	rfs_reader_unref(rd);
	rfs_rescue_unref(r);
}

/* What nobody waits for is not looked for at each read. */
static void what_does_not_come_is_forgotten(void **state)
{
	struct rfs_ranges bad = { 0 };
	struct rfs_rescue *r = rescued(RFS_STORE_OFF);
	struct rfs_reader *rd = reader_of(r);
	unsigned int looks;

	(void)state;
	worker.hangs[300] = true;
	assert_int_equal(read_at(rd, 300 * 512, 512, &bad, NULL), -ETIMEDOUT);
	looks = worker.late_looks;
	assert_int_equal(read_at(rd, 0, 512, &bad, NULL), 0);
	assert_int_equal(worker.late_looks, looks + 1);
	worker.late.len = 0; /* the child was ended */
	for (int i = 0; i < 4; i++)
		assert_int_equal(read_at(rd, 0, 512, &bad, NULL), 0);
	assert_int_equal(worker.late_looks, looks + 2);
	rfs_ranges_fini(&bad);
	rfs_reader_unref(rd);
	rfs_rescue_unref(r);
}

/* All of a request that is late is: so the next begin small. */
static void after_a_miss_requests_are_small(void **state)
{
	const uint64_t half = SIZE / 2, last = FAKE_SECTORS - 1;
	struct rfs_ranges bad = { 0 };
	struct rfs_rescue *r = rescued(RFS_STORE_OFF);
	struct rfs_reader *rd = reader_of(r);

	(void)state;
	assert_int_equal(read_at(rd, 0, half, &bad, NULL), 0);
	worker.hangs[last] = true;
	assert_int_equal(read_at(rd, last * 512, 512, &bad, NULL), -ETIMEDOUT);
	rfs_ranges_clear(&bad);
	assert_int_equal(read_at(rd, half, half / 2, &bad, NULL), 0);
	assert_int_not_equal(worker.asked[half / 512],
			     worker.asked[half / 512 + 255]);
	rfs_ranges_fini(&bad);
	rfs_reader_unref(rd);
	rfs_rescue_unref(r);
}

/* One that fails costs a request for each sector in it, and where there is an error
 * others are not far. */
static void after_an_error_requests_stay_small(void **state)
{
	const uint64_t step = RFS_MEDIUM_STEP;
	struct rfs_rescue *r = rescued(RFS_STORE_OFF);
	struct rfs_reader *rd = reader_of(r);

	(void)state;
	set_bad(0, 1);
	expect_read(r, rd, rfs_range(0, SIZE));
	for (uint64_t off = step; off < SIZE; off += step) {
		assert_int_not_equal(worker.asked[off / 512],
				     worker.asked[off / 512 - 1]);
		assert_int_equal(worker.asked[off / 512],
				 worker.asked[(off + step) / 512 - 1]);
	}
	rfs_reader_unref(rd);
	rfs_rescue_unref(r);
}

/* One request, as the fetch has it, for a range of which 'seen' is known. */
static ssize_t ask_once(struct rfs_rescue *r, struct rfs_range range,
			enum rfs_rescue_status seen,
			struct rfs_patience *patience)
{
	const struct rfs_rescue_way at_once = { 0 };
	void *buf = malloc(range.len);
	ssize_t n = rfs_rescue_ask(r, range, (struct rfs_run){ range, seen },
				   at_once, buf, true, patience);

	free(buf);
	return n;
}

static void *ask_behind(void *data)
{
	struct rfs_patience patience = { .left_ns = 300 * FAKE_DEADLINE,
					 .background = true };

	ask_once(data, rfs_range(128 * 512, 4096), RFS_RESCUE_NOT, &patience);
	return NULL;
}

/* What the background waits for, a reader does not, but for the deadline; and it
 * sees to it that the background does not wait for others. */
static void who_asks_for_long_holds_up_nobody(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_ranges bad = { 0 };
	struct rfs_rescue *r;
	struct rfs_reader *rd;
	pthread_t thread;

	(void)state;
	open_state();
	r = rescued(RFS_STORE_ON);
	rd = reader_of(r);
	atomic_store(&worker.holds, true);
	pthread_create(&thread, NULL, ask_behind, r);
	while (!atomic_load(&worker.is_held))
		usleep(1000);
	alarm(300);
	assert_int_equal(read_at(rd, 64 * 512, 65536, &bad, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "within the deadline"));
	/* And nothing but what it waits for is late. */
	assert_int_equal(bad.count, 1);
	assert_int_equal(bad.items[0].off, 128 * 512);
	assert_int_equal(bad.items[0].len, 4096);
	while (!atomic_load(&worker.is_lifted))
		usleep(1000);
	alarm(0);
	atomic_store(&worker.holds, false);
	pthread_join(thread, NULL);
	/* It came after all. */
	rfs_ranges_clear(&bad);
	assert_int_equal(read_at(rd, 64 * 512, 65536, &bad, NULL), 0);
	assert_int_equal(worker.delivered[128], 1);
	rfs_ranges_fini(&bad);
	rfs_reader_unref(rd);
	rfs_rescue_unref(r);
}

static void a_source_set_aside_is_not_bad(void **state)
{
	struct rfs_ranges bad = { 0 };
	struct rfs_rescue *r = rescued(RFS_STORE_ON);
	struct rfs_reader *rd = reader_of(r);

	(void)state;
	worker.is_aside = true;
	assert_int_equal(read_at(rd, 512, 4096, &bad, NULL), -ETIMEDOUT);
	assert_int_equal(bad.count, 1);
	worker.is_aside = false;
	worker.errnum = ENXIO; /* it is gone */
	rfs_ranges_clear(&bad);
	assert_int_equal(read_at(rd, 512, 4096, &bad, NULL), -ETIMEDOUT);
	worker.errnum = 0;
	expect_read(r, rd, rfs_range(512, 4096));
	rfs_ranges_fini(&bad);
	rfs_reader_unref(rd);
	rfs_rescue_unref(r);
}

/* Each request gets on, but all of them together take too long. */
static void a_slow_read_ends_at_the_deadline(void **state)
{
	struct rfs_ranges bad = { 0 };
	struct rfs_rescue *r = rescued(RFS_STORE_OFF);
	struct rfs_reader *rd = reader_of(r);
	unsigned int asked;

	(void)state;
	worker.slow_ns = FAKE_DEADLINE / 4;
	set_bad(64, 128);
	assert_int_equal(read_at(rd, 0, SIZE, &bad, NULL), -ETIMEDOUT);
	assert_in_range(worker.requests, 4, 5);
	asked = worker.requests;
	/* Of what was not asked for nothing is remembered. */
	worker.slow_ns = 0;
	expect_read(r, rd, rfs_range(0, SIZE));
	assert_true(worker.requests > asked);
	rfs_ranges_fini(&bad);
	rfs_reader_unref(rd);
	rfs_rescue_unref(r);
}

static void auto_begins_at_the_first_error(void **state)
{
	struct rfs_rescue_totals totals;
	struct rfs_rescue *r;
	struct rfs_reader *rd;

	(void)state;
	open_state();
	set_bad(1000, 1);
	r = rescued(RFS_STORE_AUTO);
	rd = reader_of(r);
	expect_read(r, rd, rfs_range(0, 64 << 10));
	rfs_rescue_totals(r, &totals);
	assert_int_equal(totals.bytes[RFS_RESCUE_DONE], 0);
	expect_read(r, rd, rfs_range(1000 * 512, 512));
	expect_read(r, rd, rfs_range(128 << 10, 64 << 10));
	rfs_rescue_totals(r, &totals);
	assert_in_range(totals.bytes[RFS_RESCUE_DONE], 64 << 10, 80 << 10);
	rfs_reader_unref(rd);
	rfs_rescue_unref(r);
	/* And from the start, the next time. */
	r = rescued(RFS_STORE_AUTO);
	rd = reader_of(r);
	expect_read(r, rd, rfs_range(1 << 20, 64 << 10));
	rfs_rescue_totals(r, &totals);
	assert_true(totals.bytes[RFS_RESCUE_DONE] >= 128 << 10);
	rfs_reader_unref(rd);
	rfs_rescue_unref(r);
}

static void an_order_asks_again(void **state)
{
	struct rfs_rescue *r;
	struct rfs_reader *rd;

	(void)state;
	open_state();
	r = rescued(RFS_STORE_ON);
	rd = reader_of(r);
	set_bad(50, 2);
	expect_read(r, rd, rfs_range(0, SIZE));
	worker.disk.is_bad[50] = worker.disk.is_bad[51] = false;
	assert_int_equal(rfs_reader_renew(rd, NULL), 0);
	expect_read(r, rd, rfs_range(0, SIZE));
	for (int s = 0; s < FAKE_SECTORS; s++)
		assert_in_range(worker.delivered[s], 1, 1);
	rfs_reader_unref(rd);
	rfs_rescue_unref(r);
}

static void a_changed_file_is_refused_until_a_refresh(void **state)
{
	struct timespec times[2] = { { 0, UTIME_OMIT }, { 1234567, 0 } };
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_rescue *r = NULL;
	struct rfs_reader *rd;

	(void)state;
	open_state();
	r = rescued(RFS_STORE_ON);
	rd = reader_of(r);
	expect_read(r, rd, rfs_range(0, SIZE));
	rfs_reader_unref(rd);
	rfs_rescue_unref(r);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	memset(worker.disk.bytes, 0x11, SIZE);
	assert_int_equal(open_rescue(RFS_STORE_ON, false, &r, &err), -ESTALE);
	assert_non_null(strstr(err.text, "refresh"));
	assert_int_equal(open_rescue(RFS_STORE_ON, true, &r, NULL), 0);
	rd = reader_of(r);
	expect_read(r, rd, rfs_range(0, SIZE));
	rfs_reader_unref(rd);
	rfs_rescue_unref(r);
	assert_int_equal(open_rescue(RFS_STORE_ON, false, &r, NULL), 0);
	rfs_rescue_unref(r);
}

static void a_file_that_was_only_looked_at_leaves_nothing(void **state)
{
	struct timespec times[2] = { { 0, UTIME_OMIT }, { 1234567, 0 } };
	struct rfs_rescue *r;

	(void)state;
	open_state();
	rfs_rescue_unref(rescued(RFS_STORE_ON));
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	r = rescued(RFS_STORE_ON);
	rfs_rescue_unref(r);
}

static void asking_is_one_request(void **state)
{
	struct rfs_patience patience = rfs_worker_patience(&worker);
	struct rfs_rescue *r;

	(void)state;
	open_state();
	r = rescued(RFS_STORE_OFF);
	set_bad(64, 1);
	assert_int_equal(
		ask_once(r, rfs_range(0, 128 * 512), RFS_RESCUE_NOT, &patience),
		64 * 512);
	assert_int_equal(worker.requests, 1);
	assert_int_equal(rfs_rescue_find(r, 0, rfs_range(0, SIZE)).value,
			 RFS_RESCUE_DONE);
	assert_int_equal(rfs_rescue_find(r, 64 * 512, rfs_range(0, SIZE)).value,
			 RFS_RESCUE_NEAR);
	/* Another was faster: nobody is asked. */
	assert_int_equal(
		ask_once(r, rfs_range(0, 4096), RFS_RESCUE_NOT, &patience),
		-EAGAIN);
	assert_int_equal(ask_once(r, rfs_range(64 * 512, 4096), RFS_RESCUE_NEAR,
				  &patience),
			 -EIO);
	assert_int_equal(worker.requests, 2);
	rfs_rescue_unref(r);
}

static void *read_all(void *data)
{
	struct rfs_rescue *r = data;
	struct rfs_reader *rd = reader_of(r);
	uint64_t seed = 5;

	for (int i = 0; i < 50; i++)
		expect_read(r, rd, some_range(&seed));
	expect_read(r, rd, rfs_range(0, SIZE));
	rfs_reader_unref(rd);
	return NULL;
}

static void who_comes_together_asks_once(void **state)
{
	pthread_t threads[4];
	struct rfs_rescue *r;

	(void)state;
	open_state();
	r = rescued(RFS_STORE_ON);
	set_bad(2000, 5);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_all, r),
				 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	expect_spared(r);
	rfs_rescue_unref(r);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(each_sector_is_asked_for_once),
		T(bad_sectors_are_left_alone_without_a_store),
		T(what_is_near_an_error_is_asked_for_together),
		T(nothing_beyond_what_is_asked_is_read),
		T(what_hangs_is_waited_for_once),
		T(what_comes_late_is_taken_in),
		T(what_does_not_come_is_forgotten),
		T(after_a_miss_requests_are_small),
		T(after_an_error_requests_stay_small),
		T(who_asks_for_long_holds_up_nobody),
		T(a_source_set_aside_is_not_bad),
		T(a_slow_read_ends_at_the_deadline),
		T(auto_begins_at_the_first_error),
		T(an_order_asks_again),
		T(a_changed_file_is_refused_until_a_refresh),
		T(a_file_that_was_only_looked_at_leaves_nothing),
		T(asking_is_one_request),
		T(who_comes_together_asks_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
