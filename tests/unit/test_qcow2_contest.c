// SPDX-License-Identifier: GPL-3.0-or-later
/* Clusters that two entries claim: refused where the image is known to be damaged,
 * told apart by a copy, and nothing to an image that is whole. */
#include "qcow2_heal_kit.h"

#define BITS 10
#define SPAN (1ull << (2 * BITS - 3))
#define CS   (1ull << BITS)

/* Four L2 tables of 20 clusters each; the last, and the L1 table, are in a backup. */
static void begin(struct heal_scene *c)
{
	*c = (struct heal_scene){ 0 };
	sim_new(&c->sim, 3, BITS, 4 * SPAN);
	for (uint64_t t = 0; t < 4; t++)
		for (uint64_t i = 0; i < 20; i++)
			sim_write(&c->sim, t * SPAN + i * CS);
}

static void end(struct heal_scene *c)
{
	heal_close(c);
	heal_end(c);
}

static uint64_t entry_at(const struct heal_scene *c, uint64_t table, uint64_t i)
{
	return heal_l2(c, table) + i * 8;
}

/* A sector of a table is lost that maps nothing the tests look at. */
static void lose_a_sector(struct heal_scene *c)
{
	heal_spoil(c->disk, heal_l2(c, 3) + 512, 512);
}

static void mark_corrupt(struct heal_scene *c)
{
	c->disk->bytes[79] |= 2;
}

/* The entry 'i' of table 2 leads where that of table 1 does. */
static void contest(struct heal_scene *c, uint64_t i)
{
	kit_put64(c->disk->bytes + entry_at(c, 2, i),
		  kit_get64(c->disk->bytes + entry_at(c, 1, i)));
}

/* Whatever is read first. */
static void see_damage(struct heal_scene *c)
{
	assert_int_equal(heal_look(c, c->image, 3 * SPAN + 70 * CS), 0);
}

static void both_are_refused(void **state)
{
	struct heal_scene c;

	(void)state;
	begin(&c);
	heal_die(&c);
	contest(&c, 7);
	lose_a_sector(&c);
	assert_int_equal(heal_open(&c, NULL, false), 0);
	see_damage(&c);
	assert_int_equal(heal_look(&c, c.image, SPAN + 7 * CS), 0);
	assert_int_equal(heal_look(&c, c.image, 2 * SPAN + 7 * CS), 0);
	for (uint64_t t = 0; t < 3; t++)
		for (uint64_t i = 0; i < 20; i++)
			if (i != 7)
				assert_int_equal(heal_look(&c, c.image,
							   t * SPAN + i * CS),
						 1);
	assert_int_equal(kit_noted(&c.notes, "another claims too"), 1);
	end(&c);
}

/* QEMU marks an image when it finds that it would write over a table. */
static void a_mark_is_enough(void **state)
{
	struct heal_scene c;

	(void)state;
	begin(&c);
	heal_die(&c);
	contest(&c, 7);
	mark_corrupt(&c);
	assert_int_equal(heal_open(&c, NULL, false), 0);
	assert_int_equal(heal_look(&c, c.image, SPAN + 7 * CS), 0);
	assert_int_equal(heal_look(&c, c.image, 2 * SPAN + 7 * CS), 0);
	assert_int_equal(heal_look(&c, c.image, 2 * SPAN + 8 * CS), 1);
	end(&c);
}

/* No table is read that was not asked for. */
static void a_whole_image_pays_nothing(void **state)
{
	struct heal_scene c;
	unsigned int reads;

	(void)state;
	begin(&c);
	heal_die(&c);
	assert_int_equal(heal_open(&c, NULL, false), 0);
	reads = c.disk->reads;
	assert_int_equal(heal_look(&c, c.image, SPAN + 7 * CS), 1);
	assert_int_equal(c.disk->reads - reads, 2); /* its table, its data */
	end(&c);
}

/* Once, and each table once. */
static void what_it_costs(void **state)
{
	struct heal_scene c;
	unsigned int reads;

	(void)state;
	begin(&c);
	heal_die(&c);
	mark_corrupt(&c);
	assert_int_equal(heal_open(&c, NULL, false), 0);
	reads = c.disk->reads;
	assert_int_equal(heal_look(&c, c.image, SPAN + 7 * CS), 1);
	/* Four L2 tables, the refcount table and its one block, the data. */
	assert_int_equal(c.disk->reads - reads, 4 + 2 + 1);
	reads = c.disk->reads;
	assert_int_equal(heal_look(&c, c.image, 2 * SPAN + 7 * CS), 1);
	assert_int_equal(c.disk->reads - reads, 1);
	end(&c);
}

