// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A thread is taking (it looks for a request, or sleeps until there is one),
 * working (it has one), or parked (nobody needs it).  'wanted' threads may take;
 * who is done with a request and finds more than that parks.
 * The caller's thread looks on (loop_onlooker.c) and says how many are wanted.
 */
#include "fs/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fs/loop_beside.h"
#include "fs/loop_parts.h"
#include "fs/thread.h"

/* How many stay when nothing needs them. */
#define PARKED_MAX 8

/* Looking for the next request: a wake-up costs about as much. */
#define SPIN_NS INT64_C(60000)
/* How often it is seen at the end whether all is answered. */
#define DRAIN_MS 5

static void kick(struct rfs_loop *loop)
{
	eventfd_write(loop->kick_fd, 1);
}

void rfs_loop_stop(struct rfs_loop *loop)
{
	int e = errno; /* a signal handler's caller may need it */

	atomic_store(&loop->is_told, true);
	kick(loop);
	errno = e;
}

/* What was taken before the end began is answered, and what was taken since does
 * not count: there may be no end of that.  Until then requests are served, as what
 * is being answered may wait for pages of the kernel's that another request is
 * to fill. */
static bool is_drained(struct rfs_loop *loop)
{
	int64_t ended = atomic_load(&loop->ended), since;

	if (!atomic_load(&loop->ends))
		return false;
	for (size_t i = 0; i < RFS_LOOP_THREADS_MAX; i++) {
		since = atomic_load(&loop->members[i].since);
		if (since && since <= ended)
			return false;
	}
	return true;
}

static _Thread_local const struct fuse_in_header *answering;
static _Thread_local struct rfs_loop_member *me;
static _Thread_local bool yields;

void rfs_loop_yield(void)
{
	yields = true;
}

void rfs_loop_answers(void)
{
	if (me && atomic_load_explicit(&me->loop->beside, memory_order_relaxed))
		rfs_loop_give_way(me);
}

const struct fuse_in_header *rfs_loop_request(void)
{
	return answering;
}

/*
 * Taking.
 */

static void *member_main(void *data);

/* A request, or nothing for now: -EAGAIN.  0: the session is over. */
static int take_now(struct rfs_loop *loop, struct fuse_buf *buf)
{
	int r = fuse_session_receive_buf(loop->se, buf);

	if (r == -ENOMEM) /* for the buffer: later, or another thread */
		poll(NULL, 0, 1);
	return r == -EINTR || r == -ENOMEM ? -EAGAIN : r;
}

/* Looks for a request without sleeping.  Others that could run go first. */
static int look(struct rfs_loop *loop, struct fuse_buf *buf)
{
	int64_t until = rfs_loop_now() + SPIN_NS;
	int r;

	do {
		sched_yield();
		r = take_now(loop, buf);
	} while (r == -EAGAIN && rfs_loop_now() < until &&
		 !atomic_load(&loop->ends));
	return r;
}

static int sleep_for_one(struct rfs_loop *loop, struct fuse_buf *buf)
{
	struct pollfd fds[] = { { .fd = fuse_session_fd(loop->se),
				  .events = POLLIN },
				{ .fd = loop->end_fd, .events = POLLIN } };
	bool ends = atomic_load(&loop->ends);

	if (is_drained(loop))
		return 0;
	if (poll(fds, ends ? 1 : 2, ends ? DRAIN_MS : -1) < 0 && errno != EINTR)
		return -errno;
	return take_now(loop, buf);
}

/* Too many: this one is not needed.  At the end all are. */
static bool is_spare(struct rfs_loop *loop)
{
	return atomic_load_explicit(&loop->active, memory_order_relaxed) >
		       atomic_load_explicit(&loop->wanted,
					    memory_order_relaxed) &&
	       !atomic_load_explicit(&loop->ends, memory_order_relaxed);
}

/* 0: it is to end; -EAGAIN: it is to park. */
static int wait_for_one(struct rfs_loop *loop, struct fuse_buf *buf, bool spins)
{
	int r = -EAGAIN;

	atomic_fetch_add(&loop->leisure, 1);
	atomic_fetch_add(&loop->rests, 1);
	if (spins && !atomic_flag_test_and_set(&loop->looks)) {
		r = look(loop, buf);
		atomic_flag_clear(&loop->looks);
	}
	rfs_loop_stop_giving_way(me);
	while (r == -EAGAIN && !is_spare(loop))
		r = sleep_for_one(loop, buf);
	atomic_fetch_sub(&loop->leisure, 1);
	return r;
}

/* Only requests of one reader are served one by one.  What the kernel asks for itself is
 * nobody's. */
static void note_reader(struct rfs_loop_member *m, pid_t reader)
{
	struct rfs_loop *loop = m->loop;

	m->reader = reader;
	if (!reader ||
	    atomic_load_explicit(&loop->several, memory_order_relaxed) ||
	    atomic_load_explicit(&loop->reader, memory_order_relaxed) == reader)
		return;
	if (atomic_exchange(&loop->reader, reader))
		atomic_store(&loop->several, true);
}

