/* SPDX-License-Identifier: GPL-3.0-or-later */
/* verify_parts.h - the parts of rescuefs verify, for themselves only. */
#ifndef RESCUEFS_TOOLS_VERIFY_PARTS_H
#define RESCUEFS_TOOLS_VERIFY_PARTS_H

#include "core/report.h"
#include "site/verify_text.h"
#include "tools/progress.h"
#include "tools/subject.h"

/* Appends what of 'range', whose bytes are in both, is not the same, by sectors.
 * -ENOMEM. */
int rfs_verify_list(struct rfs_ranges *ret, struct rfs_range range,
		    const uint8_t *a, const uint8_t *b);

/* Compares a piece that the report says came from look's copy with 'bytes', which are
 * a second reading of that; 'buf' is as long, and scratch. */
int rfs_verify_merged(struct rfs_second_look *look, struct rfs_range range,
		      struct rfs_reader *merged, const uint8_t *bytes,
		      uint8_t *buf, struct rfs_error *err);

/* Of a copy that changes under its readers: what is not equal is read again, a few
 * times, and counts as different only if it never is. */
int rfs_verify_settle(struct rfs_second_look *look, struct rfs_reader *first,
		      struct rfs_reader *second, struct rfs_error *err);

/* Of a compressed raw disk: what the program that is made for it unpacks, against
 * 'first', which is that copy as it is read here, and against what the merged disk
 * took from it.  It is read once, from its start, and nothing is kept of it. */
struct rfs_verify_stream {
	struct rfs_second_look *look;
	struct rfs_reader *first;
	struct rfs_reader *merged;	 /* NULL: not to be looked at */
	const struct rfs_report *report; /* of that */
	struct rfs_progress *progress;
};

/* The program for it, or NULL: there is none. */
const char *rfs_verify_unpacker(const struct rfs_copy *copy);
/* 'fd' is the copy's file, and stays the caller's. */
int rfs_verify_stream(const struct rfs_verify_stream *s, int fd,
		      struct rfs_error *err);

/* Where the tables of a damaged image come from. */
struct rfs_verify_tables {
	/* What was rescued at the start of 'range': *ret_len bytes that are all
	 * kept, and then in 'buf', or all not. */
	int (*read)(void *data, struct rfs_range range, uint8_t *buf,
		    uint64_t *ret_len, bool *ret_kept, struct rfs_error *err);
	void *data;
	int other_fd;  /* the copy that healed it: for the header and the L1 */
	uint64_t size; /* of the image's file */
};

/* An image in memory that has them, as far as they map what is 'wanted' (ascending),
 * and no data.  Of the disk it tells only of what is appended to *ret_known, in order.
 * Returns an fd for the caller to close; -ENOTSUP, -EFBIG: there is none to be
 * made. */
int rfs_verify_tables(const struct rfs_verify_tables *from,
		      const struct rfs_ranges *wanted,
		      struct rfs_ranges *ret_known, struct rfs_error *err);

/* Re-derives what the tables of 'look''s copy healed of the disk.  QEMU says where
 * that copy has it in its file; there it must stand in the damaged image's file, of
 * which only rescued bytes are looked at; and what the merged disk has is compared
 * with those.  What was compressed is compared with 'second', that copy as QEMU
 * reads it; what that copy does not have is looked for in the image's own L2 tables,
 * as QEMU reads these, and what neither has, in the base as QEMU reads that.  Counts
 * in look->healed; what cannot be done is told there too, and is no error. */
int rfs_verify_healed(struct rfs_target *t, struct rfs_subject *s,
		      const struct rfs_report *report,
		      struct rfs_reader *second, struct rfs_second_look *look,
		      struct rfs_error *err);

#endif /* RESCUEFS_TOOLS_VERIFY_PARTS_H */
