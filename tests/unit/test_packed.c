// SPDX-License-Identifier: GPL-3.0-or-later
/* Compressed files that are whole: every byte of them, in any order, from any
 * tool, and the index that is kept. */
#include "packed_kit.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/state.h"

static const struct way {
	const char *tool, *cmd;
	enum rfs_packing packing;
} ways[] = {
	{ "gzip", "gzip -c v", RFS_PACKED_GZ },
	{ "gzip", "gzip -1c v", RFS_PACKED_GZ },
	{ "gzip", "head -c 1000003 v | gzip -9c; tail -c +1000004 v | gzip -3c",
	  RFS_PACKED_GZ },
	{ "gzip",
	  "split -b 9000 v p. && for p in p.*; do gzip -c $p; done; rm p.*",
	  RFS_PACKED_GZ },
	{ "gzip", "gzip -c v; head -c 5000 /dev/zero", RFS_PACKED_GZ },
	{ "pigz", "pigz -p 2 -c v", RFS_PACKED_GZ },
	{ "pigz", "pigz -p 2 -ic v", RFS_PACKED_GZ },
	{ "xz", "xz -1 -c v", RFS_PACKED_XZ },
	{ "xz", "xz -T2 --block-size=300000 -1 -c v", RFS_PACKED_XZ },
	{ "xz", "xz -T1 --block-size=300000 -1 --check=crc32 -c v",
	  RFS_PACKED_XZ },
	{ "xz",
	  "head -c 1000003 v | xz -1c; head -c 12 /dev/zero; "
	  "tail -c +1000004 v | xz -1c --check=sha256; head -c 8 /dev/zero",
	  RFS_PACKED_XZ },
	{ "xz", "xz --x86 --lzma2=preset=1 -c v", RFS_PACKED_XZ },
	{ "pixz", "rm -f out.pixz; pixz -1 -t v out.pixz && cat out.pixz",
	  RFS_PACKED_XZ },
	{ "zstd", "zstd -q -c v", RFS_PACKED_ZST },
	{ "zstd", "zstd -q -c <v", RFS_PACKED_ZST },
	{ "zstd", "zstd -q --no-check -c v", RFS_PACKED_ZST },
	{ "zstd",
	  "split -b 90000 v p. && for p in p.*; do zstd -qc $p; done; rm p.*",
	  RFS_PACKED_ZST },
	{ "zstd",
	  "split -b 90000 v p. && for p in p.*; do zstd -qc <$p; done; rm p.*",
	  RFS_PACKED_ZST },
	{ "pzstd", "pzstd -q -p 2 -c v", RFS_PACKED_ZST },
	{ "bzip2", "bzip2 -1c v", RFS_PACKED_BZ2 },
	{ "bzip2", "bzip2 -9c v", RFS_PACKED_BZ2 },
	{ "bzip2",
	  "head -c 1000003 v | bzip2 -3c; : | bzip2 -c; "
	  "tail -c +1000004 v | bzip2 -9c",
	  RFS_PACKED_BZ2 },
	{ "pbzip2", "pbzip2 -p2 -b2 -c v", RFS_PACKED_BZ2 },
};

#define NWAYS (sizeof(ways) / sizeof(*ways))

static void whole(void **state)
{
	struct kit_bytes volume = kit_volume(4500000);

	(void)state;
	for (size_t i = 0; i < NWAYS * 2; i++) {
		const struct way *w = &ways[i / 2];
		struct rfs_packed_config config = { .packing = w->packing };
		struct rfs_error err = RFS_ERROR_INIT;
		struct kit_bytes file;
		struct kit_disk disk = { .file = &file };
		struct rfs_reader *rd;

		if (!kit_has(w->tool)) {
			print_message("no %s: passed over\n", w->tool);
			continue;
		}
		config.expected_size = i % 2 ? volume.size : 0;
		file = kit_pack(&volume, w->cmd);
		if (kit_open(&disk, &config, &rd, &err) < 0)
			fail_msg("%s: %s", w->cmd, err.text);
		assert_int_equal(rfs_reader_size(rd), volume.size);
		if (kit_compare_all(rd, &volume, NULL) != 0)
			fail_msg("%s: some of it cannot be read", w->cmd);
		rfs_reader_unref(rd);
		kit_free(&file);
	}
	kit_free(&volume);
}

