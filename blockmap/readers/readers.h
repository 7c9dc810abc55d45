/* SPDX-License-Identifier: GPL-3.0-or-later */
/* readers.h - how each kind of reader is opened. */
#ifndef RESCUEFS_READERS_READERS_H
#define RESCUEFS_READERS_READERS_H

#include "core/freshness.h"
#include "core/mapfile.h"
#include "core/notes.h"
#include "core/reader.h"
#include "core/report.h"
#include "core/state.h"

/* A regular file or block device, read through 'fd', which the reader owns
 * from the call on, also when it fails.  The size is taken once.
 *
 * With 'sparing' the medium may be dying: it is read past the page cache
 * where the file system allows it, without read-ahead, in requests that fall
 * to single sectors around an error.  Without it the page cache is used, and
 * only the neighbourhood of an error is read that way. */
int rfs_file_open(int fd, bool sparing, const char *name,
		  const struct rfs_origin *origin, struct rfs_reader **ret,
		  struct rfs_error *err);

/* Wraps a reader whose medium may be bad in places: a sector that failed is
 * remembered in the state, under 'object' ("bm0002:/path"), before the read
 * returns, and is not asked for again (P5).  'state' may be NULL: remembered
 * while it is open.  Takes its own reference of 'below'. */
int rfs_guard_open(struct rfs_reader *below, struct rfs_state *state,
		   const char *object, struct rfs_reader **ret,
		   struct rfs_error *err);

/* Several files that hold the same bytes (rule 3: same generation, or a base
 * image of the same name and size): what the first cannot read comes from the
 * next.  All must have the size of the first.  Takes its own references. */
int rfs_heal_open(struct rfs_reader *const *members, size_t nmembers,
		  struct rfs_reader **ret, struct rfs_error *err);

/* Whether, and how, what a damaged source delivers is held against the others. */
struct rfs_heal_doubts {
	struct rfs_state *state; /* NULL: nothing is compared */
	struct rfs_notes *notes; /* outlives the reader; may be NULL */
	bool compares;	/* off: what was found before counts all the same */
	bool is_shared; /* several disks stand on it */
	uint64_t near;	/* bit i: member i is a copy of the same host */
};

/* The same, and each byte that a damaged source delivers is compared once, as
 * heal_doubt.c says. */
int rfs_heal_open_doubting(struct rfs_reader *const *members, size_t nmembers,
			   const struct rfs_heal_doubts *doubts,
			   struct rfs_reader **ret, struct rfs_error *err);

/* An image that was copied in part, of which 'map' tells what: only its '+'
 * blocks are read, all else is -EIO.  Its size is the map's where that goes on
 * behind the image.  -EINVAL for a map without blocks.  Takes its own reference
 * of 'below', and 'map' over, also when it fails. */
int rfs_mapped_open(struct rfs_reader *below, struct rfs_mapfile *map,
		    struct rfs_reader **ret, struct rfs_error *err);

/* The reader that one made by rfs_mapped_open reads, not referenced; NULL for any
 * other. */
const struct rfs_reader *rfs_mapped_below(const struct rfs_reader *rd);

/* A qcow2 image, version 2 or 3, or qcow of version 1.  Only the header and the
 * L1 table are read at open.  The format is documented in QEMU's
 * docs/interop/qcow2.txt, version 1 by its block/qcow.c.
 *
 * 'file' is the image; 'backing' its backing image or NULL where that is
 * missing although the header names one (then only unallocated ranges are
 * unreadable), 'data' the external data file or NULL.  The reader takes its own
 * references. */
struct rfs_qcow2_parts {
	struct rfs_reader *file;
	struct rfs_reader *backing;
	struct rfs_reader *data;
	struct rfs_notes *notes; /* outlives the reader; may be NULL */
	/* NULL, or a copy of the image whose header stands in for this one's,
	 * which is lost.  Read while opening only. */
	struct rfs_reader *header;
	/* For an image encrypted with AES, by qcow's own method; else NULL.
	 * Nothing in the image tells whether it is the right one.  Read while
	 * opening only. */
	const char *password;
};

