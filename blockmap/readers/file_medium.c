// SPDX-License-Identifier: GPL-3.0-or-later
#include "readers/file_medium.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE RFS_MEDIUM_PAGE

/* The square of the largest step, in sectors, as bytes. */
#define CLEAN_ENOUGH                                                           \
	((uint64_t)RFS_MEDIUM_STEP_MAX / RFS_SECTOR * RFS_MEDIUM_STEP_MAX)

/* One call of rfs_medium_read. */
struct job {
	struct rfs_medium *m;
	struct rfs_range range; /* what was asked for */
	unsigned char *buf;
	struct rfs_ranges *bad;
	int errnum;	       /* of the first in 'bad' */
	uint64_t granule;      /* the same for the whole job */
	unsigned char *bounce; /* made when it is first needed */
	bool ended;	       /* the file has become shorter */
};

bool rfs_medium_failed(int errnum)
{
	switch (errnum) {
	case EIO:
	case ENODATA:	/* the block layer's "medium error" */
	case EREMOTEIO: /* ... "target error" */
	case EILSEQ:	/* ... "protection error" */
	case ETIMEDOUT:
	case EUCLEAN: /* a file system's "structure is damaged" */
	case EBADMSG: /* ... "checksum is wrong" */
		return true;
	default:
		return false;
	}
}

/* Pages are what the cache fails in; without read-ahead it asks for no more
 * than is wanted. */
static void use_cache(struct rfs_medium *m)
{
	int flags = fcntl(m->fd, F_GETFL);

	if (flags >= 0 && (flags & O_DIRECT))
		fcntl(m->fd, F_SETFL, flags & ~O_DIRECT);
	posix_fadvise(m->fd, 0, 0, POSIX_FADV_RANDOM);
	atomic_store(&m->granule, PAGE);
}

/* What the file system says of direct reads: 0 if they cannot be done, and
 * RFS_SECTOR where it says nothing, which the first EINVAL corrects. */
static unsigned int told_granule(int fd, unsigned int *ret_mem_align)
{
	int sector;

	*ret_mem_align = PAGE;
	if (ioctl(fd, BLKSSZGET, &sector) == 0 && sector >= (int)RFS_SECTOR) {
		*ret_mem_align = (unsigned int)sector;
		return (unsigned int)sector;
	}
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
	    (stx.stx_mask & STATX_DIOALIGN)) {
		if (stx.stx_dio_offset_align > RFS_MEDIUM_STEP ||
		    stx.stx_dio_mem_align > PAGE)
			return 0;
		if (stx.stx_dio_mem_align)
			*ret_mem_align = stx.stx_dio_mem_align;
		if (stx.stx_dio_offset_align &&
		    stx.stx_dio_offset_align < RFS_SECTOR)
			return RFS_SECTOR;
		return stx.stx_dio_offset_align;
	}
#endif
	return RFS_SECTOR;
}

void rfs_medium_init(struct rfs_medium *m, int fd, uint64_t size)
{
	int flags = fcntl(fd, F_GETFL);
	unsigned int granule = 0;

	m->fd = fd;
	m->size = size;
	m->mem_align = PAGE;
	atomic_init(&m->step, RFS_MEDIUM_STEP);
	atomic_init(&m->clean, CLEAN_ENOUGH);
	if (flags >= 0 && (flags & O_DIRECT))
		granule = told_granule(fd, &m->mem_align);
	atomic_init(&m->granule, granule);
	if (!granule)
		use_cache(m);
}

unsigned int rfs_medium_step_after(uint64_t clean)
{
	uint64_t n = clean / RFS_SECTOR, root;
	unsigned int step = RFS_MEDIUM_STEP;

	for (; step < RFS_MEDIUM_STEP_MAX; step *= 2) {
		root = 2 * step / RFS_SECTOR;
		if (root * root > n)
			break;
	}
	return step;
}

unsigned int rfs_medium_step(struct rfs_medium *m)
{
	unsigned int step = atomic_load(&m->step);
	unsigned int most = rfs_medium_step_after(atomic_load(&m->clean));

	/* Another thread's doubling may come after an error that it knew not of. */
	return step < most ? step : most;
}

void rfs_medium_went_well(struct rfs_medium *m, unsigned int len)
{
	uint64_t clean = atomic_fetch_add(&m->clean, len) + len;

	if (len < rfs_medium_step_after(clean))
		atomic_compare_exchange_strong(&m->step, &len, 2 * len);
}

void rfs_medium_went_wrong(struct rfs_medium *m)
{
	atomic_store(&m->clean, 0);
	rfs_medium_begin_anew(m);
}

void rfs_medium_begin_anew(struct rfs_medium *m)
{
	atomic_store(&m->step, RFS_MEDIUM_STEP);
}

/* Several threads may come here at once with the same news. */
void rfs_medium_give_way(struct rfs_medium *m, unsigned int tried)
{
	if (tried >= PAGE)
		use_cache(m);
	else
		atomic_compare_exchange_strong(&m->granule, &tried, PAGE);
}

