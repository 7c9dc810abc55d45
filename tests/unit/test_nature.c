// SPDX-License-Identifier: GPL-3.0-or-later
/* fill = data: what of a disk is contents of files, against debugfs, and that
 * nothing else of it is ever stale. */
#include "ext_kit.h"

#include "core/view.h"
#include "ext/ext.h"

/*
 * What is data.
 */

static void make(struct ext_image *im, const char *options)
{
	ext_begin(im);
	ext_run(im,
		"mkdir -p d/sub/deeper d/many && "
		"for i in $(seq 1 300); do echo $i >d/many/file$i; done && "
		"for i in 1 2 3 4 5 6 7 8 9; do "
		"head -c ${i}3000 /dev/zero | tr '\\0' $i >d/sub/f$i; done && "
		"head -c 3000000 /dev/zero | tr '\\0' x >d/sub/deeper/big && "
		"for i in $(seq 0 2 900); do "
		"echo x | dd of=d/sub/holes bs=1k seek=$i conv=notrunc; "
		"done && ln -s /$(printf '%%0200d' 1) d/long && "
		"mke2fs -q -F -b 1024 -d d %s image 32M",
		options);
	ext_load(im);
}

/* A byte a block: 1 if it is a file's own or free, by debugfs and dumpe2fs. */
static uint8_t *ask_truth(struct ext_image *im, uint64_t *ret_blocks)
{
	uint64_t blocks = im->disk.size / 1024;
	uint8_t *is_data = calloc(blocks, 1);
	unsigned long from, to;
	char path[300];
	FILE *f;

	/* "(0-3):100-103, (IND):99": the file's own have numbers in front. */
	ext_run(im,
		"(cd d && find . ! -type d | sed 's/^\\./stat /') >todo && "
		"debugfs -f todo image 2>/dev/null | tr ',' '\\n' | "
		"sed -nE 's/.*\\([0-9-]+\\):([0-9]+)-?([0-9]*).*/\\1 \\2/p' "
		">data && dumpe2fs image 2>/dev/null | "
		"sed -n 's/^  Free blocks: //p' | tr ', ' '\\n\\n' | "
		"tr '-' ' ' | grep . >>data");
	snprintf(path, sizeof(path), "%s/data", im->dir);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(path, sizeof(path), f)) {
		int n = sscanf(path, "%lu %lu", &from, &to);

		assert_true(n >= 1);
		for (to = n == 2 ? to : from; from <= to; from++)
			is_data[from] = 1;
	}
	fclose(f);
	*ret_blocks = blocks;
	return is_data;
}

static void find_data(struct ext_image *im, struct rfs_extmap *ret)
{
	struct rfs_error err = RFS_ERROR_INIT;

	*ret = (struct rfs_extmap){ 0 };
	if (rfs_ext_data(im->reader, ret, &err) < 0)
		fail_msg("%s", err.text);
}

static bool is_data(const struct rfs_extmap *map, uint64_t blk)
{
	return rfs_extmap_is(map, rfs_range(blk * 1024, 1024), 1);
}

static void check_whole(const char *options)
{
	struct rfs_extmap map;
	struct ext_image im;
	uint64_t blocks, n = 0;
	uint8_t *truth;

	make(&im, options);
	truth = ask_truth(&im, &blocks);
	find_data(&im, &map);
	for (uint64_t b = 0; b < blocks; b++) {
		if (is_data(&map, b) != truth[b])
			fail_msg("block %zu is %sdata by debugfs", (size_t)b,
				 truth[b] ? "" : "no ");
		/* All of a block, or nothing of it. */
		assert_true(truth[b] ||
			    rfs_extmap_is(&map, rfs_range(b * 1024, 1024), 0));
		n += truth[b];
	}
	assert_true(n > 10000 && n < blocks);
	free(truth);
	rfs_extmap_fini(&map);
	ext_end(&im);
}

static void ext4_as_debugfs_has_it(void **data)
{
	(void)data;
	check_whole("-t ext4 -O metadata_csum");
}

static void ext3_as_debugfs_has_it(void **data)
{
	(void)data;
	check_whole("-t ext3");
}

