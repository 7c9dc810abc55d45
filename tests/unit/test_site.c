// SPDX-License-Identifier: GPL-3.0-or-later
/* Site files and source options: what they say, and what is refused. */
#include "host_tree.h"

#include <errno.h>

#include "site/site.h"

static struct rfs_site site;
static struct rfs_error err;

static int begin(void **state)
{
	memset(&err, 0, sizeof(err));
	rfs_site_init(&site);
	return make_top(state);
}

static int end(void **state)
{
	rfs_site_fini(&site);
	return remove_top(state);
}

static void add(enum rfs_source_kind kind, const char *text);

static int load(const char *text)
{
	char path[TREE_PATH];

	tree_file("etc/bm0002.conf", text, -1);
	tree_path(path, "etc/bm0002.conf");
	return rfs_site_load(&site, path, &err);
}

static void must_load(const char *text)
{
	if (load(text) < 0)
		fail_msg("%s", err.text);
}

static void expect_refused(const char *text, const char *where,
			   const char *what)
{
	rfs_site_fini(&site);
	rfs_site_init(&site);
	assert_int_equal(load(text), -EINVAL);
	if (!strstr(err.text, where) || !strstr(err.text, what))
		fail_msg("\"%s\" does not say \"%s\" and \"%s\"", err.text,
			 where, what);
}

static const char whole[] =
	"[site]\n"
	"state = /var/lib/rescuefs/bm0002\n"
	"fill  = none                          ; all | data | none\n"
	"lost  = zero\n"
	"\n"
	"; a comment\n"
	"[source bm0002]\n"
	"kind    = damaged\n"
	"host    = bm0002.the.re\n"
	"root    = /mnt/bm0002/\n"
	"\n"
	"[source yesterday] ; the last one\n"
	"kind    = backup\n"
	"host    = bm0002.the.re\n"
	"root    = old/../tree\n"
	"taken   = 2013-05-10T03:00:00Z\n"
	"\n"
	"[source bm0001]\n"
	"kind    = live\n"
	"root    = /mnt/bm0001\n"
	"\n"
	"[disk 1bc13afc-1582-474a-b4bb-c3a13ace848a/disk.local]\n"
	"prefer  = yesterday   bm0002\n"
	"format  = qcow2\n"
	"fill    = all\n"
	"lost    = eio\n";

static void a_site_file_says_all(void **state)
{
	const struct rfs_disk_rule *rule;
	char want[TREE_PATH];

	(void)state;
	must_load(whole);
	assert_string_equal(site.name, "bm0002");
	assert_string_equal(site.state_dir, "/var/lib/rescuefs/bm0002");
	assert_int_equal(site.fill, RFS_FILL_NONE);
	assert_int_equal(site.lost, RFS_LOST_ZERO);
	assert_int_equal(site.nsources, 3);
	assert_string_equal(site.sources[0]->root, "/mnt/bm0002");
	assert_int_equal(site.sources[0]->kind, RFS_DAMAGED);
	snprintf(want, sizeof(want), "%s/etc/old/../tree", top);
	assert_string_equal(site.sources[1]->root, want);
	assert_int_equal(site.sources[1]->taken_ns,
			 INT64_C(1368154800000000000));
	assert_string_equal(site.sources[2]->host, "bm0001");
	rule = &site.rules[0];
	assert_string_equal(rule->disk,
			    "1bc13afc-1582-474a-b4bb-c3a13ace848a/disk.local");
	assert_string_equal(rule->prefer[0], "yesterday");
	assert_string_equal(rule->prefer[1], "bm0002");
	assert_null(rule->prefer[2]);
	assert_int_equal(rule->fill, RFS_FILL_ALL);
	assert_int_equal(rule->lost, RFS_LOST_EIO);
}

static void what_is_printed_loads_the_same(void **state)
{
	char *first = NULL, *second = NULL;

	(void)state;
	must_load(whole);
	assert_int_equal(rfs_site_print(&site, &first, &err), 0);
	rfs_site_fini(&site);
	rfs_site_init(&site);
	must_load(first);
	assert_int_equal(rfs_site_print(&site, &second, &err), 0);
	assert_string_equal(first, second);
	assert_non_null(strstr(first, "prefer = yesterday bm0002\n"));
	free(first);
	free(second);
}

