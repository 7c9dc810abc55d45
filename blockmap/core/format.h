/* SPDX-License-Identifier: GPL-3.0-or-later */
/* format.h - amounts and times as people read them. */
#ifndef RESCUEFS_CORE_FORMAT_H
#define RESCUEFS_CORE_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define RFS_FORMAT_ROOM 32

/* "512 bytes", "12.3 MB": powers of 1000, as disks are sold and ddrescue
 * counts. */
void rfs_format_bytes(uint64_t bytes, char ret_text[RFS_FORMAT_ROOM]);

/* "8 s", "3 min 20 s", "5 h 12 min". */
void rfs_format_seconds(uint64_t seconds, char ret_text[RFS_FORMAT_ROOM]);

#endif /* RESCUEFS_CORE_FORMAT_H */
