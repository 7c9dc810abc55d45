// SPDX-License-Identifier: GPL-3.0-or-later
/* nbd_serve.c - the thread of a connection: it alone calls libnbd. */
#include <errno.h>
#include <libnbd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "readers/nbd_parts.h"

static void finish_locked(struct rfs_nbd_request *q, int result)
{
	q->is_done = true;
	q->result = result;
	pthread_cond_broadcast(&q->link->changed);
	rfs_nbd_request_unref(q);
}

static void take_out(struct rfs_nbd_request **list, struct rfs_nbd_request *q)
{
	while (*list && *list != q)
		list = &(*list)->next;
	if (*list)
		*list = q->next;
}

static void refuse_queue_locked(struct rfs_nbd_link *link)
{
	struct rfs_nbd_request *q;

	while ((q = link->queue)) {
		link->queue = q->next;
		finish_locked(q, -ETIMEDOUT);
	}
}

/*
 * Callbacks: called by libnbd in the link's thread.
 */

static int completed(void *data, int *error)
{
	struct rfs_nbd_request *q = data;
	struct rfs_nbd_link *link = q->link;
	bool gone = *error == ENOTCONN || *error == ESHUTDOWN;

	pthread_mutex_lock(&link->lock);
	take_out(&link->flying, q);
	if (gone) {
		link->asks_whole = true;
	} else {
		link->heard_ns = rfs_nbd_now_ns();
		link->aside_ns = 0;
		rfs_nbd_retry_heard(&link->retry);
		rfs_nbd_link_changed(link);
	}
	if (gone && !q->is_left && q->tries < 2 && !link->stop)
		rfs_nbd_append(&link->queue, q);
	else
		finish_locked(q, gone ? -ETIMEDOUT : *error ? -EIO : 0);
	pthread_mutex_unlock(&link->lock);
	return 1; /* retired */
}

static int told(void *data, const char *context, uint64_t offset,
		uint32_t *entries, size_t nentries, int *error)
{
	struct rfs_nbd_request *q = data;
	uint64_t off = offset;

	(void)error;
	if (strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0)
		return 0;
	/* In order and from where we asked; anything else is not believed. */
	for (size_t i = 0; i + 1 < nentries; i += 2) {
		struct rfs_range range =
			rfs_range_cut(rfs_range(off, entries[i]), q->range);
		enum rfs_content content = entries[i + 1] & LIBNBD_STATE_ZERO
						   ? RFS_HOLE
						   : RFS_DATA;

		if (off < q->range.off || off > rfs_range_end(q->range))
			return -1;
		if (rfs_extents_add(&q->extents, range, content) < 0)
			return -1;
		off += entries[i];
	}
	return 0;
}

/* libnbd wants one even if it is not looked at. */
static int chunk(void *data, const void *part, size_t count, uint64_t offset,
		 unsigned status, int *error)
{
	(void)data;
	(void)part;
	(void)count;
	(void)offset;
	(void)status;
	(void)error;
	return 0;
}

/*
 * The thread.
 */

static void close_handle(struct rfs_nbd_link *link)
{
	struct rfs_nbd_request *q;

	if (!link->nbd)
		return;
	rfs_nbd_program_end(link);
	/* Commands that libnbd had no answer for are not completed by it. */
	nbd_close(link->nbd);
	link->nbd = NULL;
	pthread_mutex_lock(&link->lock);
	while ((q = link->flying)) {
		link->flying = q->next;
		link->asks_whole = true;
		if (!q->is_left && q->tries < 2 && !link->stop)
			rfs_nbd_append(&link->queue, q);
		else
			finish_locked(q, -ETIMEDOUT);
	}
	pthread_mutex_unlock(&link->lock);
}

static void note_away(struct rfs_nbd_link *link, const char *why)
{
	if (!link->is_known && !link->has_failed) {
		rfs_fail(&link->why, ENOTCONN, "%s: %s", link->name, why);
		link->has_failed = true;
	} else if (link->mood != LINK_AWAY) {
		rfs_notes_add(link->notes,
			      "%s: the connection is lost, and tried again now "
			      "and then: %s",
			      link->name, why);
	}
}