static void heal_is_the_site_s_or_the_disk_s(void **state)
{
	static const char *const names[] = { "proved", "all", "guessed",
					     "off" };
	char *printed, text[200];

	(void)state;
	must_load("[site]\nlost = eio\n");
	assert_int_equal(site.heal, RFS_HEAL_PROVED);
	for (int k = 0; k < 4; k++) {
		int other = (k + 1) % 4;

		rfs_site_fini(&site);
		rfs_site_init(&site);
		snprintf(text, sizeof(text),
			 "[site]\nheal = %s\n[disk x]\nheal = %s\n"
			 "[disk y]\nlost = eio\n",
			 names[k], names[other]);
		must_load(text);
		assert_int_equal(site.heal, rfs_heal_parse(names[k]));
		assert_string_equal(rfs_heal_name(site.heal), names[k]);
		assert_int_equal(site.rules[0].heal,
				 rfs_heal_parse(names[other]));
		assert_int_equal(site.rules[1].heal, -1);
		assert_int_equal(rfs_site_print(&site, &printed, &err), 0);
		snprintf(text, sizeof(text), "heal   = %s\n", names[other]);
		assert_non_null(strstr(printed, text));
		free(printed);
	}
	assert_int_equal(rfs_heal_parse("some"), -1);
	expect_refused("[site]\nheal = some\n", ":2", "proved all guessed off");
	expect_refused("[disk x]\nheal = yes\n", ":2",
		       "proved all guessed off");
}

#define SOURCE "[source a]\nkind = damaged\nroot = /a\n"

static void mistakes_are_named_with_their_line(void **state)
{
	(void)state;
	expect_refused("[site]\nfil = all\n", "bm0002.conf:2", "'fill'");
	expect_refused("[sites]\n", ":1", "[site]");
	expect_refused("\n\n[source]\n", ":3", "needs a name");
	expect_refused("state = /x\n", ":1", "before any section");
	expect_refused("[site]\nstate\n", ":2", "key = value");
	expect_refused("[site]\nstate =\n", ":2", "no value");
	expect_refused("[site\n", ":1", "']'");
	expect_refused("[site]\nfill = some\n", ":2", "all data none");
	expect_refused("[site]\nlost = 7\n", ":2", "eio zero");
	expect_refused("[source a]\nroot = /a\n", ":1", "needs a kind");
	expect_refused("[source a]\nkind = damaged\n", ":1", "needs a root");
	expect_refused("[source a]\nkind = dead\n", ":2", "damaged backup");
	expect_refused(SOURCE "taken = long ago\n", ":1", "not a time");
	expect_refused(SOURCE "[disk x]\nprefer = a b\n", ":5", "'b'");
	expect_refused("[source a/b]\nkind = live\nroot = /a\n", ":1", "a/b");
}

static unsigned int deadline_of(size_t at)
{
	return rfs_source_deadline(&site, site.sources[at]);
}

static void a_deadline_is_the_sources_or_the_sites(void **state)
{
	char *text;

	(void)state;
	must_load(SOURCE "deadline = 500ms\n[source b]\nkind = damaged\n"
			 "root = /b\n[source c]\nkind = live\n"
			 "nbd = nbd://c\ndeadline = 7\n");
	assert_int_equal(deadline_of(0), 500);
	assert_int_equal(deadline_of(1), 2000);
	assert_int_equal(deadline_of(2), 7000);
	rfs_site_fini(&site);
	rfs_site_init(&site);
	must_load("[site]\ndeadline = 600s\n" SOURCE
		  "[source b]\nkind = damaged\nroot = /b\ndeadline = 100ms\n");
	assert_int_equal(deadline_of(0), 600000);
	assert_int_equal(deadline_of(1), 100);
	assert_int_equal(rfs_site_print(&site, &text, &err), 0);
	rfs_site_fini(&site);
	rfs_site_init(&site);
	must_load(text);
	free(text);
	assert_int_equal(deadline_of(0), 600000);
	assert_int_equal(deadline_of(1), 100);
	add(RFS_DAMAGED, "/c,deadline=3s");
	assert_int_equal(deadline_of(2), 3000);
	add(RFS_BACKUP, "/d,deadline=4s");
	assert_int_equal(deadline_of(3), 4000);
}

