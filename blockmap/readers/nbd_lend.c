// SPDX-License-Identifier: GPL-3.0-or-later
/* nbd_lend.c - the socket of a reader that is lent, and its threads: one listens,
 * and each connection has one.  A program that was started anew connects while the
 * old one's last read is still under way. */
#include "readers/nbd_lend.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Connections at once: of a program, and of those before it. */
#define GUESTS 8

struct guest {
	struct rfs_lend *lend;
	pthread_t thread;
	int fd;	       /* -1: the seat is free */
	bool has_left; /* its thread is at its end */
};

struct rfs_lend {
	struct rfs_reader *file;
	atomic_ullong misses;
	char address[64];
	int fd; /* listens */
	pthread_t thread;
	pthread_mutex_t lock; /* guards all below */
	struct guest guests[GUESTS];
};

const char *rfs_lend_address(const struct rfs_lend *lend)
{
	return lend->address;
}

uint64_t rfs_lend_misses(const struct rfs_lend *lend)
{
	return atomic_load(&lend->misses);
}

static void *entertain(void *data)
{
	struct guest *g = data;
	struct rfs_lend *lend = g->lend;

	rfs_lend_talk(g->fd, lend->file, &lend->misses);
	pthread_mutex_lock(&lend->lock);
	shutdown(g->fd, SHUT_RDWR);
	g->has_left = true;
	pthread_mutex_unlock(&lend->lock);
	return NULL;
}

/* The listening thread's, or once that has ended. */
static void see_off(struct guest *g)
{
	pthread_join(g->thread, NULL);
	close(g->fd);
	g->fd = -1;
	g->has_left = false;
}

static bool has_left(struct guest *g)
{
	bool left;

	pthread_mutex_lock(&g->lend->lock);
	left = g->has_left;
	pthread_mutex_unlock(&g->lend->lock);
	return left;
}

/* Seats are given by the listening thread alone. */
static struct guest *find_seat(struct rfs_lend *lend)
{
	struct guest *found = NULL;

	for (size_t i = 0; i < GUESTS; i++) {
		struct guest *g = &lend->guests[i];

		if (g->fd >= 0 && has_left(g))
			see_off(g);
		if (g->fd < 0)
			found = g;
	}
	return found;
}

static bool is_our_own(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       peer.uid == geteuid();
}

static void welcome(struct rfs_lend *lend, int fd)
{
	struct guest *g = is_our_own(fd) ? find_seat(lend) : NULL;

	if (!g) {
		close(fd);
		return;
	}
	g->fd = fd;
	if (pthread_create(&g->thread, NULL, entertain, g) == 0)
		return;
	close(fd);
	g->fd = -1;
}

static void *listen_to(void *data)
{
	struct rfs_lend *lend = data;
	int fd;

	for (;;) {
		fd = accept4(lend->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			welcome(lend, fd);
		else if (errno == EINVAL) /* shut down */
			return NULL;
		else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			usleep(100000);
	}
}

/* A name that nobody could have taken before. */
static int open_socket(struct rfs_lend *lend, struct rfs_error *err)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	uint64_t random[2];
	int len;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return rfs_fail(err, errno, "no random name for a socket");
	len = snprintf(lend->address, sizeof(lend->address),
		       "rescuefs-%016" PRIx64 "%016" PRIx64, random[0],
		       random[1]);
	memcpy(at.sun_path + 1, lend->address, (size_t)len);
	lend->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (lend->fd < 0 ||
	    bind(lend->fd, (struct sockaddr *)&at,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			     (size_t)len)) < 0 ||
	    listen(lend->fd, GUESTS) < 0)
		return rfs_fail(err, errno, "no socket to lend a file: %s",
				strerror(errno));
	return 0;
}

static void drop(struct rfs_lend *lend)
{
	if (lend->fd >= 0)
		close(lend->fd);
	rfs_reader_unref(lend->file);
	pthread_mutex_destroy(&lend->lock);
	free(lend);
}

int rfs_lend_new(struct rfs_reader *file, struct rfs_lend **ret,
		 struct rfs_error *err)
{
	struct rfs_lend *lend = calloc(1, sizeof(*lend));
	int r;

	if (!lend)
		return rfs_no_memory(err);
	lend->file = rfs_reader_ref(file);
	lend->fd = -1;
	pthread_mutex_init(&lend->lock, NULL);
	for (size_t i = 0; i < GUESTS; i++)
		lend->guests[i] = (struct guest){ .lend = lend, .fd = -1 };
	r = open_socket(lend, err);
	if (r == 0) {
		r = pthread_create(&lend->thread, NULL, listen_to, lend);
		if (r != 0)
			r = rfs_fail(err, r, "no thread to lend a file: %s",
				     strerror(r));
	}
	if (r < 0)
		drop(lend);
	else
		*ret = lend;
	return r;
}

void rfs_lend_free(struct rfs_lend *lend)
{
	if (!lend)
		return;
	shutdown(lend->fd, SHUT_RDWR);
	pthread_join(lend->thread, NULL);
	for (size_t i = 0; i < GUESTS; i++) {
		struct guest *g = &lend->guests[i];

		if (g->fd < 0)
			continue;
		shutdown(g->fd, SHUT_RDWR);
		see_off(g);
	}
	drop(lend);
}