/* The copy knows whose the cluster is, and where the other one's lies. */
static void a_copy_tells(void **state)
{
	struct heal_scene c;
	struct rfs_qcow2_testimony says;

	(void)state;
	begin(&c);
	heal_backup(&c);
	sim_write(&c.sim, 2 * SPAN + 30 * CS);
	heal_die(&c);
	contest(&c, 7);
	/* Not in the copy: what it leads to is, and the other is told by it. */
	kit_put64(c.disk->bytes + entry_at(&c, 2, 30),
		  kit_get64(c.disk->bytes + entry_at(&c, 1, 9)));
	lose_a_sector(&c);
	assert_int_equal(heal_open(&c, NULL, false), 0);
	see_damage(&c);
	for (uint64_t t = 1; t < 3; t++) {
		assert_int_equal(heal_look(&c, c.image, t * SPAN + 7 * CS), 0);
		assert_int_equal(heal_look(&c, c.proved[0], t * SPAN + 7 * CS),
				 1);
	}
	assert_int_equal(heal_look(&c, c.image, SPAN + 9 * CS), 0);
	assert_int_equal(heal_look(&c, c.proved[0], SPAN + 9 * CS), 1);
	assert_int_equal(heal_look(&c, c.image, 2 * SPAN + 30 * CS), 0);
	assert_int_equal(heal_look(&c, c.proved[0], 2 * SPAN + 30 * CS), 0);
	rfs_qcow2_healing_testimony(c.healing, 0, &says);
	assert_int_equal(says.verdict, RFS_QCOW2_PROVED);
	assert_int_equal(says.contradict, 0);
	end(&c);
}

/* Both were written since: nobody knows. */
static void a_copy_that_does_not_know(void **state)
{
	struct heal_scene c;

	(void)state;
	begin(&c);
	heal_backup(&c);
	sim_write(&c.sim, SPAN + 30 * CS);
	sim_write(&c.sim, 2 * SPAN + 30 * CS);
	heal_die(&c);
	contest(&c, 30);
	lose_a_sector(&c);
	assert_int_equal(heal_open(&c, NULL, false), 0);
	see_damage(&c);
	for (uint64_t t = 1; t < 3; t++) {
		uint64_t at = t * SPAN + 30 * CS;

		assert_int_equal(heal_look(&c, c.image, at), 0);
		assert_int_equal(heal_look(&c, c.proved[0], at), 0);
		assert_int_equal(heal_look(&c, c.unproved[0], at), 0);
	}
	end(&c);
}

/* Refcounts that count both say that it is not one entry's. */
static void a_refcount_of_two(void **state)
{
	struct heal_scene c;
	uint64_t cluster;

	(void)state;
	begin(&c);
	heal_backup(&c);
	heal_die(&c);
	contest(&c, 7);
	cluster = (kit_get64(c.disk->bytes + entry_at(&c, 1, 7)) & SIM_OFFSET) /
		  CS;
	c.disk->bytes[c.sim.blocks[0] + cluster * 2 + 1] = 2;
	lose_a_sector(&c);
	assert_int_equal(heal_open(&c, NULL, false), 0);
	see_damage(&c);
	assert_int_equal(heal_look(&c, c.proved[0], SPAN + 7 * CS), 0);
	assert_int_equal(heal_look(&c, c.unproved[0], SPAN + 7 * CS), 0);
	assert_int_equal(heal_look(&c, c.unproved[0], 2 * SPAN + 7 * CS), 1);
	end(&c);
}

/* Tables --------------------------------------------------------------- */

