// SPDX-License-Identifier: GPL-3.0-or-later
/* Rule 7 on two trees: "sick" is the damaged host, "backup" an older copy.
 *
 * A sector of the damaged host that begins with BAD cannot be read.  That, and
 * inodes and directories that fail, are made by putting this program's pread,
 * fstat and getdents64 before the C library's, here and in the process that reads
 * the damaged host: what they go by lies in memory that both share.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/state.h"
#include "site/hostfiles.h"

#define OLD 1368154800
#define NEW 1368400000

static char top[64];
static struct {
	ino_t bad_inode;    /* cannot be looked at */
	ino_t bad_dir;	    /* cannot be listed */
	int bad_dir_after;  /* this many entries */
	atomic_uint stats;  /* calls of fstat */
	atomic_uint astray; /* calls for the damaged host, made here */
	pid_t here;
} * shared;

static bool is_sick(int fd);

/* P6: what hangs there must not hang us. */
static void see_who_calls(int fd)
{
	if (getpid() == shared->here && is_sick(fd))
		shared->astray++;
}

int fstat(int fd, struct stat *st)
{
	int (*real)(int, struct stat *);

	*(void **)&real = dlsym(RTLD_NEXT, "fstat64");
	if (!shared)
		return real(fd, st);
	see_who_calls(fd);
	shared->stats++;
	if (real(fd, st) < 0)
		return -1;
	if (shared->bad_inode && st->st_ino == shared->bad_inode) {
		errno = EIO;
		return -1;
	}
	return 0;
}

/* Cuts off what comes after 'bad_dir_after' entries. */
ssize_t getdents64(int fd, void *buf, size_t len)
{
	ssize_t (*real)(int, void *, size_t);
	ssize_t n, at = 0;
	struct stat st;

	*(void **)&real = dlsym(RTLD_NEXT, "getdents64");
	see_who_calls(fd);
	if (!shared->bad_dir || fstat(fd, &st) < 0 ||
	    st.st_ino != shared->bad_dir)
		return real(fd, buf, len);
	n = shared->bad_dir_after > 0 ? real(fd, buf, len) : 0;
	while (at < n && shared->bad_dir_after > 0) {
		at += ((struct dirent64 *)(void *)((char *)buf + at))->d_reclen;
		shared->bad_dir_after--;
	}
	if (at)
		return at;
	errno = EIO;
	return -1;
}

/* True for a file of the damaged host. */
static bool is_sick(int fd)
{
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return false;
	path[n] = '\0';
	return strstr(path, "/sick/") != NULL;
}

/* Before the C library's, here and in the process that reads the damaged host:
 * up to the sector that begins with BAD, and an error if that comes first. */
ssize_t pread(int fd, void *buf, size_t len, off_t off)
{
	ssize_t (*real)(int, void *, size_t, off_t);
	ssize_t n;

	*(void **)&real = dlsym(RTLD_NEXT, "pread64");
	see_who_calls(fd);
	n = real(fd, buf, len, off);
	if (n < 3 || !is_sick(fd))
		return n;
	for (ssize_t at = 0; at + 3 <= n; at += 512)
		if (!memcmp((char *)buf + at, "BAD", 3)) {
			errno = EIO;
			return at ? at : -1;
		}
	return n;
}

struct scene {
	struct rfs_site site;
	struct rfs_host host;
	struct rfs_host *hosts[1];
	struct rfs_inventory inv;
	struct rfs_state *state;
	struct rfs_opener *op;
	struct rfs_source *sick, *backup;
};

static char *path_of(const char *source, const char *path)
{
	static char text[2][512];
	static int at;

	at = !at;
	snprintf(text[at], sizeof(text[at]), "%s/%s%s", top, source, path);
	return text[at];
}

static void make_dir(const char *source, const char *path)
{
	assert_int_equal(mkdir(path_of(source, path), 0755), 0);
}

static void make_link(const char *source, const char *path, const char *target)
{
	assert_int_equal(symlink(target, path_of(source, path)), 0);
}

/* 'size' bytes of a letter; a sector of it begins with BAD if 'bad' >= 0. */
static void make_file(const char *source, const char *path, char letter,
		      size_t size, time_t mtime, int bad)
{
	struct timespec times[2] = { { mtime, 0 }, { mtime, 500 } };
	char *bytes = malloc(size ? size : 1);
	int fd =
		open(path_of(source, path), O_CREAT | O_WRONLY | O_TRUNC, 0640);

	assert_true(fd >= 0);
	assert_non_null(bytes);
	memset(bytes, letter, size);
	if (bad >= 0)
		memcpy(bytes + bad * 512, "BAD", 3);
	assert_int_equal(write(fd, bytes, size), size);
	assert_int_equal(futimens(fd, times), 0);
	close(fd);
	free(bytes);
}

