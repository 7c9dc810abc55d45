// SPDX-License-Identifier: GPL-3.0-or-later
/* What is known outlives the process (P7), one daemon has it, and what makes
 * no sense is refused. */
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
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "core/keptmap.h"
#include "core/state.h"
#include "core/state_store.h"

#define PURPOSE "choices"

static char dir[64];

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/rescuefs-state-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct rfs_state *open_state(void)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_state *st = NULL;

	if (rfs_state_open(dir, "/mnt", &st, &err) < 0)
		fail_msg("%s", err.text);
	return st;
}

static void open_map(struct rfs_kept *k, struct rfs_state *st)
{
	struct rfs_error err = RFS_ERROR_INIT;

	if (rfs_kept_open(k, st, "u/disk", PURPOSE, &err) < 0)
		fail_msg("%s", err.text);
}

static void expect_same(const struct rfs_extmap *a, const struct rfs_extmap *b)
{
	struct rfs_run x, y;

	assert_int_equal(a->runs, b->runs);
	for (uint64_t off = 0; off < RFS_SIZE_MAX;
	     off = rfs_range_end(x.range)) {
		x = rfs_extmap_find(a, off);
		y = rfs_extmap_find(b, off);
		assert_int_equal(x.range.off, y.range.off);
		assert_int_equal(x.range.len, y.range.len);
		assert_int_equal(x.value, y.value);
	}
}

/* Runs within pages, over their ends, and taken back. */
static void change(struct rfs_kept *k, struct rfs_extmap *model,
		   unsigned int *seed)
{
	uint64_t off = (uint64_t)rand_r(seed) % (20 * RFS_KEPT_PAGE);
	uint64_t len =
		1 + (uint64_t)rand_r(seed) %
			    (rand_r(seed) % 8 ? 2000 : 3 * RFS_KEPT_PAGE);
	uint32_t value = rand_r(seed) % 3 ? 1u + (uint32_t)rand_r(seed) : 0;

	assert_int_equal(rfs_kept_set(k, rfs_range(off, len), value, NULL), 0);
	assert_int_equal(rfs_extmap_set(model, rfs_range(off, len), value), 0);
}

static void a_map_comes_back_as_it_was_saved(void **state)
{
	unsigned int seed = (unsigned int)time(NULL);
	struct rfs_extmap model = { 0 };
	struct rfs_state *st;
	struct rfs_kept k;

	(void)state;
	print_message("seed %u\n", seed);
	for (int round = 0; round < 8; round++) {
		st = open_state();
		open_map(&k, st);
		expect_same(&k.map, &model);
		for (int i = 0; i < 300; i++)
			change(&k, &model, &seed);
		assert_int_equal(rfs_kept_save(&k, NULL), 0);
		assert_int_equal(k.touched.runs, 0);
		rfs_kept_close(&k);
		rfs_state_close(st);
	}
	rfs_extmap_fini(&model);
}

static void what_was_not_saved_is_gone(void **state)
{
	struct rfs_state *st = open_state();
	struct rfs_kept k;

	(void)state;
	open_map(&k, st);
	assert_int_equal(rfs_kept_set(&k, rfs_range(0, 512), 1, NULL), 0);
	assert_int_equal(rfs_kept_save(&k, NULL), 0);
	assert_int_equal(rfs_kept_set(&k, rfs_range(512, 512), 1, NULL), 0);
	rfs_kept_close(&k);
	open_map(&k, st);
	assert_true(rfs_kept_is(&k, rfs_range(0, 512), 1));
	assert_true(rfs_kept_is(&k, rfs_range(512, 512), 0));
	assert_int_equal(rfs_kept_forget(&k, NULL), 0);
	rfs_kept_close(&k);
	open_map(&k, st);
	assert_int_equal(k.map.runs, 0);
	rfs_kept_close(&k);
	rfs_state_close(st);
}

static void a_map_of_another_purpose_is_another(void **state)
{
	struct rfs_state *st = open_state();
	struct rfs_kept k, other;

	(void)state;
	open_map(&k, st);
	assert_int_equal(rfs_kept_set(&k, rfs_range(0, 512), 1, NULL), 0);
	assert_int_equal(rfs_kept_save(&k, NULL), 0);
	assert_int_equal(rfs_kept_open(&other, st, "u/disk", "bad", NULL), 0);
	assert_int_equal(other.map.runs, 0);
	rfs_kept_close(&other);
	rfs_kept_close(&k);
	rfs_state_close(st);
}

