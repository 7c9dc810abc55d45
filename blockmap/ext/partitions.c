// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * libblkid and libfdisk want a file descriptor, and a reader has none.  What is
 * needed of the table is little enough to be read here.
 */
#include "ext/partitions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/gpt.h"
#include "core/little_endian.h"
#include "core/vec.h"
#include "ext/io.h"

#define SECTOR	      512u
#define MBR_SIGNATURE 510
#define MBR_ENTRIES   446
#define ENTRY_SIZE    16
#define TYPE_GPT      0xee
/* A table of 128 entries of 128 bytes is what every tool makes. */
#define GPT_ENTRIES_MAX 1024u
#define GPT_ENTRY_MAX	4096u

/* 0: read.  1: some of it cannot be read, or lies beyond the disk. */
static int read_all(struct rfs_reader *disk, uint64_t off, uint8_t *buf,
		    uint64_t len, struct rfs_error *err)
{
	struct rfs_ext_io io = { .disk = disk, .size = rfs_reader_size(disk) };
	struct rfs_ranges bad = { 0 };
	int r;

	if (!rfs_range_fits(rfs_range(off, len), io.size))
		return 1;
	r = rfs_ext_read(&io, rfs_range(off, len), buf, &bad, err);
	if (r == 0 && bad.count)
		r = 1;
	rfs_ranges_fini(&bad);
	return r;
}

/* 'first' and 'count' in sectors of 'unit' bytes. */
static int add(struct rfs_reader *disk, struct rfs_partitions *list,
	       unsigned int number, uint64_t first, uint64_t count,
	       uint32_t unit)
{
	uint64_t size = rfs_reader_size(disk), most = RFS_SIZE_MAX / unit;

	if (count && first <= most && count <= most - first &&
	    (first + count) * unit > list->end)
		list->end = (first + count) * unit;
	if (!count || list->count >= RFS_PARTITIONS_MAX || first >= size / unit)
		return 0;
	if (RFS_VEC_ROOM(list) < 0)
		return -ENOMEM;
	if (count > (size - first * unit) / unit)
		count = (size - first * unit) / unit;
	list->items[list->count++] = (struct rfs_partition){
		.number = number,
		.range = rfs_range(first * unit, count * unit),
	};
	return 0;
}

/*
 * MBR.
 */

