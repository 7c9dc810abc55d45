/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qcow2_sim.h - an image in memory that is written to as QEMU writes, so that
 * ten thousand of them take seconds.
 *
 * Clusters are taken by the first fit, freed by discards and by snapshots that
 * go, shared and copied before they are written as long as a snapshot is there.
 * Each sector of the disk holds its own number and how often it was written.
 */
#ifndef RESCUEFS_TESTS_QCOW2_SIM_H
#define RESCUEFS_TESTS_QCOW2_SIM_H

#include "qcow2_kit.h"

#define SIM_COPIED   (1ull << 63)
#define SIM_OFFSET   0x00fffffffffffe00ull
#define SIM_CLUSTERS 4096u
#define SIM_L1	     64u

struct sim {
	uint32_t version, bits;
	uint64_t cs, size, l1_off, l1_entries, end; /* bytes of the file */
	uint8_t *file, *truth;
	uint16_t refs[SIM_CLUSTERS];
	uint64_t blocks[64]; /* refcount blocks, by what they count */
	uint64_t free_from;
	uint64_t sn_l1, sn_table; /* of the one snapshot; 0: none */
	uint32_t writes;
	bool moved; /* something was freed or shared */
};

static inline uint64_t sim_get(const struct sim *s, uint64_t off)
{
	return kit_get64(s->file + off);
}

static inline uint64_t sim_per_block(const struct sim *s)
{
	return s->cs / 2;
}

static inline bool sim_is_free(const struct sim *s, uint64_t first, uint64_t n)
{
	for (uint64_t i = first; i < first + n; i++)
		if (s->refs[i])
			return false;
	return true;
}

static inline uint64_t sim_take(struct sim *s, uint64_t first, uint64_t n)
{
	for (uint64_t i = first; i < first + n; i++) {
		assert_true(i < SIM_CLUSTERS);
		s->refs[i] = 1;
	}
	if ((first + n) * s->cs > s->end)
		s->end = (first + n) * s->cs;
	memset(s->file + first * s->cs, 0, n * s->cs);
	return first * s->cs;
}

/* 'n' clusters that lie together. */
static inline uint64_t sim_alloc(struct sim *s, uint64_t n)
{
	uint64_t first = s->free_from, last;

	while (s->refs[first])
		first++;
	s->free_from = first;
	while (!sim_is_free(s, first, n))
		first++;
	last = first + n - 1;
	for (uint64_t b = first / sim_per_block(s);
	     b <= last / sim_per_block(s); b++)
		if (!s->blocks[b]) {
			s->blocks[b] = sim_take(s, first, 1);
			return sim_alloc(s, n);
		}
	return sim_take(s, first, n);
}

static inline void sim_drop(struct sim *s, uint64_t off)
{
	uint64_t i = off / s->cs;

	assert_true(s->refs[i]);
	s->moved = true;
	if (!--s->refs[i] && i < s->free_from)
		s->free_from = i;
}

static inline void sim_new(struct sim *s, uint32_t version, uint32_t bits,
			   uint64_t size)
{
	uint64_t span;

	*s = (struct sim){ .version = version,
			   .bits = bits,
			   .cs = 1ull << bits,
			   .size = size };
	span = s->cs * (s->cs / 8);
	s->file = calloc(SIM_CLUSTERS, s->cs);
	s->truth = calloc(1, 4 * size);
	assert_non_null(s->file);
	assert_non_null(s->truth);
	s->l1_entries = (size + span - 1) / span;
	sim_take(s, 0, 2); /* header, refcount table */
	s->blocks[0] = sim_take(s, 2, 1);
	s->l1_off = sim_alloc(s, (s->l1_entries * 8 + s->cs - 1) / s->cs);
}

static inline void sim_free(struct sim *s)
{
	free(s->file);
	free(s->truth);
}

/* The L2 table for 'guest', which may be written: 0 where there is none. */
static inline uint64_t sim_l2(struct sim *s, uint64_t guest, bool make)
{
	uint64_t at = s->l1_off + guest / (s->cs * (s->cs / 8)) * 8;
	uint64_t entry = sim_get(s, at), old = entry & SIM_OFFSET, l2;

	if (!old && !make)
		return 0;
	if (old && s->refs[old / s->cs] == 1)
		return old;
	l2 = sim_alloc(s, 1);
	if (old) {
		memcpy(s->file + l2, s->file + old, s->cs);
		sim_drop(s, old);
	}
	kit_put64(s->file + at, l2 | SIM_COPIED);
	return l2;
}

