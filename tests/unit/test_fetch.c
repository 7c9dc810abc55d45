// SPDX-License-Identifier: GPL-3.0-or-later
/* A fetch's passes, on a medium that counts: what is readable is rescued, in
 * the order of its worth, and no bad sector is touched more than twice. */
#include "fake_worker.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/notes.h"
#include "readers/fetch.h"

#define SIZE  ((uint64_t)FAKE_SECTORS * 512)
#define PIECE 128u /* sectors of a request near errors */

static const struct rfs_origin origin = { "bm0002" };
static struct rfs_worker worker;
static struct rfs_notes notes;
static char *dir, *path;
static struct rfs_state *st;
static struct rfs_rescue *rescue;
static struct rfs_reader *reader;
static struct rfs_fetch *fetch;
static unsigned int most_delivered; /* times, of a good sector */
static unsigned int stop_at;	    /* the request that stops the fetch */

static void open_with(bool keeps)
{
	struct rfs_rescue_config config = {
		.worker = &worker,
		.names = &worker,
		.object = "bm0002:/file",
		.name = "bm0002:/file",
		.origin = &origin,
		.notes = &notes,
		.store = RFS_STORE_ON,
	};
	char at[4096];

	snprintf(at, sizeof(at), "%s/state", dir);
	assert_int_equal(rfs_state_open(at, "test", &st, NULL), 0);
	config.state = keeps ? st : NULL;
	assert_int_equal(
		rfs_rescue_open(&config, open(path, O_RDONLY), &rescue, NULL),
		0);
	assert_int_equal(rfs_rescue_reader(rescue, &reader, NULL), 0);
	assert_int_equal(rfs_fetch_new(&fetch, NULL), 0);
}

static void open_all(void)
{
	open_with(true);
}

static void close_all(void)
{
	rfs_fetch_free(fetch);
	rfs_reader_unref(reader);
	rfs_rescue_unref(rescue);
	rfs_state_close(st);
}

static int set_up(void **state)
{
	int fd;

	(void)state;
	dir = test_mkdir();
	assert_true(asprintf(&path, "%s/file", dir) > 0);
	/* Bytes, and no holes, which would be left out. */
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	fake_worker_init(&worker, SIZE);
	assert_int_equal(write(fd, worker.disk.bytes, SIZE), SIZE);
	close(fd);
	rfs_notes_init(&notes);
	stop_at = 0;
	most_delivered = 1;
	open_all();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close_all();
	rfs_notes_fini(&notes);
	fake_worker_fini(&worker);
	free(path);
	test_rmdir(dir);
	return 0;
}

static void set_bad(uint64_t from, uint64_t count)
{
	for (uint64_t s = from; s < from + count; s++)
		worker.disk.is_bad[s] = true;
}

static void add(uint64_t from, uint64_t count, enum rfs_fetch_tier tier)
{
	assert_int_equal(rfs_fetch_add(fetch, reader,
				       rfs_range(from * 512, count * 512), tier,
				       NULL),
			 0);
}

static int run(enum rfs_fetch_tier tier)
{
	struct rfs_error err = RFS_ERROR_INIT;

	return rfs_fetch_run(fetch, tier, &err);
}

static enum rfs_rescue_status status(uint64_t sector)
{
	return (enum rfs_rescue_status)rfs_rescue_find(
		       rescue, sector * 512, rfs_range(sector * 512, 512))
		.value;
}

/* What is readable is kept, byte for byte; the rest is known to be bad; nothing
 * was delivered twice but what lay around an error. */
static void expect_all_done(void)
{
	uint8_t buf[512];

	for (uint64_t s = 0; s < FAKE_SECTORS; s++) {
		if (worker.disk.is_bad[s]) {
			assert_int_equal(status(s), RFS_RESCUE_BAD);
			assert_in_range(worker.disk.touches[s], 1, 2);
			continue;
		}
		assert_int_equal(status(s), RFS_RESCUE_DONE);
		assert_int_equal(rfs_rescue_kept(rescue,
						 rfs_range(s * 512, 512), buf,
						 NULL),
				 0);
		assert_memory_equal(buf, worker.disk.bytes + s * 512, 512);
		assert_in_range(worker.delivered[s], 1, most_delivered);
	}
}