static void two_lead_to_one_table(void **state)
{
	for (int copies = 0; copies < 2; copies++) {
		struct heal_scene c;

		(void)state;
		begin(&c);
		if (copies)
			heal_backup(&c);
		heal_die(&c);
		kit_put64(c.disk->bytes + c.sim.l1_off + 2 * 8,
			  heal_l2(&c, 1) | SIM_COPIED);
		mark_corrupt(&c);
		assert_int_equal(heal_open(&c, NULL, false), 0);
		for (uint64_t t = 0; t < 4; t++) {
			uint64_t at = t * SPAN + 7 * CS;
			bool odd = t == 1 || t == 2;

			assert_int_equal(heal_look(&c, c.image, at), !odd);
			assert_int_equal(heal_look(&c, c.proved[0], at),
					 odd && copies);
		}
		end(&c);
	}
}

/* What makes sense as a table is one; the entry that takes it for data is wrong. */
static void a_table_taken_for_data(void **state)
{
	struct heal_scene c;

	(void)state;
	begin(&c);
	heal_die(&c);
	kit_put64(c.disk->bytes + entry_at(&c, 1, 7),
		  heal_l2(&c, 2) | SIM_COPIED);
	kit_put64(c.disk->bytes + entry_at(&c, 1, 8),
		  c.sim.blocks[0] | SIM_COPIED);
	mark_corrupt(&c);
	assert_int_equal(heal_open(&c, NULL, false), 0);
	assert_int_equal(heal_look(&c, c.image, SPAN + 7 * CS), 0);
	assert_int_equal(heal_look(&c, c.image, SPAN + 8 * CS), 0);
	for (uint64_t i = 0; i < 20; i++)
		assert_int_equal(heal_look(&c, c.image, 2 * SPAN + i * CS), 1);
	end(&c);
}

/* An L1 entry that leads to data: zeros there would read as a disk never written. */
static void data_taken_for_a_table(void **state)
{
	for (int copies = 0; copies < 2; copies++) {
		struct heal_scene c;
		uint64_t host;

		(void)state;
		begin(&c);
		if (copies)
			heal_backup(&c);
		host = kit_get64(c.sim.file + heal_l2(&c, 1) + 7 * 8) &
		       SIM_OFFSET;
		memset(c.sim.file + host, 0, CS);
		memset(c.sim.truth + SPAN + 7 * CS, 0, CS);
		heal_die(&c);
		kit_put64(c.disk->bytes + c.sim.l1_off + 2 * 8,
			  host | SIM_COPIED);
		mark_corrupt(&c);
		assert_int_equal(heal_open(&c, NULL, false), 0);
		assert_int_equal(heal_look(&c, c.image, 2 * SPAN), 0);
		assert_int_equal(heal_look(&c, c.image, SPAN + 7 * CS), 0);
		assert_int_equal(heal_look(&c, c.image, SPAN + 8 * CS), 1);
		assert_int_equal(heal_look(&c, c.proved[0], 2 * SPAN), copies);
		assert_int_equal(heal_look(&c, c.proved[0], SPAN + 7 * CS),
				 copies);
		end(&c);
	}
}

/* What is shared by right --------------------------------------------- */

static void a_snapshot(void **state)
{
	struct heal_scene c;
	struct heal_sums sums = { 0 };

	(void)state;
	begin(&c);
	sim_snapshot(&c.sim);
	sim_write(&c.sim, SPAN + 7 * CS);
	heal_die(&c);
	mark_corrupt(&c);
	assert_int_equal(heal_open(&c, NULL, false), 0);
	heal_sum(&c, &sums);
	assert_int_equal(sums.own, c.sim.size / 512);
	assert_int_equal(sums.wrong_own, 0);
	end(&c);
}

/* Compressed clusters lie many in one; QEMU's own images, marked corrupt. */
static void images_of_qemu(void **state)
{
	static const char *const make[] = {
		"qemu-img convert -q -c -f raw -O qcow2 raw a",
		"qemu-img convert -q -f raw -O qcow2 -o "
		"cluster_size=512,refcount_bits=1 raw a",
		"qemu-img convert -q -f raw -O qcow2 -o "
		"extended_l2=on,cluster_size=16k raw a",
		"qemu-img convert -q -c -f raw -O qcow2 -o "
		"cluster_size=4k raw a && qemu-img bitmap --add a b0 && "
		"qemu-io -f qcow2 -c 'write -P 7 1M 64k' a >/dev/null && "
		"qemu-io -f qcow2 -c 'write -z 2M 64k' a >/dev/null && "
		"qemu-img snapshot -c s a && "
		"qemu-io -f qcow2 -c 'write -P 8 1M 32k' a >/dev/null && "
		"qemu-img convert -q -f qcow2 -O raw a raw",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(make) / sizeof(*make); i++) {
		struct rfs_qcow2_parts parts = { 0 };
		struct rfs_reader *rd;
		struct kit_disk *d;
		uint64_t size;
		uint8_t *raw, *got;

		kit_make("raw", 4 << 20, 4);
		kit_must("%s", make[i]);
		raw = kit_slurp("raw", &size);
		got = malloc(size);
		assert_non_null(got);
		parts.file = kit_file("a", &d);
		d->bytes[79] |= 2;
		assert_int_equal(rfs_qcow2_open(&parts, &rd, NULL), 0);
		assert_int_equal(rfs_reader_read(rd, rfs_range(0, size), got,
						 NULL, NULL),
				 0);
		assert_memory_equal(raw, got, size);
		rfs_reader_unref(rd);
		rfs_reader_unref(parts.file);
		free(raw);
		free(got);
	}
}