int rfs_qcow2_open(const struct rfs_qcow2_parts *parts, struct rfs_reader **ret,
		   struct rfs_error *err);

/* What the header says of the other files, for whoever must find them.  A name
 * or a format that is there but cannot be read is "", and must not be guessed. */
struct rfs_qcow2_info {
	uint32_t version;
	uint32_t cluster_size;
	uint64_t virtual_size;
	char *backing_file;   /* NULL: has none; free with _info_fini */
	char *backing_format; /* NULL: not said */
	char *data_file;      /* NULL: not external, or not named */
	bool has_data_file;
	bool dirty, corrupt;  /* the marks in the header */
	bool is_aes, is_luks; /* encrypted so */
	uint32_t snapshots;
};

int rfs_qcow2_info(struct rfs_reader *file, struct rfs_qcow2_info *ret,
		   struct rfs_error *err);
void rfs_qcow2_info_fini(struct rfs_qcow2_info *info);

/* Another copy of a damaged image, whose tables say where the clusters of both
 * lie, as long as none has moved (rule 5). */
struct rfs_qcow2_witness {
	const struct rfs_origin *origin; /* whose copy; outlives the reader */
	/* Opens its file, when it is first asked for something.  Safe from any
	 * thread. */
	int (*open)(void *data, struct rfs_reader **ret, struct rfs_error *err);
	void *data; /* outlives the reader */
};

/* Where the operator says that an L2 table belongs. */
struct rfs_qcow2_place {
	uint64_t index; /* of an entry of the L1 table */
	uint64_t off;	/* of the L2 table in the file, in bytes */
};

#define RFS_QCOW2_PLACE_MAX ((32u << 20) / 8) /* entries of an L1 table */

struct rfs_qcow2_healing_config {
	struct rfs_reader *image;		   /* of rfs_qcow2_open */
	const struct rfs_qcow2_witness *witnesses; /* freshest first; copied */
	size_t nwitnesses;
	/* Its host may let go of clusters (discard), or nothing tells whether it
	 * does: then nothing is proved.  A text says which; NULL: it does not. */
	const char *may_move;
	/* By hand; copied.  Each is checked before it is used. */
	const struct rfs_qcow2_place *places;
	size_t nplaces;
	bool may_guess; /* tables that nothing leads to may be looked for */
	/* Where verdicts are kept, so that a view does not change with them (P4).
	 * NULL: they live as long as the image. */
	struct rfs_state *state;
	const char *object;	 /* copied */
	struct rfs_notes *notes; /* outlives the reader; may be NULL */
};

/* What is healed of one image.  Nothing is read or opened for it before an entry
 * of a table turns out to be lost. */
struct rfs_qcow2_healing;

/* False: the format has no refcounts, by which healing is judged, or 'image' is
 * not of rfs_qcow2_open. */
bool rfs_qcow2_can_heal(struct rfs_reader *image);

int rfs_qcow2_healing_new(const struct rfs_qcow2_healing_config *config,
			  struct rfs_qcow2_healing **ret,
			  struct rfs_error *err);
struct rfs_qcow2_healing *
rfs_qcow2_healing_unref(struct rfs_qcow2_healing *healing);

/* The image's disk where its own tables do not tell where it lies and those of
 * the given witness do; all else cannot be read from it.  With 'proved' only if
 * nothing speaks against that witness, without it only where something does: what
 * the two give never overlaps.  Where the header was lost too, all of the disk
 * is read by the witness' header. */
int rfs_qcow2_healed_open(struct rfs_qcow2_healing *healing, size_t witness,
			  bool proved, struct rfs_reader **ret,
			  struct rfs_error *err);

/* The image's disk where its L1 table is lost and no witness tells: by L2 tables
 * that the operator placed, and by those found in the file of which a GPT's header
 * tells the place, or one if one entry and one table are left; where the header was
 * lost too, by the first witness' if that is usable.  Looking for them reads of all
 * unclaimed clusters, when first asked for something; what was found is kept as the
 * disk's strays. */
int rfs_qcow2_guessed_open(struct rfs_qcow2_healing *healing,
			   struct rfs_reader **ret, struct rfs_error *err);

