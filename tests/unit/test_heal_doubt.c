// SPDX-License-Identifier: GPL-3.0-or-later
/* What a dying disk delivers is held against its equals, once, and never silently
 * preferred. */
#include "fake_worker.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/notes.h"
#include "readers/readers.h"
#include "readers/rescue.h"

#define SECTORS 2048
#define SIZE	((uint64_t)SECTORS * 512)
#define COPIES	3

static const struct rfs_origin origins[] = {
	{ "bm0002" }, { "backup" }, { "older" }, { "elsewhere" }
};
static struct rfs_worker worker;
static struct memdisk copies[COPIES]; /* backup, older, elsewhere */
static struct rfs_notes notes;
static struct rfs_state *st;
static char *dir, *path;
static uint8_t *truth;

static void open_state(void)
{
	char at[4096];

	snprintf(at, sizeof(at), "%s/state", dir);
	assert_int_equal(rfs_state_open(at, "test", &st, NULL), 0);
}

static int set_up(void **state)
{
	int fd;

	(void)state;
	dir = test_mkdir();
	assert_true(asprintf(&path, "%s/file", dir) > 0);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(ftruncate(fd, (off_t)SIZE), 0);
	close(fd);
	fake_worker_init(&worker, SIZE);
	truth = malloc(SIZE);
	memcpy(truth, worker.disk.bytes, SIZE);
	for (int i = 0; i < COPIES; i++) {
		memdisk_init(&copies[i], SIZE, 1);
		memcpy(copies[i].bytes, truth, SIZE);
	}
	rfs_notes_init(&notes);
	open_state();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rfs_state_close(st);
	rfs_notes_fini(&notes);
	for (int i = 0; i < COPIES; i++)
		memdisk_fini(&copies[i]);
	fake_worker_fini(&worker);
	free(truth);
	free(path);
	test_rmdir(dir);
	return 0;
}

static struct rfs_reader *patient(enum rfs_store_mode mode)
{
	struct rfs_rescue_config config = {
		.state = st,
		.worker = &worker,
		.names = &worker,
		.object = "bm0002:/file",
		.name = "bm0002:/file",
		.origin = &origins[0],
		.notes = &notes,
		.store = mode,
	};
	struct rfs_rescue *rescue;
	struct rfs_reader *rd;

	assert_int_equal(
		rfs_rescue_open(&config, open(path, O_RDONLY), &rescue, NULL),
		0);
	assert_int_equal(rfs_rescue_reader(rescue, &rd, NULL), 0);
	rfs_rescue_unref(rescue);
	return rd;
}

/* The damaged file with the copies whose bits are set in 'which', those in 'near'
 * of its own host. */
static struct rfs_reader *doubting(unsigned int which, unsigned int near,
				   bool compares)
{
	struct rfs_heal_doubts doubts = {
		.state = st, .notes = &notes, .compares = compares, .near = 1
	};
	struct rfs_reader *members[COPIES + 1] = { patient(RFS_STORE_ON) };
	struct rfs_reader *rd;
	size_t n = 1;

	for (int i = 0; i < COPIES; i++)
		if (which >> i & 1) {
			doubts.near |= (uint64_t)(near >> i & 1) << n;
			members[n++] =
				memdisk_reader(&copies[i], &origins[i + 1]);
		}
	assert_int_equal(rfs_heal_open_doubting(members, n, &doubts, &rd, NULL),
			 0);
	while (n)
		rfs_reader_unref(members[--n]);
	return rd;
}

static void flip(uint8_t *bytes, int sector)
{
	for (int i = 0; i < 512; i++)
		bytes[sector * 512 + i] ^= 0xff;
}

static void zero(uint8_t *bytes, int sector)
{
	memset(bytes + (ptrdiff_t)sector * 512, 0, 512);
}

