// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A piece too large for memory (an xz file of one block, a zstd file of one
 * frame) is unpacked once, at its own offset, into a sparse file in the state.
 * A map says which bytes are there; it is kept when they are on the disk, so
 * that half a piece is never taken for a whole one.
 */
#include "readers/packed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"

#define CHUNK (1u << 20)
#define GRAIN (64u << 10) /* zeros of this size are not written */

static int fail_state(struct rfs_packed *p, int errnum, struct rfs_error *err)
{
	return rfs_fail(err, errnum,
			"%s: cannot be unpacked into the state directory: %s; "
			"make room there or name another with --state",
			p->name, strerror(errnum));
}

/* What is there is of this file, or is dropped. */
static int check_generation(struct rfs_packed *p, const char *object,
			    struct rfs_error *err)
{
	const struct rfs_generation *g = &p->config.generation;
	RFS_CLEANUP_FREE char *was = NULL;
	char now[64];
	int r;

	snprintf(now, sizeof(now), "%" PRIu64 " %" PRId64, g->size,
		 g->mtime_ns);
	r = rfs_state_fact(p->config.state, object, "of", &was, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && strcmp(was, now) == 0)
		return 0;
	r = rfs_kept_forget(&p->spool, err);
	if (r == 0 && ftruncate(p->spool_fd, 0) < 0)
		r = fail_state(p, errno, err);
	return r < 0 ? r
		     : rfs_state_set_fact(p->config.state, object, "of", now,
					  err);
}

static int open_spool(struct rfs_packed *p, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *object = NULL;
	int r;

	if (p->spool_open)
		return 0;
	if (!p->config.state)
		return rfs_fail(err, ENOTSUP,
				"%s: is compressed in one piece, which is "
				"unpacked into a state directory before it is "
				"read, and there is none; name one with "
				"--state",
				p->name);
	if (asprintf(&object, "unpacked %s", p->object) < 0)
		return rfs_no_memory(err);
	p->spool_fd = rfs_state_data_fd(p->config.state, object, true, err);
	if (p->spool_fd < 0)
		return p->spool_fd;
	r = rfs_kept_open(&p->spool, p->config.state, object, "unpacked", err);
	if (r < 0) {
		close(p->spool_fd);
		p->spool_fd = -1;
		return r;
	}
	r = check_generation(p, object, err);
	if (r == 0) {
		pthread_mutex_lock(&p->lock);
		p->spool_open = true;
		pthread_mutex_unlock(&p->lock);
		return 0;
	}
	rfs_kept_close(&p->spool);
	close(p->spool_fd);
	p->spool_fd = -1;
	return r;
}

bool rfs_packed_spool_knows(struct rfs_packed *p,
			    const struct rfs_packed_piece *piece)
{
	struct rfs_range all = { piece->off, piece->len }, rest;
	struct rfs_run run;

	if (!p->spool_open)
		return false;
	run = rfs_kept_find(&p->spool, piece->off, all);
	rest = all;
	if (run.value)
		rest = rfs_range_to(rfs_range_end(run.range),
				    rfs_range_end(all));
	return rfs_extmap_is(&p->spool_bad, rest, 1);
}

static int write_some(struct rfs_packed *p, const uint8_t *buf, size_t len,
		      uint64_t off, struct rfs_error *err)
{
	ssize_t n;
	size_t grain;

	for (size_t at = 0; at < len; at += grain) {
		grain = len - at < GRAIN ? len - at : GRAIN;
		if (rfs_packed_is_zero(buf + at, grain))
			continue;
		for (size_t done = 0; done < grain; done += (size_t)n) {
			n = pwrite(p->spool_fd, buf + at + done, grain - done,
				   (off_t)(off + at + done));
			if (n <= 0)
				return fail_state(p, n < 0 ? errno : ENOSPC,
						  err);
		}
	}
	return 0;
}

static void tell(struct rfs_packed *p, uint64_t made, uint64_t len)
{
	if (p->config.progress)
		p->config.progress(p->config.progress_data, made, len);
}

/* 0: all of it, or up to what *ret_damage says. */
static int unpack(struct rfs_packed *p, const struct rfs_packed_piece *piece,
		  void *live, uint64_t *ret_made, int *ret_damage,
		  struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *buf = malloc(CHUNK);
	uint64_t want;
	size_t made;
	int r = 0, w;

	if (!buf)
		return rfs_no_memory(err);
	while (r == 0 && *ret_made <= piece->len) {
		if (!rfs_packed_goes_on(p))
			return rfs_fail(err, EINTR, "%s: the mount is ending",
					p->name);
		want = piece->len - *ret_made;
		if (!want && (piece->flags & RFS_PIECE_PARTIAL))
			return 0;
		made = 0;
		/* One byte more than it holds, to see its end. */
		r = p->format->step(live, buf,
				    want ? (size_t)(want < CHUNK ? want : CHUNK)
					 : 1,
				    &made, err);
		if (!want && made)
			r = rfs_fail(err, EILSEQ, "it holds more than it says");
		if (want && r == 0 && !made)
			r = rfs_fail(err, EILSEQ, "it holds less than it says");
		w = want ? write_some(p, buf, made, piece->off + *ret_made, err)
			 : 0;
		if (w < 0)
			return w;
		if (want)
			*ret_made += made;
		if (!want && r == 0)
			return 0;
		tell(p, *ret_made, piece->len);
	}
	if (r == -ENODATA)
		r = piece->flags & RFS_PIECE_PARTIAL ? -EIO : -EILSEQ;
	*ret_damage = r;
	return r == -EIO || r == -EILSEQ ? 0 : r;
}

