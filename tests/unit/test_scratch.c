// SPDX-License-Identifier: GPL-3.0-or-later
/* A throw-away disk under the programs that it is for. */
#include "ext_kit.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

#include "fs/scratch.h"

#define BLOCKS 8192 /* of 1 KiB */

static struct ext_image image;
static uint8_t *before;
static char *room; /* where the throw-away things are made */

static int set_up(void **state)
{
	(void)state;
	ext_begin(&image);
	ext_run(&image, "mkdir -p tree/a && head -c 300000 /dev/zero | "
			"tr '\\0' x >tree/a/x && echo hello >tree/a/y && "
			"mke2fs -q -t ext4 -b 1024 -d tree image 8192");
	ext_load(&image);
	before = malloc(image.disk.size);
	assert_non_null(before);
	memcpy(before, image.disk.bytes, image.disk.size);
	room = test_mkdir();
	return 0;
}

/* Whatever a test did: the base is as it was, and nothing is left behind. */
static int tear_down(void **state)
{
	(void)state;
	assert_memory_equal(before, image.disk.bytes, image.disk.size);
	assert_int_equal(rmdir(room), 0);
	free(room);
	free(before);
	ext_end(&image);
	return 0;
}

static struct rfs_scratch *open_scratch(bool zero_lost, bool is_direct)
{
	struct rfs_scratch_config config = { .base = image.reader,
					     .dir = room,
					     .zero_lost = zero_lost,
					     .is_direct = is_direct };
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_scratch *s;

	if (rfs_scratch_open(&config, &s, &err) < 0)
		fail_msg("%s", err.text);
	return s;
}

static void close_scratch(struct rfs_scratch *s)
{
	struct rfs_error err = RFS_ERROR_INIT;

	if (rfs_scratch_close(s, &err) < 0)
		fail_msg("%s", err.text);
}

