/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qcow2_census.h - which clusters of an image its tables claim, and which its
 * refcounts say are in use.
 *
 * Taken once an image, at the first need: it reads every table that can be read,
 * and no data.
 */
#ifndef RESCUEFS_READERS_QCOW2_CENSUS_H
#define RESCUEFS_READERS_QCOW2_CENSUS_H

#include "readers/qcow2.h"

#define RFS_QCOW2_NOTED_TABLES 16 /* more are counted only */

#define RFS_QCOW2_REFS_MAX 255 /* that, or more */

/* Who claims a cluster, by an entry that makes sense: bits.  Internal snapshots,
 * which may share what they claim, and entries beyond the disk's end are not
 * among them. */
enum {
	RFS_QCOW2_BY_META = 1, /* header, L1 table, refcounts, bitmaps */
	RFS_QCOW2_BY_L1 = 2,   /* an L1 entry: it is an L2 table */
	RFS_QCOW2_BY_L1_TWICE = 4,
	RFS_QCOW2_BY_ODD_L1 =
		8,	      /* but no table to look at: empty, or nonsense */
	RFS_QCOW2_BY_L2 = 16, /* a standard L2 entry */
	RFS_QCOW2_BY_L2_TWICE = 32,
	RFS_QCOW2_BY_PACKED = 64, /* compressed clusters, which may be many */
};

/* Compressed clusters of the disk; once counted, those that lie in one another, in
 * order (qcow2_overlap.c). */
struct rfs_qcow2_packed {
	uint64_t *items;
	size_t count, room;
	bool is_cut; /* there are too many, and nothing is known of them */
};

/* A bit a cluster in each map, but for two. */
struct rfs_qcow2_census {
	uint64_t clusters;
	uint8_t *claimed; /* by a table, a snapshot, a bitmap, or as a table */
	uint8_t *counted; /* its refcount could be read */
	uint8_t *used;	  /* and is not 0 */
	uint8_t *shared;  /* and is more than 1 */
	uint8_t *refs;	  /* a byte a cluster: the refcount, or REFS_MAX */
	uint8_t *by;	  /* a byte a cluster: who claims it */
	struct rfs_qcow2_packed packed;
	bool partial; /* some of what may claim could not be read */
	bool late;    /* or was not waited for */
	bool cut;     /* or is more than we read */
	bool l1_lost; /* entries of the L1 table are */
	/* L2 tables of zeros. */
	uint64_t zero_at[RFS_QCOW2_NOTED_TABLES];
	size_t zeros;
	/* In use, and claimed by nobody. */
	uint64_t orphans, first_orphan; /* clusters; bytes */
};

/* 'len' reaches to the end of a sector. */
void rfs_qcow2_note_packed(struct rfs_qcow2_packed *packed, uint64_t off,
			   uint32_t len);
/* Leaves those that lie in one another. */
void rfs_qcow2_find_overlaps(struct rfs_qcow2_packed *packed);
/* Whether the compressed cluster that begins there does. */
bool rfs_qcow2_is_overlapping(const struct rfs_qcow2_packed *packed,
			      uint64_t off);

/* The image's census, which lives as long as the image.  -ETIMEDOUT: a table
 * was not waited for, and another time it may be.  -EFBIG: the image is too
 * large for one. */
int rfs_qcow2_census_get(struct rfs_qcow2 *q,
			 const struct rfs_qcow2_census **ret,
			 struct rfs_error *err);

/* The same for reads, which do not wait for it again once it could not be taken:
 * then NULL. */
const struct rfs_qcow2_census *rfs_qcow2_census_try(struct rfs_qcow2 *q);

/* The same if it is there already, else NULL. */
const struct rfs_qcow2_census *rfs_qcow2_census_known(struct rfs_qcow2 *q);

void rfs_qcow2_census_free(struct rfs_qcow2_census *census);

static inline bool rfs_qcow2_bit(const uint8_t *map, uint64_t cluster)
{
	return map[cluster / 8] & 1u << (cluster % 8);
}

static inline void rfs_qcow2_set_bit(uint8_t *map, uint64_t cluster)
{
	map[cluster / 8] |= (uint8_t)(1u << (cluster % 8));
}

#endif /* RESCUEFS_READERS_QCOW2_CENSUS_H */
