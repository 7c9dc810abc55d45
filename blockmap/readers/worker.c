// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Those who ask stand in a queue; the one whose turn it is talks to the child
 * with the lock released, so that the others can look at the clock.  While a
 * request is with the child 'began_ns' is its begin, and whoever waits for its
 * turn in the foreground waits no longer than the deadline from there on.
 */
#include "readers/worker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "readers/worker_child.h"

#define STUCK_MAX 4u
#define PAUSE_NS  INT64_C(1000000000) /* the first; it doubles up to */
#define PAUSE_MAX INT64_C(60000000000)

/* One who waits for its turn. */
struct waiter {
	struct waiter *next;
	bool background;
};

struct rfs_worker {
	char *name;
	int64_t deadline_ns;
	pthread_mutex_t lock;	/* guards all below, but for the child while
				   'is_busy': it is the one's who made it so */
	pthread_cond_t changed; /* the queue, is_busy or aside_until */
	struct waiter *queue;
	bool is_busy;
	int64_t began_ns;
	int64_t aside_until, pause_ns;
	struct rfs_child child;
	bool is_late; /* the child has a request that nobody waits for */
	enum rfs_child_op late_op;
	struct rfs_worker_file *late_file; /* whose; NULL: of no file */
	uint64_t late_off;
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
	w->pause_ns = PAUSE_NS;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->changed, &attr);
	pthread_condattr_destroy(&attr);
	*ret = w;
	return 0;
}

