// SPDX-License-Identifier: GPL-3.0-or-later
/* A reader that is lent to a program: NBD as a client speaks it, and as one that
 * means harm does. */
#include "fake_reader.h"

#include <endian.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "readers/nbd_lend.h"

static struct fake fake;
static struct rfs_reader *file;
static struct rfs_lend *lend;

static int begin(void **state)
{
	(void)state;
	file = fake_open(&fake, "bm0002", 5);
	return rfs_lend_new(file, &lend, NULL);
}

static int end(void **state)
{
	(void)state;
	rfs_lend_free(lend);
	rfs_reader_unref(file);
	return 0;
}

/* A server that says nothing is seen in the end. */
static int reach(void)
{
	struct timeval patience = { .tv_sec = 60 };
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	size_t len = strlen(rfs_lend_address(lend));
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
				    sizeof(patience)),
			 0);
	memcpy(at.sun_path + 1, rfs_lend_address(lend), len);
	assert_int_equal(
		connect(fd, (struct sockaddr *)&at,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
				    len)),
		0);
	return fd;
}

static void put(int fd, const void *data, size_t len)
{
	assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), len);
}

static void put16(int fd, uint16_t n)
{
	n = htobe16(n);
	put(fd, &n, sizeof(n));
}

static void put32(int fd, uint32_t n)
{
	n = htobe32(n);
	put(fd, &n, sizeof(n));
}

static void put64(int fd, uint64_t n)
{
	n = htobe64(n);
	put(fd, &n, sizeof(n));
}

static void get(int fd, void *data, size_t len)
{
	assert_int_equal(recv(fd, data, len, MSG_WAITALL), len);
}

static uint16_t get16(int fd)
{
	uint16_t n;

	get(fd, &n, sizeof(n));
	return be16toh(n);
}

static uint32_t get32(int fd)
{
	uint32_t n;

	get(fd, &n, sizeof(n));
	return be32toh(n);
}

static uint64_t get64(int fd)
{
	uint64_t n;

	get(fd, &n, sizeof(n));
	return be64toh(n);
}

static void expect_end(int fd)
{
	char more;
	ssize_t n = recv(fd, &more, 1, 0);

	/* Reset, if we had said more than was read. */
	if (n != 0 && !(n < 0 && (errno == ECONNRESET || errno == EPIPE)))
		fail_msg("the connection goes on: %zd, %d", n, errno);
	close(fd);
}

static int greet(uint32_t flags)
{
	int fd = reach();

	assert_int_equal(get64(fd), UINT64_C(0x4e42444d41474943));
	assert_int_equal(get64(fd), UINT64_C(0x49484156454f5054));
	assert_int_equal(get16(fd), 3);
	put32(fd, flags);
	return fd;
}

static void put_option(int fd, uint32_t option, uint32_t len)
{
	put64(fd, UINT64_C(0x49484156454f5054));
	put32(fd, option);
	put32(fd, len);
}

/* Returns the reply's type, and how much follows. */
static uint32_t get_reply(int fd, uint32_t option, uint32_t *len)
{
	uint32_t type;

	assert_int_equal(get64(fd), UINT64_C(0x3e889045565a9));
	assert_int_equal(get32(fd), option);
	type = get32(fd);
	*len = get32(fd);
	return type;
}

static void expect_refusal(int fd, uint32_t option, uint32_t number)
{
	uint32_t len;

	assert_int_equal(get_reply(fd, option, &len),
			 UINT32_C(0x80000000) | number);
	assert_int_equal(len, 0);
}

/* INFO or GO, of the export without a name. */
static void choose(int fd, uint32_t option)
{
	uint32_t len;

	put_option(fd, option, 8);
	put32(fd, 0);
	put16(fd, 1);
	put16(fd, 3);
	assert_int_equal(get_reply(fd, option, &len), 3);
	assert_int_equal(len, 12);
	assert_int_equal(get16(fd), 0);
	assert_int_equal(get64(fd), FAKE_SIZE);
	assert_int_equal(get16(fd), 3); /* read only */
	assert_int_equal(get_reply(fd, option, &len), 3);
	assert_int_equal(len, 14);
	assert_int_equal(get16(fd), 3);
	assert_int_equal(get32(fd), 1);
	assert_int_equal(get32(fd), 4096);
	assert_int_equal(get32(fd), RFS_LEND_MAX);
	assert_int_equal(get_reply(fd, option, &len), 1);
	assert_int_equal(len, 0);
}