static void healthy(void **state)
{
	struct rfs_fetch_progress p;

	(void)state;
	add(0, FAKE_SECTORS, RFS_FETCH_REST);
	assert_int_equal(run(RFS_FETCH_REST), 0);
	expect_all_done();
	assert_in_range(worker.requests, 1, FAKE_SECTORS / PIECE);
	rfs_fetch_progress(fetch, &p);
	assert_int_equal(p.total, SIZE);
	assert_int_equal(p.rescued, SIZE);
	assert_int_equal(p.fetched, SIZE);
	assert_int_equal(p.areas, 0);
	assert_string_equal(p.file, "bm0002:/file");
	/* And never again. */
	worker.requests = 0;
	assert_int_equal(run(RFS_FETCH_REST), 0);
	assert_int_equal(worker.requests, 0);
}

static void damaged(void **state)
{
	uint64_t seed = test_seed(), bad = 0, areas = 0;
	struct rfs_fetch_progress p;

	(void)state;
	for (int i = 0; i < 20; i++)
		set_bad(test_random(&seed) % (FAKE_SECTORS - 20),
			1 + test_random(&seed) % 20);
	set_bad(0, 1);
	set_bad(FAKE_SECTORS - 1, 1);
	for (uint64_t s = 0; s < FAKE_SECTORS; s++) {
		bad += worker.disk.is_bad[s];
		areas += worker.disk.is_bad[s] &&
			 (s == 0 || !worker.disk.is_bad[s - 1]);
	}
	add(0, FAKE_SECTORS, RFS_FETCH_REST);
	assert_int_equal(run(RFS_FETCH_REST), 0);
	expect_all_done();
	rfs_fetch_progress(fetch, &p);
	assert_int_equal(p.bad, bad * 512);
	assert_int_equal(p.areas, areas);
	assert_int_equal(p.rescued + p.bad, p.total);
	assert_int_equal(p.untried + p.pending + p.late, 0);
}

/* All that is readable of a tier is there before the next one is asked for. */
static void used_first(void **state)
{
	unsigned int last[4] = { 0 }, first[4] = { 0 };
	int tier;

	(void)state;
	for (uint64_t s = 100; s < FAKE_SECTORS; s += 400)
		set_bad(s, 9);
	add(3000, 40, RFS_FETCH_TABLES);
	for (uint64_t s = 64; s < FAKE_SECTORS; s += 512)
		add(s, 200, RFS_FETCH_USED);
	assert_int_equal(rfs_fetch_add_rest(fetch, true, NULL), 0);
	for (tier = RFS_FETCH_TABLES; tier <= RFS_FETCH_REST; tier++)
		assert_int_equal(run((enum rfs_fetch_tier)tier), 0);
	expect_all_done();
	for (uint64_t s = 0; s < FAKE_SECTORS; s++) {
		tier = s >= 3000 && s < 3040		? 1
		       : s % 512 >= 64 && s % 512 < 264 ? 2
							: 3;
		if (!first[tier] || worker.asked[s] < first[tier])
			first[tier] = worker.asked[s];
		if (worker.got[s] > last[tier])
			last[tier] = worker.got[s];
	}
	assert_true(last[1] && last[1] < first[2]);
	assert_true(last[2] < first[3]);
}

/* A large area that is dead costs few requests before the rest is there. */
static void skips(void **state)
{
	unsigned int last = 0, wasted = 0;

	(void)state;
	set_bad(1024, 1024);
	add(0, FAKE_SECTORS, RFS_FETCH_REST);
	assert_int_equal(run(RFS_FETCH_REST), 0);
	expect_all_done();
	/* Those two pieces at its ends apart, which are trimmed. */
	for (uint64_t s = 0; s < FAKE_SECTORS; s++)
		if (worker.got[s] > last)
			last = worker.got[s];
	for (uint64_t s = 1024; s < 2048; s++)
		wasted += worker.asked[s] && worker.asked[s] < last;
	assert_true(wasted < 8);
}

