// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A slot holds one piece, unpacked as far as somebody asked.  Who finds it being
 * filled waits; who needs memory takes it from the slots that nobody reads, the
 * least lately used first, and waits while there are none.
 */
#include "readers/packed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/cleanup.h"
#include "core/vec.h"

#define BUDGET	(96u << 20)
#define BUCKETS 256

struct slot {
	uint64_t owner; /* of which reader, by its id */
	size_t at;	/* which of its pieces */
	uint8_t *buf;
	size_t len;
	unsigned refs;
	bool busy; /* a thread fills it, and alone touches 'made' and 'live' */
	bool dead; /* out of the table; goes with the last reference */
	bool done; /* 'filled' will not grow */
	size_t filled; /* bytes that may be read */
	char *text;    /* why it did not get further, or NULL */
	const struct rfs_packed_format *format;
	size_t made;
	void *live;
	uint8_t *notes;
	struct slot *next;	    /* in the bucket */
	struct slot *older, *newer; /* by use */
};

struct names {
	char **items;
	size_t count, room;
};

struct rfs_packed_pool {
	atomic_bool stopped;
	atomic_uint_fast64_t next_id;
	pthread_mutex_t lock; /* guards all below, and the slots */
	pthread_cond_t changed;
	struct slot *buckets[BUCKETS];
	struct slot *oldest, *newest;
	uint64_t used;
	bool heavy;
	struct names objects;
};

int rfs_packed_pool_new(struct rfs_packed_pool **ret, struct rfs_error *err)
{
	struct rfs_packed_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return rfs_no_memory(err);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->changed, NULL);
	*ret = pool;
	return 0;
}

void rfs_packed_pool_stop(struct rfs_packed_pool *pool)
{
	atomic_store(&pool->stopped, true);
}

bool rfs_packed_pool_stopped(struct rfs_packed_pool *pool)
{
	return atomic_load(&pool->stopped);
}

uint64_t rfs_packed_pool_id(struct rfs_packed_pool *pool)
{
	return atomic_fetch_add(&pool->next_id, 1);
}

void rfs_packed_pool_heavy(struct rfs_packed_pool *pool, bool begin)
{
	pthread_mutex_lock(&pool->lock);
	while (begin && pool->heavy)
		pthread_cond_wait(&pool->changed, &pool->lock);
	pool->heavy = begin;
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
}

static size_t find_name(const struct names *names, const char *name)
{
	size_t i = 0;

	while (i < names->count && strcmp(names->items[i], name) != 0)
		i++;
	return i;
}

bool rfs_packed_pool_claim(struct rfs_packed_pool *pool, const char *object)
{
	struct names *names = &pool->objects;
	bool claimed = false;
	char *copy;

	pthread_mutex_lock(&pool->lock);
	if (find_name(names, object) == names->count &&
	    RFS_VEC_ROOM(names) == 0) {
		copy = strdup(object);
		claimed = copy;
		if (copy)
			names->items[names->count++] = copy;
	}
	pthread_mutex_unlock(&pool->lock);
	return claimed;
}

void rfs_packed_pool_unclaim(struct rfs_packed_pool *pool, const char *object)
{
	struct names *names = &pool->objects;
	size_t i;

	pthread_mutex_lock(&pool->lock);
	i = find_name(names, object);
	if (i < names->count) {
		free(names->items[i]);
		names->items[i] = names->items[--names->count];
	}
	pthread_mutex_unlock(&pool->lock);
}

static struct slot **bucket(struct rfs_packed_pool *pool, uint64_t owner,
			    size_t at)
{
	return &pool->buckets[(owner * 31 + at) % BUCKETS];
}

static void free_slot(struct slot *s)
{
	if (s->live)
		s->format->end(s->live);
	free(s->notes);
	free(s->text);
	free(s->buf);
	free(s);
}

/* Out of the order of use. */
static void unchain(struct rfs_packed_pool *pool, struct slot *s)
{
	*(s->older ? &s->older->newer : &pool->oldest) = s->newer;
	*(s->newer ? &s->newer->older : &pool->newest) = s->older;
}

static void chain(struct rfs_packed_pool *pool, struct slot *s)
{
	s->newer = NULL;
	s->older = pool->newest;
	*(pool->newest ? &pool->newest->newer : &pool->oldest) = s;
	pool->newest = s;
}

/* Nobody finds it any more. */
static void retire(struct rfs_packed_pool *pool, struct slot *s)
{
	struct slot **at = bucket(pool, s->owner, s->at);

	if (s->dead)
		return;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	unchain(pool, s);
	s->dead = true;
}

static void bury(struct rfs_packed_pool *pool, struct slot *s)
{
	pool->used -= s->len;
	free_slot(s);
	pthread_cond_broadcast(&pool->changed);
}

