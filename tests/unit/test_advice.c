// SPDX-License-Identifier: GPL-3.0-or-later
/* The rule of advise, by figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "site/advice.h"

static char backup_name[] = "backup";

struct scene {
	struct rfs_source source;
	struct rfs_copy copy;
	struct rfs_advice_candidate items[2];
	struct rfs_advice a;
};

/* An ext disk, merged and one backup, both clean after e2fsck. */
static void begin(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	s->source.origin.name = backup_name;
	s->source.kind = RFS_BACKUP;
	s->copy.source = &s->source;
	s->items[0].is_merged = true;
	s->items[1].copy = &s->copy;
	s->items[1].is_compared = true;
	s->items[1].given_up = 10;
	s->items[0].check.is_done = s->items[1].check.is_done = true;
	s->a.items = s->items;
	s->a.count = 2;
	s->a.is_ext = true;
}

static void expect(struct scene *s, const struct rfs_advice_candidate *want,
		   const char *reason)
{
	rfs_advice_judge(&s->a);
	assert_ptr_equal(s->a.choice, want);
	if (!strstr(s->a.reason, reason))
		fail_msg("%s", s->a.reason);
}

static void whole_is_merged(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	expect(&s, &s.items[0], "no file and no table");
}

static void data_alone_is_merged_whatever_it_costs(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	s.items[0].stale = s.items[0].lost = 5000;
	s.items[0].files_hit = 900;
	expect(&s, &s.items[0], "900 files");
}

static void mixed_tables_are_weighed(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	s.items[0].stale = s.items[0].stale_tables = 512;
	s.items[0].files_hit = 3;
	s.items[0].check.found = 4;
	expect(&s, &s.items[0], "costs 7 files");
	s.items[0].check.found = 8;
	expect(&s, &s.items[1], "costs 11 files");
	/* What the copy cannot give is a price, too. */
	s.items[0].check.found = 9;
	s.items[1].files_hit = 1;
	expect(&s, &s.items[1], "gives up 11");
	s.items[1].files_hit = 2;
	expect(&s, &s.items[0], "give up 12");
	/* What was not compared cannot be weighed. */
	s.items[1].is_compared = false;
	expect(&s, &s.items[0], "cannot be told");
}

static void a_journal_or_a_checksum_is_a_mix_too(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	s.items[0].check.found = 11;
	s.items[0].is_journal_hit = true;
	expect(&s, &s.items[1], "costs 11 files");
	s.items[0].is_journal_hit = false;
	s.items[0].wrong = 1024;
	expect(&s, &s.items[1], "costs 11 files");
}

static void what_e2fsck_cannot_mend_is_given_up(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	s.items[0].check.final = 4;
	expect(&s, &s.items[1], "clean");
	s.items[1].check.final = 8;
	expect(&s, NULL, "save what can be read");
	s.items[1].check =
		(struct rfs_advice_check){ .is_done = true, .unreadable = 512 };
	expect(&s, NULL, "save what can be read");
}

static void what_was_not_tried_is_not_recommended(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	s.items[1].check.is_done = false;
	s.items[0].stale_tables = s.items[0].stale = 512;
	s.items[0].check.found = 100;
	expect(&s, &s.items[0], "no other copy");
	strcpy(s.items[0].why, "it cannot be opened");
	expect(&s, NULL, "no candidate");
}

static void blocks_alone_are_not_mixed(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	s.a.is_ext = false;
	s.items[0].check.is_done = s.items[1].check.is_done = false;
	expect(&s, &s.items[0], "nothing that was read");
	s.items[0].stale = 512;
	expect(&s, &s.items[1], "of one age");
	s.items[1].lost = 512;
	expect(&s, &s.items[0], "nothing else");
	s.items[1].lost = 0;
	s.a.count = 1;
	expect(&s, &s.items[0], "nothing else");
}

static void what_nobody_can_check_is_named(void **state)
{
	struct scene s;

	(void)state;
	begin(&s);
	s.items[0].stale = s.items[0].other = 1024;
	expect(&s, &s.items[0], "1.0 kB more are lost or old where no ext");
	assert_null(strstr(s.a.reason, "of what was read no file"));
	s.items[0].files_hit = 3;
	expect(&s, &s.items[0], "3 files");
	expect(&s, &s.items[0], "nobody can check");
	s.items[0].other = 0;
	expect(&s, &s.items[0], "3 files");
	assert_null(strstr(s.a.reason, "nobody can check"));
}

static struct rfs_disk disk_called(struct rfs_instance *instance, char *name,
				   char *disk)
{
	instance->tree_name = name;
	return (struct rfs_disk){ .instance = instance, .name = disk };
}

/* Tenants choose the names; the operator's shell is to take them for names. */
static void commands_are_fit_for_a_shell(void **state)
{
	static char name[] = "x $(reboot); it's", disk_name[] = "disk";
	struct rfs_instance instance = { 0 };
	struct rfs_disk disk = disk_called(&instance, name, disk_name);
	char *text;
	struct scene s;

	(void)state;
	begin(&s);
	s.a.disk = &disk;
	s.a.unread = 512;
	rfs_advice_judge(&s.a);
	text = rfs_advice_commands(&s.a, "/mnt/my rescue");
	assert_string_equal(
		text,
		"rescuefs fetch 'x $(reboot); it'\\''s/disk'\n"
		"rescuefs advise 'x $(reboot); it'\\''s/disk'\n"
		"e2fsck -fy '/mnt/my rescue/instances/x $(reboot); "
		"it'\\''s/disk'\n"
		"cp --sparse=always '/mnt/my rescue/instances/x $(reboot); "
		"it'\\''s/disk' COPY\n");
	free(text);
	/* As they were typed, so that they run. */
	s.a.said = " site.conf --state 'my state'";
	s.a.choice = NULL;
	text = rfs_advice_commands(&s.a, NULL);
	assert_string_equal(text,
			    "rescuefs fetch site.conf --state 'my state' "
			    "'x $(reboot); it'\\''s/disk'\n"
			    "rescuefs advise site.conf --state 'my state' "
			    "'x $(reboot); it'\\''s/disk'\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_is_merged),
		cmocka_unit_test(data_alone_is_merged_whatever_it_costs),
		cmocka_unit_test(mixed_tables_are_weighed),
		cmocka_unit_test(a_journal_or_a_checksum_is_a_mix_too),
		cmocka_unit_test(what_e2fsck_cannot_mend_is_given_up),
		cmocka_unit_test(what_was_not_tried_is_not_recommended),
		cmocka_unit_test(blocks_alone_are_not_mixed),
		cmocka_unit_test(what_nobody_can_check_is_named),
		cmocka_unit_test(commands_are_fit_for_a_shell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
