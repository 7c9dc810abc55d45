// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/format.h"

#include <inttypes.h>
#include <stdio.h>

void rfs_format_bytes(uint64_t bytes, char ret_text[RFS_FORMAT_ROOM])
{
	static const char *const units[] = { "bytes", "kB", "MB", "GB", "TB" };
	double n = (double)bytes;
	size_t unit = 0;

	/* What would be rounded up to the next unit is said in that. */
	while (n >= 999.95 && unit < sizeof(units) / sizeof(*units) - 1) {
		n /= 1000;
		unit++;
	}
	if (bytes < 1000)
		snprintf(ret_text, RFS_FORMAT_ROOM, "%" PRIu64 " byte%s", bytes,
			 bytes == 1 ? "" : "s");
	else
		snprintf(ret_text, RFS_FORMAT_ROOM, "%.1f %s", n, units[unit]);
}

void rfs_format_seconds(uint64_t seconds, char ret_text[RFS_FORMAT_ROOM])
{
	uint64_t minutes = seconds / 60;

	if (seconds < 60)
		snprintf(ret_text, RFS_FORMAT_ROOM, "%" PRIu64 " s", seconds);
	else if (minutes < 60)
		snprintf(ret_text, RFS_FORMAT_ROOM,
			 "%" PRIu64 " min %" PRIu64 " s", minutes,
			 seconds % 60);
	else
		snprintf(ret_text, RFS_FORMAT_ROOM,
			 "%" PRIu64 " h %" PRIu64 " min", minutes / 60,
			 minutes % 60);
}