static void release(struct rfs_packed_pool *pool, struct slot *s)
{
	if (--s->refs == 0) {
		if (s->dead)
			bury(pool, s);
		/* Whoever waits for memory may take it. */
		pthread_cond_broadcast(&pool->changed);
	}
}

/* Makes room for 'len' bytes; false if that has to be waited for. */
static bool make_room(struct rfs_packed_pool *pool, size_t len)
{
	struct slot *s = pool->oldest, *next;

	for (; s && pool->used + len > BUDGET; s = next) {
		next = s->newer;
		if (s->refs)
			continue;
		retire(pool, s);
		bury(pool, s);
	}
	return pool->used + len <= BUDGET || !pool->used;
}

static struct slot *find(struct rfs_packed_pool *pool, uint64_t owner,
			 size_t at)
{
	struct slot *s = *bucket(pool, owner, at);

	while (s && (s->owner != owner || s->at != at))
		s = s->next;
	return s;
}

static struct slot *new_slot(struct rfs_packed *p, size_t at, size_t len)
{
	struct rfs_packed_pool *pool = p->pool;
	struct slot **b = bucket(pool, p->id, at);
	struct slot *s = calloc(1, sizeof(*s));

	if (s)
		s->buf = malloc(len);
	if (!s || !s->buf) {
		free(s);
		return NULL;
	}
	s->owner = p->id;
	s->at = at;
	s->len = len;
	s->format = p->format;
	s->next = *b;
	*b = s;
	pool->used += len;
	chain(pool, s);
	return s;
}

/* The piece's slot, with a reference; NULL without memory. */
static struct slot *get_slot(struct rfs_packed *p, size_t at, size_t len)
{
	struct rfs_packed_pool *pool = p->pool;
	struct slot *s;

	while (!(s = find(pool, p->id, at)) && !make_room(pool, len))
		pthread_cond_wait(&pool->changed, &pool->lock);
	if (!s)
		s = new_slot(p, at, len);
	if (!s)
		return NULL;
	s->refs++;
	unchain(pool, s);
	chain(pool, s);
	return s;
}

/* Unpacks up to 'end' of the piece. */
static int make(struct slot *s, size_t end, struct rfs_error *err)
{
	size_t made;
	int r = 0;

	while (s->made < end && r == 0) {
		made = 0;
		r = s->format->step(s->live, s->buf + s->made, end - s->made,
				    &made, err);
		s->made += made;
		if (r == 0 && !made)
			r = rfs_fail(err, EILSEQ,
				     "it holds less than its index says");
	}
	return r;
}

/* Bytes that end before the piece does are damaged as any nonsense is, where the
 * piece was whole when its index was made. */
static int judge(const struct rfs_packed_piece *piece, int r)
{
	if (r != -ENODATA)
		return r;
	return piece->flags & RFS_PIECE_PARTIAL ? -EIO : -EILSEQ;
}

static bool page_holds(const struct slot *s,
		       const struct rfs_packed_piece *piece, size_t page,
		       size_t end)
{
	const uint8_t *n = s->notes + page / RFS_PACKED_PAGE * 4;
	uint32_t want;

	if (!(piece->flags & RFS_PIECE_PAGES))
		return true;
	want = (uint32_t)n[0] | (uint32_t)n[1] << 8 | (uint32_t)n[2] << 16 |
	       (uint32_t)n[3] << 24;
	return crc32(0, s->buf + page, (uInt)(end - page)) == want;
}

/* The next page, which is good only if its checksum holds. */
static int make_page(struct slot *s, const struct rfs_packed_piece *piece,
		     size_t *ret_good, struct rfs_error *err)
{
	size_t page = s->made, end = page + RFS_PACKED_PAGE;
	int r;

	if (end > s->len)
		end = s->len;
	r = judge(piece, make(s, end, err));
	if (r == 0 && !page_holds(s, piece, page, end))
		r = rfs_fail(err, EILSEQ,
			     "what it unpacks to is not what it was when its "
			     "index was made");
	*ret_good = r == 0 || r == -EIO ? s->made : page;
	return r;
}

/* All of a piece that only its end proves. */
static int make_all(struct slot *s, const struct rfs_packed_piece *piece,
		    size_t *ret_good, struct rfs_error *err)
{
	size_t made = 0;
	uint8_t more;
	int r;

	r = judge(piece, make(s, s->len, err));
	if (r == 0 && !(piece->flags & RFS_PIECE_PARTIAL)) {
		r = judge(piece,
			  s->format->step(s->live, &more, 1, &made, err));
		if (r == 0 && made)
			r = rfs_fail(err, EILSEQ,
				     "it holds more than its index says");
	}
	*ret_good = r == 0 || r == -EIO ? s->made : 0;
	return r;
}