/* The connection is gone, or did not come about.  One that broke is made again
 * at once, a few times, and those who wait may still be served in time; with
 * 'away' they do not wait for that. */
static void lose(struct rfs_nbd_link *link, const char *why, bool away)
{
	int64_t now = rfs_nbd_now_ns();
	bool was_up = link->mood == LINK_UP;

	close_handle(link);
	pthread_mutex_lock(&link->lock);
	link->drops += was_up;
	if (rfs_nbd_retry_lost(&link->retry, now,
			       !away && link->is_known &&
				       link->mood != LINK_AWAY)) {
		link->mood = LINK_TRYING;
	} else {
		note_away(link, why);
		link->mood = LINK_AWAY;
		refuse_queue_locked(link);
	}
	/* It was set aside for a pause before it was given up. */
	if (was_up && away)
		link->retry.at_ns = now;
	link->aside_ns = 0;
	rfs_nbd_link_changed(link);
	pthread_cond_broadcast(&link->changed);
	pthread_mutex_unlock(&link->lock);
}

static void lose_by_libnbd(struct rfs_nbd_link *link)
{
	const char *why = nbd_get_error();

	lose(link, why ? why : "the connection broke", false);
}

/* The program ends when the connection does. */
static int connect_to(struct rfs_nbd_link *link)
{
	char program[] = "qemu-nbd", option[] = "--read-only";
	char object[] = "--object", secret[96];
	int r;
	char *argv[] = { program, option, link->image, NULL, NULL, NULL };

	snprintf(secret, sizeof(secret),
		 "secret,id=password,format=%s,file=/proc/%d/fd/%d",
		 link->secret_is_base64 ? "base64" : "raw", (int)getpid(),
		 link->secret_fd);
	if (link->secret_fd >= 0) {
		argv[2] = object;
		argv[3] = secret;
		argv[4] = link->image;
	}
	if (!link->image)
		return nbd_aio_connect_uri(link->nbd, link->uri);
	r = nbd_aio_connect_systemd_socket_activation(link->nbd, argv);
	rfs_nbd_program_find(link);
	return r;
}

static void begin_connecting(struct rfs_nbd_link *link)
{
	link->begun_ns = rfs_nbd_now_ns();
	link->has_chosen = false;
	link->nbd = nbd_create();
	if (!link->nbd || nbd_set_opt_mode(link->nbd, true) < 0 ||
	    nbd_set_uri_allow_local_file(link->nbd, true) < 0 ||
	    nbd_add_meta_context(link->nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) <
		    0 ||
	    connect_to(link) < 0)
		lose_by_libnbd(link);
}

static uint32_t block_size(struct nbd_handle *nbd, int what, uint32_t otherwise)
{
	int64_t n = nbd_get_block_size(nbd, what);

	return n > 0 && n <= UINT32_MAX ? (uint32_t)n : otherwise;
}

static bool is_power(uint32_t n)
{
	return n && !(n & (n - 1));
}

static int read_facts(struct rfs_nbd_link *link, struct rfs_nbd_facts *ret)
{
	int64_t size = nbd_get_size(link->nbd);

	if (size < 0)
		return -1;
	ret->size = (uint64_t)size;
	ret->min_block = block_size(link->nbd, LIBNBD_SIZE_MINIMUM, 1);
	ret->max_block =
		block_size(link->nbd, LIBNBD_SIZE_MAXIMUM, REQUEST_MAX);
	if (ret->max_block > REQUEST_MAX)
		ret->max_block = REQUEST_MAX;
	if (!is_power(ret->min_block) || ret->min_block > ret->max_block)
		return -1;
	ret->max_block -= ret->max_block % ret->min_block;
	ret->has_status =
		nbd_can_meta_context(link->nbd,
				     LIBNBD_CONTEXT_BASE_ALLOCATION) == 1;
	return 0;
}

