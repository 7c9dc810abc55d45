// SPDX-License-Identifier: GPL-3.0-or-later
/* Damaged compressed files: no byte is ever served wrong, what comes before the
 * damage is served, and what comes after it where the format allows. */
#include "packed_kit.h"

#include <unistd.h>

#include "core/state.h"

static const struct way {
	const char *cmd;
	enum rfs_packing packing;
} ways[] = {
	{ "gzip -c v", RFS_PACKED_GZ },
	{ "split -b 200000 v p. && for p in p.*; do gzip -c $p; done; rm p.*",
	  RFS_PACKED_GZ },
	{ "xz -0 -c v", RFS_PACKED_XZ },
	{ "xz -0 -T2 --block-size=100000 -c v", RFS_PACKED_XZ },
	{ "xz -0 -T1 --block-size=100000 -c v", RFS_PACKED_XZ },
	{ "zstd -q -c v", RFS_PACKED_ZST },
	{ "split -b 90000 v p. && for p in p.*; do zstd -qc $p; done; rm p.*",
	  RFS_PACKED_ZST },
	{ "split -b 90000 v p. && for p in p.*; do zstd -qc <$p; done; rm p.*",
	  RFS_PACKED_ZST },
	{ "bzip2 -1c v", RFS_PACKED_BZ2 },
};

#define NWAYS (sizeof(ways) / sizeof(*ways))

struct scene {
	struct kit_bytes volume, file, hurt;
	struct kit_disk disk;
	struct rfs_packed_config config;
	bool *good; /* which bytes were served */
	const char *cmd;
};

static void begin(struct scene *s, const struct way *w, size_t size)
{
	memset(s, 0, sizeof(*s));
	s->volume = kit_volume(size);
	s->file = kit_pack(&s->volume, w->cmd);
	s->cmd = kit_what = w->cmd;
	s->hurt.bytes = malloc(s->file.size + 1);
	s->disk.bad = calloc(s->file.size / 512 + 1, 1);
	s->good = calloc(size * 4 + 1, 1);
	assert_non_null(s->good);
	s->disk.file = &s->hurt;
	s->config.packing = w->packing;
}

/* As it was. */
static void heal(struct scene *s)
{
	memcpy(s->hurt.bytes, s->file.bytes, s->file.size);
	s->hurt.size = s->file.size;
	memset(s->disk.bad, 0, s->file.size / 512 + 1);
	memset(s->good, 0, s->volume.size);
}

static void finish(struct scene *s)
{
	kit_free(&s->volume);
	kit_free(&s->file);
	kit_free(&s->hurt);
	free(s->disk.bad);
	free(s->good);
}

/* Bytes that are served, none of them wrong. */
static uint64_t served(struct scene *s, uint64_t expected)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_reader *rd;
	uint64_t n;
	int r;

	s->config.expected_size = expected;
	kit_save("hurt", &s->hurt);
	r = kit_open(&s->disk, &s->config, &rd, &err);
	if (r < 0) {
		/* Refusing is no lie; it must say why. */
		assert_true(err.text[0]);
		assert_true(r == -EINVAL || r == -ENOTSUP || r == -EIO ||
			    r == -EILSEQ || r == -EFBIG);
		return 0;
	}
	if (rfs_reader_size(rd) > s->volume.size * 4) {
		rfs_reader_unref(rd);
		return 0;
	}
	n = rfs_reader_size(rd);
	n -= kit_compare_all(rd, &s->volume, s->good);
	rfs_reader_unref(rd);
	return n;
}

/* The first byte that was not served. */
static uint64_t prefix(const struct scene *s)
{
	uint64_t n = 0;

	while (n < s->volume.size && s->good[n])
		n++;
	return n;
}

/* What the tool makes of a file that is cut short. */
static uint64_t tool_gives(const struct scene *s)
{
	static const char *const tools[] = { "", "gzip -dc", "xz -dc",
					     "zstd -qdc", "bzip2 -dc" };
	char line[400];
	struct kit_bytes out;
	uint64_t n;

	kit_save("cut", &s->hurt);
	snprintf(line, sizeof(line), "cd %s && { %s <cut >out 2>err || true; }",
		 kit_dir, tools[s->config.packing]);
	assert_int_equal(system(line), 0);
	out = kit_load("out");
	n = out.size;
	kit_free(&out);
	return n;
}

/* Cut short: what the tool gives of it is served, but for the last two blocks
 * where these prove nothing. */