static int begin(struct rfs_packed *p, const struct rfs_packed_piece *piece,
		 struct slot *s, struct rfs_error *err)
{
	int r = 0;

	if (s->live)
		return 0;
	if (piece->flags & RFS_PIECE_PAGES)
		r = rfs_packed_notes(p, piece, &s->notes, err);
	if (r == 0)
		r = p->format->start(p, piece, &s->live, err);
	return r;
}

/* Called by the one that made the slot busy, without the lock. */
static int fill(struct rfs_packed *p, const struct rfs_packed_piece *piece,
		struct slot *s, size_t *ret_good, struct rfs_error *err)
{
	int r = judge(piece, begin(p, piece, s, err));

	if (r < 0)
		return r;
	if (p->format->by_pages)
		r = make_page(s, piece, ret_good, err);
	else
		r = make_all(s, piece, ret_good, err);
	/* It was asked for knowing that a checksum fails. */
	if (r == -EILSEQ && p->config.unproved)
		*ret_good = s->made;
	if (r < 0 || s->made == s->len) {
		s->format->end(s->live);
		s->live = NULL;
	}
	return r;
}

/* What the filling brought, published. */
static int settle(struct rfs_packed_pool *pool, struct slot *s, size_t good,
		  int r, const struct rfs_error *why)
{
	s->busy = false;
	if (r == 0 || r == -EIO || r == -EILSEQ) {
		s->filled = good;
		s->done = r < 0 || good == s->len;
		if (r < 0)
			s->text = strdup(why->text);
		r = 0;
	} else {
		retire(pool, s); /* begun anew by the next one */
	}
	pthread_cond_broadcast(&pool->changed);
	return r;
}

/* Fills until 'need' bytes are there or the rest cannot be had. */
static int fill_to(struct rfs_packed *p, const struct rfs_packed_piece *piece,
		   struct slot *s, size_t need, struct rfs_error *err)
{
	struct rfs_packed_pool *pool = p->pool;
	struct rfs_error why = RFS_ERROR_INIT;
	size_t good;
	int r = 0;

	while (s->filled < need && !s->done && r == 0) {
		if (s->dead)
			return -EAGAIN;
		if (s->busy) {
			pthread_cond_wait(&pool->changed, &pool->lock);
			continue;
		}
		s->busy = true;
		good = s->filled;
		pthread_mutex_unlock(&pool->lock);
		r = fill(p, piece, s, &good, &why);
		pthread_mutex_lock(&pool->lock);
		r = settle(pool, s, good, r, &why);
	}
	return r < 0 ? rfs_fail(err, -r, "%s", why.text) : 0;
}

static void copy_out(const struct slot *s, size_t good, struct rfs_range want,
		     uint8_t *buf)
{
	if (want.off < good)
		memcpy(buf, s->buf + want.off,
		       want.len < good - want.off ? want.len : good - want.off);
}

int rfs_packed_pool_read(struct rfs_packed *p,
			 const struct rfs_packed_piece *piece, size_t at,
			 struct rfs_range in_piece, uint8_t *buf,
			 uint64_t *ret_good, struct rfs_error *err)
{
	struct rfs_packed_pool *pool = p->pool;
	size_t need = (size_t)rfs_range_end(in_piece);
	struct slot *s;
	int r;

	do {
		pthread_mutex_lock(&pool->lock);
		s = get_slot(p, at, (size_t)piece->len);
		r = s ? fill_to(p, piece, s, need, err) : rfs_no_memory(err);
		if (r == 0)
			*ret_good = s->filled;
		if (r == 0 && s->filled < need)
			rfs_fail(err, EIO, "%s", s->text ? s->text : p->name);
		pthread_mutex_unlock(&pool->lock);
		/* What is filled does not change while we have a reference. */
		if (r == 0)
			copy_out(s, (size_t)*ret_good, in_piece, buf);
		pthread_mutex_lock(&pool->lock);
		if (s)
			release(pool, s);
		pthread_mutex_unlock(&pool->lock);
	} while (r == -EAGAIN);
	return r;
}

void rfs_packed_pool_drop(struct rfs_packed *p)
{
	struct rfs_packed_pool *pool = p->pool;
	struct slot *s, *next;

	pthread_mutex_lock(&pool->lock);
	for (s = pool->oldest; s; s = next) {
		next = s->newer;
		if (s->owner != p->id)
			continue;
		retire(pool, s);
		if (!s->refs)
			bury(pool, s);
	}
	pthread_mutex_unlock(&pool->lock);
}

void rfs_packed_pool_free(struct rfs_packed_pool *pool)
{
	if (!pool)
		return;
	for (size_t i = 0; i < pool->objects.count; i++)
		free(pool->objects.items[i]);
	free(pool->objects.items);
	pthread_cond_destroy(&pool->changed);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}
