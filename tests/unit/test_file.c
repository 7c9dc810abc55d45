// SPDX-License-Identifier: GPL-3.0-or-later
/* Files as readers, past the page cache and through it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "readers/file_medium.h"
#include "readers/readers.h"

#define SIZE ((3u << 20) + 777)

static const struct rfs_origin origin = { "bm0002" };
static uint8_t want[SIZE];
static char path[64];

static void write_file(void)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, want, SIZE, 0), SIZE);
	assert_int_equal(fsync(fd), 0);
	close(fd);
}

static struct rfs_reader *opened(bool sparing)
{
	struct rfs_reader *rd;

	assert_int_equal(rfs_file_open(open(path, O_RDONLY | O_CLOEXEC),
				       sparing, "bm0002:/d", &origin, &rd,
				       NULL),
			 0);
	return rd;
}

static int setup(void **state)
{
	unsigned int seed = 3;

	(void)state;
	for (size_t i = 0; i < SIZE; i++)
		want[i] = (uint8_t)rand_r(&seed);
	/* Not /tmp: that may be in memory, where there is no O_DIRECT. */
	snprintf(path, sizeof(path), "/var/tmp/test_file.%d", (int)getpid());
	write_file();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

static void compare(struct rfs_reader *rd, struct rfs_range range, uint8_t *buf)
{
	struct rfs_error err = RFS_ERROR_INIT;

	memset(buf, 0xcc, range.len + 1);
	if (rfs_reader_read(rd, range, buf, NULL, &err) != 0)
		fail_msg("%s", err.text);
	if (memcmp(buf, want + range.off, range.len) != 0)
		fail_msg("%zu bytes at %zu differ", (size_t)range.len,
			 (size_t)range.off);
	assert_int_equal(buf[range.len], 0xcc); /* and no byte beyond */
}

static void is_its_own_piece_if_the_cache_has_it(void **state)
{
	struct rfs_range range = rfs_range(4097, 70000);
	struct rfs_pieces pieces = { 0 };
	static uint8_t buf[70000];
	struct rfs_reader *rd = opened(false);

	(void)state;
	assert_int_equal(rfs_reader_pieces(rd, range, &pieces), 0);
	assert_int_equal(pieces.count, 1);
	assert_int_equal(pieces.items[0].range.len, range.len);
	assert_int_equal(pread(pieces.items[0].fd, buf, range.len,
			       (off_t)pieces.items[0].range.off),
			 range.len);
	assert_memory_equal(buf, want + range.off, range.len);
	assert_true(rfs_reader_pieces(rd, rfs_range(SIZE - 1, 2), &pieces) < 0);
	rfs_reader_unref(rd);
	/* A dying disk's bytes are kept before they are served. */
	rd = opened(true);
	assert_true(rfs_reader_pieces(rd, range, &pieces) < 0);
	rfs_reader_unref(rd);
}

static void pieces_have_a_bound(void **state)
{
	struct rfs_pieces pieces = { 0 };

	(void)state;
	for (uint64_t i = 0; i < RFS_PIECES_MAX; i++)
		assert_int_equal(
			rfs_pieces_add(&pieces, 3, rfs_range(i * 10, 1)), 0);
	assert_int_equal(pieces.count, RFS_PIECES_MAX);
	/* What touches the last one is no more; another is. */
	assert_int_equal(
		rfs_pieces_add(&pieces, 3,
			       rfs_range((RFS_PIECES_MAX - 1) * 10 + 1, 5)),
		0);
	assert_int_equal(pieces.items[RFS_PIECES_MAX - 1].range.len, 6);
	assert_int_equal(rfs_pieces_add(&pieces, 3, rfs_range(9000, 1)),
			 -E2BIG);
	assert_int_equal(
		rfs_pieces_add(&pieces, 4,
			       rfs_range((RFS_PIECES_MAX - 1) * 10 + 6, 5)),
		-E2BIG);
}

static void any_range_into_any_buffer(void **state)
{
	uint8_t *buf = aligned_alloc(4096, 4u << 20);
	unsigned int seed = 5;
	struct rfs_reader *rd;
	uint64_t off, len;

	(void)state;
	assert_non_null(buf);
	for (int sparing = 0; sparing < 2; sparing++) {
		rd = opened(sparing);
		assert_int_equal(rfs_reader_size(rd), SIZE);
		compare(rd, rfs_range(0, SIZE), buf);
		compare(rd, rfs_range(0, SIZE), buf + 1);
		compare(rd, rfs_range(SIZE - 1, 1), buf);
		compare(rd, rfs_range(SIZE - 777, 777), buf);
		for (int i = 0; i < 1000; i++) {
			off = (uint64_t)rand_r(&seed) % SIZE;
			len = 1 + (uint64_t)rand_r(&seed) % (1 << (i % 22));
			if (i % 3 == 0)
				off &= ~511u;
			if (len > SIZE - off)
				len = SIZE - off;
			compare(rd, rfs_range(off, len),
				buf + (i % 2 ? rand_r(&seed) % 5000 : 0));
		}
		rfs_reader_unref(rd);
	}
	free(buf);
}

