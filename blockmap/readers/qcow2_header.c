// SPDX-License-Identifier: GPL-3.0-or-later
/* The header of a qcow2 image and its extensions: checked here, once. */
#include "readers/qcow2.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>

#include "core/big_endian.h"
#include "readers/readers.h"

#define MAGIC	       0x514649fbu
#define V1_LENGTH      48u
#define V2_LENGTH      72u
#define V3_LENGTH      104u
#define PACKING_AT     104u
#define FEATURE_LEN    48u
#define EXTENSIONS_MAX 256 /* QEMU writes five */

/* Types of header extensions. */
#define EXT_END		   0u
#define EXT_BACKING_FORMAT 0xe2792acau
#define EXT_FEATURES	   0x6803f857u
#define EXT_BITMAPS	   0x23852875u
#define EXT_DATA_NAME	   0x44415441u

/* Block/qcow.c of QEMU.  How long the L1 table is follows from the size. */
static void parse_v1(const uint8_t *p, struct rfs_qcow2_header *h)
{
	uint32_t bits;

	h->version = 1;
	h->backing_off = rfs_get_be64(p + 8);
	h->backing_len = h->backing_off ? rfs_get_be32(p + 16) : 0;
	h->size = rfs_get_be64(p + 24);
	h->cluster_bits = p[32];
	h->l2_bits = p[33];
	h->crypt = rfs_get_be32(p + 36);
	h->l1_off = rfs_get_be64(p + 40);
	h->length = V1_LENGTH;
	h->refcount_order = 4;
	bits = h->cluster_bits + h->l2_bits;
	if (bits >= 64 || !h->size)
		return;
	h->l1_entries = (uint32_t)rfs_qcow2_min(((h->size - 1) >> bits) + 1,
						UINT32_MAX);
}

static void parse_v2(const uint8_t *p, struct rfs_qcow2_header *h)
{
	h->version = rfs_get_be32(p + 4);
	h->backing_off = rfs_get_be64(p + 8);
	h->backing_len = h->backing_off ? rfs_get_be32(p + 16) : 0;
	h->cluster_bits = rfs_get_be32(p + 20);
	h->size = rfs_get_be64(p + 24);
	h->crypt = rfs_get_be32(p + 32);
	h->l1_entries = rfs_get_be32(p + 36);
	h->l1_off = rfs_get_be64(p + 40);
	h->refcounts_off = rfs_get_be64(p + 48);
	h->refcounts_clusters = rfs_get_be32(p + 56);
	h->snapshots = rfs_get_be32(p + 60);
	h->snapshots_off = rfs_get_be64(p + 64);
	h->length = V2_LENGTH;
	h->refcount_order = 4;
}

static void parse_v3(const uint8_t *p, struct rfs_qcow2_header *h)
{
	h->incompatible = rfs_get_be64(p + 72);
	h->autoclear = rfs_get_be64(p + 88);
	h->refcount_order = rfs_get_be32(p + 96);
	h->length = rfs_get_be32(p + 100);
	if (h->length > PACKING_AT)
		h->packing = p[PACKING_AT];
	h->packing_odd =
		!(h->incompatible & RFS_QCOW2_COMPRESSION) != !h->packing;
}

static int check_crypt(const char *name, uint32_t method, struct rfs_error *err)
{
	if (method <= RFS_QCOW2_LUKS)
		return 0;
	return rfs_fail(err, ENOTSUP,
			"%s: encrypted with the unknown method %" PRIu32, name,
			method);
}

/* What must hold before anything is computed from the numbers. */
static int check_geometry(const char *name, const struct rfs_qcow2_header *h,
			  struct rfs_error *err)
{
	if (h->version == 1 && (h->cluster_bits > 16 || h->l2_bits < 6 ||
				h->l2_bits > 13 || h->crypt == RFS_QCOW2_LUKS))
		return rfs_fail(
			err, EINVAL,
			"%s: clusters of 2^%" PRIu32
			" bytes, tables of 2^%" PRIu32
			" entries, encryption %d: no version 1 has that",
			name, h->cluster_bits, h->l2_bits, (int)h->crypt);
	if (h->cluster_bits < 9 || h->cluster_bits > 21)
		return rfs_fail(err, EINVAL,
				"%s: clusters of 2^%" PRIu32
				" bytes, but only 2^9 to 2^21 are valid",
				name, h->cluster_bits);
	if (h->version >= 3 &&
	    (h->length < V3_LENGTH || h->length > 1u << h->cluster_bits))
		return rfs_fail(err, EINVAL,
				"%s: a header length of %" PRIu32
				" bytes makes no sense",
				name, h->length);
	if (h->size > RFS_SIZE_MAX)
		return rfs_fail(err, EFBIG,
				"%s: a disk of %" PRIu64
				" bytes is more than a file can have",
				name, h->size);
	if (h->refcount_order > 6)
		return rfs_fail(err, EINVAL,
				"%s: refcounts of 2^%" PRIu32
				" bits, but 2^6 is the most",
				name, h->refcount_order);
	return 0;
}

