// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/freshness.h"

#include <stdio.h>
#include <string.h>

#define NS_PER_S INT64_C(1000000000)

int64_t rfs_time_of(struct timespec ts)
{
	/* A time beyond the years 1678 to 2261 is damage, not a date. */
	if (ts.tv_sec >= INT64_MAX / NS_PER_S ||
	    ts.tv_sec <= INT64_MIN / NS_PER_S)
		return RFS_TIME_UNKNOWN;
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

struct timespec rfs_time_spec(int64_t time_ns)
{
	struct timespec ts = { 0 };

	if (time_ns == RFS_TIME_NOW) {
		clock_gettime(CLOCK_REALTIME, &ts);
		return ts;
	}
	if (time_ns == RFS_TIME_UNKNOWN)
		return ts;
	ts.tv_sec = time_ns / NS_PER_S;
	ts.tv_nsec = time_ns % NS_PER_S;
	if (ts.tv_nsec < 0) {
		ts.tv_nsec += NS_PER_S;
		ts.tv_sec--;
	}
	return ts;
}

void rfs_time_print(int64_t time_ns, char text[RFS_TIME_TEXT])
{
	struct timespec ts = rfs_time_spec(time_ns);
	struct tm tm;
	size_t n;

	if (time_ns == RFS_TIME_UNKNOWN) {
		strcpy(text, "unknown");
		return;
	}
	if (time_ns == RFS_TIME_NOW) {
		strcpy(text, "now");
		return;
	}
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(text, RFS_TIME_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
	if (ts.tv_nsec)
		n += (size_t)snprintf(text + n, RFS_TIME_TEXT - n, ".%09ld",
				      ts.tv_nsec);
	snprintf(text + n, RFS_TIME_TEXT - n, "Z");
}

void rfs_time_print_short(int64_t time_ns, char text[RFS_TIME_TEXT])
{
	struct timespec ts = rfs_time_spec(time_ns);

	ts.tv_nsec = 0;
	if (time_ns != RFS_TIME_UNKNOWN && time_ns != RFS_TIME_NOW)
		time_ns = rfs_time_of(ts);
	rfs_time_print(time_ns, text);
}

/* "+02:00", "-0330", "Z" or nothing, to the end of the text. */
static bool parse_zone(const char *p, int *ret_s)
{
	int h, m, n = 0;

	*ret_s = 0;
	if (!*p || !strcmp(p, "Z") || !strcmp(p, "z"))
		return true;
	if (*p != '+' && *p != '-')
		return false;
	if ((sscanf(p + 1, "%2d:%2d%n", &h, &m, &n) != 2 &&
	     sscanf(p + 1, "%2d%2d%n", &h, &m, &n) != 2) ||
	    p[1 + n] || h < 0 || m < 0 || m > 59)
		return false;
	*ret_s = (h * 60 + m) * (*p == '-' ? -60 : 60);
	return true;
}

/* ".5" and the like; moves 'p' behind it. */
static int64_t parse_fraction(const char **p)
{
	int64_t ns = 0, unit = NS_PER_S / 10;

	if (**p != '.')
		return 0;
	for ((*p)++; **p >= '0' && **p <= '9'; (*p)++, unit /= 10)
		ns += (**p - '0') * unit;
	return ns;
}

static bool parse_clock(const char **p, struct tm *tm)
{
	int n = 0;

	if (**p != 'T' && **p != 't' && **p != ' ')
		return true;
	if (sscanf(*p + 1, "%2d:%2d%n", &tm->tm_hour, &tm->tm_min, &n) != 2)
		return false;
	*p += 1 + n;
	if (**p == ':') {
		if (sscanf(*p, ":%2d%n", &tm->tm_sec, &n) != 1)
			return false;
		*p += n;
	}
	return tm->tm_hour >= 0 && tm->tm_hour < 24 && tm->tm_min >= 0 &&
	       tm->tm_min < 60 && tm->tm_sec >= 0 && tm->tm_sec <= 60;
}

bool rfs_time_parse(const char *text, int64_t *ret_ns)
{
	struct tm tm = { 0 };
	long long seconds;
	int64_t fraction;
	int n = 0, zone_s;

	if (sscanf(text, "@%lld%n", &seconds, &n) == 1 && !text[n]) {
		*ret_ns = rfs_time_of((struct timespec){ seconds, 0 });
		return *ret_ns != RFS_TIME_UNKNOWN;
	}
	if (sscanf(text, "%4d-%2d-%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &n) != 3 ||
	    n != 10 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
	    tm.tm_mday > 31)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	text += n;
	if (!parse_clock(&text, &tm))
		return false;
	fraction = parse_fraction(&text);
	if (!parse_zone(text, &zone_s))
		return false;
	*ret_ns = rfs_time_of(
		(struct timespec){ timegm(&tm) - zone_s, fraction });
	return *ret_ns != RFS_TIME_UNKNOWN;
}

bool rfs_generation_is_same(struct rfs_generation a, struct rfs_generation b)
{
	bool whole = a.mtime_ns % NS_PER_S == 0 || b.mtime_ns % NS_PER_S == 0;

	if (a.size != b.size || a.mtime_ns == RFS_TIME_UNKNOWN ||
	    b.mtime_ns == RFS_TIME_UNKNOWN)
		return false;
	if (whole)
		return a.mtime_ns / NS_PER_S == b.mtime_ns / NS_PER_S;
	return a.mtime_ns == b.mtime_ns;
}