static void cut_short(void **state)
{
	struct scene s;

	(void)state;
	for (size_t i = 0; i < NWAYS; i++) {
		uint64_t less = 0, sum = 0;

		if (ways[i].packing == RFS_PACKED_GZ)
			less = 1600000;
		if (ways[i].packing == RFS_PACKED_ZST)
			less = 300000;
		begin(&s, &ways[i], 3000000);
		for (int k = 0; k < 24; k++) {
			uint64_t want, got;

			heal(&s);
			s.hurt.size = k < 4 ? s.file.size - 1 - (size_t)k * 5
					    : kit_random() % s.file.size;
			want = tool_gives(&s);
			got = served(&s, k % 3 ? s.volume.size : 0);
			sum += prefix(&s);
			if (prefix(&s) + less < want)
				fail_msg("%s: of %zu bytes %" PRIu64
					 " are served, the tool gives %" PRIu64,
					 s.cmd, s.hurt.size, prefix(&s), want);
			assert_true(got < s.volume.size || k < 4);
		}
		print_message("%s: %" PRIu64 " %%\n", s.cmd,
			      sum / (s.volume.size * 24 / 100));
		assert_true(sum > s.volume.size * 24 / 100 * 15);
		finish(&s);
	}
}

/* Where the format has blocks with checksums, one flipped bit costs one. */
static void flipped(void **state)
{
	struct scene s;

	(void)state;
	for (size_t i = 0; i < NWAYS; i++) {
		uint64_t sum = 0, front = 0;

		begin(&s, &ways[i], 1500000);
		for (int k = 0; k < 40; k++) {
			uint64_t bit;

			heal(&s);
			bit = kit_random() % (s.file.size * 8);
			s.hurt.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			sum += served(&s, k % 2 ? s.volume.size : 0);
			front += prefix(&s);
		}
		print_message("%s: %" PRIu64 " %% served, %" PRIu64
			      " %% before\n",
			      s.cmd, sum / (s.volume.size * 2 / 5),
			      front / (s.volume.size * 2 / 5));
		/* With an index: nearly all.  Blocks without one: what is
		 * before, on average half.  One checksum for all: nothing. */
		if (i == 3 || i == 4)
			assert_true(sum > s.volume.size * 40 / 100 * 90);
		if (i == 1 || i == 6 || i == 7 || i == 8)
			assert_true(front > s.volume.size * 40 / 100 * 15);
		finish(&s);
	}
}

/* With the size known, members and frames behind the damage find their place;
 * blocks of bzip2 do where it is told to be exact. */
static void behind_damage(void **state)
{
	static const size_t able[] = { 1, 3, 4, 6, 8 };
	struct scene s;

	(void)state;
	for (size_t i = 0; i < sizeof(able) / sizeof(*able); i++) {
		uint64_t sum = 0;
		int ends = 0;

		begin(&s, &ways[able[i]], 1500000);
		s.config.is_exact = ways[able[i]].packing == RFS_PACKED_BZ2;
		for (int k = 0; k < 12; k++) {
			size_t at;

			heal(&s);
			/* A sector of noise in the middle third. */
			at = s.file.size / 3 + kit_random() % (s.file.size / 3);
			for (size_t j = 0; j < 300; j++)
				s.hurt.bytes[at + j] = (uint8_t)kit_random();
			sum += served(&s, s.volume.size);
			assert_true(s.good[0]);
			ends += s.good[s.volume.size - 1];
		}
		/* Where it lies across two members, nothing proves their
		 * sizes. */
		print_message("%s: %d of 12\n", s.cmd, ends);
		assert_true(ends >= (s.config.is_exact ? 12 : 7));
		assert_true(sum > s.volume.size * 12 / 100 * 50);
		finish(&s);
	}
}

/* Sectors of the file that cannot be read. */
static void bad_sectors(void **state)
{
	struct scene s;

	(void)state;
	for (size_t i = 0; i < NWAYS; i++) {
		uint64_t front = 0;

		begin(&s, &ways[i], 1500000);
		for (int k = 0; k < 16; k++) {
			size_t n = s.file.size / 512 + 1;

			heal(&s);
			for (size_t j = kit_random() % 3 + 1; j; j--)
				s.disk.bad[kit_random() % n] = true;
			served(&s, k % 2 ? s.volume.size : 0);
			front += prefix(&s);
		}
		print_message("%s: %" PRIu64 " %% before the first\n", s.cmd,
			      front / (s.volume.size * 16 / 100));
		assert_true(front > s.volume.size * 16 / 100 * 4);
		finish(&s);
	}
}

/* The same file read well when its index was made, and badly afterwards. */
static void bad_later(void **state)
{
	struct scene s;

	(void)state;
	for (size_t i = 0; i < NWAYS; i++) {
		char *dir = test_mkdir(), path[300];
		struct rfs_state *st;
		struct rfs_reader *rd;

		begin(&s, &ways[i], 1500000);
		heal(&s);
		snprintf(path, sizeof(path), "%s/s", dir);
		assert_int_equal(rfs_state_open(path, "test", &st, NULL), 0);
		s.config.state = st;
		s.config.object = "backup:/disk";
		s.config.generation.size = s.file.size;
		assert_int_equal(kit_open(&s.disk, &s.config, &rd, NULL), 0);
		assert_int_equal(kit_compare_all(rd, &s.volume, NULL), 0);
		rfs_reader_unref(rd);
		for (int k = 0; k < 10; k++) {
			size_t n = s.file.size / 512, at;

			heal(&s);
			at = n / 2 + kit_random() % (n - n / 2);
			if (k % 2)
				s.disk.bad[at] = true;
			else
				s.hurt.bytes[at * 512] ^= 0x20;
			served(&s, 0);
			/* One block of 1.5 MB is proved as a whole. */
			if (k % 2 ? i < 5 : i == 3 || i == 4)
				assert_true(s.good[0]);
		}
		rfs_state_close(st);
		test_rmdir(dir);
		finish(&s);
	}
}

