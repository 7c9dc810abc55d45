// SPDX-License-Identifier: GPL-3.0-or-later
/* nbd_lend_talk.c - the server's side of NBD, as far as reading needs it: fixed
 * newstyle, simple replies, one request after the other. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "readers/nbd_lend.h"

#define MAGIC	       UINT64_C(0x4e42444d41474943) /* "NBDMAGIC" */
#define OPTION_MAGIC   UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define REPLY_MAGIC    UINT64_C(0x0003e889045565a9)
#define REQUEST_MAGIC  UINT32_C(0x25609513)
#define RESPONSE_MAGIC UINT32_C(0x67446698)

/* FIXED_NEWSTYLE and NO_ZEROES, which clients say back. */
#define HANDSHAKE UINT16_C(3)
/* HAS_FLAGS and READ_ONLY. */
#define EXPORT_FLAGS UINT16_C(3)

enum { OPT_ABORT = 2, OPT_INFO = 6, OPT_GO = 7 };
enum { INFO_EXPORT = 0, INFO_BLOCK_SIZE = 3 };
enum { CMD_READ = 0, CMD_DISCONNECT = 2, CMD_WRITE = 1 };

#define REP_ACK		UINT32_C(1)
#define REP_INFO	UINT32_C(3)
#define REP_UNSUPPORTED (UINT32_C(1) << 31 | 1)
#define REP_INVALID	(UINT32_C(1) << 31 | 3)
#define REP_UNKNOWN	(UINT32_C(1) << 31 | 6)

/* An export's name has 4096 bytes at the most, and ours has none. */
#define OPTION_MAX 8192

/* As on the wire. */
struct option {
	uint64_t magic;
	uint32_t option, len;
} __attribute__((packed));

struct option_reply {
	uint64_t magic;
	uint32_t option, type, len;
} __attribute__((packed));

struct request {
	uint32_t magic;
	uint16_t flags, type;
	uint64_t handle, off;
	uint32_t len;
} __attribute__((packed));

struct response {
	uint32_t magic, error;
	uint64_t handle;
} __attribute__((packed));

struct talk {
	int fd;
	struct rfs_reader *file;
	atomic_ullong *misses;
	unsigned char *buf; /* of RFS_LEND_MAX bytes */
};

static int get(const struct talk *t, void *buf, size_t len)
{
	unsigned char *p = buf;
	ssize_t n;

	for (; len; p += n, len -= (size_t)n) {
		n = recv(t->fd, p, len, 0);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			return -1;
	}
	return 0;
}

