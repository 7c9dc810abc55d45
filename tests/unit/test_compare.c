// SPDX-License-Identifier: GPL-3.0-or-later
/* Two rows of bytes side by side, against a comparison sector by sector. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/compare.h"
#include "memdisk.h"

#define SIZE	(3u << 20)
#define SECTORS (SIZE / RFS_SECTOR)

struct two {
	struct memdisk a, b;
	struct rfs_origin origin;
	struct rfs_reader *ra, *rb;
	struct rfs_comparison found;
};

static void make(struct two *t, uint64_t size_b)
{
	memset(t, 0, sizeof(*t));
	t->origin.name = "bm0002";
	memdisk_init(&t->a, SIZE, 1);
	memdisk_init(&t->b, size_b, 1);
	t->ra = memdisk_reader(&t->a, &t->origin);
	t->rb = memdisk_reader(&t->b, &t->origin);
}

static void end(struct two *t)
{
	rfs_comparison_fini(&t->found);
	rfs_reader_unref(t->ra);
	rfs_reader_unref(t->rb);
	memdisk_fini(&t->a);
	memdisk_fini(&t->b);
}

static void compare(struct two *t, uint64_t block, bool read_shared)
{
	struct rfs_compare_config config = { .a = t->ra,
					     .b = t->rb,
					     .block = block,
					     .read_shared = read_shared };
	struct rfs_error err = RFS_ERROR_INIT;

	rfs_comparison_fini(&t->found);
	if (rfs_compare(&config, &t->found, &err) < 0)
		fail_msg("%s", err.text);
}

static void hole(struct memdisk *d, uint64_t s)
{
	d->is_hole[s] = true;
	memset(d->bytes + s * RFS_SECTOR, 0, RFS_SECTOR);
}

/* What it must be, told in another way. */
static enum rfs_likeness truth(const struct two *t, uint64_t s)
{
	const uint8_t *a = t->a.bytes + s * RFS_SECTOR;
	const uint8_t *b = t->b.bytes + s * RFS_SECTOR;

	if (s >= t->b.size / RFS_SECTOR)
		return RFS_ONLY_IN_A;
	if (t->a.is_hole[s] && t->b.is_hole[s])
		return RFS_EQUAL;
	/* What is known to be a hole is not asked for. */
	if (t->a.is_bad[s] && !t->a.is_hole[s])
		return t->b.is_bad[s] && !t->b.is_hole[s]
			       ? RFS_UNREADABLE_IN_BOTH
			       : RFS_UNREADABLE_IN_A;
	if (t->b.is_bad[s] && !t->b.is_hole[s])
		return RFS_UNREADABLE_IN_B;
	if (memcmp(a, b, RFS_SECTOR) == 0)
		return RFS_EQUAL;
	if (t->a.is_hole[s])
		return RFS_HOLE_IN_A;
	return t->b.is_hole[s] ? RFS_HOLE_IN_B : RFS_DIFFERENT;
}

static void expect(const struct two *t)
{
	uint64_t totals[RFS_LIKENESSES] = { 0 };

	for (uint64_t s = 0; s < SECTORS; s++) {
		enum rfs_likeness want = truth(t, s);
		struct rfs_run run =
			rfs_comparison_find(&t->found, s * RFS_SECTOR);

		totals[want] += RFS_SECTOR;
		if (run.value != want)
			fail_msg("sector %zu is %s and not %s", (size_t)s,
				 rfs_likeness_name(run.value),
				 rfs_likeness_name(want));
	}
	for (int i = 0; i < RFS_LIKENESSES; i++)
		assert_int_equal(t->found.totals[i], totals[i]);
}

static void the_same_is_equal(void **state)
{
	struct two t;

	(void)state;
	make(&t, SIZE);
	compare(&t, 512, false);
	assert_true(rfs_comparison_is_equal(&t.found));
	assert_int_equal(t.found.shared, 0);
	expect(&t);
	end(&t);
}

