// SPDX-License-Identifier: GPL-3.0-or-later
/* dodge.c - goes before the C library (LD_PRELOAD) and makes the state's disk
 * lie or fail.
 *
 *   DODGE_DIR    the state directory, absolute; nothing else is touched
 *   DODGE_SYNCS  which syncs say that they are done and do nothing: words of
 *                "data" (data/), "known" (SQLite's files) and "names"
 *                (directories); and "settle", what syncs the database's log
 *                without a commit
 *   DODGE_FILE   a file that is looked at again whenever something is asked of
 *                the disk; each of its lines is one fault:
 *
 *     write ERRNO PART    writes to files with PART in their name fail
 *     sync ERRNO PART     and so do their syncs
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int fsync(int fd);
int fdatasync(int fd);
ssize_t pwrite64(int fd, const void *buf, size_t len, off_t off);
ssize_t write(int fd, const void *buf, size_t len);
/* SQLite's, whose header is not needed for one function. */
int sqlite3_wal_checkpoint_v2(void *db, const char *name, int mode,
			      int *ret_frames, int *ret_done);

/* The path below the state directory ("/data/1"), or NULL. */
static const char *path_of(int fd, char *room, size_t size)
{
	const char *dir = getenv("DODGE_DIR");
	size_t len = dir ? strlen(dir) : 0;
	char link[40];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, room, size - 1);
	if (n < 0 || !dir || (size_t)n < len || strncmp(room, dir, len) != 0)
		return NULL;
	room[n] = '\0';
	return room + len;
}

static const char *kind_of(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		return "names";
	return strncmp(path, "/data/", 6) == 0 ? "data" : "known";
}

/* The errno of the fault that hits, or 0. */
static int fault_of(const char *call, const char *path)
{
	const char *file = getenv("DODGE_FILE");
	char what[16], part[64];
	FILE *f = file ? fopen(file, "re") : NULL;
	int number, found = 0;

	if (!f)
		return 0;
	while (!found && fscanf(f, "%15s %d %63s", what, &number, part) == 3)
		if (strcmp(what, call) == 0 && strstr(path, part))
			found = number;
	fclose(f);
	return found;
}

static int do_sync(long number, int fd)
{
	const char *syncs = getenv("DODGE_SYNCS"), *path;
	char room[4096];
	int fault;

	path = path_of(fd, room, sizeof(room));
	if (path && syncs && strstr(syncs, kind_of(fd, path)))
		return 0;
	fault = path ? fault_of("sync", path) : 0;
	if (!fault)
		return (int)syscall(number, fd);
	errno = fault;
	return -1;
}

int fsync(int fd)
{
	return do_sync(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return do_sync(SYS_fdatasync, fd);
}

static bool write_fails(int fd)
{
	char room[4096];
	const char *path = path_of(fd, room, sizeof(room));
	int fault = path ? fault_of("write", path) : 0;

	errno = fault;
	return fault != 0;
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off_t off)
{
	if (write_fails(fd))
		return -1;
	return syscall(SYS_pwrite64, fd, buf, len, off);
}

ssize_t write(int fd, const void *buf, size_t len)
{
	if (write_fails(fd))
		return -1;
	return syscall(SYS_write, fd, buf, len);
}

int sqlite3_wal_checkpoint_v2(void *db, const char *name, int mode,
			      int *ret_frames, int *ret_done)
{
	const char *syncs = getenv("DODGE_SYNCS");
	union {
		void *symbol;
		int (*call)(void *, const char *, int, int *, int *);
	} next;

	if (syncs && strstr(syncs, "settle"))
		return 0;
	next.symbol = dlsym(RTLD_NEXT, "sqlite3_wal_checkpoint_v2");
	return next.symbol ? next.call(db, name, mode, ret_frames, ret_done)
			   : 1;
}