static void ext2_as_debugfs_has_it(void **data)
{
	(void)data;
	check_whole("-t ext2");
}

/* Where something cannot be read, less is data and never more. */
static void damage_makes_less_of_it(void **data)
{
	uint64_t seed = test_seed(), blocks, table, lost = 0;
	struct rfs_extmap map;
	struct ext_image im;
	char text[32];
	uint8_t *truth;

	(void)data;
	make(&im, "-t ext4 -O metadata_csum");
	truth = ask_truth(&im, &blocks);
	ext_ask(&im, text, sizeof(text),
		"dumpe2fs image | sed -n 's/.*Inode table at //p' | head -1");
	table = strtoull(text, NULL, 10);
	for (int round = 0; round < 40; round++) {
		/* Tables are at the beginning of their groups; of the inodes
		 * these are in use. */
		uint64_t at = round % 4 < 2 ? table + test_random(&seed) % 80
					    : test_random(&seed) % 4 * 8192 +
						      test_random(&seed) % 700;

		if (round % 2)
			ext_break(&im, at * 1024, 512);
		else
			im.disk.bytes[at * 1024 + test_random(&seed) % 1024] ^=
				0x11;
		find_data(&im, &map);
		for (uint64_t b = 0; b < blocks; b++) {
			if (is_data(&map, b) && !truth[b])
				fail_msg("block %zu is data after damage",
					 (size_t)b);
			lost += truth[b] && !is_data(&map, b);
		}
		rfs_extmap_fini(&map);
	}
	assert_true(lost > 0);
	free(truth);
	ext_end(&im);
}

static void what_is_no_ext_has_none(void **data)
{
	struct rfs_extmap map = { 0 };
	struct rfs_reader *rd;
	struct memdisk d;

	(void)data;
	memdisk_init(&d, 1 << 20, 3);
	rd = memdisk_reader(&d, NULL);
	assert_int_equal(rfs_ext_data(rd, &map, NULL), 0);
	assert_int_equal(rfs_extmap_total(&map), 0);
	rfs_extmap_fini(&map);
	rfs_reader_unref(rd);
	memdisk_fini(&d);
}

/*
 * What is served.
 */

#define SIZE  ((uint64_t)64 << 10)
#define FIRST ((uint64_t)32 << 10) /* from here on it is data */

static const struct rfs_origin host = { "bm0002" }, backup = { "backup" };

struct scene {
	struct memdisk now, before;
	char *dir;
	struct rfs_state *state;
	struct rfs_view *view;
	struct rfs_merge_policy policy;
	bool is_now_away;
};

static uint64_t data_from;
static int searches;

/* Reads a table in two sectors, as the real one does. */
static int find_from(struct rfs_reader *disk, struct rfs_extmap *ret,
		     struct rfs_error *err)
{
	uint8_t table[512];
	int r = rfs_reader_read(disk, rfs_range(0, 512), table, NULL, err);

	rfs_reader_read(disk, rfs_range(512, 512), table, NULL, err);
	searches++;
	if (r < 0)
		return 0;
	return rfs_extmap_set(ret, rfs_range_to(data_from, SIZE), 1);
}

static void scene_open(struct scene *s)
{
	struct rfs_reader *now = memdisk_reader(&s->now, &host);
	struct rfs_reader *before = memdisk_reader(&s->before, &backup);
	struct rfs_candidate candidates[] = {
		{ s->is_now_away ? NULL : now,
		  &host,
		  "damaged",
		  2,
		  { SIZE, 7 },
		  NULL,
		  false },
		{ before, &backup, "backup", 1, { SIZE, 5 }, NULL, false },
	};
	struct rfs_view_config config = { .id = "uuid/disk",
					  .name = "april-ci/disk",
					  .policy = s->policy,
					  .candidates = candidates,
					  .ncandidates = 2 };

	assert_int_equal(rfs_state_open(s->dir, "test", &s->state, NULL), 0);
	config.state = s->state;
	assert_int_equal(rfs_view_open(&config, &s->view, NULL), 0);
	rfs_reader_unref(now);
	rfs_reader_unref(before);
}

