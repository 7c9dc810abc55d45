// SPDX-License-Identifier: GPL-3.0-or-later
/* P8: names inside a source stay inside it, and only files are opened. */
#include "host_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "site/rooted.h"

static int root = -1;

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
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return root < 0;
}

static int drop_root(void **state)
{
	close(root);
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
	int fd = rfs_rooted_open(root, name, &err);

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
	int r = rfs_rooted_open(root, name, &err);

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

static void directories_are_opened_as_such(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;
	int fd = rfs_rooted_opendir(root, "/a/b", &err);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	fd = rfs_rooted_opendir(root, "/", &err);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(rfs_rooted_opendir(root, "/secret", &err), -ENOTDIR);
	assert_non_null(strstr(err.text, "/secret"));
}

static void a_last_link_is_followed_or_not(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;
	char *target = NULL;
	struct stat st;

	(void)state;
	make_link("/etc/passwd", "src/link");
	assert_int_equal(rfs_rooted_lstat(root, "/link", &st, &err), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(rfs_rooted_stat(root, "/link", &st, &err), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(rfs_rooted_readlink(root, "/link", &target, &err), 0);
	assert_string_equal(target, "/etc/passwd");
	free(target);
	assert_int_equal(rfs_rooted_readlink(root, "/secret", &target, &err),
			 -EINVAL);
	assert_int_equal(rfs_rooted_stat(root, "/none", &st, &err), -ENOENT);
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
		IN_ROOT(a_last_link_is_followed_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