static int check_backing(const char *name, const struct rfs_qcow2_header *h,
			 struct rfs_error *err)
{
	/* Version 1 puts it wherever it likes. */
	uint64_t room =
		h->version == 1 ? RFS_SIZE_MAX : 1ull << h->cluster_bits;

	if (!h->backing_len)
		return 0;
	if (h->backing_len > RFS_QCOW2_NAME_MAX)
		return rfs_fail(err, EINVAL,
				"%s: a backing file name of %" PRIu32
				" bytes, but 1023 is the most",
				name, h->backing_len);
	if (!rfs_range_fits(rfs_range(h->backing_off, h->backing_len), room))
		return rfs_fail(err, EINVAL,
				"%s: the backing file name, at %" PRIu64
				", is not in the header cluster",
				name, h->backing_off);
	return 0;
}

static int check_l1(const char *name, const struct rfs_qcow2_header *h,
		    struct rfs_error *err)
{
	uint32_t span_bits = h->cluster_bits + h->l2_bits;
	uint64_t align = h->version == 1 ? 1 : 1ull << h->cluster_bits;
	uint64_t bytes = (uint64_t)h->l1_entries * 8;
	uint64_t want = (h->size >> span_bits) +
			!!(h->size & ((1ull << span_bits) - 1));

	if (bytes > RFS_QCOW2_L1_MAX)
		return rfs_fail(err, EFBIG,
				"%s: an L1 table of %" PRIu64
				" bytes, but 32 MiB is the most",
				name, bytes);
	if (h->l1_entries < want)
		return rfs_fail(err, EINVAL,
				"%s: the L1 table has %" PRIu32
				" entries, but a disk of %" PRIu64
				" bytes needs %" PRIu64,
				name, h->l1_entries, h->size, want);
	if (want && (h->l1_off < V1_LENGTH || h->l1_off & (align - 1)))
		return rfs_fail(err, EINVAL,
				"%s: the L1 table's offset, %" PRIu64
				", is not that of a cluster",
				name, h->l1_off);
	if (!rfs_range_fits(rfs_range(h->l1_off, bytes), RFS_SIZE_MAX))
		return rfs_fail(err, EINVAL,
				"%s: the L1 table's offset, %" PRIu64
				", is more than a file can have",
				name, h->l1_off);
	return 0;
}

static int check_features(const char *name, const struct rfs_qcow2_header *h,
			  struct rfs_error *err)
{
	if (h->packing > RFS_QCOW2_ZSTD)
		return rfs_fail(err, ENOTSUP,
				"%s: compressed by the unknown method %u", name,
				h->packing);
	if (h->incompatible & RFS_QCOW2_EXTENDED_L2 && h->cluster_bits < 14)
		return rfs_fail(err, EINVAL,
				"%s: extended L2 entries need clusters of at "
				"least 2^14 bytes, not 2^%" PRIu32,
				name, h->cluster_bits);
	return 0;
}

/* The name that the image gives to an incompatible feature, if it does. */
static void find_feature(struct rfs_reader *file,
			 const struct rfs_qcow2_header *h, unsigned int bit,
			 char ret[FEATURE_LEN - 1])
{
	uint8_t item[FEATURE_LEN];
	struct rfs_range at = rfs_range(h->features.off, FEATURE_LEN);

	ret[0] = '\0';
	for (; rfs_range_end(at) <= rfs_range_end(h->features);
	     at.off += FEATURE_LEN) {
		if (rfs_reader_read(file, at, item, NULL, NULL) < 0)
			return;
		if (item[0] != 0 || item[1] != bit)
			continue;
		memcpy(ret, item + 2, FEATURE_LEN - 2);
		ret[FEATURE_LEN - 2] = '\0';
		return;
	}
}

