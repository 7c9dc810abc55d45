// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Those who ask stand in a queue; the one whose turn it is talks to the child
 * with the lock released, so that the others can look at the clock.  While a
 * request is with a child 'began_ns' is its begin, and whoever waits for its
 * turn in the foreground waits no longer than the deadline from there on.
 *
 * Foreground and background have a child and pauses each: what the background
 * finds to hang is left to its own child, and the foreground goes on with the
 * other.  Both are at work at once only when the background's request has
 * outlived the foreground's deadline.
 */
#include "readers/worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/range.h"
#include "readers/worker_child.h"

#define STUCK_MAX 4u
#define STUCK_BACKGROUND                                                       \
	2u /* so many of them, and no more, are its own doing */
#define PAUSE_NS  INT64_C(1000000000) /* the first; it doubles up to */
#define PAUSE_MAX INT64_C(60000000000)
/* How often the background looks whether it is to stop. */
#define SLICE_NS INT64_C(50000000)
/* What a request that is under way is given then. */
#define GRACE_NS INT64_C(1500000000)

/* One who waits for its turn, or has it. */
struct waiter {
	struct waiter *next;
	bool background, has_turn;
	const struct rfs_ticket *ticket; /* may be NULL */
};

/* A child, for those of one kind. */
struct lane {
	struct rfs_child child;
	bool is_busy;
	int64_t began_ns;
	int64_t aside_until, pause_ns;
	bool is_late; /* the child has a request that nobody waits for */
	enum rfs_child_op late_op;
	struct rfs_worker_file *late_file; /* whose; NULL: of no file */
	struct rfs_range late_range;
};

enum { FOREGROUND, BACKGROUND, LANES };

struct rfs_worker {
	char *name;
	int64_t deadline_ns;
	pthread_mutex_t lock;	/* guards all below, but for a lane's child
				   while it 'is_busy': it is the one's who made
				   it so */
	pthread_cond_t changed; /* the queue, is_busy or aside_until */
	struct waiter *queue;
	struct lane lanes[LANES];
	pid_t stuck[STUCK_MAX]; /* ended, and not gone yet; 0: free */
	struct rfs_worker_counts counts;
};

struct rfs_worker_file {
	struct rfs_worker *w;
	int fd;
	/* What came late; guarded by the worker's lock. */
	void *late;
	ssize_t late_result;
	uint64_t late_off;
	bool has_late;
};

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int rfs_worker_new(const char *name, unsigned int deadline_ms,
		   struct rfs_worker **ret, struct rfs_error *err)
{
	struct rfs_worker *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;

	if (!w)
		return rfs_no_memory(err);
	w->name = strdup(name);
	if (!w->name) {
		free(w);
		return rfs_no_memory(err);
	}
	w->deadline_ns = (int64_t)deadline_ms * 1000000;
	for (int i = 0; i < LANES; i++)
		w->lanes[i].pause_ns = PAUSE_NS;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->changed, &attr);
	pthread_condattr_destroy(&attr);
	*ret = w;
	return 0;
}

static void end_and_reap(struct rfs_child *child)
{
	pid_t pid = child->pid;

	rfs_child_end(child);
	if (pid)
		rfs_child_reap(pid);
}

void rfs_worker_free(struct rfs_worker *w)
{
	if (!w)
		return;
	for (int i = 0; i < LANES; i++)
		end_and_reap(&w->lanes[i].child);
	for (size_t i = 0; i < STUCK_MAX; i++)
		if (w->stuck[i])
			rfs_child_reap(w->stuck[i]);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->changed);
	free(w->name);
	free(w);
}

struct rfs_patience rfs_worker_patience(const struct rfs_worker *w)
{
	return (struct rfs_patience){ .left_ns = w->deadline_ns };
}

static unsigned int count_stuck(struct rfs_worker *w)
{
	unsigned int n = 0;

	for (size_t i = 0; i < STUCK_MAX; i++) {
		if (w->stuck[i] && rfs_child_reap(w->stuck[i]))
			w->stuck[i] = 0;
		n += w->stuck[i] != 0;
	}
	return n;
}

/* Until when one of these is sent on at once: the background by the pauses of
 * the foreground, too. */
static int64_t aside_until(const struct rfs_worker *w, bool background)
{
	int64_t fore = w->lanes[FOREGROUND].aside_until;
	int64_t back = w->lanes[BACKGROUND].aside_until;

	return background && back > fore ? back : fore;
}

static int64_t aside_left(const struct rfs_worker *w, bool background)
{
	int64_t left = aside_until(w, background) - now_ns();

	return left > 0 ? left : 0;
}

