/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qcow2_heal.h - the parts of healing, for themselves only.
 *
 * Without internal snapshots and discards a cluster never moves once it is
 * allocated: an older copy of the image still says where it lies.  qcow2_judge.c
 * compares a copy's tables with what is left of the image's own, and says whether
 * that holds; qcow2_heal.c answers for single entries, and is a reader.
 */
#ifndef RESCUEFS_READERS_QCOW2_HEAL_H
#define RESCUEFS_READERS_QCOW2_HEAL_H

#include "readers/qcow2_census.h"
#include "readers/readers.h"

/* One copy, and what it is worth.  All but 'spec' is set by the thread that
 * judges it, and does not change afterwards. */
struct rfs_qcow2_judged {
	struct rfs_qcow2_witness spec;
	struct rfs_reader *file, *image;
	struct rfs_qcow2 *q; /* of 'image' */
	struct rfs_qcow2_testimony says;
	bool is_judging; /* guarded by the healing's lock, as is says.verdict */
	/* For each L1 entry where the L2 table lies, in the image as in the copy;
	 * 0: they do not agree on it, or have none. */
	uint64_t *tables;
	uint8_t *claimed; /* the census', and what found tables claim */
	uint8_t *fixed;	  /* clusters that the copy has in use for good */
};

/* Where tables that nothing leads to are taken to belong. */
struct rfs_qcow2_guess {
	bool is_made;
	/* For each L1 entry where its table lies; 0: nobody knows.  NULL: none. */
	uint64_t *tables;
	uint64_t count;
};

struct rfs_qcow2_healing {
	atomic_uint refs;
	struct rfs_reader *image;
	struct rfs_qcow2 *q; /* of 'image' */
	char *may_move;
	struct rfs_qcow2_place *places;
	size_t nplaces;
	bool may_guess;
	struct rfs_state *state;
	char *object;
	struct rfs_notes *notes;
	pthread_mutex_t
		lock; /* guards who judges or guesses; not held meanwhile */
	pthread_cond_t judged;
	bool is_guessing;	      /* guarded by lock, as is: */
	struct rfs_qcow2_guess guess; /* once it is made it stays */
	size_t nwitnesses;
	struct rfs_qcow2_judged witnesses[];
};

/* A way to look at the image: by one witness. */
struct rfs_qcow2_healer {
	struct rfs_qcow2_healing *healing;
	size_t witness;
	bool proved;
	bool guesses; /* by no witness, but by what is found in the file */
};

/* The image behind a reader; NULL: it is another kind's. */
struct rfs_qcow2 *rfs_qcow2_of(struct rfs_reader *image);

/* As the reader's functions, seen by 'healer' or, with NULL, by its own tables
 * alone. */
int rfs_qcow2_read_as(struct rfs_qcow2 *q,
		      const struct rfs_qcow2_healer *healer,
		      struct rfs_range range, void *buf, struct rfs_ranges *bad,
		      struct rfs_error *err);
int rfs_qcow2_extents_as(struct rfs_qcow2 *q,
			 const struct rfs_qcow2_healer *healer,
			 struct rfs_range range, struct rfs_extents *out,
			 struct rfs_error *err);
int rfs_qcow2_trace_as(struct rfs_qcow2 *q,
		       const struct rfs_qcow2_healer *healer,
		       struct rfs_range range, struct rfs_trace *out,
		       struct rfs_error *err);

/* Judges the copy unless that was done.  -ETIMEDOUT: not now, but perhaps
 * another time. */
int rfs_qcow2_judge(struct rfs_qcow2_healing *h, size_t witness,
		    struct rfs_error *err);
/* *ret_why: why by its header it is no copy of the same image; NULL: it may be. */
int rfs_qcow2_find_unfit(struct rfs_qcow2_healing *h,
			 struct rfs_qcow2_judged *w, const char **ret_why,
			 struct rfs_error *err);
/* Sets says.kept of a copy of which nothing contradicts, as far as a cluster shows that
 * the disk was not made smaller; it is where the last entry that agrees says. */
int rfs_qcow2_find_kept(struct rfs_qcow2_healing *h, struct rfs_qcow2_judged *w,
			struct rfs_error *err);
/* What a table says by itself. */
struct rfs_qcow2_entry rfs_qcow2_entry_of(const struct rfs_qcow2 *q,
					  const struct rfs_qcow2_table *t,
					  uint64_t guest);
/* Forgets all verdicts, here and in the state. */
int rfs_qcow2_forget_verdicts(struct rfs_qcow2_healing *h,
			      struct rfs_error *err);

static inline bool rfs_qcow2_is_usable(const struct rfs_qcow2_judged *w)
{
	return w->says.verdict == RFS_QCOW2_PROVED ||
	       w->says.verdict == RFS_QCOW2_UNPROVED;
}

/* True if the zeros of this L2 table, or with 0 of the L1 table, may hide clusters
 * that are in use and that no table claims: some copy knows such, or does not
 * know the table.  'index' is that of its L1 entry. */
bool rfs_qcow2_denies_zeros(struct rfs_qcow2_healing *h, uint64_t off,
			    uint64_t index);

