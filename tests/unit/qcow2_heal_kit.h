/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qcow2_heal_kit.h - a damaged image, its backups, and what is healed of it. */
#ifndef RESCUEFS_TESTS_QCOW2_HEAL_KIT_H
#define RESCUEFS_TESTS_QCOW2_HEAL_KIT_H

#include "qcow2_sim.h"

#define HEAL_WITNESSES 2

static const struct rfs_origin heal_origins[HEAL_WITNESSES] = { { "monday" },
								{ "sunday" } };

struct heal_scene {
	struct sim sim;
	int kind;		 /* the test's own */
	struct rfs_reader *file; /* the damaged one */
	struct kit_disk *disk;
	struct rfs_reader *copies[HEAL_WITNESSES];
	struct kit_disk *copy_disks[HEAL_WITNESSES];
	size_t ncopies;
	const struct rfs_qcow2_place *places; /* by hand */
	size_t nplaces;
	bool may_guess;
	struct rfs_state *state; /* or NULL */
	bool borrowed;	     /* its header is lost: nothing of it is its own */
	unsigned int opened; /* witnesses that were asked for */
	struct rfs_reader *image, *proved[HEAL_WITNESSES],
		*unproved[HEAL_WITNESSES];
	struct rfs_qcow2_healing *healing;
	struct rfs_notes notes;
};

struct heal_ask {
	struct heal_scene *scene;
	size_t copy;
};

static inline int heal_open_copy(void *data, struct rfs_reader **ret,
				 struct rfs_error *err)
{
	struct heal_ask *ask = data;

	(void)err;
	ask->scene->opened++;
	*ret = rfs_reader_ref(ask->scene->copies[ask->copy]);
	return 0;
}

/* Takes a backup; the freshest is the last one taken. */
static inline void heal_backup(struct heal_scene *c)
{
	assert_true(c->ncopies < HEAL_WITNESSES);
	c->copies[c->ncopies] = kit_reader(sim_save(&c->sim), c->sim.end,
					   "copy", &c->copy_disks[c->ncopies]);
	c->ncopies++;
}

/* The host dies: what stands in the file now is what is left of it. */
static inline void heal_die(struct heal_scene *c)
{
	c->file =
		kit_reader(sim_save(&c->sim), c->sim.end, "damaged", &c->disk);
}

/* Opens what is left.  'borrowed': by the header of the freshest copy. */
static inline int heal_open(struct heal_scene *c, const char *may_move,
			    bool borrowed)
{
	static struct heal_ask asks[HEAL_WITNESSES];
	struct rfs_qcow2_witness w[HEAL_WITNESSES];
	struct rfs_qcow2_parts parts = { .file = c->file, .notes = &c->notes };
	struct rfs_qcow2_healing_config config = { .witnesses = w,
						   .nwitnesses = c->ncopies,
						   .may_move = may_move,
						   .places = c->places,
						   .nplaces = c->nplaces,
						   .may_guess = c->may_guess,
						   .state = c->state,
						   .object = "disk",
						   .notes = &c->notes };
	int r;

	rfs_notes_init(&c->notes);
	c->borrowed = borrowed;
	if (borrowed)
		parts.header = c->copies[c->ncopies - 1];
	r = rfs_qcow2_open(&parts, &c->image, NULL);
	if (r < 0)
		return r;
	for (size_t k = 0; k < c->ncopies; k++) {
		asks[k] = (struct heal_ask){ c, c->ncopies - 1 - k };
		w[k] = (struct rfs_qcow2_witness){ &heal_origins[k],
						   heal_open_copy, &asks[k] };
	}
	config.image = c->image;
	assert_int_equal(rfs_qcow2_healing_new(&config, &c->healing, NULL), 0);
	for (size_t k = 0; k < c->ncopies; k++) {
		assert_int_equal(rfs_qcow2_healed_open(c->healing, k, true,
						       &c->proved[k], NULL),
				 0);
		assert_int_equal(rfs_qcow2_healed_open(c->healing, k, false,
						       &c->unproved[k], NULL),
				 0);
	}
	return 0;
}

static inline void heal_close(struct heal_scene *c)
{
	for (size_t k = 0; k < HEAL_WITNESSES; k++) {
		c->proved[k] = rfs_reader_unref(c->proved[k]);
		c->unproved[k] = rfs_reader_unref(c->unproved[k]);
	}
	c->healing = rfs_qcow2_healing_unref(c->healing);
	c->image = rfs_reader_unref(c->image);
	rfs_notes_fini(&c->notes);
}

static inline void heal_end(struct heal_scene *c)
{
	for (size_t k = 0; k < c->ncopies; k++)
		rfs_reader_unref(c->copies[k]);
	rfs_reader_unref(c->file);
	sim_free(&c->sim);
}

/* What a range gives, by the sector: 0 unreadable, 1 right, -1 wrong. */
static inline int heal_look(struct heal_scene *c, struct rfs_reader *rd,
			    uint64_t off)
{
	uint8_t buf[512];

	if (!rd || !rfs_range_fits(rfs_range(off, 512), rfs_reader_size(rd)) ||
	    rfs_reader_read(rd, rfs_range(off, 512), buf, NULL, NULL) < 0)
		return 0;
	return memcmp(buf, c->sim.truth + off, 512) ? -1 : 1;
}

/* As a merge asks: the image itself, then what is healed of it. */
struct heal_sums {
	uint64_t own, proved, unproved, lost; /* sectors, right or not */
	uint64_t wrong_own, wrong_proved, wrong_unproved;
};

static inline void heal_sum(struct heal_scene *c, struct heal_sums *sums)
{
	struct rfs_reader *order[1 + 2 * HEAL_WITNESSES] = {
		c->borrowed ? NULL : c->image
	};
	size_t n = 1;
	int said = 0;

	for (size_t k = 0; k < c->ncopies; k++)
		order[n++] = c->proved[k];
	for (size_t k = 0; k < c->ncopies; k++)
		order[n++] = c->unproved[k];
	for (uint64_t off = 0; off < c->sim.size; off += 512) {
		size_t i = 0;

		for (said = 0, i = 0; i < n && !said; i++)
			said = heal_look(c, order[i], off);
		sums->lost += !said;
		if (!said)
			continue;
		sums->own += i == 1;
		sums->wrong_own += i == 1 && said < 0;
		sums->proved += i > 1 && i <= 1 + c->ncopies;
		sums->wrong_proved += i > 1 && i <= 1 + c->ncopies && said < 0;
		sums->unproved += i > 1 + c->ncopies;
		sums->wrong_unproved += i > 1 + c->ncopies && said < 0;
	}
}

static inline void heal_spoil(struct kit_disk *d, uint64_t off, uint64_t len)
{
	for (uint64_t o = off; o < off + len && o < d->size; o += RFS_SECTOR)
		d->bad[o / RFS_SECTOR] = 1;
}

/* Where the L2 table 'index' of the damaged image lies; 0: it has none. */
static inline uint64_t heal_l2(const struct heal_scene *c, uint64_t index)
{
	return index < c->sim.l1_entries
		       ? sim_get(&c->sim, c->sim.l1_off + index * 8) &
				 SIM_OFFSET
		       : 0;
}

#endif /* RESCUEFS_TESTS_QCOW2_HEAL_KIT_H */
