/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sysfs_kit.h - a copy of what sysfs shows of some devices.  Include it after
 * cmocka.h. */
#ifndef SYSFS_KIT_H
#define SYSFS_KIT_H

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "memdisk.h"

static char *dir;

static inline int set_up(void **state)
{
	(void)state;
	dir = test_mkdir();
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	test_rmdir(dir);
	return 0;
}

/* A file below the tree, with the directories above it. */
static inline void put_bytes(const char *path, const char *bytes, size_t len)
{
	char full[4096];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", dir, path);
	for (char *p = strchr(full + strlen(dir) + 1, '/'); p;
	     p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(full, 0700);
		*p = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	fclose(f);
}

static inline void put(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text));
}

#endif /* SYSFS_KIT_H */
