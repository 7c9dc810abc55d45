// SPDX-License-Identifier: GPL-3.0-or-later
/* A disk as a row of cells: the worst shows, whatever the size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/picture.h"
#include "site/markup.h"

static const struct rfs_origin damaged = { "bm0002" }, backup = { "backup" };

static void add(struct rfs_report *report, uint64_t len,
		enum rfs_block_state state, enum rfs_block_state was,
		const struct rfs_origin *origin)
{
	struct rfs_report_item item = { .state = state,
					.was = was,
					.origin = origin };

	if (report->count)
		item.range.off =
			rfs_range_end(report->items[report->count - 1].range);
	item.range.len = len;
	assert_int_equal(rfs_report_add(report, &item), 0);
}

static const struct rfs_picture_key *at(const struct rfs_picture *p,
					uint64_t off)
{
	return &p->items[p->cells[off / p->unit]];
}

/* One sector of a TiB, in a picture of 10 cells. */
static void test_one_sector_is_seen(void **state)
{
	struct rfs_report report = { 0 };
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_picture p = { 0 };
	uint64_t tib = UINT64_C(1) << 40, bad = tib / 2 + 4096;

	(void)state;
	add(&report, bad, RFS_FRESH, RFS_FRESH, &damaged);
	add(&report, 512, RFS_LOST, RFS_LOST, NULL);
	add(&report, tib - bad - 512, RFS_ZERO, RFS_ZERO, NULL);
	for (size_t max = 1; max <= 10; max++) {
		assert_int_equal(rfs_picture_make(&report, max, &p, &err), 0);
		assert_true(p.ncells <= max);
		assert_int_equal(p.size, tib);
		assert_int_equal(at(&p, bad)->state, RFS_LOST);
		assert_int_equal(at(&p, bad)->bytes, 512);
		assert_int_equal(
			rfs_range_end(rfs_picture_range(&p, p.ncells - 1)),
			tib);
		rfs_picture_fini(&p);
	}
	rfs_report_fini(&report);
}

static void test_worst_first(void **state)
{
	/* From the worst to the best. */
	static const struct rfs_report_item order[] = {
		{ .state = RFS_LOST, .was = RFS_LOST },
		{ .state = RFS_STALE, .was = RFS_STALE, .origin = &backup },
		{ .state = RFS_LOCAL, .was = RFS_LOST },
		{ .state = RFS_LOCAL, .was = RFS_STALE },
		{ .state = RFS_UNREAD, .was = RFS_UNREAD },
		{ .state = RFS_LOCAL, .was = RFS_FRESH },
		{ .state = RFS_FRESH, .was = RFS_FRESH, .origin = &backup },
		{ .state = RFS_FRESH, .was = RFS_FRESH, .origin = &damaged },
		{ .state = RFS_ZERO, .was = RFS_ZERO },
	};
	const size_t n = sizeof(order) / sizeof(*order);
	struct rfs_error err = RFS_ERROR_INIT;

	(void)state;
	/* Each with its neighbour, in a cell of both. */
	for (size_t i = 0; i + 1 < n; i++) {
		struct rfs_report report = { 0 };
		struct rfs_picture p = { 0 };

		/* Of two fresh ones the rarer. */
		add(&report, 2048, order[i + 1].state, order[i + 1].was,
		    order[i + 1].origin);
		add(&report, 1024, order[i].state, order[i].was,
		    order[i].origin);
		assert_int_equal(rfs_picture_make(&report, 1, &p, &err), 0);
		assert_int_equal(p.ncells, 1);
		assert_int_equal(at(&p, 0)->state, order[i].state);
		assert_ptr_equal(at(&p, 0)->origin, order[i].origin);
		rfs_picture_fini(&p);
		rfs_report_fini(&report);
	}
}

static void test_cells_are_where_they_are(void **state)
{
	struct rfs_report report = { 0 };
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_picture p = { 0 };

	(void)state;
	/* 7 sectors in cells of one: each is itself. */
	for (int i = 0; i < 7; i++)
		add(&report, i == 6 ? 100 : 512, i % 2 ? RFS_STALE : RFS_FRESH,
		    i % 2 ? RFS_STALE : RFS_FRESH, i % 2 ? &backup : &damaged);
	assert_int_equal(rfs_picture_make(&report, 100, &p, &err), 0);
	assert_int_equal(p.unit, 512);
	assert_int_equal(p.ncells, 7);
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(p.items[p.cells[i]].state,
				 i % 2 ? RFS_STALE : RFS_FRESH);
	assert_int_equal(rfs_picture_range(&p, 6).len, 100);
	rfs_picture_fini(&p);
	rfs_report_fini(&report);
	/* Nothing at all. */
	assert_int_equal(rfs_picture_make(&report, 10, &p, &err), 0);
	assert_int_equal(p.ncells, 0);
	rfs_picture_fini(&p);
}

static void expect_markup(const char *text, const char *want)
{
	struct rfs_error err = RFS_ERROR_INIT;
	char *got = NULL;
	size_t len;
	FILE *out = open_memstream(&got, &len);

	assert_int_equal(rfs_put_markup(out, text, &err), 0);
	fclose(out);
	assert_string_equal(got, want);
	free(got);
}

static void test_markup(void **state)
{
	(void)state;
	expect_markup("/srv/a", "/srv/a");
	expect_markup("<script>alert('x')</script>",
		      "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;");
	expect_markup("\"&amp;", "&quot;&amp;amp;");
	expect_markup("a\033[31m\n\xff", "a\\x1b[31m\\x0a\\xff");
	/* A mark that turns the writing, and what XML has no name for. */
	expect_markup("a\u202etxt.exe", "a\\xe2\\x80\\xaetxt.exe");
	expect_markup("\uffff", "\\xef\\xbf\\xbf");
	expect_markup("gr\u00fc\u00df", "gr\u00fc\u00df");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_sector_is_seen),
		cmocka_unit_test(test_worst_first),
		cmocka_unit_test(test_cells_are_where_they_are),
		cmocka_unit_test(test_markup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
