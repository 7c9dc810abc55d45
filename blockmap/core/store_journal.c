// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A record has 48 bytes, numbers with the low byte first:
 *
 *    0  8  offset in the file
 *    8  4  length, 1 to 64 KiB, within one chunk
 *   12  4  zero
 *   16  8  number of the turn
 *   24 16  digest of the bytes
 *   40  8  beginning of the digest of the 40 bytes above after a salt: the
 *          digest of the object's name and the file's size
 *
 * Each is judged by itself: whatever a power cut left of a journal, a record is
 * whole or is none, and is believed only if the data agrees with it.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/store_parts.h"
#include "core/vec.h"

#define RECORD 48u
#define BODY   40u

struct record {
	uint64_t turn;
	uint64_t at; /* in the journal */
	struct rfs_store_piece piece;
};

struct records {
	struct record *items;
	size_t count;
	size_t room;
};

static void seal(const struct rfs_store *s, const uint8_t *record,
		 uint8_t ret[8])
{
	uint8_t text[sizeof(s->salt) + BODY];
	struct rfs_digest d;

	memcpy(text, &s->salt, sizeof(s->salt));
	memcpy(text + sizeof(s->salt), record, BODY);
	d = rfs_digest(text, sizeof(text));
	memcpy(ret, d.bytes, 8);
}

static void encode(const struct rfs_store *s, uint64_t turn,
		   const struct rfs_store_piece *piece, uint8_t *p)
{
	uint64_t off = htole64(piece->range.off), number = htole64(turn);
	uint32_t len = htole32((uint32_t)piece->range.len);

	memcpy(p, &off, 8);
	memcpy(p + 8, &len, 4);
	memset(p + 12, 0, 4);
	memcpy(p + 16, &number, 8);
	memcpy(p + 24, &piece->digest, 16);
	seal(s, p, p + BODY);
}

/* False if this is no record of this store. */
static bool decode(const struct rfs_store *s, const uint8_t *p,
		   struct record *ret)
{
	uint64_t off, number;
	uint8_t check[8];
	uint32_t len;

	seal(s, p, check);
	if (memcmp(p + BODY, check, 8) != 0)
		return false;
	memcpy(&off, p, 8);
	memcpy(&len, p + 8, 4);
	memcpy(&number, p + 16, 8);
	memcpy(&ret->piece.digest, p + 24, 16);
	ret->turn = le64toh(number);
	ret->piece.range = rfs_range(le64toh(off), le32toh(len));
	if (!ret->piece.range.len ||
	    !rfs_range_fits(ret->piece.range, s->size) ||
	    ret->piece.range.len >
		    RFS_STORE_CHUNK - ret->piece.range.off % RFS_STORE_CHUNK)
		return false;
	return true;
}

