// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/nature.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "core/cleanup.h"

#define PURPOSE "file data"
/* The fact that the map is whole: without it, it tells nothing. */
#define KNOWN_FACT "file data"

/* A search that was cut short by a slow source is not begun again at once. */
#define RETRY_NS INT64_C(5000000000)

struct rfs_nature {
	rfs_find_data_fn *find;
	struct rfs_reader *fresh; /* or NULL */
	struct rfs_kept data;	  /* 1: may be stale */
	atomic_bool is_known;
	atomic_bool late; /* a read of 'fresh' was not waited for */

	pthread_mutex_t finding; /* one search at a time: held while it reads;
				  * guards all below */
	int64_t retry_ns;	 /* not before, of CLOCK_MONOTONIC */
};

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/*
 * The freshest source, and whether it answered.
 */

static int fresh_read(void *state, struct rfs_range range, void *buf,
		      struct rfs_ranges *bad, struct rfs_error *err)
{
	struct rfs_nature *n = state;
	int r;

	/* The search is in vain already: whoever waits for it waits no more. */
	if (n->late)
		return rfs_fail(err, ETIMEDOUT, "%s: it did not answer in time",
				rfs_reader_name(n->fresh));
	r = rfs_reader_read(n->fresh, range, buf, bad, err);
	if (r == -ETIMEDOUT)
		n->late = true;
	return r;
}

static void fresh_close(void *state)
{
	(void)state; /* it is its opener's */
}

static const struct rfs_reader_ops fresh_ops = {
	.kind = "freshest source",
	.read = fresh_read,
	.close = fresh_close,
};

/*
 * Opening.
 */

static int load_known(struct rfs_nature *n, struct rfs_state *state,
		      const char *id, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *said = NULL;
	int r = rfs_state_fact(state, id, KNOWN_FACT, &said, err);

	if (r < 0 && r != -ENOENT)
		return r;
	n->is_known = r == 0;
	return 0;
}

int rfs_nature_open(rfs_find_data_fn *find, struct rfs_reader *fresh,
		    struct rfs_state *state, const char *id,
		    struct rfs_nature **ret, struct rfs_error *err)
{
	struct rfs_nature *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return rfs_no_memory(err);
	r = rfs_kept_open(&n->data, state, id, PURPOSE, err);
	if (r < 0) {
		free(n);
		return r;
	}
	n->find = find;
	n->fresh = fresh ? rfs_reader_ref(fresh) : NULL;
	pthread_mutex_init(&n->finding, NULL);
	r = load_known(n, state, id, err);
	if (r < 0) {
		rfs_nature_close(n);
		return r;
	}
	*ret = n;
	return 0;
}

void rfs_nature_close(struct rfs_nature *n)
{
	if (!n)
		return;
	rfs_kept_close(&n->data);
	rfs_reader_unref(n->fresh);
	pthread_mutex_destroy(&n->finding);
	free(n);
}

/*
 * Finding it out.
 */

/* What was found becomes what is kept.  A state that is full costs no more than
 * that it is found out again. */
static int keep(struct rfs_nature *n, const struct rfs_extmap *found,
		struct rfs_error *err)
{
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = 0; off < RFS_SIZE_MAX && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find(found, off);
		if (run.value)
			r = rfs_kept_set(&n->data, run.range, run.value, err);
	}
	if (r < 0)
		return r;
	if (rfs_kept_save(&n->data, NULL) == 0)
		rfs_state_try_fact(n->data.state, n->data.object, KNOWN_FACT,
				   "1", NULL);
	return 0;
}

static int search(struct rfs_nature *n, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *disk = NULL;
	struct rfs_extmap found = { 0 };
	int r;

	/* It may be there another day. */
	if (!n->fresh) {
		n->is_known = true;
		return 0;
	}
	r = rfs_reader_new(&fresh_ops, n, rfs_reader_size(n->fresh),
			   rfs_reader_name(n->fresh),
			   rfs_reader_origin(n->fresh), &disk, err);
	if (r < 0)
		return r;
	n->late = false;
	r = n->find(disk, &found, err);
	if (r == 0 && n->late)
		r = rfs_fail(err, ETIMEDOUT,
			     "%s: its tables could not be read in time, which "
			     "tell what may be stale",
			     rfs_reader_name(n->fresh));
	if (r == 0)
		r = keep(n, &found, err);
	if (r == 0)
		n->is_known = true;
	rfs_extmap_fini(&found);
	return r;
}

int rfs_nature_learn(struct rfs_nature *n, struct rfs_error *err)
{
	int r = 0;

	if (n->is_known)
		return 0;
	pthread_mutex_lock(&n->finding);
	if (!n->is_known && now_ns() < n->retry_ns)
		r = rfs_fail(err, ETIMEDOUT,
			     "what may be stale could not be found out just "
			     "now");
	else if (!n->is_known)
		r = search(n, err);
	if (r < 0 && n->retry_ns <= now_ns())
		n->retry_ns = now_ns() + RETRY_NS;
	pthread_mutex_unlock(&n->finding);
	return r;
}

struct rfs_run rfs_nature_find(struct rfs_nature *n, uint64_t off,
			       struct rfs_range within)
{
	struct rfs_run run = { rfs_range_to(off, rfs_range_end(within)),
			       RFS_NATURE_UNTOLD };

	if (!n->is_known)
		return run;
	run = rfs_kept_find(&n->data, off, within);
	run.value = run.value ? RFS_NATURE_DATA : RFS_NATURE_OTHER;
	return run;
}

int rfs_nature_forget(struct rfs_nature *n, struct rfs_state *state,
		      const char *id, struct rfs_error *err)
{
	int r = rfs_state_forget_fact(state, id, KNOWN_FACT, err);

	if (r < 0)
		return r;
	if (!n)
		return rfs_state_forget_map(state, id, PURPOSE, err);
	pthread_mutex_lock(&n->finding);
	n->is_known = false;
	n->retry_ns = 0;
	r = rfs_kept_forget(&n->data, err);
	pthread_mutex_unlock(&n->finding);
	return r;
}
