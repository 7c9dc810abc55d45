// SPDX-License-Identifier: GPL-3.0-or-later
/* The report, disk.json and disk.map, of a view that is made up. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/mapfile.h"
#include "core/report.h"
#include "core/view.h"
#include "site/disk_json.h"

static const struct rfs_origin bm0002 = { "bm0002" };
static const struct rfs_origin backup = { "back\"up\n" };
static const struct rfs_origin odd = { "odd\xff" };

struct rfs_view {
	struct rfs_report report;
	struct rfs_candidate candidates[3];
};

/* What disk_json.c asks of a view; the library's is then not linked. */
int rfs_view_report(struct rfs_view *view, struct rfs_report *out,
		    struct rfs_error *err)
{
	(void)err;
	for (size_t i = 0; i < view->report.count; i++)
		assert_int_equal(rfs_report_add(out, &view->report.items[i]),
				 0);
	return 0;
}

size_t rfs_view_candidates(struct rfs_view *view,
			   const struct rfs_candidate **ret)
{
	*ret = view->candidates;
	return 3;
}

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

static void view_init(struct rfs_view *view)
{
	memset(view, 0, sizeof(*view));
	view->candidates[0] = (struct rfs_candidate){
		.origin = &bm0002, .kind = "damaged", .as_of_ns = RFS_TIME_NOW
	};
	view->candidates[1] =
		(struct rfs_candidate){ .origin = &backup,
					.kind = "backup",
					.as_of_ns =
						INT64_C(1368154800000000000) };
	view->candidates[2] =
		(struct rfs_candidate){ .origin = &odd,
					.kind = "backup",
					.as_of_ns = RFS_TIME_UNKNOWN,
					.error = "no\nsuch \"file\"" };
	add(&view->report, 4096, RFS_FRESH, RFS_FRESH, &bm0002);
	add(&view->report, 512, RFS_STALE, RFS_STALE, &backup);
	add(&view->report, 512, RFS_LOST, RFS_LOST, NULL);
	add(&view->report, 1024, RFS_ZERO, RFS_ZERO, NULL);
	add(&view->report, 512, RFS_LOCAL, RFS_FRESH, NULL);
	add(&view->report, 512, RFS_LOCAL, RFS_STALE, NULL);
	add(&view->report, 1536, RFS_LOCAL, RFS_LOST, NULL);
	add(&view->report, 8192, RFS_UNREAD, RFS_UNREAD, NULL);
	add(&view->report, 100, RFS_FRESH, RFS_FRESH, &odd);
}

static void only_what_is_alike_is_joined(void **state)
{
	struct rfs_report report = { 0 };
	struct rfs_report_item apart = { .range = { 9999, 1 },
					 .state = RFS_FRESH,
					 .was = RFS_FRESH,
					 .origin = &bm0002 };

	(void)state;
	add(&report, 512, RFS_FRESH, RFS_FRESH, &bm0002);
	add(&report, 512, RFS_FRESH, RFS_FRESH, &bm0002);
	assert_int_equal(report.count, 1);
	assert_int_equal(report.items[0].range.len, 1024);
	add(&report, 512, RFS_FRESH, RFS_FRESH, &backup);
	add(&report, 512, RFS_LOCAL, RFS_FRESH, NULL);
	add(&report, 512, RFS_LOCAL, RFS_LOST, NULL);
	add(&report, 0, RFS_STALE, RFS_STALE, &backup);
	assert_int_equal(report.count, 4);
	assert_int_equal(rfs_report_add(&report, &apart), 0);
	apart.range.off = 10001; /* alike, but a byte further */
	assert_int_equal(rfs_report_add(&report, &apart), 0);
	assert_int_equal(report.count, 6);
	rfs_report_fini(&report);
	assert_int_equal(report.count, 0);
}

static void the_item_of_a_byte_is_found(void **state)
{
	struct rfs_report none = { 0 };
	struct rfs_view view;
	uint64_t off = 0;

	(void)state;
	view_init(&view);
	assert_int_equal(rfs_report_find(&none, 0), 0);
	for (size_t i = 0; i < view.report.count; i++) {
		assert_int_equal(rfs_report_find(&view.report, off), i);
		off = rfs_range_end(view.report.items[i].range);
		assert_int_equal(rfs_report_find(&view.report, off - 1), i);
	}
	assert_int_equal(rfs_report_find(&view.report, off), view.report.count);
	rfs_report_fini(&view.report);
}

static void totals_are_by_state(void **state)
{
	uint64_t totals[RFS_BLOCK_STATES];
	struct rfs_view view;

	(void)state;
	view_init(&view);
	rfs_report_totals(&view.report, totals);
	assert_int_equal(totals[RFS_FRESH], 4196);
	assert_int_equal(totals[RFS_STALE], 512);
	assert_int_equal(totals[RFS_LOST], 512);
	assert_int_equal(totals[RFS_ZERO], 1024);
	assert_int_equal(totals[RFS_LOCAL], 2560);
	assert_int_equal(totals[RFS_UNREAD], 8192);
	rfs_report_fini(&view.report);
}

