// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A thread is taking (it looks for a request, or sleeps until there is one),
 * working (it has one), or parked (nobody needs it).  'wanted' threads may take;
 * who is done with a request and finds more than that parks.
 *
 * The caller's thread looks on.  Each millisecond in which requests come it sees
 * whether any thread was at leisure; if none was and requests wait for each other,
 * another one is woken or made.
 * Whether that is because a source hangs or because there is much to do makes a
 * difference in one thing only: who waits for a processor is not helped by more
 * threads than there are processors.  In quiet times it sleeps, and is woken by
 * whoever takes a request then.
 */
#include "fs/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "fs/loop_trial.h"
#include "fs/thread.h"

/* A source that hangs holds a thread up for its deadline. */
#define THREADS_MAX 64
/* How many stay when nothing needs them. */
#define PARKED_MAX 8

#define TICK_MS	     1
#define TICK_FULL_MS 20 /* when there can be no more threads */
/* Looking for the next request: a wake-up costs about as much. */
#define SPIN_NS INT64_C(60000)
/* After so many ticks with threads to spare one of them parks. */
#define SPARE_TICKS 16
/* After so many without a request the onlooker sleeps. */
#define QUIET_TICKS 8
/* Of so many requests one at the least makes its thread sleep, if sources are what
 * threads wait for. */
#define TAKES_A_SLEEP 8
/* While a request takes so long a thread more can be woken for the next one. */
#define LONG_NS INT64_C(40000)
/* Who works on one request for so long waits for a source, or has much to do that
 * others are not to wait for. */
#define STUCK_NS INT64_C(3000000)
/* How often it is seen at the end whether all is answered. */
#define DRAIN_MS 5

/* Whether a request waits behind the one that is taken: the onlooker asks, and
 * whoever takes a request next tells.  That one waits when the onlooker looks says
 * less: a thread may be about to take it. */
enum queue { QUEUE_UNKNOWN, QUEUE_ASKED, QUEUE_LONG };

enum member_state { MEMBER_NONE, MEMBER_RUNS, MEMBER_ENDED };

/* What is written at each request has a line of the cache for itself: two threads
 * on two processors would take it from each other each time. */
#define LINE 64

struct member {
	alignas(LINE) _Atomic int64_t since; /* when it took what it works on,
					      * or 0 */
	atomic_ulong takes;		     /* requests */
	atomic_ulong sleepy; /* of them, those over which it went to sleep */
	struct rfs_loop *loop;
	pthread_t thread;
	enum member_state state; /* with the loop's lock */
};

struct rfs_loop {
	struct fuse_session *se;
	unsigned processors;
	int end_fd;  /* readable when the threads are to end */
	int kick_fd; /* wakes the onlooker */
	struct member members[THREADS_MAX];

	alignas(LINE) atomic_uint leisure; /* threads that found no request, and
					    * wait */
	atomic_ulong rests;		   /* how often a thread found none */
	atomic_flag looks;		   /* one thread at the most spins */

	alignas(LINE) atomic_uint active; /* threads that are not parked */
	atomic_uint wanted;		  /* of them */
	atomic_uint stuck;   /* threads that wait for a source, as last seen */
	atomic_int queue;    /* of requests, an enum queue */
	atomic_bool is_told; /* to end */
	atomic_bool ends;    /* it does */
	_Atomic int64_t ended; /* since when */
	atomic_bool sleeps;    /* the onlooker */
	atomic_int failure;

	pthread_mutex_t lock; /* guards all below, and the members' states */
	pthread_cond_t unparked;
	unsigned nmembers, parked, permits;
};

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

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
	for (size_t i = 0; i < THREADS_MAX; i++) {
		since = atomic_load(&loop->members[i].since);
		if (since && since <= ended)
			return false;
	}
	return true;
}

static _Thread_local const struct fuse_in_header *answering;
static _Thread_local bool yields;

/* How often this thread went to sleep so far. */
static unsigned long count_sleeps(void)
{
	struct rusage use;

	getrusage(RUSAGE_THREAD, &use);
	return (unsigned long)use.ru_nvcsw;
}

/* That count, when it last began to work after a sleep. */
static _Thread_local unsigned long sleeps_before;

void rfs_loop_yield(void)
{
	yields = true;
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
	int64_t until = now_ns() + SPIN_NS;
	int r;

	do {
		sched_yield();
		r = take_now(loop, buf);
	} while (r == -EAGAIN && now_ns() < until && !atomic_load(&loop->ends));
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
	while (r == -EAGAIN && !is_spare(loop)) {
		r = sleep_for_one(loop, buf);
		sleeps_before = count_sleeps();
	}
	atomic_fetch_sub(&loop->leisure, 1);
	return r;
}

/* Requests that were taken, ever. */
static unsigned long count_takes(struct rfs_loop *loop)
{
	unsigned long n = 0;

	for (size_t i = 0; i < THREADS_MAX; i++)
		n += atomic_load(&loop->members[i].takes);
	return n;
}

