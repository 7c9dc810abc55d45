/* SPDX-License-Identifier: GPL-3.0-or-later */
/* packed_kit.h - volumes packed by the real tools, held in memory so that they
 * can be damaged, and the one question of all tests: is a byte that is served
 * ever wrong? */
#ifndef RESCUEFS_TESTS_PACKED_KIT_H
#define RESCUEFS_TESTS_PACKED_KIT_H

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memdisk.h"
#include "readers/readers.h"

static uint64_t kit_state = 1;

/* What is being tested, for messages. */
static const char *kit_what = "";

static inline uint32_t kit_random(void)
{
	return test_random(&kit_state);
}

/* Bytes with a size of their own. */
struct kit_bytes {
	uint8_t *bytes;
	size_t size;
};

static inline void kit_free(struct kit_bytes *b)
{
	free(b->bytes);
	b->bytes = NULL;
}

/* A piece of a disk: noise, text, zeros, and runs of one byte, in turns. */
static inline struct kit_bytes kit_volume(size_t size)
{
	struct kit_bytes v = { malloc(size ? size : 1), size };
	uint64_t seed = kit_state;
	size_t at = 0, len;
	int n;

	/* The same each time, so that what a test expects of it holds. */
	kit_state = size;
	assert_non_null(v.bytes);
	while (at < size) {
		len = 1000 + kit_random() % 150000;
		if (len > size - at)
			len = size - at;
		switch (kit_random() % 4) {
		case 0:
			for (size_t i = 0; i < len; i++)
				v.bytes[at + i] = (uint8_t)kit_random();
			break;
		case 1:
			memset(v.bytes + at, 0, len);
			break;
		case 2:
			memset(v.bytes + at, (int)kit_random(), len);
			break;
		default:
			for (size_t i = 0; i < len; i += (size_t)n) {
				char word[40];

				n = snprintf(
					word, sizeof(word), "%u inode %u\n",
					kit_random() % 977, kit_random() % 13);
				memcpy(v.bytes + at + i, word,
				       (size_t)n < len - i ? (size_t)n
							   : len - i);
			}
		}
		at += len;
	}
	kit_state = seed;
	return v;
}

static char *kit_dir;

static inline bool kit_has(const char *tool)
{
	char cmd[200];

	snprintf(cmd, sizeof(cmd), "command -v %s >/dev/null", tool);
	return system(cmd) == 0;
}

static inline struct kit_bytes kit_load(const char *name)
{
	struct kit_bytes b = { 0 };
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", kit_dir, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	b.size = (size_t)ftell(f);
	rewind(f);
	b.bytes = malloc(b.size + 1);
	assert_non_null(b.bytes);
	assert_int_equal(fread(b.bytes, 1, b.size, f), b.size);
	fclose(f);
	return b;
}

static inline void kit_save(const char *name, const struct kit_bytes *b)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", kit_dir, name);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(b->bytes, 1, b->size, f), b->size);
	fclose(f);
}

/* What a command makes of the volume, which is the file "v" there. */
static inline struct kit_bytes kit_pack(const struct kit_bytes *volume,
					const char *cmd)
{
	char line[1000];

	kit_save("v", volume);
	snprintf(line, sizeof(line), "cd %s && { %s ; } >out 2>err", kit_dir,
		 cmd);
	if (system(line) != 0)
		fail_msg("%s fails", cmd);
	return kit_load("out");
}

/*
 * The packed file as a reader.
 */

struct kit_disk {
	const struct kit_bytes *file;
	bool *bad; /* by sector, or NULL */
	atomic_ullong asked;
	atomic_int late; /* reads from now on that are not waited for */
};

static int kit_disk_read(void *state, struct rfs_range range, void *buf,
			 struct rfs_ranges *bad, struct rfs_error *err)
{
	struct kit_disk *d = state;
	struct rfs_range sector;
	size_t before = bad->count;

