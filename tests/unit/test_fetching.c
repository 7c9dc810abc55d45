// SPDX-License-Identifier: GPL-3.0-or-later
/* What a mount is told of a fetch, and tells of it, comes over whole. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "site/fetching.h"

static bool parse(const char *text, struct rfs_fetching_order *ret)
{
	return rfs_fetching_order_parse(text, strlen(text), ret);
}

static void orders(void **state)
{
	struct rfs_fetching_order order = { true, 7, 2500 }, back = { 0 };
	char *text = rfs_fetching_order_text(&order);

	(void)state;
	assert_true(parse(text, &back));
	assert_true(back.used_only);
	assert_int_equal(back.retries, 7);
	assert_int_equal(back.patience_ms, 2500);
	free(text);
	assert_true(parse("fetch", &back));
	assert_false(back.used_only);
	assert_int_equal(back.retries, 0);
	/* Not terminated, as a mount gets it. */
	assert_true(rfs_fetching_order_parse("fetch used-only-", 15, &back));
	assert_true(back.used_only);
}

static void no_orders(void **state)
{
	static const char *const wrong[] = {
		"",
		"reset",
		"fetch all",
		"fetch retries",
		"fetch retries=",
		"fetch retries=1x",
		"fetch retries=1001",
		"fetch patience=600001",
		"fetchused-only",
		"fetch retries=99999999999",
	};
	struct rfs_fetching_order order = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_false(parse(wrong[i], &order));
	assert_int_equal(order.retries, 0);
}

static void news(void **state)
{
	struct rfs_fetching_news out = {
		.progress = { .pass = RFS_FETCH_SCRAPING,
			      .tier = RFS_FETCH_USED,
			      .round = 3,
			      .file = "bm0002:/a \"b\"",
			      .pos = 1ull << 50,
			      .total = 100,
			      .rescued = 40,
			      .untried = 30,
			      .pending = 20,
			      .bad = 9,
			      .late = 1,
			      .areas = 5,
			      .fetched = 2000,
			      .aside_ns = 5000000 },
		.is_running = false,
		.is_stopped = true,
		.elapsed_ns = 2000000000,
		.result = -ENXIO,
		.error = "it is gone",
	};
	struct rfs_fetching_news in;
	char *text;

	(void)state;
	assert_int_equal(rfs_fetching_average(&out), 1000);
	assert_int_equal(rfs_fetching_json("a/disk", &out, &text, NULL), 0);
	assert_null(strchr(text, '\n'));
	assert_int_equal(rfs_fetching_parse(text, &in, NULL), 0);
	free(text);
	assert_int_equal(in.progress.pass, RFS_FETCH_SCRAPING);
	assert_int_equal(in.progress.tier, RFS_FETCH_USED);
	assert_int_equal(in.progress.round, 3);
	assert_string_equal(in.progress.file, out.progress.file);
	/* The rest is numbers of one size, without gaps. */
	assert_memory_equal(&in.progress.pos, &out.progress.pos,
			    sizeof(in.progress) -
				    offsetof(struct rfs_fetch_progress, pos));
	assert_false(in.is_running);
	assert_true(in.is_stopped);
	assert_int_equal(in.elapsed_ns, out.elapsed_ns);
	assert_int_equal(in.result, -ENXIO);
	assert_string_equal(in.error, "it is gone");
}

static void no_news(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_fetching_news in;

	(void)state;
	assert_int_equal(rfs_fetching_parse("", &in, &err), -EINVAL);
	assert_int_equal(rfs_fetching_parse("[1]", &in, &err), -EINVAL);
	assert_int_equal(rfs_fetching_parse("{}", &in, &err), -EINVAL);
	assert_non_null(strstr(err.text, "makes no sense"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(orders),
		cmocka_unit_test(no_orders),
		cmocka_unit_test(news),
		cmocka_unit_test(no_news),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