/* Where a request may put its bytes itself; NULL: not into the buffer. */
static unsigned char *straight_to(const struct job *j, uint64_t off)
{
	unsigned char *to;

	if (off < j->range.off)
		return NULL;
	to = j->buf + (off - j->range.off);
	return (uintptr_t)to % j->m->mem_align ? NULL : to;
}

static unsigned char *bounce_of(struct job *j)
{
	uint64_t len = rfs_range_widen(j->range, j->granule).len;
	void *p;

	if (!j->bounce) {
		if (len > RFS_MEDIUM_STEP_MAX)
			len = RFS_MEDIUM_STEP_MAX;
		if (posix_memalign(&p, PAGE, len) == 0)
			j->bounce = p;
	}
	return j->bounce;
}

/* One request to the medium; -errno or the bytes that it delivered. */
static ssize_t ask(struct job *j, struct rfs_range piece)
{
	unsigned char *to = straight_to(j, piece.off);
	bool fits = rfs_range_end(piece) <= rfs_range_end(j->range);
	struct rfs_range got;
	ssize_t n;

	if (!to || !fits)
		to = bounce_of(j);
	if (!to)
		return -ENOMEM;
	do
		n = pread(j->m->fd, to, piece.len, (off_t)piece.off);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (to == j->bounce) {
		got = rfs_range(piece.off, (uint64_t)n);
		got = rfs_range_cut(got, j->range);
		if (got.len)
			memcpy(j->buf + (got.off - j->range.off),
			       j->bounce + (got.off - piece.off), got.len);
	}
	return n;
}

static int note_bad(struct job *j, struct rfs_range range, int errnum)
{
	if (!j->bad->count)
		j->errnum = errnum;
	return rfs_ranges_add(j->bad, rfs_range_cut(range, j->range));
}

static int read_piece(struct job *j, struct rfs_range piece);

static int read_singly(struct job *j, struct rfs_range piece)
{
	int r = 0;

	for (uint64_t off = piece.off;
	     off < rfs_range_end(piece) && r == 0 && !j->ended;
	     off += j->granule)
		r = read_piece(j, rfs_range(off, j->granule));
	return r;
}

/* A short read means that the error is next, and an empty one that there is
 * no more of the file. */
static int read_piece(struct job *j, struct rfs_range piece)
{
	uint64_t want = rfs_range_cut(piece, rfs_range(0, j->m->size)).len;
	unsigned int len = (unsigned int)piece.len;
	ssize_t n = ask(j, piece);
	uint64_t good = n > 0 ? (uint64_t)n : 0;

	if (n >= 0 && good >= want) {
		rfs_medium_went_well(j->m, len);
		return 0;
	}
	if (n < 0 && !rfs_medium_failed((int)-n))
		return (int)n;
	rfs_medium_went_wrong(j->m);
	if (n == 0) {
		j->ended = true;
		return note_bad(
			j, rfs_range_to(piece.off, rfs_range_end(j->range)), 0);
	}
	if (piece.len == j->granule)
		return note_bad(
			j, rfs_range_to(piece.off + good, rfs_range_end(piece)),
			n < 0 ? (int)-n : 0);
	good -= good % j->granule;
	return read_singly(
		j, rfs_range_to(piece.off + good, rfs_range_end(piece)));
}

/* The next request: whole granules, and all of them inside what was asked for
 * if they can then go straight to where they belong. */
static struct rfs_range next_piece(const struct job *j, uint64_t off,
				   uint64_t end)
{
	uint64_t len = rfs_medium_step(j->m);
	uint64_t inside = rfs_range_end(j->range);

	inside -= inside % j->granule;
	if (inside > off && straight_to(j, off))
		end = inside;
	if (len < j->granule)
		len = j->granule;
	len -= len % j->granule;
	return rfs_range(off, end - off < len ? end - off : len);
}

static int run_job(struct job *j)
{
	struct rfs_range all = rfs_range_widen(j->range, j->granule);
	struct rfs_range piece;
	int r = 0;

	for (uint64_t off = all.off;
	     off < rfs_range_end(all) && r == 0 && !j->ended;
	     off = rfs_range_end(piece)) {
		piece = next_piece(j, off, rfs_range_end(all));
		r = read_piece(j, piece);
	}
	free(j->bounce);
	if (r == 0 && j->bad->count)
		r = -EIO;
	return r;
}

int rfs_medium_read(struct rfs_medium *m, struct rfs_range range, void *buf,
		    struct rfs_ranges *bad, int *reterr_errnum)
{
	int r = -EINVAL;

	/* Sectors, pages, the cache: each is tried once. */
	for (int i = 0; i < 3 && r == -EINVAL; i++) {
		struct job j = { .m = m,
				 .range = range,
				 .buf = buf,
				 .bad = bad,
				 .granule = atomic_load(&m->granule) };

		rfs_ranges_clear(bad);
		r = run_job(&j);
		*reterr_errnum = r == -EIO ? j.errnum : -r;
		if (r == -EINVAL)
			rfs_medium_give_way(m, (unsigned int)j.granule);
	}
	return r;
}
