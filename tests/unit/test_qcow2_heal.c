// SPDX-License-Identifier: GPL-3.0-or-later
/* Healing of tables by a backup's: what is healed, what is not done at all, what
 * it costs, and that a hostile backup does no harm. */
#include "qcow2_heal_kit.h"

#define BITS 10
#define SPAN (1ull << (2 * BITS - 3))
#define CS   (1ull << BITS)

/* Four L2 tables, each with some clusters, of which a backup is taken. */
static void begin(struct heal_scene *c)
{
	*c = (struct heal_scene){ 0 };
	sim_new(&c->sim, 3, BITS, 4 * SPAN);
	for (uint64_t t = 0; t < 4; t++)
		for (uint64_t i = 0; i < 20; i++)
			sim_write(&c->sim, t * SPAN + i * CS);
	heal_backup(c);
}

/* One more cluster of each table, and one written in place; then it dies. */
static void go_on(struct heal_scene *c)
{
	for (uint64_t t = 0; t < 4; t++) {
		sim_write(&c->sim, t * SPAN + 5 * CS);
		sim_write(&c->sim, t * SPAN + 40 * CS);
	}
	heal_die(c);
}

/* What is read of the clusters of a table, when all is asked as a merge does. */
static struct heal_sums sum(struct heal_scene *c, const char *may_move)
{
	struct heal_sums sums = { 0 };

	assert_int_equal(heal_open(c, may_move, false), 0);
	heal_sum(c, &sums);
	return sums;
}

static void check(struct heal_scene *c, uint64_t proved, uint64_t unproved)
{
	struct heal_sums sums = sum(c, NULL);

	assert_int_equal(
		sums.wrong_own + sums.wrong_proved + sums.wrong_unproved, 0);
	assert_int_equal(sums.proved, proved);
	assert_int_equal(sums.unproved, unproved);
	heal_close(c);
	heal_end(c);
}

static void a_whole_table(void **state)
{
	struct heal_scene c;

	(void)state;
	begin(&c);
	go_on(&c);
	heal_spoil(c.disk, heal_l2(&c, 1), CS);
	check(&c, 20 * CS / 512, 0);
}

static void a_sector_of_a_table(void **state)
{
	struct heal_scene c;

	(void)state;
	begin(&c);
	go_on(&c);
	heal_spoil(c.disk, heal_l2(&c, 1), 512);
	check(&c, 20 * CS / 512, 0);
}

/* The image's own tables are found, with all that they hold today. */
static void the_l1_table(void **state)
{
	struct heal_scene c;

	(void)state;
	begin(&c);
	go_on(&c);
	heal_spoil(c.disk, c.sim.l1_off, 512);
	check(&c, c.sim.size / 512, 0);
}

static void the_header(void **state)
{
	struct heal_scene c;
	struct heal_sums sums = { 0 };

	(void)state;
	begin(&c);
	go_on(&c);
	heal_spoil(c.disk, 0, 512);
	assert_true(heal_open(&c, NULL, false) < 0);
	assert_int_equal(heal_open(&c, NULL, true), 0);
	heal_sum(&c, &sums);
	assert_int_equal(sums.proved, c.sim.size / 512);
	assert_int_equal(sums.wrong_proved, 0);
	heal_close(&c);
	heal_end(&c);
}

/* What is left of the header's cluster must name the base that the copy names; if
 * that is lost too, nothing can be held against it. */
