// SPDX-License-Identifier: GPL-3.0-or-later
/* rescue.c - what is known of a file on a dying disk.
 *
 * The store tells what was delivered, the map "bad" what went wrong; a byte of
 * which neither says anything was never asked for.  Bytes go to the store before
 * anyone is told of them.
 */
#include "readers/rescue.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "core/cleanup.h"
#include "core/state_store.h"
#include "readers/device.h"
#include "readers/rescue_parts.h"

#define GENERATION_FACT "rescued generation"
#define DEVICE_FACT	"rescued device"
#define WHY_MAX		256

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rfs_rescue *all; /* guarded by all_lock */

/* What kind of file it is, and how long. */
static int take_measures(struct rfs_rescue *r, const struct stat *st,
			 struct rfs_error *err)
{
	r->device = st->st_dev;
	r->inode = st->st_ino;
	r->is_device = S_ISBLK(st->st_mode);
	r->below = r->is_device ? st->st_rdev : st->st_dev;
	r->size = (uint64_t)st->st_size;
	r->allocated = (uint64_t)st->st_blocks * 512;
	r->generation.mtime_ns = rfs_time_of(st->st_mtim);
	if (r->is_device) {
		r->allocated = r->size;
		r->generation.mtime_ns = 0; /* a device node's says nothing */
	} else if (!S_ISREG(st->st_mode)) {
		return rfs_fail(err, S_ISDIR(st->st_mode) ? EISDIR : EINVAL,
				"%s: is neither a regular file nor a block "
				"device, and cannot be read as a disk",
				r->name);
	}
	r->generation.size = r->size;
	return 0;
}

static int generation_text(const struct rfs_rescue *r, char **ret,
			   struct rfs_error *err)
{
	if (asprintf(ret, "%" PRIu64 " %" PRId64, r->generation.size,
		     r->generation.mtime_ns) >= 0)
		return 0;
	*ret = NULL;
	return rfs_no_memory(err);
}

/* Nothing is said where nothing is known: what was said before is more. */
static int set_device(struct rfs_rescue *r, struct rfs_error *err)
{
	if (!*r->identity.text)
		return 0;
	return rfs_state_try_fact(r->state, r->object, DEVICE_FACT,
				  r->identity.text, err);
}

/* The file is taken as it is now: the operator ordered it. */
static int drop_all(struct rfs_rescue *r, const char *generation,
		    struct rfs_error *err)
{
	int ret;

	rfs_notes_add(
		r->notes,
		"%s: has changed since parts of it were rescued; what was "
		"kept of it is dropped",
		r->name);
	ret = rfs_store_drop(r->state, r->object, err);
	if (ret == 0)
		ret = rfs_state_forget_map(r->state, r->object, "bad", err);
	if (ret == 0)
		ret = rfs_state_forget_map(r->state, r->object, "suspect", err);
	if (ret == 0)
		ret = rfs_state_forget_fact(r->state, r->object, DEVICE_FACT,
					    err);
	if (ret == 0)
		ret = set_device(r, err);
	if (ret == 0)
		ret = rfs_state_set_fact(r->state, r->object, GENERATION_FACT,
					 generation, err);
	if (ret == 0)
		atomic_store(&r->has_fact, true);
	return ret;
}

/* Whether a device of the same size is another one; 'ret_why' says by what. */
static int compare_device(struct rfs_rescue *r, char *ret_why, size_t size,
			  bool *ret_differs, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *was = NULL;
	int ret = rfs_state_fact(r->state, r->object, DEVICE_FACT, &was, err);

	*ret_differs = ret == 0 && rfs_identity_differs(was, r->identity.text,
							ret_why, size);
	/* One that an earlier version did not keep is kept from now on. */
	if (ret == -ENOENT)
		atomic_store(&r->has_fact, !*r->identity.text);
	return ret == -ENOENT ? 0 : ret;
}

/* What was kept is of the file as it was then.  Mixed with the bytes of a later
 * one it would be a file that never was. */
