/* SPDX-License-Identifier: GPL-3.0-or-later */
/* thread.h - threads beside the one that was there first. */
#ifndef RESCUEFS_FS_THREAD_H
#define RESCUEFS_FS_THREAD_H

#include <pthread.h>
#include <signal.h>

/* A thread that takes no signals: they are for the one that waits for them, and
 * only there do they end what it waits for.  An errno, as pthread_create. */
static inline int rfs_thread_start(pthread_t *ret, void *(*run)(void *),
				   void *data)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(ret, NULL, run, data);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

#endif /* RESCUEFS_FS_THREAD_H */
