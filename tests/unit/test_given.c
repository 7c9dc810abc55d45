// SPDX-License-Identifier: GPL-3.0-or-later
/* A base image given by hand is read for its checksums once: what was found of the
 * file as it is counts, and of any other nothing. */
#include "host_tree.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>

#include "core/checksum.h"
#include "readers/readers.h"
#include "site/given.h"

#define SIZE ((size_t)3 << 20)
#define THEN 1368144000 /* 2013-05-10 */

static const char *const of_rescue[RFS_CHECKSUMS] = {
	"92bea1d58fa4d983047774eaea85f8de",
	"824ef7874151e9c8c4f7c3c821d0e5da563a40bbfad1675d991aafabecb73139",
	[RFS_SHA512] = ("2f04617aa7744e71be216a6d32ef8036eb776a21bb58229e"
			"06b00e42e473fc50db79f7c5005e0d0cd9633e39e34faba3"
			"bdf9de121134a6785b7dc3cc162a4af0"),
};

static struct rfs_site site;
static struct rfs_inventory inv;
static struct rfs_base_rule rule;
static struct rfs_state *state;
static struct rfs_given *given;
static char path[TREE_PATH], name[] = "9f2c";
static struct rfs_error err;

/* What the watch has seen. */
static struct {
	unsigned begun, ended;
	uint64_t size, done;
	sem_t *tell, *wait; /* at the first step, if there are any */
} seen;

static void begin(void *data, const struct rfs_base_rule *which, uint64_t size,
		  const char *text)
{
	assert_ptr_equal(data, &seen);
	assert_ptr_equal(which, &rule);
	assert_non_null(strstr(text, path));
	seen.begun++;
	seen.size = size;
	seen.done = 0;
}

static void step(void *data, uint64_t done)
{
	assert_ptr_equal(data, &seen);
	assert_true(done > seen.done && done <= seen.size);
	if (!seen.done && seen.tell) {
		sem_post(seen.tell);
		sem_wait(seen.wait);
	}
	seen.done = done;
}

static void end(void *data)
{
	assert_ptr_equal(data, &seen);
	seen.ended++;
}

/* The memory alone, as another process has it. */
static void begin_again(void)
{
	const struct rfs_given_watch watch = { begin, step, end, &seen };

	rfs_given_free(given);
	assert_int_equal(rfs_given_new(&inv, state, &given, &err), 0);
	rfs_given_tell(given, &watch);
}

static void write_file(size_t len, long mtime)
{
	char *bytes = malloc(len);

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)(i * i >> 7);
	tree_bytes("base.raw", bytes, len, mtime);
	free(bytes);
}

static int setup(void **ignored)
{
	char dir[TREE_PATH];

	if (make_top(ignored) < 0)
		return -1;
	memset(&err, 0, sizeof(err));
	memset(&seen, 0, sizeof(seen));
	tree_path(path, "base.raw");
	tree_path(dir, "state");
	rfs_site_init(&site);
	rule = (struct rfs_base_rule){ .name = name, .file = path };
	rule.origin.name = "by hand";
	site.bases = &rule;
	site.nbases = 1;
	inv = (struct rfs_inventory){ .site = &site };
	given = NULL;
	if (rfs_state_open(dir, "test", &state, &err) < 0)
		return -1;
	begin_again();
	write_file(SIZE, THEN);
	return 0;
}

static int teardown(void **ignored)
{
	rfs_given_free(given);
	rfs_state_close(state);
	for (int k = 0; k < RFS_CHECKSUMS; k++)
		free(rule.checksums[k]);
	site.bases = NULL;
	site.nbases = 0;
	rfs_site_fini(&site);
	return remove_top(ignored);
}

static int check(struct rfs_error *why)
{
	struct rfs_generation generation;
	struct rfs_reader *file;
	int r = rfs_given_open(&rule, &file, &generation, why);

	if (r == 0) {
		r = rfs_given_check(given, &rule, file, generation, why);
		rfs_reader_unref(file);
	}
	return r;
}