/* Some of the L1 table of a qcow2 image could not be read when it was opened. */
bool rfs_qcow2_has_lost_l1(struct rfs_reader *image);

/* How a witness compares, as far as it was asked. */
enum rfs_qcow2_verdict {
	RFS_QCOW2_NOT_ASKED,
	RFS_QCOW2_UNFIT, /* not a copy of this image */
	RFS_QCOW2_PROVED,
	RFS_QCOW2_UNPROVED,
};

struct rfs_qcow2_testimony {
	enum rfs_qcow2_verdict verdict;
	uint64_t agree, contradict; /* entries readable in both */
	uint64_t agree_l1; /* of the L1 table, among those that agree */
	/* Bytes of the disk from its start: where the verdict is that it is proved,
	 * only these are, as the disk may have been cut beyond. */
	uint64_t kept;
	bool is_cut; /* some lost entries lie beyond */
};

void rfs_qcow2_healing_testimony(struct rfs_qcow2_healing *healing,
				 size_t witness,
				 struct rfs_qcow2_testimony *ret);

/* False: 'image' is not of rfs_qcow2_open, or they were not counted yet.  With
 * 'count' they are, by reading all tables: not of a disk to be spared. */
bool rfs_qcow2_find_orphans(struct rfs_reader *image, bool count,
			    struct rfs_orphans *ret);

/* How a file is compressed.  The end of its name tells, the magic number in its
 * first bytes confirms (P9). */
enum rfs_packing {
	RFS_PACKED_NOT,
	RFS_PACKED_GZ,
	RFS_PACKED_XZ,
	RFS_PACKED_ZST,
	RFS_PACKED_BZ2,
};

/* What the name tells: "volume-1.gz" gives 8, the length of the name without
 * its ending, and RFS_PACKED_GZ.  Another name, or one that is nothing but an
 * ending, gives its whole length and RFS_PACKED_NOT.  'ret' may be NULL. */
size_t rfs_packed_strip(const char *name, enum rfs_packing *ret);

/* Memory for unpacked pieces, shared by all compressed files of a site. */
struct rfs_packed_pool;

int rfs_packed_pool_new(struct rfs_packed_pool **ret, struct rfs_error *err);
/* Makes every build of an index end soon; what waits for one gets -EINTR.  For
 * the end of a mount; safe from any thread. */
void rfs_packed_pool_stop(struct rfs_packed_pool *pool);
/* After the last reader has closed; accepts NULL. */
void rfs_packed_pool_free(struct rfs_packed_pool *pool);

struct rfs_packed_config {
	enum rfs_packing packing; /* as the name tells */
	struct rfs_packed_pool *pool;
	/* Where the index is kept, under 'object' ("bm0002:/path"), for the file
	 * of this size and time.  NULL: it lives as long as the reader, and what
	 * must be unpacked whole cannot be read. */
	struct rfs_state *state;
	const char *object; /* copied */
	struct rfs_generation generation;
	/* The bytes that it must hold once unpacked, from whoever describes it:
	 * the reader has this size, and nothing beyond it is decoded.  0: not
	 * known; then opening finds it out, which may take a pass over all of
	 * the file. */
	uint64_t expected_size;
	/* It is told that the file holds exactly that: then whole pieces behind
	 * a damaged one find their place from the end. */
	bool is_exact;
	/* Serve also what a failed checksum covers, up to where it stops to make
	 * sense.  By default nothing of it is served (P2). */
	bool unproved;
	struct rfs_notes *notes; /* outlives the reader; may be NULL */
	/* May be NULL.  Called now and then while all of the file is read, with
	 * compressed bytes; from another thread, under no lock. */
	void (*progress)(void *data, uint64_t done, uint64_t total);
	void *progress_data;
};

/* The unpacked bytes of 'file', which it takes its own reference of.  The index
 * is found in the state or built at the first need.  -EINVAL: the bytes are not
 * what the name says. */
int rfs_packed_open(const struct rfs_packed_config *config,
		    struct rfs_reader *file, struct rfs_reader **ret,
		    struct rfs_error *err);

#endif /* RESCUEFS_READERS_READERS_H */