static void the_header_and_its_base(void **state)
{
	static const struct {
		const char *ours;
		bool is_lost;
		uint64_t healed;
	} cases[] = { { "base", false, 20 * CS / 512 },
		      { "bass", false, 0 },
		      { "bass", true, 20 * CS / 512 } };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct heal_scene c;
		struct heal_sums sums = { 0 };

		begin(&c);
		go_on(&c);
		kit_put64(c.copy_disks[0]->bytes + 8, 600);
		kit_put32(c.copy_disks[0]->bytes + 16, 4);
		memcpy(c.copy_disks[0]->bytes + 600, "base", 4);
		memcpy(c.disk->bytes + 600, cases[i].ours, 4);
		heal_spoil(c.disk, 0, cases[i].is_lost ? 1024 : 512);
		assert_int_equal(heal_open(&c, NULL, true), 0);
		heal_sum(&c, &sums);
		/* Its base is not there: what it stores itself is. */
		assert_int_equal(sums.proved >= cases[i].healed, 1);
		assert_int_equal(sums.proved != 0, cases[i].healed != 0);
		assert_int_equal(sums.wrong_proved, 0);
		assert_int_equal(sums.unproved, 0);
		assert_int_equal(kit_noted(&c.notes, "same base"),
				 !sums.proved);
		heal_close(&c);
		heal_end(&c);
	}
}

static void an_entry_that_makes_no_sense(void **state)
{
	struct heal_scene c;

	(void)state;
	begin(&c);
	go_on(&c);
	kit_put64(c.disk->bytes + heal_l2(&c, 2) + 3 * 8, 0x1230ull << 20 | 8);
	check(&c, CS / 512, 0);
}

/* Its clusters are in use, by the refcounts, and nobody claims them. */
static void a_table_of_zeros(void **state)
{
	struct heal_scene c;

	(void)state;
	begin(&c);
	go_on(&c);
	memset(c.disk->bytes + heal_l2(&c, 1), 0, CS);
	check(&c, 20 * CS / 512, 0);
}

/* No copy can deny it: zeros as the table says, which are called suspect, and no
 * hole. */
static void a_table_of_zeros_alone(void **state)
{
	struct rfs_extents extents = { 0 };
	struct rfs_trace trace = { 0 };
	struct heal_scene c;

	(void)state;
	begin(&c);
	c.ncopies = 0;
	go_on(&c);
	rfs_reader_unref(c.copies[0]);
	memset(c.disk->bytes + heal_l2(&c, 1), 0, CS);
	assert_int_equal(heal_open(&c, NULL, false), 0);
	assert_int_equal(rfs_reader_extents(c.image, rfs_range(0, 4 * SPAN),
					    &extents, NULL),
			 0);
	assert_int_equal(
		rfs_reader_trace(c.image, rfs_range(0, 4 * SPAN), &trace, NULL),
		0);
	for (size_t i = 0; i < trace.count; i++) {
		const struct rfs_trace_item *t = &trace.items[i];
		bool is_zeroed = t->range.off == SPAN;

		assert_int_equal(t->suspect != NULL, is_zeroed);
		if (is_zeroed) {
			assert_int_equal(t->range.len, SPAN);
			assert_ptr_equal(t->suspect,
					 rfs_reader_origin(c.image));
		}
	}
	for (size_t i = 0; i < extents.count; i++)
		if (extents.items[i].content == RFS_HOLE)
			assert_int_equal(rfs_range_cut(extents.items[i].range,
						       rfs_range(SPAN, SPAN))
						 .len,
					 0);
	assert_int_equal(kit_noted(&c.notes, "suspect: the L2 table"), 1);
	rfs_extents_fini(&extents);
	rfs_trace_fini(&trace);
	heal_close(&c);
	heal_end(&c);
}

/* A table that only the copy leads to, half of it lost and half of it zeros: what
 * the zeros would deny was written since. */
static void zeros_beside_a_lost_sector(void **state)
{
	for (int borrowed = 0; borrowed < 2; borrowed++) {
		struct heal_scene c;

		(void)state;
		begin(&c);
		sim_write(&c.sim, SPAN + 70 * CS);
		go_on(&c);
		heal_spoil(c.disk, borrowed ? 0 : c.sim.l1_off, 512);
		heal_spoil(c.disk, heal_l2(&c, 1), 512);
		memset(c.disk->bytes + heal_l2(&c, 1) + 512, 0, CS - 512);
		assert_int_equal(heal_open(&c, NULL, borrowed), 0);
		assert_int_equal(heal_look(&c, c.proved[0], SPAN), 1);
		assert_int_equal(heal_look(&c, c.proved[0], SPAN + 70 * CS), 0);
		heal_close(&c);
		heal_end(&c);
	}
}