static ino_t inode_of(const char *source, const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path_of(source, path), &st), 0);
	return st.st_ino;
}

static struct rfs_source *add_source(struct scene *s, const char *name,
				     enum rfs_source_kind kind)
{
	struct rfs_source_spec spec = { .kind = kind, .name = name };
	struct rfs_error err = RFS_ERROR_INIT;

	spec.root = path_of(name, "");
	spec.host = "bm0002";
	if (rfs_site_add_source(&s->site, &spec, &err) < 0)
		fail_msg("%s", err.text);
	return rfs_site_find_source(&s->site, name);
}

static void mount_scene(struct scene *s)
{
	struct rfs_error err = RFS_ERROR_INIT;

	if (rfs_state_open(path_of("state", ""), "test", &s->state, &err) < 0 ||
	    rfs_opener_new(&s->inv, s->state, &s->op, &err) < 0)
		fail_msg("%s", err.text);
}

static void unmount_scene(struct scene *s)
{
	rfs_opener_free(s->op);
	rfs_state_close(s->state);
}

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	strcpy(top, "/tmp/rescuefs-host-XXXXXX");
	assert_non_null(mkdtemp(top));
	make_dir("sick", "");
	make_dir("backup", "");
	rfs_site_init(&s->site);
	s->site.deadline_ms = 60000; /* a busy machine is no dying disk */
	s->sick = add_source(s, "sick", RFS_DAMAGED);
	s->backup = add_source(s, "backup", RFS_BACKUP);
	assert_int_equal(rfs_site_open(&s->site, NULL), 0);
	s->host = (struct rfs_host){ .name = (char *)(uintptr_t) "bm0002",
				     .sources = s->site.sources,
				     .nsources = 2 };
	s->hosts[0] = &s->host;
	s->inv = (struct rfs_inventory){ .site = &s->site,
					 .hosts = s->hosts,
					 .nhosts = 1 };
	mount_scene(s);
	shared->bad_inode = shared->bad_dir = 0;
	*state = s;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct scene *s = *state;

	shared->bad_inode = shared->bad_dir = 0;
	assert_int_equal(shared->astray, 0);
	unmount_scene(s);
	rfs_site_fini(&s->site);
	free(s);
	return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void expect_stat(struct scene *s, const char *path,
			const struct rfs_source *want, off_t size)
{
	const struct rfs_source *source = NULL;
	struct rfs_error err = RFS_ERROR_INIT;
	struct stat st;

	if (rfs_hostfiles_stat(s->op, &s->host, NULL, path, &st, &source,
			       &err) < 0)
		fail_msg("%s", err.text);
	assert_ptr_equal(source, want);
	if (size >= 0)
		assert_int_equal(st.st_size, size);
}

static int stat_of(struct scene *s, const char *path)
{
	struct stat st;

	return rfs_hostfiles_stat(s->op, &s->host, NULL, path, &st, NULL, NULL);
}

static struct rfs_reader *open_one(struct scene *s,
				   const struct rfs_source *only,
				   const char *path,
				   const struct rfs_source *want)
{
	const struct rfs_source *source = NULL;
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_reader *rd = NULL;
	struct stat st;

	if (rfs_hostfiles_open(s->op, &s->host, only, path, &rd, &st, &source,
			       &err) < 0)
		fail_msg("%s", err.text);
	assert_ptr_equal(source, want);
	assert_int_equal(st.st_size, rfs_reader_size(rd));
	return rd;
}

/* Reads all of it; the bytes but those of a BAD sector are the letter. */
static void expect_file(struct scene *s, const struct rfs_source *only,
			const char *path, const struct rfs_source *want,
			char letter, uint64_t nbad)
{
	struct rfs_reader *rd = open_one(s, only, path, want);
	struct rfs_ranges bad = { 0 };
	size_t size = rfs_reader_size(rd);
	char *buf = malloc(size ? size : 1);
	int r;

	assert_non_null(buf);
	r = rfs_reader_read(rd, rfs_range(0, size), buf, &bad, NULL);
	assert_int_equal(r, nbad ? -EIO : 0);
	assert_int_equal(rfs_ranges_total(&bad), nbad);
	for (size_t i = 0; i < bad.count; i++)
		memset(buf + bad.items[i].off, letter, bad.items[i].len);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(buf[i], letter);
	rfs_ranges_fini(&bad);
	free(buf);
	rfs_reader_unref(rd);
}

