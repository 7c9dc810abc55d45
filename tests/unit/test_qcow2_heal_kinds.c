// SPDX-License-Identifier: GPL-3.0-or-later
/* Healing of images that QEMU made: compressed clusters, subclusters, refcounts of
 * other widths, a backing file. */
#include "qcow2_heal_kit.h"

/* 'make' makes "a" of 8 MiB, 'go_on' writes to it after "copy" was taken. */
static void begin(struct heal_scene *c, const char *make, const char *go_on)
{
	uint8_t *bytes;
	uint64_t size;

	*c = (struct heal_scene){ .ncopies = 1 };
	kit_must("%s && cp a copy && %s && qemu-img convert -f qcow2 -O raw a "
		 "truth",
		 make, go_on);
	bytes = kit_slurp("copy", &size);
	c->copies[0] = kit_reader(bytes, size, "copy", &c->copy_disks[0]);
	bytes = kit_slurp("a", &size);
	c->file = kit_reader(bytes, size, "damaged", &c->disk);
	c->sim.truth = kit_slurp("truth", &c->sim.size);
}

/* Loses the L2 table 'index', by the image's own L1 table. */
static void lose_table(struct heal_scene *c, uint64_t index)
{
	const uint8_t *p = c->disk->bytes;
	uint64_t off = kit_get64(p + kit_get64(p + 40) + index * 8);

	assert_true(off & SIM_OFFSET);
	heal_spoil(c->disk, off & SIM_OFFSET, 1ull << kit_get32(p + 20));
}

static void end(struct heal_scene *c, struct heal_sums *sums)
{
	heal_sum(c, sums);
	heal_close(c);
	heal_end(c);
	assert_int_equal(sums->wrong_own + sums->wrong_proved, 0);
}

/* 64 clusters are compressed; 8 of them are then written, which moves them. */
static void compressed(void **state)
{
	struct heal_scene c;
	struct heal_sums sums = { 0 };

	(void)state;
	begin(&c,
	      "qemu-img convert -c -f raw -O qcow2 -o cluster_size=4k words a",
	      "qemu-io -f qcow2 -c 'write -q -P 7 64k 32k' a");
	lose_table(&c, 0);
	assert_int_equal(heal_open(&c, NULL, false), 0);
	end(&c, &sums);
	/* Those whose host clusters lost nobody are what they were. */
	assert_true(sums.proved + sums.unproved > 100 * 8);
	assert_int_equal(sums.wrong_unproved, 0);
}

/* None was written since: they are as they were, to the last of them. */
static void compressed_and_kept(void **state)
{
	struct heal_scene c;
	struct heal_sums sums = { 0 };

	(void)state;
	begin(&c,
	      "qemu-img convert -c -f raw -O qcow2 -o cluster_size=4k words a",
	      "true");
	lose_table(&c, 0);
	assert_int_equal(heal_open(&c, NULL, false), 0);
	end(&c, &sums);
	assert_true(sums.proved > 100 * 8);
	assert_int_equal(sums.unproved, 0);
}

/* Subclusters that had data have it still; of the others nothing is known. */
static void subclusters(void **state)
{
	struct heal_scene c;
	struct heal_sums sums = { 0 };

	(void)state;
	begin(&c,
	      "qemu-img create -q -f qcow2 -o cluster_size=16k,extended_l2=on "
	      "a 24M && qemu-io -f qcow2 -c 'write -q -P 1 0 8k' -c "
	      "'write -q -P 2 100k 300k' -c 'write -q -P 3 20M 64k' a",
	      "qemu-io -f qcow2 -c 'write -q -P 4 8k 4k' -c "
	      "'write -q -P 5 104k 4k' a");
	lose_table(&c, 0);
	assert_int_equal(heal_open(&c, NULL, false), 0);
	end(&c, &sums);
	assert_int_equal(sums.proved, (8 + 300) * 2);
}

static void refcounts(void **state)
{
	static const int bits[] = { 1, 8, 64 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		char make[256];
		struct heal_scene c;
		struct heal_sums sums = { 0 };

		snprintf(make, sizeof(make),
			 "qemu-img create -q -f qcow2 -o cluster_size=4k,"
			 "refcount_bits=%d a 8M && qemu-io -f qcow2 -c "
			 "'write -q -P 1 0 200k' -c 'write -q -P 3 4M 64k' a",
			 bits[i]);
		begin(&c, make,
		      "qemu-io -f qcow2 -c 'write -q -P 4 8k 300k' a");
		lose_table(&c, 0);
		assert_int_equal(heal_open(&c, NULL, false), 0);
		end(&c, &sums);
		assert_int_equal(sums.proved, 200 * 2);
	}
}

/* QEMU's own snapshot, made and deleted, and its own discard. */
static void moved_by_qemu(void **state)
{
	static const char snapshot[] =
		"qemu-img snapshot -c s a && qemu-io -f qcow2 -c "
		"'write -q -P 9 0 2M' a && qemu-img snapshot -d s a && "
		"qemu-io -f qcow2 -c 'write -q -P 8 3M 512k' a";
	static const char discard[] =
		"qemu-io -f qcow2 -d unmap -c 'discard -q 2M 64k' a && "
		"qemu-io -f qcow2 -d unmap -c 'discard -q 4k 64k' a && "
		"qemu-io -f qcow2 -c 'write -q -P 8 3M 512k' a";
	static const char zeroes[] =
		"qemu-io -f qcow2 -c 'write -q -z 2M 64k' a && "
		"qemu-io -f qcow2 -c 'write -q -z 4k 64k' a";
	const char *const moves[] = { snapshot, discard, zeroes };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct heal_scene c;
		struct heal_sums sums = { 0 };

		begin(&c,
		      "qemu-img create -q -f qcow2 -o cluster_size=4k a 8M && "
		      "qemu-io -f qcow2 -c 'write -q -P 1 0 200k' -c "
		      "'write -q -P 3 2M 64k' a",
		      moves[i]);
		lose_table(&c, 0);
		assert_int_equal(heal_open(&c, NULL, false), 0);
		end(&c, &sums);
		assert_int_equal(sums.proved, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compressed),
		cmocka_unit_test(compressed_and_kept),
		cmocka_unit_test(subclusters),
		cmocka_unit_test(refcounts),
		cmocka_unit_test(moved_by_qemu),
	};
	int failed;

	kit_begin();
	kit_make("words", 1 << 20, 4);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	kit_end();
	return failed;
}
