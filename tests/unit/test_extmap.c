// SPDX-License-Identifier: GPL-3.0-or-later
/* The extent map against an array of bytes that cannot be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/extmap.h"

#define SPACE 3000u

struct model {
	uint8_t values[SPACE];
};

static void model_set(struct model *m, struct rfs_range range, uint8_t value)
{
	memset(m->values + range.off, value, range.len);
}

/* The run at 'off', as the array has it. */
static struct rfs_run model_find(const struct model *m, uint64_t off)
{
	uint64_t from = off, to = off + 1;

	while (from > 0 && m->values[from - 1] == m->values[off])
		from--;
	while (to < SPACE && m->values[to] == m->values[off])
		to++;
	if (to == SPACE && !m->values[off])
		to = RFS_SIZE_MAX;
	return (struct rfs_run){ rfs_range_to(from, to), m->values[off] };
}

static void expect_run(struct rfs_run got, struct rfs_run want)
{
	assert_int_equal(got.range.off, want.range.off);
	assert_int_equal(got.range.len, want.range.len);
	assert_int_equal(got.value, want.value);
}

/* Every byte, the number of runs, and the sum. */
static void expect_equal(const struct rfs_extmap *map, const struct model *m)
{
	uint64_t total = 0;
	size_t runs = 0;
	struct rfs_run run;

	for (uint64_t off = 0; off < SPACE; off = rfs_range_end(run.range)) {
		run = rfs_extmap_find(map, off);
		expect_run(run, model_find(m, off));
		runs += run.value != 0;
		total += run.value ? run.range.len : 0;
	}
	assert_int_equal(map->runs, runs);
	assert_int_equal(rfs_extmap_total(map), total);
}

static struct rfs_range some_range(unsigned int *seed)
{
	uint64_t off = (uint64_t)rand_r(seed) % SPACE;
	uint64_t most = rand_r(seed) % 10 ? 4 : 400;
	uint64_t len = (uint64_t)rand_r(seed) % most;

	return rfs_range(off, len < SPACE - off ? len : SPACE - off);
}

static void random_sets(unsigned int seed)
{
	struct rfs_extmap map = { 0 };
	struct model m = { { 0 } };
	struct rfs_range range;
	uint8_t value;

	print_message("seed %u\n", seed);
	for (int i = 0; i < 6000; i++) {
		range = some_range(&seed);
		value = (uint8_t)(rand_r(&seed) % 4);
		model_set(&m, range, value);
		assert_int_equal(rfs_extmap_set(&map, range, value), 0);
		assert_true(rfs_extmap_is(&map, range, value));
		if (range.off < SPACE)
			expect_run(rfs_extmap_find(&map, range.off),
				   model_find(&m, range.off));
		if (i % 50 == 0)
			expect_equal(&map, &m);
	}
	expect_equal(&map, &m);
	assert_int_equal(rfs_extmap_set(&map, rfs_range(0, SPACE), 0), 0);
	assert_int_equal(map.runs, 0);
	assert_int_equal(map.count, 0);
	rfs_extmap_fini(&map);
}

static void random_sets_are_as_in_an_array(void **state)
{
	(void)state;
	random_sets(1);
	random_sets(2);
	random_sets((unsigned int)time(NULL));
}

static void an_empty_map_is_one_gap(void **state)
{
	struct rfs_extmap map = { 0 };

	(void)state;
	expect_run(rfs_extmap_find(&map, 77),
		   (struct rfs_run){ { 0, RFS_SIZE_MAX }, 0 });
	assert_true(rfs_extmap_is(&map, rfs_range(5, 0), 9));
	assert_false(rfs_extmap_is(&map, rfs_range(5, 1), 9));
	assert_int_equal(rfs_extmap_set(&map, rfs_range(9, 0), 1), 0);
	assert_int_equal(map.runs, 0);
	rfs_extmap_fini(&map);
}

static void a_disk_read_from_start_to_end_is_one_run(void **state)
{
	struct rfs_extmap map = { 0 };

	(void)state;
	for (uint64_t off = 0; off < 100000; off++)
		assert_int_equal(
			rfs_extmap_set(&map, rfs_range(off * 512, 512), 3), 0);
	assert_int_equal(map.runs, 1);
	expect_run(rfs_extmap_find(&map, 4711),
		   (struct rfs_run){ { 0, 100000 * 512 }, 3 });
	rfs_extmap_fini(&map);
}