void rfs_worker_counts(struct rfs_worker *w, struct rfs_worker_counts *ret)
{
	pthread_mutex_lock(&w->lock);
	*ret = w->counts;
	ret->aside_ns = aside_left(w, false);
	ret->background_aside_ns = aside_left(w, true);
	ret->stuck = count_stuck(w);
	ret->pid = w->lanes[FOREGROUND].child.pid;
	ret->background_pid = w->lanes[BACKGROUND].child.pid;
	for (const struct waiter *q = w->queue; q; q = q->next)
		ret->waiting += !q->has_turn;
	pthread_mutex_unlock(&w->lock);
}

/*
 * The child, for whoever has the turn.
 */

/* What the late request brought goes to its file. */
static void keep_late(struct lane *lane, int64_t result)
{
	struct rfs_worker_file *f = lane->late_file;

	lane->is_late = false;
	lane->late_file = NULL;
	if ((lane->late_op == RFS_CHILD_OPEN ||
	     lane->late_op == RFS_CHILD_REOPEN) &&
	    result >= 0)
		close((int)result);
	if (!f)
		return;
	if (!f->late)
		f->late = malloc(RFS_WORKER_ROOM);
	if (!f->late)
		return;
	if (result > 0)
		memcpy(f->late, rfs_child_bytes(&lane->child), (size_t)result);
	f->late_result = (ssize_t)result;
	f->late_off = lane->late_range.off;
	if (lane->late_op == RFS_CHILD_PREAD_BACK && result > 0)
		f->late_off =
			rfs_range_end(lane->late_range) - (uint64_t)result;
	f->has_late = true;
}

static void end_child(struct rfs_worker *w, struct lane *lane)
{
	pid_t pid = lane->child.pid;

	rfs_child_end(&lane->child);
	lane->is_late = false;
	lane->late_file = NULL;
	for (size_t i = 0; i < STUCK_MAX && pid; i++)
		if (!w->stuck[i]) {
			w->stuck[i] = pid;
			pid = 0;
		}
	count_stuck(w);
}

/* Looks, without waiting, whether the late answer is there. */
static void look_for_late(struct rfs_worker *w, struct lane *lane)
{
	int64_t result;
	int r;

	if (!lane->is_late)
		return;
	r = rfs_child_receive(&lane->child, 0, &result);
	if (r == 0)
		keep_late(lane, result);
	else if (r == -EPIPE)
		end_child(w, lane);
}

static void set_aside(struct rfs_worker *w, struct lane *lane)
{
	lane->aside_until = now_ns() + lane->pause_ns;
	lane->pause_ns =
		lane->pause_ns < PAUSE_MAX / 2 ? 2 * lane->pause_ns : PAUSE_MAX;
	pthread_cond_broadcast(&w->changed);
}

/* A child that can take a request.  -ETIMEDOUT: too many are stuck. */
static int need_child(struct rfs_worker *w, struct lane *lane)
{
	unsigned int most =
		lane == &w->lanes[BACKGROUND] ? STUCK_BACKGROUND : STUCK_MAX;
	int r;

	look_for_late(w, lane);
	if (lane->is_late) {
		if (count_stuck(w) >= most) {
			w->counts.missed++;
			set_aside(w, lane);
			return -ETIMEDOUT;
		}
		end_child(w, lane);
	}
	if (lane->child.pid)
		return 0;
	r = rfs_child_start(&lane->child);
	return r == -EAGAIN ? -ENOMEM : r; /* no process more is our own want */
}

/*
 * The queue.
 */

static bool stands_back(const struct waiter *q)
{
	return q->background &&
	       !(q->ticket && atomic_load(&q->ticket->is_lifted));
}

/* Whose turn is next: the first in the foreground, else the first of all. */
static const struct waiter *first_of(const struct waiter *queue)
{
	const struct waiter *first = NULL;

	for (const struct waiter *q = queue; q; q = q->next) {
		if (q->has_turn)
			continue;
		if (!stands_back(q))
			return q;
		first = first ? first : q;
	}
	return first;
}

static void stand_in_queue(struct rfs_worker *w, struct waiter *me)
{
	struct waiter **at = &w->queue;

	while (*at)
		at = &(*at)->next;
	*at = me;
}

static void leave_queue(struct rfs_worker *w, const struct waiter *me)
{
	struct waiter **at = &w->queue;

	while (*at != me)
		at = &(*at)->next;
	*at = me->next;
	pthread_cond_broadcast(&w->changed);
}