static void expect_damaged(struct rfs_state *st, uint64_t page,
			   const void *blob, size_t len)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_kept k;

	assert_int_equal(rfs_state_begin(st, NULL), 0);
	assert_int_equal(rfs_state_save_page(st, "u/disk", PURPOSE, page, blob,
					     len, NULL),
			 0);
	assert_int_equal(rfs_state_end(st, true, NULL), 0);
	assert_int_equal(rfs_kept_open(&k, st, "u/disk", PURPOSE, &err),
			 -EBADMSG);
	assert_non_null(strstr(err.text, "damaged"));
	assert_int_equal(rfs_state_forget_map(st, "u/disk", PURPOSE, NULL), 0);
}

static void a_damaged_page_is_no_empty_page(void **state)
{
	/* gap, length, value; 0x80 says that more follow */
	static const uint8_t cut[] = { 0, 1 };
	static const uint8_t endless[] = { 0,	 1,    0x81, 0x80, 0x80,
					   0x80, 0x80, 0x80, 0x80, 0x80,
					   0x80, 0x80, 0x80, 0x80, 0x80 };
	static const uint8_t nothing[] = { 0, 1, 0 };
	static const uint8_t empty[] = { 0, 0, 1 };
	static const uint8_t beyond[] = { 0, 0x81, 0x80, 0x80, 2, 1 };
	static const uint8_t good[] = { 0, 0x80, 0x80, 0x80, 2, 1 };
	struct rfs_state *st = open_state();
	struct rfs_kept k;

	(void)state;
	expect_damaged(st, 0, cut, sizeof(cut));
	expect_damaged(st, 0, endless, sizeof(endless));
	expect_damaged(st, 3, nothing, sizeof(nothing));
	expect_damaged(st, 3, empty, sizeof(empty));
	expect_damaged(st, 3, beyond, sizeof(beyond));
	expect_damaged(st, RFS_SIZE_MAX / 4096, good, sizeof(good));
	/* And the whole page is not beyond it. */
	assert_int_equal(rfs_state_begin(st, NULL), 0);
	assert_int_equal(rfs_state_save_page(st, "u/disk", PURPOSE, 3, good,
					     sizeof(good), NULL),
			 0);
	assert_int_equal(rfs_state_end(st, true, NULL), 0);
	open_map(&k, st);
	assert_true(rfs_kept_is(&k, rfs_range(3 * RFS_KEPT_PAGE, RFS_KEPT_PAGE),
				1));
	rfs_kept_close(&k);
	rfs_state_close(st);
}

static void what_is_not_ended_for_good_is_not_there(void **state)
{
	static const uint8_t run[] = { 0, 1, 1 };
	struct rfs_state *st = open_state();
	struct rfs_kept k;

	(void)state;
	assert_int_equal(rfs_state_begin(st, NULL), 0);
	assert_int_equal(rfs_state_save_page(st, "u/disk", PURPOSE, 0, run,
					     sizeof(run), NULL),
			 0);
	assert_int_equal(rfs_state_end(st, false, NULL), 0);
	open_map(&k, st);
	assert_int_equal(k.map.runs, 0);
	rfs_kept_close(&k);
	rfs_state_close(st);
}

static void a_second_daemon_is_told_who_has_it(void **state)
{
	struct rfs_state *st, *second = NULL;
	struct rfs_error err = RFS_ERROR_INIT;
	char *holder = NULL, pid_text[32];
	int pid = 0;

	(void)state;
	assert_int_equal(rfs_state_holder(dir, &pid, &holder, NULL), -ENOENT);
	st = open_state();
	assert_int_equal(rfs_state_open(dir, "/other", &second, &err), -EBUSY);
	assert_null(second);
	snprintf(pid_text, sizeof(pid_text), "process %d", (int)getpid());
	assert_non_null(strstr(err.text, pid_text));
	assert_non_null(strstr(err.text, "(/mnt)"));
	assert_int_equal(rfs_state_set_holder(st, "/mnt/of two", NULL), 0);
	assert_int_equal(rfs_state_holder(dir, &pid, &holder, NULL), 0);
	assert_int_equal(pid, getpid());
	assert_string_equal(holder, "/mnt/of two");
	free(holder);
	rfs_state_close(st);
	assert_int_equal(rfs_state_holder(dir, &pid, &holder, NULL), -ENOENT);
	rfs_state_close(open_state());
}

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