static void find_note(const char *text, void *data)
{
	const char **want = data;

	if (*want && strstr(text, *want))
		*want = NULL;
}

static void expect_note(struct scene *s, const char *want)
{
	const char *left = want;

	rfs_notes_each(&s->site.notes, 0, find_note, &left);
	if (left)
		fail_msg("no note says \"%s\"", want);
}

static void the_union_of_names_is_there(void **state)
{
	struct scene *s = *state;

	make_dir("sick", "/etc");
	make_dir("backup", "/etc");
	make_file("sick", "/etc/new", 'n', 10, NEW, -1);
	make_file("backup", "/etc/gone", 'g', 20, OLD, -1);
	make_dir("backup", "/root");
	expect_stat(s, "/etc", s->sick, -1);
	expect_stat(s, "/etc/new", s->sick, 10);
	expect_stat(s, "/etc/gone", s->backup, 20);
	expect_stat(s, "/root", s->backup, -1);
	expect_stat(s, "/", s->sick, -1);
	expect_file(s, NULL, "/etc/gone", s->backup, 'g', 0);
	assert_int_equal(stat_of(s, "/etc/none"), -ENOENT);
	assert_int_equal(stat_of(s, "/no/such/path"), -ENOENT);
	assert_int_equal(stat_of(s, "/etc/new/below"), -ENOENT);
	assert_int_equal(s->site.notes.count, 0);
}

static void one_generation_heals_block_by_block(void **state)
{
	struct scene *s = *state;

	make_file("sick", "/f", 'x', 4096, OLD, 3);
	make_file("backup", "/f", 'x', 4096, OLD, -1);
	expect_stat(s, "/f", s->sick, 4096);
	expect_file(s, NULL, "/f", s->sick, 'x', 0);
}

static void a_newer_file_that_is_whole_wins(void **state)
{
	struct scene *s = *state;

	make_file("sick", "/f", 'n', 5000, NEW, -1);
	make_file("backup", "/f", 'o', 4096, OLD, -1);
	expect_stat(s, "/f", s->sick, 5000);
	expect_file(s, NULL, "/f", s->sick, 'n', 0);
	expect_stat(s, "/f", s->sick, 5000);
}

/* P4: also once the medium has become better or worse, and after a remount. */
static void a_newer_file_in_part_gives_way_for_good(void **state)
{
	struct scene *s = *state;

	make_file("sick", "/f", 'n', 5000, NEW, 9); /* the last, short one */
	make_file("backup", "/f", 'o', 4096, OLD, -1);
	expect_stat(s, "/f", s->sick, 5000);
	expect_file(s, NULL, "/f", s->backup, 'o', 0);
	expect_stat(s, "/f", s->backup, 4096);
	expect_note(s, "sick:/f: cannot be read as a whole; the file of "
		       "backup, changed 2013-05-10T03:00:00.000000500Z");
	make_file("sick", "/f", 'n', 5000, NEW, -1);
	expect_file(s, NULL, "/f", s->backup, 'o', 0);
	unmount_scene(s);
	mount_scene(s);
	expect_stat(s, "/f", s->backup, 4096);
	expect_file(s, NULL, "/f", s->backup, 'o', 0);
}

static void a_file_read_through_is_not_read_through_again(void **state)
{
	struct scene *s = *state;

	make_file("sick", "/f", 'n', 4096, NEW, -1);
	make_file("backup", "/f", 'o', 4096, OLD, -1);
	expect_file(s, NULL, "/f", s->sick, 'n', 0);
	make_file("sick", "/f", 'n', 4096, NEW, 2);
	/* What was delivered is served from the store. */
	expect_file(s, NULL, "/f", s->sick, 'n', 0);
	expect_stat(s, "/f", s->sick, 4096);
}

static void without_another_copy_errors_are_errors(void **state)
{
	struct scene *s = *state;

	make_file("sick", "/f", 'n', 4096, NEW, 2);
	expect_file(s, NULL, "/f", s->sick, 'n', 512);
}

static void a_large_file_is_served_from_the_freshest(void **state)
{
	struct scene *s = *state;

	make_file("sick", "/f", 'n', ((size_t)64 << 20) + 1, NEW, 4);
	make_file("backup", "/f", 'o', 4096, OLD, -1);
	rfs_reader_unref(open_one(s, NULL, "/f", s->sick));
	expect_stat(s, "/f", s->sick, (64 << 20) + 1);
}