/* After a request that took long. */
static void note_sleep(struct member *m)
{
	unsigned long now = count_sleeps();

	if (now != sleeps_before)
		atomic_fetch_add_explicit(&m->sleepy, 1, memory_order_relaxed);
	sleeps_before = now;
}

static void note_take(struct member *m)
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
	for (size_t i = 0; i < THREADS_MAX; i++) {
		if (loop->members[i].state != MEMBER_ENDED)
			continue;
		pthread_join(loop->members[i].thread, NULL);
		loop->members[i].state = MEMBER_NONE;
		loop->nmembers--;
	}
}

/* With the lock.  0 or an errno. */
static int start_member(struct rfs_loop *loop)
{
	struct member *m = loop->members;
	int r;

	while (m->state != MEMBER_NONE)
		m++;
	m->loop = loop;
	m->state = MEMBER_RUNS;
	r = rfs_thread_start(&m->thread, member_main, m);
	if (r == 0)
		loop->nmembers++;
	else
		m->state = MEMBER_NONE;
	return r;
}

/* One more that takes.  False: there can be no more. */
static bool add_taker(struct rfs_loop *loop)
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
	} else if (loop->nmembers < THREADS_MAX) {
		added = start_member(loop) == 0;
	}
	if (!added) {
		atomic_fetch_sub(&loop->wanted, 1);
		atomic_fetch_sub(&loop->active, 1);
	}
	pthread_mutex_unlock(&loop->lock);
	return added;
}

static bool is_one_waiting(struct rfs_loop *loop)
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
	       is_one_waiting(loop);
}

static void tell_queue(struct rfs_loop *loop)
{
	int asked = QUEUE_ASKED;

	if (atomic_load_explicit(&loop->queue, memory_order_relaxed) == asked)
		atomic_compare_exchange_strong(
			&loop->queue, &asked,
			is_one_waiting(loop) ? QUEUE_LONG : QUEUE_UNKNOWN);
}

/*
 * Serving.
 */

/* Takes and answers until it is not needed (-EAGAIN), or to the end (0). */
static int serve(struct member *m, struct fuse_buf *buf)
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
		taken = now_ns();
		gap = taken - answered;
		atomic_store_explicit(&m->since, taken, memory_order_relaxed);
		note_take(m);
		tell_queue(loop);
		if (took > LONG_NS && is_help_needed(loop))
			add_taker(loop);
		answering = buf->flags & FUSE_BUF_IS_FD ? NULL : buf->mem;
		fuse_session_process_buf(loop->se, buf);
		answering = NULL;
		atomic_store_explicit(&m->since, 0, memory_order_relaxed);
		answered = now_ns();
		took = answered - taken;
		if (took > LONG_NS)
			note_sleep(m);
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
	struct member *m = data;
	struct rfs_loop *loop = m->loop;
	struct fuse_buf buf = { 0 };
	bool goes_on;
	int r;

	do {
		r = serve(m, &buf);
		goes_on = r == -EAGAIN && (!leave_active(loop) || park(loop));
	} while (goes_on);
	if (r < 0 && r != -EAGAIN)
		atomic_store(&loop->failure, r);
	/* Unmounted, told to, or failed: the others are to end too. */
	if (r != -EAGAIN)
		rfs_loop_stop(loop);
	free(buf.mem);
	pthread_mutex_lock(&loop->lock);
	m->state = MEMBER_ENDED;
	pthread_mutex_unlock(&loop->lock);
	return NULL;
}

/*
 * Looking on.
 */

/* What the onlooker saw last. */
struct sight {
	unsigned long takes, sleepy, rests;
	struct rfs_trial trial;
	bool is_crowded;       /* no thread was at leisure */
	unsigned peak;	       /* the most that worked at once of late */
	unsigned spare, quiet; /* ticks */
	bool is_full;	       /* there were no more threads to be had */
};

/* What it sees now. */
struct look {
	unsigned long takes, sleepy;
	unsigned working; /* threads that work on a request */
	/* Of them for so long that no reader of theirs can be about to ask again. */
	unsigned for_long;
	unsigned stuck; /* they wait for a source */
	unsigned wanted;
	unsigned able;	    /* of them, those that are not stuck */
	bool is_queue_long; /* a request waited behind another since */
	bool waits; /* threads go to sleep over what they took: for sources.  How
		     * long that takes says nothing of it, as many threads on few
		     * processors are slow, too. */
};

static void look_at_members(struct rfs_loop *loop, struct look *l)
{
	int64_t since, now = now_ns();

	for (size_t i = 0; i < THREADS_MAX; i++) {
		struct member *m = &loop->members[i];

		since = atomic_load_explicit(&m->since, memory_order_relaxed);
		l->working += since != 0;
		l->for_long += since && now - since > LONG_NS;
		l->stuck += since && now - since > STUCK_NS;
		l->takes += atomic_load(&m->takes);
		/* Of requests that are over: who sleeps for long is stuck. */
		l->sleepy += atomic_load(&m->sleepy);
	}
}

