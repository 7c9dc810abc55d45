// SPDX-License-Identifier: GPL-3.0-or-later
/* A fetch of one disk, watched to its end: in this process, or in the mount
 * that holds the state, through attributes of the disk's image there. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/format.h"
#include "tools/fetch.h"
#include "tools/progress.h"

#define CONTROL "user.rescuefs.control"
#define NEWS	"user.rescuefs.fetch"

#define SECOND	INT64_C(1000000000)
#define NAP_MIN (SECOND / 100)
#define NAP_MAX (SECOND / 5)
#define SYNC_NS (5 * SECOND) /* as often as a mount does */

struct watch {
	const struct rfs_fetch_watch *config;
	struct rfs_target *target;
	char *image;		       /* in the mount, or NULL */
	struct rfs_fetching *fetching; /* here, or NULL */
	struct rfs_progress progress;
	int64_t told_ns, synced_ns;
	/* The rate is that since this was so. */
	int64_t since_ns;
	uint64_t since_bytes, rate;
};

static volatile sig_atomic_t was_told_to_stop;

static void take_signal(int number)
{
	(void)number;
	was_told_to_stop = 1;
}

/* A second signal ends the process, which loses nothing either. */
static void catch_signals(struct sigaction old[2])
{
	struct sigaction sa = { .sa_handler = take_signal,
				.sa_flags = SA_RESETHAND };

	sigemptyset(&sa.sa_mask);
	was_told_to_stop = 0;
	sigaction(SIGINT, &sa, &old[0]);
	sigaction(SIGTERM, &sa, &old[1]);
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec;
}

/*
 * The two places where a fetch may run.
 */

static int order_mount(const struct watch *w, const char *order,
		       struct rfs_error *err)
{
	if (setxattr(w->image, CONTROL, order, strlen(order), 0) == 0)
		return 0;
	if (errno == EBUSY)
		return rfs_fail(err, EBUSY,
				"%s: the mount is fetching it already",
				w->config->name);
	return rfs_fail(err, errno, "%s: %s; the mount's log says more",
			w->config->name, strerror(errno));
}

static int begin_in_mount(struct watch *w, const struct rfs_disk *disk,
			  const struct rfs_fetching_order *order,
			  struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = rfs_fetching_order_text(order);
	int r;

	if (!text)
		return rfs_no_memory(err);
	r = rfs_target_image(w->target, disk, &w->image, err);
	return r < 0 ? r : order_mount(w, text, err);
}

static int begin(struct watch *w, const struct rfs_disk *disk,
		 const struct rfs_fetching_order *order, struct rfs_error *err)
{
	if (w->target->mountpoint)
		return begin_in_mount(w, disk, order, err);
	return rfs_fetching_start(w->target->opener, disk, order, &w->fetching,
				  err);
}

static int look(const struct watch *w, struct rfs_fetching_news *ret,
		struct rfs_error *err)
{
	char text[16384];
	ssize_t n;

	if (w->fetching) {
		rfs_fetching_look(w->fetching, ret);
		return 0;
	}
	n = getxattr(w->image, NEWS, text, sizeof(text) - 1);
	if (n < 0)
		return rfs_fail(err, ENOTCONN,
				"%s: the mount says no more of the fetch (%s); "
				"what was fetched is kept",
				w->config->name, strerror(errno));
	text[n] = '\0';
	return rfs_fetching_parse(text, ret, err);
}

static void stop(struct watch *w)
{
	if (w->fetching)
		rfs_fetching_stop(w->fetching);
	else
		order_mount(w, "stop-fetch", NULL);
}

/*
 * What is shown.
 */

static void show_line(struct watch *w, const struct rfs_fetching_news *news)
{
	const struct rfs_fetch_progress *p = &news->progress;
	char done[RFS_FORMAT_ROOM], total[RFS_FORMAT_ROOM];
	char rate[RFS_FORMAT_ROOM], average[RFS_FORMAT_ROOM];
	char bad[RFS_FORMAT_ROOM], left[RFS_FORMAT_ROOM] = "";
	char text[512], trouble[128] = "";

	rfs_format_bytes(p->rescued, done);
	rfs_format_bytes(p->total, total);
	rfs_format_bytes(news->rate, rate);
	rfs_format_bytes(rfs_fetching_average(news), average);
	rfs_format_bytes(p->bad + p->pending + p->late, bad);
	if (rfs_fetching_left(news))
		rfs_format_seconds(rfs_fetching_left(news), left);
	if (p->areas)
		snprintf(trouble, sizeof(trouble), "  %" PRIu64 " bad (%s)",
			 p->areas, bad);
	snprintf(text, sizeof(text),
		 "%s  %s %s  %s of %s (%.0f %%)%s  %s/s (%s/s)%s%s%s",
		 w->config->name, rfs_fetch_pass_name(p->pass),
		 rfs_fetch_tier_name(p->tier), done, total,
		 p->total ? 100 * (double)p->rescued / (double)p->total : 0,
		 trouble, rate, average, *left ? "  " : "", left,
		 *left ? " left" : "");
	if (p->aside_ns > 0)
		snprintf(text, sizeof(text),
			 "%s  the source does not answer, and is set aside for "
			 "%" PRId64 " s",
			 w->config->name, p->aside_ns / SECOND + 1);
	rfs_progress_say(&w->progress, text);
}