static void empty(void **state)
{
	static const struct way none[] = {
		{ "gzip", "gzip -c v", RFS_PACKED_GZ },
		{ "xz", "xz -c v", RFS_PACKED_XZ },
		{ "zstd", "zstd -qc v", RFS_PACKED_ZST },
		{ "bzip2", "bzip2 -c v", RFS_PACKED_BZ2 },
	};
	struct kit_bytes volume = { malloc(1), 0 }, file;

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		struct rfs_packed_config config = {
			.packing = none[i / 2].packing,
			.expected_size = i % 2 ? 5000 : 0,
		};
		struct kit_disk disk = { .file = &file };
		struct rfs_reader *rd;

		file = kit_pack(&volume, none[i / 2].cmd);
		assert_int_equal(kit_open(&disk, &config, &rd, NULL), 0);
		assert_int_equal(rfs_reader_size(rd), config.expected_size);
		/* What it should hold and does not is not zero. */
		assert_int_equal(kit_compare_all(rd, &volume, NULL),
				 config.expected_size);
		rfs_reader_unref(rd);
		kit_free(&file);
	}
	kit_free(&volume);
}

/* Larger and smaller than it should be. */
static void other_sizes(void **state)
{
	struct kit_bytes volume = kit_volume(2500000), file;
	static const int64_t off[] = { -700001, 600000 };

	(void)state;
	for (size_t i = 0; i < NWAYS * 2; i++) {
		const struct way *w = &ways[i / 2];
		struct rfs_packed_config config = { .packing = w->packing };
		struct kit_disk disk = { .file = &file };
		struct rfs_reader *rd;
		uint64_t want = off[i % 2] > 0 ? (uint64_t)off[i % 2] : 0;

		if (!kit_has(w->tool))
			continue;
		config.expected_size =
			(uint64_t)((int64_t)volume.size + off[i % 2]);
		file = kit_pack(&volume, w->cmd);
		assert_int_equal(kit_open(&disk, &config, &rd, NULL), 0);
		assert_int_equal(rfs_reader_size(rd), config.expected_size);
		if (kit_compare_all(rd, &volume, NULL) != want)
			fail_msg("%s: not what is in it is served", w->cmd);
		rfs_reader_unref(rd);
		kit_free(&file);
	}
	kit_free(&volume);
}

/* Another format than the name says, and none at all. */
static void names_lie(void **state)
{
	struct kit_bytes volume = kit_volume(5000);
	struct kit_bytes gz = kit_pack(&volume, "gzip -c v");
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_reader *rd;

	(void)state;
	for (int p = RFS_PACKED_XZ; p <= RFS_PACKED_BZ2; p++) {
		struct rfs_packed_config config = {
			.packing = (enum rfs_packing)p
		};
		struct kit_disk disk = { .file = &gz };

		assert_int_equal(kit_open(&disk, &config, &rd, &err), -EINVAL);
		assert_non_null(strstr(err.text, "begins with 1f 8b"));
	}
	struct rfs_packed_config config = { .packing = RFS_PACKED_GZ };
	struct kit_disk raw = { .file = &volume };

	volume.bytes[0] = 0;
	assert_int_equal(kit_open(&raw, &config, &rd, &err), -EINVAL);
	volume.size = 1;
	assert_int_equal(kit_open(&raw, &config, &rd, &err), -EINVAL);
	kit_free(&volume);
	kit_free(&gz);
}

/*
 * What is kept.
 */

struct scene {
	char *dir;
	struct rfs_state *st;
	struct rfs_notes notes;
	struct kit_bytes volume, file;
	struct kit_disk disk;
	struct rfs_packed_config config;
};

