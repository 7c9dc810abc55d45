// SPDX-License-Identifier: GPL-3.0-or-later
#include "readers/nbd_link.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "readers/nbd_parts.h"

int64_t rfs_nbd_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int64_t rfs_nbd_link_deadline(const struct rfs_nbd_link *link)
{
	return rfs_nbd_now_ns() + link->deadline_ns;
}

static void wake(const struct rfs_nbd_link *link)
{
	uint64_t one = 1;

	/* Full means that it is awake. */
	if (write(link->wake, &one, sizeof(one)) < 0)
		return;
}

void rfs_nbd_link_unref(struct rfs_nbd_link *link)
{
	bool last;

	pthread_mutex_lock(&link->lock);
	last = --link->refs == 0;
	pthread_mutex_unlock(&link->lock);
	if (!last)
		return;
	close(link->wake);
	pthread_cond_destroy(&link->changed);
	pthread_mutex_destroy(&link->lock);
	free(link->uri);
	free(link->export);
	free(link->name);
	if (link->image_fd >= 0)
		close(link->image_fd);
	if (link->secret_fd >= 0)
		close(link->secret_fd);
	free(link->image);
	free(link);
}

static void wait_until(struct rfs_nbd_link *link, int64_t until_ns)
{
	struct timespec at = { .tv_sec = until_ns / INT64_C(1000000000),
			       .tv_nsec = until_ns % INT64_C(1000000000) };

	pthread_cond_timedwait(&link->changed, &link->lock, &at);
}

/* Some of it was asked for, not answered, and not waited for any more. */
static bool is_stuck_on(const struct rfs_nbd_link *link,
			const struct rfs_nbd_request *q)
{
	for (const struct rfs_nbd_request *f = link->flying; f; f = f->next)
		if (f->is_left && f->is_status == q->is_status &&
		    rfs_range_cut(f->range, q->range).len)
			return true;
	return false;
}

static void give_up_locked(struct rfs_nbd_link *link, struct rfs_nbd_request *q)
{
	int64_t now = rfs_nbd_now_ns();

	q->is_left = true;
	/* Others were answered meanwhile: only this one hangs. */
	if (link->mood != LINK_UP || link->heard_ns > q->issued_ns ||
	    link->aside_ns)
		return;
	rfs_notes_add(link->notes,
		      "%s: does not answer within %" PRId64
		      " ms, and is passed over for a while",
		      link->name, link->deadline_ns / MS_NS);
	link->aside_ns = now + rfs_nbd_retry_pause(&link->retry);
	rfs_nbd_link_changed(link);
	wake(link);
}

/* Takes the caller's reference of 'q' only if it fails. */
static int run(struct rfs_nbd_link *link, struct rfs_nbd_request *q,
	       int64_t until_ns)
{
	int r;

	pthread_mutex_lock(&link->lock);
	if (link->mood == LINK_AWAY || link->aside_ns || is_stuck_on(link, q)) {
		rfs_nbd_request_unref(q);
		pthread_mutex_unlock(&link->lock);
		return -ETIMEDOUT;
	}
	q->refs++;
	rfs_nbd_append(&link->queue, q);
	wake(link);
	while (!q->is_done && rfs_nbd_now_ns() < until_ns && !link->aside_ns)
		wait_until(link, until_ns);
	r = q->is_done ? q->result : -ETIMEDOUT;
	if (!q->is_done) {
		link->missed += rfs_nbd_now_ns() >= until_ns;
		give_up_locked(link, q);
	}
	if (r < 0)
		rfs_nbd_request_unref(q);
	pthread_mutex_unlock(&link->lock);
	return r;
}

static void drop_request(struct rfs_nbd_link *link, struct rfs_nbd_request *q)
{
	pthread_mutex_lock(&link->lock);
	rfs_nbd_request_unref(q);
	pthread_mutex_unlock(&link->lock);
}

static struct rfs_nbd_request *
new_request(struct rfs_nbd_link *link, struct rfs_range range, bool is_status)
{
	struct rfs_nbd_request *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->link = link;
	q->range = range;
	q->is_status = is_status;
	q->refs = 1;
	if (!is_status)
		q->buf = malloc(range.len);
	if (is_status || q->buf)
		return q;
	free(q);
	return NULL;
}

int rfs_nbd_link_read(struct rfs_nbd_link *link, struct rfs_range range,
		      void *buf, int64_t until_ns)
{
	struct rfs_nbd_request *q = new_request(link, range, false);
	int r;

	if (!q)
		return -ENOMEM;
	r = run(link, q, until_ns);
	if (r < 0)
		return r;
	memcpy(buf, q->buf, range.len);
	drop_request(link, q);
	return 0;
}

