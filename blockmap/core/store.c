// SPDX-License-Identifier: GPL-3.0-or-later
/* Opening, looking and reading; store_parts.h says how it all goes together. */
#include "core/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/store_parts.h"

int rfs_store_pread(struct rfs_store *s, struct rfs_range range, void *buf)
{
	int fd = atomic_load(&s->fd);
	uint8_t *p = buf;
	ssize_t n;

	if (fd < 0)
		return -EIO;
	while (range.len) {
		n = pread(fd, p, range.len, (off_t)range.off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && rfs_is_own_want(-errno))
			return -errno;
		if (n <= 0) /* the file may end before the map does */
			return -EIO;
		p += n;
		range.off += (uint64_t)n;
		range.len -= (uint64_t)n;
	}
	return 0;
}

int rfs_store_pwrite(struct rfs_store *s, struct rfs_range range,
		     const void *buf, struct rfs_error *err)
{
	int fd = atomic_load(&s->fd);
	const uint8_t *p = buf;
	ssize_t n;

	while (range.len) {
		n = pwrite(fd, p, range.len, (off_t)range.off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return rfs_fail(err, n < 0 ? errno : EIO,
					"%s: keeping %" PRIu64 " bytes at "
					"%" PRIu64 " in the state directory: "
					"%s",
					s->object, range.len, range.off,
					strerror(n < 0 ? errno : EIO));
		p += n;
		range.off += (uint64_t)n;
		range.len -= (uint64_t)n;
	}
	return 0;
}

struct rfs_run rfs_store_look(struct rfs_store *s, uint64_t off,
			      struct rfs_range within, uint32_t *ret_name)
{
	const struct rfs_range rest = rfs_range_to(off, rfs_range_end(within));
	struct rfs_run run = rfs_extmap_find_in(&s->fresh, off, rest);

	*ret_name = run.value;
	if (run.value)
		run.value = RFS_KEPT_WHOLE;
	else
		run = rfs_extmap_find_in(&s->map.map, off, run.range);
	return run;
}

struct rfs_run rfs_store_find(struct rfs_store *s, uint64_t off,
			      struct rfs_range within)
{
	struct rfs_run run, next;
	uint32_t name;

	rfs_kept_lock_shared(&s->map);
	run = rfs_store_look(s, off, within, &name);
	while (rfs_range_end(run.range) < rfs_range_end(within)) {
		next = rfs_store_look(s, rfs_range_end(run.range), within,
				      &name);
		if (next.value != run.value)
			break;
		run.range.len += next.range.len;
	}
	rfs_kept_unlock(&s->map);
	return run;
}

void rfs_store_totals(struct rfs_store *s, struct rfs_store_totals *ret)
{
	const struct rfs_range all = rfs_range(0, s->size);
	struct rfs_run run;
	uint32_t name;

	*ret = (struct rfs_store_totals){ 0, 0 };
	rfs_kept_lock_shared(&s->map);
	for (uint64_t off = 0; off < s->size; off = rfs_range_end(run.range)) {
		run = rfs_store_look(s, off, all, &name);
		if (run.value == RFS_KEPT_WHOLE)
			ret->kept += run.range.len;
		else if (run.value == RFS_KEPT_DAMAGED)
			ret->damaged += run.range.len;
	}
	rfs_kept_unlock(&s->map);
}

static int check_map(struct rfs_store *s, struct rfs_error *err)
{
	struct rfs_run run;

	for (uint64_t off = 0; off < RFS_SIZE_MAX;
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find(&s->map.map, off);
		if (run.value > RFS_KEPT_DAMAGED ||
		    (run.value &&
		     (!s->has_row || !rfs_range_fits(run.range, s->size))))
			return rfs_fail(
				err, EBADMSG,
				"%s: the map of the rescued store makes no "
				"sense at %" PRIu64 "; put a copy of the state "
				"directory back, or 'rescuefs refresh'",
				s->object, run.range.off);
	}
	return 0;
}

static int check_row(struct rfs_store *s, struct rfs_error *err)
{
	struct rfs_store_row row;
	int r = rfs_state_store(s->state, s->object, &row, err);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	s->has_row = true;
	s->absorbed = row.absorbed;
	if (row.size == s->size)
		return 0;
	return rfs_fail(err, ESTALE,
			"%s: what was rescued of it is of a file of %" PRIu64
			" bytes, and it has %" PRIu64
			" now; 'rescuefs refresh' "
			"drops that and reads it anew",
			s->object, row.size, s->size);
}

static int open_file(struct rfs_store *s, enum rfs_state_file which,
		     int *ret_fd, struct rfs_error *err)
{
	int fd = rfs_state_file_fd(s->state, s->object, which, false, err);

	if (fd < 0 && fd != -ENOENT)
		return fd;
	*ret_fd = fd < 0 ? -1 : fd;
	return 0;
}

static int open_files(struct rfs_store *s, struct rfs_error *err)
{
	int fd = -1, r;

	if (!s->has_row)
		return 0;
	r = open_file(s, RFS_STATE_STORE, &fd, err);
	atomic_store(&s->fd, fd);
	if (r == 0)
		r = open_file(s, RFS_STATE_JOURNAL0, &s->turns[0].fd, err);
	if (r == 0)
		r = open_file(s, RFS_STATE_JOURNAL1, &s->turns[1].fd, err);
	return r;
}

/* The name and the size, so that another's journal proves nothing here. */
static int make_salt(struct rfs_store *s, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	int n = asprintf(&text, "%" PRIu64 " %s", s->size, s->object);

	if (n < 0) {
		text = NULL;
		return rfs_no_memory(err);
	}
	s->salt = rfs_digest(text, (size_t)n);
	return 0;
}

static int open_parts(struct rfs_store *s, struct rfs_error *err)
{
	int r = make_salt(s, err);

	if (r == 0)
		r = check_row(s, err);
	if (r == 0)
		r = rfs_kept_open(&s->map, s->state, s->object, RFS_STORE_MAP,
				  err);
	if (r == 0)
		r = check_map(s, err);
	if (r == 0)
		r = open_files(s, err);
	if (r == 0)
		r = rfs_store_replay(s, err);
	return r;
}

static void store_free(struct rfs_store *s)
{
	rfs_kept_close(&s->map);
	rfs_extmap_fini(&s->fresh);
	rfs_extmap_fini(&s->checked);
	for (int i = 0; i < 2; i++) {
		free(s->turns[i].items);
		if (s->turns[i].fd >= 0)
			close(s->turns[i].fd);
	}
	if (atomic_load(&s->fd) >= 0)
		close(atomic_load(&s->fd));
	free(s->unsaved);
	pthread_mutex_destroy(&s->syncing);
	pthread_mutex_destroy(&s->journal);
	pthread_mutex_destroy(&s->files);
	pthread_mutex_destroy(&s->claiming);
	pthread_mutex_destroy(&s->behind);
	pthread_cond_destroy(&s->unclaimed);
	free(s->object);
	free(s);
}

int rfs_store_open(struct rfs_state *state, const char *object, uint64_t size,
		   struct rfs_store **ret, struct rfs_error *err)
{
	struct rfs_store *s;
	int r;

	if (size > RFS_SIZE_MAX)
		return rfs_fail(err, EFBIG, "%s: a file cannot be that large",
				object);
	s = calloc(1, sizeof(*s));
	if (!s)
		return rfs_no_memory(err);
	s->state = state;
	s->size = size;
	s->turns[0].fd = s->turns[1].fd = -1;
	atomic_init(&s->fd, -1);
	atomic_init(&s->sync_at_bytes, RFS_STORE_SYNC_BYTES);
	atomic_init(&s->sync_at_pieces, RFS_STORE_SYNC_PIECES);
	pthread_mutex_init(&s->syncing, NULL);
	pthread_mutex_init(&s->journal, NULL);
	pthread_mutex_init(&s->files, NULL);
	pthread_mutex_init(&s->claiming, NULL);
	pthread_mutex_init(&s->behind, NULL);
	pthread_cond_init(&s->unclaimed, NULL);
	s->object = strdup(object);
	r = s->object ? open_parts(s, err) : rfs_no_memory(err);
	if (r < 0)
		store_free(s);
	else
		*ret = s;
	return r;
}

/* Empty journals go: a host has many small files. */
static void remove_journals(struct rfs_store *s)
{
	if (s->turns[0].count || s->turns[1].count ||
	    (s->turns[0].fd < 0 && s->turns[1].fd < 0))
		return;
	rfs_state_remove_file(s->state, s->object, RFS_STATE_JOURNAL0, NULL);
	rfs_state_remove_file(s->state, s->object, RFS_STATE_JOURNAL1, NULL);
}

void rfs_store_close(struct rfs_store *s)
{
	if (!s)
		return;
	if (s->behind_started)
		pthread_join(s->behind_thread, NULL);
	rfs_store_sync(s, NULL);
	remove_journals(s);
	store_free(s);
}

/* Checks what of 'range' was not checked before. */
static int check_range(struct rfs_store *s, struct rfs_range range,
		       struct rfs_error *err)
{
	RFS_CLEANUP_FREE struct rfs_store_scratch *scratch = NULL;
	const uint64_t end = rfs_range_end(range);
	bool checked;
	int r;

	for (uint64_t c = range.off / RFS_STORE_CHUNK;
	     c * RFS_STORE_CHUNK < end; c++) {
		rfs_kept_lock_shared(&s->map);
		checked = rfs_store_is_checked(s, c);
		rfs_kept_unlock(&s->map);
		if (checked)
			continue;
		if (!scratch) {
			scratch = malloc(sizeof(*scratch));
			if (!scratch)
				return rfs_no_memory(err);
			scratch->loaded = false;
		}
		r = rfs_store_check(s, c, scratch, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static void uncheck(struct rfs_store *s, struct rfs_range range)
{
	const uint64_t end = rfs_range_end(range);

	rfs_kept_lock(&s->map);
	for (uint64_t c = range.off / RFS_STORE_CHUNK;
	     c * RFS_STORE_CHUNK < end; c++)
		rfs_store_set_checked(s, c, false);
	rfs_kept_unlock(&s->map);
}

/* One pass over 'range': what cannot be had is added to 'bad', and bytes that
 * are kept but could not be read to 'unread'. */
static int read_runs(struct rfs_store *s, struct rfs_range range, uint8_t *buf,
		     struct rfs_ranges *bad, struct rfs_range *unread,
		     struct rfs_error *err)
{
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = range.off; off < rfs_range_end(range);
	     off = rfs_range_end(run.range)) {
		run = rfs_store_find(s, off, range);
		if (run.value == RFS_KEPT_WHOLE)
			r = rfs_store_pread(s, run.range,
					    buf + (off - range.off));
		if (r < 0 && r != -EIO)
			return rfs_fail(err, -r,
					"%s: reading the rescued store: %s",
					s->object, strerror(-r));
		if (r < 0 && !unread->len)
			*unread = run.range;
		if ((r < 0 || run.value != RFS_KEPT_WHOLE) &&
		    rfs_ranges_add(bad, run.range) < 0)
			return rfs_no_memory(err);
		r = 0;
	}
	return 0;
}

static int fail_bad(struct rfs_store *s, const struct rfs_ranges *bad,
		    struct rfs_error *err)
{
	return rfs_fail(
		err, EIO,
		"%s: what was rescued of %" PRIu64 " bytes at %" PRIu64
		" is damaged in the state directory; 'rescuefs refresh' "
		"asks the disk again",
		s->object, rfs_ranges_total(bad), bad->items[0].off);
}

static int read_once(struct rfs_store *s, struct rfs_range range, void *buf,
		     struct rfs_ranges *bad, struct rfs_range *unread,
		     struct rfs_error *err)
{
	int r = check_range(s, range, err);

	if (r == 0)
		return read_runs(s, range, buf, bad, unread, err);
	/* The digests cannot be read: nothing is proved. */
	if (r == -EIO && rfs_ranges_add(bad, range) < 0)
		return rfs_no_memory(err);
	return r;
}

int rfs_store_read(struct rfs_store *s, struct rfs_range range, void *buf,
		   struct rfs_ranges *bad, struct rfs_error *err)
{
	struct rfs_range unread = { 0, 0 };
	struct rfs_ranges found = { 0 };
	int r;

	if (!rfs_range_fits(range, s->size))
		return rfs_fail(err, EINVAL,
				"%s: %" PRIu64 " bytes at %" PRIu64
				" are beyond its end",
				s->object, range.len, range.off);
	r = read_once(s, range, buf, &found, &unread, err);
	if (r == 0 && unread.len) { /* once more, and then it is damaged */
		rfs_ranges_clear(&found);
		uncheck(s, range);
		r = read_once(s, range, buf, &found, &unread, err);
	}
	if (r == 0 && found.count)
		r = fail_bad(s, &found, err);
	for (size_t i = 0; r == -EIO && bad && i < found.count; i++)
		if (rfs_ranges_add(bad, found.items[i]) < 0)
			r = rfs_no_memory(err);
	rfs_ranges_fini(&found);
	return r;
}