	d->asked += range.len;
	memset(buf, 0xee, range.len);
	if (d->late > 0) {
		d->late--;
		assert_int_equal(rfs_ranges_add(bad, range), 0);
		return rfs_fail(err, ETIMEDOUT, "late");
	}
	for (uint64_t s = range.off / 512; s * 512 < rfs_range_end(range);
	     s++) {
		sector = rfs_range_cut(rfs_range(s * 512, 512), range);
		if (d->bad && d->bad[s])
			assert_int_equal(rfs_ranges_add(bad, sector), 0);
		else
			memcpy((uint8_t *)buf + (sector.off - range.off),
			       d->file->bytes + sector.off, sector.len);
	}
	return bad->count == before ? 0 : rfs_fail(err, EIO, "a bad sector");
}

static void kit_disk_close(void *state)
{
	(void)state;
}

static const struct rfs_reader_ops kit_ops = {
	.kind = "kit",
	.read = kit_disk_read,
	.close = kit_disk_close,
};

/* Opens 'd' as 'config' says; the file's reader is the packed one's alone. */
static inline int kit_open(struct kit_disk *d,
			   const struct rfs_packed_config *config,
			   struct rfs_reader **ret, struct rfs_error *err)
{
	static const struct rfs_origin origin = { "backup" };
	struct rfs_reader *file;
	int r;

	assert_int_equal(rfs_reader_new(&kit_ops, d, d->file->size,
					"backup:/disk", &origin, &file, NULL),
			 0);
	r = rfs_packed_open(config, file, ret, err);
	rfs_reader_unref(file);
	return r;
}

/* Reads a range; what is not bad must be the volume's.  Bytes that are bad. */
static inline uint64_t kit_compare(struct rfs_reader *rd,
				   const struct kit_bytes *volume,
				   struct rfs_range range, bool *good)
{
	uint8_t *buf = malloc(range.len ? range.len : 1);
	bool *is_bad = calloc(range.len + 1, 1);
	struct rfs_ranges bad = { 0 };
	struct rfs_error err = RFS_ERROR_INIT;
	uint64_t last = range.off, nbad = 0;
	int r;

	assert_non_null(buf);
	assert_non_null(is_bad);
	memset(buf, 0xdd, range.len);
	r = rfs_reader_read(rd, range, buf, &bad, &err);
	/* A damaged header may ask for more memory than there may be. */
	if (r == -ENOTSUP)
		assert_int_equal(rfs_ranges_add(&bad, range), 0);
	else if (r != 0 && r != -EIO)
		fail_msg("%d: %s", r, err.text);
	assert_int_equal(r<0, bad.count> 0);
	assert_true(r == 0 || err.text[0]);
	for (size_t i = 0; i < bad.count; i++) {
		assert_true(bad.items[i].off >= last && bad.items[i].len > 0);
		last = rfs_range_end(bad.items[i]);
		assert_true(last <= rfs_range_end(range));
		memset(is_bad + (bad.items[i].off - range.off), 1,
		       bad.items[i].len);
	}
	for (uint64_t i = 0; i < range.len; i++) {
		nbad += is_bad[i];
		if (good)
			good[range.off + i] = !is_bad[i];
		if (is_bad[i])
			continue;
		if (range.off + i >= volume->size ||
		    buf[i] != volume->bytes[range.off + i])
			fail_msg("%s: byte %" PRIu64 " is wrong", kit_what,
				 range.off + i);
	}
	rfs_ranges_fini(&bad);
	free(is_bad);
	free(buf);
	return nbad;
}

/* All of it, in parts of odd sizes, and at random. */
static inline uint64_t kit_compare_all(struct rfs_reader *rd,
				       const struct kit_bytes *volume,
				       bool *good)
{
	uint64_t size = rfs_reader_size(rd), nbad = 0, len;

	for (uint64_t off = 0; off < size; off += len) {
		len = 1 + kit_random() % 300000;
		if (len > size - off)
			len = size - off;
		nbad += kit_compare(rd, volume, rfs_range(off, len), good);
	}
	for (int i = 0; i < 30 && size; i++) {
		uint64_t off = kit_random() % size;

		len = 1 + kit_random() % 9000;
		kit_compare(rd, volume,
			    rfs_range(off, len < size - off ? len : size - off),
			    NULL);
	}
	return nbad;
}

#endif /* RESCUEFS_TESTS_PACKED_KIT_H */