static void one_source_alone_has_no_help(void **state)
{
	struct scene *s = *state;
	struct stat st;

	make_file("sick", "/f", 'x', 4096, OLD, 3);
	make_file("backup", "/f", 'x', 4096, OLD, -1);
	make_file("backup", "/g", 'g', 9, OLD, -1);
	expect_file(s, s->sick, "/f", s->sick, 'x', 512);
	expect_file(s, s->backup, "/f", s->backup, 'x', 0);
	assert_int_equal(rfs_hostfiles_stat(s->op, &s->host, s->sick, "/g", &st,
					    NULL, NULL),
			 -ENOENT);
}

static void an_inode_that_fails_comes_from_the_backup(void **state)
{
	struct scene *s = *state;

	make_file("sick", "/f", 'n', 4096, NEW, -1);
	make_file("backup", "/f", 'o', 100, OLD, -1);
	make_file("sick", "/alone", 'n', 4096, NEW, -1);
	shared->bad_inode = inode_of("sick", "/f");
	expect_stat(s, "/f", s->backup, 100);
	expect_file(s, NULL, "/f", s->backup, 'o', 0);
	expect_note(s, "sick:/f: cannot be looked at: Input/output error");
	/* P3: what cannot be looked at is not absent. */
	shared->bad_inode = inode_of("sick", "/alone");
	assert_int_equal(stat_of(s, "/alone"), -EIO);
}

static void links_are_read_where_stat_found_them(void **state)
{
	struct scene *s = *state;
	char *target;

	make_link("sick", "/l", "new");
	make_link("backup", "/l", "old");
	make_link("backup", "/m", "/etc/absolute");
	make_file("sick", "/f", 'f', 1, NEW, -1);
	assert_int_equal(rfs_hostfiles_readlink(s->op, &s->host, NULL, "/l",
						&target, NULL),
			 0);
	assert_string_equal(target, "new");
	free(target);
	assert_int_equal(rfs_hostfiles_readlink(s->op, &s->host, NULL, "/m",
						&target, NULL),
			 0);
	assert_string_equal(target, "/etc/absolute");
	free(target);
	assert_int_equal(rfs_hostfiles_readlink(s->op, &s->host, NULL, "/f",
						&target, NULL),
			 -EINVAL);
}

static void only_regular_files_are_opened(void **state)
{
	struct scene *s = *state;
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_reader *rd;
	struct stat st;

	assert_int_equal(mkfifo(path_of("sick", "/fifo"), 0600), 0);
	make_link("sick", "/l", "f");
	make_file("sick", "/f", 'f', 1, NEW, -1);
	/* Behind a FIFO no older file comes up. */
	make_file("backup", "/fifo", 'o', 1, OLD, -1);
	assert_int_equal(rfs_hostfiles_open(s->op, &s->host, NULL, "/fifo", &rd,
					    &st, NULL, &err),
			 -EACCES);
	assert_non_null(strstr(err.text, "sick:/fifo"));
	assert_int_equal(rfs_hostfiles_open(s->op, &s->host, NULL, "/l", &rd,
					    &st, NULL, &err),
			 -EACCES);
}

struct listed {
	unsigned int count;
	unsigned char type_of_x;
	int stop_after;
};

static int count_name(const char *name, unsigned char type, void *data)
{
	struct listed *l = data;

	if (!strcmp(name, "x"))
		l->type_of_x = type;
	l->count++;
	return l->stop_after && l->count == (unsigned int)l->stop_after ? -77
									: 0;
}

static int list(struct scene *s, const char *path, struct listed *l)
{
	memset(l, 0, sizeof(*l));
	return rfs_hostfiles_list(s->op, &s->host, NULL, path, count_name, l,
				  NULL);
}

static void a_name_is_listed_once_as_the_freshest_has_it(void **state)
{
	struct scene *s = *state;
	struct listed l;

	make_dir("sick", "/d");
	make_dir("backup", "/d");
	make_dir("sick", "/d/x");
	make_file("backup", "/d/x", 'o', 1, OLD, -1);
	make_file("sick", "/d/a", 'o', 1, OLD, -1);
	make_file("backup", "/d/b", 'o', 1, OLD, -1);
	assert_int_equal(list(s, "/d", &l), 0);
	assert_int_equal(l.count, 3);
	assert_int_equal(l.type_of_x, DT_DIR);
	/* In the backup it is no directory. */
	assert_int_equal(list(s, "/d/x", &l), 0);
	assert_int_equal(l.count, 0);
	assert_int_equal(s->site.notes.count, 0);
	assert_int_equal(list(s, "/d/none", &l), -ENOENT);
	assert_int_equal(list(s, "/d/a", &l), -ENOTDIR);
	l = (struct listed){ .stop_after = 2 };
	assert_int_equal(rfs_hostfiles_list(s->op, &s->host, NULL, "/d",
					    count_name, &l, NULL),
			 -77);
	assert_int_equal(l.count, 2);
}

