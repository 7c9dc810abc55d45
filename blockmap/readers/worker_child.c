// SPDX-License-Identifier: GPL-3.0-or-later
#include "readers/worker_child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "readers/reach_here.h"
#include "readers/worker.h"

struct rfs_child_shared {
	uint8_t room[RFS_WORKER_ROOM]; /* page-aligned, for O_DIRECT */
	char path[PATH_MAX];
	struct stat st;
};

/* What goes over the socket; a descriptor may go along. */
struct message {
	int64_t result; /* of an answer */
	uint64_t off, len, unit, flags, resolve;
	int32_t op, whence;
};

/* Room for one descriptor, aligned as a control message must be. */
union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

static ssize_t send_message(int sock, const struct message *m, int fd)
{
	struct iovec part = { (void *)m, sizeof(*m) };
	union control control;
	struct msghdr head = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t n;

	if (fd >= 0) {
		memset(&control, 0, sizeof(control));
		head.msg_control = control.room;
		head.msg_controllen = sizeof(control.room);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	}
	do
		n = sendmsg(sock, &head, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n;
}

static ssize_t receive_message(int sock, struct message *m, int *ret_fd)
{
	struct iovec part = { m, sizeof(*m) };
	union control control;
	struct msghdr head = { .msg_iov = &part,
			       .msg_iovlen = 1,
			       .msg_control = control.room,
			       .msg_controllen = sizeof(control.room) };
	const struct cmsghdr *c;
	ssize_t n;

	*ret_fd = -1;
	do
		n = recvmsg(sock, &head, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	c = n > 0 ? CMSG_FIRSTHDR(&head) : NULL;
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(c), sizeof(*ret_fd));
	return n;
}

/*
 * In the child: nothing but system calls.
 */

static int64_t result_of(int64_t r)
{
	return r < 0 ? -errno : r;
}

static int64_t read_once(int fd, uint8_t *to, uint64_t len, uint64_t off)
{
	int64_t r;

	do
		r = pread(fd, to, len, (off_t)off);
	while (r < 0 && errno == EINTR);
	return result_of(r);
}

/* The bytes that came up to the first failure; that itself if none did. */
static int64_t read_singly(struct rfs_child_shared *s, const struct message *m,
			   int fd)
{
	uint64_t done = 0, unit;
	int64_t r = 0;

	while (done < m->len) {
		unit = m->len - done < m->unit ? m->len - done : m->unit;
		r = read_once(fd, s->room + done, unit, m->off + done);
		if (r <= 0)
			break;
		done += (uint64_t)r;
		if ((uint64_t)r < unit)
			break;
	}
	return done ? (int64_t)done : r;
}

/* Of units all of which are whole. */
static int64_t read_back(struct rfs_child_shared *s, const struct message *m,
			 int fd)
{
	uint64_t left = m->len, unit = m->unit;
	int64_t r = 0;

	while (left >= unit) {
		r = read_once(fd, s->room + left - unit, unit,
			      m->off + left - unit);
		if (r != (int64_t)unit)
			break;
		left -= unit;
	}
	if (left == m->len)
		return r < 0 ? r : -EIO;
	memmove(s->room, s->room + left, m->len - left);
	return (int64_t)(m->len - left);
}

/* What was asked; *ret_fd is a descriptor to send back, or -1. */
static int64_t serve(struct rfs_child_shared *s, const struct message *m,
		     int fd, int *ret_fd)
{
	int64_t r;

	*ret_fd = -1;
	switch (m->op) {
	case RFS_CHILD_PREAD:
		return read_once(fd, s->room, m->len, m->off);
	case RFS_CHILD_PREAD_SINGLY:
		return read_singly(s, m, fd);
	case RFS_CHILD_PREAD_BACK:
		return read_back(s, m, fd);
	case RFS_CHILD_SEEK:
		return result_of(lseek(fd, (off_t)m->off, m->whence));
	case RFS_CHILD_OPEN:
	case RFS_CHILD_REOPEN:
		r = m->op == RFS_CHILD_OPEN
			    ? rfs_here_open(fd, s->path, m->flags, m->resolve,
					    &s->st)
			    : rfs_here_reopen(fd);
		*ret_fd = r < 0 ? -1 : (int)r;
		return r;
	case RFS_CHILD_STAT:
		return rfs_here_stat(fd, &s->st);
	case RFS_CHILD_FS_TYPE:
		return rfs_here_fs_type(fd);
	case RFS_CHILD_READLINK:
		return result_of(readlinkat(fd, "", (char *)s->room, m->len));
	case RFS_CHILD_DENTS:
		return result_of(getdents64(fd, s->room, m->len));
	default:
		return -ENOSYS;
	}
}

static void child_loop(int sock, struct rfs_child_shared *s)
{
	struct message m, answer = { 0 };
	int fd, back;

	while (receive_message(sock, &m, &fd) == (ssize_t)sizeof(m)) {
		answer.result = serve(s, &m, fd, &back);
		if (send_message(sock, &answer, back) < 0)
			return;
		if (fd >= 0)
			close(fd);
		if (back >= 0)
			close(back);
	}
}

/* It must keep nothing open that others wait for: the mount's device, the
 * state's lock, a pipe to whoever started us.  What ends the daemon does not end
 * it: that is for the socket to say. */
static void child_main(int sock, struct rfs_child_shared *s)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t none;

	if (dup2(sock, 0) == 0)
		syscall(SYS_close_range, 1U, ~0U, 0U);
	setsid();
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGHUP, &ignore, NULL);
	sigaction(SIGTERM, &ignore, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_NAME, "rescuefs-read");
	child_loop(0, s);
	_exit(0);
}

