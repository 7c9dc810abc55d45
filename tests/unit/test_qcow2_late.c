// SPDX-License-Identifier: GPL-3.0-or-later
/* What was not waited for is not lost: it is asked for again, and nothing that
 * was learned without it is kept. */
#include "qcow2_kit.h"

#define CLUSTER 65536ull
#define SIZE	(8ull << 20)

static struct kit_disk *disk;
static struct rfs_reader *file;
static struct rfs_ranges bad;
static struct rfs_error err;
static uint8_t *want, buf[SIZE];

static void load(const char *options)
{
	uint64_t size;

	kit_must("qemu-img convert %s -O qcow2 words image", options);
	want = kit_slurp("words", &size);
	file = kit_file("image", &disk);
}

static struct rfs_reader *opened(void)
{
	struct rfs_qcow2_parts parts = { .file = file };
	struct rfs_reader *rd;

	if (rfs_qcow2_open(&parts, &rd, &err) < 0)
		fail_msg("%s", err.text);
	return rd;
}

static void unload(struct rfs_reader *rd)
{
	rfs_reader_unref(rd);
	rfs_reader_unref(file);
	rfs_ranges_fini(&bad);
	free(want);
}

static uint64_t l1_at(void)
{
	return kit_get64(disk->bytes + 40);
}

static uint64_t l2_at(void)
{
	return kit_get64(disk->bytes + l1_at()) & 0xfffffffffffe00;
}

static uint64_t entry_of(uint64_t cluster)
{
	return kit_get64(disk->bytes + l2_at() + 8 * cluster);
}

static void late(uint64_t off)
{
	disk->bad[off / 512] = KIT_LATE;
}

static void in_time(uint64_t off)
{
	disk->bad[off / 512] = 0;
}

/* One bad range comes back with 'r', or none at all; the rest is right. */
static void expect(struct rfs_reader *rd, int r, uint64_t off, uint64_t len)
{
	bad.count = 0;
	memset(buf, 0x77, SIZE);
	assert_int_equal(
		rfs_reader_read(rd, rfs_range(0, SIZE), buf, &bad, &err), r);
	assert_int_equal(bad.count, r < 0);
	if (r < 0) {
		assert_int_equal(bad.items[0].off, off);
		assert_int_equal(bad.items[0].len, len);
		assert_memory_equal(buf, want, off);
		assert_memory_equal(buf + off + len, want + off + len,
				    SIZE - off - len);
	} else {
		assert_memory_equal(buf, want, SIZE);
	}
}

static void a_late_table_is_not_kept(void **state)
{
	struct rfs_reader *rd;

	(void)state;
	load("-f raw");
	late(l2_at() + 512);
	rd = opened();
	expect(rd, -ETIMEDOUT, 64 * CLUSTER, 64 * CLUSTER);
	expect(rd, -ETIMEDOUT, 64 * CLUSTER, 64 * CLUSTER);
	assert_non_null(strstr(err.text, "not read in time"));
	in_time(l2_at() + 512);
	expect(rd, 0, 0, 0);
	unload(rd);
}

static void a_late_l1_or_header_fails_the_opening(void **state)
{
	struct rfs_qcow2_parts parts;
	struct rfs_qcow2_info info;
	struct rfs_reader *rd;
	uint64_t at[2];

	(void)state;
	load("-f raw");
	parts = (struct rfs_qcow2_parts){ .file = file };
	at[0] = 0;
	at[1] = l1_at();
	for (int i = 0; i < 2; i++) {
		late(at[i]);
		assert_int_equal(rfs_qcow2_open(&parts, &rd, &err), -ETIMEDOUT);
		in_time(at[i]);
	}
	late(0);
	assert_int_equal(rfs_qcow2_info(file, &info, &err), -ETIMEDOUT);
	in_time(0);
	rd = opened();
	expect(rd, 0, 0, 0);
	unload(rd);
}

static void late_data_is_late(void **state)
{
	struct rfs_reader *rd;
	uint64_t at;

	(void)state;
	load("-f raw");
	at = (entry_of(5) & 0xfffffffffffe00) + 1024;
	late(at);
	rd = opened();
	expect(rd, -ETIMEDOUT, 5 * CLUSTER + 1024, 512);
	/* Beside what is truly bad, both are told, and none as lost. */
	disk->bad[at / 512 + 1] = 1;
	expect(rd, -ETIMEDOUT, 5 * CLUSTER + 1024, 1024);
	in_time(at);
	expect(rd, -EIO, 5 * CLUSTER + 1536, 512);
	unload(rd);
}

static void a_late_packed_cluster_is_not_kept(void **state)
{
	struct rfs_reader *rd;
	uint64_t at;

	(void)state;
	load("-c -f raw");
	at = (entry_of(5) & 0x3fffffffffffff) + 4096;
	late(at);
	rd = opened();
	expect(rd, -ETIMEDOUT, 5 * CLUSTER, CLUSTER);
	/* In small steps, which go through the shelf. */
	assert_int_equal(rfs_reader_read(rd, rfs_range(5 * CLUSTER, 512), buf,
					 NULL, NULL),
			 -ETIMEDOUT);
	in_time(at);
	assert_int_equal(rfs_reader_read(rd, rfs_range(5 * CLUSTER, 512), buf,
					 NULL, NULL),
			 0);
	expect(rd, 0, 0, 0);
	unload(rd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_late_table_is_not_kept),
		cmocka_unit_test(a_late_l1_or_header_fails_the_opening),
		cmocka_unit_test(late_data_is_late),
		cmocka_unit_test(a_late_packed_cluster_is_not_kept),
	};
	int failed;

	kit_begin();
	kit_make("words", SIZE, 16);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	kit_end();
	return failed;
}