static void stop_there(struct rfs_worker *w)
{
	if (w->requests == stop_at)
		rfs_fetch_stop(fetch);
}

/* Stopped at each of its requests in turn, and gone on with from the state. */
static void goes_on(void **state)
{
	unsigned int stops = 0;
	int r;

	(void)state;
	for (uint64_t s = 50; s < FAKE_SECTORS; s += 700)
		set_bad(s, 5);
	worker.each = stop_there;
	do {
		close_all();
		open_all();
		add(0, FAKE_SECTORS, RFS_FETCH_REST);
		stop_at = worker.requests + 1 + stops % 3;
		stops++;
		r = run(RFS_FETCH_REST);
		assert_true(r == 0 || r == -EINTR);
	} while (r == -EINTR);
	assert_true(stops > 20);
	expect_all_done();
}

static void retries(void **state)
{
	(void)state;
	set_bad(300, 8);
	set_bad(900, 1);
	add(0, FAKE_SECTORS, RFS_FETCH_REST);
	assert_int_equal(run(RFS_FETCH_REST), 0);
	for (uint64_t s = 302; s < 305; s++)
		worker.disk.is_bad[s] = false;
	assert_int_equal(run(RFS_FETCH_REST), 0);
	assert_int_equal(status(303), RFS_RESCUE_BAD);
	assert_in_range(worker.disk.touches[303], 1, 2);
	for (unsigned int round = 1; round <= 3; round++)
		assert_int_equal(rfs_fetch_retry(fetch, round, NULL), 0);
	for (uint64_t s = 300; s < 308; s++)
		assert_int_equal(status(s), worker.disk.is_bad[s]
						    ? RFS_RESCUE_BAD
						    : RFS_RESCUE_DONE);
	assert_in_range(worker.disk.touches[300], 4, 5);
	assert_in_range(worker.disk.touches[303], 2, 3);
	assert_int_equal(status(900), RFS_RESCUE_BAD);
}

/* What is late is asked for once more, singly, after all else. */
static void late(void **state)
{
	struct rfs_fetch_progress p;

	(void)state;
	/* What came before it, in the same message, is not kept here; the real
	 * worker brings it when the child is back. */
	most_delivered = 2;
	worker.hangs[700] = true;
	add(0, FAKE_SECTORS, RFS_FETCH_REST);
	assert_int_equal(run(RFS_FETCH_REST), 0);
	assert_int_equal(status(700), RFS_RESCUE_LATE);
	rfs_fetch_progress(fetch, &p);
	assert_int_equal(p.late, 512);
	assert_int_equal(p.areas, 1);
	assert_int_equal(p.rescued, SIZE - 512);
	worker.hangs[700] = false;
	assert_int_equal(run(RFS_FETCH_REST), 0);
	expect_all_done();
}

static void hangs_for_good(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;

	(void)state;
	for (uint64_t s = 1024; s < FAKE_SECTORS; s++)
		worker.hangs[s] = true;
	add(0, FAKE_SECTORS, RFS_FETCH_REST);
	assert_int_equal(rfs_fetch_run(fetch, RFS_FETCH_REST, &err),
			 -ETIMEDOUT);
	assert_non_null(strstr(err.text, "gave no answer"));
	assert_int_equal(status(10), RFS_RESCUE_DONE);
}

/* Whatever reads it dies at once, each time: it is not asked for ever. */
static void the_child_dies(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;

	(void)state;
	worker.dies = true;
	add(0, FAKE_SECTORS, RFS_FETCH_REST);
	alarm(300);
	assert_int_equal(rfs_fetch_run(fetch, RFS_FETCH_REST, &err),
			 -ETIMEDOUT);
	alarm(0);
	assert_non_null(strstr(err.text, "gave no answer 16 times"));
	assert_int_equal(status(0), RFS_RESCUE_NOT);
}

