// SPDX-License-Identifier: GPL-3.0-or-later
/* P8: names inside a source stay inside it, and only files are opened. */
#include "host_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/sysmacros.h>

#include "core/cleanup.h"
#include "readers/worker.h"
#include "site/rooted.h"

#define DEADLINE 200 /* milliseconds */

static bool by_worker; /* as of a damaged source */

static struct rfs_source root = { .root_fd = -1 };

static int make_worker(void)
{
	return by_worker ? rfs_worker_new("src", 30000, &root.names, NULL) : 0;
}

static int make_root(void **state)
{
	char path[TREE_PATH];

	if (make_top(state) < 0)
		return -1;
	tree_file("outside/secret", "outside", 5);
	tree_file("src/etc/passwd", "inside", 5);
	tree_file("src/secret", "inside", 5);
	tree_file("src/a/b/file", "file", 5);
	tree_path(path, "src");
	root.root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return root.root_fd < 0 || make_worker();
}

static int drop_root(void **state)
{
	rfs_worker_free(RFS_STEAL(root.names));
	close(root.root_fd);
	return remove_top(state);
}

static void make_link(const char *target, const char *name)
{
	char path[TREE_PATH];

	tree_path(path, name);
	assert_int_equal(symlink(target, path), 0);
}

static void expect_text(const char *name, const char *want)
{
	struct rfs_error err = RFS_ERROR_INIT;
	char got[64] = "";
	int fd = rfs_rooted_open(&root, name, &err);

	if (fd < 0)
		fail_msg("%s: %s", name, err.text);
	assert_true(read(fd, got, sizeof(got) - 1) >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
	assert_string_equal(got, want);
}

static void expect_error(const char *name, int errnum, const char *part)
{
	struct rfs_error err = RFS_ERROR_INIT;
	int r = rfs_rooted_open(&root, name, &err);

	assert_int_equal(r, -errnum);
	if (!strstr(err.text, part) || !strstr(err.text, name))
		fail_msg("%s: \"%s\" does not say \"%s\"", name, err.text,
			 part);
}

static void names_end_at_the_root(void **state)
{
	char outside[TREE_PATH];

	(void)state;
	tree_path(outside, "outside/secret");
	expect_text("/secret", "inside");
	expect_text("secret", "inside");
	expect_text("../secret", "inside");
	expect_text("/../../../../secret", "inside");
	expect_text("a/../../../etc/passwd", "inside");
	expect_error(outside, ENOENT, "No such file");
}

static void links_end_at_the_root(void **state)
{
	char outside[TREE_PATH];

	(void)state;
	tree_path(outside, "outside");
	make_link("/etc/passwd", "src/absolute");
	make_link("../../../../../../secret", "src/a/b/up");
	make_link("/", "src/a/rootlink");
	make_link(outside, "src/out");
	make_link("/proc/self/fd/0", "src/magic");
	make_link("loop", "src/loop");
	expect_text("/absolute", "inside");
	expect_text("/a/b/up", "inside");
	expect_text("/a/rootlink/a/rootlink/secret", "inside");
	expect_error("/out/secret", ENOENT, "No such file");
	expect_error("/magic", ENOENT, "No such file");
	expect_error("/loop", ELOOP, "symbolic links");
}

static void only_files_are_opened(void **state)
{
	char path[TREE_PATH];

	(void)state;
	tree_path(path, "src/pipe");
	assert_int_equal(mkfifo(path, 0600), 0);
	make_link("pipe", "src/to-pipe");
	/* Opening it the plain way would hang here for ever. */
	expect_error("/pipe", EPERM, "is a FIFO, refused");
	expect_error("/to-pipe", EPERM, "is a FIFO, refused");
	expect_error("/a", EISDIR, "is a directory");
	if (geteuid() == 0) {
		tree_path(path, "src/null");
		if (mknod(path, S_IFCHR | 0600, makedev(1, 3)) == 0)
			expect_error("/null", EPERM, "character device");
	}
}

/* How many names "many-..." a listing gives, each once. */
static int count_names(const char *path)
{
	struct rfs_reach_dir *dir;
	unsigned char type;
	const char *name;
	int count = 0, r;

	assert_int_equal(rfs_rooted_opendir(&root, path, &dir, NULL), 0);
	while ((r = rfs_reach_dir_next(dir, &name, &type)) > 0) {
		assert_int_equal(strncmp(name, "many-", 5), 0);
		assert_int_equal(type, DT_REG);
		count++;
	}
	assert_int_equal(r, 0);
	rfs_reach_dir_close(dir);
	return count;
}

static void directories_are_opened_as_such(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;
	char name[100], path[TREE_PATH];
	struct rfs_reach_dir *dir;

	(void)state;
	/* More than what one call of getdents brings. */
	for (int i = 0; i < 900; i++) {
		snprintf(name, sizeof(name), "src/many/many-%060d", i);
		tree_file(name, "", -1);
	}
	assert_int_equal(count_names("/many"), 900);
	tree_path(path, "src/empty/x");
	assert_int_equal(count_names("/empty"), 0);
	assert_int_equal(rfs_rooted_opendir(&root, "/", &dir, &err), 0);
	rfs_reach_dir_close(dir);
	assert_int_equal(rfs_rooted_opendir(&root, "/secret", &dir, &err),
			 -ENOTDIR);
	assert_non_null(strstr(err.text, "/secret"));
}

static void a_small_file_is_read_whole(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;
	const size_t sizes[] = { 0, 1, 4095, 65535, 65536, 65537, 300000 };
	char *bytes = malloc(300001), *text;
	size_t len;

	(void)state;
	assert_non_null(bytes);
	for (size_t i = 0; i < 300001; i++)
		bytes[i] = (char)(i * 7 + i / 251);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		tree_bytes("src/small", bytes, sizes[i], -1);
		assert_int_equal(rfs_rooted_read(&root, "/small", 300000, &text,
						 &len, &err),
				 0);
		assert_int_equal(len, sizes[i]);
		assert_memory_equal(text, bytes, len);
		assert_int_equal(text[len], 0);
		free(text);
	}
	tree_bytes("src/small", bytes, 300001, -1);
	assert_int_equal(
		rfs_rooted_read(&root, "/small", 300000, &text, &len, &err),
		-EFBIG);
	assert_non_null(strstr(err.text, "larger than 300000 bytes"));
	assert_int_equal(rfs_rooted_read(&root, "/no", 9, &text, &len, &err),
			 -ENOENT);
	free(bytes);
}