static void wait_until(struct rfs_worker *w, int64_t until_ns)
{
	struct timespec ts = { until_ns / 1000000000, until_ns % 1000000000 };

	pthread_cond_timedwait(&w->changed, &w->lock, &ts);
}

/* One request at a time; but one of the background holds up the foreground for
 * no longer than the deadline. */
static bool is_turn_of(const struct rfs_worker *w, const struct waiter *me,
		       int64_t now)
{
	const struct lane *back = &w->lanes[BACKGROUND];

	if (w->lanes[FOREGROUND].is_busy || first_of(w->queue) != me)
		return false;
	return !back->is_busy ||
	       (!me->background && back->began_ns + w->deadline_ns <= now);
}

/* When to look again, or INT64_MAX; 'now' or earlier: the time is over. */
static int64_t look_again_at(const struct rfs_worker *w,
			     const struct waiter *me, int64_t now)
{
	const struct lane *fore = &w->lanes[FOREGROUND];
	const struct lane *back = &w->lanes[BACKGROUND];
	int64_t until;

	if (me->background)
		return now + SLICE_NS;
	if (fore->is_busy)
		return fore->began_ns + w->deadline_ns;
	if (!back->is_busy)
		return INT64_MAX;
	until = back->began_ns + w->deadline_ns;
	return until > now ? until : now + SLICE_NS; /* others go first */
}

static bool is_stopped(const struct rfs_patience *patience)
{
	return patience->stops && atomic_load(patience->stops);
}

/* 0: it is our turn.  -ETIMEDOUT: the child does not get on, or we are to
 * stop. */
static int wait_for_turn(struct rfs_worker *w, struct waiter *me,
			 const struct rfs_patience *patience)
{
	int64_t until, now;

	for (;;) {
		now = now_ns();
		if (aside_until(w, me->background) > now ||
		    is_stopped(patience))
			return -ETIMEDOUT;
		if (is_turn_of(w, me, now))
			return 0;
		until = look_again_at(w, me, now);
		if (until <= now)
			return -ETIMEDOUT;
		if (until == INT64_MAX)
			pthread_cond_wait(&w->changed, &w->lock);
		else
			wait_until(w, until);
	}
}

/* Until when there is patience, as things are. */
static int64_t end_of(const struct rfs_patience *patience, int64_t began,
		      int64_t *stopped)
{
	int64_t end = began + patience->left_ns;

	if (!is_stopped(patience))
		return end;
	if (!*stopped)
		*stopped = now_ns();
	return *stopped + GRACE_NS < end ? *stopped + GRACE_NS : end;
}

/* Sends, and waits as long as there is patience; the lock is not held.  0, or
 * -EAGAIN: too late, or -EPIPE. */
static int talk(struct rfs_child *child, const struct rfs_child_request *q,
		const struct rfs_patience *patience, int64_t began,
		int64_t *ret)
{
	int64_t left, wait, stopped = 0;
	int r;

	r = rfs_child_send(child, q);
	if (r < 0)
		return r;
	do {
		left = end_of(patience, began, &stopped) - now_ns();
		wait = left > 0 ? left : 0;
		if (patience->stops && wait > SLICE_NS)
			wait = SLICE_NS;
		r = rfs_child_receive(child, wait, ret);
	} while (r == -EAGAIN && left > 0);
	return r;
}

static void take_answer(const struct rfs_child *child, enum rfs_child_op op,
			void *to, size_t bytes)
{
	if (op == RFS_CHILD_STAT || op == RFS_CHILD_OPEN)
		memcpy(to, rfs_child_stat(child), sizeof(struct stat));
	else
		memcpy(to, rfs_child_bytes(child), bytes);
}

static bool is_read(enum rfs_child_op op)
{
	return op == RFS_CHILD_PREAD || op == RFS_CHILD_PREAD_SINGLY ||
	       op == RFS_CHILD_PREAD_BACK;
}

/* Nobody waits for the child's answer any more: after the deadline, or as who
 * asked was told to stop. */
static void leave_late(struct rfs_worker *w, struct lane *lane,
		       const struct rfs_child_request *q,
		       struct rfs_worker_file *file,
		       struct rfs_patience *patience)
{
	lane->is_late = true;
	lane->late_op = q->op;
	lane->late_file = is_read(q->op) ? file : NULL;
	lane->late_range = rfs_range(q->off, q->len);
	if (patience->left_ns > 0 &&
	    (!is_stopped(patience) ||
	     now_ns() - lane->began_ns >= w->deadline_ns))
		patience->left_ns = 0;
	w->counts.missed += patience->left_ns <= 0;
	set_aside(w, lane);
}