static void any_mixture_is_told_apart(void **state)
{
	uint64_t seed = test_seed();
	struct two t;

	(void)state;
	for (int round = 0; round < 20; round++) {
		make(&t, round % 3 ? SIZE : SIZE - 77 * RFS_SECTOR);
		for (int i = 0; i < 200; i++) {
			uint64_t s = test_random(&seed) %
				     (t.b.size / RFS_SECTOR - 10);
			uint64_t n = 1 + test_random(&seed) % 10;
			uint32_t what = test_random(&seed) % 5;

			for (uint64_t k = s; k < s + n; k++) {
				if (what == 0)
					t.a.is_bad[k] = true;
				else if (what == 1)
					t.b.is_bad[k] = true;
				else if (what == 2)
					hole(&t.a, k);
				else if (what == 3)
					hole(&t.b, k);
				else
					t.b.bytes[k * RFS_SECTOR + 99] ^= 1;
			}
		}
		compare(&t, 512, false);
		expect(&t);
		assert_false(rfs_comparison_is_equal(&t.found));
		end(&t);
	}
}

static void a_block_differs_wholly(void **state)
{
	struct rfs_run run;
	struct two t;

	(void)state;
	make(&t, SIZE);
	t.b.bytes[5 * 65536 + 700] ^= 1;
	t.b.bytes[SIZE - 1] ^= 1;
	compare(&t, 65536, false);
	assert_int_equal(t.found.totals[RFS_DIFFERENT], 2 * 65536);
	run = rfs_comparison_find(&t.found, 5 * 65536);
	assert_int_equal(run.value, RFS_DIFFERENT);
	assert_int_equal(run.range.len, 65536);
	compare(&t, 1, false);
	assert_int_equal(t.found.totals[RFS_DIFFERENT], 2);
	run = rfs_comparison_find(&t.found, 5 * 65536 + 700);
	assert_int_equal(run.value, RFS_DIFFERENT);
	assert_int_equal(run.range.len, 1);
	compare(&t, RFS_COMPARE_BLOCK_MAX, false);
	assert_int_equal(t.found.totals[RFS_DIFFERENT], SIZE);
	end(&t);
}

static unsigned touches(const struct memdisk *d)
{
	unsigned n = 0;

	for (uint64_t s = 0; s < d->size / RFS_SECTOR; s++)
		n += d->touches[s];
	return n;
}

static void what_both_share_is_not_read(void **state)
{
	struct two t;

	(void)state;
	make(&t, SIZE);
	t.b.bytes[0] ^= 1; /* which nobody can know */
	assert_int_equal(rfs_reader_identify(t.ra, "one file", NULL), 0);
	assert_int_equal(rfs_reader_identify(t.rb, "one file", NULL), 0);
	compare(&t, 512, false);
	assert_true(rfs_comparison_is_equal(&t.found));
	assert_int_equal(t.found.shared, SIZE);
	assert_int_equal(touches(&t.a) + touches(&t.b), 0);
	compare(&t, 512, true);
	assert_int_equal(t.found.totals[RFS_DIFFERENT], 512);
	assert_int_equal(rfs_reader_identify(t.rb, "another", NULL), 0);
	compare(&t, 512, false);
	assert_int_equal(t.found.totals[RFS_DIFFERENT], 512);
	end(&t);
}

static void holes_are_not_read(void **state)
{
	struct two t;

	(void)state;
	make(&t, SIZE);
	for (uint64_t s = 0; s < SECTORS - 1; s++) {
		hole(&t.a, s);
		hole(&t.b, s);
	}
	compare(&t, 512, false);
	assert_int_equal(t.found.holes, SIZE - RFS_SECTOR);
	assert_int_equal(touches(&t.a), 1);
	assert_int_equal(touches(&t.b), 1);
	end(&t);
}

static void seen(void *data, uint64_t done, uint64_t total, uint64_t unreadable)
{
	uint64_t *last = data;

	(void)unreadable;
	assert_true(done >= last[0] && done <= total);
	assert_int_equal(total, SIZE);
	last[0] = done;
}

static void progress_only_goes_on(void **state)
{
	uint64_t last = 0;
	struct rfs_compare_config config = { .block = 512,
					     .progress = seen,
					     .data = &last };
	struct two t;

	(void)state;
	make(&t, SIZE);
	config.a = t.ra;
	config.b = t.rb;
	assert_int_equal(rfs_compare(&config, &t.found, NULL), 0);
	assert_int_equal(last, SIZE);
	end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_is_equal),
		cmocka_unit_test(any_mixture_is_told_apart),
		cmocka_unit_test(a_block_differs_wholly),
		cmocka_unit_test(what_both_share_is_not_read),
		cmocka_unit_test(holes_are_not_read),
		cmocka_unit_test(progress_only_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