/* The older copy is asked for what the fresher one cannot tell. */
static void the_next_copy(void **state)
{
	struct heal_scene c;

	(void)state;
	begin(&c);
	sim_write(&c.sim, SPAN + 30 * CS);
	heal_backup(&c);
	go_on(&c);
	heal_spoil(c.disk, heal_l2(&c, 1), CS);
	heal_spoil(c.copy_disks[1], heal_l2(&c, 1), 512);
	check(&c, 20 * CS / 512, 0);
}

static void a_domain_that_discards(void **state)
{
	struct heal_scene c;
	struct heal_sums sums;

	(void)state;
	begin(&c);
	go_on(&c);
	heal_spoil(c.disk, heal_l2(&c, 1), CS);
	sums = sum(&c, "it does");
	assert_int_equal(sums.proved, 0);
	assert_int_equal(sums.unproved, 20 * CS / 512);
	assert_int_equal(kit_noted(&c.notes, "unproved (it does)"), 1);
	heal_close(&c);
	heal_end(&c);
}

static void a_cluster_that_moved(void **state)
{
	struct heal_scene c;
	struct rfs_qcow2_testimony says;
	struct heal_sums sums;

	(void)state;
	begin(&c);
	sim_discard(&c.sim, 3 * SPAN);
	go_on(&c);
	heal_spoil(c.disk, heal_l2(&c, 1), CS);
	sums = sum(&c, NULL);
	assert_int_equal(sums.proved, 0);
	assert_int_equal(sums.unproved, 20 * CS / 512);
	rfs_qcow2_healing_testimony(c.healing, 0, &says);
	assert_int_equal(says.verdict, RFS_QCOW2_UNPROVED);
	assert_true(says.contradict > 0 && says.agree > 50);
	heal_close(&c);
	heal_end(&c);
}

/* Written since and discarded, in a table that is lost: a cluster is free below
 * others in use. */
static void a_cluster_let_go_of(void **state)
{
	struct heal_scene c;
	struct heal_sums sums;

	(void)state;
	begin(&c);
	sim_write(&c.sim, SPAN + 50 * CS);
	go_on(&c);
	heal_spoil(c.disk, heal_l2(&c, 1), CS);
	sums = sum(&c, NULL);
	assert_int_equal(sums.proved, 20 * CS / 512);
	heal_close(&c);
	rfs_reader_unref(c.file);
	sim_discard(&c.sim, SPAN + 50 * CS);
	heal_die(&c);
	heal_spoil(c.disk, heal_l2(&c, 1), CS);
	sums = sum(&c, NULL);
	assert_int_equal(sums.proved, 0);
	assert_int_equal(sums.unproved, 20 * CS / 512);
	assert_int_equal(sums.wrong_unproved, 0);
	heal_close(&c);
	heal_end(&c);
}

/* All L2 tables are lost, so that nothing could contradict the fresher copy; but the
 * older one shows that this is an image that lets go of clusters. */
static void an_older_copy_that_contradicts(void **state)
{
	for (int lost = 0; lost < 2; lost++) {
		struct heal_scene c;
		struct heal_sums sums;

		(void)state;
		begin(&c);
		for (uint64_t i = 0; i < 10; i++)
			sim_discard(&c.sim, 3 * SPAN + i * CS);
		heal_backup(&c);
		go_on(&c);
		for (uint64_t t = lost ? 0 : 1; t < 4; t++)
			heal_spoil(c.disk, heal_l2(&c, t), CS);
		sums = sum(&c, NULL);
		assert_int_equal(sums.wrong_proved, 0);
		assert_int_equal(sums.proved != 0, !lost);
		assert_int_equal(kit_noted(&c.notes, "an older copy shows"),
				 lost);
		heal_close(&c);
		heal_end(&c);
	}
}

/* Not done at all --------------------------------------------------------- */