/* What a failed checksum covers, for those who ask for it: at least what comes
 * before the damage. */
static void unproved(void **state)
{
	static const size_t one[] = { 0, 2, 5 };
	struct rfs_reader *rd;
	struct scene s;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		uint8_t *buf = malloc(1500000);
		struct rfs_ranges bad = { 0 };
		uint64_t same = 0;
		int r;

		begin(&s, &ways[one[i]], 1500000);
		heal(&s);
		memset(s.hurt.bytes + s.file.size / 2, 0, 600);
		s.config.expected_size = 1500000;
		assert_int_equal(served(&s, 1500000), 0);
		s.config.unproved = true;
		assert_int_equal(kit_open(&s.disk, &s.config, &rd, NULL), 0);
		assert_non_null(buf);
		r = rfs_reader_read(rd, rfs_range(0, 1500000), buf, &bad, NULL);
		assert_true(r == -EIO || r == 0);
		while (same < (bad.count ? bad.items[0].off : 1500000) &&
		       buf[same] == s.volume.bytes[same])
			same++;
		print_message("%s: %" PRIu64 " bytes\n", s.cmd, same);
		assert_true(same > 100000);
		rfs_reader_unref(rd);
		rfs_ranges_fini(&bad);
		free(buf);
		finish(&s);
	}
}

/*
 * Everything at once.
 */

static void mutate(struct scene *s, unsigned most)
{
	size_t at, len;

	for (size_t n = most ? kit_random() % most + 1 : 0; n; n--) {
		at = kit_random() % s->hurt.size;
		if (kit_random() % 3 == 0)
			at = kit_random() % 2 ? at % 64
					      : s->hurt.size - 1 - at % 64;
		len = kit_random() % 64 + 1;
		if (len > s->hurt.size - at)
			len = s->hurt.size - at;
		switch (kit_random() % 7) {
		case 0:
			s->hurt.bytes[at] ^= (uint8_t)(1 << kit_random() % 8);
			break;
		case 1:
			s->hurt.bytes[at] = (uint8_t)kit_random();
			break;
		case 2:
			memset(s->hurt.bytes + at, kit_random() & 1 ? 0 : 0xff,
			       len);
			break;
		case 3:
			s->disk.bad[at / 512] = true;
			break;
		case 4: /* some of it is missing */
			memmove(s->hurt.bytes + at, s->hurt.bytes + at + len,
				s->hurt.size - at - len);
			s->hurt.size -= len;
			break;
		case 5: /* some of it stands there twice */
			memmove(s->hurt.bytes + at,
				s->hurt.bytes +
					kit_random() % (s->hurt.size - len + 1),
				len);
			break;
		default:
			s->hurt.size -= kit_random() % 100 == 0 ? at / 2 : 0;
		}
		if (s->hurt.size < 100)
			break;
	}
}

/* Bytes before damage that nothing can read, or before the end of a file that is
 * cut short, are as good as the medium; with a flipped bit among them they are
 * not, and one checksum for all that comes at the end does not tell.  So files
 * that both lie and fail are left out where blocks have no checksums, and files
 * of one piece are hurt in one place. */
static bool is_fair(const struct scene *s)
{
	bool any_bad = s->hurt.size != s->file.size;

	for (size_t i = 0; i <= s->file.size / 512; i++)
		any_bad = any_bad || s->disk.bad[i];
	return !any_bad;
}

static void mutations(void **state)
{
	const char *more = getenv("RFS_FUZZ_ROUNDS");
	int rounds = more ? atoi(more) : 40;
	struct scene s;

	(void)state;
	for (size_t i = 0; i < NWAYS; i++) {
		begin(&s, &ways[i], 600000);
		for (int k = 0; k < rounds; k++) {
			heal(&s);
			mutate(&s, i == 0 || i == 5 ? 1 : 4);
			if (!is_fair(&s) && i != 8)
				continue;
			served(&s, k % 3 ? s.volume.size : 0);
		}
		finish(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_short),	 cmocka_unit_test(flipped),
		cmocka_unit_test(behind_damage), cmocka_unit_test(bad_sectors),
		cmocka_unit_test(bad_later),	 cmocka_unit_test(unproved),
		cmocka_unit_test(mutations),
	};
	int r;

	kit_state = test_seed();
	kit_dir = test_mkdir();
	r = cmocka_run_group_tests(tests, NULL, NULL);
	if (!getenv("KEEP"))
		test_rmdir(kit_dir);
	return r;
}
