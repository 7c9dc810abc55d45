// SPDX-License-Identifier: GPL-3.0-or-later
/* Mapfiles, with GNU ddrescue's own tool as the judge. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/mapfile.h"

static int read_text(const char *text, struct rfs_mapfile *map,
		     struct rfs_error *err)
{
	FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	int r;

	assert_non_null(f);
	r = rfs_mapfile_read(f, "m", map, err);
	fclose(f);
	return r;
}

static char *write_text(const struct rfs_mapfile *map, const char *comment)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(rfs_mapfile_write(map, comment, f, NULL), 0);
	assert_int_equal(fclose(f), 0);
	return text;
}

static void add(struct rfs_mapfile *map, uint64_t off, uint64_t len, char s)
{
	assert_int_equal(rfs_mapfile_add(map, rfs_range(off, len), s), 0);
}

static void expect_block(const struct rfs_mapfile *map, size_t at, uint64_t off,
			 uint64_t len, char status)
{
	assert_true(at < map->count);
	assert_int_equal(map->items[at].range.off, off);
	assert_int_equal(map->items[at].range.len, len);
	assert_int_equal(map->items[at].status, status);
}

static void it_is_written_as_ddrescue_writes_it(void **state)
{
	struct rfs_mapfile map = { 0 };
	char *text;

	(void)state;
	add(&map, 0, 0x1000, '+');
	add(&map, 0x1000, 0, '-');
	add(&map, 0x1000, 0x200, '-');
	add(&map, 0x1200, 0x200, '-');
	add(&map, 0x1400, 0x123456789a, '?');
	text = write_text(&map, "one\ntwo\n");
	assert_string_equal(text,
			    "# Mapfile. Created by rescuefs\n"
			    "# one\n"
			    "# two\n"
			    "# current_pos  current_status  current_pass\n"
			    "0x00000000     +               1\n"
			    "#      pos        size  status\n"
			    "0x00000000  0x00001000  +\n"
			    "0x00001000  0x00000400  -\n"
			    "0x00001400  0x123456789A  ?\n");
	free(text);
	rfs_mapfile_fini(&map);
}

static void what_was_written_is_read_again(void **state)
{
	struct rfs_mapfile map = { .current_pos = 4711, .current_status = '*' };
	struct rfs_mapfile back = { 0 };
	unsigned int seed = 5;
	uint64_t off = 0, len;
	char *text;

	(void)state;
	for (int i = 0; i < 5000; i++, off += len) {
		len = 1 + (uint64_t)rand_r(&seed) * 977;
		add(&map, off, len, "?*/-+"[rand_r(&seed) % 5]);
	}
	text = write_text(&map, NULL);
	assert_int_equal(read_text(text, &back, NULL), 0);
	assert_int_equal(back.current_pos, 4711);
	assert_int_equal(back.current_status, '*');
	assert_int_equal(back.count, map.count);
	for (size_t i = 0; i < map.count; i++)
		expect_block(&back, i, map.items[i].range.off,
			     map.items[i].range.len, map.items[i].status);
	free(text);
	rfs_mapfile_fini(&back);
	rfs_mapfile_fini(&map);
}

static void all_of_its_notations_are_read(void **state)
{
	struct rfs_mapfile map = { 0 };

	(void)state;
	assert_int_equal(read_text("# from 2013, without a pass\n\n"
				   "0x10     ?\n"
				   "  # indented\r\n"
				   "0 4096 +\r\n"
				   "010000\t0x200 / # octal\n"
				   "0x1200  512 -\n"
				   "0x1400  0 -\n"
				   "0x1400  0x7FFFFFFFFFFFEBFF  ?",
				   &map, NULL),
			 0);
	assert_int_equal(map.current_pos, 16);
	assert_int_equal(map.current_status, '?');
	assert_int_equal(map.count, 4);
	expect_block(&map, 1, 4096, 512, '/');
	expect_block(&map, 3, 0x1400, RFS_SIZE_MAX - 0x1400, '?');
	rfs_mapfile_fini(&map);
}

static void a_comment_may_be_long_and_a_line_not(void **state)
{
	struct rfs_mapfile map = { 0 };
	char *text;

	(void)state;
	assert_true(asprintf(&text, "# %0100000d\n0 + 1\n0 512 +\n", 0) > 0);
	assert_int_equal(read_text(text, &map, NULL), 0);
	assert_int_equal(map.count, 1);
	rfs_mapfile_fini(&map);
	text[0] = '0';
	assert_int_equal(read_text(text, &map, NULL), -EINVAL);
	free(text);
}

