/* SPDX-License-Identifier: GPL-3.0-or-later */
/* memdisk.h - a reader of bytes in memory, some of which fail.
 *
 * Counts how often each sector was asked for, so that a test can say that one
 * was left in peace.
 */
#ifndef RESCUEFS_TESTS_MEMDISK_H
#define RESCUEFS_TESTS_MEMDISK_H

#include "core/reader.h"

struct memdisk {
	uint8_t *bytes;
	uint64_t size;
	bool *is_bad;	   /* per sector */
	unsigned *touches; /* per sector */
	bool *is_hole;	   /* per sector: said to be a hole */
	bool *is_late;	   /* per sector: not delivered within the deadline */
	int fd;		   /* says whose a piece is; -1: it has none */
};

/* 'size' a multiple of a sector; filled from 'seed'. */
void memdisk_init(struct memdisk *d, uint64_t size, unsigned seed);
void memdisk_fini(struct memdisk *d);

/* A reader over it, which does not own it. */
struct rfs_reader *memdisk_reader(struct memdisk *d,
				  const struct rfs_origin *origin);

/* The next number of a generator that is the same everywhere. */
uint32_t test_random(uint64_t *state);

/* RESCUEFS_SEED or the time; printed, so that a failure can be repeated. */
uint64_t test_seed(void);

/* A new empty directory; removed with everything in it by test_rmdir. */
char *test_mkdir(void);
void test_rmdir(char *dir);

#endif /* RESCUEFS_TESTS_MEMDISK_H */