static void open_state(struct scene *s)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/state", s->dir);
	assert_int_equal(rfs_state_open(path, "test", &s->st, NULL), 0);
	s->config.state = s->st;
}

static void begin(struct scene *s, size_t size, const char *cmd,
		  enum rfs_packing packing)
{
	memset(s, 0, sizeof(*s));
	s->dir = test_mkdir();
	rfs_notes_init(&s->notes);
	s->volume = kit_volume(size);
	s->file = kit_pack(&s->volume, cmd);
	s->disk.file = &s->file;
	s->config = (struct rfs_packed_config){
		.packing = packing,
		.object = "backup:/disk",
		.generation = { s->file.size, 1234567 },
		.expected_size = size,
		.notes = &s->notes,
	};
	open_state(s);
}

static void finish(struct scene *s)
{
	rfs_state_close(s->st);
	rfs_notes_fini(&s->notes);
	kit_free(&s->volume);
	kit_free(&s->file);
	test_rmdir(s->dir);
}

/* Opens, reads all of it; compressed bytes that this took. */
static uint64_t read_it(struct scene *s)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_reader *rd;

	s->disk.asked = 0;
	if (kit_open(&s->disk, &s->config, &rd, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(kit_compare_all(rd, &s->volume, NULL), 0);
	rfs_reader_unref(rd);
	return s->disk.asked;
}

/* One small read; compressed bytes that it took. */
static uint64_t touch_it(struct scene *s)
{
	struct rfs_reader *rd;

	s->disk.asked = 0;
	assert_int_equal(kit_open(&s->disk, &s->config, &rd, NULL), 0);
	kit_compare(rd, &s->volume, rfs_range(s->volume.size - 5000, 4096),
		    NULL);
	rfs_reader_unref(rd);
	return s->disk.asked;
}

static void each_text(const char *text, void *data)
{
	char **all = data, *was = *all;

	assert_true(asprintf(all, "%s%s\n", was ? was : "", text) > 0);
	free(was);
}

static bool is_noted(struct scene *s, const char *part)
{
	char *all = NULL;
	bool found;

	rfs_notes_each(&s->notes, 0, each_text, &all);
	found = all && strstr(all, part);
	free(all);
	return found;
}

static void index_is_kept(void **state)
{
	static const struct way some[] = {
		{ "gzip", "gzip -1c v", RFS_PACKED_GZ },
		{ "bzip2", "bzip2 -1c v", RFS_PACKED_BZ2 },
		{ "zstd", "zstd -qc <v", RFS_PACKED_ZST },
	};
	struct scene s;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		begin(&s, 6000000, some[i].cmd, some[i].packing);
		s.config.expected_size = 0;
		assert_true(touch_it(&s) >= s.file.size);
		rfs_state_close(s.st);
		open_state(&s);
		/* zstd has one frame here, and no way in but its start. */
		assert_true(touch_it(&s) <
			    s.file.size * (i == 2 ? 2 : 1) / 2 + 300000);
		read_it(&s);
		/* Another file of that name. */
		s.config.generation.mtime_ns++;
		assert_true(touch_it(&s) >= s.file.size);
		finish(&s);
	}
}

static void index_files(struct scene *s, const char *cmd)
{
	char line[600];

	snprintf(line, sizeof(line),
		 "cd %s/state/data && for f in *; do "
		 "[ \"$(head -c 7 $f)\" = rfspack ] || continue; %s; done",
		 s->dir, cmd);
	assert_int_equal(system(line), 0);
}