/* What cannot be kept must not be asked for again and again. */
static void nothing_is_kept(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;

	(void)state;
	close_all();
	open_with(false);
	add(0, FAKE_SECTORS, RFS_FETCH_REST);
	assert_int_equal(rfs_fetch_run(fetch, RFS_FETCH_REST, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "cannot be kept"));
	assert_in_range(worker.requests, 1, 3 * 8);
}

static void is_away(void **state)
{
	(void)state;
	worker.errnum = ENXIO;
	add(0, FAKE_SECTORS, RFS_FETCH_REST);
	assert_int_equal(run(RFS_FETCH_REST), -ENXIO);
	assert_int_equal(status(0), RFS_RESCUE_NOT);
}

static void is_shorter(void **state)
{
	(void)state;
	worker.disk.size = SIZE / 2;
	add(0, FAKE_SECTORS, RFS_FETCH_REST);
	assert_int_equal(run(RFS_FETCH_REST), -ESTALE);
	worker.disk.size = SIZE;
}

/* The size is no multiple of a piece, nor the tiers of a sector. */
static void odd_ends(void **state)
{
	(void)state;
	assert_int_equal(rfs_fetch_add(fetch, reader, rfs_range(1000, 99001),
				       RFS_FETCH_USED, NULL),
			 0);
	set_bad(4, 1);
	assert_int_equal(run(RFS_FETCH_USED), 0);
	assert_int_equal(status(0), RFS_RESCUE_NOT);
	assert_int_equal(status(1), RFS_RESCUE_DONE);
	assert_int_equal(status(4), RFS_RESCUE_BAD);
	assert_int_equal(status(195), RFS_RESCUE_DONE);
	assert_int_equal(status(196), RFS_RESCUE_NOT);
	assert_int_equal(worker.disk.touches[0], 0);
	assert_int_equal(worker.disk.touches[196], 0);
}

static void holes_are_left_out(void **state)
{
	struct rfs_fetch_progress p;
	int fd = open(path, O_WRONLY);

	(void)state;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, SIZE / 2,
		      SIZE / 4) < 0) {
		close(fd);
		skip();
	}
	close(fd);
	add(0, 10, RFS_FETCH_USED);
	assert_int_equal(rfs_fetch_add_rest(fetch, true, NULL), 0);
	assert_int_equal(run(RFS_FETCH_USED), 0);
	assert_int_equal(run(RFS_FETCH_REST), 0);
	assert_int_equal(worker.disk.touches[FAKE_SECTORS / 2], 0);
	assert_int_equal(worker.disk.touches[FAKE_SECTORS - 1], 1);
	rfs_fetch_progress(fetch, &p);
	assert_int_equal(p.total, SIZE - SIZE / 4);
	assert_int_equal(p.rescued, p.total);
}

static void *read_all(void *data)
{
	uint8_t buf[4096];
	struct rfs_ranges bad = { 0 };

	(void)data;
	for (uint64_t off = SIZE; off > 0; off -= sizeof(buf))
		rfs_reader_read(reader, rfs_range(off - sizeof(buf), 4096), buf,
				&bad, NULL);
	rfs_ranges_fini(&bad);
	return NULL;
}

/* Beside one who reads: nothing is asked for by both. */
static void beside_a_reader(void **state)
{
	pthread_t thread;

	(void)state;
	for (uint64_t s = 30; s < FAKE_SECTORS; s += 333)
		set_bad(s, 3);
	add(0, FAKE_SECTORS, RFS_FETCH_REST);
	assert_int_equal(pthread_create(&thread, NULL, read_all, NULL), 0);
	assert_int_equal(run(RFS_FETCH_REST), 0);
	pthread_join(thread, NULL);
	expect_all_done();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
		TEST(healthy),
		TEST(damaged),
		TEST(used_first),
		TEST(skips),
		TEST(goes_on),
		TEST(retries),
		TEST(late),
		TEST(hangs_for_good),
		TEST(the_child_dies),
		TEST(is_away),
		TEST(nothing_is_kept),
		TEST(is_shorter),
		TEST(odd_ends),
		TEST(holes_are_left_out),
		TEST(beside_a_reader),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
