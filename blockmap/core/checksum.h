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

#define RFS_CHECKSUM_TEXT 129 /* the longest, SHA-512's, and its end */
#define RFS_SHA1_TEXT	  41

/* In small hexadecimal digits; an empty text is one that is not known. */
struct rfs_checksums {
	char hex[RFS_CHECKSUMS][RFS_CHECKSUM_TEXT];
};

/* "md5". */
const char *rfs_checksum_name(enum rfs_checksum kind);

/* True for as many hexadecimal digits as it has. */
bool rfs_checksum_is_text(enum rfs_checksum kind, const char *text);

/* The letters' case does not matter. */
bool rfs_checksum_is_same(const char *a, const char *b);

/* Those of 'kinds', a bit 1 << RFS_MD5 and so on for each, in one pass over all of
 * 'rd'; the others in *ret stay as they are.  'step' is told how many bytes are done
 * and ends the pass by a negative errno, which is returned; it may be NULL.  -EIO: 'rd'
 * cannot be read to its end. */
int rfs_checksum_compute(struct rfs_reader *rd, unsigned kinds,
			 int (*step)(void *data, uint64_t done), void *data,
			 struct rfs_checksums *ret, struct rfs_error *err);

/* The SHA-1 of a text: nova calls a base image by that of its image's id. */
void rfs_checksum_sha1(const char *text, char ret[RFS_SHA1_TEXT]);

#endif /* RESCUEFS_CORE_CHECKSUM_H */