static void a_wrong_deadline_is_refused(void **state)
{
	static const char *const wrong[] = { "99ms", "0",	  "601s",
					     "601",  "600001ms",  "-1",
					     "2 s",  "2m",	  "ms",
					     "1.5",  "9999999999" };
	char text[200];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		snprintf(text, sizeof(text), SOURCE "deadline = %s\n",
			 wrong[i]);
		expect_refused(text, "bm0002.conf:4", "deadline: ");
		snprintf(text, sizeof(text), "[site]\ndeadline = %s\n",
			 wrong[i]);
		expect_refused(text, "bm0002.conf:2", "deadline: ");
	}
}

static void tables_are_placed(void **state)
{
	static const char *const wrong[] = {
		"3",
		"x 65536",
		"-1 65536",
		"3 0",
		"3 65537",
		"3,65536",
		"3 65536 1",
		"4194304 65536",
		"3 0x10zzz",
		"3 -65536",
		"0x 512",
		"3 9223372036854775808",
		"3 99999999999999999999999",
	};
	char *printed, text[200];

	(void)state;
	must_load("[disk x]\ntable = 3 65536\ntable = 0 0x20000\n"
		  "table =  4194303\t512\n");
	assert_int_equal(site.rules[0].tables.count, 3);
	assert_int_equal(site.rules[0].tables.items[1].index, 0);
	assert_int_equal(site.rules[0].tables.items[1].off, 131072);
	assert_int_equal(rfs_site_print(&site, &printed, &err), 0);
	assert_non_null(strstr(printed, "table = 3 65536\ntable = 0 131072\n"
					"table = 4194303 512\n"));
	free(printed);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		snprintf(text, sizeof(text), "[disk x]\ntable = %s\n",
			 wrong[i]);
		expect_refused(text, ":2", "must be the index of an L1 entry");
	}
	expect_refused("[disk x]\ntable = 3 512\ntable = 3 1024\n", ":3",
		       "said twice");
	expect_refused("[disk x]\ntable = 3 512\ntable = 2 512\n", ":3",
		       "said twice");
}

static void nothing_is_said_twice(void **state)
{
	(void)state;
	expect_refused("[site]\nlost = eio\nlost = eio\n", ":3", "twice");
	expect_refused("[site]\n[site]\n", ":2", "twice");
	expect_refused(SOURCE SOURCE, ":4", "twice");
	expect_refused("[disk x]\n[disk x]\n", ":2", "twice");
	expect_refused("[site]\nstate = /a\n  lost = eio\nlost = eio\n", ":4",
		       "twice");
}

static void what_is_none_of_the_words_is_refused_by_name(void **state)
{
	(void)state;
	expect_refused("[site]\nfill = some\n", ":2", "all data none");
	expect_refused(SOURCE "nbd = http://x\n", ":1", "must begin with");
	expect_refused("[others]\n", ":1", "there is no section");
}

static void a_long_line_is_one_line(void **state)
{
	char text[8192] = SOURCE "taken = 2013-05-10\n[site]\nstate = /";
	size_t len = strlen(text);

	(void)state;
	memset(text + len, 'x', 3000);
	strcpy(text + len + 3000, "\n");
	must_load(text);
	assert_int_equal(strlen(site.state_dir), 3001);
	memset(text + len, 'x', 5000);
	strcpy(text + len + 5000, "\n");
	expect_refused(text, ":6", "too long");
}

static void a_site_file_must_be_there(void **state)
{
	(void)state;
	assert_int_equal(rfs_site_load(&site, "/nowhere/x.conf", &err),
			 -ENOENT);
	assert_non_null(strstr(err.text, "/nowhere/x.conf"));
}

static void add(enum rfs_source_kind kind, const char *text)
{
	if (rfs_site_add_option(&site, kind, text, &err) < 0)
		fail_msg("%s: %s", text, err.text);
}