static struct look look_at(struct rfs_loop *loop, const struct sight *s)
{
	struct look l = {
		.wanted = atomic_load(&loop->wanted),
		.is_queue_long = atomic_exchange(&loop->queue, QUEUE_ASKED) ==
				 QUEUE_LONG,
	};

	look_at_members(loop, &l);
	l.able = l.wanted > l.stuck ? l.wanted - l.stuck : 0;
	l.waits = (l.sleepy - s->sleepy) * TAKES_A_SLEEP >= l.takes - s->takes;
	return l;
}

/* No thread was at leisure since the last look, nor is now, and requests wait for each
 * other: a reader that takes turns with its thread on one processor leaves it no
 * leisure, but needs no other, which the kernel would wake for each request. */
static bool is_short_of_threads(struct rfs_loop *loop, struct sight *s,
				const struct look *l)
{
	bool was_crowded = s->is_crowded;

	s->is_crowded = !atomic_load(&loop->leisure) &&
			atomic_load(&loop->rests) == s->rests;
	if (!s->is_crowded || (l->able >= loop->processors && !l->waits))
		return false;
	/* Where all wait for a source, the next request finds a thread there. */
	if (!l->able || (was_crowded && l->is_queue_long))
		return true;
	/* None of them is about to take the one that waits. */
	return l->for_long >= l->wanted && is_one_waiting(loop);
}

/* Of those that are not stuck as many stay as there are to be at the least, and as
 * were seen to work at once of late; but who only waits for a processor is no use. */
static void see_to_spare(struct rfs_loop *loop, struct sight *s,
			 const struct look *l)
{
	bool in_vain = l->able > loop->processors && s->is_crowded && !l->waits;

	if (l->working > s->peak)
		s->peak = l->working;
	if (l->able > s->trial.least && (s->peak < l->wanted || in_vain)) {
		if (++s->spare < SPARE_TICKS)
			return;
		atomic_fetch_sub(&loop->wanted, 1);
	}
	s->spare = s->peak = 0;
}

/* A second thread that was tried goes at once. */
static void try_two(struct rfs_loop *loop, struct sight *s, struct look *l)
{
	bool one_by_one =
		loop->processors > 1 && !l->stuck && !l->is_queue_long;
	unsigned before = s->trial.least, least;

	least = rfs_trial_look(&s->trial, now_ns(), l->takes, l->wanted,
			       one_by_one);
	if (one_by_one && least < before && l->able == before)
		l->able = l->wanted = atomic_fetch_sub(&loop->wanted, 1) - 1;
}

static void remember(struct rfs_loop *loop, struct sight *s,
		     const struct look *l)
{
	s->takes = l->takes;
	s->sleepy = l->sleepy;
	s->rests = atomic_load(&loop->rests);
}

static void see(struct rfs_loop *loop, struct sight *s)
{
	struct look l = look_at(loop, s);

	atomic_store(&loop->stuck, l.stuck);
	s->is_full = false;
	try_two(loop, s, &l);
	if (is_short_of_threads(loop, s, &l) || l.able < s->trial.least)
		s->is_full = !add_taker(loop);
	else
		see_to_spare(loop, s, &l);
	s->quiet = l.takes == s->takes && atomic_load(&loop->leisure)
			   ? s->quiet + 1
			   : 0;
	remember(loop, s, &l);
}

/* Whether the onlooker may sleep until someone takes a request: nobody took one
 * of late, and somebody is there to take it. */
static bool may_sleep(struct rfs_loop *loop, const struct sight *s)
{
	if (s->quiet < QUIET_TICKS)
		return false;
	atomic_store(&loop->sleeps, true);
	if (count_takes(loop) == s->takes && atomic_load(&loop->leisure))
		return true;
	atomic_store(&loop->sleeps, false);
	return false;
}

static void look_on(struct rfs_loop *loop)
{
	struct pollfd kicked = { .fd = loop->kick_fd, .events = POLLIN };
	struct sight s = { 0 };
	struct look l;
	eventfd_t count;
	int tick, r;

	while (!atomic_load(&loop->is_told)) {
		tick = s.is_full ? TICK_FULL_MS : TICK_MS;
		r = poll(&kicked, 1, may_sleep(loop, &s) ? -1 : tick);
		atomic_store(&loop->sleeps, false);
		if (r == 0) {
			see(loop, &s);
			continue;
		}
		/* Woken: a millisecond begins. */
		s.quiet = 0;
		s.is_crowded = false;
		if (r > 0)
			eventfd_read(loop->kick_fd, &count);
		l = look_at(loop, &s);
		remember(loop, &s, &l);
	}
}

/* From now on no thread begins, and those that are there end when all that was
 * taken is answered. */
static void begin_end(struct rfs_loop *loop)
{
	if (!atomic_load(&loop->leisure))
		add_taker(loop); /* someone must serve meanwhile */
	atomic_store(&loop->ended, now_ns());
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

	for (size_t i = 0; i < THREADS_MAX; i++) {
		pthread_mutex_lock(&loop->lock);
		is_there = loop->members[i].state != MEMBER_NONE;
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
	bool started = add_taker(loop);

	if (started)
		look_on(loop);
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
