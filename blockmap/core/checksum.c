// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checksum.h"

#include <errno.h>
#include <gcrypt.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/digest.h"

#define STEP	 (1u << 20)
#define HEX_ROOM 129 /* of SHA-512 */

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

static int add_all(gcry_md_hd_t md, struct rfs_reader *rd,
		   struct rfs_error *err)
{
	RFS_CLEANUP_FREE void *buf = malloc(STEP);
	uint64_t size = rfs_reader_size(rd);
	struct rfs_range step;
	int r;

	if (!buf)
		return rfs_no_memory(err);
	for (uint64_t off = 0; off < size; off += STEP) {
		step = rfs_range_cut(rfs_range(off, STEP), rfs_range(0, size));
		r = rfs_reader_read(rd, step, buf, NULL, err);
		if (r < 0)
			return r;
		gcry_md_write(md, buf, step.len);
	}
	return 0;
}

int rfs_checksum_check(struct rfs_reader *rd, enum rfs_checksum kind,
		       const char *want, struct rfs_error *err)
{
	int algorithm = kinds[kind].algorithm;
	size_t len = gcry_md_get_algo_dlen(algorithm);
	char hex[HEX_ROOM];
	gcry_md_hd_t md;
	int r;

	rfs_digest_start();
	if (gcry_md_open(&md, algorithm, 0) != 0)
		return rfs_fail(
			err, ENOTSUP,
			"%s is not to be had of this system's libgcrypt",
			kinds[kind].name);
	r = add_all(md, rd, err);
	for (size_t i = 0; i < len && r == 0; i++)
		snprintf(hex + 2 * i, 3, "%02x",
			 gcry_md_read(md, algorithm)[i]);
	gcry_md_close(md);
	if (r == 0 && strcasecmp(hex, want) != 0)
		r = rfs_fail(err, EBADMSG, "%s: its %s is %s, and not %s",
			     rfs_reader_name(rd), kinds[kind].name, hex, want);
	return r;
}