static void expect(struct rfs_reader *rd, struct rfs_range range,
		   const uint8_t *want)
{
	uint8_t *buf = malloc(range.len);

	assert_int_equal(rfs_reader_read(rd, range, buf, NULL, NULL), 0);
	assert_memory_equal(buf, want + range.off, range.len);
	free(buf);
}

static void expect_all(struct rfs_reader *rd, const uint8_t *want)
{
	expect(rd, rfs_range(0, SIZE), want);
}

/* What of one sector the provenance says. */
static void expect_trace(struct rfs_reader *rd, int sector, const char *giver,
			 const char *suspect)
{
	struct rfs_trace t = { 0 };

	assert_int_equal(
		rfs_reader_trace(rd, rfs_range((uint64_t)sector * 512, 512), &t,
				 NULL),
		0);
	assert_int_equal(t.count, 1);
	assert_string_equal(t.items[0].origin->name, giver);
	if (suspect)
		assert_string_equal(t.items[0].suspect->name, suspect);
	else
		assert_null(t.items[0].suspect);
	rfs_trace_fini(&t);
}

static uint64_t suspect_bytes(void)
{
	struct rfs_rescue_totals totals;

	assert_int_equal(rfs_rescue_known(st, "bm0002:/file", &totals, NULL),
			 0);
	return totals.suspect;
}

static unsigned int most_touches(const unsigned int *touches)
{
	unsigned int most = 0;

	for (int s = 0; s < SECTORS; s++)
		most = touches[s] > most ? touches[s] : most;
	return most;
}

static void zeros_and_flips_are_not_served(void **state)
{
	struct rfs_reader *rd = doubting(1, 1, true);

	(void)state;
	zero(worker.disk.bytes, 7);
	flip(worker.disk.bytes, 300);
	expect_all(rd, truth);
	expect_trace(rd, 6, "bm0002", NULL);
	expect_trace(rd, 7, "backup", "bm0002");
	expect_trace(rd, 300, "backup", "bm0002");
	assert_int_equal(suspect_bytes(), 1024);
	assert_int_equal(notes.count, 1);
	assert_non_null(strstr(notes.items[0], "at 3584"));
	rfs_reader_unref(rd);
}

/* In odd pieces, across sectors and the pieces of the comparison. */
static void any_read_gives_the_same(void **state)
{
	struct rfs_reader *rd = doubting(3, 3, true);
	uint64_t random = test_seed(), off, len;

	(void)state;
	for (int s = 0; s < SECTORS; s += 37)
		flip(worker.disk.bytes, s);
	for (int s = 5; s < SECTORS; s += 41)
		zero(worker.disk.bytes, s);
	for (int i = 0; i < 400; i++) {
		off = test_random(&random) % SIZE;
		len = 1 + test_random(&random) % 100000;
		expect(rd, rfs_range(off, len < SIZE - off ? len : SIZE - off),
		       truth);
	}
	expect_all(rd, truth);
	rfs_reader_unref(rd);
}

static void each_byte_is_compared_once(void **state)
{
	struct rfs_reader *rd = doubting(1, 1, true);

	(void)state;
	expect_all(rd, truth);
	expect_all(rd, truth);
	expect(rd, rfs_range(1000, 5000), truth);
	rfs_reader_unref(rd);
	rfs_state_close(st);
	open_state();
	rd = doubting(1, 1, true);
	expect_all(rd, truth);
	/* The dying disk never twice, and nothing is read ahead of it. */
	assert_int_equal(most_touches(worker.disk.touches), 1);
	assert_int_equal(most_touches(copies[0].touches), 1);
	assert_int_equal(suspect_bytes(), 0);
	assert_int_equal(notes.count, 0);
	rfs_reader_unref(rd);
}