static void expect_medium(struct rfs_medium *m, uint8_t *buf)
{
	struct rfs_range range = rfs_range(1000, SIZE - 1000);
	struct rfs_ranges bad = { 0 };
	int why;

	memset(buf, 0xcc, SIZE);
	assert_int_equal(rfs_medium_read(m, range, buf, &bad, &why), 0);
	assert_memory_equal(buf, want + range.off, range.len);
	assert_int_equal(m->step, RFS_MEDIUM_STEP_MAX);
	rfs_ranges_fini(&bad);
}

/* A file system that says nothing of direct reads and refuses ours, and one
 * that has none. */
static void refused_direct_reads_end_in_the_cache(void **state)
{
	uint8_t *buf = aligned_alloc(4096, 4u << 20);
	struct rfs_medium m;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);

	(void)state;
	assert_non_null(buf);
	rfs_medium_init(&m, fd, SIZE);
	atomic_store(&m.granule, 8); /* no device has such sectors */
	expect_medium(&m, buf);
	assert_true(m.granule == 8 || m.granule == 4096);
	m.mem_align = 1;
	expect_medium(&m, buf + 1);
	close(fd);

	fd = open(path, O_RDONLY | O_CLOEXEC);
	rfs_medium_init(&m, fd, SIZE);
	assert_int_equal(m.granule, 4096);
	expect_medium(&m, buf + 1);
	close(fd);
	free(buf);
}

/* Bytes that come in requests of the medium's choice until these are of 'step'. */
static uint64_t bytes_until(struct rfs_medium *m, unsigned int step)
{
	uint64_t sum = 0;
	unsigned int len;

	while ((len = rfs_medium_step(m)) < step && sum < UINT64_C(1) << 40) {
		rfs_medium_went_well(m, len);
		sum += len;
	}
	assert_int_equal(len, step);
	return sum;
}

/* After n clean sectors a request is of no more than the root of n. */
static void requests_grow_with_the_distance_from_an_error(void **state)
{
	const uint64_t mib = 1 << 20;
	struct rfs_medium m;
	uint64_t sum = 0;

	(void)state;
	rfs_medium_init(&m, open(path, O_RDONLY | O_CLOEXEC), SIZE);
	assert_int_equal(bytes_until(&m, RFS_MEDIUM_STEP_MAX),
			 RFS_MEDIUM_STEP_MAX - RFS_MEDIUM_STEP);
	rfs_medium_went_well(&m, m.step);
	assert_int_equal(m.step, RFS_MEDIUM_STEP_MAX);
	rfs_medium_went_wrong(&m);
	assert_int_equal(m.step, RFS_MEDIUM_STEP);
	for (unsigned int s = 2 * RFS_MEDIUM_STEP; s <= RFS_MEDIUM_STEP_MAX;
	     s *= 2) {
		sum += bytes_until(&m, s);
		assert_in_range(sum, (uint64_t)s * s / 512,
				(uint64_t)s * s / 512 + s);
	}
	assert_in_range(sum, 2048 * mib, 2049 * mib);
	/* Of a request that had begun before an error. */
	rfs_medium_went_wrong(&m);
	m.step = RFS_MEDIUM_STEP_MAX;
	assert_int_equal(rfs_medium_step(&m), RFS_MEDIUM_STEP);
	close(m.fd);
}

static void what_the_file_lost_is_bad(void **state)
{
	uint8_t *buf = malloc(SIZE);
	const uint64_t now = 1000000;
	struct rfs_ranges bad = { 0 };
	struct rfs_extents ext = { 0 };
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_reader *rd;

	(void)state;
	assert_non_null(buf);
	for (int sparing = 0; sparing < 2; sparing++) {
		rd = opened(sparing);
		assert_int_equal(truncate(path, (off_t)now), 0);
		assert_int_equal(rfs_reader_read(rd, rfs_range(0, SIZE), buf,
						 &bad, &err),
				 -EIO);
		assert_int_equal(bad.count, 1);
		assert_int_equal(bad.items[0].off, now);
		assert_int_equal(rfs_range_end(bad.items[0]), SIZE);
		assert_memory_equal(buf, want, now);
		assert_string_equal(err.text,
				    "bm0002:/d: 2146505 bytes at 1000000 "
				    "cannot be read: the file has become "
				    "shorter");
		rfs_reader_extents(rd, rfs_range(0, SIZE), &ext, NULL);
		assert_int_equal(ext.count, 2);
		assert_int_equal(ext.items[0].content, RFS_DATA);
		assert_int_equal(ext.items[1].content, RFS_UNKNOWN);
		assert_int_equal(ext.items[1].range.off, now);
		rfs_ranges_clear(&bad);
		rfs_extents_clear(&ext);
		rfs_reader_unref(rd);
		write_file();
	}
	rfs_ranges_fini(&bad);
	rfs_extents_fini(&ext);
	free(buf);
}