static void nothing(struct heal_scene *c, const char *why)
{
	struct heal_sums sums;

	heal_spoil(c->disk, heal_l2(c, 1), CS);
	sums = sum(c, NULL);
	assert_int_equal(sums.proved + sums.unproved, 0);
	assert_int_equal(kit_noted(&c->notes, why), 1);
	heal_close(c);
	heal_end(c);
}

static void internal_snapshots(void **state)
{
	struct heal_scene c;

	(void)state;
	begin(&c);
	sim_snapshot(&c.sim);
	go_on(&c);
	nothing(&c, "internal snapshots");
}

static void another_size(void **state)
{
	struct heal_scene c;

	(void)state;
	begin(&c);
	sim_grow(&c.sim, 5 * SPAN);
	go_on(&c);
	nothing(&c, "another size");
}

/* "base" is at 200 of the copy's header, and not of the image's. */
static void another_base(void **state)
{
	struct heal_scene c;

	(void)state;
	begin(&c);
	go_on(&c);
	kit_put64(c.copy_disks[0]->bytes + 8, 200);
	kit_put32(c.copy_disks[0]->bytes + 16, 4);
	memcpy(c.copy_disks[0]->bytes + 200, "base", 4);
	nothing(&c, "same base");
}

static void a_data_file(void **state)
{
	struct heal_scene c;

	(void)state;
	begin(&c);
	go_on(&c);
	kit_put64(c.copy_disks[0]->bytes + 72, 4);
	nothing(&c, "another file");
}

/* An image of the same size that was made anew. */
static void no_agreement(void **state)
{
	struct heal_scene c, other;

	(void)state;
	begin(&c);
	begin(&other);
	sim_free(&other.sim);
	sim_new(&other.sim, 3, BITS, 4 * SPAN);
	for (uint64_t i = 0; i < 30; i++)
		sim_write(&other.sim, (3 - i % 4) * SPAN + (90 - i) * CS);
	rfs_reader_unref(c.copies[0]);
	c.copies[0] =
		kit_reader(sim_save(&other.sim), other.sim.end, "other", NULL);
	heal_end(&other);
	go_on(&c);
	nothing(&c, "no entry of the two agrees");
}

/* Where the copy's entry leads, someone else is now, by an entry that is read. */
static void another_owner(void **state)
{
	struct heal_scene c;
	uint64_t host;

	(void)state;
	begin(&c);
	go_on(&c);
	host = kit_get64(c.disk->bytes + heal_l2(&c, 1) + 7 * 8);
	kit_put64(c.disk->bytes + heal_l2(&c, 2) + 60 * 8, host);
	heal_spoil(c.disk, heal_l2(&c, 1), CS);
	assert_int_equal(heal_open(&c, NULL, false), 0);
	assert_int_equal(heal_look(&c, c.proved[0], SPAN + 7 * CS), 0);
	assert_int_equal(heal_look(&c, c.unproved[0], SPAN + 7 * CS), 0);
	assert_int_equal(heal_look(&c, c.unproved[0], SPAN + 8 * CS), 1);
	heal_close(&c);
	heal_end(&c);
}

static void another_refcount(void **state)
{
	static const uint8_t counts[] = { 0, 2 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct heal_scene c;
		uint64_t cluster;

		begin(&c);
		go_on(&c);
		cluster = (kit_get64(c.disk->bytes + heal_l2(&c, 1) + 7 * 8) &
			   SIM_OFFSET) /
			  CS;
		assert_true(cluster < CS / 2);
		c.disk->bytes[c.sim.blocks[0] + cluster * 2 + 1] = counts[i];
		heal_spoil(c.disk, heal_l2(&c, 1), CS);
		assert_int_equal(heal_open(&c, NULL, false), 0);
		assert_int_equal(heal_look(&c, c.proved[0], SPAN + 7 * CS), 0);
		assert_int_equal(heal_look(&c, c.unproved[0], SPAN + 7 * CS),
				 0);
		assert_int_equal(heal_look(&c, c.unproved[0], SPAN + 8 * CS),
				 1);
		heal_close(&c);
		heal_end(&c);
	}
}

