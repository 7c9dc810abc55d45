// SPDX-License-Identifier: GPL-3.0-or-later
/* Images with random damage in their header and tables: whatever is said of
 * them, nothing crashes, hangs or grows, and the reader keeps its word. */
#include "qcow2_kit.h"

#define ROUNDS	  600	     /* an image; RFS_FUZZ_ROUNDS asks for more */
#define PIECEWISE (4u << 20) /* larger images take too long for that */
#define WINDOW	  (1u << 20)

static void make_images(void)
{
	kit_make("noise", 700000, 256);
	kit_make("words", 700416, 4);
	kit_must(
		"qemu-img create -q -f qcow2 -o cluster_size=512 -b noise -F "
		"raw a 1M && qemu-io -f qcow2 -c 'write -s words 0 300k' -c "
		"'write -z 200k 50k' -c 'write -c -P 3 512k 512' a >/dev/null");
	kit_must(
		"qemu-img create -q -f qcow2 -o cluster_size=16k,"
		"extended_l2=on,compression_type=zstd b 1M && qemu-io -f qcow2 "
		"-c 'write -s words 3k 300k' -c 'write -z 20k 9k' -c "
		"'write -c -s words 512k 16k' b >/dev/null");
	kit_must("qemu-img convert -c -f raw -O qcow2 -o compat=0.10,"
		 "cluster_size=4k words c && qemu-img snapshot -c s c");
	kit_must("qemu-img create -q -f qcow2 -o cluster_size=4k,"
		 "data_file=outside d 1M && qemu-io -f qcow2 -c "
		 "'write -s words 100k 400k' d >/dev/null");
	kit_must("qemu-img convert -c -f raw -O qcow2 -o cluster_size=2M,"
		 "compression_type=zstd words e && qemu-img bitmap --add e b");
}

/* Somewhere in the header or in the first clusters, where tables are; now and
 * then anywhere. */
static uint64_t somewhere(uint64_t size)
{
	uint64_t most[] = { 112, 1024, 65536, size };
	uint64_t limit = most[kit_random() % 4];

	return kit_random() % (limit < size ? limit : size);
}

static void mutate(struct kit_disk *d)
{
	uint64_t count = kit_random() % 6 + 1, at;

	for (uint64_t i = 0; i < count; i++) {
		at = somewhere(d->size);
		switch (kit_random() % 6) {
		case 0:
			d->bytes[at] = (uint8_t)kit_random();
			break;
		case 1:
			d->bytes[at] = kit_random() & 1 ? 0xff : 0;
			break;
		case 2:
			d->bad[at / RFS_SECTOR] = 1;
			break;
		case 3:
			at &= ~7ull;
			if (at + 8 <= d->size)
				kit_put64(d->bytes + at, kit_random());
			break;
		default:
			d->bytes[at] ^= (uint8_t)(1u << (kit_random() % 8));
		}
	}
}

/* 0 with nothing bad, or -EIO with bad ranges that ascend and lie inside. */
static void check_read(struct rfs_reader *rd, struct rfs_range range,
		       uint8_t *buf)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_ranges bad = { 0 };
	uint64_t pos = range.off;
	int r = rfs_reader_read(rd, range, buf, &bad, &err);

	assert_int_equal(r, bad.count ? -EIO : 0);
	assert_int_equal(!err.text[0] && r, 0);
	for (size_t i = 0; i < bad.count; i++) {
		assert_true(bad.items[i].off >= pos && bad.items[i].len);
		pos = rfs_range_end(bad.items[i]);
	}
	assert_true(pos <= rfs_range_end(range));
	rfs_ranges_fini(&bad);
}

/* Asked piece by piece it says the same: what it passes over without a look at each
 * cluster is as the cluster by itself. */
static void check_pieces(struct rfs_reader *rd, struct rfs_range all,
			 const struct rfs_extents *whole)
{
	const uint64_t step = 4096;
	struct rfs_extents pieces = { 0 };

	for (uint64_t off = 0; off < all.len; off += step)
		assert_int_equal(
			rfs_reader_extents(
				rd, rfs_range_cut(rfs_range(off, step), all),
				&pieces, NULL),
			0);
	assert_int_equal(pieces.count, whole->count);
	for (size_t i = 0; i < pieces.count; i++) {
		assert_int_equal(pieces.items[i].range.off,
				 whole->items[i].range.off);
		assert_int_equal(pieces.items[i].range.len,
				 whole->items[i].range.len);
		assert_int_equal(pieces.items[i].content,
				 whole->items[i].content);
	}
	rfs_extents_fini(&pieces);
}