static void tell_begin(struct rfs_patience *patience, int64_t began_ns)
{
	if (patience->ticket)
		atomic_store(&patience->ticket->began_ns, began_ns);
}

/* The child's part of a request: it is our turn, and the lock is held, but not
 * while the child works.  0, and its result; or a negative errno. */
static int ask_child(struct rfs_worker *w, const struct rfs_child_request *q,
		     struct rfs_worker_file *file, void *to,
		     struct rfs_patience *patience, int64_t *ret)
{
	struct lane *lane =
		&w->lanes[patience->background ? BACKGROUND : FOREGROUND];
	int r;

	r = need_child(w, lane);
	if (r < 0)
		return r;
	lane->is_busy = true;
	lane->began_ns = now_ns();
	tell_begin(patience, lane->began_ns);
	pthread_mutex_unlock(&w->lock);
	r = talk(&lane->child, q, patience, lane->began_ns, ret);
	if (r == 0 && *ret >= 0 && to)
		take_answer(&lane->child, q->op, to, (size_t)*ret);
	pthread_mutex_lock(&w->lock);
	lane->is_busy = false;
	patience->left_ns -= now_ns() - lane->began_ns;
	if (r == 0) {
		lane->pause_ns = PAUSE_NS;
		tell_begin(patience, 0);
	} else if (r == -EPIPE) {
		end_child(w, lane);
	} else if (r == -EAGAIN) {
		leave_late(w, lane, q, file, patience);
	}
	return r == -EAGAIN ? -ETIMEDOUT : r;
}

/* A child that died of something else, killed by someone or for want of
 * memory, is replaced, and asked once more. */
static int64_t serve(struct rfs_worker *w, const struct rfs_child_request *q,
		     struct rfs_worker_file *file, void *to,
		     struct rfs_patience *patience)
{
	int64_t result = 0;
	int r;

	r = ask_child(w, q, file, to, patience, &result);
	if (r == -EPIPE && patience->left_ns > 0)
		r = ask_child(w, q, file, to, patience, &result);
	if (r == -EPIPE)
		r = -ETIMEDOUT;
	if (r == 0 && result == -ETIMEDOUT)
		result =
			-EIO; /* the kernel's answer, and not the lack of one */
	/* That there is no more data is an answer. */
	if (r < 0 ||
	    (result < 0 && !(q->op == RFS_CHILD_SEEK && result == -ENXIO)))
		w->counts.errors++;
	return r < 0 ? r : result;
}

static int64_t request(struct rfs_worker *w, const struct rfs_child_request *q,
		       struct rfs_worker_file *file, void *to,
		       struct rfs_patience *patience)
{
	struct waiter me = { .background = patience->background,
			     .ticket = patience->ticket };
	int64_t r;

	if (patience->left_ns <= 0)
		return -ETIMEDOUT;
	pthread_mutex_lock(&w->lock);
	stand_in_queue(w, &me);
	r = wait_for_turn(w, &me, patience);
	if (r == 0) {
		me.has_turn = true;
		r = serve(w, q, file, to, patience);
	}
	leave_queue(w, &me);
	pthread_mutex_unlock(&w->lock);
	return r;
}

/*
 * What can be asked for.
 */

int rfs_worker_file_new(struct rfs_worker *w, int fd,
			struct rfs_worker_file **ret, struct rfs_error *err)
{
	struct rfs_worker_file *f = calloc(1, sizeof(*f));

	if (!f) {
		close(fd);
		return rfs_no_memory(err);
	}
	f->w = w;
	f->fd = fd;
	*ret = f;
	return 0;
}

void rfs_worker_file_free(struct rfs_worker_file *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&f->w->lock);
	for (int i = 0; i < LANES; i++)
		if (f->w->lanes[i].late_file == f)
			f->w->lanes[i].late_file = NULL;
	pthread_mutex_unlock(&f->w->lock);
	close(f->fd);
	free(f->late);
	free(f);
}

int rfs_worker_file_fd(const struct rfs_worker_file *f)
{
	return f->fd;
}

/* One of the reads. */
static ssize_t request_read(struct rfs_worker_file *f,
			    const struct rfs_child_request *q, void *buf,
			    struct rfs_patience *patience)
{
	struct rfs_worker *w = f->w;
	ssize_t n;

	if (q->len > RFS_WORKER_ROOM)
		return -EINVAL;
	n = (ssize_t)request(w, q, f, buf, patience);
	pthread_mutex_lock(&w->lock);
	w->counts.reads++;
	w->counts.bytes += n > 0 ? (uint64_t)n : 0;
	pthread_mutex_unlock(&w->lock);
	return n;
}