/* A worker whose child answers no more. */
static void hang(void)
{
	struct rfs_worker_counts counts;
	struct rfs_error err = RFS_ERROR_INIT;
	struct stat st;

	do {
		rfs_worker_free(RFS_STEAL(root.names));
		assert_int_equal(
			rfs_worker_new("src", DEADLINE, &root.names, NULL), 0);
		/* A busy machine may be late with this one. */
	} while (rfs_rooted_stat(&root, "/", &st, &err) == -ETIMEDOUT);
	rfs_worker_counts(root.names, &counts);
	assert_int_equal(kill(counts.pid, SIGSTOP), 0);
}

/* P6: whatever is asked of a damaged tree, it is waited for no longer than the
 * deadline. */
static void a_damaged_tree_that_hangs_is_not_waited_for(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_reach_dir *dir;
	unsigned char type;
	const char *name;
	struct stat st;
	size_t len;
	char *text;

	(void)state;
	hang();
	assert_int_equal(rfs_rooted_open(&root, "/secret", &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "/secret"));
	hang();
	assert_int_equal(rfs_rooted_opendir(&root, "/a", &dir, &err),
			 -ETIMEDOUT);
	hang();
	assert_int_equal(rfs_rooted_lstat(&root, "/a", &st, &err), -ETIMEDOUT);
	hang();
	assert_int_equal(
		rfs_rooted_read(&root, "/secret", 9, &text, &len, &err),
		-ETIMEDOUT);
	hang();
	assert_int_equal(
		rfs_reach_dir_open(root.names, dup(root.root_fd), &dir), 0);
	assert_int_equal(rfs_reach_dir_next(dir, &name, &type), -ETIMEDOUT);
	rfs_reach_dir_close(dir);
	hang();
	assert_int_equal(rfs_reach_stat(root.names, root.root_fd, &st),
			 -ETIMEDOUT);
	hang();
	assert_int_equal(rfs_reach_fs_type(root.names, root.root_fd),
			 -ETIMEDOUT);
}

static void a_last_link_is_followed_or_not(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;
	char *target = NULL;
	struct stat st;

	(void)state;
	make_link("/etc/passwd", "src/link");
	assert_int_equal(rfs_rooted_lstat(&root, "/link", &st, &err), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(rfs_rooted_stat(&root, "/link", &st, &err), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(rfs_rooted_readlink(&root, "/link", &target, &err), 0);
	assert_string_equal(target, "/etc/passwd");
	free(target);
	assert_int_equal(rfs_rooted_readlink(&root, "/secret", &target, &err),
			 -EINVAL);
	assert_int_equal(rfs_rooted_stat(&root, "/none", &st, &err), -ENOENT);
}

#define IN_ROOT(test)                                                          \
	cmocka_unit_test_setup_teardown(test, make_root, drop_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_ROOT(names_end_at_the_root),
		IN_ROOT(links_end_at_the_root),
		IN_ROOT(only_files_are_opened),
		IN_ROOT(directories_are_opened_as_such),
		IN_ROOT(a_small_file_is_read_whole),
		IN_ROOT(a_last_link_is_followed_or_not),
	};
	const struct CMUnitTest hanging[] = {
		IN_ROOT(a_damaged_tree_that_hangs_is_not_waited_for),
	};
	int failed = cmocka_run_group_tests_name("here", tests, NULL, NULL);

	by_worker = true;
	failed += cmocka_run_group_tests_name("by a worker", tests, NULL, NULL);
	return failed +
	       cmocka_run_group_tests_name("hanging", hanging, NULL, NULL);
}