static void one_that_grew_keeps_its_size(void **state)
{
	uint8_t *buf = malloc(SIZE + 1);
	struct rfs_reader *rd;

	(void)state;
	assert_non_null(buf);
	for (int sparing = 0; sparing < 2; sparing++) {
		rd = opened(sparing);
		assert_int_equal(truncate(path, SIZE + 100000), 0);
		compare(rd, rfs_range(0, SIZE), buf);
		assert_int_equal(rfs_reader_size(rd), SIZE);
		assert_int_equal(rfs_reader_read(rd, rfs_range(SIZE, 1), buf,
						 NULL, NULL),
				 -EINVAL);
		rfs_reader_unref(rd);
		write_file();
	}
	free(buf);
}

static void expect_extent(const struct rfs_extents *ext, size_t i, uint64_t off,
			  uint64_t end, enum rfs_content content)
{
	assert_true(i < ext->count);
	assert_int_equal(ext->items[i].range.off, off);
	assert_int_equal(rfs_range_end(ext->items[i].range), end);
	assert_int_equal(ext->items[i].content, content);
}

static void holes_are_told(void **state)
{
	const uint64_t meg = 1 << 20;
	struct rfs_extents ext = { 0 };
	struct rfs_reader *rd;
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, (off_t)(100 * meg)), 0);
	assert_int_equal(pwrite(fd, want, meg, (off_t)(10 * meg)), meg);
	assert_int_equal(pwrite(fd, want, meg, (off_t)(50 * meg)), meg);
	close(fd);
	rd = opened(true);
	rfs_reader_extents(rd, rfs_range(0, 100 * meg), &ext, NULL);
	assert_int_equal(ext.count, 5);
	expect_extent(&ext, 0, 0, 10 * meg, RFS_HOLE);
	expect_extent(&ext, 1, 10 * meg, 11 * meg, RFS_DATA);
	expect_extent(&ext, 2, 11 * meg, 50 * meg, RFS_HOLE);
	expect_extent(&ext, 4, 51 * meg, 100 * meg, RFS_HOLE);
	rfs_extents_clear(&ext);
	rfs_reader_extents(rd, rfs_range(10 * meg + 5, 40 * meg), &ext, NULL);
	assert_int_equal(ext.count, 3);
	expect_extent(&ext, 0, 10 * meg + 5, 11 * meg, RFS_DATA);
	expect_extent(&ext, 2, 50 * meg, 50 * meg + 5, RFS_DATA);
	assert_in_range(rfs_reader_allocated(rd), 2 * meg, 3 * meg);
	rfs_extents_fini(&ext);
	rfs_reader_unref(rd);
	write_file();
}

/* Refused by name (P8), and the descriptor is closed. */
static void expect_refused(int fd, int errnum, const char *text)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_reader *rd;

	assert_true(fd >= 0);
	assert_int_equal(rfs_file_open(fd, true, "that", NULL, &rd, &err),
			 -errnum);
	assert_non_null(strstr(err.text, text));
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void other_kinds_are_refused(void **state)
{
	char fifo[80];

	(void)state;
	expect_refused(open("/", O_RDONLY | O_CLOEXEC), EISDIR,
		       "that: is a directory");
	expect_refused(open("/dev/zero", O_RDONLY | O_CLOEXEC), EINVAL,
		       "that: is a character device");
	snprintf(fifo, sizeof(fifo), "%s.fifo", path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	expect_refused(open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC), EINVAL,
		       "that: is a FIFO");
	unlink(fifo);
}

static void an_empty_file_is_empty(void **state)
{
	struct rfs_extents ext = { 0 };
	struct rfs_reader *rd;

	(void)state;
	assert_int_equal(truncate(path, 0), 0);
	rd = opened(true);
	assert_int_equal(rfs_reader_size(rd), 0);
	assert_int_equal(rfs_reader_read(rd, rfs_range(0, 0), NULL, NULL, NULL),
			 0);
	assert_int_equal(rfs_reader_extents(rd, rfs_range(0, 0), &ext, NULL),
			 0);
	assert_int_equal(ext.count, 0);
	rfs_reader_unref(rd);
	write_file();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_its_own_piece_if_the_cache_has_it),
		cmocka_unit_test(pieces_have_a_bound),
		cmocka_unit_test(any_range_into_any_buffer),
		cmocka_unit_test(refused_direct_reads_end_in_the_cache),
		cmocka_unit_test(requests_grow_with_the_distance_from_an_error),
		cmocka_unit_test(what_the_file_lost_is_bad),
		cmocka_unit_test(one_that_grew_keeps_its_size),
		cmocka_unit_test(holes_are_told),
		cmocka_unit_test(other_kinds_are_refused),
		cmocka_unit_test(an_empty_file_is_empty),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
