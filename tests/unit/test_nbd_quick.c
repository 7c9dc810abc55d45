// SPDX-License-Identifier: GPL-3.0-or-later
/* A server that is quicker than we are: all its answers of the handshake lie in the
 * socket before the first question is asked, so that libnbd has read them within
 * one call of ours and no event tells of them. */
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "readers/nbd.h"

#define SIZE 4096

/* Who waits for it in vain is told from any slow machine. */
#define DEADLINE_S 60

struct bytes {
	unsigned char at[512];
	size_t len;
};

static struct server {
	char dir[32], path[64], uri[128];
	int fd;
	atomic_int guest; /* the connection, or -1 */
	bool refuses;
	pthread_t thread;
} server;

static void add(struct bytes *b, const void *data, size_t len)
{
	assert_true(len <= sizeof(b->at) - b->len);
	memcpy(b->at + b->len, data, len);
	b->len += len;
}

static void add16(struct bytes *b, uint16_t n)
{
	n = htobe16(n);
	add(b, &n, sizeof(n));
}

static void add32(struct bytes *b, uint32_t n)
{
	n = htobe32(n);
	add(b, &n, sizeof(n));
}

static void add64(struct bytes *b, uint64_t n)
{
	n = htobe64(n);
	add(b, &n, sizeof(n));
}

static void add_reply(struct bytes *b, uint32_t option, uint32_t type,
		      uint32_t len)
{
	add64(b, UINT64_C(0x3e889045565a9));
	add32(b, option);
	add32(b, type);
	add32(b, len);
}

/* Structured replies (8) are refused, and GO (7) is as the test wants it. */
static void add_handshake(struct bytes *b, bool refuses)
{
	add64(b, UINT64_C(0x4e42444d41474943));
	add64(b, UINT64_C(0x49484156454f5054));
	add16(b, 3);
	add_reply(b, 8, UINT32_C(0x80000001), 0);
	if (refuses) {
		add_reply(b, 7, UINT32_C(0x80000006), 0);
		return;
	}
	add_reply(b, 7, 3, 12);
	add16(b, 0);
	add64(b, SIZE);
	add16(b, 3);
	add_reply(b, 7, 1, 0);
}

static bool get(int fd, void *data, size_t len)
{
	return recv(fd, data, len, MSG_WAITALL) == (ssize_t)len;
}

static bool skip_option(int fd)
{
	unsigned char head[16], rest[512];
	uint32_t len;

	if (!get(fd, head, sizeof(head)))
		return false;
	memcpy(&len, head + 12, sizeof(len));
	len = be32toh(len);
	return len <= sizeof(rest) && (!len || get(fd, rest, len));
}

static void answer_reads(int fd)
{
	unsigned char request[28];
	uint32_t len;

	while (get(fd, request, sizeof(request)) && request[7] == 0) {
		struct bytes b = { 0 };

		memcpy(&len, request + 24, sizeof(len));
		len = be32toh(len);
		add32(&b, 0x67446698);
		add32(&b, 0);
		add(&b, request + 8, 8);
		if (len > sizeof(b.at) - b.len)
			return;
		memset(b.at + b.len, 'q', len);
		b.len += len;
		if (send(fd, b.at, b.len, MSG_NOSIGNAL) < 0)
			return;
	}
}

static void *serve(void *data)
{
	struct server *s = data;
	struct bytes all = { 0 };
	unsigned char flags[4];
	int fd;

	add_handshake(&all, s->refuses);
	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		atomic_store(&s->guest, fd);
		if (send(fd, all.at, all.len, MSG_NOSIGNAL) >= 0 &&
		    get(fd, flags, sizeof(flags)) && skip_option(fd) &&
		    skip_option(fd))
			answer_reads(fd);
		atomic_store(&s->guest, -1);
		close(fd);
	}
	return NULL;
}

static int start(bool refuses)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct server *s = &server;

	s->refuses = refuses;
	atomic_store(&s->guest, -1);
	strcpy(s->dir, "/tmp/quick.XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/socket", s->dir);
	snprintf(s->uri, sizeof(s->uri), "nbd+unix:///?socket=%s/socket",
		 s->dir);
	strcpy(at.sun_path, s->path);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(s->fd, 8), 0);
	return pthread_create(&s->thread, NULL, serve, s);
}

static int start_willing(void **state)
{
	(void)state;
	return start(false);
}

static int start_refusing(void **state)
{
	(void)state;
	return start(true);
}

static int stop(void **state)
{
	(void)state;
	shutdown(server.fd, SHUT_RDWR);
	/* Also when a test failed, and has closed nothing. */
	if (atomic_load(&server.guest) >= 0)
		shutdown(atomic_load(&server.guest), SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.fd);
	unlink(server.path);
	return rmdir(server.dir);
}

static int open_in_time(struct rfs_reader **ret, struct rfs_error *err)
{
	const struct rfs_nbd_config config = {
		.uri = server.uri,
		.export = "",
		.name = "quick",
		.image_fd = -1,
		.deadline_ms = DEADLINE_S * 1000,
	};

	struct timespec began, ended;
	int r;

	clock_gettime(CLOCK_MONOTONIC, &began);
	r = rfs_nbd_open(&config, ret, err);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	assert_true(ended.tv_sec - began.tv_sec < DEADLINE_S / 2);
	return r;
}

static void an_export_is_open_as_soon_as_it_is(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_reader *disk = NULL;
	char buf[256];

	(void)state;
	if (open_in_time(&disk, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(rfs_reader_size(disk), SIZE);
	assert_int_equal(rfs_reader_read(disk, rfs_range(512, sizeof(buf)), buf,
					 NULL, &err),
			 0);
	for (size_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 'q');
	rfs_reader_unref(disk);
}

static void a_refusal_is_one_and_no_silence(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_reader *disk = NULL;

	(void)state;
	assert_true(open_in_time(&disk, &err) < 0);
	if (!strstr(err.text, "the server has no such export"))
		fail_msg("%s", err.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			an_export_is_open_as_soon_as_it_is, start_willing,
			stop),
		cmocka_unit_test_setup_teardown(a_refusal_is_one_and_no_silence,
						start_refusing, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