/* What it costs ----------------------------------------------------------- */

static void nothing_while_nothing_is_damaged(void **state)
{
	struct heal_scene c;
	struct heal_sums sums;

	(void)state;
	begin(&c);
	go_on(&c);
	sums = sum(&c, NULL);
	assert_int_equal(sums.own, c.sim.size / 512);
	assert_int_equal(c.opened, 0);
	assert_int_equal(c.copy_disks[0]->reads, 0);
	heal_close(&c);
	heal_end(&c);
}

/* A bad sector of data is nothing that a table could tell. */
static void nothing_for_a_sector_of_data(void **state)
{
	struct heal_scene c;
	struct heal_sums sums;
	uint64_t at;

	(void)state;
	begin(&c);
	go_on(&c);
	at = kit_get64(c.disk->bytes + heal_l2(&c, 1)) & SIM_OFFSET;
	heal_spoil(c.disk, at, 512);
	sums = sum(&c, NULL);
	assert_int_equal(sums.lost, 1);
	assert_int_equal(c.opened, 0);
	heal_close(&c);
	heal_end(&c);
}

/* Whatever is lost of its tables: a witness is opened and read when an entry is
 * asked for that is lost, and not before. */
static void opening_reads_as_much_as_without(void **state)
{
	enum { WHOLE, L2_LOST, SECTOR_LOST, L1_LOST, CASES };
	unsigned int reads[CASES];

	(void)state;
	for (int how = 0; how < CASES; how++) {
		struct heal_scene c;

		begin(&c);
		go_on(&c);
		if (how == L1_LOST)
			heal_spoil(c.disk, c.sim.l1_off, 512);
		else if (how != WHOLE)
			heal_spoil(c.disk, heal_l2(&c, 1),
				   how == L2_LOST ? CS : 512);
		assert_int_equal(heal_open(&c, NULL, false), 0);
		reads[how] = c.disk->reads;
		assert_int_equal(c.opened, 0);
		assert_int_equal(c.copy_disks[0]->reads, 0);
		assert_int_equal(heal_look(&c, c.proved[0], SPAN),
				 how != WHOLE);
		assert_int_equal(c.opened, how != WHOLE);
		heal_close(&c);
		heal_end(&c);
	}
	for (int how = 0; how < CASES; how++)
		assert_int_equal(reads[how], reads[WHOLE]);
}

/* Clusters that were written since, and whose entry is lost. */
static void orphans_are_counted(void **state)
{
	struct heal_scene c;
	struct rfs_orphans o;

	(void)state;
	begin(&c);
	go_on(&c);
	heal_spoil(c.disk, heal_l2(&c, 1), CS);
	assert_int_equal(heal_open(&c, NULL, false), 0);
	assert_false(rfs_qcow2_find_orphans(c.image, false, &o));
	assert_true(rfs_qcow2_find_orphans(c.image, true, &o));
	assert_int_equal(o.clusters, 21);
	assert_int_equal(o.bytes, 21 * CS);
	assert_true(o.is_partial);
	assert_false(rfs_qcow2_find_orphans(c.file, true, &o));
	heal_close(&c);
	heal_end(&c);
}

/* Hostile copies ---------------------------------------------------------- */

static void mutate(struct kit_disk *d)
{
	uint64_t n = kit_random() % 8 + 1, at;

	for (uint64_t i = 0; i < n; i++) {
		at = kit_random() % (kit_random() % 2 ? 16 * CS : d->size);
		if (at >= d->size)
			continue;
		if (kit_random() % 3 == 0)
			d->bytes[at] = (uint8_t)kit_random();
		else if (kit_random() % 2)
			d->bad[at / 512] = 1;
		else if ((at &= ~7ull) + 8 <= d->size)
			kit_put64(d->bytes + at,
				  kit_random() >> kit_random() % 64);
	}
}

