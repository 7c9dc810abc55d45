// SPDX-License-Identifier: GPL-3.0-or-later
/* Where a disk lies, through the text that a mount gives. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "memdisk.h"
#include "site/seats_text.h"

#define UNIT 4096
#define SIZE ((uint64_t)2000 * UNIT)

/* Every third unit cannot be told, the others are of two files, backwards. */
static const char *of_unit(uint64_t i)
{
	static const char *const names[] = { NULL, "a:/one", "b:/two\n" };

	return names[i % 3];
}

static int many_seats(void *state, struct rfs_range range,
		      struct rfs_seats *out, struct rfs_error *err)
{
	uint64_t end;
	int r = 0;

	(void)state;
	(void)err;
	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = end) {
		end = off - off % UNIT + UNIT;
		if (end > rfs_range_end(range))
			end = rfs_range_end(range);
		r = rfs_seats_add(out, rfs_range_to(off, end),
				  of_unit(off / UNIT),
				  SIZE - off / UNIT * UNIT + off % UNIT);
	}
	return r;
}

static int no_read(void *state, struct rfs_range range, void *buf,
		   struct rfs_ranges *bad, struct rfs_error *err)
{
	(void)state;
	(void)range;
	(void)buf;
	(void)bad;
	(void)err;
	fail_msg("it was read");
	return -EIO;
}

static void nothing_to_close(void *state)
{
	(void)state;
}

static const struct rfs_reader_ops many = {
	.kind = "many",
	.read = no_read,
	.seats = many_seats,
	.close = nothing_to_close,
};

static struct rfs_reader *open_many(void)
{
	struct rfs_reader *rd;

	assert_int_equal(
		rfs_reader_new(&many, NULL, SIZE, "many", NULL, &rd, NULL), 0);
	return rd;
}

static int ask_all(struct rfs_reader *rd, struct rfs_range range,
		   struct rfs_seats_names *names, struct rfs_seats *out)
{
	uint64_t end = rfs_range_end(range), next = range.off;
	char words[64], *piece;
	int n = 0;

	for (; next < end; n++) {
		snprintf(words, sizeof(words), "%llu.%llu",
			 (unsigned long long)next, (unsigned long long)end);
		assert_int_equal(rfs_seats_piece(rd, words, &piece, NULL), 0);
		assert_true(strlen(piece) < RFS_SEATS_ROOM);
		assert_int_equal(rfs_seats_parse(piece, rfs_range_to(next, end),
						 names, out, &next, NULL),
				 0);
		free(piece);
	}
	return n;
}

static void all_pieces_together_are_the_whole(void **state)
{
	struct rfs_range range = rfs_range_to(1000, SIZE - 1000);
	struct rfs_seats want = { 0 }, got = { 0 };
	struct rfs_seats_names names = { 0 };
	struct rfs_reader *rd = open_many();

	(void)state;
	assert_true(ask_all(rd, range, &names, &got) > 2);
	assert_int_equal(rfs_reader_seats(rd, range, &want, NULL), 0);
	assert_int_equal(got.count, want.count);
	assert_int_equal(names.count, 2);
	for (size_t i = 0; i < got.count; i++) {
		assert_int_equal(got.items[i].range.off,
				 want.items[i].range.off);
		assert_int_equal(got.items[i].range.len,
				 want.items[i].range.len);
		assert_int_equal(!got.items[i].of, !want.items[i].of);
		if (!got.items[i].of)
			continue;
		assert_int_equal(got.items[i].off, want.items[i].off);
		/* The same name for the same file. */
		assert_ptr_equal(got.items[i].of,
				 names.items[strcmp(want.items[i].of,
						    want.items[1].of) != 0]);
	}
	rfs_seats_fini(&want);
	rfs_seats_fini(&got);
	rfs_seats_names_fini(&names);
	rfs_reader_unref(rd);
}

static void what_is_no_range_of_it_is_refused(void **state)
{
	static const char *const words[] = {
		"",	  "0",	    "0.0",	   "512.0",
		"0.512x", "-1.512", "0.999999999", "99999999999999999999.1",
	};
	struct rfs_reader *rd = open_many();
	char *piece;

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		assert_int_equal(rfs_seats_piece(rd, words[i], &piece, NULL),
				 -EINVAL);
	rfs_reader_unref(rd);
}

#define ID "00112233445566778899aabbccddeeff"

static void what_makes_no_sense_is_not_believed(void **state)
{
	static const char *const pieces[] = {
		"",
		"4096",
		"0\n",			   /* leads nowhere */
		"8193\n",		   /* beyond */
		"0 4096 0 " ID "\n",	   /* no end */
		"0 4096 0 " ID "\n2048\n", /* before what it told */
		"0 4096 0 0011\n4096\n",   /* no name */
		"0 4096 0 " ID "x\n4096\n",
		"4096 4096 0 " ID "\n0 4096 0 " ID "\n8192\n", /* backwards */
		"0 8193 0 " ID "\n8192\n",
		"0 4096 18446744073709551615 " ID "\n8192\n",
		"18446744073709551615 4096 0 " ID "\n8192\n",
		"0 0 0 " ID "\n8192\n",
		"8192\nmore\n",
	};
	struct rfs_seats_names names = { 0 };
	struct rfs_seats out = { 0 };
	uint64_t next;

	(void)state;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++)
		assert_int_equal(rfs_seats_parse(pieces[i], rfs_range(0, 8192),
						 &names, &out, &next, NULL),
				 -EBADMSG);
	rfs_seats_clear(&out);
	assert_int_equal(rfs_seats_parse("4096 512 7 " ID "\n8192\n",
					 rfs_range(0, 8192), &names, &out,
					 &next, NULL),
			 0);
	assert_int_equal(next, 8192);
	assert_int_equal(out.count, 3);
	assert_string_equal(out.items[1].of, ID);
	assert_int_equal(out.items[1].off, 7);
	rfs_seats_fini(&out);
	rfs_seats_names_fini(&names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_pieces_together_are_the_whole),
		cmocka_unit_test(what_is_no_range_of_it_is_refused),
		cmocka_unit_test(what_makes_no_sense_is_not_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