/* The export is open. */
static void arrive(struct rfs_nbd_link *link)
{
	struct rfs_nbd_facts facts;

	if (read_facts(link, &facts) < 0) {
		lose(link, "what the server says of its sizes makes no sense",
		     true);
		return;
	}
	if (link->is_known && facts.size != link->facts.size) {
		lose(link, "the export has another size now", true);
		return;
	}
	pthread_mutex_lock(&link->lock);
	if (!link->is_known)
		link->facts = facts;
	link->is_known = true;
	link->mood = LINK_UP;
	link->heard_ns = link->retry.up_ns = rfs_nbd_now_ns();
	link->aside_ns = 0;
	rfs_nbd_link_changed(link);
	pthread_cond_broadcast(&link->changed);
	pthread_mutex_unlock(&link->lock);
}

/* The next step of connecting that waits for us. */
static void go_on_connecting(struct rfs_nbd_link *link)
{
	if (nbd_aio_is_negotiating(link->nbd) == 1 && !link->has_chosen) {
		link->has_chosen = true;
		if (nbd_set_export_name(link->nbd, link->export) < 0 ||
		    nbd_aio_opt_go(link->nbd, NBD_NULL_COMPLETION) < 0)
			lose_by_libnbd(link);
	} else if (nbd_aio_is_negotiating(link->nbd) == 1) {
		lose(link,
		     strncmp(link->uri, "nbds", 4) == 0
			     ? "the server has no such export, or refuses it"
			     : "the server has no such export, or refuses it, "
			       "or wants TLS, which nbds:// says",
		     true);
	} else if (nbd_aio_is_ready(link->nbd) == 1) {
		arrive(link);
	} else if (rfs_nbd_now_ns() - link->begun_ns > link->connect_ns) {
		lose(link, "it does not answer", true);
	}
}

/* What fails while QEMU answers in fragments breaks the connection; in one piece
 * it is an error.  From a program of ours zeros cost nothing; another server is
 * asked so once its connection broke. */
static uint32_t read_flags(const struct rfs_nbd_link *link)
{
	if ((link->image || link->asks_whole) && nbd_can_df(link->nbd) == 1)
		return LIBNBD_CMD_FLAG_DF;
	return 0;
}

static int send_request(struct rfs_nbd_link *link, struct rfs_nbd_request *q)
{
	nbd_completion_callback done = { .callback = completed,
					 .user_data = q };

	if (q->is_status)
		return nbd_aio_block_status(
			       link->nbd, q->range.len, q->range.off,
			       (nbd_extent_callback){ .callback = told,
						      .user_data = q },
			       done, 0) < 0
			       ? -1
			       : 0;
	return nbd_aio_pread_structured(
		       link->nbd, q->buf, q->range.len, q->range.off,
		       (nbd_chunk_callback){ .callback = chunk }, done,
		       read_flags(link)) < 0
		       ? -1
		       : 0;
}

static bool is_over(const struct rfs_nbd_link *link)
{
	return nbd_aio_is_dead(link->nbd) == 1 ||
	       nbd_aio_is_closed(link->nbd) == 1;
}

/* libnbd does not take it. */
static void refuse(struct rfs_nbd_link *link, struct rfs_nbd_request *q)
{
	pthread_mutex_lock(&link->lock);
	take_out(&link->flying, q);
	finish_locked(q, -EIO);
	pthread_mutex_unlock(&link->lock);
}

/* Hands the queue to libnbd, until the connection turns out to be broken. */
static void send_queue(struct rfs_nbd_link *link)
{
	struct rfs_nbd_request *q;

	while (!is_over(link)) {
		pthread_mutex_lock(&link->lock);
		q = link->mood == LINK_UP ? link->queue : NULL;
		if (q && q->is_left) {
			link->queue = q->next;
			finish_locked(q, -ETIMEDOUT);
			pthread_mutex_unlock(&link->lock);
			continue;
		}
		if (q) {
			link->queue = q->next;
			q->tries++;
			q->issued_ns = rfs_nbd_now_ns();
			rfs_nbd_append(&link->flying, q);
		}
		pthread_mutex_unlock(&link->lock);
		if (!q)
			return;
		/* That the connection broke just now says nothing of the range: it
		 * stays among the flying, which are asked for again. */
		if (send_request(link, q) < 0 && !is_over(link))
			refuse(link, q);
	}
}

