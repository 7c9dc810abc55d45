/* SPDX-License-Identifier: GPL-3.0-or-later */
/* freshness.h - points in time, and how they are written.
 *
 * Nanoseconds since 1970 UTC, as a file's times are.
 */
#ifndef RESCUEFS_CORE_FRESHNESS_H
#define RESCUEFS_CORE_FRESHNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define RFS_TIME_UNKNOWN INT64_MIN
#define RFS_TIME_NOW	 INT64_MAX /* a live source: as fresh as can be */

/* Enough for "2013-05-10T03:00:00.123456789Z" and for "unknown". */
#define RFS_TIME_TEXT 40

int64_t rfs_time_of(struct timespec ts);
struct timespec rfs_time_spec(int64_t time_ns);

/* RFC 3339 in UTC, without a fraction where it is zero. */
void rfs_time_print(int64_t time_ns, char text[RFS_TIME_TEXT]);

/* The same to the second: for people, who compare days. */
void rfs_time_print_short(int64_t time_ns, char text[RFS_TIME_TEXT]);

/* Reads "2013-05-10", "2013-05-10T03:00[:00[.5]][Z|+02:00]" (a blank may stand
 * for the T; UTC where no zone is said) or "@SECONDS".  False if it is none. */
bool rfs_time_parse(const char *text, int64_t *ret_ns);

/* What identifies the bytes of a file (design, rule 3): equal size and equal
 * time of modification.  File systems and copies that keep whole seconds only
 * are compared by the second. */
struct rfs_generation {
	uint64_t size;
	int64_t mtime_ns;
};

bool rfs_generation_is_same(struct rfs_generation a, struct rfs_generation b);

#endif /* RESCUEFS_CORE_FRESHNESS_H */
