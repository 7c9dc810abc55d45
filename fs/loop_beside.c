// SPDX-License-Identifier: GPL-3.0-or-later
#include "fs/loop_beside.h"

#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/loop_parts.h"
#include "fs/proc_stat.h"
#include "fs/thread.h"

/* How many requests later the reader may be elsewhere: to look costs about as much as
 * half a request does, to be on two processors as much as two. */
#define FOLLOW_EACH 8

static bool set_policy(pid_t tid, int policy)
{
	const struct sched_param none = { 0 };

	return sched_setscheduler(tid, policy, &none) == 0;
}

struct probe {
	pid_t tid;
	sem_t there, done;
};

static void *be_probed(void *data)
{
	struct probe *p = data;

	p->tid = gettid();
	sem_post(&p->there);
	sem_wait(&p->done);
	return NULL;
}

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem) < 0)
		;
}

/* On a thread that sleeps meanwhile: with that policy it might not be heard of for long. */
bool rfs_loop_can_give_way(void)
{
	struct probe p = { 0 };
	pthread_t thread;
	bool can = false;

	sem_init(&p.there, 0, 0);
	sem_init(&p.done, 0, 0);
	if (rfs_thread_start(&thread, be_probed, &p) == 0) {
		wait_for(&p.there);
		can = sched_getscheduler(p.tid) == SCHED_OTHER &&
		      set_policy(p.tid, SCHED_IDLE) &&
		      set_policy(p.tid, SCHED_OTHER);
		sem_post(&p.done);
		pthread_join(thread, NULL);
	}
	sem_destroy(&p.there);
	sem_destroy(&p.done);
	return can;
}

void rfs_loop_give_way(struct rfs_loop_member *m)
{
	/* Somebody may have given it another one since. */
	if (sched_getscheduler(0) != SCHED_OTHER)
		return;
	atomic_store(&m->gives_way, true);
	set_policy(0, SCHED_IDLE);
	/* Nobody insists on it after the end of that. */
	if (!atomic_load(&m->loop->beside))
		rfs_loop_stop_giving_way(m);
}

void rfs_loop_stop_giving_way(struct rfs_loop_member *m)
{
	if (!atomic_load_explicit(&m->gives_way, memory_order_relaxed))
		return;
	if (set_policy(0, SCHED_OTHER))
		atomic_store(&m->gives_way, false);
	else
		atomic_store(&m->loop->unfit, true);
}

void rfs_loop_insist(struct rfs_loop_member *m)
{
	set_policy(atomic_load(&m->tid), SCHED_OTHER);
}

/* The processor on which 'tid' is, or was last; -1 if that cannot be told. */
static int processor_of(pid_t tid)
{
	char path[64], text[1024];
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid);
	p = rfs_proc_stat(path, text, sizeof(text));
	for (int field = 3; field < 39 && p; field++) {
		p = strchr(p, ' ');
		p = p ? p + 1 : NULL;
	}
	return p ? atoi(p) : -1;
}

/* To one of 'there' that it may use.  It may be moved away again, and what it starts
 * may run anywhere. */
static void go_to(const cpu_set_t *there)
{
	cpu_set_t before, now;

	if (sched_getaffinity(0, sizeof(before), &before) < 0)
		return;
	CPU_AND(&now, &before, there);
	if (CPU_COUNT(&now) && sched_setaffinity(0, sizeof(now), &now) == 0)
		sched_setaffinity(0, sizeof(before), &before);
}

void rfs_loop_follow(struct rfs_loop_member *m)
{
	cpu_set_t there;
	int processor;

	if (m->reader <= 0 || m->followed++ % FOLLOW_EACH)
		return;
	processor = processor_of(m->reader);
	if (processor < 0 || processor >= CPU_SETSIZE)
		processor = -1;
	atomic_store_explicit(&m->loop->together, processor,
			      memory_order_relaxed);
	if (processor < 0 || processor == sched_getcpu())
		return;
	CPU_ZERO(&there);
	CPU_SET((size_t)processor, &there);
	go_to(&there);
}

void rfs_loop_keep_away(struct rfs_loop *loop)
{
	int processor = atomic_load(&loop->together);
	cpu_set_t there;

	if (processor < 0 || processor != sched_getcpu())
		return;
	memset(&there, 0xff, sizeof(there));
	CPU_CLR((size_t)processor, &there);
	go_to(&there);
}
