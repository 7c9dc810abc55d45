// SPDX-License-Identifier: GPL-3.0-or-later
/* What a site says of images in a Ceph cluster, and the keyring's key. */
#include "host_tree.h"

#include <errno.h>

#include "site/ceph.h"
#include "site/password.h"

#define LIVE "[source c]\nkind = live\n"

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

static int load(const char *text)
{
	char path[TREE_PATH];

	tree_file("site.conf", text, -1);
	tree_path(path, "site.conf");
	rfs_site_fini(&site);
	rfs_site_init(&site);
	return rfs_site_load(&site, path, &err);
}

static void must_load(const char *text)
{
	if (load(text) < 0)
		fail_msg("%s", err.text);
}

static void expect_refused(const char *text, const char *what)
{
	assert_int_equal(load(text), -EINVAL);
	if (!strstr(err.text, what))
		fail_msg("\"%s\" does not say \"%s\"", err.text, what);
}

static void what_a_site_says_is_kept_and_printed(void **state)
{
	char *first, *second, conf[TREE_PATH];

	(void)state;
	must_load(LIVE "rbd = p/a  p/space/b@snap\nceph_conf = my.conf\n"
		       "ceph_user = me.2\nceph_keyring = /k\ndeadline = 3s\n");
	tree_path(conf, "my.conf");
	assert_string_equal(site.sources[0]->ceph_conf, conf);
	assert_string_equal(site.sources[0]->ceph_user, "me.2");
	assert_string_equal(site.sources[0]->ceph_keyring, "/k");
	assert_string_equal(rfs_source_place(site.sources[0]),
			    "p/a  p/space/b@snap");
	assert_int_equal(rfs_source_deadline(&site, site.sources[0]), 3000);
	assert_int_equal(rfs_site_print(&site, &first, &err), 0);
	must_load(first);
	assert_int_equal(rfs_site_print(&site, &second, &err), 0);
	assert_string_equal(first, second);
	assert_non_null(strstr(first, "rbd   = p/a  p/space/b@snap\n"));
	free(first);
	free(second);
}

static void what_is_no_image_is_refused(void **state)
{
	static const char *const wrong[] = {
		"a",	 "/a",	    "p/",      "p//a",	 "p/n/s/a", "p/a@",
		"p@s/a", "p/a@b@c", "p/a@b/c", "p/\x01", "p/a p",   "//",
	};
	char text[400];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		snprintf(text, sizeof(text), LIVE "rbd = %s\n", wrong[i]);
		expect_refused(text, "is not POOL/IMAGE");
	}
	snprintf(text, sizeof(text), LIVE "rbd = p/%0256d\n", 0);
	expect_refused(text, "is not POOL/IMAGE");
	snprintf(text, sizeof(text), LIVE "rbd = p/%0255d\n", 0);
	must_load(text);
	expect_refused(LIVE "rbd = p/a p/b p/a\n", "p/a: is said twice");
	must_load(LIVE "rbd = p/a p/a@s p/aa\n");
}

static void what_does_not_go_with_it_is_refused(void **state)
{
	(void)state;
	expect_refused("[source c]\nkind = damaged\nrbd = p/a\n",
		       "a damaged source is read directly");
	expect_refused(LIVE "rbd = p/a\nnbd = nbd://x\n", "both said");
	expect_refused(LIVE "root = /a\nceph_conf = /c\n", "say 'rbd");
	expect_refused(LIVE "root = /a\nceph_user = me\n", "say 'rbd");
	expect_refused(LIVE "root = /a\nceph_keyring = /c\n", "say 'rbd");
	expect_refused(LIVE "rbd = p/a\nceph_user = client.me\n",
		       "without 'client.'");
	expect_refused(LIVE "rbd = p/a\nceph_user = a,key=b\n", "not a name");
}

static int64_t taken(const char *images)
{
	char text[400];

	snprintf(text, sizeof(text), "[source c]\nkind = backup\nrbd = %s\n",
		 images);
	must_load(text);
	return site.sources[0]->taken_ns;
}

