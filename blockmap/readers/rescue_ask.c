// SPDX-License-Identifier: GPL-3.0-or-later
/* Asking the medium for what was never asked for: nobody asks for the same sectors
 * meanwhile, and what comes of it is kept before anyone is told.
 */
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "core/cleanup.h"
#include "readers/device.h"
#include "readers/rescue_parts.h"

/* How often those who wait for another's request look how it stands with it. */
#define LOOK_NS INT64_C(50000000)

bool rfs_rescue_is_away(int r)
{
	switch (-r) {
	case ENXIO: /* the device is gone */
	case ENODEV:
	case ENOTCONN: /* so is the server behind it */
	case ESHUTDOWN:
	case ESTALE:
	case EHOSTDOWN:
	case EHOSTUNREACH:
		return true;
	default:
		return false;
	}
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* With the lock held, as the next. */
static struct rfs_flight *find_flight(const struct rfs_rescue *r,
				      struct rfs_range range)
{
	struct rfs_flight *f = r->flights;

	while (f && !rfs_range_cut(f->range, range).len)
		f = f->next;
	return f;
}

/* Waits for a while, up to 'most_ns' after the medium was given the request: 0,
 * or -EINPROGRESS: that time is over, or -ETIMEDOUT: we are to stop. */
static int await(struct rfs_rescue *r, struct rfs_flight *f, int64_t most_ns,
		 struct rfs_patience *patience)
{
	int64_t now = now_ns(), began = atomic_load(&f->ticket.began_ns);
	int64_t until = now + LOOK_NS, end = INT64_MAX;
	struct timespec ts;

	if (patience->stops && atomic_load(patience->stops))
		return -ETIMEDOUT;
	if (!patience->background) {
		/* Nobody in the background is to wait for others meanwhile. */
		atomic_store(&f->ticket.is_lifted, true);
		end = began ? began + most_ns : INT64_MAX;
	}
	if (end <= now)
		return -EINPROGRESS;
	until = until < end ? until : end;
	ts = (struct timespec){ until / 1000000000, until % 1000000000 };
	pthread_cond_timedwait(&r->landed, &r->lock, &ts);
	patience->left_ns -= began ? now_ns() - now : 0;
	return 0;
}

/* Waits for whoever asks for any of it.  0: there was nobody, and then it is
 * ours.  -EAGAIN: there was, or why no longer was waited. */
static int take_off(struct rfs_rescue *r, struct rfs_flight *mine,
		    struct rfs_patience *patience)
{
	int64_t most_ns = patience->left_ns;
	struct rfs_flight *f;
	int e = 0;

	pthread_mutex_lock(&r->lock);
	while ((f = find_flight(r, mine->range)) && (e == 0 || e == -EAGAIN)) {
		e = await(r, f, most_ns, patience);
		e = e ? e : -EAGAIN;
	}
	if (e == 0) {
		mine->next = r->flights;
		r->flights = mine;
	}
	pthread_mutex_unlock(&r->lock);
	return e;
}

struct rfs_range rfs_rescue_cut_at_flights(struct rfs_rescue *r,
					   struct rfs_range range)
{
	struct rfs_range cut;

	pthread_mutex_lock(&r->lock);
	for (const struct rfs_flight *f = r->flights; f; f = f->next) {
		cut = rfs_range_cut(f->range, range);
		if (cut.len && cut.off > range.off)
			range = rfs_range_to(range.off, cut.off);
		else if (cut.len)
			range = cut;
	}
	pthread_mutex_unlock(&r->lock);
	return range;
}

static void land(struct rfs_rescue *r, const struct rfs_flight *mine)
{
	struct rfs_flight **at = &r->flights;

	pthread_mutex_lock(&r->lock);
	while (*at != mine)
		at = &(*at)->next;
	*at = mine->next;
	pthread_cond_broadcast(&r->landed);
	pthread_mutex_unlock(&r->lock);
}

/* Bytes that the medium delivered: kept first, then no longer wanting. */
static void take_in(struct rfs_rescue *r, struct rfs_range range,
		    const void *buf, bool keep)
{
	struct rfs_error why = RFS_ERROR_INIT;

	range = rfs_range_cut(range, rfs_range(0, r->size));
	if (!range.len)
		return;
	if (r->store && (keep || atomic_load(&r->storing))) {
		rfs_rescue_keep_generation(r);
		if (rfs_store_put(r->store, range, buf, &why) < 0 &&
		    !atomic_exchange(&r->said_full, true))
			rfs_notes_add(r->notes, "%s", why.text);
	}
	if (!rfs_kept_is(&r->known, range, RFS_RESCUE_NOT))
		rfs_kept_set(&r->known, range, RFS_RESCUE_NOT, NULL);
}

/* What a disk that was pulled out says of every sector tells nothing of any. */
static bool is_gone(struct rfs_rescue *r)
{
	if (!rfs_device_is_gone(r->below))
		return false;
	rfs_notes_add(r->notes,
		      "%s: its device %u:%u is gone, removed or disconnected: "
		      "other sources are asked, and nothing of it is taken for "
		      "bad; when it is back, mount it and this site anew, and "
		      "'rescuefs refresh' takes the fresher blocks",
		      r->origin ? r->origin->name : r->name, major(r->below),
		      minor(r->below));
	return true;
}

/* A file system that wants larger units, or takes no direct reads after all. */
static ssize_t ask_in_granules(struct rfs_rescue *r, struct rfs_range range,
			       struct rfs_rescue_way way, void *buf,
			       struct rfs_patience *patience)
{
	unsigned int granule = rfs_rescue_granule(r);
	ssize_t n;

	if (!way.unit)
		n = rfs_worker_pread(r->file, buf, range.len, range.off,
				     patience);
	else
		n = rfs_worker_pread_singly(r->file, buf, range.len, way.unit,
					    way.back, range.off, patience);
	if ((n == 0 || (n < 0 && rfs_medium_failed((int)-n))) &&
	    n != -ETIMEDOUT && is_gone(r))
		return -ENODEV;
	if (n != -EINVAL)
		return n;
	rfs_medium_give_way(&r->medium, granule);
	return rfs_rescue_granule(r) == granule && granule < RFS_MEDIUM_PAGE
		       ? -EINVAL
		       : -EAGAIN;
}

static bool is_as_seen(struct rfs_rescue *r, struct rfs_run seen)
{
	struct rfs_run run;

	for (uint64_t off = seen.range.off; off < rfs_range_end(seen.range);
	     off = rfs_range_end(run.range)) {
		run = rfs_rescue_find(r, off, seen.range);
		if (run.value != seen.value)
			return false;
	}
	return true;
}

struct rfs_range rfs_rescue_failed_part(const struct rfs_rescue *r,
					struct rfs_range range,
					struct rfs_rescue_way way, ssize_t n)
{
	uint64_t granule = rfs_rescue_granule(r), end = rfs_range_end(range);
	uint64_t good = n > 0 ? (uint64_t)n - (uint64_t)n % granule : 0;
	uint64_t unit = way.unit ? way.unit : range.len;

	if (way.back)
		return rfs_range(end - good - granule, granule);
	return rfs_range_cut(
		rfs_range_to(range.off + good,
			     range.off + good - good % unit + unit),
		range);
}

/* Of a request that the medium had, and that brought 'n'. */
static void note_failure(struct rfs_rescue *r, struct rfs_range range,
			 struct rfs_rescue_way way, ssize_t n,
			 const struct rfs_patience *patience)
{
	uint64_t unit = way.unit ? way.unit : range.len;

	if (n == -ETIMEDOUT && patience->left_ns <= 0) {
		rfs_rescue_set(r, range, RFS_RESCUE_LATE, NULL);
		atomic_store(&r->expects, true);
	} else if (n == -ETIMEDOUT) {
		/* It was told to stop, perhaps with the request under way. */
		atomic_store(&r->expects, true);
	} else if ((n > 0 && !is_gone(r)) ||
		   (n < 0 && rfs_medium_failed((int)-n))) {
		rfs_rescue_set(r, rfs_rescue_failed_part(r, range, way, n),
			       unit > rfs_rescue_granule(r) ? RFS_RESCUE_NEAR
							    : RFS_RESCUE_BAD,
			       NULL);
	}
}

ssize_t rfs_rescue_ask_begin(struct rfs_rescue_asking *a, struct rfs_rescue *r,
			     struct rfs_range range, struct rfs_run seen,
			     struct rfs_rescue_way way, void *buf, bool keep,
			     struct rfs_patience *patience)
{
	int e;

	*a = (struct rfs_rescue_asking){ .r = r,
					 .flight = { .range = range },
					 .way = way,
					 .keep = keep,
					 .n = -EAGAIN };
	seen.range = rfs_range_cut(seen.range, range);
	e = take_off(r, &a->flight, patience);
	a->is_flying = e == 0;
	patience->ticket = &a->flight.ticket;
	if (e < 0)
		a->n = e;
	else if (is_as_seen(r, seen))
		a->n = ask_in_granules(r, range, way, buf, patience);
	patience->ticket = NULL;
	a->left = *patience;
	return a->n;
}

void rfs_rescue_ask_end(struct rfs_rescue_asking *a, const void *buf)
{
	struct rfs_range range = a->flight.range, got;
	struct rfs_range file = rfs_range(0, a->r->size);

	if (!a->is_flying)
		return;
	if (a->n > 0) {
		got = rfs_range(range.off, (uint64_t)a->n);
		if (a->way.back)
			got.off = rfs_range_end(range) - got.len;
		take_in(a->r, got, buf, a->keep);
	}
	if (a->n != -EAGAIN &&
	    (a->n < 0 || (uint64_t)a->n < rfs_range_cut(range, file).len))
		note_failure(a->r, range, a->way, a->n, &a->left);
	land(a->r, &a->flight);
}

ssize_t rfs_rescue_ask(struct rfs_rescue *r, struct rfs_range range,
		       struct rfs_run seen, struct rfs_rescue_way way,
		       void *buf, bool keep, struct rfs_patience *patience)
{
	struct rfs_rescue_asking a;
	ssize_t n;

	n = rfs_rescue_ask_begin(&a, r, range, seen, way, buf, keep, patience);
	rfs_rescue_ask_end(&a, buf);
	return n;
}

void rfs_rescue_harvest(struct rfs_rescue *r)
{
	RFS_CLEANUP_FREE void *buf = NULL;
	uint64_t off;
	ssize_t n;

	/* Forgotten before it is looked: what is late since counts. */
	if (!atomic_exchange(&r->expects, false))
		return;
	buf = malloc(RFS_WORKER_ROOM);
	n = buf ? rfs_worker_late(r->file, buf, &off) : -EAGAIN;
	if (n == -EAGAIN)
		atomic_store(&r->expects, true);
	if (n > 0)
		take_in(r, rfs_range(off, (uint64_t)n), buf, false);
}