static void note_take(struct rfs_loop_member *m)
{
	struct rfs_loop *loop = m->loop;

	atomic_fetch_add(&m->takes, 1);
	/* After the count, which the onlooker reads after it said this. */
	if (atomic_load(&loop->sleeps) && atomic_exchange(&loop->sleeps, false))
		kick(loop);
}

/*
 * How many there are.
 */

/* Threads that found no place to park. */
static void join_ended(struct rfs_loop *loop)
{
	for (size_t i = 0; i < RFS_LOOP_THREADS_MAX; i++) {
		if (loop->members[i].state != RFS_LOOP_ENDED)
			continue;
		pthread_join(loop->members[i].thread, NULL);
		loop->members[i].state = RFS_LOOP_NONE;
		loop->nmembers--;
	}
}

/* With the lock.  0 or an errno. */
static int start_member(struct rfs_loop *loop)
{
	struct rfs_loop_member *m = loop->members;
	int r;

	while (m->state != RFS_LOOP_NONE)
		m++;
	m->loop = loop;
	m->state = RFS_LOOP_RUNS;
	r = rfs_thread_start(&m->thread, member_main, m);
	if (r == 0)
		loop->nmembers++;
	else
		m->state = RFS_LOOP_NONE;
	return r;
}

bool rfs_loop_add_taker(struct rfs_loop *loop)
{
	bool added = false;

	pthread_mutex_lock(&loop->lock);
	if (atomic_load(&loop->ends)) {
		/* Whoever joins them all must have seen them all. */
		pthread_mutex_unlock(&loop->lock);
		return false;
	}
	join_ended(loop);
	/* Counted before it runs, so that it does not park at once. */
	atomic_fetch_add(&loop->wanted, 1);
	atomic_fetch_add(&loop->active, 1);
	if (loop->parked > loop->permits) {
		loop->permits++;
		pthread_cond_signal(&loop->unparked);
		added = true;
	} else if (loop->nmembers < RFS_LOOP_THREADS_MAX) {
		added = start_member(loop) == 0;
	}
	if (!added) {
		atomic_fetch_sub(&loop->wanted, 1);
		atomic_fetch_sub(&loop->active, 1);
	}
	pthread_mutex_unlock(&loop->lock);
	return added;
}

bool rfs_loop_is_one_waiting(struct rfs_loop *loop)
{
	struct pollfd fd = { .fd = fuse_session_fd(loop->se),
			     .events = POLLIN };

	return poll(&fd, 1, 0) > 0 && (fd.revents & POLLIN);
}

/* Whether a request waits that nobody is about to take, and a processor for it. */
static bool is_help_needed(struct rfs_loop *loop)
{
	return !atomic_load(&loop->leisure) &&
	       atomic_load(&loop->wanted) <
		       loop->processors + atomic_load(&loop->stuck) &&
	       rfs_loop_is_one_waiting(loop);
}

static void tell_queue(struct rfs_loop *loop)
{
	int asked = RFS_LOOP_QUEUE_ASKED;

	if (atomic_load_explicit(&loop->queue, memory_order_relaxed) == asked)
		atomic_compare_exchange_strong(
			&loop->queue, &asked,
			rfs_loop_is_one_waiting(loop) ? RFS_LOOP_QUEUE_LONG
						      : RFS_LOOP_QUEUE_UNKNOWN);
}

/*
 * Serving.
 */

/* Takes and answers until it is not needed (-EAGAIN), or to the end (0). */
static int serve(struct rfs_loop_member *m, struct fuse_buf *buf)
{
	struct rfs_loop *loop = m->loop;
	int64_t answered = 0, gap = INT64_MAX, took = 0, taken;
	bool spins = loop->processors > 1;
	int r;

	while (!is_spare(loop)) {
		if (is_drained(loop))
			return 0;
		r = take_now(loop, buf);
		if (r == -EAGAIN)
			r = wait_for_one(loop, buf, spins && gap < SPIN_NS);
		if (r <= 0)
			return r;
		taken = rfs_loop_now();
		gap = taken - answered;
		atomic_store_explicit(&m->since, taken, memory_order_relaxed);
		rfs_loop_stop_giving_way(m);
		note_take(m);
		tell_queue(loop);
		if (took > RFS_LOOP_LONG_NS && is_help_needed(loop))
			rfs_loop_add_taker(loop);
		answering = buf->flags & FUSE_BUF_IS_FD ? NULL : buf->mem;
		note_reader(m, answering ? (pid_t)answering->pid : 0);
		if (atomic_load_explicit(&loop->beside, memory_order_relaxed))
			rfs_loop_follow(m);
		fuse_session_process_buf(loop->se, buf);
		answering = NULL;
		atomic_store_explicit(&m->since, 0, memory_order_relaxed);
		answered = rfs_loop_now();
		took = answered - taken;
		if (yields)
			sched_yield();
		yields = false;
	}
	return -EAGAIN;
}

/*
 * Parking.
 */