/* In each of its parts; nothing of it is believed. */
static void damaged_index(void **state)
{
	static const char *const hurt[] = {
		"printf x | dd of=$f bs=1 seek=40 conv=notrunc status=none",
		"printf x | dd of=$f bs=1 seek=70 conv=notrunc status=none",
		"truncate -s 700 $f",
		("n=$(stat -c %s $f); printf xyz | dd of=$f bs=1 "
		 "seek=$((n - 60)) conv=notrunc status=none"),
		"truncate -s 0 $f",
	};
	struct scene s;

	(void)state;
	for (size_t i = 0; i < sizeof(hurt) / sizeof(*hurt); i++) {
		begin(&s, 3000000, "gzip -c v", RFS_PACKED_GZ);
		read_it(&s);
		index_files(&s, hurt[i]);
		assert_true(read_it(&s) >= s.file.size);
		assert_true(touch_it(&s) < s.file.size);
		finish(&s);
	}
	/* The notes of a piece, which are looked at when it is read. */
	begin(&s, 6000000, "gzip -c v", RFS_PACKED_GZ);
	read_it(&s);
	index_files(&s, "n=$(stat -c %s $f); printf xyzabc | dd of=$f bs=1 "
			"seek=$((n / 2)) conv=notrunc status=none");
	read_it(&s);
	assert_true(is_noted(&s, "is damaged, and is built anew"));
	finish(&s);
}

/* Whoever reads while it is built waits for it, and all get the same. */
struct job {
	struct rfs_reader *rd;
	const struct kit_bytes *volume;
	unsigned seed;
};

static void *read_some(void *data)
{
	struct job *j = data;
	uint64_t seed = j->seed, off;
	uint8_t buf[4096];

	for (int i = 0; i < 200; i++) {
		off = test_random(&seed) % (j->volume->size - sizeof(buf));
		if (rfs_reader_read(j->rd, rfs_range(off, sizeof(buf)), buf,
				    NULL, NULL) < 0 ||
		    memcmp(buf, j->volume->bytes + off, sizeof(buf)) != 0)
			return j;
	}
	return NULL;
}

static void many_threads(void **state)
{
	static const struct way some[] = {
		{ "gzip", "gzip -c v", RFS_PACKED_GZ },
		{ "bzip2", "bzip2 -1c v", RFS_PACKED_BZ2 },
		{ "xz", "xz -1 --block-size=200000 -c v", RFS_PACKED_XZ },
	};
	pthread_t threads[8];
	struct job jobs[8];
	struct rfs_reader *rd;
	struct scene s;
	void *failed;

	(void)state;
	for (size_t k = 0; k < 3; k++) {
		begin(&s, 5000000, some[k].cmd, some[k].packing);
		assert_int_equal(kit_open(&s.disk, &s.config, &rd, NULL), 0);
		assert_true(s.disk.asked < 4096);
		for (unsigned i = 0; i < 8; i++) {
			jobs[i] = (struct job){ rd, &s.volume, i };
			pthread_create(&threads[i], NULL, read_some, &jobs[i]);
		}
		for (unsigned i = 0; i < 8; i++) {
			pthread_join(threads[i], &failed);
			assert_null(failed);
		}
		rfs_reader_unref(rd);
		finish(&s);
	}
}

/* A source that is late is asked again later, and nothing is remembered. */
static void late(void **state)
{
	struct rfs_ranges bad = { 0 };
	struct rfs_reader *rd;
	struct scene s;
	uint8_t buf[100];

	(void)state;
	begin(&s, 3000000, "gzip -c v", RFS_PACKED_GZ);
	assert_int_equal(kit_open(&s.disk, &s.config, &rd, NULL), 0);
	s.disk.late = 1;
	assert_int_equal(
		rfs_reader_read(rd, rfs_range(2000000, 100), buf, &bad, NULL),
		-ETIMEDOUT);
	rfs_ranges_fini(&bad);
	assert_int_equal(kit_compare_all(rd, &s.volume, NULL), 0);
	rfs_reader_unref(rd);
	s.disk.late = 0;
	/* And late where a piece is read, its index known. */
	assert_int_equal(kit_open(&s.disk, &s.config, &rd, NULL), 0);
	s.disk.late = 1;
	assert_int_equal(
		rfs_reader_read(rd, rfs_range(2000000, 100), buf, NULL, NULL),
		-ETIMEDOUT);
	assert_int_equal(kit_compare_all(rd, &s.volume, NULL), 0);
	rfs_reader_unref(rd);
	finish(&s);
}