static void states_have_names_and_letters(void **state)
{
	char letters[RFS_BLOCK_STATES + 1] = { 0 };

	(void)state;
	for (int s = 0; s < RFS_BLOCK_STATES; s++)
		letters[s] = rfs_block_state_letter(s);
	assert_string_equal(letters, "?+/-++*");
	assert_string_equal(rfs_block_state_name(RFS_ZERO), "hole");
	assert_string_equal(rfs_block_state_name(RFS_UNREAD), "unread");
}

static json_t *document_of(struct rfs_view *view)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	json_error_t why;
	json_t *doc;

	assert_non_null(f);
	assert_int_equal(rfs_disk_json(view, "april \"ci\"/disk", f, NULL), 0);
	fclose(f);
	doc = json_loads(text, JSON_REJECT_DUPLICATES, &why);
	if (!doc)
		fail_msg("%s in %s", why.text, text);
	free(text);
	return doc;
}

static json_int_t number(const json_t *object, const char *key)
{
	const json_t *n = json_object_get(object, key);

	assert_true(json_is_integer(n));
	return json_integer_value(n);
}

static const char *string(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void the_json_says_it_all(void **state)
{
	json_t *doc, *part;
	struct rfs_view view;

	(void)state;
	view_init(&view);
	doc = document_of(&view);
	assert_string_equal(string(doc, "disk"), "april \"ci\"/disk");
	assert_int_equal(number(doc, "size"), 16996);
	part = json_object_get(doc, "totals");
	assert_int_equal(json_object_size(part), RFS_BLOCK_STATES);
	assert_int_equal(number(part, "fresh"), 4196);
	assert_int_equal(number(part, "hole"), 1024);
	part = json_object_get(doc, "overwritten");
	assert_int_equal(number(part, "stale"), 512);
	assert_int_equal(number(part, "lost"), 1536);
	part = json_object_get(doc, "sources");
	assert_int_equal(json_array_size(part), 3);
	assert_string_equal(string(json_array_get(part, 1), "name"),
			    backup.name);
	assert_string_equal(string(json_array_get(part, 1), "as_of"),
			    "2013-05-10T03:00:00Z");
	assert_null(json_object_get(json_array_get(part, 1), "error"));
	/* Live is a time, too; unknown is none. */
	assert_int_equal(string(json_array_get(part, 0), "as_of")[0], '2');
	part = json_array_get(part, 2);
	assert_true(json_is_null(json_object_get(part, "as_of")));
	assert_string_equal(string(part, "name"), "odd\\xff");
	assert_string_equal(string(part, "error"), "no\nsuch \"file\"");
	json_decref(doc);
	rfs_report_fini(&view.report);
}

static void its_extents_have_no_gap(void **state)
{
	json_t *doc, *extents, *extent;
	struct rfs_view view;
	json_int_t end = 0;
	size_t i;

	(void)state;
	view_init(&view);
	doc = document_of(&view);
	extents = json_object_get(doc, "extents");
	assert_int_equal(json_array_size(extents), 9);
	json_array_foreach(extents, i, extent)
	{
		assert_int_equal(number(extent, "offset"), end);
		end += number(extent, "length");
	}
	assert_int_equal(end, number(doc, "size"));
	assert_string_equal(string(json_array_get(extents, 0), "source"),
			    "bm0002");
	assert_string_equal(string(json_array_get(extents, 1), "state"),
			    "stale");
	extent = json_array_get(extents, 2);
	assert_true(json_is_null(json_object_get(extent, "source")));
	assert_null(json_object_get(extent, "was"));
	assert_null(json_object_get(json_array_get(extents, 4), "was"));
	assert_string_equal(string(json_array_get(extents, 5), "was"), "stale");
	assert_string_equal(string(json_array_get(extents, 6), "was"), "lost");
	json_decref(doc);
	rfs_report_fini(&view.report);
}

static void an_empty_disk_is_a_document(void **state)
{
	struct rfs_view view;
	json_t *doc;

	(void)state;
	view_init(&view);
	rfs_report_fini(&view.report);
	doc = document_of(&view);
	assert_int_equal(number(doc, "size"), 0);
	assert_int_equal(json_array_size(json_object_get(doc, "extents")), 0);
	json_decref(doc);
}

/* A site with the sources that the made up view has. */
static struct rfs_source named[3] = {
	{ .origin = { "bm0002" } },
	{ .origin = { "back\"up\n" } },
	{ .origin = { "odd\xff" } },
};
static struct rfs_source *const sources[] = { &named[0], &named[1], &named[2] };

static int read_back(const char *text, size_t nsources, struct rfs_report *ret)
{
	struct rfs_site site = {
		.sources = (struct rfs_source **)sources,
		.nsources = nsources,
	};
	FILE *f = fmemopen((void *)text, strlen(text), "r");
	int r;

	assert_non_null(f);
	r = rfs_disk_json_read(f, "disk.json", &site, ret, NULL);
	fclose(f);
	return r;
}

static char *text_of(struct rfs_view *view)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(rfs_disk_json(view, "d", f, NULL), 0);
	fclose(f);
	return text;
}

