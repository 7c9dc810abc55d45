/* SPDX-License-Identifier: GPL-3.0-or-later */
/* state_store.h - what the state's database knows of a rescued store; see
 * store.h, whose code alone calls these. */
#ifndef RESCUEFS_CORE_STATE_STORE_H
#define RESCUEFS_CORE_STATE_STORE_H

#include "core/digest.h"
#include "core/state.h"

#define RFS_STORE_MAP "store" /* the purpose of its map */

/* Digests are kept by the page, as maps are: one for each chunk of 64 KiB. */
#define RFS_DIGESTS_PAGE 64

struct rfs_digests {
	struct rfs_digest items[RFS_DIGESTS_PAGE];
};

struct rfs_store_row {
	uint64_t size;	   /* of the file, when its store was begun */
	uint64_t absorbed; /* the last journal that is in the map */
};

/* -ENOENT: nothing is kept.  -EBADMSG: no numbers of ours. */
int rfs_state_store(struct rfs_state *st, const char *object,
		    struct rfs_store_row *ret, struct rfs_error *err);
/* On the disk when it returns. */
int rfs_state_begin_store(struct rfs_state *st, const char *object,
			  uint64_t size, struct rfs_error *err);
/* Its map, its digests and its row: gone, all or none. */
int rfs_state_drop_store(struct rfs_state *st, const char *object,
			 struct rfs_error *err);

/* Chunks of which no digest was kept have one of zeros. */
int rfs_state_digests(struct rfs_state *st, const char *object, uint64_t page,
		      struct rfs_digests *ret, struct rfs_error *err);

/* Between rfs_state_begin and rfs_state_end: */

int rfs_state_set_store(struct rfs_state *st, const char *object,
			struct rfs_store_row row, struct rfs_error *err);
/* Those whose bit is set in 'which' are replaced. */
int rfs_state_set_digests(struct rfs_state *st, const char *object,
			  uint64_t page, uint64_t which,
			  const struct rfs_digests *digests,
			  struct rfs_error *err);

#endif /* RESCUEFS_CORE_STATE_STORE_H */
