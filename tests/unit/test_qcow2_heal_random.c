// SPDX-License-Identifier: GPL-3.0-or-later
/* Random images, backups and damage: of images that never let go of a cluster
 * not one byte that is served is wrong, and of others only what is said to be
 * unproved. */
#include "qcow2_heal_kit.h"

#define SCENES	1500 /* RFS_HEAL_SCENES asks for more */
#define CHECKED 25   /* of them compared with qemu-img's reading */

/* What one scene is made of. */
enum { WRITES, RESIZED, DISCARDS, SNAPSHOTS, ZEROES, SHRUNK, BOTH, KINDS };

static struct heal_sums sums[KINDS], bare[KINDS];
static unsigned int scenes[KINDS], hidden[KINDS], healed[KINDS];
static unsigned int crossings;
static bool zeroed;  /* a table of the scene was */
static bool crossed; /* an entry leads to another's cluster */

static uint64_t below(uint64_t n)
{
	return kit_random() % n;
}

static void write_some(struct sim *s)
{
	uint64_t clusters = s->size / s->cs, first = below(clusters);
	uint64_t n = below(12) + 1;

	for (uint64_t i = first; i < first + n && i < clusters; i++)
		sim_write(s, i * s->cs);
}

static void free_some(struct sim *s, bool zero)
{
	uint64_t clusters = s->size / s->cs, first = below(clusters);
	uint64_t n = below(10) + 1;

	for (uint64_t i = first; i < first + n && i < clusters; i++)
		if (zero && s->version >= 3)
			sim_zero(s, i * s->cs);
		else
			sim_discard(s, i * s->cs);
}

/* It gets its old size again, or all would say that it is another image. */
static void shrink_and_grow(struct sim *s)
{
	uint64_t size = s->size, clusters = size / s->cs;

	sim_shrink(s, (below(clusters) + 1) * s->cs);
	if (below(2))
		write_some(s);
	sim_grow(s, size);
}

static void step(struct sim *s, int kind)
{
	switch (below(5)) {
	case 0:
		if (kind == DISCARDS || kind == BOTH)
			free_some(s, false);
		else if (kind == ZEROES)
			free_some(s, true);
		break;
	case 1:
		if (kind == SNAPSHOTS || kind == BOTH)
			sim_snapshot(s);
		break;
	case 2:
		if (kind == SNAPSHOTS || kind == BOTH)
			sim_unsnapshot(s);
		break;
	case 3:
		if (kind == SHRUNK)
			shrink_and_grow(s);
	}
	write_some(s);
}

static void live(struct heal_scene *c, int kind)
{
	uint64_t steps = below(20) + 4, copies = below(2) + 1;

	for (uint64_t i = 0; i < steps; i++)
		write_some(&c->sim);
	for (uint64_t k = 0; k < copies; k++) {
		heal_backup(c);
		steps = below(16);
		for (uint64_t i = 0; i < steps; i++)
			step(&c->sim, kind);
		if (k + 1 < copies)
			sim_unsnapshot(&c->sim);
	}
	sim_unsnapshot(&c->sim);
	if (kind == RESIZED)
		sim_grow(&c->sim, c->sim.size * (1 + below(3)));
	write_some(&c->sim);
}

/* A place of an entry in a table that is whole; 0: there is none. */
static uint64_t pick_entry(const struct heal_scene *c)
{
	uint64_t off = heal_l2(c, below(c->sim.l1_entries));
	uint64_t at = off + below(c->sim.cs / 8) * 8;

	return off && !c->disk->bad[at / 512] ? at : 0;
}

/* An entry leads where another does, and both can be read: of one whose rival is
 * lost nobody could tell that it is wrong. */
static void cross(struct heal_scene *c)
{
	uint64_t from = pick_entry(c), to = pick_entry(c), entry;

	if (zeroed || c->disk->bad[c->sim.l1_off / 512] || !from || !to)
		return;
	entry = kit_get64(c->disk->bytes + from);
	if (from == to || !(entry & SIM_COPIED) ||
	    (entry & SIM_OFFSET) >= c->disk->size)
		return;
	kit_put64(c->disk->bytes + to, entry);
	crossed = true;
}

/* Damages a random part of a table. */
static void damage_table(struct heal_scene *c, uint64_t off)
{
	uint64_t sectors = c->sim.cs / 512;

	switch (off ? below(5) : 4) {
	case 0:
		heal_spoil(c->disk, off, c->sim.cs);
		break;
	case 1:
		memset(c->disk->bytes + off, 0, c->sim.cs);
		zeroed = true;
		break;
	case 2: /* an entry that makes no sense */
		/* Among zeros it would make them look like a table. */
		if (zeroed)
			break;
		kit_put64(c->disk->bytes + off + below(c->sim.cs / 8) * 8,
			  1ull << 50 | 0x200 | SIM_COPIED);
		break;
	case 3:
		heal_spoil(c->disk, off + below(sectors) * 512, 512);
	}
}

/* True where the header is gone. */
static bool damage(struct heal_scene *c)
{
	uint64_t n = below(c->sim.l1_entries) + 1;

	for (uint64_t i = 0; i < n; i++)
		damage_table(c, heal_l2(c, below(c->sim.l1_entries)));
	if (!below(4))
		heal_spoil(c->disk, c->sim.l1_off, 512);
	if (!below(5))
		heal_spoil(c->disk,
			   c->sim.blocks[0] + below(c->sim.cs / 512) * 512,
			   512);
	if (below(8)) {
		cross(c);
		return false;
	}
	heal_spoil(c->disk, 0, 512);
	return true;
}

/* A zeroed table that nobody denies reads as zeros: that is not healing's. */
static void show(const char *note, void *data)
{
	(void)data;
	print_error("  %s\n", note);
}

