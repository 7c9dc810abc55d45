// SPDX-License-Identifier: GPL-3.0-or-later
/* qcow of version 1, and what is encrypted with AES in it or in qcow2; qemu-img
 * makes the images and is the oracle. */
#include "qcow2_kit.h"

#define SIZE	 (5ull << 20)
#define PASSWORD "long enough, and longer"
#define SECRET	 "--object secret,id=s,file=password"
#define AES	 SECRET " -o encrypt.format=aes,encrypt.key-secret=s"

static struct rfs_notes notes;
static uint8_t *truth;

static const char *const images[] = { "v1",	"v1-packed", "v1-over",
				      "v1-aes", "v2-aes",    "v2-aes-over" };

static int setup(void **state)
{
	uint64_t size;

	(void)state;
	rfs_notes_init(&notes);
	kit_make("noise", SIZE, 256);
	kit_make("few", SIZE, 3);
	kit_must("printf %%s '" PASSWORD "' >password");
	/* Data, a hole that ends amid a cluster, data to the end. */
	kit_must("head -c 3145728 noise >truth; truncate -s 3671040 truth; "
		 "tail -c 1571840 few >>truth");
	kit_must("qemu-img convert -O qcow truth v1");
	/* It has written all, whatever it says. */
	kit_must("qemu-img convert -c -O qcow truth v1-packed; "
		 "qemu-img compare -q -f raw -F qcow truth v1-packed");
	kit_must("qemu-img convert -O qcow " AES " truth v1-aes");
	kit_must("qemu-img convert -O qcow2 " AES " truth v2-aes");
	/* Half is the backing file's, which ends before the disk does. */
	kit_must("head -c 3145728 truth >base; "
		 "qemu-img create -q -f qcow -b base -F raw v1-over 5M; "
		 "qemu-img create -q -f qcow2 " AES
		 " -b base -F raw v2-aes-over 5M");
	kit_must("tail -c 2097152 truth >tail; qemu-io -f qcow -c "
		 "'write -q -s tail 3M 2M' v1-over; qemu-io " SECRET
		 " --image-opts -c 'write -q -s tail 3M 2M' driver=qcow2,"
		 "file.filename=v2-aes-over,encrypt.format=aes,"
		 "encrypt.key-secret=s");
	truth = kit_slurp("truth", &size);
	return size == SIZE ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(truth);
	rfs_notes_fini(&notes);
	return 0;
}

static int try_open(struct rfs_reader *file, const char *password,
		    struct rfs_reader **ret, struct rfs_error *err)
{
	struct rfs_qcow2_parts parts = { .file = file,
					 .notes = &notes,
					 .password = password };
	struct rfs_qcow2_info info;
	int r = rfs_qcow2_info(file, &info, err);

	if (r < 0)
		return r;
	if (info.backing_file)
		parts.backing = kit_file("base", NULL);
	r = rfs_qcow2_open(&parts, ret, err);
	rfs_reader_unref(parts.backing);
	rfs_qcow2_info_fini(&info);
	return r;
}

static struct rfs_reader *open_image(const char *name, const char *password,
				     struct kit_disk **ret_disk)
{
	struct rfs_reader *file = kit_file(name, ret_disk), *rd;
	struct rfs_error err = RFS_ERROR_INIT;

	if (try_open(file, password, &rd, &err) < 0)
		fail_msg("%s: %s", name, err.text);
	rfs_reader_unref(file);
	assert_int_equal(rfs_reader_size(rd), SIZE);
	return rd;
}

static void must_be_truth(struct rfs_reader *rd, struct rfs_range range)
{
	uint8_t *buf = malloc(range.len);
	struct rfs_error err = RFS_ERROR_INIT;

	assert_non_null(buf);
	if (rfs_reader_read(rd, range, buf, NULL, &err) < 0)
		fail_msg("%s", err.text);
	assert_memory_equal(buf, truth + range.off, range.len);
	/* What is encrypted is no piece of a file. */
	kit_has_pieces(rd, range, buf);
	free(buf);
}

static void every_image_reads_as_qemu_wrote_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(images) / sizeof(*images); i++) {
		struct rfs_reader *rd = open_image(images[i], PASSWORD, NULL);

		must_be_truth(rd, rfs_range(0, SIZE));
		for (int n = 0; n < 200; n++) {
			uint64_t off = kit_random() % SIZE;
			uint64_t len = 1 + kit_random() % 200000;

			must_be_truth(rd, rfs_range(off, len > SIZE - off
								 ? SIZE - off
								 : len));
		}
		rfs_reader_unref(rd);
	}
}

static void what_is_not_stored_is_told(void **state)
{
	struct rfs_reader *rd = open_image("v1", NULL, NULL);
	struct rfs_extents ext = { 0 };

	(void)state;
	assert_int_equal(rfs_reader_extents(rd, rfs_range(0, SIZE), &ext, NULL),
			 0);
	assert_int_equal(ext.count, 3);
	assert_int_equal(ext.items[0].content, RFS_DATA);
	assert_int_equal(ext.items[0].range.len, 3u << 20);
	assert_int_equal(ext.items[1].content, RFS_HOLE);
	/* Whole clusters of 4 KiB. */
	assert_int_equal(rfs_range_end(ext.items[1].range),
			 3671040 / 4096 * 4096);
	rfs_extents_fini(&ext);
	rfs_reader_unref(rd);
}

