// SPDX-License-Identifier: GPL-3.0-or-later
/* Which bytes of a disk its filesystems use: against dumpe2fs, and never less
 * where something cannot be read. */
#include "ext_kit.h"

#include "ext/ext.h"

/* A byte a block: 1 if dumpe2fs does not call it free. */
struct truth {
	uint8_t *is_used;
	uint64_t blocks;
	uint64_t bs;
	uint64_t ratio; /* blocks of a cluster */
};

static uint64_t number_after(const char *text, const char *words)
{
	const char *at = strstr(text, words);

	assert_non_null(at);
	return strtoull(at + strlen(words), NULL, 10);
}

static void free_them(struct truth *t, const char *list)
{
	char *end;
	uint64_t from, to;

	while (*list && *list != '\n') {
		from = strtoull(list, &end, 10);
		if (end == list)
			break;
		to = from;
		if (*end == '-')
			to = strtoull(end + 1, &end, 10);
		/* Of a cluster, its first block is what is printed. */
		to += t->ratio - 1;
		for (; from <= to; from++) {
			assert_true(from < t->blocks);
			t->is_used[from] = 0;
		}
		list = end + strspn(end, ", ");
	}
}

/* By dumpe2fs, of "name" in the image's directory. */
static void ask_truth(struct ext_image *im, const char *name, struct truth *t)
{
	static char text[1 << 20];
	char command[256];
	const char *at;

	snprintf(command, sizeof(command), "dumpe2fs %s", name);
	ext_ask(im, text, sizeof(text), command);
	t->blocks = number_after(text, "Block count:");
	t->bs = number_after(text, "Block size:");
	t->ratio = strstr(text, "Cluster size:")
			   ? number_after(text, "Cluster size:") / t->bs
			   : 1;
	t->is_used = malloc(t->blocks);
	memset(t->is_used, 1, t->blocks);
	for (at = text; (at = strstr(at, "  Free blocks: ")) != NULL; at++)
		free_them(t, at + strlen("  Free blocks: "));
}

/* What rfs_ext_used says, a byte a sector. */
static uint8_t *ask_used(struct ext_image *im)
{
	uint8_t *used = calloc(im->disk.size / 512 + 1, 1);
	struct rfs_ranges list = { 0 };
	struct rfs_error err = RFS_ERROR_INIT;
	uint64_t last = 0;
	int r = rfs_ext_used(im->reader, &list, &err);

	if (r < 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < list.count; i++) {
		struct rfs_range g = list.items[i];

		assert_true(i == 0 || g.off > last);
		last = rfs_range_end(g);
		assert_true(last <= im->disk.size);
		for (uint64_t s = g.off / 512; s * 512 < last; s++)
			used[s] = 1;
	}
	rfs_ranges_fini(&list);
	return used;
}

enum { EXACTLY, AT_LEAST };

static uint64_t compare(const struct truth *t, const uint8_t *used,
			uint64_t base, int how)
{
	uint64_t more = 0;

	for (uint64_t b = 0; b < t->blocks; b++) {
		uint64_t s = (base + b * t->bs) / 512;

		if (t->is_used[b] && !used[s])
			fail_msg("block %zu is in use", (size_t)b);
		if (!t->is_used[b] && used[s] && how == EXACTLY)
			fail_msg("block %zu is free", (size_t)b);
		more += !t->is_used[b] && used[s];
	}
	return more;
}

/* Files of some sizes, some of them deleted again, so that there are gaps. */
static void make(struct ext_image *im, const char *options, const char *size)
{
	ext_begin(im);
	ext_run(im,
		"mkdir -p d/sub && for i in 1 2 3 4 5 6 7 8 9; do "
		"head -c ${i}3000 /dev/zero | tr '\\0' $i >d/sub/f$i; done && "
		"mke2fs -q -F -d d %s image %s && "
		"for i in 2 5 8; do echo rm sub/f$i; done >todo && "
		"debugfs -w -f todo image",
		options, size);
}

