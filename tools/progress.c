// SPDX-License-Identifier: GPL-3.0-or-later
#include "tools/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "core/format.h"

#define SECOND	 INT64_C(1000000000)
#define INTERVAL (SECOND / 5)

static int64_t now(void)
{
	struct timespec ts;

	/* Coarse: it is asked for at every request. */
	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return ts.tv_sec * SECOND + ts.tv_nsec;
}

void rfs_progress_begin(struct rfs_progress *p, const char *what,
			uint64_t total, bool quiet)
{
	*p = (struct rfs_progress){
		.what = what,
		.total = total,
		.is_shown = !quiet && isatty(STDERR_FILENO),
		.begun_ns = now(),
	};
}

void rfs_progress_text(const struct rfs_progress *p, int64_t now_ns, char *text,
		       size_t room)
{
	double seconds = (double)(now_ns - p->begun_ns) / (double)SECOND;
	double rate = seconds > 0 ? (double)p->done / seconds : 0;
	char done[RFS_FORMAT_ROOM], total[RFS_FORMAT_ROOM];
	char speed[RFS_FORMAT_ROOM], left[RFS_FORMAT_ROOM];
	size_t n;

	rfs_format_bytes(p->done, done);
	rfs_format_bytes(p->total, total);
	rfs_format_bytes((uint64_t)rate, speed);
	if (p->total)
		n = (size_t)snprintf(text, room, "%s  %s of %s (%.0f %%)  %s/s",
				     p->what, done, total,
				     100 * (double)p->done / (double)p->total,
				     speed);
	else
		n = (size_t)snprintf(text, room, "%s  %s  %s/s", p->what, done,
				     speed);
	if (n < room && rate > 0 && p->total > p->done) {
		rfs_format_seconds(
			(uint64_t)((double)(p->total - p->done) / rate), left);
		n += (size_t)snprintf(text + n, room - n, "  %s left", left);
	}
	if (n < room && p->errors)
		snprintf(text + n, room - n, "  %" PRIu64 " error%s", p->errors,
			 p->errors == 1 ? "" : "s");
}

static bool is_due(const struct rfs_progress *p, int64_t t)
{
	return t - p->begun_ns >= SECOND && t - p->printed_ns >= INTERVAL;
}

static void print(struct rfs_progress *p, const char *text, int64_t t)
{
	fprintf(stderr, "\r%s\033[K", text);
	fflush(stderr);
	p->printed_ns = t;
	p->is_printed = true;
}

void rfs_progress_set(struct rfs_progress *p, uint64_t done, uint64_t errors)
{
	char text[256];
	int64_t t;

	p->done = done;
	p->errors = errors;
	if (!p->is_shown)
		return;
	t = now();
	if (!is_due(p, t))
		return;
	rfs_progress_text(p, t, text, sizeof(text));
	print(p, text, t);
}

void rfs_progress_say(struct rfs_progress *p, const char *text)
{
	int64_t t;

	if (!p->is_shown)
		return;
	t = now();
	if (is_due(p, t))
		print(p, text, t);
}

void rfs_progress_clear(struct rfs_progress *p)
{
	if (!p->is_printed)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	p->is_printed = false;
}