static void nothing_is_compared_that_was_not_asked_for(void **state)
{
	struct rfs_reader *rd = doubting(3, 3, true);

	(void)state;
	flip(worker.disk.bytes, 20);
	expect(rd, rfs_range(20 * 512, 512), truth);
	for (int s = 0; s < SECTORS; s++)
		for (int i = 0; i < 2; i++)
			assert_int_equal(copies[i].touches[s],
					 s == 20 && i < 2 ? 1 + (i == 0) : 0);
	rfs_reader_unref(rd);
}

static void of_three_the_majority_is_believed(void **state)
{
	struct rfs_reader *rd = doubting(3, 3, true);

	(void)state;
	flip(copies[0].bytes, 9); /* the backup is the odd one */
	flip(worker.disk.bytes, 10);
	flip(copies[1].bytes, 11);
	expect_all(rd, truth);
	expect_trace(rd, 9, "bm0002", "backup");
	expect_trace(rd, 10, "backup", "bm0002");
	expect_trace(rd, 11, "bm0002", "older");
	expect_trace(rd, 12, "bm0002", NULL);
	rfs_reader_unref(rd);
}

static void a_copy_that_cannot_say_is_no_witness(void **state)
{
	struct rfs_reader *rd = doubting(3, 3, true);

	(void)state;
	flip(worker.disk.bytes, 9);
	flip(worker.disk.bytes, 30);
	copies[0].is_bad[9] = true;
	copies[0].is_bad[30] = copies[1].is_bad[30] = true;
	memcpy(truth + 30 * 512, worker.disk.bytes + 30 * 512, 512);
	expect_all(rd, truth);
	expect_trace(rd, 9, "older", "bm0002");
	expect_trace(rd, 30, "bm0002", NULL);
	/* What was served stays, now that it could be told. */
	copies[0].is_bad[30] = copies[1].is_bad[30] = false;
	expect_all(rd, truth);
	rfs_reader_unref(rd);
}

static void a_copy_of_another_host_counts_against_zeros_only(void **state)
{
	struct rfs_reader *rd = doubting(4, 0, true);

	(void)state;
	flip(copies[2].bytes, 3);
	zero(worker.disk.bytes, 4);
	expect_all(rd, truth);
	expect_trace(rd, 3, "bm0002", NULL);
	expect_trace(rd, 4, "elsewhere", "bm0002");
	rfs_reader_unref(rd);
}

/* P4: whatever the copies hold on another day. */
static void a_verdict_stands_across_mounts(void **state)
{
	struct rfs_reader *rd = doubting(1, 1, true);
	struct rfs_ranges bad = { 0 };
	struct rfs_error err = RFS_ERROR_INIT;
	uint8_t buf[1024];

	(void)state;
	flip(worker.disk.bytes, 50);
	expect(rd, rfs_range(0, SIZE / 2), truth);
	rfs_reader_unref(rd);
	rfs_state_close(st);
	open_state();
	flip(copies[0].bytes, 51);
	flip(copies[1].bytes, 50);
	rd = doubting(3, 3, true);
	expect(rd, rfs_range(0, SIZE / 2), truth);
	expect_trace(rd, 50, "backup", "bm0002");
	assert_int_equal(suspect_bytes(), 512);
	/* Nor is the suspect served where its better cannot be read. */
	copies[0].is_bad[50] = true;
	assert_int_equal(
		rfs_reader_read(rd, rfs_range(50 * 512, 1024), buf, &bad, &err),
		-EIO);
	assert_int_equal(bad.count, 1);
	assert_int_equal(bad.items[0].off, 50 * 512);
	assert_int_equal(bad.items[0].len, 512);
	assert_non_null(strstr(err.text, "are suspect"));
	assert_memory_equal(buf + 512, truth + 51 * 512, 512);
	rfs_ranges_fini(&bad);
	rfs_reader_unref(rd);
}