static void the_ends_of_what_can_be_addressed(void **state)
{
	struct rfs_range last = rfs_range(RFS_SIZE_MAX - 1, 1);
	struct rfs_extmap map = { 0 };

	(void)state;
	assert_int_equal(rfs_extmap_set(&map, last, 2), 0);
	assert_int_equal(rfs_extmap_set(&map, rfs_range(0, 1), 1), 0);
	expect_run(rfs_extmap_find(&map, 1),
		   (struct rfs_run){ { 1, RFS_SIZE_MAX - 2 }, 0 });
	assert_true(rfs_extmap_is(&map, last, 2));
	assert_int_equal(rfs_extmap_set(&map, rfs_range(0, RFS_SIZE_MAX), 5),
			 0);
	assert_int_equal(map.runs, 1);
	rfs_extmap_fini(&map);
}

/* Every second sector differs; set in an order that splits leaves. */
static void a_million_runs_stay_quick_and_small(void **state)
{
	const uint64_t n = 1000000, stride = 611953; /* coprime to n */
	struct rfs_extmap map = { 0 };
	uint64_t sector;

	(void)state;
	for (uint64_t i = 0; i < n; i++) {
		sector = i * stride % n * 2;
		assert_int_equal(rfs_extmap_set(&map,
						rfs_range(sector * 512, 512),
						1 + (uint32_t)(sector % 7)),
				 0);
	}
	assert_int_equal(map.runs, n);
	/* Leaves are half full at the worst: 48 bytes a run. */
	assert_true(map.count * RFS_EXTMAP_LEAF <= 2 * n + RFS_EXTMAP_LEAF);
	for (sector = 0; sector < 2 * n; sector += 2) {
		assert_int_equal(rfs_extmap_find(&map, sector * 512 + 9).value,
				 1 + sector % 7);
		assert_int_equal(
			rfs_extmap_find(&map, (sector + 1) * 512).value, 0);
	}
	assert_int_equal(rfs_extmap_total(&map), n * 512);
	rfs_extmap_fini(&map);
}

#define FULL (RFS_EXTMAP_LEAF * 2u) /* bytes; runs are every second one */

/* A full leaf of runs with value 1, and one of 'last' behind it. */
static struct rfs_extmap leaf_and_one(struct model *m, uint8_t last)
{
	struct rfs_extmap map = { 0 };
	uint8_t value;

	memset(m, 0, sizeof(*m));
	for (uint64_t off = 0; off <= FULL; off += 2) {
		value = off < FULL ? 1 : last;
		model_set(m, rfs_range(off, 1), value);
		assert_int_equal(rfs_extmap_set(&map, rfs_range(off, 1), value),
				 0);
	}
	assert_int_equal(map.count, 2);
	return map;
}

static void set_both(struct rfs_extmap *map, struct model *m,
		     struct rfs_range range, uint8_t value)
{
	model_set(m, range, value);
	assert_int_equal(rfs_extmap_set(map, range, value), 0);
	expect_equal(map, m);
}

/* The array of leaves has each one's end, which must follow what is done there. */
static void changes_where_two_leaves_meet(void **state)
{
	struct rfs_range gap = rfs_range(FULL - 1, 1);
	struct rfs_extmap map;
	struct model m;

	(void)state;
	/* Joins both sides, and the second leaf is gone. */
	map = leaf_and_one(&m, 1);
	set_both(&map, &m, gap, 1);
	assert_int_equal(map.count, 1);
	rfs_extmap_fini(&map);
	/* Joins the first leaf's last run, the second's first, or none. */
	for (uint8_t value = 1; value <= 3; value++) {
		map = leaf_and_one(&m, 2);
		set_both(&map, &m, gap, value);
		rfs_extmap_fini(&map);
	}
	/* Takes out the first leaf's last run, with the gap before it or that behind
	 * it, and fills the larger gap. */
	for (uint64_t off = FULL - 3; off < FULL - 1; off++) {
		map = leaf_and_one(&m, 2);
		set_both(&map, &m, rfs_range(off, 2), 0);
		set_both(&map, &m, rfs_range(off, 3), 2);
		set_both(&map, &m, gap, 0);
		rfs_extmap_fini(&map);
	}
	/* Splits a full leaf at its first run, and in its middle. */
	for (uint64_t off = 1; off < FULL; off += FULL / 2) {
		map = leaf_and_one(&m, 2);
		set_both(&map, &m, rfs_range(off, 1), 3);
		assert_int_equal(map.count, 3);
		rfs_extmap_fini(&map);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_sets_are_as_in_an_array),
		cmocka_unit_test(an_empty_map_is_one_gap),
		cmocka_unit_test(a_disk_read_from_start_to_end_is_one_run),
		cmocka_unit_test(the_ends_of_what_can_be_addressed),
		cmocka_unit_test(changes_where_two_leaves_meet),
		cmocka_unit_test(a_million_runs_stay_quick_and_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
