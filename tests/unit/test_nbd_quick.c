// SPDX-License-Identifier: GPL-3.0-or-later
/* What happens within one call of libnbd's, where no event tells of it: by a server
 * whose answers of the handshake lie in the socket before the first question is
 * asked, and by one that is gone when the first of two requests is sent. */
#include <endian.h>
#include <errno.h>
#include <poll.h>
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
#include "readers/nbd_parts.h"

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
	atomic_int guest;		     /* the connection, or -1 */
	unsigned int guests;		     /* so far, this one included */
	void (*talk)(struct server *s, int); /* on a connection */
	atomic_bool is_queued; /* what the second guest wants to ask */
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

/* Structured replies (8) are refused. */
static void add_greeting(struct bytes *b)
{
	add64(b, UINT64_C(0x4e42444d41474943));
	add64(b, UINT64_C(0x49484156454f5054));
	add16(b, 3);
	add_reply(b, 8, UINT32_C(0x80000001), 0);
}

/* The export (7 is GO) is open. */
static void add_export(struct bytes *b)
{
	add_reply(b, 7, 3, 12);
	add16(b, 0);
	add64(b, SIZE);
	add16(b, 3);
	add_reply(b, 7, 1, 0);
}

static bool put(int fd, const struct bytes *b)
{
	return send(fd, b->at, b->len, MSG_NOSIGNAL) == (ssize_t)b->len;
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
		if (!put(fd, &b))
			return;
	}
}

static bool hear_options(int fd)
{
	unsigned char flags[4];

	return get(fd, flags, sizeof(flags)) && skip_option(fd) &&
	       skip_option(fd);
}

static void say_all(int fd, const struct bytes *all)
{
	if (put(fd, all) && hear_options(fd))
		answer_reads(fd);
}

static void talk_at_once(struct server *s, int fd)
{
	struct bytes all = { 0 };

	(void)s;
	add_greeting(&all);
	add_export(&all);
	say_all(fd, &all);
}

static void refuse_export(struct server *s, int fd)
{
	struct bytes all = { 0 };

	(void)s;
	add_greeting(&all);
	add_reply(&all, 7, UINT32_C(0x80000006), 0);
	say_all(fd, &all);
}

/* The first guest is sent away as soon as all is well; the second is told that all
 * is well once nothing of what it asks can be heard any more; the third is served. */
static void talk_and_go(struct server *s, int fd)
{
	struct bytes greeting = { 0 }, opened = { 0 };

	add_greeting(&greeting);
	add_export(&opened);
	if (!put(fd, &greeting) || !hear_options(fd))
		return;
	while (s->guests == 2 && !atomic_load(&s->is_queued))
		poll(NULL, 0, 1);
	if (s->guests == 2)
		shutdown(fd, SHUT_RD);
	if (put(fd, &opened) && s->guests == 3)
		answer_reads(fd);
}

static void *serve(void *data)
{
	struct server *s = data;
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		s->guests++;
		atomic_store(&s->guest, fd);
		s->talk(s, fd);
		atomic_store(&s->guest, -1);
		close(fd);
	}
	return NULL;
}

static int start(void (*talk)(struct server *, int))
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct server *s = &server;

	s->talk = talk;
	s->guests = 0;
	atomic_store(&s->is_queued, false);
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
	return start(talk_at_once);
}

static int start_refusing(void **state)
{
	(void)state;
	return start(refuse_export);
}

static int start_leaving(void **state)
{
	(void)state;
	return start(talk_and_go);
}

static int stop(void **state)
{
	(void)state;
	atomic_store(&server.is_queued, true);
	shutdown(server.fd, SHUT_RDWR);
	/* Also when a test failed, and has closed nothing. */
	if (atomic_load(&server.guest) >= 0)
		shutdown(atomic_load(&server.guest), SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.fd);
	unlink(server.path);
	return rmdir(server.dir);
}

static const struct rfs_nbd_config config = {
	.uri = server.uri,
	.export = "",
	.name = "quick",
	.image_fd = -1,
	.deadline_ms = DEADLINE_S * 1000,
};

static int open_in_time(struct rfs_reader **ret, struct rfs_error *err)
{
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

struct asked {
	struct rfs_nbd_link *link;
	uint64_t off;
	char buf[256];
	int result;
};

static void *ask(void *data)
{
	struct asked *a = data;

	a->result =
		rfs_nbd_link_read(a->link, rfs_range(a->off, sizeof(a->buf)),
				  a->buf, rfs_nbd_link_deadline(a->link));
	return NULL;
}

static bool is_trying(const struct rfs_nbd_link *link)
{
	return link->mood == LINK_TRYING;
}

static bool has_two_queued(const struct rfs_nbd_link *link)
{
	return link->queue && link->queue->next;
}

static void wait_for(struct rfs_nbd_link *link,
		     bool (*is_so)(const struct rfs_nbd_link *))
{
	bool is;

	do {
		poll(NULL, 0, 1);
		pthread_mutex_lock(&link->lock);
		is = is_so(link);
		pthread_mutex_unlock(&link->lock);
	} while (!is);
}

/* libnbd does not take the second request once it found the connection broken by
 * sending the first.  That says nothing of the range: an error would be remembered
 * as one of the disk. */
static void what_a_broken_connection_refuses_is_asked_again(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_nbd_facts facts;
	struct rfs_nbd_link *link = NULL;
	struct asked asked[2] = { { .off = 0 }, { .off = 1024 } };
	pthread_t threads[2];

	(void)state;
	if (rfs_nbd_link_new(&config, &link, &facts, &err) < 0)
		fail_msg("%s", err.text);
	wait_for(link, is_trying);
	for (size_t i = 0; i < 2; i++) {
		asked[i].link = link;
		pthread_create(&threads[i], NULL, ask, &asked[i]);
	}
	wait_for(link, has_two_queued);
	atomic_store(&server.is_queued, true);
	for (size_t i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(asked[i].result, 0);
		assert_int_equal(asked[i].buf[0], 'q');
	}
	assert_int_equal(server.guests, 3);
	rfs_nbd_link_free(link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			an_export_is_open_as_soon_as_it_is, start_willing,
			stop),
		cmocka_unit_test_setup_teardown(a_refusal_is_one_and_no_silence,
						start_refusing, stop),
		cmocka_unit_test_setup_teardown(
			what_a_broken_connection_refuses_is_asked_again,
			start_leaving, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