static void options_make_names_and_hosts(void **state)
{
	(void)state;
	add(RFS_BACKUP, "/backup/bm0002.the.re");
	add(RFS_DAMAGED, "/mnt/bm0002/");
	add(RFS_BACKUP, "/elsewhere/2013-05-09");
	add(RFS_LIVE, "/mnt/bm0001");
	assert_string_equal(site.sources[0]->origin.name, "backup");
	assert_string_equal(site.sources[0]->host, "bm0002.the.re");
	assert_string_equal(site.sources[1]->origin.name, "bm0002");
	assert_string_equal(site.sources[1]->host, "bm0002.the.re");
	assert_string_equal(site.sources[2]->origin.name, "backup-2");
	assert_string_equal(site.sources[2]->host, "bm0002.the.re");
	assert_string_equal(site.sources[3]->host, "bm0001");
	assert_string_equal(site.name, "bm0002.the.re");
}

static void two_hosts_stay_two(void **state)
{
	(void)state;
	add(RFS_DAMAGED, "/mnt/bm0002");
	add(RFS_DAMAGED, "/mnt/bm0003");
	add(RFS_BACKUP, "/backup/bm0003.the.re/daily");
	add(RFS_BACKUP, "/backup/bm00021.the.re");
	assert_string_equal(site.sources[0]->host, "bm0002");
	assert_string_equal(site.sources[1]->host, "bm0003.the.re");
	assert_string_equal(site.sources[2]->host, "bm0003.the.re");
	/* Not bm0002's by name, so only for want of another. */
	assert_string_equal(site.sources[3]->host, "bm0002");
}

static void an_option_says_more_after_commas(void **state)
{
	const struct rfs_source *source;

	(void)state;
	add(RFS_DAMAGED, "/mnt/bm0002");
	add(RFS_BACKUP, "/a,b/c,taken=2013-05-10,name=old,host=other");
	source = site.sources[1];
	assert_string_equal(source->root, "/a,b/c");
	assert_string_equal(source->origin.name, "old");
	assert_string_equal(source->host, "other");
	assert_int_equal(source->taken_ns, INT64_C(1368144000000000000));
	assert_ptr_equal(rfs_site_find_source(&site, "old"), source);
}

static void expect_option(enum rfs_source_kind kind, const char *text,
			  const char *part)
{
	assert_int_equal(rfs_site_add_option(&site, kind, text, &err), -EINVAL);
	if (!strstr(err.text, part))
		fail_msg("%s: \"%s\" does not say \"%s\"", text, err.text,
			 part);
}

static void wrong_options_are_refused(void **state)
{
	(void)state;
	add(RFS_BACKUP, "/a,name=x");
	expect_option(RFS_BACKUP, "/b,name=x", "two sources");
	expect_option(RFS_BACKUP, "/b,nam=x", "taken, name, host");
	expect_option(RFS_BACKUP, "/b,name=y,name=z", "twice");
	expect_option(RFS_BACKUP, "/b,taken=then", "not a time");
	expect_option(RFS_BACKUP, "/b,name=a b", "blanks");
	expect_option(RFS_BACKUP, "/b,host=..", "..");
	expect_option(RFS_LIVE, "ssh://bm0001", "only those of NBD");
	expect_option(RFS_DAMAGED, "nbd://bm0001", "spared");
	expect_option(RFS_LIVE, "/b,taken=2013-05-10", "live");
	expect_option(RFS_BACKUP, "", "needs a root");
	assert_int_equal(site.nsources, 1);
}

