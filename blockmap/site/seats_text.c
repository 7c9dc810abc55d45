// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/seats_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/digest.h"
#include "core/vec.h"

/* Three numbers of 20 digits and a digest are less than 100 bytes. */
#define SEATS_MAX (RFS_SEATS_ROOM / 100 - 1)

/* So much of a disk is looked at together: of one that lies in many places most
 * would be looked at in vain. */
#define STEP ((uint64_t)128 << 20)

#define HEX (2 * RFS_DIGEST_LEN)

/*
 * A piece.
 */

static int parse_words(struct rfs_reader *rd, const char *words,
		       struct rfs_range *ret, struct rfs_error *err)
{
	uint64_t off, end;
	int len = 0;

	if (sscanf(words, "%20" SCNu64 ".%20" SCNu64 "%n", &off, &end, &len) ==
		    2 &&
	    !words[len] && off < end && end <= rfs_reader_size(rd)) {
		*ret = rfs_range_to(off, end);
		return 0;
	}
	return rfs_fail(err, EINVAL, "%s: %s is no range of it",
			rfs_reader_name(rd), words);
}

static void put_seat(FILE *out, const struct rfs_seat *seat)
{
	struct rfs_digest of = rfs_digest(seat->of, strlen(seat->of));

	fprintf(out, "%" PRIu64 " %" PRIu64 " %" PRIu64 " ", seat->range.off,
		seat->range.len, seat->off);
	for (size_t i = 0; i < RFS_DIGEST_LEN; i++)
		fprintf(out, "%02x", of.bytes[i]);
	fputc('\n', out);
}

/* Until 'out' has SEATS_MAX of them; moves 'next' over what was told. */
static void put_seats(FILE *out, const struct rfs_seats *seats, size_t *count,
		      uint64_t *next)
{
	for (size_t i = 0; i < seats->count && *count < SEATS_MAX; i++) {
		if (seats->items[i].of) {
			put_seat(out, &seats->items[i]);
			(*count)++;
		}
		*next = rfs_range_end(seats->items[i].range);
	}
}

static int put_piece(FILE *out, struct rfs_reader *rd, struct rfs_range range,
		     struct rfs_error *err)
{
	uint64_t end = rfs_range_end(range), next = range.off;
	struct rfs_seats seats = { 0 };
	size_t count = 0;
	int r = 0;

	while (next < end && count < SEATS_MAX && r == 0) {
		rfs_seats_clear(&seats);
		r = rfs_reader_seats(rd,
				     rfs_range_to(next, end - next > STEP
								? next + STEP
								: end),
				     &seats, err);
		if (r == 0)
			put_seats(out, &seats, &count, &next);
	}
	fprintf(out, "%" PRIu64 "\n", next);
	rfs_seats_fini(&seats);
	return r;
}

int rfs_seats_piece(struct rfs_reader *rd, const char *words, char **ret,
		    struct rfs_error *err)
{
	struct rfs_range range = { 0 };
	char *text = NULL;
	size_t len;
	FILE *out;
	int r = parse_words(rd, words, &range, err);

	if (r < 0)
		return r;
	out = open_memstream(&text, &len);
	if (!out)
		return rfs_no_memory(err);
	r = put_piece(out, rd, range, err);
	if (fclose(out) == EOF && r == 0)
		r = rfs_no_memory(err);
	if (r < 0)
		free(text);
	else
		*ret = text;
	return r;
}

/*
 * Read again.
 */

void rfs_seats_names_fini(struct rfs_seats_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->items[i]);
	free(names->items);
	*names = (struct rfs_seats_names){ 0 };
}

/* NULL: no memory. */
static const char *keep_name(struct rfs_seats_names *names, const char *name)
{
	for (size_t i = names->count; i-- > 0;)
		if (strcmp(names->items[i], name) == 0)
			return names->items[i];
	if (RFS_VEC_ROOM(names) < 0)
		return NULL;
	names->items[names->count] = strdup(name);
	return names->items[names->count] ? names->items[names->count++] : NULL;
}

static int add_seat(const struct rfs_seat *seat, struct rfs_seats_names *names,
		    struct rfs_seats *out, uint64_t *next)
{
	const char *of = keep_name(names, seat->of);
	int r;

	if (!of)
		return -ENOMEM;
	r = rfs_seats_add(out, rfs_range_to(*next, seat->range.off), NULL, 0);
	if (r == 0)
		r = rfs_seats_add(out, seat->range, of, seat->off);
	*next = rfs_range_end(seat->range);
	return r;
}

static int no_piece(struct rfs_error *err)
{
	return rfs_fail(err, EBADMSG,
			"what the mount says of where a disk lies makes no "
			"sense; is it of the same version?");
}

/* A seat of 'range' from 'next' on. */
static bool parse_seat(const char *line, struct rfs_range range, uint64_t next,
		       struct rfs_seat *ret, char name[HEX + 1])
{
	uint64_t off, len, there;
	int used = 0;

	if (sscanf(line,
		   "%20" SCNu64 " %20" SCNu64 " %20" SCNu64 " %32[0-9a-f]%n",
		   &off, &len, &there, name, &used) != 4 ||
	    line[used] != '\n' || strlen(name) != HEX)
		return false;
	*ret = (struct rfs_seat){ rfs_range(off, len), name, there };
	return len && off >= next && rfs_range_fits(ret->range, RFS_SIZE_MAX) &&
	       rfs_range_end(ret->range) <= rfs_range_end(range) &&
	       rfs_range_fits(rfs_range(there, len), RFS_SIZE_MAX);
}

int rfs_seats_parse(const char *piece, struct rfs_range range,
		    struct rfs_seats_names *names, struct rfs_seats *out,
		    uint64_t *ret_next, struct rfs_error *err)
{
	uint64_t next = range.off, end;
	struct rfs_seat seat;
	char name[HEX + 1];
	const char *line;
	int used = 0, r = 0;

	for (line = piece; r == 0 && parse_seat(line, range, next, &seat, name);
	     line = strchr(line, '\n') + 1)
		r = add_seat(&seat, names, out, &next);
	if (r < 0)
		return rfs_no_memory(err);
	if (sscanf(line, "%20" SCNu64 "%n", &end, &used) != 1 ||
	    strcmp(line + used, "\n") != 0 || end < next || end == range.off ||
	    end > rfs_range_end(range))
		return no_piece(err);
	if (rfs_seats_add(out, rfs_range_to(next, end), NULL, 0) < 0)
		return rfs_no_memory(err);
	*ret_next = end;
	return 0;
}