/* The right ones, by the function that has a test of its own. */
static void say(unsigned kinds)
{
	struct rfs_generation generation;
	struct rfs_checksums sums;
	struct rfs_reader *file;

	assert_int_equal(rfs_given_open(&rule, &file, &generation, &err), 0);
	assert_int_equal(
		rfs_checksum_compute(file, kinds, NULL, NULL, &sums, &err), 0);
	rfs_reader_unref(file);
	for (int k = 0; k < RFS_CHECKSUMS; k++)
		if (kinds & 1u << k) {
			free(rule.checksums[k]);
			rule.checksums[k] = strdup(sums.hex[k]);
		}
}

static void checksums_are_the_known_ones(void **ignored)
{
	struct rfs_checksums sums = { 0 };
	struct rfs_generation generation;
	char sha1[RFS_SHA1_TEXT];
	struct rfs_reader *file;

	(void)ignored;
	tree_file("base.raw", "rescue", THEN);
	assert_int_equal(rfs_given_open(&rule, &file, &generation, &err), 0);
	assert_int_equal(rfs_checksum_compute(file, 7, NULL, NULL, &sums, &err),
			 0);
	for (int k = 0; k < RFS_CHECKSUMS; k++)
		assert_string_equal(sums.hex[k], of_rescue[k]);
	/* The others stay. */
	strcpy(sums.hex[RFS_SHA256], "as it was");
	assert_int_equal(rfs_checksum_compute(file, 1u << RFS_MD5, NULL, NULL,
					      &sums, &err),
			 0);
	assert_string_equal(sums.hex[RFS_SHA256], "as it was");
	rfs_reader_unref(file);
	rfs_checksum_sha1("rescue", sha1);
	assert_string_equal(sha1, "252c6c77b2d74b00ef031db99a2657a6104cedaf");
}

static void without_a_checksum_nothing_is_read(void **ignored)
{
	(void)ignored;
	assert_int_equal(check(&err), 0);
	assert_int_equal(seen.begun, 0);
}

static void a_file_is_read_once_for_all_checksums(void **ignored)
{
	(void)ignored;
	say(1u << RFS_MD5 | 1u << RFS_SHA512);
	assert_int_equal(check(&err), 0);
	assert_int_equal(seen.begun, 1);
	assert_int_equal(seen.ended, 1);
	assert_int_equal(seen.size, SIZE);
	assert_int_equal(seen.done, SIZE);
	assert_int_equal(check(&err), 0);
	begin_again();
	assert_int_equal(check(&err), 0);
	assert_int_equal(seen.begun, 1);
	/* One that is said besides. */
	say(1u << RFS_SHA256);
	assert_int_equal(check(&err), 0);
	assert_int_equal(seen.begun, 2);
	begin_again();
	assert_int_equal(check(&err), 0);
	assert_int_equal(seen.begun, 2);
}

static void a_wrong_one_is_wrong_without_a_second_reading(void **ignored)
{
	(void)ignored;
	rule.checksums[RFS_MD5] = strdup(of_rescue[RFS_MD5]);
	assert_int_equal(check(&err), -EBADMSG);
	assert_non_null(strstr(err.text, "its md5 is "));
	assert_non_null(strstr(err.text, of_rescue[RFS_MD5]));
	begin_again();
	assert_int_equal(check(&err), -EBADMSG);
	assert_int_equal(seen.begun, 1);
}

static void another_size_or_time_is_another_file(void **ignored)
{
	(void)ignored;
	say(1u << RFS_SHA256);
	assert_int_equal(check(&err), 0);
	write_file(SIZE, THEN + 1);
	assert_int_equal(check(&err), 0);
	assert_int_equal(seen.begun, 2);
	write_file(SIZE - 1, THEN + 1);
	assert_int_equal(check(&err), -EBADMSG);
	assert_int_equal(seen.begun, 3);
	begin_again();
	write_file(SIZE, THEN);
	assert_int_equal(check(&err), 0);
	assert_int_equal(seen.begun, 4);
}