static int check_incompatible(struct rfs_reader *file,
			      const struct rfs_qcow2_header *h,
			      struct rfs_error *err)
{
	uint64_t unknown = h->incompatible & ~RFS_QCOW2_KNOWN;
	char feature[FEATURE_LEN - 1];
	unsigned int bit;

	if (!unknown)
		return 0;
	bit = (unsigned int)__builtin_ctzll(unknown);
	find_feature(file, h, bit, feature);
	for (char *c = feature; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return rfs_fail(err, ENOTSUP,
			"%s: uses the unknown incompatible feature %u%s%s%s",
			rfs_reader_name(file), bit, feature[0] ? " (" : "",
			feature, feature[0] ? ")" : "");
}

static void keep_extension(struct rfs_qcow2_header *h, uint32_t type,
			   struct rfs_range data)
{
	switch (type) {
	case EXT_BACKING_FORMAT:
		h->backing_format = data;
		break;
	case EXT_DATA_NAME:
		h->data_name = data;
		break;
	case EXT_FEATURES:
		/* No more names than there are bits. */
		data.len = rfs_qcow2_min(data.len, 3 * 64 * FEATURE_LEN);
		h->features = data;
		break;
	case EXT_BITMAPS:
		h->bitmaps = data;
		break;
	}
}

/* Remembers where the extensions lie.  Damage here costs names, not the disk:
 * it is kept in extensions_lost and is no failure.  What was only not waited
 * for is -ETIMEDOUT. */
static int find_extensions(struct rfs_reader *file, struct rfs_qcow2_header *h,
			   struct rfs_error *err)
{
	uint64_t end =
		rfs_qcow2_min(1ull << h->cluster_bits, rfs_reader_size(file));
	uint64_t pos = h->length;
	uint8_t item[8];
	uint32_t len;
	int r;

	if (h->backing_len && h->backing_off >= pos)
		end = rfs_qcow2_min(end, h->backing_off);
	for (int i = 0; i < EXTENSIONS_MAX && pos + 8 <= end; i++) {
		r = rfs_reader_read(file, rfs_range(pos, 8), item, NULL, err);
		if (r == -ETIMEDOUT)
			return r;
		if (r < 0)
			break;
		if (rfs_get_be32(item) == EXT_END)
			return 0;
		len = rfs_get_be32(item + 4);
		pos += 8;
		if (len > end - pos)
			break;
		keep_extension(h, rfs_get_be32(item), rfs_range(pos, len));
		pos += (len + 7ull) & ~7ull;
	}
	/* No end mark is needed where the area is full (old images). */
	h->extensions_lost = pos + 8 <= end;
	return 0;
}

static int read_start(struct rfs_reader *file, uint8_t p[RFS_SECTOR],
		      struct rfs_error *err)
{
	uint64_t len = rfs_qcow2_min(RFS_SECTOR, rfs_reader_size(file));
	struct rfs_ranges bad = { 0 };
	bool lost;
	int r;

	memset(p, 0, RFS_SECTOR);
	if (len < V1_LENGTH)
		return rfs_fail(err, EINVAL,
				"%s: not a qcow2 image: only %" PRIu64 " bytes",
				rfs_reader_name(file), len);
	r = rfs_reader_read(file, rfs_range(0, len), p, &bad, err);
	lost = r == -EIO && (!bad.count || bad.items[0].off < V3_LENGTH + 8);
	rfs_ranges_fini(&bad);
	if (r < 0 && (lost || r != -EIO))
		return rfs_context(err, r,
				   "%s: the qcow2 header cannot be read",
				   rfs_reader_name(file));
	return 0;
}

static int check_kind(struct rfs_reader *file, const uint8_t *p,
		      struct rfs_error *err)
{
	const char *name = rfs_reader_name(file);
	uint32_t version = rfs_get_be32(p + 4);