/* False: there are enough that wait. */
static bool park(struct rfs_loop *loop)
{
	bool goes_on;

	pthread_mutex_lock(&loop->lock);
	goes_on = loop->parked < PARKED_MAX;
	if (goes_on) {
		loop->parked++;
		while (!loop->permits && !atomic_load(&loop->ends))
			pthread_cond_wait(&loop->unparked, &loop->lock);
		loop->parked--;
		loop->permits -= loop->permits > 0;
	}
	pthread_mutex_unlock(&loop->lock);
	return goes_on;
}

/* One of those that are too many leaves; false if they are not any more. */
static bool leave_active(struct rfs_loop *loop)
{
	unsigned n = atomic_load(&loop->active);

	while (n > atomic_load(&loop->wanted))
		if (atomic_compare_exchange_weak(&loop->active, &n, n - 1)) {
			/* The onlooker may sleep because this one waited. */
			if (atomic_exchange(&loop->sleeps, false))
				kick(loop);
			return true;
		}
	return false;
}

static void *member_main(void *data)
{
	struct rfs_loop_member *m = data;
	struct rfs_loop *loop = m->loop;
	struct fuse_buf buf = { 0 };
	clockid_t clock;
	bool goes_on;
	int r;

	pthread_getcpuclockid(pthread_self(), &clock);
	me = m;
	atomic_store(&m->clock, clock);
	atomic_store(&m->tid, gettid());
	do {
		r = serve(m, &buf);
		rfs_loop_stop_giving_way(m);
		goes_on = r == -EAGAIN && (!leave_active(loop) || park(loop));
	} while (goes_on);
	if (r < 0 && r != -EAGAIN)
		atomic_store(&loop->failure, r);
	/* Unmounted, told to, or failed: the others are to end too. */
	if (r != -EAGAIN)
		rfs_loop_stop(loop);
	free(buf.mem);
	pthread_mutex_lock(&loop->lock);
	m->state = RFS_LOOP_ENDED;
	pthread_mutex_unlock(&loop->lock);
	return NULL;
}

/* From now on no thread begins, and those that are there end when all that was
 * taken is answered. */
static void begin_end(struct rfs_loop *loop)
{
	if (!atomic_load(&loop->leisure))
		rfs_loop_add_taker(loop); /* someone must serve meanwhile */
	atomic_store(&loop->ended, rfs_loop_now());
	atomic_store(&loop->ends, true);
	eventfd_write(loop->end_fd, 1);
	pthread_mutex_lock(&loop->lock);
	pthread_cond_broadcast(&loop->unparked);
	pthread_mutex_unlock(&loop->lock);
}

/* After the order to end: no more of them begin. */
static void join_all(struct rfs_loop *loop)
{
	bool is_there;

	for (size_t i = 0; i < RFS_LOOP_THREADS_MAX; i++) {
		pthread_mutex_lock(&loop->lock);
		is_there = loop->members[i].state != RFS_LOOP_NONE;
		pthread_mutex_unlock(&loop->lock);
		if (is_there)
			pthread_join(loop->members[i].thread, NULL);
	}
}

static unsigned count_processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		return (unsigned)CPU_COUNT(&set);
	return 1;
}

int rfs_loop_run(struct rfs_loop *loop, void (*on_end)(void *), void *data,
		 struct rfs_error *err)
{
	bool started = rfs_loop_add_taker(loop);

	if (started)
		rfs_loop_look_on(loop);
	if (on_end)
		on_end(data);
	begin_end(loop);
	join_all(loop);
	if (!started)
		return rfs_fail(err, EAGAIN, "cannot start a thread");
	if (loop->failure < 0)
		return rfs_fail(err, -loop->failure, "serving requests: %s",
				strerror(-loop->failure));
	return 0;
}

/* A thread that finds no request must not sleep where no order reaches it. */
static int prepare(struct rfs_loop *loop, struct rfs_error *err)
{
	int fd = fuse_session_fd(loop->se), flags = fcntl(fd, F_GETFL);

	loop->end_fd = eventfd(0, EFD_CLOEXEC);
	loop->kick_fd = eventfd(0, EFD_CLOEXEC);
	if (loop->end_fd < 0 || loop->kick_fd < 0 || flags < 0 ||
	    fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return rfs_fail(err, errno, "serving requests: %s",
				strerror(errno));
	return 0;
}

int rfs_loop_new(struct fuse_session *se, struct rfs_loop **ret,
		 struct rfs_error *err)
{
	struct rfs_loop *loop =
		aligned_alloc(alignof(struct rfs_loop), sizeof(*loop));
	int r;

	if (!loop)
		return rfs_no_memory(err);
	memset(loop, 0, sizeof(*loop));
	loop->se = se;
	loop->processors = count_processors();
	loop->end_fd = loop->kick_fd = -1;
	atomic_init(&loop->together, -1);
	atomic_flag_clear(&loop->looks);
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->unparked, NULL);
	r = prepare(loop, err);
	if (r < 0)
		rfs_loop_free(loop);
	else
		*ret = loop;
	return r;
}

void rfs_loop_free(struct rfs_loop *loop)
{
	if (!loop)
		return;
	if (loop->end_fd >= 0)
		close(loop->end_fd);
	if (loop->kick_fd >= 0)
		close(loop->kick_fd);
	pthread_cond_destroy(&loop->unparked);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}
