// SPDX-License-Identifier: GPL-3.0-or-later
#include "memdisk.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint32_t test_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) +
		 UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

uint64_t test_seed(void)
{
	const char *text = getenv("RESCUEFS_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);

	printf("# seed %" PRIu64 "\n", seed);
	return seed;
}

void memdisk_init(struct memdisk *d, uint64_t size, unsigned seed)
{
	uint64_t state = seed;
	uint64_t sectors = size / RFS_SECTOR;

	d->size = size;
	d->fd = -1;
	d->bytes = malloc(size);
	d->is_bad = calloc(sectors, sizeof(*d->is_bad));
	d->is_hole = calloc(sectors, sizeof(*d->is_hole));
	d->is_late = calloc(sectors, sizeof(*d->is_late));
	d->touches = calloc(sectors, sizeof(*d->touches));
	for (uint64_t i = 0; i < size; i++)
		d->bytes[i] = (uint8_t)test_random(&state);
}

void memdisk_fini(struct memdisk *d)
{
	free(d->bytes);
	free(d->is_bad);
	free(d->is_hole);
	free(d->is_late);
	free(d->touches);
}

static int mem_read(void *state, struct rfs_range range, void *buf,
		    struct rfs_ranges *bad, struct rfs_error *err)
{
	struct memdisk *d = state;
	uint8_t *out = buf;
	size_t before = bad->count;
	struct rfs_range sector;
	bool late = false;

	for (uint64_t s = range.off / RFS_SECTOR;
	     s * RFS_SECTOR < rfs_range_end(range); s++) {
		sector = rfs_range_cut(rfs_range(s * RFS_SECTOR, RFS_SECTOR),
				       range);
		d->touches[s]++;
		late = late || d->is_late[s];
		if (d->is_bad[s] || d->is_late[s])
			rfs_ranges_add(bad, sector);
		else
			memcpy(out + (sector.off - range.off),
			       d->bytes + sector.off, sector.len);
	}
	if (bad->count == before)
		return 0;
	if (late)
		return rfs_fail(err, ETIMEDOUT, "memory: late sector");
	return rfs_fail(err, EIO, "memory: bad sector");
}

static int mem_extents(void *state, struct rfs_range range,
		       struct rfs_extents *out, struct rfs_error *err)
{
	struct memdisk *d = state;

	(void)err;
	for (uint64_t s = range.off / RFS_SECTOR;
	     s * RFS_SECTOR < rfs_range_end(range); s++)
		rfs_extents_add(
			out,
			rfs_range_cut(rfs_range(s * RFS_SECTOR, RFS_SECTOR),
				      range),
			d->is_hole[s] ? RFS_HOLE : RFS_DATA);
	return 0;
}

static int mem_pieces(void *state, struct rfs_range range,
		      struct rfs_pieces *out)
{
	const struct memdisk *d = state;

	return d->fd < 0 ? -ENOTSUP : rfs_pieces_add(out, d->fd, range);
}

static void mem_close(void *state)
{
	(void)state;
}

static const struct rfs_reader_ops mem_ops = {
	.kind = "memory",
	.read = mem_read,
	.extents = mem_extents,
	.pieces = mem_pieces,
	.close = mem_close,
};

struct rfs_reader *memdisk_reader(struct memdisk *d,
				  const struct rfs_origin *origin)
{
	struct rfs_reader *rd = NULL;

	if (rfs_reader_new(&mem_ops, d, d->size, "memory", origin, &rd, NULL) <
	    0)
		abort();
	return rd;
}

char *test_mkdir(void)
{
	char *dir = strdup("/tmp/rescuefs-test-XXXXXX");

	if (!dir || !mkdtemp(dir))
		abort();
	return dir;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void test_rmdir(char *dir)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(dir);
}