	if (rfs_get_be32(p) != MAGIC)
		return rfs_fail(err, EINVAL,
				"%s: not a qcow2 image: it does not begin with "
				"QFI\\xfb",
				name);
	if (version < 1 || version > 3)
		return rfs_fail(err, ENOTSUP,
				"%s: qcow version %" PRIu32
				", but only 1, 2 and 3 are read here",
				name, version);
	if (version > 1 && rfs_reader_size(file) < V2_LENGTH)
		return rfs_fail(err, EINVAL,
				"%s: not a qcow2 image: only %" PRIu64 " bytes",
				name, rfs_reader_size(file));
	return check_crypt(name, rfs_get_be32(p + (version == 1 ? 36 : 32)),
			   err);
}

static void parse(const uint8_t *p, struct rfs_qcow2_header *h)
{
	if (rfs_get_be32(p + 4) == 1) {
		parse_v1(p, h);
		return;
	}
	parse_v2(p, h);
	if (h->version >= 3)
		parse_v3(p, h);
	/* Senseless cluster_bits are refused before it is used. */
	h->l2_bits = h->cluster_bits -
		     (h->incompatible & RFS_QCOW2_EXTENDED_L2 ? 4 : 3);
}

int rfs_qcow2_header_read(struct rfs_reader *file, struct rfs_qcow2_header *ret,
			  struct rfs_error *err)
{
	const char *name = rfs_reader_name(file);
	struct rfs_qcow2_header h = { 0 };
	uint8_t p[RFS_SECTOR];
	int r;

	r = read_start(file, p, err);
	if (!r)
		r = check_kind(file, p, err);
	if (r < 0)
		return r;
	parse(p, &h);
	r = check_geometry(name, &h, err);
	if (!r)
		r = check_backing(name, &h, err);
	if (r < 0)
		return r;
	if (h.version > 1)
		r = find_extensions(file, &h, err);
	if (!r)
		r = check_incompatible(file, &h, err);
	if (!r)
		r = check_features(name, &h, err);
	if (!r)
		r = check_l1(name, &h, err);
	if (r < 0)
		return r;
	*ret = h;
	return 0;
}

/* A string of the header cluster; "" where it is there but unreadable. */
static int read_name(struct rfs_reader *file, struct rfs_range at, char **ret,
		     struct rfs_error *err)
{
	char *s = calloc(1, RFS_QCOW2_NAME_MAX + 1);
	int r;

	if (!s)
		return rfs_no_memory(err);
	r = at.len > RFS_QCOW2_NAME_MAX ||
			    !rfs_range_fits(at, rfs_reader_size(file))
		    ? -EIO
		    : rfs_reader_read(file, at, s, NULL, err);
	if (r == -EIO)
		memset(s, 0, RFS_QCOW2_NAME_MAX + 1);
	if (r < 0 && r != -EIO) {
		free(s);
		return r;
	}
	*ret = s;
	return 0;
}

static int read_names(struct rfs_reader *file, const struct rfs_qcow2_header *h,
		      struct rfs_qcow2_info *info, struct rfs_error *err)
{
	struct rfs_range backing = rfs_range(h->backing_off, h->backing_len);
	int r = 0;

	if (backing.len)
		r = read_name(file, backing, &info->backing_file, err);
	/* A format that cannot be read is not a format that is not said. */
	if (!r && backing.len && (h->backing_format.len || h->extensions_lost))
		r = read_name(file, h->backing_format, &info->backing_format,
			      err);
	if (!r && info->has_data_file && h->data_name.len)
		r = read_name(file, h->data_name, &info->data_file, err);
	return r;
}

int rfs_qcow2_info(struct rfs_reader *file, struct rfs_qcow2_info *ret,
		   struct rfs_error *err)
{
	struct rfs_qcow2_info info = { 0 };
	struct rfs_qcow2_header h;
	int r;

	r = rfs_qcow2_header_read(file, &h, err);
	if (r < 0)
		return r;
	info.version = h.version;
	info.is_aes = h.crypt == RFS_QCOW2_AES;
	info.is_luks = h.crypt == RFS_QCOW2_LUKS;
	info.cluster_size = 1u << h.cluster_bits;
	info.virtual_size = h.size;
	info.has_data_file = h.incompatible & RFS_QCOW2_DATA_FILE;
	info.dirty = h.incompatible & RFS_QCOW2_DIRTY;
	info.corrupt = h.incompatible & RFS_QCOW2_CORRUPT;
	info.snapshots = h.snapshots;
	r = read_names(file, &h, &info, err);
	if (r < 0) {
		rfs_qcow2_info_fini(&info);
		return r;
	}
	*ret = info;
	return 0;
}

void rfs_qcow2_info_fini(struct rfs_qcow2_info *info)
{
	free(info->backing_file);
	free(info->backing_format);
	free(info->data_file);
	*info = (struct rfs_qcow2_info){ 0 };
}