static void late_is_not_lost(void **state)
{
	struct rfs_reader *rd = doubting(1, 1, true);
	uint8_t buf[512];

	(void)state;
	flip(worker.disk.bytes, 50);
	expect(rd, rfs_range(50 * 512, 512), truth);
	copies[0].is_late[50] = true;
	assert_int_equal(
		rfs_reader_read(rd, rfs_range(50 * 512, 512), buf, NULL, NULL),
		-ETIMEDOUT);
	copies[0].is_late[50] = false;
	expect(rd, rfs_range(50 * 512, 512), truth);
	rfs_reader_unref(rd);
}

static void what_was_served_undoubted_stays(void **state)
{
	struct rfs_reader *rd = doubting(1, 1, false);

	(void)state;
	flip(worker.disk.bytes, 5);
	flip(worker.disk.bytes, 500);
	expect(rd, rfs_range(0, 100 * 512), worker.disk.bytes);
	assert_int_equal(most_touches(copies[0].touches), 0);
	rfs_reader_unref(rd);
	rd = doubting(1, 1, true);
	memcpy(truth, worker.disk.bytes, 100 * 512);
	expect_all(rd, truth);
	rfs_reader_unref(rd);
}

static void a_renewal_judges_anew(void **state)
{
	struct rfs_reader *rd = doubting(1, 1, true);

	(void)state;
	flip(worker.disk.bytes, 5);
	expect_all(rd, truth);
	rfs_reader_unref(rd);
	rd = doubting(3, 3, true);
	memcpy(copies[1].bytes, worker.disk.bytes, SIZE);
	assert_int_equal(rfs_reader_renew(rd, NULL), 0);
	expect_all(rd, worker.disk.bytes);
	expect_trace(rd, 5, "bm0002", "backup");
	rfs_reader_unref(rd);
}

/* A hole in the patient's file is none where another copy was believed. */
static void a_hole_that_is_suspect_is_data(void **state)
{
	struct rfs_reader *rd = doubting(1, 1, true);
	struct rfs_extents ext = { 0 };

	(void)state;
	zero(worker.disk.bytes, 8);
	expect_all(rd, truth);
	assert_int_equal(
		rfs_reader_extents(rd, rfs_range(0, 16 * 512), &ext, NULL), 0);
	assert_int_equal(ext.count, 3);
	assert_int_equal(ext.items[1].content, RFS_DATA);
	assert_int_equal(ext.items[1].range.off, 8 * 512);
	assert_int_equal(ext.items[1].range.len, 512);
	rfs_extents_fini(&ext);
	rfs_reader_unref(rd);
}

/* What is suspect does not lie where the identity says. */
static void what_is_suspect_has_no_seat(void **state)
{
	struct rfs_reader *rd = doubting(1, 1, true);
	struct rfs_seats seats = { 0 };

	(void)state;
	assert_int_equal(rfs_reader_identify(rd, "it", NULL), 0);
	flip(worker.disk.bytes, 8);
	expect_all(rd, truth);
	assert_int_equal(
		rfs_reader_seats(rd, rfs_range(0, 16 * 512), &seats, NULL), 0);
	assert_int_equal(seats.count, 3);
	assert_string_equal(seats.items[0].of, "it");
	assert_null(seats.items[1].of);
	assert_int_equal(seats.items[1].range.len, 512);
	assert_int_equal(seats.items[2].off, 9 * 512);
	rfs_seats_fini(&seats);
	rfs_reader_unref(rd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(zeros_and_flips_are_not_served),
		TEST(any_read_gives_the_same),
		TEST(each_byte_is_compared_once),
		TEST(nothing_is_compared_that_was_not_asked_for),
		TEST(of_three_the_majority_is_believed),
		TEST(a_copy_that_cannot_say_is_no_witness),
		TEST(a_copy_of_another_host_counts_against_zeros_only),
		TEST(a_verdict_stands_across_mounts),
		TEST(late_is_not_lost),
		TEST(what_was_served_undoubted_stays),
		TEST(a_renewal_judges_anew),
		TEST(a_hole_that_is_suspect_is_data),
		TEST(what_is_suspect_has_no_seat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