void rfs_worker_free(struct rfs_worker *w)
{
	if (!w)
		return;
	pid_t pid = w->child.pid;

	rfs_child_end(&w->child);
	if (pid)
		rfs_child_reap(pid);
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

void rfs_worker_counts(struct rfs_worker *w, struct rfs_worker_counts *ret)
{
	int64_t left;

	pthread_mutex_lock(&w->lock);
	*ret = w->counts;
	left = w->aside_until - now_ns();
	ret->aside_ns = left > 0 ? left : 0;
	ret->stuck = count_stuck(w);
	ret->pid = w->child.pid;
	pthread_mutex_unlock(&w->lock);
}

/*
 * The child, for whoever has the turn.
 */

/* What the late request brought goes to its file. */
static void keep_late(struct rfs_worker *w, int64_t result)
{
	struct rfs_worker_file *f = w->late_file;

	w->is_late = false;
	w->late_file = NULL;
	if ((w->late_op == RFS_CHILD_OPEN || w->late_op == RFS_CHILD_REOPEN) &&
	    result >= 0)
		close((int)result);
	if (!f)
		return;
	if (!f->late)
		f->late = malloc(RFS_WORKER_ROOM);
	if (!f->late)
		return;
	if (result > 0)
		memcpy(f->late, rfs_child_bytes(&w->child), (size_t)result);
	f->late_result = (ssize_t)result;
	f->late_off = w->late_off;
	f->has_late = true;
}

static void end_child(struct rfs_worker *w)
{
	pid_t pid = w->child.pid;

	rfs_child_end(&w->child);
	w->is_late = false;
	w->late_file = NULL;
	for (size_t i = 0; i < STUCK_MAX && pid; i++)
		if (!w->stuck[i]) {
			w->stuck[i] = pid;
			pid = 0;
		}
	count_stuck(w);
}

/* Looks, without waiting, whether the late answer is there. */
static void look_for_late(struct rfs_worker *w)
{
	int64_t result;
	int r;

	if (!w->is_late)
		return;
	r = rfs_child_receive(&w->child, 0, &result);
	if (r == 0)
		keep_late(w, result);
	else if (r == -EPIPE)
		end_child(w);
}

static void set_aside(struct rfs_worker *w, int64_t now)
{
	w->counts.missed++;
	w->aside_until = now + w->pause_ns;
	w->pause_ns = w->pause_ns < PAUSE_MAX / 2 ? 2 * w->pause_ns : PAUSE_MAX;
	pthread_cond_broadcast(&w->changed);
}

/* A child that can take a request.  -ETIMEDOUT: too many are stuck. */
static int need_child(struct rfs_worker *w)
{
	int r;

	look_for_late(w);
	if (w->is_late) {
		if (count_stuck(w) == STUCK_MAX) {
			set_aside(w, now_ns());
			return -ETIMEDOUT;
		}
		end_child(w);
	}
	if (w->child.pid)
		return 0;
	r = rfs_child_start(&w->child);
	return r == -EAGAIN ? -ENOMEM : r; /* no process more is our own want */
}

/*
 * The queue.
 */

/* Whose turn it is: the first in the foreground, else the first of all. */
static const struct waiter *first_of(const struct waiter *queue)
{
	const struct waiter *q = queue;

	while (q && q->background)
		q = q->next;
	return q ? q : queue;
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

/* 0: it is our turn.  -ETIMEDOUT: the child does not get on. */
static int wait_for_turn(struct rfs_worker *w, struct waiter *me)
{
	int64_t until;

	for (;;) {
		if (w->aside_until > now_ns())
			return -ETIMEDOUT;
		if (!w->is_busy && first_of(w->queue) == me)
			return 0;
		until = w->began_ns + w->deadline_ns;
		if (!w->is_busy || me->background)
			pthread_cond_wait(&w->changed, &w->lock);
		else if (until <= now_ns())
			return -ETIMEDOUT;
		else
			wait_until(w, until);
	}
}

/* Sends, and waits as long as there is patience; the lock is not held.  0, or
 * -EAGAIN: too late, or -EPIPE. */
static int talk(struct rfs_child *child, const struct rfs_child_request *q,
		int64_t until_ns, int64_t *ret)
{
	int64_t left;
	int r;

	r = rfs_child_send(child, q);
	if (r < 0)
		return r;
	do {
		left = until_ns - now_ns();
		r = rfs_child_receive(child, left > 0 ? left : 0, ret);
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

/* Nobody waits for the child's answer any more. */
static void leave_late(struct rfs_worker *w, const struct rfs_child_request *q,
		       struct rfs_worker_file *file)
{
	w->is_late = true;
	w->late_op = q->op;
	w->late_file =
		q->op == RFS_CHILD_PREAD || q->op == RFS_CHILD_PREAD_SINGLY
			? file
			: NULL;
	w->late_off = q->off;
	set_aside(w, now_ns());
}

/* The child's part of a request: it is our turn, and the lock is held, but not
 * while the child works.  0, and its result; or a negative errno. */
static int ask_child(struct rfs_worker *w, const struct rfs_child_request *q,
		     struct rfs_worker_file *file, void *to,
		     struct rfs_patience *patience, int64_t *ret)
{
	int r;

	r = need_child(w);
	if (r < 0)
		return r;
	w->is_busy = true;
	w->began_ns = now_ns();
	pthread_mutex_unlock(&w->lock);
	r = talk(&w->child, q, w->began_ns + patience->left_ns, ret);
	if (r == 0 && *ret >= 0 && to)
		take_answer(&w->child, q->op, to, (size_t)*ret);
	pthread_mutex_lock(&w->lock);
	w->is_busy = false;
	patience->left_ns -= now_ns() - w->began_ns;
	if (r == 0)
		w->pause_ns = PAUSE_NS;
	else if (r == -EPIPE)
		end_child(w);
	else if (r == -EAGAIN)
		leave_late(w, q, file);
	if (r == -EAGAIN && patience->left_ns > 0)
		patience->left_ns = 0;
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
	w->counts.errors += r < 0 || result < 0;
	return r < 0 ? r : result;
}

static int64_t request(struct rfs_worker *w, const struct rfs_child_request *q,
		       struct rfs_worker_file *file, void *to,
		       struct rfs_patience *patience)
{
	struct waiter me = { .background = patience->background };
	int64_t r;

	if (patience->left_ns <= 0)
		return -ETIMEDOUT;
	pthread_mutex_lock(&w->lock);
	stand_in_queue(w, &me);
	r = wait_for_turn(w, &me);
	if (r == 0)
		r = serve(w, q, file, to, patience);
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
	if (f->w->late_file == f)
		f->w->late_file = NULL;
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

ssize_t rfs_worker_late(struct rfs_worker_file *f, void *buf, uint64_t *ret_off)
{
	struct rfs_worker *w = f->w;
	ssize_t n = -EAGAIN;

	pthread_mutex_lock(&w->lock);
	if (!w->is_busy)
		look_for_late(w);
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