static int check_generation(struct rfs_rescue *r, bool renew,
			    struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *was = NULL;
	RFS_CLEANUP_FREE char *is = NULL;
	char why[WHY_MAX] = "";
	bool differs;
	int ret;

	ret = rfs_state_fact(r->state, r->object, GENERATION_FACT, &was, err);
	if (ret == -ENOENT)
		return 0;
	if (ret == 0)
		ret = generation_text(r, &is, err);
	if (ret < 0)
		return ret;
	differs = strcmp(was, is) != 0;
	atomic_store(&r->has_fact, !differs);
	if (!differs && r->is_device)
		ret = compare_device(r, why, sizeof(why), &differs, err);
	if (ret < 0 || !differs)
		return ret;
	if (renew)
		return drop_all(r, is, err);
	return rfs_fail(err, ESTALE,
			"%s: has changed since parts of it were rescued%s%s; "
			"'rescuefs refresh' drops these and takes it as it is "
			"now, a new --state keeps both",
			r->name, *why ? ": " : "", why);
}

void rfs_rescue_keep_generation(struct rfs_rescue *r)
{
	RFS_CLEANUP_FREE char *is = NULL;

	if (!r->state || atomic_exchange(&r->has_fact, true))
		return;
	if (generation_text(r, &is, NULL) < 0 || set_device(r, NULL) < 0 ||
	    rfs_state_try_fact(r->state, r->object, GENERATION_FACT, is, NULL) <
		    0)
		atomic_store(&r->has_fact, false);
}

static bool is_storing_from_the_start(const struct rfs_rescue *r)
{
	struct rfs_store_totals totals;

	if (r->mode != RFS_STORE_AUTO)
		return r->mode == RFS_STORE_ON;
	rfs_store_totals(r->store, &totals);
	return totals.kept || totals.damaged || r->known.map.count;
}

static int open_maps(struct rfs_rescue *r, const char *object,
		     struct rfs_error *err)
{
	int e = rfs_kept_open(&r->known, r->state, object, "bad", err);

	if (e < 0)
		return e;
	e = rfs_kept_open(&r->suspect, r->state, object, "suspect", err);
	if (e < 0)
		rfs_kept_close(&r->known);
	return e;
}

static void close_maps(struct rfs_rescue *r)
{
	rfs_kept_close(&r->known);
	rfs_kept_close(&r->suspect);
}

static int open_kept(struct rfs_rescue *r, bool renew, struct rfs_error *err)
{
	int ret = 0;

	if (r->state)
		ret = check_generation(r, renew, err);
	if (ret == 0 && r->state)
		ret = rfs_store_open(r->state, r->object, r->size, &r->store,
				     err);
	if (ret == 0)
		ret = open_maps(r, r->object, err);
	if (ret == 0 && renew) {
		ret = rfs_rescue_forgive(r, err);
		if (ret < 0)
			close_maps(r);
	}
	if (ret < 0) {
		rfs_store_close(RFS_STEAL(r->store));
		return ret;
	}
	if (r->store)
		atomic_store(&r->storing, is_storing_from_the_start(r));
	return 0;
}

/* O_DIRECT goes onto the descriptor at hand, which the child shares. */
static int open_file(struct rfs_rescue *r, int fd, struct rfs_error *err)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_DIRECT);
	rfs_medium_init(&r->medium, fd, r->size);
	return rfs_worker_file_new(r->worker, fd, &r->file, err);
}

static void init_locks(struct rfs_rescue *r)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->landed, &attr);
	pthread_condattr_destroy(&attr);
}

static void free_parts(struct rfs_rescue *r)
{
	free(r->object);
	free(r->name);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->landed);
	free(r);
}

static int make(const struct rfs_rescue_config *config, int fd,
		const struct stat *st, const struct rfs_identity *identity,
		struct rfs_rescue **ret, struct rfs_error *err)
{
	struct rfs_rescue *r = calloc(1, sizeof(*r));
	int e;

	if (!r) {
		close(fd);
		return rfs_no_memory(err);
	}
	r->refs = 1;
	r->state = config->state;
	r->worker = config->worker;
	r->notes = config->notes;
	r->origin = config->origin;
	r->identity = *identity;
	r->mode = config->store;
	init_locks(r);
	r->object = strdup(config->object);
	r->name = strdup(config->name);
	e = r->object && r->name ? take_measures(r, st, err)
				 : rfs_no_memory(err);
	if (e == 0)
		e = open_kept(r, config->renew, err);
	if (e < 0) {
		close(fd);
		free_parts(r);
		return e;
	}
	e = open_file(r, fd, err);
	if (e < 0) {
		rfs_store_close(r->store);
		close_maps(r);
		free_parts(r);
		return e;
	}
	*ret = r;
	return 0;
}