static inline uint64_t sim_entry_at(const struct sim *s, uint64_t l2,
				    uint64_t guest)
{
	return l2 + (guest / s->cs) % (s->cs / 8) * 8;
}

/* Writes one cluster. */
static inline void sim_write(struct sim *s, uint64_t guest)
{
	uint64_t l2 = sim_l2(s, guest, true), at = sim_entry_at(s, l2, guest);
	uint64_t entry = sim_get(s, at), host = entry & SIM_OFFSET;

	if (!host || s->refs[host / s->cs] != 1) {
		uint64_t old = host;

		host = sim_alloc(s, 1);
		if (old)
			sim_drop(s, old);
	}
	kit_put64(s->file + at, host | SIM_COPIED);
	s->writes++;
	for (uint64_t o = 0; o < s->cs; o += 8) {
		kit_put64(s->file + host + o,
			  guest << 20 | (o / 512) << 48 | s->writes);
		kit_put64(s->truth + guest + o,
			  guest << 20 | (o / 512) << 48 | s->writes);
	}
}

/* Zeros without letting go of the cluster; version 3. */
static inline void sim_zero(struct sim *s, uint64_t guest)
{
	uint64_t l2 = sim_l2(s, guest, true), at = sim_entry_at(s, l2, guest);
	uint64_t host = sim_get(s, at) & SIM_OFFSET;

	if (host && s->refs[host / s->cs] != 1) {
		sim_drop(s, host);
		host = 0;
	}
	kit_put64(s->file + at, host | (host ? SIM_COPIED : 0) | 1);
	memset(s->truth + guest, 0, s->cs);
	s->moved = true;
}

static inline void sim_discard(struct sim *s, uint64_t guest)
{
	uint64_t l2 = sim_l2(s, guest, false), at, host;

	if (!l2)
		return;
	at = sim_entry_at(s, l2, guest);
	host = sim_get(s, at) & SIM_OFFSET;
	if (host)
		sim_drop(s, host);
	kit_put64(s->file + at, s->version >= 3 ? 1 : 0);
	memset(s->truth + guest, 0, s->cs);
}

/* Adds to the refcounts of all that an L1 table holds. */
static inline void sim_count(struct sim *s, uint64_t l1, int add)
{
	for (uint64_t i = 0; i < s->l1_entries; i++) {
		uint64_t l2 = sim_get(s, l1 + i * 8) & SIM_OFFSET;

		for (uint64_t o = 0; l2 && o < s->cs; o += 8) {
			uint64_t host = sim_get(s, l2 + o) & SIM_OFFSET;

			if (host && add > 0)
				s->refs[host / s->cs]++;
			else if (host)
				sim_drop(s, host);
		}
		if (l2 && add > 0)
			s->refs[l2 / s->cs]++;
		else if (l2)
			sim_drop(s, l2);
	}
}

static inline void sim_mark_one(struct sim *s, uint64_t at)
{
	uint64_t entry = sim_get(s, at), host = entry & SIM_OFFSET;

	entry &= ~SIM_COPIED;
	if (host && s->refs[host / s->cs] == 1)
		entry |= SIM_COPIED;
	kit_put64(s->file + at, entry);
}

/* Which entries may be written in place. */
static inline void sim_mark(struct sim *s)
{
	for (uint64_t i = 0; i < s->l1_entries; i++) {
		uint64_t l2 = sim_get(s, s->l1_off + i * 8) & SIM_OFFSET;

		sim_mark_one(s, s->l1_off + i * 8);
		for (uint64_t o = 0; l2 && o < s->cs; o += 8)
			sim_mark_one(s, l2 + o);
	}
}

static inline void sim_snapshot(struct sim *s)
{
	uint64_t bytes = s->l1_entries * 8;

	if (s->sn_l1)
		return;
	s->sn_l1 = sim_alloc(s, (bytes + s->cs - 1) / s->cs);
	memcpy(s->file + s->sn_l1, s->file + s->l1_off, bytes);
	sim_count(s, s->sn_l1, 1);
	s->sn_table = sim_alloc(s, 1);
	kit_put64(s->file + s->sn_table, s->sn_l1);
	kit_put32(s->file + s->sn_table + 8, (uint32_t)s->l1_entries);
	kit_put32(s->file + s->sn_table + 12, 1u << 16 | 1); /* id, name */
	kit_put32(s->file + s->sn_table + 36, 16);	     /* extra data */
	kit_put64(s->file + s->sn_table + 48, s->size);
	s->file[s->sn_table + 56] = '1';
	s->file[s->sn_table + 57] = 's';
	s->moved = true;
	sim_mark(s);
}

