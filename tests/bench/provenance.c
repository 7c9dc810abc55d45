// SPDX-License-Identifier: GPL-3.0-or-later
/* What it costs to know where a badly broken disk came from.
 *
 *   provenance EXTENTS DIR   prints JSON: memory, a look-up, saving, loading
 *
 * A disk of 1 TiB whose blocks are of two kinds in turn, in EXTENTS runs of
 * seeded lengths, as a merge remembers them, kept in a state below DIR.
 */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/keptmap.h"

#define DISK	((uint64_t)1 << 40)
#define LOOKUPS 2000000u
#define FRESH	17u
#define STALE	34u

static uint64_t seed = 88172645463325252u;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Bytes that malloc has given away. */
static size_t memory(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* Runs of one value and of the other, each begun at a random sector of its share
 * of the disk. */
static int fill(struct rfs_kept *k, uint64_t extents, struct rfs_error *err)
{
	uint64_t share = DISK / extents / 512 * 512, from = 0, to;
	int r = 0;

	for (uint64_t i = 0; i < extents && r == 0; i++) {
		to = (i + 1) * share + next_random() % (share / 512) * 512;
		if (i + 1 == extents || to > DISK)
			to = DISK;
		r = rfs_kept_set(k, rfs_range_to(from, to),
				 i % 2 ? STALE : FRESH, err);
		from = to;
	}
	return r;
}

/* The sum is given back so that no compiler can leave the work out. */
static double look_up(struct rfs_kept *k, uint64_t *ret_sum)
{
	uint64_t sum = 0;
	double begun = now();

	for (unsigned i = 0; i < LOOKUPS; i++)
		sum += rfs_kept_find(k, next_random() % DISK,
				     rfs_range(0, DISK))
			       .value;
	*ret_sum = sum;
	return (now() - begun) / LOOKUPS;
}

static int measure(struct rfs_state *state, uint64_t extents,
		   struct rfs_error *err)
{
	struct rfs_kept k, again;
	size_t before = memory(), after;
	uint64_t sum;
	double begun, filled, saved, looked, loaded;
	int r;

	r = rfs_kept_open(&k, state, "bench", "choices", err);
	if (r < 0)
		return r;
	begun = now();
	r = fill(&k, extents, err);
	filled = now() - begun;
	after = memory();
	looked = look_up(&k, &sum);
	begun = now();
	if (r == 0)
		r = rfs_kept_save(&k, err);
	saved = now() - begun;
	begun = now();
	if (r == 0)
		r = rfs_kept_open(&again, state, "bench", "choices", err);
	loaded = now() - begun;
	if (r == 0 && sum < (uint64_t)FRESH * LOOKUPS)
		r = rfs_fail(err, EBADMSG, "bytes that were set have no value");
	if (r < 0)
		return r;
	printf("{\"extents\": %zu, \"loaded_extents\": %zu, "
	       "\"memory_bytes\": %zu, \"lookup_ns\": %.1f, \"fill_s\": %.3f, "
	       "\"save_s\": %.3f, \"load_s\": %.3f}\n",
	       k.map.runs, again.map.runs, after - before, looked * 1e9, filled,
	       saved, loaded);
	rfs_kept_close(&again);
	rfs_kept_close(&k);
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t extents = argc == 3 ? strtoull(argv[1], NULL, 10) : 0;
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_state *state;
	int r;

	if (extents < 2 || extents > DISK / 1024) {
		fprintf(stderr, "usage: provenance EXTENTS DIR\n");
		return 2;
	}
	r = rfs_state_open(argv[2], "benchmark", &state, &err);
	if (r == 0) {
		r = measure(state, extents, &err);
		rfs_state_close(state);
	}
	if (r < 0)
		fprintf(stderr, "provenance: %s\n", err.text);
	return r < 0;
}