/* What the image tells by itself is the healer's too: its header is the witness'. */
bool rfs_qcow2_gives_own(const struct rfs_qcow2_healer *healer);

/* What is healed at 'guest', whose own table says 'own' (not STORED to data that
 * can be told).  *ret_len: how far from the start of its cluster on the answer
 * holds. */
int rfs_qcow2_heal_entry(const struct rfs_qcow2_healer *healer, uint64_t guest,
			 struct rfs_qcow2_entry *ret, uint64_t *ret_len,
			 struct rfs_error *err);

/* The same by an L2 table that was found in the file; see qcow2_guess.c. */
int rfs_qcow2_guess_entry(struct rfs_qcow2_healing *h, uint64_t guest,
			  struct rfs_qcow2_entry *ret, uint64_t *ret_len,
			  struct rfs_error *err);

/* What is mapped tells the place of the disk's first table, and of its last. */
#define RFS_QCOW2_TOLD 2

struct rfs_qcow2_told {
	uint64_t index, off, last, clusters; /* last: as of rfs_qcow2_looked */
	uint64_t
		count; /* of tables that it is told of: more than 1 tell none */
};

/* One look for tables that nothing leads to (qcow2_guess.c, qcow2_place.c). */
struct rfs_qcow2_search {
	struct rfs_qcow2_healing *h;
	struct rfs_qcow2 *q;
	const struct rfs_qcow2_census *census;
	uint8_t *
		claimed; /* by a table, by what a usable copy led to, or placed */
	uint8_t *taken;	  /* by a table that was found, or as one */
	uint8_t *lost;	  /* entries of the L1 table that nobody tells */
	uint64_t entries; /* of the L1 table */
	uint64_t nlost, clusters; /* left; of the tables found */
	bool is_contested;	  /* two of the tables found claim the same */
	struct rfs_qcow2_told told[RFS_QCOW2_TOLD];
	struct rfs_strays strays;
	struct rfs_qcow2_guess found;
};

/* What may be an L2 table. */
struct rfs_qcow2_looked {
	struct rfs_qcow2_table table;
	uint64_t owned;	      /* entries that are a cluster's only owner */
	uint64_t used;	      /* that are not zero, those among them */
	uint64_t first, last; /* of the used ones */
};

/* Loads the first 'len' bytes of it.  1: it is none; then *ret holds nothing. */
int rfs_qcow2_look_at_table(struct rfs_qcow2_search *s, uint64_t off,
			    uint64_t len, struct rfs_qcow2_looked *ret,
			    struct rfs_error *err);
/* In use once, and claimed by nobody. */
bool rfs_qcow2_is_lone(const struct rfs_qcow2_search *s, uint64_t cluster);
/* As the table of that L1 entry it maps nothing beyond the end of the disk. */
bool rfs_qcow2_fits_entry(const struct rfs_qcow2_search *s, uint64_t index,
			  uint64_t last);

/* Takes the tables that the operator placed, and marks what they claim. */
int rfs_qcow2_place_tables(struct rfs_qcow2_search *s, struct rfs_error *err);
/* That table for that entry, which is lost, unless the state has it otherwise or it
 * maps ('last', its last entry in use) beyond the disk.  1: so it is taken. */
int rfs_qcow2_place_guess(struct rfs_qcow2_search *s, uint64_t index,
			  uint64_t off, uint64_t last, struct rfs_error *err);
/* Whether what a found table maps tells its place (qcow2_told.c); then, once all are
 * found, the places that are told of one table only. */
int rfs_qcow2_ask_told(struct rfs_qcow2_search *s,
		       const struct rfs_qcow2_looked *l, struct rfs_error *err);
int rfs_qcow2_place_told(struct rfs_qcow2_search *s, struct rfs_error *err);
/* Forgets in the state which tables were placed. */
int rfs_qcow2_forget_places(struct rfs_qcow2_healing *h, struct rfs_error *err);

/* Keeps the count of orphans, where it was made. */
int rfs_qcow2_keep_orphans(struct rfs_qcow2_healing *h, struct rfs_error *err);

/* What an entry of the L1 table says is nothing.  A table of zeros is taken for
 * lost if clusters are in use that nobody claims. */
bool rfs_qcow2_is_l1_lost(const struct rfs_qcow2 *q, enum rfs_qcow2_kind kind,
			  const struct rfs_qcow2_census *census);

/* True if what the copy's compressed cluster is made of is there as it was: refcounts
 * and bytes, which are read. */
bool rfs_qcow2_is_packed_alike(struct rfs_qcow2_healing *h,
			       const struct rfs_qcow2_judged *w,
			       const struct rfs_qcow2_entry *e);
/* True if 'host' is a cluster that no table claims and whose refcount, where it
 * can be read, is 1. */
bool rfs_qcow2_is_free_for(const struct rfs_qcow2_healing *h,
			   const struct rfs_qcow2_judged *w, uint64_t host);
/* The same of one that is claimed, by an entry that says what the copy's does. */
bool rfs_qcow2_is_sole(const struct rfs_qcow2_healing *h, uint64_t host);

#endif /* RESCUEFS_READERS_QCOW2_HEAL_H */