/* Compressed clusters in one another --------------------------------------- */

/* 1024 compressed clusters; the copy is what the damaged one was. */
static void begin_packed(struct heal_scene *c)
{
	uint8_t *bytes;

	*c = (struct heal_scene){ .ncopies = 1 };
	kit_make("raw", 4 << 20, 4);
	kit_must("qemu-img convert -q -c -f raw -O qcow2 -o cluster_size=4k "
		 "raw a");
	c->copies[0] = kit_file("a", &c->copy_disks[0]);
	c->file = kit_file("a", &c->disk);
	bytes = kit_slurp("raw", &c->sim.size);
	c->sim.truth = bytes;
}

/* The entry 30 leads where entry 9 does, or 'into' bytes behind its start. */
static void lead_into(struct kit_disk *d, uint64_t into)
{
	const uint8_t *p = d->bytes;
	uint64_t l2 = kit_get64(p + kit_get64(p + 40)) & SIM_OFFSET;

	kit_put64(d->bytes + l2 + 30 * 8, kit_get64(p + l2 + 9 * 8) + into);
}

static void packed_in_packed(void **state)
{
	static const uint64_t into[] = { 0, 1, 500 };
	struct heal_scene c;

	(void)state;
	for (size_t i = 0; i < sizeof(into) / sizeof(*into); i++) {
		begin_packed(&c);
		lead_into(c.disk, into[i]);
		mark_corrupt(&c);
		assert_int_equal(heal_open(&c, NULL, false), 0);
		for (uint64_t k = 0; k < 60; k++) {
			bool is_in = k == 9 || k == 30;

			/* The next may lie in the wrong one's last sectors. */
			if (k == 10 && into[i])
				continue;
			assert_int_equal(heal_look(&c, c.image, k * 4096),
					 !is_in);
			/* A copy tells which is right, and where the other is. */
			assert_int_equal(heal_look(&c, c.proved[0], k * 4096),
					 is_in);
		}
		assert_int_equal(kit_noted(&c.notes, "another claims"), 1);
		end(&c);
	}
}

/* Nothing says that it is damaged: it costs nothing, and is believed. */
static void packed_in_a_whole_image(void **state)
{
	struct heal_scene c;

	(void)state;
	begin_packed(&c);
	lead_into(c.disk, 0);
	assert_int_equal(heal_open(&c, NULL, false), 0);
	assert_int_equal(heal_look(&c, c.image, 9 * 4096), 1);
	assert_int_equal(heal_look(&c, c.image, 30 * 4096), -1);
	end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_are_refused),
		cmocka_unit_test(a_mark_is_enough),
		cmocka_unit_test(a_whole_image_pays_nothing),
		cmocka_unit_test(what_it_costs),
		cmocka_unit_test(a_copy_tells),
		cmocka_unit_test(a_copy_that_does_not_know),
		cmocka_unit_test(a_refcount_of_two),
		cmocka_unit_test(two_lead_to_one_table),
		cmocka_unit_test(a_table_taken_for_data),
		cmocka_unit_test(data_taken_for_a_table),
		cmocka_unit_test(a_snapshot),
		cmocka_unit_test(images_of_qemu),
		cmocka_unit_test(packed_in_packed),
		cmocka_unit_test(packed_in_a_whole_image),
	};
	int failed;

	kit_begin();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	kit_end();
	return failed;
}