static int print_json(const struct watch *w,
		      const struct rfs_fetching_news *news,
		      struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *json = NULL;
	int r = rfs_fetching_json(w->config->name, news, &json, err);

	if (r < 0)
		return r;
	if (puts(json) == EOF || fflush(stdout) == EOF)
		return rfs_fail(err, EIO, "the output cannot be written");
	return 0;
}

static void take_rate(struct watch *w, struct rfs_fetching_news *news,
		      int64_t now)
{
	uint64_t bytes = news->progress.fetched - w->since_bytes;

	if (now - w->since_ns >= SECOND) {
		w->rate = (uint64_t)((double)bytes * (double)SECOND /
				     (double)(now - w->since_ns));
		w->since_ns = now;
		w->since_bytes = news->progress.fetched;
	}
	news->rate = w->rate;
}

static int show(struct watch *w, struct rfs_fetching_news *news,
		struct rfs_error *err)
{
	int64_t now = now_ns();

	take_rate(w, news, now);
	if (!w->config->json) {
		show_line(w, news);
		return 0;
	}
	if (news->is_running && now - w->told_ns < SECOND)
		return 0;
	w->told_ns = now;
	return print_json(w, news, err);
}

/* A mount does that by itself. */
static void keep(struct watch *w)
{
	int64_t now = now_ns();

	if (!w->fetching || now - w->synced_ns < SYNC_NS)
		return;
	rfs_opener_sync(w->target->opener, NULL);
	w->synced_ns = now;
}

static bool is_time(const struct watch *w)
{
	return was_told_to_stop ||
	       (w->config->until_ns && now_ns() >= w->config->until_ns);
}

/* Longer naps where looking takes long: it holds up the fetch.  The end of a
 * fetch here ends a nap, as does a signal. */
static void nap(const struct watch *w, int64_t *nap_ns, int64_t looked_ns)
{
	struct pollfd end = { .fd = -1, .events = POLLIN };
	struct timespec ts;
	int64_t ns;

	*nap_ns = *nap_ns < NAP_MAX / 2 ? 2 * *nap_ns : NAP_MAX;
	ns = *nap_ns > 20 * looked_ns ? *nap_ns : 20 * looked_ns;
	ns = ns < SECOND ? ns : SECOND;
	ts = (struct timespec){ ns / SECOND, ns % SECOND };
	if (w->fetching)
		end.fd = rfs_fetching_end_fd(w->fetching);
	ppoll(&end, 1, &ts, NULL);
}

static int watch_it(struct watch *w, struct rfs_fetching_news *ret,
		    struct rfs_error *err)
{
	int64_t nap_ns = NAP_MIN / 2, before, took;
	bool is_stopping = false;
	int r;

	for (;;) {
		before = now_ns();
		r = look(w, ret, err);
		took = now_ns() - before;
		if (r == 0)
			r = show(w, ret, err);
		if (r < 0 || !ret->is_running)
			return r;
		if (!is_stopping && is_time(w)) {
			stop(w);
			is_stopping = true;
		}
		keep(w);
		nap(w, &nap_ns, took);
	}
}

int rfs_fetch_disk(struct rfs_target *t, const struct rfs_disk *disk,
		   const struct rfs_fetching_order *order,
		   const struct rfs_fetch_watch *config,
		   struct rfs_fetching_news *ret, struct rfs_error *err)
{
	struct watch w = { .config = config,
			   .target = t,
			   .since_ns = now_ns(),
			   .synced_ns = now_ns() };
	struct sigaction old[2];
	int r;

	rfs_progress_begin(&w.progress, config->name, 0,
			   config->quiet || config->json);
	catch_signals(old);
	r = begin(&w, disk, order, err);
	if (r == 0)
		r = watch_it(&w, ret, err);
	if (r < 0 && w.image)
		stop(&w);
	rfs_fetching_free(w.fetching);
	sigaction(SIGINT, &old[0], NULL);
	sigaction(SIGTERM, &old[1], NULL);
	rfs_progress_clear(&w.progress);
	free(w.image);
	if (r == 0 && ret->is_stopped)
		return -EINTR;
	if (r == 0 && ret->result < 0)
		return rfs_fail(err, -ret->result, "%s", ret->error);
	return r;
}