static bool is_extended(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

/* A boot sector may carry the signature and code where the entries would be:
 * each entry must look like one, and one of them must be in use. */
static bool is_mbr(const uint8_t *sector)
{
	const uint8_t *entry;
	int in_use = 0;

	if (sector[MBR_SIGNATURE] != 0x55 || sector[MBR_SIGNATURE + 1] != 0xaa)
		return false;
	for (int i = 0; i < 4; i++) {
		entry = sector + MBR_ENTRIES + i * ENTRY_SIZE;
		if (entry[0] & 0x7f)
			return false;
		if (!entry[4])
			continue;
		if (!rfs_get_le32(entry + 8) || !rfs_get_le32(entry + 12))
			return false;
		in_use++;
	}
	return in_use > 0;
}

/* The logical partitions, each behind a record of its own. */
static int read_logical(struct rfs_reader *disk, uint64_t first,
			struct rfs_partitions *list, struct rfs_error *err)
{
	uint8_t sector[SECTOR];
	uint64_t at = first;
	const uint8_t *entry = sector + MBR_ENTRIES;
	int r;

	for (unsigned int n = 5; n < RFS_PARTITIONS_MAX; n++) {
		r = read_all(disk, at * SECTOR, sector, SECTOR, err);
		if (r < 0)
			return r;
		list->is_partial = list->is_partial || r > 0;
		if (r > 0 || sector[MBR_SIGNATURE] != 0x55 ||
		    sector[MBR_SIGNATURE + 1] != 0xaa)
			return 0;
		if (rfs_ranges_add(&list->tables,
				   rfs_range(at * SECTOR, SECTOR)) < 0 ||
		    (entry[4] &&
		     add(disk, list, n, at + rfs_get_le32(entry + 8),
			 rfs_get_le32(entry + 12), SECTOR) < 0))
			return rfs_no_memory(err);
		if (!is_extended(entry[ENTRY_SIZE + 4]) ||
		    !rfs_get_le32(entry + ENTRY_SIZE + 8))
			return 0;
		at = first + rfs_get_le32(entry + ENTRY_SIZE + 8);
	}
	return 0;
}

static int read_mbr(struct rfs_reader *disk, const uint8_t *sector,
		    struct rfs_partitions *list, struct rfs_error *err)
{
	const uint8_t *entry;
	int r = 0;

	list->kind = RFS_TABLE_MBR;
	if (rfs_ranges_add(&list->tables, rfs_range(0, SECTOR)) < 0)
		return rfs_no_memory(err);
	for (unsigned int i = 0; i < 4 && r == 0; i++) {
		entry = sector + MBR_ENTRIES + i * ENTRY_SIZE;
		if (is_extended(entry[4]))
			r = read_logical(disk, rfs_get_le32(entry + 8), list,
					 err);
		else if (entry[4] &&
			 add(disk, list, i + 1, rfs_get_le32(entry + 8),
			     rfs_get_le32(entry + 12), SECTOR) < 0)
			r = rfs_no_memory(err);
	}
	return r;
}

/*
 * GPT.
 */

struct gpt {
	uint32_t unit;	  /* bytes of a sector */
	uint64_t header;  /* its sector */
	uint64_t entries; /* their first sector */
	uint32_t count, entry_size, crc;
};

/* 1: there is none here, or it is damaged. */
static int read_header(struct rfs_reader *disk, struct gpt *gpt,
		       struct rfs_error *err)
{
	uint8_t sector[SECTOR];
	int r = read_all(disk, gpt->header * gpt->unit, sector, SECTOR, err);

	if (r != 0)
		return r;
	if (!rfs_gpt_is_header(sector, gpt->header))
		return 1;
	gpt->entries = rfs_get_le64(sector + 72);
	gpt->count = rfs_get_le32(sector + 80);
	gpt->entry_size = rfs_get_le32(sector + 84);
	gpt->crc = rfs_get_le32(sector + 88);
	return gpt->count > GPT_ENTRIES_MAX || gpt->entry_size < 128 ||
	       gpt->entry_size > GPT_ENTRY_MAX ||
	       gpt->entries > RFS_SIZE_MAX / gpt->unit;
}

static int take_entries(struct rfs_reader *disk, const struct gpt *gpt,
			const uint8_t *table, struct rfs_partitions *list)
{
	static const uint8_t unused[16];
	const uint8_t *entry;
	uint64_t first, last;

	for (uint32_t i = 0; i < gpt->count; i++) {
		entry = table + (size_t)i * gpt->entry_size;
		first = rfs_get_le64(entry + 32);
		last = rfs_get_le64(entry + 40);
		if (memcmp(entry, unused, sizeof(unused)) == 0 ||
		    last < first || last - first == UINT64_MAX)
			continue;
		if (add(disk, list, i + 1, first, last - first + 1, gpt->unit) <
		    0)
			return -ENOMEM;
	}
	return 0;
}

/* 1: none here, or damaged. */
static int read_gpt_at(struct rfs_reader *disk, struct gpt *gpt,
		       struct rfs_partitions *list, struct rfs_error *err)
{
	uint64_t len;
	uint8_t *table;
	int r = read_header(disk, gpt, err);

	if (r != 0)
		return r;
	len = (uint64_t)gpt->count * gpt->entry_size;
	table = malloc(len + 1);
	if (!table)
		return rfs_no_memory(err);
	r = read_all(disk, gpt->entries * gpt->unit, table, len, err);
	if (r == 0 && rfs_gpt_crc(table, len) != gpt->crc)
		r = 1;
	if (r == 0 &&
	    (take_entries(disk, gpt, table, list) < 0 ||
	     rfs_ranges_add(&list->tables,
			    rfs_range(gpt->entries * gpt->unit, len)) < 0 ||
	     rfs_ranges_add(&list->tables,
			    rfs_range(gpt->header * gpt->unit, gpt->unit)) < 0))
		r = rfs_no_memory(err);
	free(table);
	return r;
}

/* The first header, or the spare one at the end.  1: there is no GPT. */
static int read_gpt(struct rfs_reader *disk, struct rfs_partitions *list,
		    struct rfs_error *err)
{
	static const uint32_t units[] = { SECTOR, 4096 };
	uint64_t size = rfs_reader_size(disk);
	int r = 1;

	for (int i = 0; i < 2 && r == 1; i++) {
		struct gpt gpt = { .unit = units[i], .header = 1 };

		r = read_gpt_at(disk, &gpt, list, err);
		if (r == 1 && size / units[i] > 2) {
			gpt.header = size / units[i] - 1;
			r = read_gpt_at(disk, &gpt, list, err);
		}
	}
	if (r == 0)
		list->kind = RFS_TABLE_GPT;
	return r;
}

static bool is_protective(const uint8_t *sector)
{
	for (int i = 0; i < 4; i++)
		if (sector[MBR_ENTRIES + i * ENTRY_SIZE + 4] == TYPE_GPT)
			return true;
	return false;
}

int rfs_partitions_read(struct rfs_reader *disk, struct rfs_partitions *ret,
			struct rfs_error *err)
{
	uint8_t sector[SECTOR];
	struct rfs_partitions list = { 0 };
	int found, r = 1;

	*ret = list;
	if (rfs_reader_size(disk) < SECTOR)
		return 0;
	found = read_all(disk, 0, sector, SECTOR, err);
	if (found < 0)
		return found;
	/* A GPT counts where the MBR says so, or cannot speak. */
	if (found > 0 || (is_mbr(sector) && is_protective(sector)))
		r = read_gpt(disk, &list, err);
	if (r == 1 && found == 0 && is_mbr(sector) && is_protective(sector)) {
		list.kind = RFS_TABLE_GPT;
		list.is_partial = true;
	} else if (r == 1 && found == 0 && is_mbr(sector)) {
		r = read_mbr(disk, sector, &list, err);
	} else if (r == 1 && found > 0) {
		list.is_partial = true;
	}
	if (r >= 0 && list.kind == RFS_TABLE_GPT &&
	    rfs_ranges_add(&list.tables, rfs_range(0, SECTOR)) < 0)
		r = rfs_no_memory(err);
	if (r < 0) {
		rfs_partitions_fini(&list);
		return r;
	}
	*ret = list;
	return 0;
}

void rfs_partitions_fini(struct rfs_partitions *list)
{
	free(list->items);
	rfs_ranges_fini(&list->tables);
	*list = (struct rfs_partitions){ 0 };
}