/*
 * In the daemon.
 */

int rfs_child_start(struct rfs_child *c)
{
	int socks[2], r;
	void *shared;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0)
		return -errno;
	shared = mmap(NULL, sizeof(*c->shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		r = -errno;
		close(socks[0]);
		close(socks[1]);
		return r;
	}
	c->pid = fork();
	if (c->pid == 0)
		child_main(socks[1], shared);
	r = c->pid < 0 ? -errno : 0;
	close(socks[1]);
	if (r < 0) {
		close(socks[0]);
		munmap(shared, sizeof(*c->shared));
		c->pid = 0;
		return r;
	}
	c->sock = socks[0];
	c->shared = shared;
	return 0;
}

void rfs_child_end(struct rfs_child *c)
{
	if (!c->pid)
		return;
	kill(c->pid, SIGKILL);
	close(c->sock);
	munmap(c->shared, sizeof(*c->shared));
	*c = (struct rfs_child){ 0 };
}

bool rfs_child_reap(pid_t pid)
{
	return waitpid(pid, NULL, WNOHANG) != 0;
}

int rfs_child_send(struct rfs_child *c, const struct rfs_child_request *q)
{
	struct message m = { .op = (int32_t)q->op,
			     .whence = q->whence,
			     .off = q->off,
			     .len = q->len,
			     .unit = q->unit,
			     .flags = q->flags,
			     .resolve = q->resolve };
	size_t len;

	if (q->path) {
		len = strlen(q->path);
		if (len >= sizeof(c->shared->path))
			return -ENAMETOOLONG;
		memcpy(c->shared->path, q->path, len + 1);
	}
	return send_message(c->sock, &m, q->fd) < 0 ? -EPIPE : 0;
}

int rfs_child_receive(struct rfs_child *c, int64_t timeout_ns, int64_t *ret)
{
	struct pollfd p = { .fd = c->sock, .events = POLLIN };
	struct timespec left = { timeout_ns / 1000000000,
				 timeout_ns % 1000000000 };
	struct message m;
	int n, fd;

	n = ppoll(&p, 1, &left, NULL);
	if (n < 0 && errno == EINTR)
		return -EAGAIN;
	if (n <= 0)
		return n < 0 ? -EPIPE : -EAGAIN;
	if (receive_message(c->sock, &m, &fd) != (ssize_t)sizeof(m))
		return -EPIPE;
	*ret = fd >= 0 ? fd : m.result;
	return 0;
}

const void *rfs_child_bytes(const struct rfs_child *c)
{
	return c->shared->room;
}

const struct stat *rfs_child_stat(const struct rfs_child *c)
{
	return &c->shared->st;
}