static struct rfs_rescue *find_open(const struct rfs_state *state,
				    const char *object)
{
	struct rfs_rescue *r = all;

	while (r && (r->state != state || strcmp(r->object, object) != 0))
		r = r->next;
	return r;
}

static bool is_same(const struct rfs_rescue *r, const struct stat *st,
		    const struct rfs_identity *identity)
{
	char why[WHY_MAX];

	if (st->st_dev != r->device || st->st_ino != r->inode)
		return false;
	return !r->is_device ||
	       (S_ISBLK(st->st_mode) && st->st_rdev == r->below &&
		!rfs_identity_differs(r->identity.text, identity->text, why,
				      sizeof(why)));
}

/* The one that is open already reads the file that it opened. */
static int share(struct rfs_rescue *r, int fd, const struct stat *st,
		 const struct rfs_identity *identity, bool renew,
		 struct rfs_error *err)
{
	int e = 0;

	if (!is_same(r, st, identity))
		e = rfs_fail(err, ESTALE,
			     "%s: is another file than the one that is being "
			     "read; unmount, and mount it again",
			     r->name);
	close(fd);
	if (e == 0 && renew)
		e = rfs_rescue_forgive(r, err);
	if (e == 0)
		r->refs++;
	return e;
}

int rfs_rescue_open(const struct rfs_rescue_config *config, int fd,
		    struct rfs_rescue **ret, struct rfs_error *err)
{
	struct rfs_patience patience = rfs_worker_patience(config->names);
	struct rfs_identity identity = { 0 };
	struct stat st;
	/* Not under the lock: it may take as long as the deadline. */
	int e = rfs_worker_fstat(config->names, fd, &st, &patience);

	if (e < 0) {
		close(fd);
		*ret = NULL;
		return rfs_fail(err, -e, "%s: cannot be measured: %s",
				config->name, strerror(-e));
	}
	if (S_ISBLK(st.st_mode))
		rfs_identity_of(fd, st.st_rdev, &identity);
	pthread_mutex_lock(&all_lock);
	*ret = config->state ? find_open(config->state, config->object) : NULL;
	if (*ret) {
		e = share(*ret, fd, &st, &identity, config->renew, err);
	} else {
		e = make(config, fd, &st, &identity, ret, err);
		if (e == 0) {
			(*ret)->next = all;
			all = *ret;
		}
	}
	pthread_mutex_unlock(&all_lock);
	if (e < 0)
		*ret = NULL;
	return e;
}

struct rfs_rescue *rfs_rescue_ref(struct rfs_rescue *r)
{
	pthread_mutex_lock(&all_lock);
	r->refs++;
	pthread_mutex_unlock(&all_lock);
	return r;
}

/* Closed under the lock: whoever opens the same object anew must find all of it
 * in the state. */
struct rfs_rescue *rfs_rescue_unref(struct rfs_rescue *r)
{
	struct rfs_rescue **at = &all;

	if (!r)
		return NULL;
	pthread_mutex_lock(&all_lock);
	if (--r->refs == 0) {
		while (*at != r)
			at = &(*at)->next;
		*at = r->next;
		rfs_kept_save(&r->known, NULL);
		rfs_kept_save(&r->suspect, NULL);
		rfs_store_close(r->store);
		close_maps(r);
		rfs_worker_file_free(r->file);
		free_parts(r);
	}
	pthread_mutex_unlock(&all_lock);
	return NULL;
}

uint64_t rfs_rescue_size(const struct rfs_rescue *r)
{
	return r->size;
}

struct rfs_generation rfs_rescue_generation(const struct rfs_rescue *r)
{
	return r->generation;
}

const char *rfs_rescue_name(const struct rfs_rescue *r)
{
	return r->name;
}

const char *rfs_rescue_object(const struct rfs_rescue *r)
{
	return r->object;
}

unsigned int rfs_rescue_granule(const struct rfs_rescue *r)
{
	return atomic_load(&((struct rfs_rescue *)r)->medium.granule);
}