static void look(struct heal_scene *c, const char *may_move, bool borrowed,
		 struct heal_sums *to)
{
	uint64_t wrong = to->wrong_proved;
	struct rfs_orphans orphans;

	if (heal_open(c, may_move, borrowed) < 0)
		return;
	/* As if its damage had been met first. */
	if (crossed)
		rfs_qcow2_find_orphans(c->image, true, &orphans);
	heal_sum(c, to);
	if (to->wrong_proved != wrong && to == &sums[c->kind])
		rfs_notes_each(&c->notes, 0, show, NULL);
	heal_close(c);
}

/* qemu-img reads what the simulator wrote as it meant it. */
static void compare_with_qemu(struct heal_scene *c)
{
	char path[128];
	uint64_t size;
	uint8_t *raw;
	FILE *f;

	snprintf(path, sizeof(path), "%s/sim", kit_dir);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(c->disk->bytes, 1, c->disk->size, f),
			 c->disk->size);
	assert_int_equal(fclose(f), 0);
	kit_must("qemu-img check -q -f qcow2 sim >&2 && "
		 "qemu-img convert -f qcow2 -O raw sim raw");
	raw = kit_slurp("raw", &size);
	assert_int_equal(size, c->sim.size);
	assert_memory_equal(raw, c->sim.truth, size);
	free(raw);
}

static void one(unsigned int i)
{
	static const char *const why[KINDS] = { [DISCARDS] = "discards",
						[ZEROES] = "detects zeroes",
						[BOTH] = "discards" };
	int kind = i % 2      ? (int)below(KINDS - 2) + 2
		   : below(4) ? WRITES
			      : RESIZED;
	uint32_t bits = 9 + (uint32_t)below(3);
	uint64_t span = 1ull << (2 * bits - 3);
	struct heal_scene c = { 0 };
	struct heal_sums before = bare[kind], was = sums[kind];
	bool borrowed;

	zeroed = crossed = false;

	sim_new(&c.sim, 2 + (uint32_t)below(2), bits,
		bits == 9    ? span * (below(6) + 1)
		: bits == 10 ? span * (below(3) + 1)
			     : span);
	c.kind = kind;
	live(&c, kind);
	heal_die(&c);
	if (i % 2 == 1 && i < 2 * CHECKED)
		compare_with_qemu(&c);
	borrowed = damage(&c);
	look(&c, why[kind], borrowed, &sums[kind]);
	/* The same if the domain's XML said nothing. */
	look(&c, NULL, borrowed, &bare[kind]);
	scenes[kind]++;
	healed[kind] += sums[kind].proved + sums[kind].unproved >
			was.proved + was.unproved;
	hidden[kind] += bare[kind].wrong_proved > before.wrong_proved;
	crossings += crossed;
	if (!zeroed && kind <= RESIZED)
		assert_int_equal(sums[kind].wrong_own, was.wrong_own);
	if (!zeroed && kind == WRITES)
		assert_int_equal(sums[kind].wrong_unproved, was.wrong_unproved);
	heal_end(&c);
}

static void print(int kind, const char *name)
{
	const struct heal_sums *s = &sums[kind], *b = &bare[kind];

	printf("  %-10s %u scenes, %u with anything healed; sectors: own "
	       "%" PRIu64 " (wrong %" PRIu64 "), proved %" PRIu64
	       " (wrong %" PRIu64 "), unproved %" PRIu64 " (wrong %" PRIu64
	       "), lost %" PRIu64 "; without a word from the XML: %" PRIu64
	       " of %" PRIu64 " proved are wrong, in %u scenes\n",
	       name, scenes[kind], healed[kind], s->own, s->wrong_own,
	       s->proved, s->wrong_proved, s->unproved, s->wrong_unproved,
	       s->lost, b->wrong_proved, b->proved, hidden[kind]);
}

/* Nothing says that this was done. */
static bool is_untold(int kind)
{
	return kind == SNAPSHOTS || kind == SHRUNK;
}

static void random_scenes(void **state)
{
	static const char *const names[KINDS] = { "writes",   "resized",
						  "discards", "snapshots",
						  "zeroes",   "shrunk",
						  "both" };
	const char *more = getenv("RFS_HEAL_SCENES");
	unsigned int n = more ? (unsigned int)atoi(more) : SCENES;

	(void)state;
	for (unsigned int i = 0; i < n; i++) {
		uint64_t seed = kit_seed, wrong = 0;

		one(i);
		for (int k = 0; k < KINDS; k++)
			wrong += is_untold(k) ? 0 : sums[k].wrong_proved;
		if (wrong)
			print_error("scene %u from %" PRIu64 "\n", i, seed);
		if (wrong)
			break;
	}
	for (int k = 0; k < KINDS; k++)
		print(k, names[k]);
	printf("  in %u scenes an entry leads to another's cluster\n",
	       crossings);
	for (int k = 0; k < KINDS; k++)
		if (!is_untold(k))
			assert_int_equal(sums[k].wrong_proved, 0);
	/* These may move clusters and leave no trace; docs/qcow2.md has how
	 * often. */
	assert_true(hidden[SNAPSHOTS] <= 1 + scenes[SNAPSHOTS] / 200);
	assert_true(hidden[SHRUNK] <= 1 + scenes[SHRUNK] / 200);
	/* And of those that move none little falls to the doubt for that. */
	assert_true(sums[WRITES].unproved < sums[WRITES].proved / 4);
	assert_true(sums[WRITES].proved > 0);
	assert_true(crossings > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_scenes),
	};
	int failed;

	kit_begin();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	kit_end();
	return failed;
}
