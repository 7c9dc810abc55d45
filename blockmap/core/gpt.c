// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/gpt.h"

#include "core/little_endian.h"

#define HEADER_MIN 92u

uint32_t rfs_gpt_crc(const uint8_t *p, size_t len)
{
	uint32_t crc = UINT32_MAX;

	/* Tables are small. */
	while (len--) {
		crc ^= *p++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

bool rfs_gpt_is_header(uint8_t *header, uint64_t lba)
{
	uint32_t len = rfs_get_le32(header + 12);
	uint32_t crc = rfs_get_le32(header + 16);

	if (memcmp(header, "EFI PART", 8) != 0 || len < HEADER_MIN ||
	    len > RFS_GPT_HEADER || rfs_get_le64(header + 24) != lba)
		return false;
	memset(header + 16, 0, 4);
	return rfs_gpt_crc(header, len) == crc;
}