static void expect_refused(const char *text, const char *where)
{
	struct rfs_mapfile map = { 0 };
	struct rfs_error err = RFS_ERROR_INIT;

	assert_int_equal(read_text(text, &map, &err), -EINVAL);
	if (strncmp(err.text, where, strlen(where)))
		fail_msg("\"%s\" does not begin with \"%s\"", err.text, where);
	assert_null(map.items);
}

static void nonsense_is_refused_with_its_line(void **state)
{
	(void)state;
	expect_refused("#\n", "m:1: there is no status line");
	expect_refused("0x0 0x1000 +\n", "m:1: this is no status line");
	expect_refused("0 X 1\n", "m:1: this is no status line");
	expect_refused("0 + one\n", "m:1: the number of the pass");
	expect_refused("0 + 1 2\n", "m:1: the number of the pass");
	expect_refused("-1 + 1\n", "m:1: this is no status line");
	expect_refused("0 + 1\n0 5\n", "m:2: this is no block");
	expect_refused("0 + 1\n0 5 F\n", "m:2: this is no block");
	expect_refused("0 + 1\n0 5 ++\n", "m:2: this is no block");
	expect_refused("0 + 1\n0 5 + 7\n", "m:2: this is no block");
	expect_refused("0 + 1\n0 5k +\n", "m:2: this is no block");
	expect_refused("0 + 1\n0 08 +\n", "m:2: this is no block");
	expect_refused("0 + 1\n0 -8 +\n", "m:2: this is no block");
	expect_refused("0 + 1\n0 0x8000000000000000 +\n", "m:2: this is no");
	expect_refused("0 + 1\n0 99999999999999999999 +\n", "m:2: this is no");
	expect_refused("0 + 1\n1 0x7fffffffffffffff +\n",
		       "m:2: the block ends too far");
	expect_refused("0 + 1\n#\n0 512 +\n600 5 -\n", "m:4: there is a gap");
	expect_refused("0 + 1\n0 512 +\n500 5 -\n", "m:3: the block begins");
	expect_refused("0 + 1\n512 512 +\n0 512 -\n", "m:3: the block begins");
}

static void a_full_disk_is_told(void **state)
{
	struct rfs_mapfile map = { 0 };
	FILE *f = fopen("/dev/full", "w");

	(void)state;
	if (!f)
		skip();
	add(&map, 0, 512, '+');
	assert_int_equal(rfs_mapfile_write(&map, NULL, f, NULL), -EIO);
	fclose(f);
	rfs_mapfile_fini(&map);
}

/* The exit status of a shell command on the map at 'path'. */
static int run(const char *command, const char *path)
{
	char line[512];
	int status;

	snprintf(line, sizeof(line), command, path);
	status = system(line); /* NOLINT: the words are ours */
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void ddrescuelog_reads_ours_and_we_read_its(void **state)
{
	char path[] = "/tmp/rescuefs-map-XXXXXX";
	struct rfs_mapfile map = { 0 }, back = { 0 };
	struct rfs_error err = RFS_ERROR_INIT;
	FILE *f;
	int fd;

	(void)state;
	if (system("command -v ddrescuelog >/dev/null") != 0)
		skip();
	fd = mkstemp(path);
	assert_true(fd >= 0);
	f = fdopen(fd, "r+");
	add(&map, 0, 1 << 20, '+');
	add(&map, 1 << 20, 512, '-');
	add(&map, (1 << 20) + 512, 4096, '/');
	add(&map, (1 << 20) + 4608, 1 << 20, '?');
	assert_int_equal(rfs_mapfile_write(&map, "of a test", f, NULL), 0);
	assert_int_equal(run("ddrescuelog -t %s >/dev/null", path), 0);
	assert_int_equal(run("test $(ddrescuelog -l- %s) = 2048", path), 0);
	/* Finished and not finished change places. */
	assert_int_equal(
		run("ddrescuelog -n %1$s >%1$s.n && mv %1$s.n %1$s", path), 0);
	fclose(f);
	f = fopen(path, "r");
	assert_non_null(f);
	if (rfs_mapfile_read(f, path, &back, &err) < 0)
		fail_msg("%s", err.text);
	expect_block(&back, 0, 0, 1 << 20, '-');
	expect_block(&back, 1, 1 << 20, (1 << 20) + 4608, '+');
	fclose(f);
	unlink(path);
	rfs_mapfile_fini(&back);
	rfs_mapfile_fini(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_written_as_ddrescue_writes_it),
		cmocka_unit_test(what_was_written_is_read_again),
		cmocka_unit_test(all_of_its_notations_are_read),
		cmocka_unit_test(a_comment_may_be_long_and_a_line_not),
		cmocka_unit_test(nonsense_is_refused_with_its_line),
		cmocka_unit_test(a_full_disk_is_told),
		cmocka_unit_test(ddrescuelog_reads_ours_and_we_read_its),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