static void what_makes_no_sense_is_not_believed(void **ignored)
{
	static const char *const wrong[] = {
		"",
		"3145728",
		"3145728 1368144000000000000",
		"3145728 1368144000000000000 00",
		"-1 1368144000000000000 92bea1d58fa4d983047774eaea85f8de",
		"3145728 x 92bea1d58fa4d983047774eaea85f8de",
		"3145728 1368144000000000000 92bea1d58fa4d983047774eaea85f8de0",
		"3145728 1368144000000000000 92bea1d58fa4d983047774eaea85f8dg",
		"3145727 1368144000000000000 92bea1d58fa4d983047774eaea85f8de",
		"3145728 1368144000000000001 92bea1d58fa4d983047774eaea85f8de",
	};
	char object[TREE_PATH + 16];

	(void)ignored;
	snprintf(object, sizeof(object), "by hand:%s", path);
	say(1u << RFS_MD5);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_int_equal(rfs_state_set_fact(state, object, "md5",
						    wrong[i], &err),
				 0);
		begin_again();
		assert_int_equal(check(&err), 0);
		assert_int_equal(seen.begun, i + 1);
	}
	/* One that does is: it is all that a second reading would be spared by. */
	assert_int_equal(rfs_state_set_fact(state, object, "md5",
					    "3145728 1368144000000000000 "
					    "92bea1d58fa4d983047774eaea85f8de",
					    &err),
			 0);
	begin_again();
	assert_int_equal(check(&err), -EBADMSG);
	assert_int_equal(seen.begun, sizeof(wrong) / sizeof(*wrong));
}

static void *check_beside(void *data)
{
	int *ret = data;

	*ret = check(NULL);
	return NULL;
}

static void who_comes_meanwhile_waits(void **ignored)
{
	int r[3] = { 1, 1, 1 };
	pthread_t threads[3];
	sem_t tell, wait;

	(void)ignored;
	say(1u << RFS_MD5);
	sem_init(&tell, 0, 0);
	sem_init(&wait, 0, 0);
	seen.tell = &tell;
	seen.wait = &wait;
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, check_beside, &r[i]);
	sem_wait(&tell);
	sem_post(&wait);
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(r[i], 0);
	}
	assert_int_equal(seen.begun, 1);
	sem_destroy(&tell);
	sem_destroy(&wait);
}

static void a_mount_that_ends_waits_for_none(void **ignored)
{
	int r[2] = { 1, 1 };
	pthread_t threads[2];
	sem_t tell, wait;

	(void)ignored;
	say(1u << RFS_MD5);
	sem_init(&tell, 0, 0);
	sem_init(&wait, 0, 0);
	seen.tell = &tell;
	seen.wait = &wait;
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, check_beside, &r[i]);
	sem_wait(&tell);
	rfs_given_stop(given);
	sem_post(&wait);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(r[i], -EINTR);
	}
	assert_int_equal(seen.begun, 1);
	assert_true(seen.done < SIZE);
	sem_destroy(&tell);
	sem_destroy(&wait);
	/* Nothing of it was kept. */
	seen.tell = NULL;
	begin_again();
	assert_int_equal(check(&err), 0);
	assert_int_equal(seen.begun, 2);
}

static void change_file(void *data, uint64_t done)
{
	step(data, done);
	if (done == SIZE)
		write_file(SIZE, THEN + 7);
}

static void a_file_that_changes_meanwhile_is_not_used(void **ignored)
{
	const struct rfs_given_watch watch = { begin, change_file, end, &seen };

	(void)ignored;
	say(1u << RFS_MD5);
	rfs_given_tell(given, &watch);
	assert_int_equal(check(&err), -ESTALE);
	assert_non_null(strstr(err.text, "changed while"));
	begin_again();
	assert_int_equal(check(&err), 0);
	assert_int_equal(seen.begun, 2);
}

/* Such as a mount without a terminal. */
static void without_a_watch_the_notes_tell(void **ignored)
{
	(void)ignored;
	say(1u << RFS_MD5);
	rfs_given_tell(given, NULL);
	assert_int_equal(check(&err), 0);
	assert_int_equal(site.notes.count, 1);
	assert_non_null(strstr(site.notes.items[0], "all 3 MiB of "));
	assert_non_null(strstr(site.notes.items[0],
			       "are read for its md5; that is kept"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(checksums_are_the_known_ones),
		TEST(without_a_checksum_nothing_is_read),
		TEST(a_file_is_read_once_for_all_checksums),
		TEST(a_wrong_one_is_wrong_without_a_second_reading),
		TEST(another_size_or_time_is_another_file),
		TEST(what_makes_no_sense_is_not_believed),
		TEST(who_comes_meanwhile_waits),
		TEST(a_mount_that_ends_waits_for_none),
		TEST(a_file_that_changes_meanwhile_is_not_used),
		TEST(without_a_watch_the_notes_tell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