static void a_date_in_the_path_is_when_it_was_taken(void **state)
{
	static const struct {
		const char *path;
		int64_t taken_s;
	} cases[] = {
		{ "/b/2013-05-10", 1368144000 },
		{ "/b/20130510/root", 1368144000 },
		{ "/b/20130510T0300", 1368154800 },
		{ "/b/bm-2013-05-10T030007.d", 1368154807 },
		{ "/2012-01-01/2013-05-10", 1368144000 },
		{ "/b/12345678", 0 },
		{ "/b/120130510", 0 },
		{ "/b/20131310", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int64_t want = cases[i].taken_s ? cases[i].taken_s * 1000000000
						: RFS_TIME_UNKNOWN;

		add(RFS_BACKUP, cases[i].path);
		if (site.sources[i]->taken_ns != want)
			fail_msg("%s: taken %lld", cases[i].path,
				 (long long)site.sources[i]->taken_ns);
	}
	add(RFS_DAMAGED, "/mnt/2013-05-10");
	assert_int_equal(site.sources[site.nsources - 1]->taken_ns,
			 RFS_TIME_UNKNOWN);
}

static void a_source_that_fails_is_passed_over(void **state)
{
	char path[TREE_PATH];

	(void)state;
	assert_int_equal(rfs_site_open(&site, &err), -EINVAL);
	tree_file("file", "", -1);
	tree_path(path, "file");
	add(RFS_DAMAGED, path);
	assert_int_equal(rfs_site_open(&site, &err), -ENOENT);
	assert_non_null(strstr(err.text, "mount it read-only"));
	add(RFS_BACKUP, top);
	assert_int_equal(rfs_site_open(&site, &err), 0);
	assert_int_equal(site.sources[0]->root_fd, -1);
	assert_non_null(site.sources[0]->open_error);
	assert_true(site.sources[1]->root_fd >= 0);
	assert_int_equal(site.notes.count, 1);
}

/* A dying disk would be read twice, once without any care. */
static void a_damaged_source_is_no_backup_of_itself(void **state)
{
	char path[TREE_PATH];

	(void)state;
	tree_file("root/file", "", -1);
	tree_path(path, "root");
	add(RFS_BACKUP, path);
	strcat(path, "/../root/.");
	add(RFS_BACKUP, path);
	assert_int_equal(rfs_site_open(&site, &err), 0);
	add(RFS_DAMAGED, path);
	assert_int_equal(rfs_site_open(&site, &err), -EINVAL);
	assert_non_null(strstr(err.text, "leave one of them out"));
	rfs_site_fini(&site);
	rfs_site_init(&site);
	add(RFS_DAMAGED, path);
	add(RFS_DAMAGED, path);
	assert_int_equal(rfs_site_open(&site, &err), -EINVAL);
}

/* What is read without care on a dying disk is not a backup, and one that only
 * contains it is. */
static void no_backup_lies_on_the_damaged_disk(void **state)
{
	char dead[TREE_PATH], inside[TREE_PATH], around[TREE_PATH];

	(void)state;
	tree_file("all/dead/srv/backup/file", "", -1);
	tree_path(around, "all");
	tree_path(dead, "all/dead");
	tree_path(inside, "all/dead/srv/backup");
	add(RFS_DAMAGED, dead);
	add(RFS_BACKUP, around);
	assert_int_equal(rfs_site_open(&site, &err), 0);
	add(RFS_BACKUP, inside);
	assert_int_equal(rfs_site_open(&site, &err), -EINVAL);
	assert_non_null(strstr(err.text, "copy it to another disk"));
	assert_non_null(strstr(err.text, inside));
	rfs_site_fini(&site);
	rfs_site_init(&site);
	add(RFS_DAMAGED, dead);
	add(RFS_DAMAGED, inside);
	assert_int_equal(rfs_site_open(&site, &err), 0);
}

static void what_a_file_cannot_say_is_not_printed(void **state)
{
	char *text;

	(void)state;
	add(RFS_DAMAGED, "/mnt/a ;b");
	assert_int_equal(rfs_site_print(&site, &text, &err), -EINVAL);
}

#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_TREE(a_site_file_says_all),
		IN_TREE(what_is_printed_loads_the_same),
		IN_TREE(heal_is_the_site_s_or_the_disk_s),
		IN_TREE(mistakes_are_named_with_their_line),
		IN_TREE(tables_are_placed),
		IN_TREE(nothing_is_said_twice),
		IN_TREE(what_is_none_of_the_words_is_refused_by_name),
		IN_TREE(a_long_line_is_one_line),
		IN_TREE(a_site_file_must_be_there),
		IN_TREE(options_make_names_and_hosts),
		IN_TREE(two_hosts_stay_two),
		IN_TREE(an_option_says_more_after_commas),
		IN_TREE(wrong_options_are_refused),
		IN_TREE(a_deadline_is_the_sources_or_the_sites),
		IN_TREE(a_wrong_deadline_is_refused),
		IN_TREE(a_date_in_the_path_is_when_it_was_taken),
		IN_TREE(a_source_that_fails_is_passed_over),
		IN_TREE(a_damaged_source_is_no_backup_of_itself),
		IN_TREE(no_backup_lies_on_the_damaged_disk),
		IN_TREE(what_a_file_cannot_say_is_not_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
