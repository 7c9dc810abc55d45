/* SPDX-License-Identifier: GPL-3.0-or-later */
/* little_endian.h - numbers of a medium, from wherever they lie; as big_endian.h. */
#ifndef RESCUEFS_CORE_LITTLE_ENDIAN_H
#define RESCUEFS_CORE_LITTLE_ENDIAN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t rfs_get_le32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline uint64_t rfs_get_le64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

#endif /* RESCUEFS_CORE_LITTLE_ENDIAN_H */