static void scene_close(struct scene *s)
{
	assert_int_equal(rfs_view_close(s->view, NULL), 0);
	rfs_state_close(s->state);
}

static void scene_reopen(struct scene *s)
{
	scene_close(s);
	scene_open(s);
}

static int setup(void **data)
{
	struct scene *s = calloc(1, sizeof(*s));

	memdisk_init(&s->now, SIZE, 1);
	memdisk_init(&s->before, SIZE, 2);
	s->dir = test_mkdir();
	s->policy.find_data = find_from;
	data_from = FIRST;
	searches = 0;
	scene_open(s);
	*data = s;
	return 0;
}

static int teardown(void **data)
{
	struct scene *s = *data;

	scene_close(s);
	test_rmdir(s->dir);
	memdisk_fini(&s->now);
	memdisk_fini(&s->before);
	free(s);
	return 0;
}

/* What stands in sector 'n': 'n' of the one, of the other, or an error. */
static void expect(struct scene *s, uint64_t n, const struct memdisk *from)
{
	uint8_t buf[512];
	int r = rfs_view_read(s->view, rfs_range(n * 512, 512), buf, NULL,
			      NULL);

	assert_int_equal(r, from ? 0 : -EIO);
	if (from)
		assert_memory_equal(buf, from->bytes + n * 512, 512);
}

static enum rfs_block_state state_of(struct scene *s, uint64_t n)
{
	enum rfs_block_state state = RFS_BLOCK_STATES;
	struct rfs_report report = { 0 };

	assert_int_equal(rfs_view_report(s->view, &report, NULL), 0);
	for (size_t i = 0; i < report.count; i++)
		if (report.items[i].range.off <= n * 512 &&
		    rfs_range_end(report.items[i].range) > n * 512)
			state = report.items[i].state;
	rfs_report_fini(&report);
	return state;
}

static void stale_in_data_and_nowhere_else(void **data)
{
	struct scene *s = *data;
	struct rfs_ranges bad = { 0 };
	uint8_t buf[8192];

	/* 64 is the first of the data: a bad run across the border. */
	for (int i = 60; i < 68; i++)
		s->now.is_bad[i] = true;
	s->now.is_bad[20] = s->now.is_bad[100] = true;
	assert_int_equal(rfs_view_read(s->view, rfs_range(56 * 512, 8192), buf,
				       &bad, NULL),
			 -EIO);
	assert_int_equal(bad.count, 1);
	assert_int_equal(bad.items[0].off, 60 * 512);
	assert_int_equal(bad.items[0].len, 4 * 512);
	assert_memory_equal(buf, s->now.bytes + 56 * 512, 4 * 512);
	assert_memory_equal(buf + 4096, s->before.bytes + FIRST, 4 * 512);
	assert_memory_equal(buf + 6144, s->now.bytes + 68 * 512, 4 * 512);
	rfs_ranges_fini(&bad);
	expect(s, 20, NULL);
	expect(s, 100, &s->before);
	assert_int_equal(s->before.touches[20], 0);
	assert_int_equal(s->before.touches[60], 0);
	assert_int_equal(state_of(s, 60), RFS_LOST);
	assert_int_equal(state_of(s, 64), RFS_STALE);
	assert_int_equal(searches, 1);
}

static void a_healthy_disk_is_not_searched(void **data)
{
	struct scene *s = *data;

	for (uint64_t n = 0; n < SIZE / 512; n++)
		expect(s, n, &s->now);
	assert_int_equal(searches, 0);
}

/* P4: what was data stays data, whatever the tables say later. */
static void what_was_found_is_kept(void **data)
{
	struct scene *s = *data;

	s->now.is_bad[20] = s->now.is_bad[100] = s->now.is_bad[101] = true;
	expect(s, 100, &s->before);
	data_from = SIZE;
	scene_reopen(s);
	expect(s, 100, &s->before);
	expect(s, 101, &s->before);
	expect(s, 20, NULL);
	assert_int_equal(searches, 1);
	/* A refresh asks anew. */
	assert_int_equal(rfs_view_refresh(s->view, false, NULL), 0);
	expect(s, 100, NULL);
	assert_int_equal(searches, 2);
	assert_int_equal(state_of(s, 100), RFS_LOST);
}

