// SPDX-License-Identifier: GPL-3.0-or-later
/* The cache of L2 tables, with more tables than it holds: a table of 256 KiB maps
 * 8 GiB, and 64 of them are the 16 MiB it may take. */
#include <pthread.h>

#include "qcow2_kit.h"

#define SPAN   (8ull << 30)
#define PLACES 96
#define HELD   64
#define LEN    4096

static struct kit_disk *disk;
static struct rfs_reader *rd;

/* Each table maps one cluster, of its own bytes. */
static int make_image(void **state)
{
	FILE *f;
	char path[128];

	(void)state;
	kit_begin();
	kit_must("qemu-img create -q -f qcow2 -o cluster_size=256k top %llu",
		 PLACES * SPAN);
	snprintf(path, sizeof(path), "%s/commands", kit_dir);
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < PLACES; i++)
		fprintf(f, "write -P %d %llu %d\n", i + 1, i * SPAN, LEN);
	fclose(f);
	kit_must("qemu-io -f qcow2 top <commands >/dev/null");
	return 0;
}

static int remove_image(void **state)
{
	(void)state;
	kit_end();
	return 0;
}

static int open_image(void **state)
{
	struct rfs_qcow2_parts parts = { 0 };

	(void)state;
	parts.file = kit_file("top", &disk);
	assert_int_equal(rfs_qcow2_open(&parts, &rd, NULL), 0);
	rfs_reader_unref(parts.file);
	disk->reads = 0;
	return 0;
}

static int close_image(void **state)
{
	(void)state;
	rfs_reader_unref(rd);
	return 0;
}

/* 0: its bytes; or an error that says they cannot be had; 1: others. */
static int read_place(unsigned int i)
{
	uint8_t buf[LEN];
	struct rfs_ranges bad = { 0 };
	int r = rfs_reader_read(rd, rfs_range(i * SPAN, LEN), buf, &bad, NULL);

	rfs_ranges_fini(&bad);
	if (r == -EIO || r == -ETIMEDOUT)
		return r;
	for (size_t at = 0; at < LEN && !r; at++)
		r = buf[at] != i + 1;
	return r != 0;
}

static void a_table_is_read_once_while_it_is_held(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		disk->reads = 0;
		for (unsigned int i = 0; i < HELD; i++)
			assert_int_equal(read_place(i), 0);
		assert_int_equal(disk->reads, round ? HELD : 2 * HELD);
	}
}

static void what_is_wanted_again_stays(void **state)
{
	unsigned int n = 10 * PLACES;

	(void)state;
	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(read_place(0), 0);
		assert_int_equal(read_place(1 + i % (PLACES - 1)), 0);
	}
	/* The one table once, each of the others each time, and the bytes. */
	assert_in_range(disk->reads, 1, 1 + n + 2 * n);
}

static atomic_bool is_over;
static atomic_uint wrong, missed;

static void *wander(void *data)
{
	uint64_t s = *(uint64_t *)data;
	int r;

	for (int i = 0; i < 3000 && !atomic_load(&is_over); i++) {
		s = s * 6364136223846793005ull + 1442695040888963407ull;
		r = read_place((unsigned int)(s >> 33) % PLACES);
		atomic_fetch_add(&wrong, r > 0);
		atomic_fetch_add(&missed, r < 0);
	}
	return NULL;
}

#define WANDERERS 4

static void begin_wandering(pthread_t *threads, uint64_t *seeds)
{
	atomic_store(&is_over, false);
	atomic_store(&wrong, 0);
	atomic_store(&missed, 0);
	for (int i = 0; i < WANDERERS; i++) {
		seeds[i] = kit_random();
		assert_int_equal(
			pthread_create(&threads[i], NULL, wander, &seeds[i]),
			0);
	}
}

static void end_wandering(const pthread_t *threads)
{
	for (int i = 0; i < WANDERERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(wrong, 0);
}

static void many_threads_find_what_others_dropped(void **state)
{
	pthread_t threads[WANDERERS];
	uint64_t seeds[WANDERERS];

	(void)state;
	begin_wandering(threads, seeds);
	end_wandering(threads);
	assert_int_equal(missed, 0);
	/* It holds no more than it may: the others are read now. */
	disk->reads = 0;
	for (unsigned int i = 0; i < PLACES; i++)
		assert_int_equal(read_place(i), 0);
	assert_in_range(disk->reads, PLACES + (PLACES - HELD), 2 * PLACES);
}

/* How the entries of every table can be read from now on. */
static void set_tables(uint8_t how)
{
	const uint8_t *l1 = disk->bytes + kit_get64(disk->bytes + 40);

	for (int i = 0; i < PLACES; i++)
		disk->bad[(kit_get64(l1 + 8 * i) & 0xfffffffffffe00) /
			  RFS_SECTOR] = how;
}

/* Lost, late and well again beneath those who read: nobody gets wrong bytes, and
 * when all is well everybody gets the right ones. */
static void tables_are_renewed_beneath_readers(void **state)
{
	const uint8_t lost = 1;
	pthread_t threads[WANDERERS];
	uint64_t seeds[WANDERERS];

	(void)state;
	set_tables(lost);
	assert_int_equal(read_place(5), -EIO);
	begin_wandering(threads, seeds);
	for (int i = 0; i < 300; i++) {
		set_tables(i % 3 == 0 ? lost : i % 3 == 1 ? KIT_LATE : 0);
		assert_int_equal(rfs_reader_renew(rd, NULL), 0);
		usleep(300);
	}
	atomic_store(&is_over, true);
	end_wandering(threads);
	assert_int_not_equal(missed, 0);
	set_tables(0);
	assert_int_equal(rfs_reader_renew(rd, NULL), 0);
	for (unsigned int i = 0; i < PLACES; i++)
		assert_int_equal(read_place(i), 0);
}

static void heal_and_renew(struct kit_disk *d)
{
	d->on_read = NULL;
	set_tables(0);
	assert_int_equal(rfs_reader_renew(rd, NULL), 0);
}

/* Whoever renews cannot see a table that is not there yet. */
static void a_table_lost_while_all_is_renewed_is_not_kept(void **state)
{
	(void)state;
	set_tables(1);
	disk->on_read = heal_and_renew;
	assert_int_equal(read_place(7), -EIO);
	assert_int_equal(read_place(7), 0);
}

#define on_image(test)                                                         \
	cmocka_unit_test_setup_teardown(test, open_image, close_image)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_image(a_table_is_read_once_while_it_is_held),
		on_image(what_is_wanted_again_stays),
		on_image(many_threads_find_what_others_dropped),
		on_image(tables_are_renewed_beneath_readers),
		on_image(a_table_lost_while_all_is_renewed_is_not_kept),
	};

	return cmocka_run_group_tests(tests, make_image, remove_image);
}
