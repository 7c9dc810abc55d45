/* SPDX-License-Identifier: GPL-3.0-or-later */
/* digest.h - whether bytes are still those that were kept.
 *
 * The first 16 bytes of SHA-256, through libgcrypt: with the processor's own
 * instructions 2 GB/s, twice and more of what SHA-512 and BLAKE2b give, and
 * long enough that two rows of bytes which differ by accident never agree.
 *
 * Safe from many threads.
 */
#ifndef RESCUEFS_CORE_DIGEST_H
#define RESCUEFS_CORE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define RFS_DIGEST_LEN 16

struct rfs_digest {
	uint8_t bytes[RFS_DIGEST_LEN];
};

struct rfs_digest rfs_digest(const void *buf, size_t len);

#endif /* RESCUEFS_CORE_DIGEST_H */