int rfs_nbd_link_status(struct rfs_nbd_link *link, struct rfs_range range,
			struct rfs_extents *out, int64_t until_ns)
{
	uint64_t align = link->facts.min_block;
	struct rfs_nbd_request *q;
	int r;

	if (range.len > STATUS_MAX)
		range.len = STATUS_MAX - STATUS_MAX % align;
	q = new_request(link, range, true);
	if (!q)
		return -ENOMEM;
	r = run(link, q, until_ns);
	if (r < 0)
		return r;
	if (!q->extents.count)
		r = -EIO;
	for (size_t i = 0; i < q->extents.count && r == 0; i++)
		r = rfs_extents_add(out, q->extents.items[i].range,
				    q->extents.items[i].content);
	drop_request(link, q);
	return r;
}

/* A file of no directory, for one who reads it by its descriptor; or -1. */
static int keep_secret(const char *password)
{
	size_t len = strlen(password);
	int fd = memfd_create("password", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, password, len) != (ssize_t)len) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int start(const struct rfs_nbd_config *config, struct rfs_nbd_link *link,
		 struct rfs_error *err)
{
	pthread_condattr_t attr;
	int r;

	pthread_mutex_init(&link->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&link->changed, &attr);
	pthread_condattr_destroy(&attr);
	link->refs = 1;
	link->mood = LINK_TRYING;
	rfs_nbd_link_changed(link);
	link->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (link->wake < 0 || !link->uri || !link->export || !link->name ||
	    (link->image_fd >= 0 && !link->image) ||
	    (config->password && link->secret_fd < 0)) {
		rfs_nbd_link_unref(link);
		return rfs_no_memory(err);
	}
	link->refs = 2;
	r = pthread_create(&link->thread, NULL, rfs_nbd_serve, link);
	if (r == 0)
		return 0;
	link->refs = 1;
	rfs_nbd_link_unref(link);
	return rfs_fail(err, r, "no thread for a connection: %s", strerror(r));
}

int rfs_nbd_link_new(const struct rfs_nbd_config *config,
		     struct rfs_nbd_link **ret, struct rfs_nbd_facts *ret_facts,
		     struct rfs_error *err)
{
	struct rfs_nbd_link *link = calloc(1, sizeof(*link));
	int64_t until;
	int r;

	if (!link) {
		if (config->image)
			close(config->image_fd);
		return rfs_no_memory(err);
	}
	link->image_fd = config->image ? config->image_fd : -1;
	link->secret_fd = -1;
	link->image = config->image ? strdup(config->image) : NULL;
	link->uri = strdup(config->uri);
	link->export = strdup(config->export);
	link->name = strdup(config->name);
	link->notes = config->notes;
	link->watch = config->watch;
	link->deadline_ns = config->deadline_ms * MS_NS;
	link->connect_ns = config->connect_ms ? config->connect_ms * MS_NS
					      : link->deadline_ns;
	link->secret_is_base64 = config->password_is_base64;
	link->secret_fd = config->password ? keep_secret(config->password) : -1;
	r = start(config, link, err);
	if (r < 0)
		return r;
	rfs_nbd_watch_add(link);
	/* The thread's own patience ends first, and tells more. */
	until = rfs_nbd_now_ns() + link->connect_ns + 200 * MS_NS;
	pthread_mutex_lock(&link->lock);
	while (!link->is_known && !link->has_failed && rfs_nbd_now_ns() < until)
		wait_until(link, until);
	r = link->is_known ? 0 : -EIO;
	if (r < 0)
		rfs_fail(err, EIO, "%s",
			 link->has_failed ? link->why.text : link->name);
	*ret_facts = link->facts;
	pthread_mutex_unlock(&link->lock);
	if (r < 0)
		rfs_nbd_link_free(link);
	else
		*ret = link;
	return r;
}

void rfs_nbd_link_free(struct rfs_nbd_link *link)
{
	int64_t until = rfs_nbd_now_ns() + END_MS * MS_NS;
	struct timespec at = { .tv_sec = until / INT64_C(1000000000),
			       .tv_nsec = until % INT64_C(1000000000) };

	rfs_nbd_watch_remove(link);
	pthread_mutex_lock(&link->lock);
	link->stop = true;
	link->notes = NULL;
	pthread_mutex_unlock(&link->lock);
	wake(link);
	/* Looking up a host's name cannot be broken off: then the thread ends
	 * by itself, and takes the link with it. */
	if (pthread_clockjoin_np(link->thread, NULL, CLOCK_MONOTONIC, &at) != 0)
		pthread_detach(link->thread);
	rfs_nbd_link_unref(link);
}