static void the_json_is_read_back(void **state)
{
	struct rfs_report report = { 0 };
	const struct rfs_report_item *a, *b;
	struct rfs_view view;
	char *text;

	(void)state;
	view_init(&view);
	text = text_of(&view);
	assert_int_equal(read_back(text, 3, &report), 0);
	assert_int_equal(report.count, view.report.count);
	for (size_t i = 0; i < report.count; i++) {
		a = &view.report.items[i];
		b = &report.items[i];
		assert_int_equal(a->range.off, b->range.off);
		assert_int_equal(a->range.len, b->range.len);
		assert_int_equal(a->state, b->state);
		assert_int_equal(a->was, b->was);
		assert_int_equal(!a->origin, !b->origin);
		if (a->origin)
			assert_string_equal(a->origin->name, b->origin->name);
	}
	rfs_report_fini(&report);
	free(text);
	rfs_report_fini(&view.report);
}

/* Cut off anywhere, of another site, or of no mount at all. */
static void what_is_no_such_json_is_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"{}",
		"  \"extents\": [\n{\"offset\": 1}]",
		("  \"extents\": [\n{\"offset\": 0, \"length\": 0, "
		 "\"state\": \"lost\", \"source\": null}]"),
		("  \"extents\": [\n{\"offset\": 0, \"length\": 9, "
		 "\"state\": \"new\", \"source\": null}]"),
		("  \"extents\": [\n{\"offset\": 0, \"length\": "
		 "9223372036854775807, \"state\": \"lost\", \"source\": "
		 "null},\n{\"offset\": 9223372036854775807, \"length\": 9, "
		 "\"state\": \"lost\", \"source\": null}]"),
	};
	struct rfs_report report = { 0 };
	struct rfs_view view;
	char *text;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(
			read_back(*wrong[i] ? wrong[i] : " ", 3, &report),
			-EINVAL);
	view_init(&view);
	text = text_of(&view);
	assert_int_equal(read_back(text, 1, &report), -EINVAL);
	len = strlen(text);
	for (size_t cut = 1; cut < len - strlen("]\n}\n"); cut += 7) {
		text[len - 5 - cut] = '\0';
		assert_int_equal(read_back(text, 3, &report), -EINVAL);
	}
	free(text);
	rfs_report_fini(&view.report);
}

static void a_full_disk_is_told(void **state)
{
	FILE *f = fopen("/dev/full", "w");
	struct rfs_view view;

	(void)state;
	if (!f)
		skip();
	view_init(&view);
	assert_int_equal(rfs_disk_json(&view, "d", f, NULL), -EIO);
	assert_int_equal(rfs_disk_map(&view, "d", f, NULL), -EIO);
	fclose(f);
	rfs_report_fini(&view.report);
}

static void the_map_has_the_letters(void **state)
{
	static const char letters[] = "+/-+?+";
	struct rfs_mapfile map = { 0 };
	struct rfs_view view;
	FILE *f = tmpfile();
	char head[2048] = { 0 };

	(void)state;
	assert_non_null(f);
	view_init(&view);
	assert_int_equal(rfs_disk_map(&view, "april-ci/disk", f, NULL), 0);
	rewind(f);
	assert_int_equal(rfs_mapfile_read(f, "map", &map, NULL), 0);
	assert_int_equal(map.count, strlen(letters));
	for (size_t i = 0; i < map.count; i++)
		assert_int_equal(map.items[i].status, letters[i]);
	rewind(f);
	assert_true(fread(head, 1, sizeof(head) - 1, f) > 0);
	assert_non_null(strstr(head, "# Disk april-ci/disk,"));
	assert_non_null(strstr(head, "# + fresh, hole or local"));
	assert_non_null(strstr(head, "as of 2013-05-10T03:00:00Z"));
	fclose(f);
	rfs_mapfile_fini(&map);
	rfs_report_fini(&view.report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_is_alike_is_joined),
		cmocka_unit_test(the_item_of_a_byte_is_found),
		cmocka_unit_test(totals_are_by_state),
		cmocka_unit_test(states_have_names_and_letters),
		cmocka_unit_test(the_json_says_it_all),
		cmocka_unit_test(its_extents_have_no_gap),
		cmocka_unit_test(an_empty_disk_is_a_document),
		cmocka_unit_test(the_json_is_read_back),
		cmocka_unit_test(what_is_no_such_json_is_refused),
		cmocka_unit_test(a_full_disk_is_told),
		cmocka_unit_test(the_map_has_the_letters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