/* No gaps; holes read as zeros and what is unknown does not read. */
static void check_extents(struct rfs_reader *rd, uint8_t *buf)
{
	struct rfs_extents ext = { 0 };
	struct rfs_ranges bad = { 0 };
	struct rfs_range r, all = rfs_range(0, rfs_reader_size(rd));
	uint64_t pos = 0;

	assert_int_equal(rfs_reader_extents(rd, all, &ext, NULL), 0);
	for (size_t i = 0; i < ext.count; i++) {
		r = ext.items[i].range;
		assert_int_equal(r.off, pos);
		pos += r.len;
		if (r.len > WINDOW)
			r.len = WINDOW;
		if (ext.items[i].content == RFS_DATA || i > 50)
			continue;
		bad.count = 0;
		rfs_reader_read(rd, r, buf, &bad, NULL);
		assert_int_equal(rfs_ranges_total(&bad),
				 ext.items[i].content == RFS_HOLE ? 0 : r.len);
		if (ext.items[i].content == RFS_HOLE)
			assert_true(!buf[0] &&
				    !memcmp(buf, buf + 1, r.len - 1));
	}
	assert_int_equal(pos, all.len);
	if (all.len <= PIECEWISE)
		check_pieces(rd, all, &ext);
	rfs_extents_fini(&ext);
	rfs_ranges_fini(&bad);
}

static void use(struct rfs_reader *rd)
{
	static uint8_t buf[WINDOW];
	struct rfs_trace trace = { 0 };
	uint64_t size = rfs_reader_size(rd), off, len;

	for (int i = 0; size && i < 8; i++) {
		off = i % 2 ? kit_random() % size : 0;
		len = i < 2 ? WINDOW : kit_random() % 9000 + 1;
		if (len > size - off)
			len = size - off;
		check_read(rd, rfs_range(off, len), buf);
	}
	check_extents(rd, buf);
	assert_int_equal(rfs_reader_trace(rd, rfs_range(0, size), &trace, NULL),
			 0);
	rfs_trace_fini(&trace);
	rfs_reader_allocated(rd);
}

static int open_mutated(const char *name, struct rfs_notes *notes,
			struct rfs_reader **ret)
{
	struct rfs_qcow2_parts parts = { .notes = notes };
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_qcow2_info info;
	struct kit_disk *d;
	int r;

	parts.file = kit_file(name, &d);
	parts.backing = kit_file("noise", NULL);
	parts.data = kit_file("outside", NULL);
	mutate(d);
	r = rfs_qcow2_info(parts.file, &info, &err);
	if (!r)
		rfs_qcow2_info_fini(&info);
	r = rfs_qcow2_open(&parts, ret, &err);
	assert_true(r <= 0);
	assert_true(!r || err.text[0]);
	rfs_reader_unref(parts.file);
	rfs_reader_unref(parts.backing);
	rfs_reader_unref(parts.data);
	return r;
}

static void fuzz(const char *name)
{
	struct rfs_notes notes;
	struct rfs_reader *rd;
	const char *more = getenv("RFS_FUZZ_ROUNDS");
	unsigned int rounds = more ? (unsigned int)atoi(more) : ROUNDS;
	unsigned int opened = 0;

	for (unsigned int i = 0; i < rounds; i++) {
		uint64_t seed = kit_seed;

		rfs_notes_init(&notes);
		alarm(60); /* a hang is a failure */
		if (open_mutated(name, &notes, &rd) == 0) {
			use(rd);
			rfs_reader_unref(rd);
			opened++;
		}
		rfs_notes_fini(&notes);
		if (getenv("RFS_FUZZ_TRACE"))
			printf("%s %u from %" PRIu64 "\n", name, i, seed);
	}
	alarm(0);
	printf("  %s: %u of %u opened\n", name, opened, rounds);
	assert_true(opened >= rounds / 10);
}

static void small_clusters(void **state)
{
	(void)state;
	fuzz("a");
}

static void subclusters(void **state)
{
	(void)state;
	fuzz("b");
}

static void version_2_packed(void **state)
{
	(void)state;
	fuzz("c");
}

static void external_data(void **state)
{
	(void)state;
	fuzz("d");
}

static void large_clusters(void **state)
{
	(void)state;
	fuzz("e");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_clusters),
		cmocka_unit_test(subclusters),
		cmocka_unit_test(version_2_packed),
		cmocka_unit_test(external_data),
		cmocka_unit_test(large_clusters),
	};
	int failed;

	kit_begin();
	make_images();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	kit_end();
	return failed;
}