/* Refused with these words, twice, and known.db is what it was. */
static void expect_refused(int r, const char *words)
{
	static char before[200000], after[sizeof(before)];
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_state *st = NULL;
	FILE *f;

	memset(before, 0, sizeof(before));
	memset(after, 0, sizeof(after));
	f = fopen(path_of("known.db"), "r");
	if (f) {
		assert_true(fread(before, 1, sizeof(before), f) <
			    sizeof(before));
		fclose(f);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(rfs_state_open(dir, "/mnt", &st, &err), r);
		if (!strstr(err.text, words) || !strstr(err.text, dir) ||
		    !strstr(err.text, "--state"))
			fail_msg("%s", err.text);
	}
	f = fopen(path_of("known.db"), "r");
	if (f) {
		assert_true(fread(after, 1, sizeof(after), f) < sizeof(after));
		fclose(f);
	}
	assert_memory_equal(before, after, sizeof(after));
	assert_int_equal(access(path_of("known.db-wal"), F_OK), -1);
}

static void make_some_state(void)
{
	struct rfs_state *st = open_state();
	char key[16];
	int fd;

	for (int i = 0; i < 400; i++) {
		snprintf(key, sizeof(key), "%d", i);
		assert_int_equal(
			rfs_state_set_fact(st, "o", key, "some value", NULL),
			0);
	}
	fd = rfs_state_data_fd(st, "o", true, NULL);
	assert_true(fd >= 0);
	close(fd);
	rfs_state_close(st);
}

static void a_newer_format_is_refused_and_left_alone(void **state)
{
	char text[64];
	sqlite3 *db;

	(void)state;
	make_some_state();
	snprintf(text, sizeof(text), "PRAGMA user_version = %d",
		 RFS_STATE_VERSION + 1);
	assert_int_equal(sqlite3_open(path_of("known.db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	expect_refused(-EPROTONOSUPPORT, "format version");
}

static void a_database_that_was_cut_is_refused(void **state)
{
	struct stat s;

	(void)state;
	make_some_state();
	assert_int_equal(stat(path_of("known.db"), &s), 0);
	assert_true(s.st_size >= 16384);
	assert_int_equal(truncate(path_of("known.db"), s.st_size / 2 + 100), 0);
	expect_refused(-EBADMSG, "known.db is damaged");
}

/* Else all that data/ has would count for nothing, without a word. */
static void a_state_without_its_database_is_refused(void **state)
{
	(void)state;
	make_some_state();
	assert_int_equal(truncate(path_of("known.db"), 0), 0);
	expect_refused(-EBADMSG, "known.db is missing or empty");
	assert_int_equal(unlink(path_of("known.db")), 0);
	expect_refused(-EBADMSG, "known.db is missing or empty");
	assert_int_equal(access(path_of("known.db"), F_OK), -1);
}

static void a_state_of_version_1_gets_what_it_lacks(void **state)
{
	struct rfs_store_row row = { 0, 0 };
	struct rfs_state *st = open_state();
	char path[128], *text = NULL;
	sqlite3 *db;

	(void)state;
	assert_int_equal(rfs_state_set_fact(st, "o", "k", "v", NULL), 0);
	rfs_state_close(st);
	snprintf(path, sizeof(path), "%s/known.db", dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
				      "DROP TABLE store; DROP TABLE digest;"
				      "PRAGMA user_version = 1",
				      NULL, NULL, NULL),
			 SQLITE_OK);
	sqlite3_close(db);
	for (int i = 0; i < 2; i++) {
		st = open_state();
		assert_int_equal(rfs_state_fact(st, "o", "k", &text, NULL), 0);
		assert_string_equal(text, "v");
		free(text);
		if (i == 0)
			assert_int_equal(
				rfs_state_begin_store(st, "o", 7, NULL), 0);
		assert_int_equal(rfs_state_store(st, "o", &row, NULL), 0);
		assert_int_equal(row.size, 7);
		rfs_state_close(st);
	}
}

static void a_database_that_is_none_is_refused(void **state)
{
	FILE *f;

	(void)state;
	f = fopen(path_of("known.db"), "w");
	assert_non_null(f);
	for (int i = 0; i < 4000; i++)
		fputs("nonsense ", f);
	fclose(f);
	expect_refused(-EBADMSG, "known.db is damaged");
}

static void facts_sources_and_data_outlive_it(void **state)
{
	struct rfs_state *st = open_state();
	uint32_t id, again, other;
	char *text = NULL;
	int fd;

	(void)state;
	assert_int_equal(rfs_state_fact(st, "o", "k", &text, NULL), -ENOENT);
	assert_int_equal(rfs_state_set_fact(st, "o", "k", "1", NULL), 0);
	assert_int_equal(rfs_state_set_fact(st, "o", "k", "2", NULL), 0);
	assert_int_equal(rfs_state_source_id(st, "bm0002", &id, NULL), 0);
	fd = rfs_state_data_fd(st, "o", true, NULL);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "abc", 3), 3);
	close(fd);
	rfs_state_close(st);
	st = open_state();
	assert_int_equal(rfs_state_fact(st, "o", "k", &text, NULL), 0);
	assert_string_equal(text, "2");
	free(text);
	assert_int_equal(rfs_state_source_id(st, "other", &other, NULL), 0);
	assert_int_equal(rfs_state_source_id(st, "bm0002", &again, NULL), 0);
	assert_int_equal(id, again);
	assert_int_not_equal(id, other);
	assert_int_equal(rfs_state_source_name(st, id, &text, NULL), 0);
	assert_string_equal(text, "bm0002");
	free(text);
	fd = rfs_state_data_fd(st, "o", false, NULL);
	assert_int_equal(lseek(fd, 0, SEEK_END), 3);
	close(fd);
	assert_int_equal(rfs_state_data_fd(st, "none", false, NULL), -ENOENT);
	assert_int_equal(rfs_state_forget_fact(st, "o", "k", NULL), 0);
	assert_int_equal(rfs_state_fact(st, "o", "k", &text, NULL), -ENOENT);
	rfs_state_close(st);
}