static void hostile_copies(void **state)
{
	const char *more = getenv("RFS_FUZZ_ROUNDS");
	unsigned int rounds = more ? (unsigned int)atoi(more) : 400;
	struct heal_sums sums = { 0 };

	(void)state;
	for (unsigned int i = 0; i < rounds; i++) {
		struct heal_scene c;

		begin(&c);
		go_on(&c);
		heal_spoil(c.disk, i % 3 ? heal_l2(&c, 1) : c.sim.l1_off, 512);
		mutate(c.copy_disks[0]);
		if (i % 2)
			mutate(c.disk);
		alarm(60); /* a hang is a failure */
		if (heal_open(&c, NULL, i % 5 == 0) == 0)
			heal_sum(&c, &sums);
		heal_close(&c);
		heal_end(&c);
	}
	alarm(0);
	assert_true(sums.proved > 0);
}

/* The disk was cut in its middle and grew back, and its clusters were given to others,
 * whose entries are lost with them: no entry tells.  What lies before the last cluster
 * that is still as the copy has it is proved. */
static void cut_and_grown(void **state)
{
	struct heal_scene c;

	(void)state;
	for (int is_cut = 0; is_cut < 2; is_cut++) {
		c = (struct heal_scene){ 0 };
		sim_new(&c.sim, 3, BITS, SPAN);
		for (uint64_t i = 0; i < 20; i++)
			sim_write(&c.sim, i * CS);
		heal_backup(&c);
		if (is_cut)
			sim_shrink(&c.sim, 10 * CS);
		sim_grow(&c.sim, SPAN);
		for (uint64_t i = 40; i < 60; i++)
			sim_write(&c.sim, i * CS);
		/* Written since in its place. */
		if (!is_cut)
			sim_write(&c.sim, 19 * CS);
		heal_die(&c);
		heal_spoil(c.disk, heal_l2(&c, 0), CS);
		assert_int_equal(heal_open(&c, NULL, false), 0);
		for (uint64_t i = 0; i < 20; i++) {
			bool is_kept = i < (is_cut ? 10 : 19);

			assert_int_equal(heal_look(&c, c.proved[0], i * CS),
					 is_kept);
			assert_int_equal(heal_look(&c, c.unproved[0], i * CS),
					 is_kept  ? 0
					 : is_cut ? -1
						  : 1);
		}
		assert_int_equal(kit_noted(&c.notes, "made smaller"), 1);
		heal_close(&c);
		heal_end(&c);
	}
}

/* How far it is proved stands, as a verdict does (P4): though what showed it cannot be
 * read any more. */
static void a_cut_stays(void **state)
{
	char dir[] = "/tmp/rfs-heal-XXXXXX", remove[64];
	struct heal_scene c = { 0 };
	uint64_t host;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(rfs_state_open(dir, "test", &c.state, NULL), 0);
	sim_new(&c.sim, 3, BITS, SPAN);
	for (uint64_t i = 0; i < 20; i++)
		sim_write(&c.sim, i * CS);
	heal_backup(&c);
	sim_write(&c.sim, 19 * CS);
	heal_die(&c);
	heal_spoil(c.disk, heal_l2(&c, 0), CS);
	host = sim_get(&c.sim, heal_l2(&c, 0) + 18 * 8) & SIM_OFFSET;
	for (int round = 0; round < 2; round++) {
		assert_int_equal(heal_open(&c, NULL, false), 0);
		assert_int_equal(heal_look(&c, c.proved[0], 17 * CS), 1);
		assert_int_equal(heal_look(&c, c.proved[0], 18 * CS), !round);
		assert_int_equal(heal_look(&c, c.unproved[0], 18 * CS), 0);
		assert_int_equal(heal_look(&c, c.unproved[0], 19 * CS), 1);
		heal_close(&c);
		heal_spoil(c.disk, host, CS);
	}
	rfs_state_close(c.state);
	heal_end(&c);
	snprintf(remove, sizeof(remove), "rm -rf %s", dir);
	assert_int_equal(system(remove), 0);
}

/* A cluster that hangs does not keep the next from showing it; if all do, that is no
 * verdict yet. */