/* Spoils one sector of the image, and gives what of the disk is bad then; all
 * else must be the truth. */
static struct rfs_range spoil(const char *name, struct kit_disk **disk,
			      struct rfs_reader *rd, uint64_t at)
{
	uint8_t *buf = malloc(SIZE);
	struct rfs_ranges bad = { 0 };
	struct rfs_range only;

	assert_non_null(buf);
	(*disk)->bad[at / RFS_SECTOR] = 1;
	assert_int_equal(
		rfs_reader_read(rd, rfs_range(0, SIZE), buf, &bad, NULL), -EIO);
	(*disk)->bad[at / RFS_SECTOR] = 0;
	if (bad.count != 1)
		fail_msg("%s: %zu ranges are bad", name, bad.count);
	only = bad.items[0];
	assert_memory_equal(buf, truth, only.off);
	assert_memory_equal(buf + rfs_range_end(only),
			    truth + rfs_range_end(only),
			    SIZE - rfs_range_end(only));
	rfs_ranges_fini(&bad);
	free(buf);
	return only;
}

/* Where the image keeps the first cluster, by its own tables. */
static uint64_t first_cluster(const struct kit_disk *disk)
{
	uint64_t mask = ~(1ull << 63);
	uint64_t l2 = kit_get64(disk->bytes + kit_get64(disk->bytes + 40));

	return kit_get64(disk->bytes + (l2 & mask)) & mask;
}

static void a_bad_sector_costs_a_sector(void **state)
{
	static const char *const stored[] = { "v1", "v1-aes", "v2-aes" };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct kit_disk *disk;
		struct rfs_reader *rd = open_image(stored[i], PASSWORD, &disk);
		uint64_t at = first_cluster(disk) + 1024;
		struct rfs_range bad = spoil(stored[i], &disk, rd, at);

		assert_int_equal(bad.off, 1024);
		assert_int_equal(bad.len, RFS_SECTOR);
		/* Once it can be read again nothing of before is left. */
		must_be_truth(rd, rfs_range(0, SIZE));
		must_be_truth(rd, rfs_range(1000, 100));
		must_be_truth(rd, rfs_range(1024, RFS_SECTOR));
		rfs_reader_unref(rd);
	}
}

/* A sector has 64 entries, of 4 KiB each in an L2 table. */
static void a_bad_sector_of_a_table_costs_its_entries(void **state)
{
	struct kit_disk *disk;
	struct rfs_reader *rd = open_image("v1", NULL, &disk);
	uint64_t l2 = kit_get64(disk->bytes + kit_get64(disk->bytes + 40));
	struct rfs_range bad;

	(void)state;
	bad = spoil("v1", &disk, rd, l2 + RFS_SECTOR);
	assert_int_equal(bad.off, 64 * 4096);
	assert_int_equal(bad.len, 64 * 4096);
	rfs_reader_unref(rd);
}

/* The L1 table begins at 48: its entries from 58 on are in the next sector. */
static void a_table_out_of_line_loses_no_more(void **state)
{
	struct rfs_ranges bad = { 0 };
	struct rfs_reader *file, *rd;
	struct kit_disk *disk;
	uint8_t buf[1024];
	uint64_t span = 2ull << 20, at;

	(void)state;
	kit_must("qemu-img create -q -f qcow wide 1G && qemu-io -f qcow -c "
		 "'write -q -P 7 114M 4M' wide");
	file = kit_file("wide", &disk);
	at = kit_get64(disk->bytes + 40);
	assert_int_equal(at, 48);
	disk->bad[1] = 1;
	assert_int_equal(try_open(file, NULL, &rd, NULL), 0);
	for (uint64_t i = 57; i < 60; i++) {
		int r = rfs_reader_read(rd, rfs_range(i * span, sizeof(buf)),
					buf, &bad, NULL);

		assert_int_equal(r, i < 58 ? 0 : -EIO);
		assert_int_equal(bad.count, i < 58 ? 0 : i < 59 ? 1 : 2);
	}
	assert_int_equal(buf[0], buf[1023]);
	rfs_ranges_fini(&bad);
	rfs_reader_unref(rd);
	rfs_reader_unref(file);
}