static void exactly_what_dumpe2fs_says(void **state)
{
	static const char *const options[] = {
		"-t ext4",
		"-t ext4 -b 1024",
		"-t ext4 -b 2048 -O ^metadata_csum,uninit_bg",
		"-t ext3 -b 1024",
		"-t ext2 -b 4096",
		"-t ext4 -b 1024 -O bigalloc -C 16384",
		"-t ext4 -b 1024 -O meta_bg,^resize_inode",
		"-t ext4 -b 1024 -O ^flex_bg -g 1024",
		"-t ext2 -b 1024 -r 0",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		struct ext_image im;
		struct truth t;
		uint8_t *used;

		printf("# mke2fs %s\n", options[i]);
		make(&im, options[i], "40M");
		ask_truth(&im, "image", &t);
		ext_load(&im);
		used = ask_used(&im);
		compare(&t, used, 0, EXACTLY);
		free(used);
		free(t.is_used);
		ext_end(&im);
	}
}

/* What of the tables is bad makes more of the disk count as used, never
 * less. */
static void never_less_than_what_is_in_use(void **state)
{
	struct ext_image im;
	struct truth t;
	uint8_t *used;
	uint64_t all;

	(void)state;
	make(&im, "-t ext4 -b 1024 -O ^flex_bg", "40M");
	ask_truth(&im, "image", &t);
	ext_load(&im);
	/* The first superblock and descriptors: the spare ones are as good. */
	ext_break(&im, 1024, 2048);
	used = ask_used(&im);
	all = compare(&t, used, 0, AT_LEAST);
	/* Uninitialised bitmaps and stale checksums cannot be told from the
	 * spare descriptors. */
	assert_true(all > 0);
	free(used);
	ext_break(&im, 8193 * 1024, 1024);
	used = ask_used(&im);
	compare(&t, used, 0, AT_LEAST);
	free(used);
	free(t.is_used);
	ext_end(&im);
}

static uint64_t bitmap_of(struct ext_image *im, int group)
{
	static char text[1 << 20];
	char words[64];
	const char *at;

	ext_ask(im, text, sizeof(text), "dumpe2fs image");
	snprintf(words, sizeof(words), "\nGroup %d:", group);
	at = strstr(text, words);
	assert_non_null(at);
	return number_after(at, "Block bitmap at ");
}

static void a_bad_bitmap_makes_its_group_used(void **state)
{
	for (int how = 0; how < 3; how++) {
		struct ext_image im;
		struct truth t;
		uint64_t at;
		uint8_t *used;

		(void)state;
		make(&im, how == 2 ? "-t ext2 -b 1024" : "-t ext4 -b 1024",
		     "40M");
		ask_truth(&im, "image", &t);
		at = bitmap_of(&im, 0) * 1024;
		ext_load(&im);
		if (how == 0) {
			ext_break(&im, at + 512, 512);
		} else {
			/* Zeros that were read: by checksum, and without. */
			memset(im.disk.bytes + at, 0, 1024);
		}
		used = ask_used(&im);
		for (uint64_t s = 0; s < 8193 * 2; s++)
			assert_true(used[s]);
		memset(t.is_used, 1, 8193);
		compare(&t, used, 0, EXACTLY);
		free(used);
		free(t.is_used);
		ext_end(&im);
	}
}

/* Two filesystems, something else, and space between them. */
static const char *const tables[] = {
	"label: dos\n2048,81920,83\n83968,4096,82\n"
	"90112,92160,5\n92160,81920,83\n",
	"label: gpt\n2048,81920\n83968,4096\n92160,81920\n",
};

static void make_disk(struct ext_image *im, const char *table)
{
	make(im, "-t ext4", "40M");
	ext_run(im,
		"mv image one && cp one two && truncate -s 100M image && "
		"printf '%s' | sfdisk -q image && "
		"dd if=one of=image bs=1M seek=1 conv=notrunc && "
		"dd if=two of=image bs=1M seek=45 conv=notrunc",
		table);
}

