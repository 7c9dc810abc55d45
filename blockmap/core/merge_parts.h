/* SPDX-License-Identifier: GPL-3.0-or-later */
/* merge_parts.h - what merge.c and merge_tell.c share; for these two only. */
#ifndef RESCUEFS_CORE_MERGE_PARTS_H
#define RESCUEFS_CORE_MERGE_PARTS_H

#include <stdatomic.h>

#include "core/keptmap.h"
#include "core/merge.h"

/* Who is asked for a block: a candidate, or what is healed of one. */
struct rfs_giver {
	struct rfs_reader *reader; /* NULL: could not be opened */
	const struct rfs_candidate *candidate;
	const struct rfs_origin *healed_by;
	uint32_t id; /* its number in the state */
	enum rfs_block_state gives;
};

struct rfs_merge {
	char *name;
	struct rfs_merge_policy policy;
	struct rfs_candidate *candidates;
	size_t ncandidates;
	struct rfs_giver *givers; /* in the order in which they are asked */
	size_t ngivers;
	uint64_t size;
	struct rfs_kept choices;
	struct rfs_nature *nature; /* of fill = data, else NULL */
	atomic_uint_fast64_t version;
};

/* Who gave what was chosen; NULL: it is not there now. */
static inline const struct rfs_giver *
rfs_merge_giver_of(const struct rfs_merge *m, uint32_t value)
{
	for (size_t k = 0; k < m->ngivers; k++)
		if (m->givers[k].id == rfs_merge_choice_giver(value))
			return &m->givers[k];
	return NULL;
}

/* What is chosen at 'off', as the policy of today has it, cut to 'within'. */
struct rfs_run rfs_merge_find(struct rfs_merge *m, uint64_t off,
			      struct rfs_range within);

#endif /* RESCUEFS_CORE_MERGE_PARTS_H */
