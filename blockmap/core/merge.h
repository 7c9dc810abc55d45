/* SPDX-License-Identifier: GPL-3.0-or-later */
/* merge.h - which block is taken, of several sources of different ages.
 *
 * Rule 2: the first source, in the order of freshness, that reads the block
 * without error.  What was taken is remembered from the first reading, in the
 * state (P4): a block that was served from one source is never served from
 * another later, until the operator orders a refresh.
 */
#ifndef RESCUEFS_CORE_MERGE_H
#define RESCUEFS_CORE_MERGE_H

#include "core/freshness.h"
#include "core/nature.h"
#include "core/reader.h"
#include "core/report.h"
#include "core/state.h"

/* One source of a disk, decoded to the guest's blocks. */
struct rfs_candidate {
	struct rfs_reader *reader;	 /* NULL: could not be opened */
	const struct rfs_origin *origin; /* whose copy it is */
	const char *kind;		 /* "damaged", "backup", "live" */
	int64_t as_of_ns;
	/* Of its file: a source that changes under what was chosen from it
	 * would change the view.  An unknown time is not checked. */
	struct rfs_generation generation;
	const char *error; /* why it could not be opened, or NULL */
	/* The same bytes as the first candidate's: what it gives is fresh. */
	bool is_same_generation;
};

/* What is read of a candidate where its own tables are lost and another copy's
 * are not (rule 5).  It is asked right after the candidate. */
struct rfs_healed {
	struct rfs_reader *reader;
	size_t candidate;		    /* whose bytes these are */
	const struct rfs_origin *healed_by; /* whose tables tell where */
	const char *name; /* in the state, by the formats below */
	bool is_unproved; /* what it gives is of the state "unproved" */
};

/* No source is called so: whose bytes, and whose tables. */
#define RFS_PROVED_NAME	  "%s healed by %s"
#define RFS_UNPROVED_NAME "%s unproved by %s"
#define RFS_GUESSED_NAME  "%s guessed"

struct rfs_merge_policy {
	bool withhold_stale; /* fill = none: a stale block is not served */
	/* fill = data: it is served where this finds file data; else NULL. */
	rfs_find_data_fn *find_data;
	bool zero_lost;	   /* lost = zero: zeros instead of EIO */
	bool take_changed; /* a refresh: take the sources as they are now */
};

struct rfs_merge;

/* The fact that holds the disk's size as its sources had it when blocks were
 * first chosen. */
#define RFS_MERGE_SIZE_FACT "sources' size"

/* The state of what the map "choices" has for a byte. */
static inline enum rfs_block_state rfs_merge_choice_state(uint32_t value)
{
	return (enum rfs_block_state)(value & 15);
}

/* The number in the state of who gave it. */
static inline uint32_t rfs_merge_choice_giver(uint32_t value)
{
	return value >> 4;
}

/* With what can be healed of the candidates, of which 'nhealed' may be 0.  -ESTALE if
 * the file of a source is another than when choices were first made, unless
 * policy.take_changed.  'id' names the disk in the state.  The arrays are copied and
 * the readers referenced; strings and origins outlive the merge. */
int rfs_merge_open(const char *id, const char *name, struct rfs_state *state,
		   struct rfs_merge_policy policy,
		   const struct rfs_candidate *candidates, size_t ncandidates,
		   const struct rfs_healed *healed, size_t nhealed,
		   struct rfs_merge **ret, struct rfs_error *err);
void rfs_merge_close(struct rfs_merge *m);

/* The disk's size, as it was when its first block was chosen. */
uint64_t rfs_merge_size(const struct rfs_merge *m);
/* How far it can be read: further than the size where a longer source came
 * back since.  What an overlay was written on may reach so far. */
uint64_t rfs_merge_reach(const struct rfs_merge *m);
uint64_t rfs_merge_allocated(const struct rfs_merge *m);
uint64_t rfs_merge_version(const struct rfs_merge *m);

/* As rfs_reader_read; range lies within the reach. */
int rfs_merge_read(struct rfs_merge *m, struct rfs_range range, void *buf,
		   struct rfs_ranges *bad, struct rfs_error *err);

/* A range whose bytes the caller takes out of files by himself. */
struct rfs_taking {
	struct rfs_pieces pieces;
	/* Of which nothing is chosen yet. */
	struct rfs_range unread[RFS_PIECES_MAX];
	size_t nunread;
};

/* Where the bytes lie that a read would serve, if all of them lie in files of
 * which nothing is known to be bad.  'ret' is zeroed to begin.  Any error: the
 * range is to be read. */
int rfs_merge_pieces(struct rfs_merge *m, struct rfs_range range,
		     struct rfs_taking *ret);
/* To be called when all bytes are at hand, and before any is served.  Any error
 * (-EAGAIN: another thread took them from elsewhere): they may not be served,
 * and the range is to be read. */
int rfs_merge_taken(struct rfs_merge *m, const struct rfs_taking *taking,
		    struct rfs_error *err);

int rfs_merge_extents(struct rfs_merge *m, struct rfs_range range,
		      struct rfs_extents *out, struct rfs_error *err);
int rfs_merge_seats(struct rfs_merge *m, struct rfs_range range,
		    struct rfs_seats *out, struct rfs_error *err);
int rfs_merge_report(struct rfs_merge *m, struct rfs_range range,
		     struct rfs_report *out, struct rfs_error *err);

/* Keeps what was learned since the last call. */
int rfs_merge_sync(struct rfs_merge *m, struct rfs_error *err);

/* Forgets the choices, takes the sources' files as they are now, and lets them
 * ask again for what failed. */
int rfs_merge_forget(struct rfs_merge *m, struct rfs_error *err);

size_t rfs_merge_candidates(const struct rfs_merge *m,
			    const struct rfs_candidate **ret);

#endif /* RESCUEFS_CORE_MERGE_H */