static void many_facts_are_said_at_once(void **state)
{
	const struct rfs_fact facts[] = { { "many", "a", "1" },
					  { "many", "b", "two\nlines" },
					  { "many", "a", "3" } };
	struct rfs_state *st = open_state();
	char *value;

	(void)state;
	assert_int_equal(rfs_state_set_facts(st, facts, 3, NULL), 0);
	rfs_state_close(st);
	st = open_state();
	assert_int_equal(rfs_state_fact(st, "many", "a", &value, NULL), 0);
	assert_string_equal(value, "3");
	free(value);
	assert_int_equal(rfs_state_fact(st, "many", "b", &value, NULL), 0);
	assert_string_equal(value, "two\nlines");
	free(value);
	rfs_state_close(st);
}

static void a_state_made_anew_is_for_its_owner_only(void **state)
{
	struct rfs_state *st = NULL;
	char path[160];
	struct stat s;

	(void)state;
	snprintf(path, sizeof(path), "%s/a/b", dir);
	assert_int_equal(rfs_state_open(path, "/mnt", &st, NULL), 0);
	assert_int_equal(stat(path, &s), 0);
	assert_int_equal(s.st_mode & 07777, 0700);
	rfs_state_close(st);
}

/* The state is made in a directory below the test's own. */
static void expect_left(bool makes, bool keeps, bool is_left)
{
	struct rfs_state *st;
	char path[80];

	snprintf(path, sizeof(path), "%s/x", dir);
	if (!makes)
		assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(rfs_state_open(path, "map", &st, NULL), 0);
	if (keeps)
		assert_int_equal(rfs_state_set_fact(st, "u", "k", "v", NULL),
				 0);
	rfs_state_close_unused(st);
	assert_int_equal(access(path, F_OK), is_left ? 0 : -1);
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void what_was_made_for_nothing_goes_again(void **state)
{
	(void)state;
	expect_left(true, false, false);
	expect_left(true, true, true);
	expect_left(false, false, true);
	rfs_state_close_unused(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_map_comes_back_as_it_was_saved),
		TEST(what_was_not_saved_is_gone),
		TEST(a_map_of_another_purpose_is_another),
		TEST(a_damaged_page_is_no_empty_page),
		TEST(what_is_not_ended_for_good_is_not_there),
		TEST(a_second_daemon_is_told_who_has_it),
		TEST(a_newer_format_is_refused_and_left_alone),
		TEST(a_database_that_was_cut_is_refused),
		TEST(a_state_without_its_database_is_refused),
		TEST(a_state_of_version_1_gets_what_it_lacks),
		TEST(a_database_that_is_none_is_refused),
		TEST(facts_sources_and_data_outlive_it),
		TEST(many_facts_are_said_at_once),
		TEST(a_state_made_anew_is_for_its_owner_only),
		TEST(what_was_made_for_nothing_goes_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