/* What a killed process left there would shine through the holes; and the file
 * ends where its last piece does, so that its end is never taken for zeros. */
static int clear_place(struct rfs_packed *p,
		       const struct rfs_packed_piece *piece,
		       struct rfs_error *err)
{
	uint64_t end = piece->off + piece->len;
	struct stat st;

	if (fallocate(p->spool_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)piece->off, (off_t)piece->len) == 0 &&
	    fstat(p->spool_fd, &st) == 0 &&
	    ((uint64_t)st.st_size >= end ||
	     ftruncate(p->spool_fd, (off_t)end) == 0))
		return 0;
	return fail_state(p, errno, err);
}

static int publish(struct rfs_packed *p, const struct rfs_packed_piece *piece,
		   uint64_t good, struct rfs_error *err)
{
	struct rfs_range all = { piece->off, piece->len };
	int r = 0;

	if (fdatasync(p->spool_fd) < 0)
		return fail_state(p, errno, err);
	if (good)
		r = rfs_kept_set(&p->spool, rfs_range(piece->off, good), 1,
				 err);
	if (r == 0 && good)
		r = rfs_kept_save(&p->spool, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&p->lock);
	if (rfs_extmap_set(&p->spool_bad,
			   rfs_range_to(piece->off + good, rfs_range_end(all)),
			   1) < 0)
		r = rfs_no_memory(err);
	pthread_mutex_unlock(&p->lock);
	return r;
}

static int fill_piece(struct rfs_packed *p,
		      const struct rfs_packed_piece *piece, void *live,
		      struct rfs_error *err)
{
	struct rfs_error why = RFS_ERROR_INIT;
	uint64_t made = 0, good;
	int damage = 0, r;

	rfs_notes_add(p->config.notes,
		      "%s: is compressed in one piece of %" PRIu64
		      " bytes at %" PRIu64 ", which is unpacked into the state "
		      "directory before it is read",
		      p->name, piece->len, piece->off);
	r = unpack(p, piece, live, &made, &damage, &why);
	if (r < 0)
		return rfs_fail(err, -r, "%s", why.text);
	good = made;
	if (damage == -EILSEQ && !p->config.unproved)
		good = 0;
	if (damage)
		rfs_notes_add(p->config.notes,
			      "%s: of its piece at %" PRIu64 ", %" PRIu64
			      " of %" PRIu64 " bytes could be unpacked: %s",
			      p->name, piece->off, good, piece->len, why.text);
	if (damage && good < piece->len) {
		pthread_mutex_lock(&p->lock);
		if (!p->why[0])
			snprintf(p->why, sizeof(p->why), "%.250s", why.text);
		pthread_mutex_unlock(&p->lock);
	}
	return publish(p, piece, good, err);
}

int rfs_packed_spool_fill(struct rfs_packed *p,
			  const struct rfs_packed_piece *piece,
			  struct rfs_error *err)
{
	void *live;
	int r = open_spool(p, err);

	if (r < 0 || rfs_packed_spool_knows(p, piece))
		return r;
	r = clear_place(p, piece, err);
	if (r == 0)
		r = p->format->start(p, piece, &live, err);
	if (r == -EIO || r == -ENODATA || r == -EILSEQ)
		return publish(p, piece, 0, err);
	if (r < 0)
		return r;
	r = fill_piece(p, piece, live, err);
	p->format->end(live);
	return r;
}

static int read_kept(struct rfs_packed *p, struct rfs_range range, uint8_t *buf,
		     struct rfs_error *err)
{
	ssize_t n;

	for (uint64_t done = 0; done < range.len; done += (uint64_t)n) {
		n = pread(p->spool_fd, buf + done, range.len - done,
			  (off_t)(range.off + done));
		if (n < 0)
			return rfs_fail(err, errno,
					"%s: what was unpacked of it into the "
					"state cannot be read: %s",
					p->name, strerror(errno));
		if (n == 0) /* it was made as long as it must be */
			return rfs_fail(err, EIO,
					"%s: what was unpacked of it into the "
					"state has been cut short",
					p->name);
	}
	return 0;
}

int rfs_packed_spool_read(struct rfs_packed *p, struct rfs_range range,
			  uint8_t *buf, struct rfs_ranges *bad,
			  struct rfs_error *err)
{
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_kept_find(&p->spool, off,
				    rfs_range_to(off, rfs_range_end(range)));
		if (run.value) {
			r = read_kept(p, run.range, buf + (off - range.off),
				      err);
			continue;
		}
		rfs_fail(err, EIO,
			 "%s: what lies at %" PRIu64 " cannot be unpacked",
			 p->name, run.range.off);
		r = rfs_ranges_add(bad, run.range) < 0 ? rfs_no_memory(err) : 0;
	}
	return r;
}

void rfs_packed_spool_close(struct rfs_packed *p)
{
	if (p->spool_open) {
		rfs_kept_close(&p->spool);
		close(p->spool_fd);
	}
	rfs_extmap_fini(&p->spool_bad);
}