static int open_export(void)
{
	int fd = greet(3);

	choose(fd, 7);
	return fd;
}

static void request(int fd, uint16_t type, uint64_t off, uint32_t len)
{
	put32(fd, 0x25609513);
	put16(fd, 0);
	put16(fd, type);
	put64(fd, off ^ 77);
	put64(fd, off);
	put32(fd, len);
}

/* The error that a request of that offset is answered with. */
static uint32_t answer(int fd, uint64_t off)
{
	uint32_t error;

	assert_int_equal(get32(fd), 0x67446698);
	error = get32(fd);
	assert_int_equal(get64(fd), off ^ 77);
	return error;
}

static void expect_bytes(int fd, uint64_t off, uint32_t len)
{
	uint8_t *buf = malloc(len);

	assert_non_null(buf);
	request(fd, 0, off, len);
	assert_int_equal(answer(fd, off), 0);
	get(fd, buf, len);
	assert_memory_equal(buf, fake.bytes + off, len);
	free(buf);
}

static void expect_error(int fd, uint16_t type, uint64_t off, uint32_t len,
			 uint32_t error)
{
	request(fd, type, off, len);
	assert_int_equal(answer(fd, off), error);
}

static void the_bytes_are_the_readers(void **state)
{
	unsigned int seed = 3;
	int fd = open_export();

	(void)state;
	expect_bytes(fd, 0, FAKE_SIZE);
	expect_bytes(fd, FAKE_SIZE - 1, 1);
	for (int i = 0; i < 200; i++) {
		struct rfs_range range = random_range(&seed);

		expect_bytes(fd, range.off, (uint32_t)range.len);
	}
	close(fd);
}

static void what_is_bad_is_an_error_and_what_is_late_is_counted(void **state)
{
	int fd = open_export();

	(void)state;
	fake.is_bad[3] = fake.is_late[5] = true;
	expect_error(fd, 0, 512, 2048, 5);
	expect_bytes(fd, 512, 1024);
	assert_int_equal(rfs_lend_misses(lend), 0);
	expect_error(fd, 0, 2048, 2048, 5);
	assert_int_equal(rfs_lend_misses(lend), 1);
	fake.errnum = ENOMEM;
	expect_error(fd, 0, 0, 512, 12);
	fake.errnum = ESTALE;
	expect_error(fd, 0, 0, 512, 5);
	assert_int_equal(rfs_lend_misses(lend), 3);
	fake.errnum = 0;
	expect_bytes(fd, 2048, 512);
	close(fd);
}

static void what_is_beyond_is_refused_and_not_read(void **state)
{
	int fd = open_export();

	(void)state;
	expect_error(fd, 0, FAKE_SIZE, 1, EINVAL);
	expect_error(fd, 0, FAKE_SIZE - 1, 2, EINVAL);
	expect_error(fd, 0, 0, 0, EINVAL);
	expect_error(fd, 0, UINT64_MAX, 1, EINVAL);
	expect_error(fd, 0, UINT64_MAX - 10, 4096, EINVAL);
	expect_error(fd, 0, 0, RFS_LEND_MAX + 1, EINVAL);
	expect_error(fd, 0, 0, UINT32_MAX, EINVAL);
	/* Trim, zero, cache, and what there is not. */
	expect_error(fd, 4, 0, 512, EINVAL);
	expect_error(fd, 6, 0, 512, EINVAL);
	expect_error(fd, 5, 0, 512, EINVAL);
	expect_error(fd, 65535, 0, 512, EINVAL);
	for (int s = 0; s < FAKE_SECTORS; s++)
		assert_int_equal(fake.touches[s], 0);
	expect_bytes(fd, 0, 512);
	close(fd);
}

