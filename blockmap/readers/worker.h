/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker.h - a process of its own for a source that may hang (P6).
 *
 * A read that is stuck in the kernel can be neither cancelled nor outlived by
 * the process that made it.  So everything that touches a damaged source's
 * file system or device is done by a child process, one for each source, and
 * waited for no longer than a deadline.
 *
 * One request is with the child at a time: a dying disk is not made to seek
 * between readers.  Those who wait are served in order, the foreground before
 * the background.  The clock of a request runs while it is with the child, not
 * while it waits for a child that gets on.
 *
 * A request that misses its deadline sets the source aside: it and all others
 * that wait get -ETIMEDOUT at once, and so does whoever comes before the pause
 * is over.  The pauses grow.  After one, if the child is still stuck, another
 * takes its place (a few at the most), and the next request is tried.  What the
 * late request brings in the end is handed to rfs_worker_late.
 *
 * The background may have more patience than the deadline, and asks for what
 * is known to hang.  It has a child of its own, and what it misses sets aside
 * the background alone: the foreground waits for a request of the background
 * up to the deadline, and goes on without it then.
 *
 * Safe from many threads.
 */
#ifndef RESCUEFS_READERS_WORKER_H
#define RESCUEFS_READERS_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "core/error.h"

#define RFS_WORKER_DEADLINE_MS 2000
/* The largest read, in bytes. */
#define RFS_WORKER_ROOM (1u << 20)

struct rfs_worker;

/* A request as those see it who wait for what it brings. */
struct rfs_ticket {
	/* Set by one of them: it no longer lets the others go first. */
	atomic_bool is_lifted;
	/* Since when (CLOCK_MONOTONIC) the child has it and has not answered;
	 * 0: it waits for its turn, or was answered. */
	_Atomic int64_t began_ns;
};

/* Who asks, and how long it may take. */
struct rfs_patience {
	int64_t left_ns; /* goes down by the time that each request takes */
	bool background; /* lets the others go first */
	/* May be NULL.  When it is set, the request ends within two seconds:
	 * with -ETIMEDOUT, and 'left_ns' is above 0 if the deadline had not
	 * passed yet. */
	const atomic_bool *stops;
	struct rfs_ticket *ticket; /* may be NULL */
};

struct rfs_worker_counts {
	uint64_t reads, bytes, errors, missed; /* 'missed' deadlines */
	int64_t aside_ns; /* how much longer it is set aside; 0: it is not */
	int64_t background_aside_ns; /* the same for the background */
	unsigned int waiting;	     /* requests that wait for their turn */
	unsigned int stuck;	     /* children that have not come back */
	pid_t pid;	      /* of the child that serves; 0: there is none */
	pid_t background_pid; /* the same for the background */
};

/* 'name' is the source's, for messages; copied.  The child is started with the
 * first request. */
int rfs_worker_new(const char *name, unsigned int deadline_ms,
		   struct rfs_worker **ret, struct rfs_error *err);
/* Ends the children, without waiting for one that is stuck.  No request may be
 * under way, and no file open.  Accepts NULL. */
void rfs_worker_free(struct rfs_worker *w);

/* The patience of a reader in the foreground. */
struct rfs_patience rfs_worker_patience(const struct rfs_worker *w);

void rfs_worker_counts(struct rfs_worker *w, struct rfs_worker_counts *ret);

/* A file that the worker reads. */
struct rfs_worker_file;

/* 'fd' belongs to the file from the call on, also when it fails. */
int rfs_worker_file_new(struct rfs_worker *w, int fd,
			struct rfs_worker_file **ret, struct rfs_error *err);
void rfs_worker_file_free(struct rfs_worker_file *f);
int rfs_worker_file_fd(
	const struct rfs_worker_file *f); /* not to be read from */

/* As pread(2) with a negative errno; 'len' is at most RFS_WORKER_ROOM, and the
 * alignment that O_DIRECT wants of the buffer is seen to.  -ETIMEDOUT: it was
 * not waited for. */
ssize_t rfs_worker_pread(struct rfs_worker_file *f, void *buf, size_t len,
			 uint64_t off, struct rfs_patience *patience);

/* Reads in units of 'unit' bytes, one after the other, up to the first that
 * fails: what it returns is what came before, or why the first failed.  'back':
 * from the end, 'len' a multiple of 'unit'; what came lies at the begin of
 * 'buf', and belongs to the end of the range. */
ssize_t rfs_worker_pread_singly(struct rfs_worker_file *f, void *buf,
				size_t len, size_t unit, bool back,
				uint64_t off, struct rfs_patience *patience);

/* As lseek(2) with SEEK_DATA or SEEK_HOLE. */
int64_t rfs_worker_seek(struct rfs_worker_file *f, uint64_t off, int whence,
			struct rfs_patience *patience);

/* What a late read of this file brought after all, if anything: its offset and
 * bytes, once.  Returns its result as pread would have, or -EAGAIN: it has not
 * come yet, or -ENOENT: none will.  'buf' holds RFS_WORKER_ROOM bytes. */
ssize_t rfs_worker_late(struct rfs_worker_file *f, void *buf,
			uint64_t *ret_off);

/* What a name in a tree needs, done by the child: readers/reach.h says what each
 * does, and is what others call. */
int rfs_worker_openat2(struct rfs_worker *w, int dir_fd, const char *path,
		       uint64_t flags, uint64_t resolve, struct stat *ret,
		       struct rfs_patience *patience);
int rfs_worker_reopen(struct rfs_worker *w, int path_fd,
		      struct rfs_patience *patience);
int64_t rfs_worker_fs_type(struct rfs_worker *w, int fd,
			   struct rfs_patience *patience);
int rfs_worker_fstat(struct rfs_worker *w, int fd, struct stat *ret,
		     struct rfs_patience *patience);
ssize_t rfs_worker_readlinkat(struct rfs_worker *w, int fd, char *buf,
			      size_t room, struct rfs_patience *patience);
/* Entries as getdents64(2) gives them, from where the last call ended. */
ssize_t rfs_worker_getdents(struct rfs_worker *w, int fd, void *buf,
			    size_t room, struct rfs_patience *patience);

#endif /* RESCUEFS_READERS_WORKER_H */
