/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store_kit.h - a file whose bytes are put in a rescued store, and what must be
 * true of each of its sectors.  Include it after cmocka.h. */
#ifndef STORE_KIT_H
#define STORE_KIT_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/store.h"

#define OBJECT	"bm0002:/var/lib/x"
#define SIZE	(((uint64_t)2 << 20) + 300) /* the last sector is a short one */
#define SECTORS ((SIZE + RFS_SECTOR - 1) / RFS_SECTOR)

/* What is known of a sector, each one more than the one before. */
enum known { NOTHING, BEGUN, PUT, SYNCED };

/* Shared with a child that is killed. */
struct kit {
	char dir[64];
	unsigned int seed;
	uint8_t truth[SIZE];
	uint8_t known[SECTORS];
	/* The state's disk, as far as the store's data goes: what is on it, and
	 * which sectors are only in memory. */
	uint8_t durable[SIZE];
	uint64_t durable_len;
	uint8_t dirty[SECTORS];
	int fail_syncs; /* so many fdatasync fail */
	struct rfs_state *state;
	struct rfs_store *store;
};

static struct kit *kit;

static inline struct rfs_range sector(uint64_t number)
{
	return rfs_range_cut(rfs_range(number * RFS_SECTOR, RFS_SECTOR),
			     rfs_range(0, SIZE));
}

static inline unsigned int dice(unsigned int sides)
{
	return (unsigned int)rand_r(&kit->seed) % sides;
}

static inline int kit_setup(void **state)
{
	const char *given = getenv("RESCUEFS_SEED");

	(void)state;
	kit = mmap(NULL, sizeof(*kit), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (kit == MAP_FAILED)
		return -1;
	kit->seed =
		given ? (unsigned int)atoi(given) : (unsigned int)time(NULL);
	print_message("seed %u\n", kit->seed);
	for (size_t i = 0; i < SIZE; i++)
		kit->truth[i] = (uint8_t)rand_r(&kit->seed);
	strcpy(kit->dir, "/tmp/rescuefs-store-XXXXXX");
	return mkdtemp(kit->dir) ? 0 : -1;
}

static inline int kit_remove(const char *path, const struct stat *st, int type,
			     struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void kit_close(void)
{
	rfs_store_close(kit->store);
	rfs_state_close(kit->state);
	kit->store = NULL;
	kit->state = NULL;
}

static inline int kit_teardown(void **state)
{
	(void)state;
	kit_close();
	nftw(kit->dir, kit_remove, 16, FTW_DEPTH | FTW_PHYS);
	return munmap(kit, sizeof(*kit));
}

static inline void kit_open(void)
{
	struct rfs_error err = RFS_ERROR_INIT;

	if (rfs_state_open(kit->dir, "test", &kit->state, &err) < 0 ||
	    rfs_store_open(kit->state, OBJECT, SIZE, &kit->store, &err) < 0)
		fail_msg("%s", err.text);
}

static inline void kit_reopen(void)
{
	kit_close();
	kit_open();
}

/* All that is in it goes, and it goes on as a new one. */
static inline void kit_drop(void)
{
	struct rfs_error err = RFS_ERROR_INIT;

	rfs_store_close(kit->store);
	kit->store = NULL;
	if (rfs_store_drop(kit->state, OBJECT, &err) < 0 ||
	    rfs_store_open(kit->state, OBJECT, SIZE, &kit->store, &err) < 0)
		fail_msg("%s", err.text);
}

/* The store's file in the state directory. */
static inline const char *kit_path(const char *suffix)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/data/1%s", kit->dir, suffix);
	return path;
}

static inline int kit_put(struct rfs_range range, struct rfs_error *err)
{
	return rfs_store_put(kit->store, range, kit->truth + range.off, err);
}

static inline void must_put(struct rfs_range range)
{
	struct rfs_error err = RFS_ERROR_INIT;

	if (kit_put(range, &err) < 0)
		fail_msg("%s", err.text);
}

static inline void must_sync(void)
{
	struct rfs_error err = RFS_ERROR_INIT;

	if (rfs_store_sync(kit->store, &err) < 0)
		fail_msg("%s", err.text);
}

/* Whole sectors, few or many. */
static inline struct rfs_range some_range(void)
{
	uint64_t from = dice(SECTORS);
	uint64_t n = 1 + dice(dice(3) ? 9 : 400);

	return rfs_range_cut(rfs_range(from * RFS_SECTOR, n * RFS_SECTOR),
			     rfs_range(0, SIZE));
}

static inline void set_known(struct rfs_range range, enum known known)
{
	for (uint64_t i = range.off / RFS_SECTOR;
	     i * RFS_SECTOR < rfs_range_end(range); i++)
		if (kit->known[i] < known)
			kit->known[i] = known;
}

static inline int found(uint64_t off)
{
	return (int)rfs_store_find(kit->store, off, rfs_range(0, SIZE)).value;
}

/* Reads one sector that the store says it has; what it gives is the truth. */
static inline void expect_truth(uint64_t number)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_range range = sector(number);
	uint8_t buf[RFS_SECTOR];

	if (rfs_store_read(kit->store, range, buf, NULL, &err) < 0)
		fail_msg("sector %ju: %s", (uintmax_t)number, err.text);
	assert_memory_equal(buf, kit->truth + range.off, range.len);
}

/* All that must be kept is, and what is kept is right.  With 'exact' nothing
 * else is kept. */
static inline void expect_known(enum known must, bool exact)
{
	int value;

	for (uint64_t i = 0; i < SECTORS; i++) {
		value = found(i * RFS_SECTOR);
		assert_int_not_equal(value, RFS_KEPT_DAMAGED);
		if (kit->known[i] >= must && value != RFS_KEPT_WHOLE)
			fail_msg("sector %ju is gone", (uintmax_t)i);
		if (exact && kit->known[i] == NOTHING)
			assert_int_equal(value, RFS_KEPT_NOT);
		if (value == RFS_KEPT_WHOLE)
			expect_truth(i);
		/* Damage is found when it is read. */
		assert_int_not_equal(found(i * RFS_SECTOR), RFS_KEPT_DAMAGED);
	}
}

static inline void flip(const char *suffix, uint64_t off)
{
	int fd = open(kit_path(suffix), O_RDWR);
	uint8_t c;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, (off_t)off), 1);
	c ^= (uint8_t)(1u << dice(8));
	assert_int_equal(pwrite(fd, &c, 1, (off_t)off), 1);
	close(fd);
}

#endif /* STORE_KIT_H */