struct rfs_run rfs_rescue_find(struct rfs_rescue *r, uint64_t off,
			       struct rfs_range within)
{
	struct rfs_run run = { rfs_range_to(off, rfs_range_end(within)),
			       RFS_KEPT_NOT };

	if (r->store)
		run = rfs_store_find(r->store, off, run.range);
	if (run.value == RFS_KEPT_NOT)
		return rfs_kept_find(&r->known, off, run.range);
	run.value = run.value == RFS_KEPT_WHOLE ? RFS_RESCUE_DONE
						: RFS_RESCUE_SPOILT;
	return run;
}

int rfs_rescue_set(struct rfs_rescue *r, struct rfs_range range,
		   enum rfs_rescue_status status, struct rfs_error *err)
{
	range = rfs_range_cut(range, rfs_range(0, r->size));
	if (status != RFS_RESCUE_NOT) {
		rfs_rescue_keep_generation(r);
		if (r->mode == RFS_STORE_AUTO && r->store)
			atomic_store(&r->storing, true);
	}
	return range.len ? rfs_kept_set(&r->known, range, status, err) : 0;
}

int rfs_rescue_put(struct rfs_rescue *r, struct rfs_range range,
		   const void *buf, struct rfs_error *err)
{
	int e;

	if (!r->store)
		return rfs_fail(err, EINVAL,
				"%s: without a state directory nothing is kept",
				r->name);
	rfs_rescue_keep_generation(r);
	e = rfs_store_put(r->store, range, buf, err);
	return e < 0 ? e : rfs_kept_set(&r->known, range, RFS_RESCUE_NOT, err);
}

int rfs_rescue_kept(struct rfs_rescue *r, struct rfs_range range, void *buf,
		    struct rfs_error *err)
{
	if (!r->store)
		return rfs_fail(err, EINVAL, "%s: nothing of it is kept",
				r->name);
	return rfs_store_read(r->store, range, buf, NULL, err);
}

int rfs_rescue_keep(struct rfs_rescue *r, struct rfs_error *err)
{
	return rfs_kept_save_softly(&r->known, err);
}

int rfs_rescue_sync(struct rfs_rescue *r, struct rfs_error *err)
{
	int e = 0;

	rfs_rescue_harvest(r);
	if (r->store)
		e = rfs_store_sync(r->store, err);
	if (e == 0)
		e = rfs_kept_save(&r->known, err);
	if (e == 0)
		e = rfs_kept_save(&r->suspect, err);
	return e < 0 || !r->state ? e : rfs_state_settle(r->state, err);
}

/* The first after 'last' of this state, or the first of all; with a reference
 * in place of that to 'last'. */
static struct rfs_rescue *next_open(const struct rfs_state *state,
				    struct rfs_rescue *last)
{
	struct rfs_rescue *r;

	pthread_mutex_lock(&all_lock);
	r = last ? last->next : all;
	while (r && r->state != state)
		r = r->next;
	if (r)
		r->refs++;
	pthread_mutex_unlock(&all_lock);
	rfs_rescue_unref(last);
	return r;
}

int rfs_rescue_sync_all(const struct rfs_state *state, struct rfs_error *err)
{
	struct rfs_rescue *r = NULL;
	int e, first = 0;

	while ((r = next_open(state, r)) != NULL) {
		e = rfs_rescue_sync(r, first ? NULL : err);
		first = first ? first : e;
	}
	return first;
}

bool rfs_rescue_source_is_gone(const struct rfs_state *state,
			       const struct rfs_origin *origin)
{
	struct rfs_rescue *r = NULL;
	bool gone = false;
	dev_t seen = 0;

	while ((r = next_open(state, r)) != NULL)
		if (r->origin == origin && r->below != seen && !gone) {
			seen = r->below;
			gone = rfs_device_is_gone(seen);
		}
	return gone;
}

int rfs_rescue_forgive(struct rfs_rescue *r, struct rfs_error *err)
{
	int e = r->store ? rfs_store_forget_damaged(r->store, err) : 0;

	return e < 0 ? e : rfs_kept_forget(&r->known, err);
}

void rfs_rescue_totals(struct rfs_rescue *r, struct rfs_rescue_totals *ret)
{
	struct rfs_range all_of_it = rfs_range(0, r->size);
	struct rfs_run run;

	memset(ret, 0, sizeof(*ret));
	for (uint64_t off = 0; off < r->size; off = rfs_range_end(run.range)) {
		run = rfs_rescue_find(r, off, all_of_it);
		ret->bytes[run.value] += run.range.len;
	}
	ret->suspect = rfs_rescue_suspect_bytes(r);
}

