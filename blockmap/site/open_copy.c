// SPDX-License-Identifier: GPL-3.0-or-later
/* open_copy.c - one copy of a disk: its file, healed or alone, unpacked, decoded. */
#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "site/open_members.h"
#include "site/open_parts.h"
#include "site/open_place.h"

/* The file of a copy with, where 'healed', its equals on other sources. */
static int open_copy_file(struct rfs_opener *op, const struct rfs_disk *disk,
			  const struct rfs_copy *copy, bool healed,
			  struct rfs_reader **ret, struct rfs_error *err)
{
	struct rfs_opener_members m = { 0 };
	const struct rfs_copy *other;
	struct rfs_reader *rd;
	int first;

	first = rfs_opener_place(op, copy, &m.items[0], err);
	if (rfs_is_own_want(first))
		return first;
	m.near = m.count = first == 0;
	for (size_t i = 0; i < disk->ncopies && healed; i++) {
		other = &disk->copies[i];
		if (other != copy && other->packing == copy->packing &&
		    rfs_copy_is_same(other, copy) &&
		    rfs_opener_place(op, other, &rd, NULL) == 0)
			rfs_opener_add(&m, rd, true);
	}
	if (!m.count)
		return first;
	first = rfs_opener_join(op, &m, ret, err);
	return first < 0 || !healed ? first
				    : rfs_opener_alone(op, false, ret, err);
}

/* What a raw disk must hold, by another copy of it that is not packed.  The
 * size of a qcow2 file tells nothing of another one's. */
static uint64_t expected_size(const struct rfs_disk *disk,
			      const struct rfs_copy *copy)
{
	for (size_t i = 0; i < disk->ncopies; i++)
		/* A live one may have been made anew, in another size. */
		if (disk->copies[i].packing == RFS_PACKED_NOT &&
		    disk->copies[i].source->kind != RFS_LIVE &&
		    disk->copies[i].format == RFS_FORMAT_RAW &&
		    copy->format == RFS_FORMAT_RAW)
			return disk->copies[i].generation.size;
	return 0;
}

/* Gives up 'packed' for what is in it.  Alone it may be read otherwise than
 * healed, so that the two do not share what the state keeps. */
static int unpack_copy(struct rfs_opener *op, const struct rfs_disk *disk,
		       const struct rfs_copy *copy, bool healed,
		       struct rfs_reader **file, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *packed = RFS_STEAL(*file);
	RFS_CLEANUP_FREE char *object = NULL;

	if (asprintf(&object, "%s:%s%s", copy->source->origin.name, copy->path,
		     healed ? "" : " alone") < 0)
		return rfs_no_memory(err);
	return rfs_unpacker_open(op->unpacker, packed, object, copy->packing,
				 copy->generation, expected_size(disk, copy),
				 file, err);
}

static int open_unpacked(struct rfs_opener *op, const struct rfs_disk *disk,
			 const struct rfs_copy *copy, bool healed,
			 struct rfs_reader **ret, struct rfs_error *err)
{
	int r = open_copy_file(op, disk, copy, healed, ret, err);

	if (r == 0 && copy->packing)
		r = unpack_copy(op, disk, copy, healed, ret, err);
	return r;
}

int rfs_opener_copy_file(struct rfs_opener *op, const struct rfs_disk *disk,
			 const struct rfs_copy *copy, struct rfs_reader **ret,
			 struct rfs_error *err)
{
	return open_unpacked(op, disk, copy, true, ret, err);
}

/* One program for all who read it so. */
static int open_lent(struct rfs_opener *op, const struct rfs_disk *disk,
		     const struct rfs_copy *copy, bool healed,
		     struct rfs_reader **ret, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *file = NULL;
	RFS_CLEANUP_FREE char *key = NULL;
	int r;

	if (asprintf(&key, "lent:%d:%s:%s", healed, copy->source->origin.name,
		     copy->path) < 0)
		return rfs_no_memory(err);
	*ret = rfs_shelf_find(&op->shelf, key);
	if (*ret)
		return 0;
	r = open_unpacked(op, disk, copy, healed, &file, err);
	if (r == 0)
		r = rfs_opener_lend(op, copy, disk->rule, file, ret, err);
	if (r == 0)
		rfs_shelf_add(&op->shelf, key, *ret);
	return r;
}

static int open_copy(struct rfs_opener *op, const struct rfs_disk *disk,
		     const struct rfs_copy *copy, bool healed,
		     struct rfs_reader *header, struct rfs_reader **ret,
		     struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *file = NULL;
	struct rfs_chain chain = {
		.source = copy->source,
		.path = copy->path,
		.is_qcow2 = copy->format == RFS_FORMAT_QCOW2,
		.healed = healed,
		.rule = disk->rule,
	};
	int r;

	if (copy->format == RFS_FORMAT_OTHER)
		return rfs_fail(err, ENOTSUP,
				"%s:%s is %s by %s, which this version does "
				"not read; convert it with qemu-img and name "
				"the result in the site file",
				copy->source->origin.name, copy->path,
				copy->format_name, copy->format_by);
	if (copy->format == RFS_FORMAT_FOREIGN && rfs_opener_is_lent(copy))
		return open_lent(op, disk, copy, healed, ret, err);
	if (copy->format == RFS_FORMAT_FOREIGN)
		return rfs_opener_server(op, copy, disk->rule, ret, err);
	r = open_unpacked(op, disk, copy, healed, &file, err);
	return r < 0 ? r
		     : rfs_opener_decode(op, &chain, file, header, ret, err);
}

int rfs_opener_copy_by(struct rfs_opener *op, const struct rfs_disk *disk,
		       const struct rfs_copy *copy, struct rfs_reader *header,
		       struct rfs_reader **ret, struct rfs_error *err)
{
	return open_copy(op, disk, copy, true, header, ret, err);
}

int rfs_opener_copy(struct rfs_opener *op, const struct rfs_disk *disk,
		    const struct rfs_copy *copy, struct rfs_reader **ret,
		    struct rfs_error *err)
{
	return open_copy(op, disk, copy, false, NULL, ret, err);
}
