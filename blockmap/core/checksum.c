// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checksum.h"

#include <errno.h>
#include <gcrypt.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/digest.h"

#define STEP (1u << 20)

static const struct {
	const char *name;
	int algorithm;
} kinds[] = {
	[RFS_MD5] = { "md5", GCRY_MD_MD5 },
	[RFS_SHA256] = { "sha256", GCRY_MD_SHA256 },
	[RFS_SHA512] = { "sha512", GCRY_MD_SHA512 },
};

const char *rfs_checksum_name(enum rfs_checksum kind)
{
	return kinds[kind].name;
}

bool rfs_checksum_is_text(enum rfs_checksum kind, const char *text)
{
	size_t len = gcry_md_get_algo_dlen(kinds[kind].algorithm);

	return strlen(text) == 2 * len &&
	       strspn(text, "0123456789abcdefABCDEF") == 2 * len;
}

bool rfs_checksum_is_same(const char *a, const char *b)
{
	return strcasecmp(a, b) == 0;
}

static void print_hex(const unsigned char *bytes, size_t len, char *ret)
{
	for (size_t i = 0; i < len; i++)
		snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

void rfs_checksum_sha1(const char *text, char ret[RFS_SHA1_TEXT])
{
	unsigned char bytes[RFS_SHA1_TEXT / 2];

	rfs_digest_start();
	gcry_md_hash_buffer(GCRY_MD_SHA1, bytes, text, strlen(text));
	print_hex(bytes, sizeof(bytes), ret);
}

static int add_all(gcry_md_hd_t md, struct rfs_reader *rd,
		   int (*step)(void *data, uint64_t done), void *data,
		   struct rfs_error *err)
{
	RFS_CLEANUP_FREE void *buf = malloc(STEP);
	uint64_t size = rfs_reader_size(rd);
	struct rfs_range range;
	int r;

	if (!buf)
		return rfs_no_memory(err);
	for (uint64_t off = 0; off < size; off += STEP) {
		range = rfs_range_cut(rfs_range(off, STEP), rfs_range(0, size));
		r = rfs_reader_read(rd, range, buf, NULL, err);
		if (r < 0)
			return r;
		gcry_md_write(md, buf, range.len);
		r = step ? step(data, rfs_range_end(range)) : 0;
		if (r < 0)
			return rfs_fail(err, -r, "%s: its checksum is not done",
					rfs_reader_name(rd));
	}
	return 0;
}

/* A digest of each of them at once, so that the bytes are read once. */
static int begin(unsigned wanted, gcry_md_hd_t *ret, struct rfs_error *err)
{
	rfs_digest_start();
	if (gcry_md_open(ret, 0, 0) != 0)
		return rfs_no_memory(err);
	for (int k = 0; k < RFS_CHECKSUMS; k++)
		if (wanted & 1u << k &&
		    gcry_md_enable(*ret, kinds[k].algorithm) != 0) {
			gcry_md_close(*ret);
			return rfs_fail(err, ENOTSUP,
					"%s is not to be had of this system's "
					"libgcrypt",
					kinds[k].name);
		}
	return 0;
}

int rfs_checksum_compute(struct rfs_reader *rd, unsigned wanted,
			 int (*step)(void *data, uint64_t done), void *data,
			 struct rfs_checksums *ret, struct rfs_error *err)
{
	gcry_md_hd_t md;
	int algorithm, r;

	r = begin(wanted, &md, err);
	if (r < 0)
		return r;
	r = add_all(md, rd, step, data, err);
	for (int k = 0; k < RFS_CHECKSUMS && r == 0; k++) {
		algorithm = kinds[k].algorithm;
		if (wanted & 1u << k)
			print_hex(gcry_md_read(md, algorithm),
				  gcry_md_get_algo_dlen(algorithm),
				  ret->hex[k]);
	}
	gcry_md_close(md);
	return r;
}