/* The exit status of a command of the shell in which $D is the disk. */
static int run(struct rfs_scratch *s, const char *command)
{
	char line[1024];
	int status;

	snprintf(line, sizeof(line),
		 "PATH=$PATH:/sbin:/usr/sbin D=%s; cd %s && { %s; } >log 2>&1",
		 rfs_scratch_path(s), image.dir, command);
	status = system(line);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static uint64_t lost_bytes(struct rfs_scratch *s)
{
	struct rfs_report report = { 0 };
	uint64_t n = 0;

	assert_int_equal(rfs_view_report(rfs_scratch_view(s), &report, NULL),
			 0);
	for (size_t i = 0; i < report.count; i++)
		if (report.items[i].was == RFS_LOST)
			n += report.items[i].range.len;
	rfs_report_fini(&report);
	return n;
}

static void a_disk_is_read_and_left_alone(void **state)
{
	struct rfs_scratch *s = open_scratch(false, false);

	(void)state;
	assert_int_equal(run(s, "cmp $D image"), 0);
	assert_int_equal(run(s, "test \"$(ls ${D%/*})\" = disk"), 0);
	assert_int_equal(run(s, "e2fsck -fn $D"), 0);
	assert_false(rfs_view_is_written(rfs_scratch_view(s)));
	close_scratch(s);
}

static void what_is_written_is_there_until_the_end(void **state)
{
	struct rfs_scratch *s = open_scratch(false, true);
	struct rfs_reader *rd;
	uint8_t buf[4];

	(void)state;
	assert_int_equal(run(s, "printf 1234 | dd of=$D bs=1 seek=5001 "
				"conv=notrunc && cp image want && "
				"printf 1234 | dd of=want bs=1 seek=5001 "
				"conv=notrunc && cmp $D want"),
			 0);
	assert_true(rfs_view_is_written(rfs_scratch_view(s)));
	assert_int_equal(
		rfs_view_reader(rfs_scratch_view(s), "result", &rd, NULL), 0);
	assert_int_equal(
		rfs_reader_read(rd, rfs_range(5001, 4), buf, NULL, NULL), 0);
	assert_memory_equal(buf, "1234", 4);
	rfs_reader_unref(rd);
	close_scratch(s);
}

static void resize2fs_makes_it_smaller(void **state)
{
	struct rfs_scratch *s = open_scratch(false, false);
	uint64_t size;

	(void)state;
	assert_int_equal(run(s, "e2fsck -fy $D && resize2fs -M $D"), 0);
	size = rfs_view_size(rfs_scratch_view(s));
	assert_true(size < BLOCKS * 1024);
	assert_int_equal(run(s, "e2fsck -fn $D && "
				"debugfs -R 'cat /a/y' $D 2>/dev/null | "
				"grep -qx hello"),
			 0);
	close_scratch(s);
}

static void e2fsck_mends_it(void **state)
{
	struct rfs_scratch *s;

	(void)state;
	/* A directory that is not one any more. */
	ext_run(&image, "debugfs -w -R 'sif /a mode 0100644' image");
	rfs_reader_unref(image.reader);
	memdisk_fini(&image.disk);
	ext_load(&image);
	memcpy(before, image.disk.bytes, image.disk.size);
	s = open_scratch(false, false);
	assert_int_equal(run(s, "e2fsck -fn $D"), 4);
	assert_int_equal(run(s, "e2fsck -fy $D"), 1);
	assert_int_equal(run(s, "e2fsck -fn $D"), 0);
	close_scratch(s);
}

static void what_is_lost_is_an_error(void **state)
{
	struct rfs_scratch *s;

	(void)state;
	ext_break(&image, 8192 + 512, 512);
	s = open_scratch(false, true);
	assert_int_equal(run(s, "dd if=$D of=got bs=4096 count=2 && "
				"cmp -n 8192 got image && "
				"! dd if=$D of=got bs=512 skip=17 count=1"),
			 0);
	assert_int_equal(lost_bytes(s), 512);
	close_scratch(s);
}

static void or_it_is_zero_and_counted(void **state)
{
	struct rfs_scratch *s;

	(void)state;
	ext_break(&image, 8192 + 512, 1024);
	s = open_scratch(true, false);
	assert_int_equal(run(s, "cp image want && dd if=/dev/zero of=want "
				"bs=512 seek=17 count=2 conv=notrunc && "
				"cmp $D want"),
			 0);
	assert_int_equal(lost_bytes(s), 1024);
	/* Writing there does not make it forgotten. */
	assert_int_equal(run(s, "dd if=/dev/zero of=$D bs=512 seek=17 "
				"count=1 conv=notrunc"),
			 0);
	assert_int_equal(lost_bytes(s), 1024);
	close_scratch(s);
}

static void it_ends_under_who_has_it_open(void **state)
{
	struct rfs_scratch *s = open_scratch(false, false);
	int fd = open(rfs_scratch_path(s), O_RDWR); /* inherited */
	char byte;
	pid_t pid;

	(void)state;
	assert_true(fd >= 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		execlp("sleep", "sleep", "60", (char *)NULL);
		_exit(127);
	}
	close_scratch(s);
	assert_true(pread(fd, &byte, 1, 0) < 0);
	close(fd);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void where_there_is_no_room_it_says_so(void **state)
{
	struct rfs_scratch_config config = { .base = image.reader,
					     .dir = "/nowhere/at/all" };
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_scratch *s = NULL;

	(void)state;
	assert_int_equal(rfs_scratch_open(&config, &s, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nowhere/at/all"));
	assert_null(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_disk_is_read_and_left_alone),
		TEST(what_is_written_is_there_until_the_end),
		TEST(resize2fs_makes_it_smaller),
		TEST(e2fsck_mends_it),
		TEST(what_is_lost_is_an_error),
		TEST(or_it_is_zero_and_counted),
		TEST(it_ends_under_who_has_it_open),
		TEST(where_there_is_no_room_it_says_so),
	};

	if (access("/dev/fuse", R_OK | W_OK) < 0) {
		printf("needs /dev/fuse\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