static int write_all(int fd, const uint8_t *p, size_t len, uint64_t off)
{
	ssize_t n;

	while (len) {
		n = pwrite(fd, p, len, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int rfs_store_record(struct rfs_store *s, const struct rfs_store_piece *pieces,
		     size_t npieces, struct rfs_error *err)
{
	struct rfs_store_turn *t = &s->turns[s->turn & 1];
	RFS_CLEANUP_FREE uint8_t *buf = malloc(npieces * RECORD);
	int r;

	if (!buf)
		return rfs_no_memory(err);
	for (size_t i = 0; i < npieces; i++)
		encode(s, s->turn, &pieces[i], buf + i * RECORD);
	r = write_all(t->fd, buf, npieces * RECORD, t->journal_len);
	if (r < 0) {
		/* The next record goes to the same place, whatever is there. */
		if (ftruncate(t->fd, (off_t)t->journal_len) < 0)
			errno = 0;
		return rfs_fail(err, -r,
				"%s: the journal of the rescued store cannot "
				"be written: %s",
				s->object, strerror(-r));
	}
	t->journal_len += npieces * RECORD;
	return 0;
}

void rfs_store_empty_journal(struct rfs_store_turn *turn)
{
	/* What stays has the number of a turn that is absorbed. */
	if (turn->fd >= 0 && ftruncate(turn->fd, 0) < 0)
		errno = 0;
	turn->journal_len = 0;
}

void rfs_store_turn_over(struct rfs_store *s)
{
	struct rfs_store_turn *next;

	pthread_mutex_lock(&s->journal);
	next = &s->turns[(s->turn + 1) & 1];
	rfs_store_empty_journal(next);
	s->turn = s->turn + 1;
	pthread_mutex_unlock(&s->journal);
}

/* Reads the records of one journal that SQLite does not have yet. */
static int read_journal(struct rfs_store *s, unsigned parity,
			struct records *out, struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *buf = malloc((size_t)RECORD * 1024);
	struct rfs_store_turn *t = &s->turns[parity];
	struct record rec;
	ssize_t n = 1;

	if (!buf)
		return rfs_no_memory(err);
	for (uint64_t at = 0; t->fd >= 0 && n > 0 &&
			      at < (uint64_t)2 * RFS_STORE_MOST_PIECES * RECORD;
	     at += (uint64_t)RECORD * 1024) {
		n = pread(t->fd, buf, (size_t)RECORD * 1024, (off_t)at);
		for (ssize_t i = 0; i + (ssize_t)RECORD <= n; i += RECORD) {
			if (!decode(s, buf + i, &rec) ||
			    rec.turn <= s->absorbed ||
			    rec.turn - s->absorbed > 2 ||
			    (rec.turn & 1) != parity)
				continue;
			rec.at = at + (uint64_t)i;
			if (RFS_VEC_ROOM(out) < 0)
				return rfs_no_memory(err);
			out->items[out->count++] = rec;
			t->journal_len = rec.at + RECORD;
		}
	}
	return 0;
}

static int by_age(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	if (x->turn != y->turn)
		return x->turn < y->turn ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

/* What stood there was found damaged before it was put again: an older piece
 * goes as a whole, and so does what the chunk's digest vouched for. */
static int make_way(struct rfs_store *s, struct rfs_range range,
		    struct rfs_error *err)
{
	struct rfs_run run, old;
	uint32_t name;

	for (uint64_t off = range.off; off < rfs_range_end(range);
	     off = rfs_range_end(run.range)) {
		run = rfs_store_look(s, off, range, &name);
		if (name) {
			old.range = rfs_store_named(s, name)->range;
			if (rfs_extmap_set(&s->fresh, old.range, 0) < 0)
				return rfs_no_memory(err);
		} else if (run.value == RFS_KEPT_WHOLE) {
			return rfs_store_condemn(
				s,
				rfs_store_chunk_range(s, off / RFS_STORE_CHUNK),
				err);
		}
	}
	return 0;
}

static int believe(struct rfs_store *s, const struct record *rec,
		   struct rfs_error *err)
{
	struct rfs_store_turn *t = &s->turns[rec->turn & 1];
	int r = make_way(s, rec->piece.range, err);

	if (r < 0)
		return r;
	if (RFS_VEC_ROOM(t) < 0 ||
	    rfs_extmap_set(&s->fresh, rec->piece.range,
			   rfs_store_name(rec->turn, t->count)) < 0)
		return rfs_no_memory(err);
	t->items[t->count++] = rec->piece;
	t->bytes += rec->piece.range.len;
	atomic_fetch_add(&s->waiting_bytes, rec->piece.range.len);
	atomic_fetch_add(&s->waiting_pieces, 1);
	return 0;
}

static int replay(struct rfs_store *s, struct records *list,
		  struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *buf = malloc(RFS_STORE_CHUNK);
	int r = 0;

	if (!buf)
		return rfs_no_memory(err);
	if (list->count)
		qsort(list->items, list->count, sizeof(list->items[0]), by_age);
	for (size_t i = 0; i < list->count && r == 0; i++) {
		const struct record *rec = &list->items[i];

		s->turn = rec->turn;
		r = rfs_store_pread(s, rec->piece.range, buf);
		if (r == 0) {
			if (rfs_digest_agrees(&rec->piece.digest, buf,
					      rec->piece.range.len))
				r = believe(s, rec, err);
		} else if (r == -EIO) {
			r = 0; /* not to be had, so not kept */
		} else {
			r = rfs_context(err, r, "reading the rescued store");
		}
	}
	return r;
}

int rfs_store_replay(struct rfs_store *s, struct rfs_error *err)
{
	struct records list = { 0 };
	int r;

	s->turn = s->absorbed + 1;
	r = read_journal(s, 0, &list, err);
	if (r == 0)
		r = read_journal(s, 1, &list, err);
	if (r == 0)
		r = replay(s, &list, err);
	/* The process before may have had an fdatasync that failed. */
	s->rewrite = s->turn + 1;
	free(list.items);
	return r;
}
