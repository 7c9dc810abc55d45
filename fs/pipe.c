// SPDX-License-Identifier: GPL-3.0-or-later
#include "fs/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/front.h"
#include "fs/handle.h"
#include "fs/loop.h"

/* For less than this a copy is faster. */
#define LEAST (64u * 1024)

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static void close_both(struct rfs_pipe *p)
{
	if (p->in >= 0) {
		close(p->in);
		close(p->out);
	}
	*p = (struct rfs_pipe){ -1, -1, 0 };
}

void rfs_pipe_close(void *pipe)
{
	struct rfs_pipe *p = pipe;

	if (p)
		close_both(p);
	free(p);
}

struct rfs_pipe *rfs_pipe_open(void)
{
	struct rfs_pipe *p = malloc(sizeof(*p));
	int fds[2], size;

	if (!p)
		return NULL;
	*p = (struct rfs_pipe){ -1, -1, 0 };
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return p;
	p->out = fds[0];
	p->in = fds[1];
	/* A header takes a page's slot too. */
	fcntl(p->in, F_SETPIPE_SZ, 2 * RFS_READ_MAX);
	size = fcntl(p->in, F_GETPIPE_SZ);
	p->slots = size > 0 ? (size_t)size / page_size() : 0;
	return p;
}

/* Whether the header and all pages have a slot. */
static bool has_room(const struct rfs_pipe *p, const struct rfs_pieces *pieces)
{
	size_t page = page_size(), slots = 1;
	struct rfs_range r;

	for (size_t i = 0; i < pieces->count; i++) {
		r = pieces->items[i].range;
		slots += (r.off % page + r.len + page - 1) / page;
	}
	return slots <= p->slots;
}

static bool put(const struct rfs_pipe *p, const struct rfs_piece *piece)
{
	loff_t off = (loff_t)piece->range.off;
	size_t left = piece->range.len;
	ssize_t n = 1;

	while (left && n > 0) {
		n = splice(piece->fd, &off, p->in, NULL, left, 0);
		if (n > 0)
			left -= (size_t)n;
	}
	return !left;
}

static bool put_all(const struct rfs_pipe *p,
		    const struct fuse_out_header *head,
		    const struct rfs_pieces *pieces)
{
	if (write(p->in, head, sizeof(*head)) != (ssize_t)sizeof(*head))
		return false;
	for (size_t i = 0; i < pieces->count; i++)
		if (!put(p, &pieces->items[i]))
			return false;
	return true;
}

bool rfs_pipe_fill(struct rfs_pipe *p, const struct fuse_out_header *head,
		   const struct rfs_pieces *pieces)
{
	if (!has_room(p, pieces))
		return false;
	if (put_all(p, head, pieces))
		return true;
	rfs_pipe_empty(p);
	return false;
}

void rfs_pipe_empty(struct rfs_pipe *p)
{
	char buf[4096];
	ssize_t n;

	do
		n = read(p->out, buf, sizeof(buf));
	while (n > 0);
	if (n == 0 || errno != EAGAIN)
		close_both(p);
}

/* This thread's; NULL without memory. */
static struct rfs_pipe *get(struct rfs_front *front)
{
	struct rfs_pipe *p = pthread_getspecific(front->pipes);

	if (p)
		return p;
	p = rfs_pipe_open();
	if (p && pthread_setspecific(front->pipes, p) != 0) {
		rfs_pipe_close(p);
		return NULL;
	}
	return p;
}

/* True: all of it has been given to the kernel. */
static bool give(struct rfs_pipe *p, int device,
		 const struct fuse_out_header *head, const struct rfs_handle *h,
		 const struct rfs_taking *taking)
{
	if (!rfs_pipe_fill(p, head, &taking->pieces))
		return false;
	if (rfs_handle_taken(h, taking, NULL) == 0 &&
	    splice(p->out, NULL, device, NULL, head->len, 0) ==
		    (ssize_t)head->len)
		return true;
	rfs_pipe_empty(p);
	return false;
}

bool rfs_pipe_reply(struct rfs_front *front, fuse_req_t req,
		    const struct rfs_handle *h, struct rfs_range range)
{
	const struct fuse_in_header *asked = rfs_loop_request();
	struct fuse_out_header head = { 0 };
	struct rfs_taking taking;
	struct rfs_pipe *p;

	if (!asked || range.len < LEAST || h->is_direct)
		return false;
	range = rfs_range_cut(range, rfs_range(0, rfs_handle_size(h)));
	p = get(front);
	if (!p || range.len < LEAST || range.len / page_size() >= p->slots ||
	    rfs_handle_pieces(h, range, &taking) < 0)
		return false;
	head.len = (uint32_t)(sizeof(head) + range.len);
	head.unique = asked->unique;
	if (!give(p, fuse_session_fd(front->se), &head, h, &taking))
		return false;
	fuse_reply_none(req);
	rfs_loop_yield();
	return true;
}
