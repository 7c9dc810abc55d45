// SPDX-License-Identifier: GPL-3.0-or-later
#include "readers/packed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"

bool rfs_packed_goes_on(const struct rfs_packed *p)
{
	return !rfs_packed_pool_stopped(p->pool) && !atomic_load(&p->closing);
}

bool rfs_packed_is_zero(const uint8_t *buf, size_t len)
{
	return !len || (!buf[0] && memcmp(buf, buf + 1, len - 1) == 0);
}

/*
 * The thread: builds the index, then unpacks what is wanted into the state.
 */

/* The piece of this offset; the lock is held. */
static const struct rfs_packed_piece *piece_at(const struct rfs_packed *p,
					       uint64_t off)
{
	size_t lo = 0, hi = p->nproved;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (rfs_range_end(rfs_range(p->pieces[mid].off,
					    p->pieces[mid].len)) <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < p->nproved ? &p->pieces[lo] : NULL;
}

static int spool_wanted(struct rfs_packed *p, struct rfs_error *err)
{
	const struct rfs_packed_piece *found;
	struct rfs_packed_piece piece = { 0 };

	pthread_mutex_lock(&p->lock);
	found = p->wanted == UINT64_MAX ? NULL : piece_at(p, p->wanted);
	if (found)
		piece = *found;
	p->wanted = UINT64_MAX;
	pthread_mutex_unlock(&p->lock);
	return found ? rfs_packed_spool_fill(p, &piece, err) : 0;
}

static void *work(void *data)
{
	struct rfs_packed *p = data;
	struct rfs_error why = RFS_ERROR_INIT;
	bool indexed;
	int r = 0;

	pthread_mutex_lock(&p->lock);
	indexed = p->indexed;
	pthread_mutex_unlock(&p->lock);
	if (!indexed)
		r = rfs_packed_build(p, &why);
	if (r == 0)
		r = spool_wanted(p, &why);
	pthread_mutex_lock(&p->lock);
	p->running = false;
	p->round++;
	p->result = r;
	p->result_text = why;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Signals are for the main thread. */
static int start_thread(struct rfs_packed *p, struct rfs_error *err)
{
	sigset_t all, was;
	int r;

	if (p->joinable)
		pthread_join(p->thread, NULL);
	p->joinable = false;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	r = pthread_create(&p->thread, NULL, work, p);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	if (r != 0)
		return rfs_fail(err, r, "%s: a thread cannot be made: %s",
				p->name, strerror(r));
	p->running = p->joinable = true;
	return 0;
}

/* One round of the thread, at least until something changed; the lock is
 * held.  The round's failure is this caller's. */
static int await(struct rfs_packed *p, struct rfs_error *err)
{
	unsigned round = p->round;
	int r;

	if (!rfs_packed_goes_on(p))
		return rfs_fail(err, EINTR, "%s: the mount is ending", p->name);
	if (!p->running) {
		r = start_thread(p, err);
		if (r < 0)
			return r;
	}
	pthread_cond_wait(&p->changed, &p->lock);
	if (p->round != round && p->result < 0)
		return rfs_fail(err, -p->result, "%s", p->result_text.text);
	return 0;
}

int rfs_packed_find(struct rfs_packed *p, uint64_t off,
		    struct rfs_packed_piece *ret, size_t *ret_at,
		    struct rfs_error *err)
{
	const struct rfs_packed_piece *found;
	int r = 0;

	pthread_mutex_lock(&p->lock);
	while (!(found = piece_at(p, off)) && r == 0)
		r = await(p, err);
	if (r == 0) {
		*ret = *found;
		*ret_at = (size_t)(found - p->pieces);
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

int rfs_packed_await_index(struct rfs_packed *p, struct rfs_error *err)
{
	int r = 0;

	pthread_mutex_lock(&p->lock);
	while (!p->indexed && r == 0)
		r = await(p, err);
	pthread_mutex_unlock(&p->lock);
	return r;
}

int rfs_packed_await_spool(struct rfs_packed *p,
			   const struct rfs_packed_piece *piece,
			   struct rfs_error *err)
{
	int r = 0;

	pthread_mutex_lock(&p->lock);
	while (r == 0 && !rfs_packed_spool_knows(p, piece)) {
		p->wanted = piece->off;
		r = await(p, err);
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

/*
 * Reading.
 */

static int add_bad(struct rfs_ranges *bad, struct rfs_range range,
		   struct rfs_error *err)
{
	return rfs_ranges_add(bad, range) < 0 ? rfs_no_memory(err) : 0;
}

static int refuse(struct rfs_packed *p, struct rfs_range range,
		  struct rfs_ranges *bad, struct rfs_error *err)
{
	pthread_mutex_lock(&p->lock);
	rfs_fail(err, EIO,
		 "%s: %" PRIu64 " bytes at %" PRIu64 " cannot be unpacked: %s",
		 p->name, range.len, range.off,
		 p->why[0] ? p->why : "the compressed bytes are damaged");
	pthread_mutex_unlock(&p->lock);
	return add_bad(bad, range, err);
}

static bool is_served(const struct rfs_packed *p,
		      const struct rfs_packed_piece *piece)
{
	return !(piece->flags & RFS_PIECE_BAD) &&
	       (!(piece->flags & RFS_PIECE_SPOILT) || p->config.unproved);
}

/* From memory; what of it is not good is bad. */
static int read_pooled(struct rfs_packed *p,
		       const struct rfs_packed_piece *piece, size_t at,
		       struct rfs_range range, uint8_t *buf,
		       struct rfs_ranges *bad, struct rfs_error *err)
{
	struct rfs_range in = { range.off - piece->off, range.len };
	uint64_t good = 0;
	int r;

	r = rfs_packed_pool_read(p, piece, at, in, buf, &good, err);
	if (r < 0 || good >= rfs_range_end(in))
		return r;
	rfs_context(err, 0, "%s: unpacking what lies at %" PRIu64, p->name,
		    piece->off);
	good += piece->off;
	return add_bad(bad,
		       rfs_range_to(good > range.off ? good : range.off,
				    rfs_range_end(range)),
		       err);
}

static int read_piece(struct rfs_packed *p,
		      const struct rfs_packed_piece *piece, size_t at,
		      struct rfs_range range, uint8_t *buf,
		      struct rfs_ranges *bad, struct rfs_error *err)
{
	int r;

	if (!is_served(p, piece))
		return refuse(p, range, bad, err);
	if (piece->flags & RFS_PIECE_ZERO) {
		memset(buf, 0, range.len);
		return 0;
	}
	if (!rfs_piece_is_spooled(piece))
		return read_pooled(p, piece, at, range, buf, bad, err);
	r = rfs_packed_await_spool(p, piece, err);
	return r < 0 ? r : rfs_packed_spool_read(p, range, buf, bad, err);
}

static int read_all(struct rfs_packed *p, struct rfs_range range, uint8_t *buf,
		    struct rfs_ranges *bad, struct rfs_error *err)
{
	struct rfs_packed_piece piece;
	struct rfs_range part;
	size_t at;
	int r = 0;

	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(part)) {
		r = rfs_packed_find(p, off, &piece, &at, err);
		if (r < 0)
			break;
		part = rfs_range_cut(rfs_range_to(off, rfs_range_end(range)),
				     rfs_range(piece.off, piece.len));
		r = read_piece(p, &piece, at, part, buf + (off - range.off),
			       bad, err);
	}
	return r;
}

/* The index turned out to be damaged: it is made anew. */
static void forget_index(struct rfs_packed *p)
{
	rfs_notes_add(p->config.notes,
		      "%s: the index that is kept of it is damaged, and is "
		      "built anew",
		      p->name);
	pthread_mutex_lock(&p->lock);
	while (p->running)
		pthread_cond_wait(&p->changed, &p->lock);
	p->indexed = false;
	p->npieces = p->nproved = 0;
	pthread_mutex_unlock(&p->lock);
	rfs_packed_pool_drop(p);
}

static int packed_read(void *state, struct rfs_range range, void *buf,
		       struct rfs_ranges *bad, struct rfs_error *err)
{
	struct rfs_packed *p = state;
	int r;

	r = read_all(p, range, buf, bad, err);
	if (r == -EBADMSG) {
		forget_index(p);
		rfs_ranges_clear(bad);
		r = read_all(p, range, buf, bad, err);
	}
	/* Late is not lost: nothing may be remembered of it. */
	if (r == -ETIMEDOUT) {
		rfs_ranges_clear(bad);
		if (rfs_ranges_add(bad, range) < 0)
			return rfs_no_memory(err);
		return r;
	}
	return r == 0 && bad->count ? -EIO : r;
}

/* What is indexed is known; nothing is built for it. */
static int packed_extents(void *state, struct rfs_range range,
			  struct rfs_extents *out, struct rfs_error *err)
{
	struct rfs_packed *p = state;
	const struct rfs_packed_piece *piece;
	enum rfs_content content;
	struct rfs_range part;
	int r = 0;

	pthread_mutex_lock(&p->lock);
	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(part)) {
		part = rfs_range_to(off, rfs_range_end(range));
		content = RFS_DATA;
		piece = piece_at(p, off);
		if (piece) {
			part = rfs_range_cut(part,
					     rfs_range(piece->off, piece->len));
			if (!is_served(p, piece))
				content = RFS_UNKNOWN;
			else if (piece->flags & RFS_PIECE_ZERO)
				content = RFS_HOLE;
		}
		r = rfs_extents_add(out, part, content);
	}
	pthread_mutex_unlock(&p->lock);
	return r < 0 ? rfs_no_memory(err) : 0;
}

/* The files below hold the same bytes; the one that gives a piece's first. */
static int trace_piece(struct rfs_packed *p,
		       const struct rfs_packed_piece *piece,
		       struct rfs_range range, struct rfs_trace *out,
		       struct rfs_error *err)
{
	struct rfs_trace_item item = { .origin = rfs_reader_origin(p->file) };
	uint64_t size = rfs_reader_size(p->file);
	struct rfs_trace below = { 0 };
	int r = 0;

	if (piece->flags & RFS_PIECE_ZERO)
		item.origin = NULL;
	else if (piece->from / 8 < size)
		r = rfs_reader_trace(p->file, rfs_range(piece->from / 8, 1),
				     &below, err);
	if (r == 0 && below.count)
		item = below.items[0];
	rfs_trace_fini(&below);
	item.range = range;
	if (r == 0 && rfs_trace_add_item(out, &item) < 0)
		r = rfs_no_memory(err);
	return r;
}

static int packed_trace(void *state, struct rfs_range range,
			struct rfs_trace *out, struct rfs_error *err)
{
	struct rfs_packed *p = state;
	const struct rfs_packed_piece *found;
	struct rfs_packed_piece piece;
	struct rfs_range part;
	int r = 0;

	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(part)) {
		part = rfs_range_to(off, rfs_range_end(range));
		piece = (struct rfs_packed_piece){ .from = UINT64_MAX };
		pthread_mutex_lock(&p->lock);
		found = piece_at(p, off);
		if (found) {
			piece = *found;
			part = rfs_range_cut(part,
					     rfs_range(piece.off, piece.len));
		}
		pthread_mutex_unlock(&p->lock);
		r = trace_piece(p, &piece, part, out, err);
	}
	return r;
}

static uint64_t packed_allocated(void *state)
{
	struct rfs_packed *p = state;
	uint64_t n = 0;

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->nproved; i++)
		if (!(p->pieces[i].flags & RFS_PIECE_ZERO))
			n += p->pieces[i].len;
	if (!p->indexed)
		n = UINT64_MAX; /* not known: the size */
	pthread_mutex_unlock(&p->lock);
	return n;
}

static void packed_close(void *state)
{
	struct rfs_packed *p = state;

	atomic_store(&p->closing, true);
	if (p->joinable)
		pthread_join(p->thread, NULL);
	rfs_packed_spool_close(p);
	if (p->pool)
		rfs_packed_pool_drop(p);
	if (p->has_object)
		rfs_packed_pool_unclaim(p->pool, p->object);
	if (p->owns_pool)
		rfs_packed_pool_free(p->pool);
	if (p->index_fd >= 0)
		close(p->index_fd);
	rfs_reader_unref(p->file);
	free(p->pieces);
	free(p->object);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* No byte of it comes without those before it. */
static int packed_spots(void *state,
			struct rfs_range range __attribute__((unused)),
			struct rfs_spots *out, struct rfs_error *err)
{
	struct rfs_packed *p = state;

	return rfs_reader_spots(p->file, rfs_range(0, rfs_reader_size(p->file)),
				out, err);
}

static const struct rfs_reader_ops packed_ops = {
	.kind = "packed",
	.read = packed_read,
	.extents = packed_extents,
	.trace = packed_trace,
	.spots = packed_spots,
	.allocated = packed_allocated,
	.close = packed_close,
};

/*
 * Opening.
 */

static const struct rfs_packed_format *format_of(enum rfs_packing packing)
{
	switch (packing) {
	case RFS_PACKED_GZ:
		return &rfs_packed_gz;
	case RFS_PACKED_XZ:
		return &rfs_packed_xz;
	case RFS_PACKED_ZST:
		return &rfs_packed_zst;
	case RFS_PACKED_BZ2:
		return &rfs_packed_bz2;
	default:
		return NULL;
	}
}

/* zstd may begin with a frame to be skipped, of sixteen magic numbers. */
static bool is_magic(const struct rfs_packed_format *format, const uint8_t *b)
{
	if (memcmp(b, format->magic, format->magic_len) == 0)
		return true;
	return format == &rfs_packed_zst && (b[0] & 0xf0) == 0x50 &&
	       b[1] == 0x2a && b[2] == 0x4d && b[3] == 0x18;
}

/* The name tells, the first bytes confirm.  Where these cannot be read, the
 * rest of the file has to: each piece proves itself. */
static int check_magic(struct rfs_packed *p, struct rfs_error *err)
{
	const struct rfs_packed_format *format = p->format;
	struct rfs_error why = RFS_ERROR_INIT;
	uint8_t b[8] = { 0 };
	int r;

	if (rfs_reader_size(p->file) < format->magic_len ||
	    rfs_reader_size(p->file) < 4)
		return rfs_fail(err, EINVAL,
				"%s: its name says %s, but it has only %" PRIu64
				" bytes",
				p->name, format->name,
				rfs_reader_size(p->file));
	r = rfs_reader_read(
		p->file,
		rfs_range(0, format->magic_len < 4 ? 4 : format->magic_len), b,
		NULL, &why);
	if (r == -EIO) {
		rfs_notes_add(p->config.notes,
			      "%s: its beginning cannot be read; it is taken "
			      "for %s as its name says: %s",
			      p->name, format->name, why.text);
		return 0;
	}
	if (r < 0)
		return rfs_fail(err, -r, "%s", why.text);
	if (is_magic(format, b))
		return 0;
	return rfs_fail(err, EINVAL,
			"%s: its name says %s, but it begins with %02x %02x "
			"%02x %02x, which is none; give it the name that it "
			"should have",
			p->name, format->name, b[0], b[1], b[2], b[3]);
}

static int new_packed(const struct rfs_packed_config *config,
		      struct rfs_reader *file, struct rfs_packed **ret,
		      struct rfs_error *err)
{
	struct rfs_packed *p = calloc(1, sizeof(*p));

	if (!p)
		return rfs_no_memory(err);
	p->config = *config;
	p->format = format_of(config->packing);
	p->file = rfs_reader_ref(file);
	p->name = rfs_reader_name(file);
	p->pool = config->pool;
	p->index_fd = p->spool_fd = -1;
	p->wanted = UINT64_MAX;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	*ret = p;
	return 0;
}

/* Two readers of one object would write one index and one copy. */
static int take_object(struct rfs_packed *p, struct rfs_error *err)
{
	int r = 0;

	if (!p->pool) {
		r = rfs_packed_pool_new(&p->pool, err);
		p->owns_pool = r == 0;
	}
	if (r < 0)
		return r;
	p->id = rfs_packed_pool_id(p->pool);
	if (!p->config.state)
		return 0;
	p->object = strdup(p->config.object);
	if (!p->object)
		return rfs_no_memory(err);
	p->has_object = rfs_packed_pool_claim(p->pool, p->object);
	if (!p->has_object)
		p->config.state = NULL;
	return 0;
}

static int prepare(struct rfs_packed *p, struct rfs_error *err)
{
	int r;

	if (!p->format)
		return rfs_fail(err, EINVAL, "%s: no compression is named",
				p->name);
	r = take_object(p, err);
	if (r == 0)
		r = check_magic(p, err);
	if (r < 0)
		return r;
	p->size = p->config.expected_size;
	if (rfs_packed_index_load(p) || p->size)
		return 0;
	return rfs_packed_await_index(p, err);
}

int rfs_packed_open(const struct rfs_packed_config *config,
		    struct rfs_reader *file, struct rfs_reader **ret,
		    struct rfs_error *err)
{
	struct rfs_packed *p = NULL;
	int r;

	r = new_packed(config, file, &p, err);
	if (r < 0)
		return r;
	r = prepare(p, err);
	if (r < 0) {
		packed_close(p);
		return r;
	}
	return rfs_reader_new(&packed_ops, p, p->size, p->name,
			      rfs_reader_origin(file), ret, err);
}
