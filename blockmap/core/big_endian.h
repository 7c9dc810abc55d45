/* SPDX-License-Identifier: GPL-3.0-or-later */
/* big_endian.h - numbers of a medium, from wherever they lie. */
#ifndef RESCUEFS_CORE_BIG_ENDIAN_H
#define RESCUEFS_CORE_BIG_ENDIAN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t rfs_get_be32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static inline uint64_t rfs_get_be64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

#endif /* RESCUEFS_CORE_BIG_ENDIAN_H */
