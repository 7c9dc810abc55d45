// SPDX-License-Identifier: GPL-3.0-or-later
/* Which files of two filesystems that were one are not the same. */
#include "ext_kit.h"

#include "ext/differences.h"

struct two {
	struct ext_image a, b;
	struct rfs_comparison blocks;
	struct rfs_differences found;
};

/* B is A with some commands of debugfs. */
static void make(struct two *t, const char *options, const char *todo)
{
	memset(t, 0, sizeof(*t));
	ext_begin(&t->a);
	ext_begin(&t->b);
	ext_run(&t->a,
		"mkdir -p d/sub && echo one >d/one && echo two >d/two && "
		"head -c 100000 /dev/zero | tr '\\0' x >d/sub/big && "
		"ln -s one d/link && "
		"mke2fs -q -F -b 1024 -d d %s image 16M",
		options);
	ext_run(&t->b,
		"cp %s/image image && printf '%s' >todo && "
		"echo three >three && debugfs -w -f todo image",
		t->a.dir, todo);
	ext_load(&t->a);
	ext_load(&t->b);
}

static void find(struct two *t, bool by_block)
{
	struct rfs_compare_config config = { .a = t->a.reader,
					     .b = t->b.reader,
					     .block = 512 };
	struct rfs_error err = RFS_ERROR_INIT;
	int r = 0;

	rfs_comparison_fini(&t->blocks);
	rfs_differences_fini(&t->found);
	if (by_block)
		r = rfs_compare(&config, &t->blocks, &err);
	if (r == 0)
		r = rfs_differences_find(t->a.reader, t->b.reader,
					 by_block ? &t->blocks : NULL,
					 &t->found, &err);
	if (r < 0)
		fail_msg("%s", err.text);
}

static void end(struct two *t)
{
	rfs_differences_fini(&t->found);
	rfs_comparison_fini(&t->blocks);
	ext_end(&t->a);
	ext_end(&t->b);
}

static const struct rfs_file_difference *get(const struct two *t,
					     const char *path)
{
	const struct rfs_file_difference *f = NULL;

	for (size_t i = 0; i < t->found.count; i++) {
		if (strcmp(t->found.items[i].path, path) != 0)
			continue;
		assert_null(f); /* once */
		f = &t->found.items[i];
	}
	return f;
}

static void the_same_has_no_differences(void **state)
{
	struct two t;

	(void)state;
	make(&t, "-t ext4", "");
	find(&t, true);
	assert_int_equal(t.found.npairs, 1);
	assert_true(t.found.pairs[0].is_comparable);
	assert_int_equal(t.found.pairs[0].files_same, 4);
	assert_int_equal(t.found.count, 0);
	end(&t);
}

static void each_kind_of_change_is_found(void **state)
{
	const struct rfs_file_difference *f;
	struct two t;

	(void)state;
	make(&t, "-t ext4",
	     "rm one\\nwrite three three\\nsif three generation 7\\nsif two "
	     "mtime 20200101000000\\n");
	find(&t, true);
	assert_int_equal(t.found.pairs[0].files_same, 2);
	assert_int_equal(t.found.pairs[0].files_changed, 1);

	f = get(&t, "/one");
	assert_non_null(f);
	assert_true(f->a.is_there && !f->b.is_there);
	assert_int_equal(f->a.size, 4);

	f = get(&t, "/three");
	assert_non_null(f);
	assert_true(!f->a.is_there && f->b.is_there);
	assert_int_equal(f->b.size, 6);

	f = get(&t, "/two");
	assert_non_null(f);
	assert_int_equal(f->b.mtime_ns, INT64_C(1577836800) * 1000000000);
	assert_true(f->a.mtime_ns != f->b.mtime_ns);
	assert_int_equal(f->a.bytes + f->b.bytes, 0);
	assert_null(get(&t, "/sub/big"));
	end(&t);
}

static void content_alone_is_enough(void **state)
{
	const struct rfs_file_difference *f;
	char text[64];
	struct two t;
	uint64_t blk;

	(void)state;
	make(&t, "-t ext3", "");
	ext_ask(&t.b, text, sizeof(text),
		"debugfs -R 'bmap /sub/big 50' image");
	blk = strtoull(text, NULL, 10);
	assert_true(blk > 0);
	t.b.disk.bytes[blk * 1024 + 600] ^= 1;
	find(&t, true);
	assert_int_equal(t.found.count, 1);
	f = get(&t, "/sub/big");
	assert_non_null(f);
	assert_int_equal(f->a.bytes, 512);
	assert_int_equal(f->b.bytes, 512);
	assert_int_equal(t.found.pairs[0].kinds_a[RFS_LOSS_DATA], 512);
	/* By the inodes alone it is the same. */
	find(&t, false);
	assert_int_equal(t.found.pairs[0].files_same, 4);
	assert_int_equal(t.found.count, 0);
	end(&t);
}

static void an_inode_that_cannot_be_read_is_not_known(void **state)
{
	char text[64];
	struct two t;
	uint64_t blk;

	(void)state;
	make(&t, "-t ext4 -I 128", "");
	ext_ask(&t.b, text, sizeof(text),
		"debugfs -R 'imap /two' image | sed -n 's/.*at block "
		"\\([0-9]*\\).*/\\1/p'");
	blk = strtoull(text, NULL, 10);
	assert_true(blk > 0);
	ext_break(&t.b, blk * 1024, 1024);
	find(&t, false);
	assert_true(t.found.pairs[0].files_unknown > 0);
	assert_int_equal(t.found.pairs[0].files_only_a, 0);
	assert_int_equal(t.found.pairs[0].files_changed, 0);
	end(&t);
}

static void strangers_are_not_compared(void **state)
{
	struct two t;

	(void)state;
	make(&t, "-t ext4", "");
	rfs_reader_unref(t.b.reader);
	memdisk_fini(&t.b.disk);
	ext_run(&t.b, "rm image && mke2fs -q -F -b 1024 -t ext4 image 16M");
	ext_load(&t.b);
	find(&t, true);
	assert_int_equal(t.found.npairs, 1);
	assert_false(t.found.pairs[0].is_comparable);
	assert_non_null(strstr(t.found.pairs[0].why, "uuid"));
	end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_has_no_differences),
		cmocka_unit_test(each_kind_of_change_is_found),
		cmocka_unit_test(content_alone_is_enough),
		cmocka_unit_test(an_inode_that_cannot_be_read_is_not_known),
		cmocka_unit_test(strangers_are_not_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
