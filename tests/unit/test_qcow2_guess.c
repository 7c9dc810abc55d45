// SPDX-License-Identifier: GPL-3.0-or-later
/* L2 tables found in the file where the L1 table is lost: used where one entry
 * is lost and one table found, or where the operator says where they belong, and
 * not where anything else could be meant. */
#include <zlib.h>

#include "core/known.h"
#include "qcow2_heal_kit.h"

#define BITS	10
#define SPAN	(1ull << (2 * BITS - 3))
#define CS	(1ull << BITS)
#define WRITTEN 20

static void begin(struct heal_scene *c, uint64_t tables)
{
	*c = (struct heal_scene){ .may_guess = true };
	sim_new(&c->sim, 3, BITS, tables * SPAN);
}

static void fill(struct heal_scene *c, uint64_t table)
{
	for (uint64_t i = 0; i < WRITTEN; i++)
		sim_write(&c->sim, table * SPAN + i * CS);
}

/* What a guess gives of the disk, in sectors; none of it is wrong. */
static uint64_t guess_by(struct heal_scene *c, bool borrowed)
{
	struct rfs_reader *rd;
	uint64_t n = 0;
	int said;

	assert_int_equal(heal_open(c, NULL, borrowed), 0);
	assert_int_equal(rfs_qcow2_guessed_open(c->healing, &rd, NULL), 0);
	for (uint64_t off = 0; off < c->sim.size; off += 512) {
		said = heal_look(c, rd, off);
		assert_true(said >= 0);
		n += said > 0;
	}
	rfs_reader_unref(rd);
	return n;
}

static uint64_t guess(struct heal_scene *c)
{
	return guess_by(c, false);
}

static void end(struct heal_scene *c)
{
	heal_close(c);
	heal_end(c);
}

static char state_dir[] = "/tmp/rfs-guess-XXXXXX";

static void open_state(struct heal_scene *c)
{
	assert_int_equal(rfs_state_open(state_dir, "test", &c->state, NULL), 0);
}

