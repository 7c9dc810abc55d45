// SPDX-License-Identifier: GPL-3.0-or-later
/* L2 tables found in the file where the L1 table is lost: used where one entry
 * is lost and one table found, and not where anything else could be meant. */
#include "qcow2_heal_kit.h"

#define BITS	10
#define SPAN	(1ull << (2 * BITS - 3))
#define CS	(1ull << BITS)
#define WRITTEN 20

static void begin(struct heal_scene *c, uint64_t tables)
{
	*c = (struct heal_scene){ 0 };
	sim_new(&c->sim, 3, BITS, tables * SPAN);
}

static void fill(struct heal_scene *c, uint64_t table)
{
	for (uint64_t i = 0; i < WRITTEN; i++)
		sim_write(&c->sim, table * SPAN + i * CS);
}

/* What a guess gives of the disk, in sectors; none of it is wrong. */
static uint64_t guess(struct heal_scene *c)
{
	struct rfs_reader *rd;
	uint64_t n = 0;
	int said;

	assert_int_equal(heal_open(c, NULL, false), 0);
	assert_int_equal(rfs_qcow2_guessed_open(c->healing, &rd, NULL), 0);
	for (uint64_t off = 0; off < c->sim.size; off += 512) {
		said = heal_look(c, rd, off);
		assert_true(said >= 0);
		n += said > 0;
	}
	rfs_reader_unref(rd);
	return n;
}

static void end(struct heal_scene *c)
{
	heal_close(c);
	heal_end(c);
}

static void one_table(void **state)
{
	struct heal_scene c;

	(void)state;
	begin(&c, 1);
	fill(&c, 0);
	heal_die(&c);
	heal_spoil(c.disk, c.sim.l1_off, 512);
	assert_int_equal(guess(&c), SPAN / 512);
	assert_true(rfs_qcow2_has_lost_l1(c.image));
	assert_int_equal(kit_noted(&c.notes, "guessed to belong together"), 1);
	end(&c);
}

static void more_than_one(void **state)
{
	struct heal_scene c;

	(void)state;
	begin(&c, 3);
	for (uint64_t t = 0; t < 3; t++)
		fill(&c, t);
	heal_die(&c);
	heal_spoil(c.disk, c.sim.l1_off, 512);
	assert_int_equal(guess(&c), 0);
	assert_int_equal(kit_noted(&c.notes, "3 L2 tables were found"), 1);
	assert_int_equal(kit_noted(&c.notes, "none is used"), 1);
	end(&c);
}

/* One table, but either entry may be its own. */
static void a_place_too_many(void **state)
{
	struct heal_scene c;

	(void)state;
	begin(&c, 2);
	fill(&c, 1);
	heal_die(&c);
	heal_spoil(c.disk, c.sim.l1_off, 512);
	assert_int_equal(guess(&c), 0);
	end(&c);
}

/* What the guest wrote looks like a table of the same clusters. */
static void a_table_of_the_guest(void **state)
{
	struct heal_scene c;
	uint64_t l2, host;

	(void)state;
	begin(&c, 1);
	fill(&c, 0);
	heal_die(&c);
	l2 = heal_l2(&c, 0);
	host = kit_get64(c.disk->bytes + l2 + 3 * 8) & SIM_OFFSET;
	memcpy(c.disk->bytes + host, c.disk->bytes + l2, CS);
	heal_spoil(c.disk, c.sim.l1_off, 512);
	assert_int_equal(guess(&c), 0);
	assert_int_equal(kit_noted(&c.notes, "none is used"), 1);
	end(&c);
}

/* A table given up, or any that holds what makes no sense, is none. */
static void no_table(void **state)
{
	struct heal_scene c;
	uint64_t l2;

	(void)state;
	for (int how = 0; how < 3; how++) {
		begin(&c, 1);
		fill(&c, 0);
		heal_die(&c);
		l2 = heal_l2(&c, 0);
		if (how == 0)
			c.disk->bytes[c.sim.blocks[0] + l2 / CS * 2 + 1] = 0;
		else
			kit_put64(c.disk->bytes + l2 + 5 * 8,
				  how == 1 ? 1ull << 50 | SIM_COPIED
					   : c.sim.l1_off | SIM_COPIED);
		heal_spoil(c.disk, c.sim.l1_off, 512);
		assert_int_equal(guess(&c), 0);
		end(&c);
	}
}

/* A table made since the backup, which tells the others. */
static void beside_a_witness(void **state)
{
	struct heal_scene c;

	(void)state;
	begin(&c, 3);
	fill(&c, 0);
	fill(&c, 2);
	heal_backup(&c);
	fill(&c, 1);
	heal_die(&c);
	heal_spoil(c.disk, c.sim.l1_off, 512);
	assert_int_equal(guess(&c), SPAN / 512);
	assert_int_equal(heal_look(&c, c.proved[0], 2 * SPAN), 1);
	assert_int_equal(heal_look(&c, c.proved[0], SPAN), 0);
	end(&c);
}

/* What the image tells itself is not guessed, and nothing is looked for. */
static void nothing_lost(void **state)
{
	struct heal_scene c;
	struct rfs_reader *rd;
	unsigned int reads;

	(void)state;
	begin(&c, 1);
	fill(&c, 0);
	heal_die(&c);
	assert_int_equal(heal_open(&c, NULL, false), 0);
	assert_false(rfs_qcow2_has_lost_l1(c.image));
	assert_int_equal(rfs_qcow2_guessed_open(c.healing, &rd, NULL), 0);
	assert_int_equal(heal_look(&c, c.image, 0), 1);
	reads = c.disk->reads;
	assert_int_equal(heal_look(&c, rd, 0), 0);
	assert_int_equal(c.disk->reads, reads);
	rfs_reader_unref(rd);
	end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_table),
		cmocka_unit_test(more_than_one),
		cmocka_unit_test(a_place_too_many),
		cmocka_unit_test(a_table_of_the_guest),
		cmocka_unit_test(no_table),
		cmocka_unit_test(beside_a_witness),
		cmocka_unit_test(nothing_lost),
	};

	kit_seed_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