/* A call of libnbd goes as far as there are bytes: what a quick server has
 * answered within one of ours shows in no event. */
static bool has_got_on(const struct rfs_nbd_link *link)
{
	if (!link->nbd || is_over(link))
		return link->nbd;
	return link->mood != LINK_UP &&
	       (nbd_aio_is_negotiating(link->nbd) == 1 ||
		nbd_aio_is_ready(link->nbd) == 1);
}

/* How long to sleep, in milliseconds; -1: until woken. */
static int patience(struct rfs_nbd_link *link)
{
	int64_t until = -1, now = rfs_nbd_now_ns();

	pthread_mutex_lock(&link->lock);
	if (!link->nbd)
		until = link->retry.at_ns;
	else if (link->mood != LINK_UP)
		until = link->begun_ns + link->connect_ns;
	else if (link->aside_ns)
		until = link->aside_ns;
	pthread_mutex_unlock(&link->lock);
	if (until < 0)
		return -1;
	return until > now ? (int)((until - now) / MS_NS) + 1 : 0;
}

static void wait_for_something(struct rfs_nbd_link *link)
{
	struct pollfd fds[2] = { { .fd = link->wake, .events = POLLIN },
				 { .fd = -1 } };
	unsigned int dir = 0;
	uint64_t drop;

	if (has_got_on(link))
		return;
	if (link->nbd) {
		dir = nbd_aio_get_direction(link->nbd);
		fds[1].fd = nbd_aio_get_fd(link->nbd);
		if (dir & LIBNBD_AIO_DIRECTION_READ)
			fds[1].events |= POLLIN;
		if (dir & LIBNBD_AIO_DIRECTION_WRITE)
			fds[1].events |= POLLOUT;
	}
	if (poll(fds, 2, patience(link)) < 0)
		return;
	if (fds[0].revents && read(link->wake, &drop, sizeof(drop)) < 0)
		return;
	if (!link->nbd || !fds[1].revents)
		return;
	/* As libnbd's own poll does: an error shows when it is read. */
	if ((dir & LIBNBD_AIO_DIRECTION_READ) &&
	    (fds[1].revents & (POLLIN | POLLHUP | POLLERR)))
		nbd_aio_notify_read(link->nbd);
	else if ((dir & LIBNBD_AIO_DIRECTION_WRITE) &&
		 (fds[1].revents & (POLLOUT | POLLHUP | POLLERR)))
		nbd_aio_notify_write(link->nbd);
}

/* After a pause in which nothing was heard, another connection may help. */
static bool is_stuck(struct rfs_nbd_link *link)
{
	bool stuck;

	pthread_mutex_lock(&link->lock);
	stuck = link->mood == LINK_UP && link->aside_ns &&
		link->aside_ns <= rfs_nbd_now_ns();
	if (stuck)
		link->aside_ns = 0;
	pthread_mutex_unlock(&link->lock);
	return stuck;
}

static void step(struct rfs_nbd_link *link)
{
	if (!link->nbd && link->retry.at_ns <= rfs_nbd_now_ns())
		begin_connecting(link);
	if (link->nbd && is_over(link))
		lose_by_libnbd(link);
	else if (link->nbd && link->mood != LINK_UP)
		go_on_connecting(link);
	else if (link->nbd && is_stuck(link))
		lose(link, "it does not answer", true);
	if (link->nbd && link->mood == LINK_UP)
		send_queue(link);
	wait_for_something(link);
}

static bool is_stopped(struct rfs_nbd_link *link)
{
	bool stop;

	pthread_mutex_lock(&link->lock);
	stop = link->stop;
	pthread_mutex_unlock(&link->lock);
	return stop;
}

void *rfs_nbd_serve(void *data)
{
	struct rfs_nbd_link *link = data;

	while (!is_stopped(link))
		step(link);
	close_handle(link);
	pthread_mutex_lock(&link->lock);
	refuse_queue_locked(link);
	pthread_mutex_unlock(&link->lock);
	rfs_nbd_link_unref(link);
	return NULL;
}