static void stopped(void **state)
{
	struct rfs_packed_pool *pool;
	struct rfs_reader *rd;
	struct scene s;
	uint8_t b;

	(void)state;
	begin(&s, 3000000, "gzip -c v", RFS_PACKED_GZ);
	assert_int_equal(rfs_packed_pool_new(&pool, NULL), 0);
	s.config.pool = pool;
	assert_int_equal(kit_open(&s.disk, &s.config, &rd, NULL), 0);
	rfs_packed_pool_stop(pool);
	assert_int_equal(rfs_reader_read(rd, rfs_range(0, 1), &b, NULL, NULL),
			 -EINTR);
	rfs_reader_unref(rd);
	rfs_packed_pool_free(pool);
	finish(&s);
}

static atomic_uint told;

static void count_told(void *data, uint64_t done, uint64_t total)
{
	assert_true(done <= total);
	assert_ptr_equal(data, &told);
	told++;
}

/*
 * Pieces too large for memory.
 */

static void large_pieces(void **state)
{
	static const struct way one[] = {
		{ "xz", "xz -0 -c v", RFS_PACKED_XZ },
		{ "zstd", "zstd -q -1 -c v", RFS_PACKED_ZST },
	};
	struct scene s;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		begin(&s, 60000000, one[i].cmd, one[i].packing);
		s.config.progress = count_told;
		s.config.progress_data = &told;
		told = 0;
		assert_true(touch_it(&s) >= s.file.size);
		assert_true(told > 3);
		assert_true(is_noted(&s, "unpacked into the state directory"));
		rfs_state_close(s.st);
		open_state(&s);
		/* Not unpacked again. */
		assert_true(read_it(&s) < 4096 + 64 * 1024);
		/* What lies there is of another file. */
		s.config.generation.mtime_ns++;
		assert_true(touch_it(&s) >= s.file.size);
		read_it(&s);
		finish(&s);
	}
}

static void large_without_state(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_reader *rd;
	struct scene s;
	uint8_t b;

	(void)state;
	begin(&s, 60000000, "xz -0 -c v", RFS_PACKED_XZ);
	s.config.state = NULL;
	assert_int_equal(kit_open(&s.disk, &s.config, &rd, NULL), 0);
	assert_int_equal(rfs_reader_read(rd, rfs_range(0, 1), &b, NULL, &err),
			 -ENOTSUP);
	assert_non_null(strstr(err.text, "--state"));
	rfs_reader_unref(rd);
	finish(&s);
}

/* Half of it was written when the process was killed: it begins anew, and what
 * was there does not show. */
static void half_unpacked(void **state)
{
	struct scene s;
	char line[400];

	(void)state;
	begin(&s, 60000000, "xz -0 -c v", RFS_PACKED_XZ);
	read_it(&s);
	rfs_state_close(s.st);
	snprintf(line, sizeof(line),
		 "cd %s/state && python3 -c \"import sqlite3; "
		 "c = sqlite3.connect('known.db'); "
		 "c.execute('delete from map'); c.commit()\" && "
		 "for f in data/*; do s=$(stat -c %%s $f); "
		 "[ $s -gt 1000000 ] || continue; "
		 "yes | head -c $s | dd of=$f conv=notrunc status=none; done",
		 s.dir);
	assert_int_equal(system(line), 0);
	open_state(&s);
	assert_true(read_it(&s) >= s.file.size - 1000);
	finish(&s);
}

/*
 * Bombs.
 */

