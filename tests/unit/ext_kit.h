/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ext_kit.h - filesystems made by mke2fs and debugfs, in memory, with sectors
 * that fail. */
#ifndef RESCUEFS_TESTS_EXT_KIT_H
#define RESCUEFS_TESTS_EXT_KIT_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "memdisk.h"

struct ext_image {
	char *dir;
	char path[256]; /* DIR/image */
	struct memdisk disk;
	struct rfs_origin origin;
	struct rfs_reader *reader;
};

/* Runs a command of the shell in the image's directory, of which "image" is a
 * file; it must succeed. */
static void ext_run(struct ext_image *im, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void ext_run(struct ext_image *im, const char *fmt, ...)
{
	char command[4096], line[5000];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	snprintf(line, sizeof(line),
		 "cd %s && PATH=$PATH:/sbin:/usr/sbin && { %s; } >log 2>&1",
		 im->dir, command);
	if (system(line) != 0) {
		snprintf(line, sizeof(line), "cat %s/log", im->dir);
		if (system(line) != 0)
			printf("no log\n");
		fail_msg("%s", command);
	}
}

static void ext_begin(struct ext_image *im)
{
	memset(im, 0, sizeof(*im));
	im->dir = test_mkdir();
	im->origin.name = "bm0002";
	snprintf(im->path, sizeof(im->path), "%s/image", im->dir);
}

/* What was made becomes the reader's; changes on disk are not seen later. */
static void ext_load(struct ext_image *im)
{
	FILE *f = fopen(im->path, "re");
	struct stat st;

	assert_non_null(f);
	assert_int_equal(fstat(fileno(f), &st), 0);
	memdisk_init(&im->disk, (uint64_t)st.st_size, 1);
	assert_int_equal(fread(im->disk.bytes, 1, im->disk.size, f),
			 im->disk.size);
	fclose(f);
	im->reader = memdisk_reader(&im->disk, &im->origin);
}

static void ext_end(struct ext_image *im)
{
	rfs_reader_unref(im->reader);
	memdisk_fini(&im->disk);
	test_rmdir(im->dir);
}

static inline void ext_break(struct ext_image *im, uint64_t off, uint64_t len)
{
	for (uint64_t s = off / 512; s * 512 < off + len; s++)
		im->disk.is_bad[s] = true;
}

/* The output of a command, cut to what fits. */
static inline void ext_ask(struct ext_image *im, char *text, size_t room,
			   const char *command)
{
	char line[1024];
	FILE *p;
	size_t n;

	snprintf(line, sizeof(line),
		 "cd %s && PATH=$PATH:/sbin:/usr/sbin && %s 2>/dev/null",
		 im->dir, command);
	p = popen(line, "r");
	assert_non_null(p);
	n = fread(text, 1, room - 1, p);
	text[n] = '\0';
	pclose(p);
}

#endif /* RESCUEFS_TESTS_EXT_KIT_H */