static int put(const struct talk *t, const void *buf, size_t len)
{
	const unsigned char *p = buf;
	ssize_t n;

	for (; len; p += n, len -= (size_t)n) {
		n = send(t->fd, p, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			return -1;
	}
	return 0;
}

static int reply(const struct talk *t, uint32_t option, uint32_t type,
		 const void *data, uint32_t len)
{
	const struct option_reply r = { htobe64(REPLY_MAGIC), htobe32(option),
					htobe32(type), htobe32(len) };

	return put(t, &r, sizeof(r)) < 0 ? -1 : put(t, data, len);
}

static int tell_of_export(const struct talk *t, uint32_t option)
{
	const struct {
		uint16_t type;
		uint64_t size;
		uint16_t flags;
	} __attribute__((packed)) size = {
		htobe16(INFO_EXPORT),
		htobe64(rfs_reader_size(t->file)),
		htobe16(EXPORT_FLAGS),
	};
	const struct {
		uint16_t type;
		uint32_t least, good, most;
	} __attribute__((packed)) blocks = {
		htobe16(INFO_BLOCK_SIZE),
		htobe32(1),
		htobe32(4096),
		htobe32(RFS_LEND_MAX),
	};

	if (reply(t, option, REP_INFO, &size, sizeof(size)) < 0 ||
	    reply(t, option, REP_INFO, &blocks, sizeof(blocks)) < 0)
		return -1;
	return reply(t, option, REP_ACK, NULL, 0);
}

/* A name, which must be ours, and what the client wants to know: it is told the
 * same whatever that is.  1: go on to its requests. */
static int answer_go(const struct talk *t, uint32_t option,
		     const unsigned char *data, uint32_t len)
{
	uint32_t name_len;
	uint16_t wants;

	if (len < 6)
		return reply(t, option, REP_INVALID, NULL, 0);
	memcpy(&name_len, data, 4);
	name_len = be32toh(name_len);
	if (name_len > len - 6)
		return reply(t, option, REP_INVALID, NULL, 0);
	memcpy(&wants, data + 4 + name_len, 2);
	if (len - 6 - name_len != be16toh(wants) * UINT32_C(2))
		return reply(t, option, REP_INVALID, NULL, 0);
	if (name_len)
		return reply(t, option, REP_UNKNOWN, NULL, 0);
	if (tell_of_export(t, option) < 0)
		return -1;
	return option == OPT_GO;
}

/* 1: the client has chosen; -1: it has left, or makes no sense. */
static int answer_option(const struct talk *t)
{
	unsigned char data[OPTION_MAX];
	struct option o;
	uint32_t option, len;

	if (get(t, &o, sizeof(o)) < 0 || be64toh(o.magic) != OPTION_MAGIC)
		return -1;
	option = be32toh(o.option);
	len = be32toh(o.len);
	if (len > OPTION_MAX || get(t, data, len) < 0)
		return -1;
	if (option == OPT_GO || option == OPT_INFO)
		return answer_go(t, option, data, len);
	if (option == OPT_ABORT) {
		reply(t, option, REP_ACK, NULL, 0);
		return -1;
	}
	return reply(t, option, REP_UNSUPPORTED, NULL, 0);
}

static int shake_hands(const struct talk *t)
{
	const struct {
		uint64_t magic, options;
		uint16_t flags;
	} __attribute__((packed)) hello = {
		htobe64(MAGIC),
		htobe64(OPTION_MAGIC),
		htobe16(HANDSHAKE),
	};
	uint32_t flags;
	int r = 0;

	if (put(t, &hello, sizeof(hello)) < 0 ||
	    get(t, &flags, sizeof(flags)) < 0 ||
	    (be32toh(flags) & ~(uint32_t)HANDSHAKE))
		return -1;
	while (r == 0)
		r = answer_option(t);
	return r < 0 ? -1 : 0;
}

/* What NBD calls it. */
static uint32_t read_file(const struct talk *t, uint64_t off, uint32_t len)
{
	uint64_t size = rfs_reader_size(t->file);
	int r;

	if (!len || len > RFS_LEND_MAX || off > size || len > size - off)
		return EINVAL;
	r = rfs_reader_read(t->file, rfs_range(off, len), t->buf, NULL, NULL);
	if (r < 0 && r != -EIO)
		atomic_fetch_add(t->misses, 1);
	if (r == -ENOMEM)
		return ENOMEM;
	return r < 0 ? EIO : 0;
}

static int answer_request(const struct talk *t)
{
	struct response answer = { .magic = htobe32(RESPONSE_MAGIC) };
	struct request q;
	uint32_t error = EINVAL, len;
	uint16_t type;

	if (get(t, &q, sizeof(q)) < 0 || be32toh(q.magic) != REQUEST_MAGIC)
		return -1;
	type = be16toh(q.type);
	len = be32toh(q.len);
	/* What would be written follows, and is not wanted. */
	if (type == CMD_DISCONNECT || type == CMD_WRITE)
		return -1;
	if (type == CMD_READ)
		error = read_file(t, be64toh(q.off), len);
	answer.error = htobe32(error);
	answer.handle = q.handle;
	if (put(t, &answer, sizeof(answer)) < 0)
		return -1;
	return error ? 0 : put(t, t->buf, len);
}

void rfs_lend_talk(int fd, struct rfs_reader *file, atomic_ullong *misses)
{
	struct talk t = { fd, file, misses, malloc(RFS_LEND_MAX) };
	int r = t.buf ? shake_hands(&t) : -1;

	while (r == 0)
		r = answer_request(&t);
	free(t.buf);
}