static void a_directory_that_breaks_off_is_made_up_for(void **state)
{
	struct scene *s = *state;
	char name[32];
	struct listed l;

	make_dir("sick", "/d");
	make_dir("backup", "/d");
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "/d/%d", i);
		make_file("sick", name, 'x', 1, NEW, -1);
		make_file("backup", name, 'x', 1, NEW, -1);
	}
	shared->bad_dir = inode_of("sick", "/d");
	shared->bad_dir_after = 7;
	assert_int_equal(list(s, "/d", &l), 0);
	assert_int_equal(l.count, 20);
	expect_note(s, "sick:/d: the directory could be listed only in part");
	shared->bad_dir_after = 0;
	assert_int_equal(list(s, "/d", &l), 0);
	assert_int_equal(l.count, 20);
	expect_note(s, "sick:/d: the directory could not be listed");
	/* P3: unknown is not empty. */
	make_dir("sick", "/e");
	shared->bad_dir = inode_of("sick", "/e");
	shared->bad_dir_after = 0;
	assert_int_equal(list(s, "/e", &l), -EIO);
}

static void a_hundred_thousand_names_are_listed(void **state)
{
	struct scene *s = *state;
	struct listed l;
	char path[512];

	make_dir("sick", "/d");
	make_dir("backup", "/d");
	for (int i = 0; i < 100000; i++) {
		/* One in two is in both. */
		snprintf(path, sizeof(path), "%s/%s/d/name-%06d", top,
			 i & 1 ? "sick" : "backup", i);
		assert_int_equal(mknod(path, S_IFREG | 0600, 0), 0);
		if (i & 2)
			continue;
		snprintf(path, sizeof(path), "%s/%s/d/name-%06d", top,
			 i & 1 ? "backup" : "sick", i);
		assert_int_equal(mknod(path, S_IFREG | 0600, 0), 0);
	}
	assert_int_equal(list(s, "/d", &l), 0);
	assert_int_equal(l.count, 100000);
}

static void a_look_costs_one_lstat_a_source(void **state)
{
	struct scene *s = *state;

	make_file("sick", "/f", 'x', 4096, OLD, -1);
	make_file("backup", "/f", 'x', 4096, OLD, -1);
	make_dir("sick", "/d");
	make_dir("backup", "/d");
	shared->stats = 0;
	expect_stat(s, "/f", s->sick, 4096);
	assert_int_equal(shared->stats, 2);
	shared->stats = 0;
	expect_stat(s, "/d", s->sick, -1);
	assert_int_equal(shared->stats, 1);
}

/* P8: as a chroot into the source would resolve it. */
static void a_path_does_not_leave_its_source(void **state)
{
	struct scene *s = *state;

	make_file("", "secret", 's', 7, NEW, -1);
	make_link("sick", "/up", "../..");
	make_dir("sick", "/d");
	assert_int_equal(stat_of(s, "/../secret"), -ENOENT);
	assert_int_equal(stat_of(s, "/up/secret"), -ENOENT);
	assert_int_equal(stat_of(s, "/d/../../secret"), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_union_of_names_is_there),
		TEST(one_generation_heals_block_by_block),
		TEST(a_newer_file_that_is_whole_wins),
		TEST(a_newer_file_in_part_gives_way_for_good),
		TEST(a_file_read_through_is_not_read_through_again),
		TEST(without_another_copy_errors_are_errors),
		TEST(a_large_file_is_served_from_the_freshest),
		TEST(one_source_alone_has_no_help),
		TEST(an_inode_that_fails_comes_from_the_backup),
		TEST(links_are_read_where_stat_found_them),
		TEST(only_regular_files_are_opened),
		TEST(a_name_is_listed_once_as_the_freshest_has_it),
		TEST(a_directory_that_breaks_off_is_made_up_for),
		TEST(a_hundred_thousand_names_are_listed),
		TEST(a_look_costs_one_lstat_a_source),
		TEST(a_path_does_not_leave_its_source),
	};

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	shared->here = getpid();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