static void a_cluster_hangs(void **state)
{
	(void)state;
	for (uint64_t first = 0; first < 20; first += 19) {
		struct heal_scene c = { 0 };

		sim_new(&c.sim, 3, BITS, SPAN);
		for (uint64_t i = 0; i < 20; i++)
			sim_write(&c.sim, i * CS);
		heal_backup(&c);
		heal_die(&c);
		heal_spoil(c.disk, heal_l2(&c, 0), CS);
		for (uint64_t i = first; i < 20; i++)
			memset(c.disk->bad + (sim_get(&c.sim,
						      heal_l2(&c, 0) + i * 8) &
					      SIM_OFFSET) /
						     512,
			       KIT_LATE, CS / 512);
		assert_int_equal(heal_open(&c, NULL, false), 0);
		assert_int_equal(heal_look(&c, c.proved[0], 17 * CS),
				 first > 0);
		assert_int_equal(heal_look(&c, c.unproved[0], 17 * CS), 0);
		memset(c.disk->bad, 0, c.disk->size / 512);
		heal_spoil(c.disk, heal_l2(&c, 0), CS);
		assert_int_equal(heal_look(&c, c.proved[0], 17 * CS), 1);
		assert_int_equal(heal_look(&c, c.proved[0], 19 * CS), !first);
		heal_close(&c);
		heal_end(&c);
	}
}

/* Of a lost table one cluster is read, from either side, and more only as long as
 * they differ. */
static void few_reads(void **state)
{
	struct heal_scene c = { 0 };
	unsigned int reads[2];

	(void)state;
	for (int is_new = 0; is_new < 2; is_new++) {
		c = (struct heal_scene){ 0 };
		sim_new(&c.sim, 3, BITS, SPAN);
		for (uint64_t i = 0; i < 100; i++)
			sim_write(&c.sim, i * CS);
		heal_backup(&c);
		for (uint64_t i = 1; is_new && i < 100; i++)
			sim_write(&c.sim, i * CS);
		heal_die(&c);
		heal_spoil(c.disk, heal_l2(&c, 0), CS);
		assert_int_equal(heal_open(&c, NULL, false), 0);
		assert_int_equal(heal_look(&c, c.proved[0], 50 * CS), !is_new);
		reads[is_new] = c.copy_disks[0]->reads;
		heal_close(&c);
		heal_end(&c);
	}
	assert_in_range(reads[1] - reads[0], 16, 16 * 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_table),
		cmocka_unit_test(a_sector_of_a_table),
		cmocka_unit_test(the_l1_table),
		cmocka_unit_test(the_header),
		cmocka_unit_test(the_header_and_its_base),
		cmocka_unit_test(an_entry_that_makes_no_sense),
		cmocka_unit_test(a_table_of_zeros),
		cmocka_unit_test(a_table_of_zeros_alone),
		cmocka_unit_test(zeros_beside_a_lost_sector),
		cmocka_unit_test(the_next_copy),
		cmocka_unit_test(a_domain_that_discards),
		cmocka_unit_test(a_cluster_that_moved),
		cmocka_unit_test(a_cluster_let_go_of),
		cmocka_unit_test(an_older_copy_that_contradicts),
		cmocka_unit_test(internal_snapshots),
		cmocka_unit_test(another_size),
		cmocka_unit_test(another_base),
		cmocka_unit_test(a_data_file),
		cmocka_unit_test(no_agreement),
		cmocka_unit_test(another_owner),
		cmocka_unit_test(another_refcount),
		cmocka_unit_test(nothing_while_nothing_is_damaged),
		cmocka_unit_test(nothing_for_a_sector_of_data),
		cmocka_unit_test(opening_reads_as_much_as_without),
		cmocka_unit_test(orphans_are_counted),
		cmocka_unit_test(hostile_copies),
		cmocka_unit_test(cut_and_grown),
		cmocka_unit_test(a_cut_stays),
		cmocka_unit_test(a_cluster_hangs),
		cmocka_unit_test(few_reads),
	};

	kit_seed_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