static void who_would_write_is_shown_the_door(void **state)
{
	int fd = open_export();

	(void)state;
	request(fd, 1, 0, 512);
	expect_end(fd);
	fd = open_export();
	request(fd, 2, 0, 0);
	expect_end(fd);
	fd = open_export();
	for (int i = 0; i < 7; i++)
		put32(fd, 0x25609514);
	expect_end(fd);
}

static void options_are_answered_or_refused(void **state)
{
	int fd = greet(1);
	uint32_t len;

	(void)state;
	/* STARTTLS, STRUCTURED_REPLY, LIST_META_CONTEXT with something in it. */
	put_option(fd, 5, 0);
	expect_refusal(fd, 5, 1);
	put_option(fd, 8, 0);
	expect_refusal(fd, 8, 1);
	put_option(fd, 9, 4);
	put32(fd, 0);
	expect_refusal(fd, 9, 1);
	choose(fd, 6);
	put_option(fd, 7, 7);
	put32(fd, 1);
	put(fd, "x\0\0", 3);
	expect_refusal(fd, 7, 6);
	choose(fd, 7);
	expect_bytes(fd, 7, 9);
	close(fd);
	fd = greet(3);
	put_option(fd, 2, 0);
	assert_int_equal(get_reply(fd, 2, &len), 1);
	expect_end(fd);
}

static void lengths_that_lie_are_refused(void **state)
{
	static const struct {
		uint32_t len, name_len;
		uint16_t wants;
	} wrong[] = {
		{ 6, 1, 0 }, { 6, UINT32_MAX, 0 }, { 6, UINT32_MAX - 5, 0 },
		{ 6, 0, 1 }, { 6, 0, 65535 },	   { 8, 0, 0 },
		{ 8, 1, 1 },
	};
	int fd = greet(3);

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		put_option(fd, 7, wrong[i].len);
		put32(fd, wrong[i].name_len);
		put16(fd, wrong[i].wants);
		put(fd, "\0\0\0\0", wrong[i].len - 6);
		expect_refusal(fd, 7, 3);
	}
	put_option(fd, 7, 3);
	put(fd, "abc", 3);
	expect_refusal(fd, 7, 3);
	put_option(fd, 7, 0);
	expect_refusal(fd, 7, 3);
	choose(fd, 7);
	close(fd);
}

static void nonsense_ends_the_connection(void **state)
{
	int fd = greet(4);

	(void)state;
	expect_end(fd);
	fd = greet(3);
	put_option(fd, 7, 8193);
	expect_end(fd);
	fd = greet(3);
	put_option(fd, 8, UINT32_MAX);
	expect_end(fd);
	fd = greet(3);
	put64(fd, 1);
	put64(fd, 1);
	expect_end(fd);
	/* And the next one is served. */
	fd = open_export();
	expect_bytes(fd, 0, 512);
	close(fd);
}

static void many_come_and_go_and_some_stay(void **state)
{
	int fds[8], more;

	(void)state;
	for (int i = 0; i < 50; i++)
		close(open_export());
	for (int i = 0; i < 8; i++) {
		/* Those that went may still be at the door. */
		do {
			char first;

			fds[i] = reach();
			if (recv(fds[i], &first, 1, MSG_PEEK) == 1)
				break;
			close(fds[i]);
		} while (true);
	}
	more = reach();
	expect_end(more);
	/* They are ended with it, whatever they wait for. */
	rfs_lend_free(lend);
	lend = NULL;
	for (int i = 0; i < 8; i++) {
		char hello[18];

		get(fds[i], hello, sizeof(hello));
		expect_end(fds[i]);
	}
}

#define LENT(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LENT(the_bytes_are_the_readers),
		LENT(what_is_bad_is_an_error_and_what_is_late_is_counted),
		LENT(what_is_beyond_is_refused_and_not_read),
		LENT(who_would_write_is_shown_the_door),
		LENT(options_are_answered_or_refused),
		LENT(lengths_that_lie_are_refused),
		LENT(nonsense_ends_the_connection),
		LENT(many_come_and_go_and_some_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