static void a_cut_image_is_bad_from_there_on(void **state)
{
	uint8_t *buf = malloc(SIZE);

	(void)state;
	assert_non_null(buf);
	for (size_t i = 0; i < sizeof(images) / sizeof(*images); i++) {
		uint64_t size;
		uint8_t *bytes = kit_slurp(images[i], &size);
		struct rfs_ranges bad = { 0 };
		struct rfs_reader *file, *rd;
		uint64_t pos = 0;

		file = kit_reader(bytes, size / 2 + 100, images[i], NULL);
		assert_int_equal(try_open(file, PASSWORD, &rd, NULL), 0);
		assert_int_equal(rfs_reader_read(rd, rfs_range(0, SIZE), buf,
						 &bad, NULL),
				 -EIO);
		for (size_t k = 0; k <= bad.count; k++) {
			uint64_t end = k < bad.count ? bad.items[k].off : SIZE;

			assert_memory_equal(buf + pos, truth + pos, end - pos);
			if (k < bad.count)
				pos = rfs_range_end(bad.items[k]);
		}
		rfs_ranges_fini(&bad);
		rfs_reader_unref(rd);
		rfs_reader_unref(file);
	}
	free(buf);
}

/* The format cannot tell a wrong one; that is said. */
static void passwords(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_reader *file = kit_file("v2-aes", NULL), *rd;
	uint8_t buf[512];

	(void)state;
	assert_int_equal(try_open(file, NULL, &rd, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "password_file"));
	assert_int_equal(try_open(file, "wrong", &rd, &err), 0);
	assert_int_equal(
		rfs_reader_read(rd, rfs_range(0, 512), buf, NULL, NULL), 0);
	assert_memory_not_equal(buf, truth, 512);
	assert_true(kit_noted(&notes, "a wrong password") > 0);
	rfs_reader_unref(rd);
	rfs_reader_unref(file);
	/* Only the first 16 bytes count, with QEMU as here. */
	rd = open_image("v1-aes", "long enough, and", NULL);
	must_be_truth(rd, rfs_range(0, 4096));
	rfs_reader_unref(rd);
}

/* Two guests' clusters that swap places in the file: nothing that was decrypted
 * for one may be given for the other. */
static void the_same_place_of_another_table(void **state)
{
	uint64_t mask = ~(1ull << 63), l2, a, b;
	struct rfs_reader *rd, *file;
	struct kit_disk *disk;
	uint8_t first[512], second[512];

	(void)state;
	file = kit_file("v2-aes", &disk);
	assert_int_equal(try_open(file, PASSWORD, &rd, NULL), 0);
	assert_int_equal(
		rfs_reader_read(rd, rfs_range(0, 512), first, NULL, NULL), 0);
	l2 = kit_get64(disk->bytes + kit_get64(disk->bytes + 40)) & mask;
	a = kit_get64(disk->bytes + l2) & mask;
	b = kit_get64(disk->bytes + l2 + 8) & mask;
	for (int i = 0; i < 512; i++) {
		uint8_t was = disk->bytes[a + i];

		disk->bytes[a + i] = disk->bytes[b + i];
		disk->bytes[b + i] = was;
	}
	assert_int_equal(
		rfs_reader_read(rd, rfs_range(0, 512), second, NULL, NULL), 0);
	assert_memory_equal(first, truth, 512);
	assert_memory_not_equal(second, truth, 512);
	rfs_reader_unref(rd);
	rfs_reader_unref(file);
}

/* Bytes of the header and the tables at random: an answer, whatever it is. */
static void nonsense_ends_with_an_answer(void **state)
{
	uint8_t *buf = malloc(SIZE);
	unsigned int opened = 0;

	(void)state;
	assert_non_null(buf);
	for (int n = 0; n < 300; n++) {
		struct kit_disk *disk;
		struct rfs_reader *file = kit_file(images[kit_random() % 4],
						   &disk),
				  *rd;
		uint64_t l2 = kit_get64(disk->bytes + 48) % disk->size;

		for (int k = 0; k < 4; k++) {
			uint64_t at = kit_random() % 56;

			if (n % 2 || kit_random() % 2)
				at = l2 + kit_random() % 4096;
			if (at >= 8 && at < disk->size)
				disk->bytes[at] ^= (uint8_t)kit_random();
		}
		if (try_open(file, PASSWORD, &rd, NULL) == 0) {
			uint64_t size = rfs_reader_size(rd);

			opened++;
			rfs_reader_read(rd,
					rfs_range(0, size < SIZE ? size : SIZE),
					buf, NULL, NULL);
			rfs_reader_unref(rd);
		}
		rfs_reader_unref(file);
	}
	assert_true(opened > 10);
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_image_reads_as_qemu_wrote_it),
		cmocka_unit_test(what_is_not_stored_is_told),
		cmocka_unit_test(a_bad_sector_costs_a_sector),
		cmocka_unit_test(a_bad_sector_of_a_table_costs_its_entries),
		cmocka_unit_test(a_table_out_of_line_loses_no_more),
		cmocka_unit_test(a_cut_image_is_bad_from_there_on),
		cmocka_unit_test(passwords),
		cmocka_unit_test(the_same_place_of_another_table),
		cmocka_unit_test(nonsense_ends_with_an_answer),
	};
	int failed;

	kit_begin();
	failed = cmocka_run_group_tests(tests, setup, teardown);
	kit_end();
	return failed;
}