static void bombs(void **state)
{
	static const struct way some[] = {
		{ "gzip", "head -c 3000M /dev/zero | gzip -1c", RFS_PACKED_GZ },
		{ "bzip2", "head -c 600M /dev/zero | bzip2 -1c",
		  RFS_PACKED_BZ2 },
		{ "zstd", "head -c 3000M /dev/zero | zstd -qc",
		  RFS_PACKED_ZST },
		{ "xz", "head -c 600M /dev/zero | xz -0c", RFS_PACKED_XZ },
	};
	struct kit_bytes none = { malloc(1), 0 };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct scene s;
		struct rfs_reader *rd;
		struct rfs_error err = RFS_ERROR_INIT;
		uint8_t buf[4096];
		struct stat st;
		char path[300];
		int r;

		begin(&s, 1000000, some[i].cmd, some[i].packing);
		assert_int_equal(kit_open(&s.disk, &s.config, &rd, &err), 0);
		r = rfs_reader_read(rd, rfs_range(500000, 4096), buf, NULL,
				    &err);
		/* Zeros are what it holds; that is said, or nothing is. */
		for (size_t k = 0; k < sizeof(buf) && r == 0; k++)
			assert_int_equal(buf[k], 0);
		assert_true(r == 0 || r == -EIO);
		/* What is proved is served while the rest is looked at. */
		for (int t = 0; t < 200 && !is_noted(&s, "more than"); t++)
			usleep(50000);
		assert_true(is_noted(&s, "more than"));
		rfs_reader_unref(rd);
		snprintf(path, sizeof(path), "%s/state/data", s.dir);
		assert_int_equal(stat(path, &st), 0);
		finish(&s);
	}
	kit_free(&none);
}

static void memory_limits(void **state)
{
	static const struct way some[] = {
		{ "xz", "xz --lzma2=preset=0,dict=1GiB -c v", RFS_PACKED_XZ },
		{ "zstd", "zstd -q --ultra --long=31 -c <v", RFS_PACKED_ZST },
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct scene s;
		struct rfs_reader *rd;
		struct rfs_error err = RFS_ERROR_INIT;
		uint8_t b;

		begin(&s, 300000, some[i].cmd, some[i].packing);
		assert_int_equal(kit_open(&s.disk, &s.config, &rd, &err), 0);
		assert_int_equal(
			rfs_reader_read(rd, rfs_range(0, 1), &b, NULL, &err),
			-ENOTSUP);
		assert_non_null(strstr(err.text, "pack it anew"));
		rfs_reader_unref(rd);
		finish(&s);
	}
}

/* What is known to be zero is told without reading. */
static void holes(void **state)
{
	struct rfs_extents got = { 0 };
	struct kit_bytes file;
	struct kit_disk disk = { .file = &file };
	struct rfs_packed_config config = { .packing = RFS_PACKED_GZ };
	struct kit_bytes volume = kit_volume(1000000);
	struct rfs_reader *rd;
	uint64_t holes = 0;

	(void)state;
	file = kit_pack(&volume, "{ cat v; head -c 99000000 /dev/zero; } | "
				 "gzip -1c");
	assert_int_equal(kit_open(&disk, &config, &rd, NULL), 0);
	assert_int_equal(rfs_reader_size(rd), 100000000);
	assert_int_equal(
		rfs_reader_extents(rd, rfs_range(0, 100000000), &got, NULL), 0);
	for (size_t i = 0; i < got.count; i++) {
		if (got.items[i].content == RFS_HOLE) {
			assert_true(got.items[i].range.off >= 999000);
			holes += got.items[i].range.len;
		}
	}
	assert_true(holes > 80000000);
	assert_true(rfs_reader_allocated(rd) < 20000000);
	rfs_extents_fini(&got);
	rfs_reader_unref(rd);
	kit_free(&file);
	kit_free(&volume);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),
		cmocka_unit_test(empty),
		cmocka_unit_test(other_sizes),
		cmocka_unit_test(names_lie),
		cmocka_unit_test(index_is_kept),
		cmocka_unit_test(damaged_index),
		cmocka_unit_test(many_threads),
		cmocka_unit_test(late),
		cmocka_unit_test(stopped),
		cmocka_unit_test(large_pieces),
		cmocka_unit_test(large_without_state),
		cmocka_unit_test(half_unpacked),
		cmocka_unit_test(bombs),
		cmocka_unit_test(memory_limits),
		cmocka_unit_test(holes),
	};
	int r;

	kit_state = test_seed();
	kit_dir = test_mkdir();
	r = cmocka_run_group_tests(tests, NULL, NULL);
	test_rmdir(kit_dir);
	return r;
}