static void only_a_snapshot_of_one_image_tells_its_day(void **state)
{
	int64_t day = INT64_C(1368144000000000000);

	(void)state;
	assert_int_equal(taken("p/a@daily-2013-05-10"), day);
	assert_int_equal(taken("p/a@daily"), RFS_TIME_UNKNOWN);
	assert_int_equal(taken("p/volume-20130510-1111"), RFS_TIME_UNKNOWN);
	assert_int_equal(taken("p/a@2013-05-10 p/b@2013-05-11"),
			 RFS_TIME_UNKNOWN);
}

static void expect_disk(const char *image, const char *want)
{
	char *name = rfs_ceph_disk_name(image);

	assert_non_null(name);
	assert_string_equal(name, want);
	free(name);
}

static void an_image_is_the_disk_it_is_called_by(void **state)
{
	(void)state;
	expect_disk("p/volume-00000143", "volume-00000143");
	expect_disk("p/space/volume-00000143@monday", "volume-00000143");
	expect_disk("vms/11111111-aaaa-4aaa-8aaa-000000000001_disk",
		    "11111111-aaaa-4aaa-8aaa-000000000001/disk");
	expect_disk("vms/11111111-aaaa-4aaa-8aaa-000000000001_disk.eph0@s",
		    "11111111-aaaa-4aaa-8aaa-000000000001/disk.eph0");
	expect_disk("vms/my_disk", "my_disk");
	expect_disk("vms/11111111-aaaa-4aaa-8aaa-000000000001_x",
		    "11111111-aaaa-4aaa-8aaa-000000000001_x");
}

/* NULL: there is none. */
static void expect_key(const char *keyring, const char *user, const char *want)
{
	char path[TREE_PATH], *key = NULL;
	int r;

	tree_file("keyring", keyring, -1);
	tree_path(path, "keyring");
	r = rfs_ceph_key(path, user, &key, &err);
	if (want) {
		assert_int_equal(r, 0);
		assert_string_equal(key, want);
		rfs_password_free(key);
		return;
	}
	assert_int_equal(r, -EINVAL);
	assert_null(key);
}

static void a_key_is_the_users_own(void **state)
{
	static const char two[] = "[client.a]\n\tkey = AQ==\n"
				  "\tcaps mon = \"allow r\"\n"
				  "[client.ab]\n  caps osd = \"key = no\"\n"
				  "  key=BQ+/=\r\n[mon.]\n\tkey = CQ==\n";

	(void)state;
	expect_key(two, "a", "AQ==");
	expect_key(two, "ab", "BQ+/=");
	expect_key(two, "b", NULL);
	expect_key("[client.a]\nkey = AQ==", "a", "AQ==");
	expect_key("[client.a]\nkey = AQ,=\n", "a", NULL);
	expect_key("[client.a]\nkey =\n", "a", NULL);
	expect_key("[client.a]\nkeys = AQ==\n", "a", NULL);
	expect_key("[client.a", "a", NULL);
	expect_key("key = AQ==\n", "a", NULL);
	expect_key("", "a", NULL);
}

static void a_keyring_must_be_there(void **state)
{
	char *key = NULL;

	(void)state;
	assert_int_equal(rfs_ceph_key("/nonexistent/k", "a", &key, &err),
			 -ENOENT);
	assert_non_null(strstr(err.text, "ceph_keyring: /nonexistent/k"));
}

#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_TREE(what_a_site_says_is_kept_and_printed),
		IN_TREE(what_is_no_image_is_refused),
		IN_TREE(what_does_not_go_with_it_is_refused),
		IN_TREE(only_a_snapshot_of_one_image_tells_its_day),
		IN_TREE(an_image_is_the_disk_it_is_called_by),
		IN_TREE(a_key_is_the_users_own),
		IN_TREE(a_keyring_must_be_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
