/* SPDX-License-Identifier: GPL-3.0-or-later */
/* host_tree.h - small host trees in a folder that goes when the test ends. */
#ifndef RESCUEFS_TESTS_HOST_TREE_H
#define RESCUEFS_TESTS_HOST_TREE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The folder of the running test; "" outside of one. */
static char top[64];

static inline int make_top(void **state)
{
	(void)state;
	strcpy(top, "/tmp/rescuefs-unit-XXXXXX");
	return mkdtemp(top) ? 0 : -1;
}

static inline int remove_one(const char *path, const struct stat *st, int type,
			     struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int remove_top(void **state)
{
	(void)state;
	return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#define TREE_PATH 1024

/* "NAME" below the folder, its directories made. */
static inline void tree_path(char path[TREE_PATH], const char *name)
{
	int n = snprintf(path, TREE_PATH, "%s/%s", top, name);

	assert_true(n > 0 && n < TREE_PATH);
	for (char *p = path + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
}

/* A file of 'len' bytes, last changed at 'mtime' seconds; -1: now. */
static inline void tree_bytes(const char *name, const void *bytes, size_t len,
			      long mtime)
{
	struct timespec times[2] = { { .tv_sec = mtime }, { .tv_sec = mtime } };
	char path[TREE_PATH];
	FILE *file;

	tree_path(path, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	fclose(file);
	if (mtime >= 0)
		assert_int_equal(utimensat(-1, path, times, 0), 0);
}

static inline void tree_file(const char *name, const char *text, long mtime)
{
	tree_bytes(name, text, strlen(text), mtime);
}

static long dir_seconds;

static inline int age_dir(const char *path, const struct stat *st, int type,
			  struct FTW *ftw)
{
	struct timespec times[2] = { { .tv_sec = dir_seconds },
				     { .tv_sec = dir_seconds } };

	(void)ftw;
	(void)st;
	return type == FTW_DP ? utimensat(-1, path, times, 0) : 0;
}

/* The directories below were last changed at 'mtime': when all is made. */
static inline void tree_age(const char *name, long mtime)
{
	char path[TREE_PATH];

	tree_path(path, name);
	dir_seconds = mtime;
	assert_int_equal(nftw(path, age_dir, 16, FTW_DEPTH | FTW_PHYS), 0);
}

#endif /* RESCUEFS_TESTS_HOST_TREE_H */