static void close_state(struct heal_scene *c)
{
	rfs_state_close(c->state);
	c->state = NULL;
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

/* The same where the header is lost too: what is told by the backup's is not
 * guessed, and what was placed is placed. */
static void by_anothers_header(void **state)
{
	struct rfs_qcow2_place place;
	struct heal_scene c;

	(void)state;
	for (uint64_t lost = 1; lost <= 2; lost++) {
		begin(&c, 4);
		fill(&c, 0);
		fill(&c, 2);
		heal_backup(&c);
		fill(&c, 1);
		if (lost == 2)
			fill(&c, 3);
		heal_die(&c);
		if (lost == 1) /* the last entry is no table's, and whole */
			kit_put64(c.disk->bytes + c.sim.l1_off + 8, 1ull << 60);
		else
			heal_spoil(c.disk, c.sim.l1_off, 512);
		heal_spoil(c.disk, 0, 512);
		place = (struct rfs_qcow2_place){ 3, heal_l2(&c, 3) };
		c.places = &place;
		c.nplaces = lost - 1;
		assert_int_equal(guess_by(&c, true), lost * SPAN / 512);
		assert_int_equal(kit_noted(&c.notes, "placed by hand"),
				 lost - 1);
		assert_int_equal(heal_look(&c, c.proved[0], 2 * SPAN), 1);
		end(&c);
	}
}

/* By the header of a copy of another image nothing is, and that is said. */
static void by_an_unfit_header(void **state)
{
	struct rfs_qcow2_place place;
	struct heal_scene c;

	(void)state;
	begin(&c, 2);
	heal_backup(&c);
	fill(&c, 0);
	heal_die(&c);
	heal_spoil(c.disk, 0, 512);
	heal_spoil(c.disk, c.sim.l1_off, 512);
	place = (struct rfs_qcow2_place){ 0, heal_l2(&c, 0) };
	c.places = &place;
	c.nplaces = 1;
	assert_int_equal(guess_by(&c, true), 0);
	assert_int_equal(kit_noted(&c.notes, "none is placed or guessed"), 1);
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

/* Placed by hand ------------------------------------------------------- */

/* Three tables whose entries are lost. */
static void lose_three(struct heal_scene *c)
{
	begin(c, 3);
	for (uint64_t t = 0; t < 3; t++)
		fill(c, t);
	heal_die(c);
	heal_spoil(c->disk, c->sim.l1_off, 512);
}

static void placed(void **state)
{
	struct rfs_qcow2_place places[2];
	struct heal_scene c;

	(void)state;
	lose_three(&c);
	c.may_guess = false;
	places[0] = (struct rfs_qcow2_place){ 2, heal_l2(&c, 2) };
	places[1] = (struct rfs_qcow2_place){ 0, heal_l2(&c, 0) };
	c.places = places;
	c.nplaces = 2;
	assert_int_equal(guess(&c), 2 * SPAN / 512);
	assert_int_equal(kit_noted(&c.notes, "is placed by hand"), 2);
	/* Nothing was looked for. */
	assert_int_equal(kit_noted(&c.notes, "were found"), 0);
	end(&c);
	/* What is left then is one table, and one entry. */
	lose_three(&c);
	c.places = places;
	c.nplaces = 2;
	assert_int_equal(guess(&c), 3 * SPAN / 512);
	assert_int_equal(kit_noted(&c.notes, "guessed to belong together"), 1);
	end(&c);
}

/* What is mapped tells it ----------------------------------------------- */

static void little(uint8_t *p, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* A GPT's header in sector 'lba' of the disk, that says it lies in 'says'. */
static void put_header(struct heal_scene *c, uint64_t lba, uint64_t says,
		       uint64_t other, bool is_good)
{
	uint64_t at = lba * 512;
	uint8_t p[512] = "EFI PART";
	uint64_t l2, host;

	little(p + 12, 92, 4);
	little(p + 24, says, 8);
	little(p + 32, other, 8);
	little(p + 16, crc32(0, p, 92) ^ !is_good, 4);
	sim_write(&c->sim, at & ~(CS - 1));
	l2 = heal_l2(c, at / SPAN);
	host = sim_get(&c->sim, l2 + at % SPAN / CS * 8) & SIM_OFFSET;
	memcpy(c->sim.file + host + at % CS, p, 512);
	memcpy(c->sim.truth + at, p, 512);
}

/* Of four tables the first and the last, or what is left then of three. */
static void told_by_gpt(void **state)
{
	struct rfs_strays strays;
	struct rfs_reader *rd;
	struct heal_scene c;

	(void)state;
	for (uint64_t n = 3; n <= 4; n++) {
		uint64_t last = n * SPAN / 512 - 1;

		begin(&c, n);
		for (uint64_t t = 0; t < n; t++)
			fill(&c, n - 1 - t);
		put_header(&c, 1, 1, last, true);
		put_header(&c, last, last, 1, true);
		heal_die(&c);
		heal_spoil(c.disk, c.sim.l1_off, 512);
		open_state(&c);
		assert_int_equal(guess(&c), (n == 3 ? 3 : 2) * SPAN / 512);
		assert_int_equal(kit_noted(&c.notes, "GPT's header"), 2);
		assert_int_equal(
			rfs_known_strays(c.state, "disk", &strays, NULL), 0);
		assert_int_equal(strays.tables, n == 3 ? 0 : 2);
		assert_int_equal(strays.nitems, strays.tables);
		assert_int_equal(strays.lost, strays.tables);
		assert_int_equal(rfs_qcow2_guessed_open(c.healing, &rd, NULL),
				 0);
		assert_int_equal(rfs_reader_renew(rd, NULL), 0);
		rfs_reader_unref(rd);
		end(&c);
		close_state(&c);
	}
}

/* Two say so, one has a wrong checksum, one speaks of another sector. */
static void told_in_vain(void **state)
{
	struct heal_scene c;

	(void)state;
	for (int how = 0; how < 3; how++) {
		uint64_t last = 3 * SPAN / 512 - 1;

		begin(&c, 3);
		for (uint64_t t = 0; t < 3; t++)
			fill(&c, t);
		put_header(&c, 1, how == 2 ? 2 : 1, last, how != 1);
		if (how == 0)
			put_header(&c, SPAN / 512 + 1, 1, last, true);
		heal_die(&c);
		heal_spoil(c.disk, c.sim.l1_off, 512);
		assert_int_equal(guess(&c), 0);
		assert_int_equal(kit_noted(&c.notes, "none is used"), 1);
		end(&c);
	}
}

/* A guest's copy of a table no longer contests what was placed. */
static void placed_beside_a_copy(void **state)
{
	struct rfs_qcow2_place place;
	struct heal_scene c;
	uint64_t l2, host;

	(void)state;
	begin(&c, 1);
	fill(&c, 0);
	heal_die(&c);
	l2 = heal_l2(&c, 0);
	host = kit_get64(c.disk->bytes + l2 + 3 * 8) & SIM_OFFSET;
	memcpy(c.disk->bytes + host, c.disk->bytes + l2, CS);
	memcpy(c.sim.truth + 3 * CS, c.disk->bytes + l2, CS);
	heal_spoil(c.disk, c.sim.l1_off, 512);
	place = (struct rfs_qcow2_place){ 0, l2 };
	c.places = &place;
	c.nplaces = 1;
	assert_int_equal(guess(&c), SPAN / 512);
	end(&c);
}

/* What cannot be is not used, and a note says why. */
static void misplaced(void **state)
{
	static const struct {
		uint64_t index;
		int64_t off; /* below 0: of that table's cluster "-off - 1" */
		const char *why;
	} cases[] = {
		{ 3, -1, "the disk needs fewer entries" },
		{ UINT32_MAX, -1, "the disk needs fewer entries" },
		{ 0, 512, "no cluster begins there" },
		{ 0, 0, "free, shared, or claimed" },
		{ 0, 1 << 30, "free, shared, or claimed" },
		{ 0, CS, "free, shared, or claimed" },
		{ 0, -2, "no L2 table" },
		{ 2, -1, "beyond the end of the disk" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct rfs_qcow2_place place = { .index = cases[i].index };
		struct heal_scene c;
		uint64_t l2;

		begin(&c, 3);
		for (uint64_t t = 0; t < 3; t++)
			fill(&c, t);
		sim_write(&c.sim, 100 * CS);
		/* It ends before what the last entry of the first maps. */
		c.sim.size -= SPAN - 50 * CS;
		heal_die(&c);
		heal_spoil(c.disk, c.sim.l1_off, 512);
		c.may_guess = false;
		l2 = heal_l2(&c, 0);
		place.off = (uint64_t)cases[i].off;
		if (cases[i].off == -1)
			place.off = l2;
		if (cases[i].off == -2)
			place.off = kit_get64(c.disk->bytes + l2) & SIM_OFFSET;
		c.places = &place;
		c.nplaces = 1;
		assert_int_equal(guess(&c), 0);
		assert_int_equal(kit_noted(&c.notes, "is not used"), 1);
		assert_int_equal(kit_noted(&c.notes, cases[i].why), 1);
		end(&c);
	}
}

/* The entry of the second table makes sense, and says that there is none. */
static void placed_where_nothing_is_lost(void **state)
{
	struct rfs_qcow2_place place;
	struct heal_scene c;

	(void)state;
	begin(&c, 2);
	fill(&c, 0);
	heal_die(&c);
	place = (struct rfs_qcow2_place){ 1, heal_l2(&c, 0) };
	kit_put64(c.disk->bytes + c.sim.l1_off, 1ull << 60);
	c.places = &place;
	c.nplaces = 1;
	c.may_guess = false;
	assert_int_equal(guess(&c), 0);
	assert_int_equal(kit_noted(&c.notes, "that entry is not lost"), 1);
	end(&c);
}

/* What is kept ---------------------------------------------------------- */

static void strays_are_kept(void **state)
{
	struct rfs_strays strays;
	struct rfs_reader *rd;
	struct heal_scene c;

	(void)state;
	lose_three(&c);
	open_state(&c);
	assert_int_equal(rfs_known_strays(c.state, "disk", &strays, NULL), 0);
	assert_false(strays.is_known);
	assert_int_equal(guess(&c), 0);
	assert_int_equal(rfs_known_strays(c.state, "disk", &strays, NULL), 0);
	assert_true(strays.is_known);
	assert_int_equal(strays.lost, 3);
	assert_int_equal(strays.ngaps, 1);
	assert_int_equal(strays.gaps[0].first, 0);
	assert_int_equal(strays.gaps[0].last, 2);
	assert_int_equal(strays.tables, 3);
	assert_int_equal(strays.nitems, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(strays.items[i].off, heal_l2(&c, i));
		assert_int_equal(strays.items[i].clusters, WRITTEN);
		assert_int_equal(strays.items[i].first, 0);
		assert_int_equal(strays.items[i].last, WRITTEN - 1);
	}
	assert_int_equal(rfs_qcow2_guessed_open(c.healing, &rd, NULL), 0);
	assert_int_equal(rfs_reader_renew(rd, NULL), 0); /* a refresh */
	rfs_reader_unref(rd);
	assert_int_equal(rfs_known_strays(c.state, "disk", &strays, NULL), 0);
	assert_false(strays.is_known);
	end(&c);
	close_state(&c);
}

/* What served blocks stays where it was put, until a refresh (P4). */
static void a_place_stays(void **state)
{
	struct rfs_qcow2_place place;
	struct rfs_reader *rd;
	struct heal_scene c;
	int said;

	(void)state;
	lose_three(&c);
	c.may_guess = false;
	c.places = &place;
	c.nplaces = 1;
	open_state(&c);
	for (int round = 0; round < 3; round++) {
		/* Right, wrong but kept as it was, wrong. */
		place = (struct rfs_qcow2_place){ 1,
						  heal_l2(&c, round ? 2 : 1) };
		assert_int_equal(heal_open(&c, NULL, false), 0);
		assert_int_equal(rfs_qcow2_guessed_open(c.healing, &rd, NULL),
				 0);
		said = heal_look(&c, rd, SPAN);
		assert_int_equal(said, round < 2 ? 1 : -1);
		assert_int_equal(kit_noted(&c.notes, "rescuefs refresh takes"),
				 round == 1);
		if (round == 1)
			assert_int_equal(rfs_reader_renew(rd, NULL), 0);
		rfs_reader_unref(rd);
		heal_close(&c);
	}
	heal_end(&c);
	close_state(&c);
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
		cmocka_unit_test(by_anothers_header),
		cmocka_unit_test(by_an_unfit_header),
		cmocka_unit_test(nothing_lost),
		cmocka_unit_test(told_by_gpt),
		cmocka_unit_test(told_in_vain),
		cmocka_unit_test(placed),
		cmocka_unit_test(placed_beside_a_copy),
		cmocka_unit_test(misplaced),
		cmocka_unit_test(placed_where_nothing_is_lost),
		cmocka_unit_test(strays_are_kept),
		cmocka_unit_test(a_place_stays),
	};
	char remove[64];
	int failed;

	kit_seed_init();
	if (!mkdtemp(state_dir))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(remove, sizeof(remove), "rm -rf %s", state_dir);
	return system(remove) ? 1 : failed;
}
