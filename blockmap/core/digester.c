// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/digester.h"

#include <errno.h>
#include <gcrypt.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/digest.h"

#define DEPTH  4
#define NHANDS 2

static const int algorithms[NHANDS] = { GCRY_MD_MD5, GCRY_MD_SHA512 };
static const uint8_t zeros[64 << 10];

struct slot {
	uint8_t *buf;
	uint64_t len;
	bool is_zeros;
};

/* One digest and its thread. */
struct hand {
	struct rfs_digester *all;
	gcry_md_hd_t md;
	pthread_t thread;
	bool is_running;
	uint64_t done; /* slots; under the lock */
};

struct rfs_digester {
	pthread_mutex_t lock; /* guards put, done and is_over */
	pthread_cond_t changed;
	struct slot slots[DEPTH]; /* the caller's until put, then the hands' */
	uint64_t put;
	bool is_over;
	struct hand hands[NHANDS];
};

static void add(gcry_md_hd_t md, const struct slot *slot)
{
	uint64_t left = slot->len;
	size_t step;

	if (!slot->is_zeros) {
		gcry_md_write(md, slot->buf, slot->len);
		return;
	}
	for (; left; left -= step) {
		step = left < sizeof(zeros) ? left : sizeof(zeros);
		gcry_md_write(md, zeros, step);
	}
}

static void *follow(void *data)
{
	struct hand *hand = data;
	struct rfs_digester *d = hand->all;
	uint64_t at = 0;

	pthread_mutex_lock(&d->lock);
	for (;;) {
		while (at == d->put && !d->is_over)
			pthread_cond_wait(&d->changed, &d->lock);
		if (at == d->put)
			break;
		pthread_mutex_unlock(&d->lock);
		add(hand->md, &d->slots[at % DEPTH]);
		pthread_mutex_lock(&d->lock);
		hand->done = ++at;
		pthread_cond_broadcast(&d->changed);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

static int start(struct rfs_digester *d, int i, struct rfs_error *err)
{
	struct hand *hand = &d->hands[i];
	int r;

	hand->all = d;
	if (gcry_md_open(&hand->md, algorithms[i], 0) != 0) {
		hand->md = NULL;
		return rfs_fail(err, ENOTSUP,
				"%s is not to be had of this system's "
				"libgcrypt",
				gcry_md_algo_name(algorithms[i]));
	}
	r = pthread_create(&hand->thread, NULL, follow, hand);
	if (r != 0)
		return rfs_fail(err, r, "a thread for digests: %s",
				strerror(r));
	hand->is_running = true;
	return 0;
}

int rfs_digester_new(struct rfs_digester **ret, struct rfs_error *err)
{
	struct rfs_digester *d = calloc(1, sizeof(*d));
	int r = 0;

	if (!d)
		return rfs_no_memory(err);
	rfs_digest_start();
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->changed, NULL);
	for (int i = 0; i < DEPTH && r == 0; i++) {
		d->slots[i].buf = aligned_alloc(4096, RFS_DIGESTER_STEP);
		if (!d->slots[i].buf)
			r = rfs_no_memory(err);
	}
	for (int i = 0; i < NHANDS && r == 0; i++)
		r = start(d, i, err);
	if (r < 0) {
		rfs_digester_free(d);
		return r;
	}
	*ret = d;
	return 0;
}

static bool is_behind(const struct rfs_digester *d)
{
	for (int i = 0; i < NHANDS; i++)
		if (d->put - d->hands[i].done >= DEPTH)
			return true;
	return false;
}

void *rfs_digester_room(struct rfs_digester *d)
{
	pthread_mutex_lock(&d->lock);
	while (is_behind(d))
		pthread_cond_wait(&d->changed, &d->lock);
	pthread_mutex_unlock(&d->lock);
	return d->slots[d->put % DEPTH].buf;
}

static void put(struct rfs_digester *d, uint64_t len, bool is_zeros)
{
	struct slot *slot = &d->slots[d->put % DEPTH];

	slot->len = len;
	slot->is_zeros = is_zeros;
	pthread_mutex_lock(&d->lock);
	d->put++;
	pthread_cond_broadcast(&d->changed);
	pthread_mutex_unlock(&d->lock);
}

void rfs_digester_put(struct rfs_digester *d, size_t len)
{
	put(d, len, false);
}

void rfs_digester_zeros(struct rfs_digester *d, uint64_t len)
{
	rfs_digester_room(d);
	put(d, len, true);
}

static void join(struct rfs_digester *d)
{
	pthread_mutex_lock(&d->lock);
	d->is_over = true;
	pthread_cond_broadcast(&d->changed);
	pthread_mutex_unlock(&d->lock);
	for (int i = 0; i < NHANDS; i++) {
		if (d->hands[i].is_running)
			pthread_join(d->hands[i].thread, NULL);
		d->hands[i].is_running = false;
	}
}

static void print_hex(struct hand *hand, int algorithm, char *ret)
{
	const unsigned char *bytes = gcry_md_read(hand->md, algorithm);
	size_t len = gcry_md_get_algo_dlen(algorithm);

	for (size_t i = 0; i < len; i++)
		snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

void rfs_digester_end(struct rfs_digester *d, struct rfs_digests *ret)
{
	join(d);
	print_hex(&d->hands[0], algorithms[0], ret->md5);
	print_hex(&d->hands[1], algorithms[1], ret->sha512);
}

void rfs_digester_free(struct rfs_digester *d)
{
	if (!d)
		return;
	join(d);
	for (int i = 0; i < NHANDS; i++)
		if (d->hands[i].md)
			gcry_md_close(d->hands[i].md);
	for (int i = 0; i < DEPTH; i++)
		free(d->slots[i].buf);
	pthread_cond_destroy(&d->changed);
	pthread_mutex_destroy(&d->lock);
	free(d);
}
