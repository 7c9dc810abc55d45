// SPDX-License-Identifier: GPL-3.0-or-later
/* nbd_list.c - what a server has.
 *
 * Asked in a thread that can be left behind: libnbd's calls wait as long as the
 * server lets them, and looking up a host's name has no deadline at all.
 */
#include <errno.h>
#include <libnbd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/vec.h"
#include "readers/nbd.h"

/* A server that names more than this is not what we look for. */
#define EXPORTS_MAX 10000

struct inquiry {
	char *uri;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	unsigned int refs; /* who asked, and the thread */
	bool is_done;
	int result;
	struct rfs_error why;
	struct rfs_nbd_exports found;
};

void rfs_nbd_exports_fini(struct rfs_nbd_exports *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i].name);
	free(list->items);
	*list = (struct rfs_nbd_exports){ 0 };
}

static void unref(struct inquiry *q)
{
	bool last;

	pthread_mutex_lock(&q->lock);
	last = --q->refs == 0;
	pthread_mutex_unlock(&q->lock);
	if (!last)
		return;
	rfs_nbd_exports_fini(&q->found);
	pthread_cond_destroy(&q->changed);
	pthread_mutex_destroy(&q->lock);
	free(q->uri);
	free(q);
}

static int add(void *data, const char *name, const char *description)
{
	struct rfs_nbd_exports *list = data;
	char *copy;

	(void)description;
	if (list->count == EXPORTS_MAX)
		return 0;
	copy = strdup(name);
	if (!copy || RFS_VEC_ROOM(list) < 0) {
		free(copy);
		return -1;
	}
	list->items[list->count++] = (struct rfs_nbd_export){ copy, 0 };
	return 0;
}

/* What may help, by libnbd's words. */
static const char *hint(const char *text)
{
	if (strcasestr(text, "certificate verification"))
		return "; the server's certificate is for another name, or no "
		       "CA of tls-certificates has signed it";
	/* It may end the connection without a word. */
	if (strcasestr(text, "gnutls_"))
		return "; if the server wants a certificate of ours, "
		       "tls-certificates must hold client-cert.pem and "
		       "client-key.pem, signed by a CA that it knows";
	return "";
}

static int fail(struct rfs_error *why)
{
	const char *text = nbd_get_error();

	if (!text)
		text = "libnbd failed";
	return rfs_fail(why, ENOTCONN, "%s%s", text, hint(text));
}

static uint64_t size_now(struct nbd_handle *nbd)
{
	int64_t size = nbd_get_size(nbd);

	return size > 0 ? (uint64_t)size : 0;
}

/* A server of the old style has one export and no list. */
static int take_only(struct nbd_handle *nbd, struct rfs_nbd_exports *list,
		     struct rfs_error *why)
{
	char *name = nbd_get_export_name(nbd);
	int r = add(list, name ? name : "", NULL);

	free(name);
	if (r < 0)
		return rfs_no_memory(why);
	list->items[0].size = size_now(nbd);
	return 0;
}

static int list_exports(struct nbd_handle *nbd, struct rfs_nbd_exports *list,
			struct rfs_error *why)
{
	char *name = nbd_get_export_name(nbd);
	nbd_list_callback each = { .callback = add, .user_data = list };
	int r;

	if (!name)
		return fail(why);
	if (*name)
		r = add(list, name, NULL);
	else
		r = nbd_opt_list(nbd, each);
	free(name);
	if (r < 0)
		return fail(why);
	/* Some servers do not list, and have one without a name. */
	if (!list->count && add(list, "", NULL) < 0)
		return rfs_no_memory(why);
	for (size_t i = 0; i < list->count; i++) {
		if (nbd_set_export_name(nbd, list->items[i].name) == 0 &&
		    nbd_opt_info(nbd) == 0)
			list->items[i].size = size_now(nbd);
		if (nbd_aio_is_negotiating(nbd) != 1)
			break; /* that was too much for it: sizes unknown */
	}
	if (nbd_aio_is_negotiating(nbd) == 1)
		nbd_opt_abort(nbd);
	return 0;
}

static int inquire(const char *uri, struct rfs_nbd_exports *list,
		   struct rfs_error *why)
{
	struct nbd_handle *nbd = nbd_create();
	int r;

	if (!nbd)
		return rfs_no_memory(why);
	if (nbd_set_opt_mode(nbd, true) < 0 ||
	    nbd_set_uri_allow_local_file(nbd, true) < 0 ||
	    nbd_connect_uri(nbd, uri) < 0)
		r = fail(why);
	else if (nbd_aio_is_negotiating(nbd) == 1)
		r = list_exports(nbd, list, why);
	else
		r = take_only(nbd, list, why);
	nbd_close(nbd);
	return r;
}

static void *work(void *data)
{
	struct inquiry *q = data;
	struct rfs_nbd_exports found = { 0 };
	struct rfs_error why = RFS_ERROR_INIT;
	int r = inquire(q->uri, &found, &why);

	pthread_mutex_lock(&q->lock);
	q->found = found;
	q->why = why;
	q->result = r;
	q->is_done = true;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
	unref(q);
	return NULL;
}

static struct inquiry *new_inquiry(const char *uri)
{
	struct inquiry *q = calloc(1, sizeof(*q));
	pthread_condattr_t attr;

	if (!q)
		return NULL;
	q->uri = strdup(uri);
	if (!q->uri) {
		free(q);
		return NULL;
	}
	q->refs = 2;
	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->changed, &attr);
	pthread_condattr_destroy(&attr);
	return q;
}

static int wait_for(struct inquiry *q, unsigned int wait_ms,
		    struct rfs_nbd_exports *ret, struct rfs_error *err)
{
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += wait_ms / 1000;
	until.tv_nsec += wait_ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&q->lock);
	while (!q->is_done && r == 0)
		r = pthread_cond_timedwait(&q->changed, &q->lock, &until);
	if (!q->is_done) {
		r = rfs_fail(err, ETIMEDOUT, "%s: no answer within %u seconds",
			     q->uri, wait_ms / 1000);
	} else if (q->result < 0) {
		r = rfs_fail(err, -q->result, "%s: %s", q->uri, q->why.text);
	} else {
		r = 0;
		*ret = q->found;
		q->found = (struct rfs_nbd_exports){ 0 };
	}
	pthread_mutex_unlock(&q->lock);
	return r;
}

int rfs_nbd_list(const char *uri, unsigned int wait_ms,
		 struct rfs_nbd_exports *ret, struct rfs_error *err)
{
	struct inquiry *q = new_inquiry(uri);
	pthread_t thread;
	int r;

	if (!q)
		return rfs_no_memory(err);
	r = pthread_create(&thread, NULL, work, q);
	if (r != 0) {
		q->refs = 1;
		unref(q);
		return rfs_fail(err, r, "no thread for a connection: %s",
				strerror(r));
	}
	pthread_detach(thread);
	r = wait_for(q, wait_ms, ret, err);
	unref(q);
	return r;
}