static void another_policy_changes_what_is_held_back(void **data)
{
	struct scene *s = *data;

	s->now.is_bad[20] = s->now.is_bad[100] = true;
	expect(s, 20, NULL);
	expect(s, 100, &s->before);
	s->policy.find_data = NULL;
	scene_reopen(s);
	expect(s, 20, &s->before);
	assert_int_equal(state_of(s, 20), RFS_STALE);
	/* Served as stale, and held back again. */
	s->policy.find_data = find_from;
	scene_reopen(s);
	expect(s, 20, NULL);
	expect(s, 100, &s->before);
	assert_int_equal(state_of(s, 20), RFS_LOST);
	s->policy.find_data = NULL;
	s->policy.withhold_stale = true;
	scene_reopen(s);
	expect(s, 20, NULL);
	expect(s, 100, NULL);
	s->policy.withhold_stale = false;
	scene_reopen(s);
	expect(s, 20, &s->before);
	expect(s, 100, &s->before);
	assert_int_equal(searches, 1);
}

/* Chosen when all could be stale; what is data is not known yet. */
static void an_old_choice_is_looked_at_anew(void **data)
{
	struct scene *s = *data;

	s->policy.find_data = NULL;
	scene_reopen(s);
	s->now.is_bad[20] = s->now.is_bad[100] = true;
	expect(s, 20, &s->before);
	expect(s, 100, &s->before);
	s->policy.find_data = find_from;
	scene_reopen(s);
	assert_int_equal(state_of(s, 100), RFS_UNREAD);
	expect(s, 20, NULL);
	expect(s, 100, &s->before);
	assert_int_equal(state_of(s, 20), RFS_LOST);
	assert_int_equal(state_of(s, 100), RFS_STALE);
}

/* Not waited for is not lost, nor known. */
static void a_table_that_is_late(void **data)
{
	struct scene *s = *data;

	s->now.is_bad[20] = s->now.is_bad[100] = true;
	s->now.is_late[0] = true;
	expect(s, 100, NULL);
	assert_int_equal(state_of(s, 100), RFS_UNREAD);
	assert_int_equal(searches, 1);
	/* What is in vain is not gone on with, nor begun again and again. */
	assert_int_equal(s->now.touches[1], 0);
	expect(s, 100, NULL);
	assert_int_equal(searches, 1);
	s->now.is_late[0] = false;
	scene_reopen(s);
	expect(s, 100, &s->before);
	expect(s, 20, NULL);
	assert_int_equal(state_of(s, 20), RFS_LOST);
}

/* Tables that are gone tell nothing, so that all is held back. */
static void without_tables_nothing_is_data(void **data)
{
	struct scene *s = *data;

	s->now.is_bad[0] = s->now.is_bad[100] = true;
	expect(s, 100, NULL);
	expect(s, 0, NULL);
	assert_int_equal(s->before.touches[100], 0);
	/* The freshest source is away: the same, and not for ever. */
	s->is_now_away = true;
	scene_reopen(s);
	expect(s, 101, NULL);
	assert_int_equal(s->before.touches[101], 0);
	s->is_now_away = false;
	s->now.is_bad[0] = false;
	scene_reopen(s);
	assert_int_equal(rfs_view_refresh(s->view, false, NULL), 0);
	expect(s, 101, &s->now);
	expect(s, 100, &s->before);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ext4_as_debugfs_has_it),
		cmocka_unit_test(ext3_as_debugfs_has_it),
		cmocka_unit_test(ext2_as_debugfs_has_it),
		cmocka_unit_test(damage_makes_less_of_it),
		cmocka_unit_test(what_is_no_ext_has_none),
		T(stale_in_data_and_nowhere_else),
		T(a_healthy_disk_is_not_searched),
		T(what_was_found_is_kept),
		T(another_policy_changes_what_is_held_back),
		T(an_old_choice_is_looked_at_anew),
		T(a_table_that_is_late),
		T(without_tables_nothing_is_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
