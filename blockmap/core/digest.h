/* SPDX-License-Identifier: GPL-3.0-or-later */
/* digest.h - whether bytes are still those that were kept.
 *
 * Of data: XXH3 with 128 bits, through libxxhash.  Nobody forges what lies in the
 * state directory, so all that counts is that two rows of bytes which differ by
 * accident never agree, and that a dying disk is not read at a digest's speed:
 * SHA-256 made a first pass half as fast as one that keeps nothing.
 *
 * Of names and records: the first 16 bytes of SHA-256, through libgcrypt.
 *
 * Safe from many threads.
 */
#ifndef RESCUEFS_CORE_DIGEST_H
#define RESCUEFS_CORE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RFS_DIGEST_LEN 16

struct rfs_digest {
	uint8_t bytes[RFS_DIGEST_LEN];
};

/* Makes libgcrypt ready; for checksum.c, the rest does it by itself. */
void rfs_digest_start(void);

/* Of a name or a record. */
struct rfs_digest rfs_digest(const void *buf, size_t len);

/* Of data. */
struct rfs_digest rfs_digest_data(const void *buf, size_t len);

/* True if 'd' is the digest of these data, or what states of version 2 kept for
 * it, which was SHA-256's. */
bool rfs_digest_agrees(const struct rfs_digest *d, const void *buf, size_t len);

#endif /* RESCUEFS_CORE_DIGEST_H */