static void expect_disk(struct ext_image *im, uint64_t end)
{
	struct truth t;
	uint8_t *used = ask_used(im);

	ask_truth(im, "one", &t);
	compare(&t, used, 1 << 20, EXACTLY);
	compare(&t, used, 45 << 20, EXACTLY);
	for (uint64_t s = 0; s < im->disk.size / 512; s++) {
		if (s < 2048 || (s >= 83968 && s < 88064))
			assert_true(used[s]);
		else if ((s >= 88064 && s < 90112) ||
			 (s >= 92160 + 81920 && s < end))
			assert_false(used[s]);
	}
	free(used);
	free(t.is_used);
}

static void partitions_each_by_what_it_holds(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct ext_image im;

		make_disk(&im, tables[i]);
		ext_load(&im);
		expect_disk(&im, im.disk.size / 512 - 40);
		/* The spare GPT does as well. */
		if (i == 1) {
			ext_break(&im, 512, 512);
			ext_break(&im, 0, 512);
			expect_disk(&im, im.disk.size / 512 - 40);
		}
		ext_end(&im);
	}
}

static void anything_else_is_not_supported(void **state)
{
	struct rfs_ranges used = { 0 };
	struct rfs_error err = RFS_ERROR_INIT;
	struct ext_image im;

	(void)state;
	ext_begin(&im);
	ext_run(&im, "truncate -s 20M image && mkswap image");
	ext_load(&im);
	assert_int_equal(rfs_ext_used(im.reader, &used, &err), -ENOTSUP);
	assert_int_equal(used.count, 0);
	assert_non_null(strstr(err.text, "no ext2"));
	ext_end(&im);
	/* A disk of random bytes, and one that ends at once. */
	for (int i = 0; i < 2; i++) {
		ext_begin(&im);
		ext_run(&im, "head -c %d /dev/urandom >image",
			i ? 512 : 1 << 20);
		ext_load(&im);
		assert_int_equal(rfs_ext_used(im.reader, &used, &err),
				 -ENOTSUP);
		ext_end(&im);
	}
	rfs_ranges_fini(&used);
}

/* Any byte of the superblock and of the first descriptors set to anything: it
 * ends, within bounds, with an answer or without. */
static void hostile_numbers_end(void **state)
{
	uint64_t seed = test_seed();
	struct ext_image im;
	uint8_t *kept;
	const size_t len = 8192;

	(void)state;
	make(&im, "-t ext4 -b 1024 -O ^metadata_csum", "8M");
	ext_load(&im);
	kept = malloc(len);
	memcpy(kept, im.disk.bytes, len);
	for (int round = 0; round < 3000; round++) {
		struct rfs_ranges used = { 0 };
		size_t at = 1024 + test_random(&seed) %
					   (round % 3 ? 1024 : len - 1024);
		int n = 1 + (int)(test_random(&seed) % 6);

		memcpy(im.disk.bytes, kept, len);
		for (int i = 0; i < n && at + (size_t)i < len; i++)
			im.disk.bytes[at + (size_t)i] =
				test_random(&seed) % 3
					? (uint8_t)test_random(&seed)
					: 0xff;
		rfs_ext_used(im.reader, &used, NULL);
		for (size_t i = 0; i < used.count; i++)
			assert_true(
				rfs_range_fits(used.items[i], im.disk.size));
		rfs_ranges_fini(&used);
	}
	free(kept);
	ext_end(&im);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exactly_what_dumpe2fs_says),
		cmocka_unit_test(never_less_than_what_is_in_use),
		cmocka_unit_test(a_bad_bitmap_makes_its_group_used),
		cmocka_unit_test(partitions_each_by_what_it_holds),
		cmocka_unit_test(anything_else_is_not_supported),
		cmocka_unit_test(hostile_numbers_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
