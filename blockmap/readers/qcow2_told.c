// SPDX-License-Identifier: GPL-3.0-or-later
/* L2 tables that what they map tells the place of.
 *
 * A table does not say which part of the disk it maps, but a GPT's headers say where
 * they lie themselves, one in the disk's second sector and one in its last, each with a
 * checksum.  So the table that maps such a header where it must be, if it is the only
 * one that does, is the first, or the last, of the disk: unless a disk in the guest's
 * disk begins just there.  So it stays a guess.
 */
#include "readers/qcow2_heal.h"

#include <errno.h>
#include <inttypes.h>

#include "core/gpt.h"
#include "core/little_endian.h"

/* A header that says that it lies in sector 'lba', and its other in the disk too. */
static bool is_header(uint8_t *p, uint64_t lba, uint64_t sectors)
{
	uint64_t other = rfs_get_le64(p + 32);

	if (lba == 1 ? other <= 1 || other >= sectors : other != 1)
		return false;
	return rfs_gpt_is_header(p, lba);
}

/* 1: the table maps a header as the one of sector 'lba'. */
static int maps_header(struct rfs_qcow2_search *s,
		       const struct rfs_qcow2_looked *l, uint64_t lba,
		       struct rfs_error *err)
{
	uint64_t byte = lba * RFS_SECTOR, entry, bitmap;
	uint8_t sector[RFS_GPT_HEADER];
	struct rfs_range at;
	int r;

	if (!rfs_qcow2_l2_raw(s->q, &l->table, byte, &entry, &bitmap) ||
	    !(entry & RFS_QCOW2_COPIED) || entry & RFS_QCOW2_PACKED_BIT)
		return 0;
	at = rfs_range((entry & RFS_QCOW2_OFFSET_MASK) +
			       (byte & (s->q->cluster_size - 1)),
		       RFS_SECTOR);
	if (!rfs_range_fits(at, s->q->file_size))
		return 0;
	r = rfs_reader_read(s->q->file, at, sector, NULL, err);
	if (r == -ETIMEDOUT || r == -ENOMEM)
		return r;
	return r == 0 && is_header(sector, lba, s->q->header.size / RFS_SECTOR);
}

int rfs_qcow2_ask_told(struct rfs_qcow2_search *s,
		       const struct rfs_qcow2_looked *l, struct rfs_error *err)
{
	uint64_t sectors = s->q->header.size / RFS_SECTOR;
	uint64_t lbas[RFS_QCOW2_TOLD] = { 1, sectors - 1 };
	int r = 0;

	for (size_t i = 0; i < RFS_QCOW2_TOLD && sectors > 2 && r >= 0; i++) {
		r = maps_header(s, l, lbas[i], err);
		if (r <= 0)
			continue;
		s->told[i].index = lbas[i] * RFS_SECTOR >> s->q->span_bits;
		s->told[i].off = l->table.off;
		s->told[i].last = l->last;
		s->told[i].clusters = l->owned;
		s->told[i].count++;
	}
	return r < 0 ? r : 0;
}

/* Of the strays, it is none any more. */
static void leave_out(struct rfs_qcow2_search *s, uint64_t off,
		      uint64_t clusters)
{
	struct rfs_strays *to = &s->strays;
	size_t k = 0;

	to->tables--;
	s->clusters -= clusters;
	while (k < to->nitems && to->items[k].off != off)
		k++;
	if (k < to->nitems)
		memmove(&to->items[k], &to->items[k + 1],
			(--to->nitems - k) * sizeof(*to->items));
}

int rfs_qcow2_place_told(struct rfs_qcow2_search *s, struct rfs_error *err)
{
	int r = 0;

	for (size_t i = 0; i < RFS_QCOW2_TOLD && r >= 0; i++) {
		const struct rfs_qcow2_told *t = &s->told[i];

		if (t->count != 1 || t->index >= s->entries ||
		    !rfs_qcow2_bit(s->lost, t->index))
			continue;
		/* A disk in the guest's: its first table and its last are one,
		 * which are two of ours. */
		if (i && s->told[0].count == 1 && t->off == s->told[0].off &&
		    t->index != s->told[0].index)
			continue;
		r = rfs_qcow2_place_guess(s, t->index, t->off, t->last, err);
		if (r <= 0)
			continue;
		leave_out(s, t->off, t->clusters);
		rfs_notes_add(s->h->notes,
			      "%s: the L2 table at %" PRIu64
			      " is guessed to belong to entry %" PRIu64
			      " of its L1 table, as it maps a GPT's header "
			      "that lies there by its own word",
			      rfs_reader_name(s->q->file), t->off, t->index);
	}
	return r < 0 ? r : 0;
}
