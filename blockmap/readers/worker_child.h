/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker_child.h - the process at the other end, and the way to it.
 *
 * It is forked from a process of many threads and never execs: it uses nothing
 * but system calls and memory that was there before.  A request goes over a
 * socket with the descriptor that it is about; bytes come back in memory that
 * both share.  It ends when the socket does.
 *
 * Not safe from threads: worker.c sees to it that one at a time is here.
 */
#ifndef RESCUEFS_READERS_WORKER_CHILD_H
#define RESCUEFS_READERS_WORKER_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

enum rfs_child_op {
	RFS_CHILD_PREAD,
	RFS_CHILD_PREAD_SINGLY, /* 'unit' bytes at a time, up to a failure */
	RFS_CHILD_PREAD_BACK,	/* the same from the end; what came of it lies
				   at the begin of the bytes */
	RFS_CHILD_SEEK,
	RFS_CHILD_OPEN,	  /* openat2 of the path in the shared memory, and its
			     stat */
	RFS_CHILD_REOPEN, /* for reading, what an O_PATH descriptor is of */
	RFS_CHILD_STAT,	  /* with the size of a block device */
	RFS_CHILD_FS_TYPE,
	RFS_CHILD_READLINK,
	RFS_CHILD_DENTS,
};

struct rfs_child_request {
	enum rfs_child_op op;
	int fd; /* goes along */
	int whence;
	uint64_t off, len, unit;
	uint64_t flags, resolve;
	const char *path;
};

struct rfs_child_shared;

struct rfs_child {
	pid_t pid; /* 0: there is none */
	int sock;
	struct rfs_child_shared *shared;
};

/* 0 or a negative errno. */
int rfs_child_start(struct rfs_child *c);

/* Ends it as soon as the kernel lets it, and does not wait for that. */
void rfs_child_end(struct rfs_child *c);

/* True if it could be reaped.  The pid is of one that was ended. */
bool rfs_child_reap(pid_t pid);

/* 0, or -EPIPE: it has died. */
int rfs_child_send(struct rfs_child *c, const struct rfs_child_request *q);

/* Waits so long for the answer to the request sent last.  0: *ret is its
 * result, a negative errno or what the call returned (a descriptor that was
 * opened is the caller's).  -EAGAIN: not yet.  -EPIPE: it has died.
 */
int rfs_child_receive(struct rfs_child *c, int64_t timeout_ns, int64_t *ret);

/* What came with the last answer. */
const void *rfs_child_bytes(const struct rfs_child *c);
const struct stat *rfs_child_stat(const struct rfs_child *c);

#endif /* RESCUEFS_READERS_WORKER_CHILD_H */