static inline void sim_unsnapshot(struct sim *s)
{
	uint64_t l1 = s->sn_l1, n = (s->l1_entries * 8 + s->cs - 1) / s->cs;

	if (!l1)
		return;
	sim_drop(s, s->sn_table);
	sim_count(s, l1, -1);
	for (uint64_t i = 0; i < n; i++)
		sim_drop(s, l1 + i * s->cs);
	s->sn_l1 = s->sn_table = 0;
	sim_mark(s);
}

/* At most four times the first size. */
static inline void sim_grow(struct sim *s, uint64_t size)
{
	uint64_t span = s->cs * (s->cs / 8);
	uint64_t entries = (size + span - 1) / span, old = s->l1_off;
	uint64_t n = (s->l1_entries * 8 + s->cs - 1) / s->cs;

	s->size = size;
	if (entries <= s->l1_entries)
		return;
	s->l1_off = sim_alloc(s, (entries * 8 + s->cs - 1) / s->cs);
	memcpy(s->file + s->l1_off, s->file + old, s->l1_entries * 8);
	s->l1_entries = entries;
	for (uint64_t i = 0; i < n; i++)
		s->refs[old / s->cs + i] = 0;
	if (old / s->cs < s->free_from)
		s->free_from = old / s->cs;
}

/* As qemu-img resize --shrink: what lies beyond is let go of, the L1 table keeps its
 * place, and the file ends with its last cluster in use. */
static inline void sim_shrink(struct sim *s, uint64_t size)
{
	uint64_t span = s->cs * (s->cs / 8), at, host, last;

	for (uint64_t guest = size; guest < s->size; guest += s->cs) {
		uint64_t l2 = sim_l2(s, guest, false);

		at = sim_entry_at(s, l2, guest);
		host = l2 ? sim_get(s, at) & SIM_OFFSET : 0;
		if (host)
			sim_drop(s, host);
		if (l2)
			kit_put64(s->file + at, 0);
	}
	for (uint64_t i = (size + span - 1) / span; i < s->l1_entries; i++) {
		at = s->l1_off + i * 8;
		host = sim_get(s, at) & SIM_OFFSET;
		if (host)
			sim_drop(s, host);
		kit_put64(s->file + at, 0);
	}
	memset(s->truth + size, 0, s->size - size);
	s->size = size;
	s->moved = true;
	for (last = SIM_CLUSTERS - 1; !s->refs[last];)
		last--;
	s->end = (last + 1) * s->cs;
}

/* The file as it is on the disk; the caller frees it. */
static inline uint8_t *sim_save(struct sim *s)
{
	uint8_t *p = s->file, *copy;

	kit_put32(p, 0x514649fb);
	kit_put32(p + 4, s->version);
	kit_put32(p + 20, s->bits);
	kit_put64(p + 24, s->size);
	kit_put32(p + 36, (uint32_t)s->l1_entries);
	kit_put64(p + 40, s->l1_off);
	kit_put64(p + 48, s->cs);
	kit_put32(p + 56, 1);
	kit_put32(p + 60, s->sn_l1 != 0);
	kit_put64(p + 64, s->sn_table);
	if (s->version >= 3) {
		kit_put32(p + 96, 4);
		kit_put32(p + 100, 104);
	}
	for (uint64_t b = 0; b < 64; b++) {
		kit_put64(p + s->cs + b * 8, s->blocks[b]);
		for (uint64_t i = 0; s->blocks[b] && i < sim_per_block(s);
		     i++) {
			uint16_t n = s->refs[b * sim_per_block(s) + i];

			p[s->blocks[b] + 2 * i] = (uint8_t)(n >> 8);
			p[s->blocks[b] + 2 * i + 1] = (uint8_t)n;
		}
	}
	copy = malloc(s->end);
	assert_non_null(copy);
	memcpy(copy, p, s->end);
	return copy;
}

#endif /* RESCUEFS_TESTS_QCOW2_SIM_H */
