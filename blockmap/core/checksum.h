/* SPDX-License-Identifier: GPL-3.0-or-later */
/* checksum.h - the digests of whole files that others keep: Glance stores the
 * MD5 of an image, and of late its SHA-512 beside it.
 *
 * Safe from many threads.
 */
#ifndef RESCUEFS_CORE_CHECKSUM_H
#define RESCUEFS_CORE_CHECKSUM_H

#include <stdbool.h>

#include "core/reader.h"

enum rfs_checksum {
	RFS_MD5,
	RFS_SHA256,
	RFS_SHA512,
	RFS_CHECKSUMS,
};

/* "md5". */
const char *rfs_checksum_name(enum rfs_checksum kind);

/* True for as many hexadecimal digits as it has. */
bool rfs_checksum_is_text(enum rfs_checksum kind, const char *text);

/* Reads all of 'rd' and compares; the case of letters does not matter.  -EBADMSG:
 * it is another one, which is said.  -EIO: it cannot be read to its end. */
int rfs_checksum_check(struct rfs_reader *rd, enum rfs_checksum kind,
		       const char *want, struct rfs_error *err);

#endif /* RESCUEFS_CORE_CHECKSUM_H */