/* By the state alone: its size, its store and what is known to be bad. */
static int known_closed(struct rfs_rescue *r, const char *object,
			struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *generation = NULL;
	struct rfs_store_row row = { 0 };
	int e = rfs_state_store(r->state, object, &row, err);

	if (e < 0 && e != -ENOENT)
		return e;
	r->size = row.size;
	if (e == 0)
		return rfs_store_open(r->state, object, row.size, &r->store,
				      err);
	e = rfs_state_fact(r->state, object, GENERATION_FACT, &generation, err);
	if (e == 0)
		r->size = strtoull(generation, NULL, 10);
	if (r->size > RFS_SIZE_MAX)
		e = rfs_fail(err, EBADMSG, "the state's size of %s is damaged",
			     object);
	return e;
}

int rfs_rescue_known(struct rfs_state *state, const char *object,
		     struct rfs_rescue_totals *ret, struct rfs_error *err)
{
	struct rfs_rescue closed = { .state = state };
	struct rfs_rescue *r;
	int e = 0;

	/* Under the lock, so that nobody opens its store a second time. */
	pthread_mutex_lock(&all_lock);
	r = find_open(state, object);
	if (r) {
		rfs_rescue_totals(r, ret);
	} else {
		e = known_closed(&closed, object, err);
		if (e == 0)
			e = open_maps(&closed, object, err);
		if (e == 0) {
			rfs_rescue_totals(&closed, ret);
			close_maps(&closed);
		}
		rfs_store_close(closed.store);
	}
	pthread_mutex_unlock(&all_lock);
	return e;
}

/* Who has the object's store: whoever has it open, or 'closed', which the caller
 * closes before he lets go of 'all_lock', as nobody may open it a second time.
 * -ENOENT without a text: nothing is kept of it. */
static int find_store(struct rfs_rescue *closed, const char *object,
		      struct rfs_rescue **ret, struct rfs_error *err)
{
	int e = 0;

	*ret = find_open(closed->state, object);
	if (!*ret) {
		*ret = closed;
		e = known_closed(closed, object, err);
	}
	return e == 0 && !(*ret)->store ? -ENOENT : e;
}

int rfs_rescue_verify(struct rfs_state *state, const char *object, uint64_t *at,
		      uint64_t most, struct rfs_ranges *bad, uint64_t *checked,
		      struct rfs_error *err)
{
	struct rfs_rescue closed = { .state = state }, *r;
	int e;

	pthread_mutex_lock(&all_lock);
	e = find_store(&closed, object, &r, err);
	if (e == 0)
		e = rfs_store_verify(r->store, at, most, bad, checked, err);
	rfs_store_close(closed.store);
	pthread_mutex_unlock(&all_lock);
	return e;
}

static int read_stored(struct rfs_rescue *r, struct rfs_range range, void *buf,
		       uint64_t *ret_len, bool *ret_kept, struct rfs_error *err)
{
	struct rfs_run run = { .range = range, .value = RFS_KEPT_NOT };
	int e = 0;

	/* What lies beyond its end is not kept. */
	if (rfs_range_fits(range, r->size))
		run = rfs_store_find(r->store, range.off, range);
	*ret_len = run.range.len;
	*ret_kept = run.value == RFS_KEPT_WHOLE;
	if (*ret_kept)
		e = rfs_store_read(r->store, run.range, buf, NULL, err);
	if (e != -EIO)
		return e;
	*ret_kept = false;
	return 0;
}

int rfs_rescue_stored(struct rfs_state *state, const char *object,
		      struct rfs_range range, void *buf, uint64_t *ret_len,
		      bool *ret_kept, struct rfs_error *err)
{
	struct rfs_rescue closed = { .state = state }, *r;
	int e;

	pthread_mutex_lock(&all_lock);
	e = find_store(&closed, object, &r, err);
	if (e == 0)
		e = read_stored(r, range, buf, ret_len, ret_kept, err);
	rfs_store_close(closed.store);
	pthread_mutex_unlock(&all_lock);
	return e;
}