ssize_t rfs_worker_pread(struct rfs_worker_file *f, void *buf, size_t len,
			 uint64_t off, struct rfs_patience *patience)
{
	struct rfs_child_request q = {
		.op = RFS_CHILD_PREAD, .fd = f->fd, .off = off, .len = len
	};

	return request_read(f, &q, buf, patience);
}

ssize_t rfs_worker_pread_singly(struct rfs_worker_file *f, void *buf,
				size_t len, size_t unit, bool back,
				uint64_t off, struct rfs_patience *patience)
{
	struct rfs_child_request q = {
		.op = back ? RFS_CHILD_PREAD_BACK : RFS_CHILD_PREAD_SINGLY,
		.fd = f->fd,
		.off = off,
		.len = len,
		.unit = unit,
	};

	if (!unit || (back && len % unit))
		return -EINVAL;
	return request_read(f, &q, buf, patience);
}

/* Whether a late answer to this file may come still. */
static bool expects_late(struct rfs_worker *w, const struct rfs_worker_file *f)
{
	bool expects = false;

	for (int i = 0; i < LANES; i++) {
		if (!w->lanes[i].is_busy)
			look_for_late(w, &w->lanes[i]);
		expects = expects || w->lanes[i].late_file == f;
	}
	return expects;
}

ssize_t rfs_worker_late(struct rfs_worker_file *f, void *buf, uint64_t *ret_off)
{
	struct rfs_worker *w = f->w;
	ssize_t n;

	pthread_mutex_lock(&w->lock);
	n = expects_late(w, f) ? -EAGAIN : -ENOENT;
	if (f->has_late) {
		n = f->late_result;
		if (n > 0)
			memcpy(buf, f->late, (size_t)n);
		*ret_off = f->late_off;
		f->has_late = false;
		free(f->late);
		f->late = NULL;
	}
	pthread_mutex_unlock(&w->lock);
	return n;
}

int64_t rfs_worker_seek(struct rfs_worker_file *f, uint64_t off, int whence,
			struct rfs_patience *patience)
{
	struct rfs_child_request q = {
		.op = RFS_CHILD_SEEK, .fd = f->fd, .off = off, .whence = whence
	};

	return request(f->w, &q, NULL, NULL, patience);
}

int rfs_worker_openat2(struct rfs_worker *w, int dir_fd, const char *path,
		       uint64_t flags, uint64_t resolve, struct stat *ret,
		       struct rfs_patience *patience)
{
	struct rfs_child_request q = { .op = RFS_CHILD_OPEN,
				       .fd = dir_fd,
				       .path = path,
				       .flags = flags,
				       .resolve = resolve };

	return (int)request(w, &q, NULL, ret, patience);
}

int rfs_worker_reopen(struct rfs_worker *w, int path_fd,
		      struct rfs_patience *patience)
{
	struct rfs_child_request q = { .op = RFS_CHILD_REOPEN, .fd = path_fd };

	return (int)request(w, &q, NULL, NULL, patience);
}

int64_t rfs_worker_fs_type(struct rfs_worker *w, int fd,
			   struct rfs_patience *patience)
{
	struct rfs_child_request q = { .op = RFS_CHILD_FS_TYPE, .fd = fd };

	return request(w, &q, NULL, NULL, patience);
}

int rfs_worker_fstat(struct rfs_worker *w, int fd, struct stat *ret,
		     struct rfs_patience *patience)
{
	struct rfs_child_request q = { .op = RFS_CHILD_STAT, .fd = fd };

	return (int)request(w, &q, NULL, ret, patience);
}

ssize_t rfs_worker_readlinkat(struct rfs_worker *w, int fd, char *buf,
			      size_t room, struct rfs_patience *patience)
{
	struct rfs_child_request q = { .op = RFS_CHILD_READLINK,
				       .fd = fd,
				       .len = room < RFS_WORKER_ROOM
						      ? room
						      : RFS_WORKER_ROOM };

	return (ssize_t)request(w, &q, NULL, buf, patience);
}

ssize_t rfs_worker_getdents(struct rfs_worker *w, int fd, void *buf,
			    size_t room, struct rfs_patience *patience)
{
	struct rfs_child_request q = { .op = RFS_CHILD_DENTS,
				       .fd = fd,
				       .len = room < RFS_WORKER_ROOM
						      ? room
						      : RFS_WORKER_ROOM };

	return (ssize_t)request(w, &q, NULL, buf, patience);
}
