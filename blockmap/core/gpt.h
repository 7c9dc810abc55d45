/* SPDX-License-Identifier: GPL-3.0-or-later */
/* gpt.h - the header of a GUID partition table, by the UEFI specification, 5.3.2. */
#ifndef RESCUEFS_CORE_GPT_H
#define RESCUEFS_CORE_GPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a header that are read; the rest of a larger sector is zero. */
#define RFS_GPT_HEADER 512u

/* The CRC of IEEE 802.3, as a GPT uses it. */
uint32_t rfs_gpt_crc(const uint8_t *p, size_t len);

/* Whether 'header', of RFS_GPT_HEADER bytes, is one that lies in sector 'lba' by its
 * own word, with the checksum that it says; its place in 'header' is zeroed. */
bool rfs_gpt_is_header(uint8_t *header, uint64_t lba);

#endif /* RESCUEFS_CORE_GPT_H */
