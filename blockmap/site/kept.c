// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/kept.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "readers/rescue.h"

int rfs_kept_read(struct rfs_state *state, const struct rfs_copy *copy,
		  struct rfs_range range, struct rfs_kept_piece *ret,
		  struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *object = NULL;
	int r;

	if (asprintf(&object, "%s:%s", copy->source->origin.name, copy->path) <
	    0) {
		object = NULL;
		return rfs_no_memory(err);
	}
	r = rfs_rescue_stored(state, object, range, ret->bytes, &ret->len,
			      &ret->is_kept, err);
	if (r != -ENOENT)
		return r;
	ret->len = range.len;
	ret->is_kept = false;
	return 0;
}

/*
 * Through a mount: "OFFSET.LENGTH.SOURCE" is answered by "+HEX" or "-LENGTH".
 */

int rfs_kept_ask(const struct rfs_copy *copy, struct rfs_range range,
		 char **ret, struct rfs_error *err)
{
	if (asprintf(ret, "%" PRIu64 ".%" PRIu64 ".%s", range.off, range.len,
		     copy->source->origin.name) >= 0)
		return 0;
	*ret = NULL;
	return rfs_no_memory(err);
}

/* "123." */
static bool read_number(const char **at, uint64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)**at))
		return false;
	errno = 0;
	*ret = strtoull(*at, &end, 10);
	*at = end + 1;
	return errno == 0 && *end == '.';
}

static const struct rfs_copy *find_copy(const struct rfs_disk *disk,
					const char *source)
{
	for (size_t i = 0; i < disk->ncopies; i++)
		if (strcmp(disk->copies[i].source->origin.name, source) == 0)
			return &disk->copies[i];
	return NULL;
}

static int write_answer(const struct rfs_kept_piece *piece, char **ret,
			struct rfs_error *err)
{
	static const char digits[] = "0123456789abcdef";
	char *text;

	if (!piece->is_kept) {
		if (asprintf(ret, "-%" PRIu64, piece->len) >= 0)
			return 0;
		*ret = NULL;
		return rfs_no_memory(err);
	}
	text = malloc(2 * piece->len + 2);
	if (!text)
		return rfs_no_memory(err);
	text[0] = '+';
	for (uint64_t i = 0; i < piece->len; i++) {
		text[1 + 2 * i] = digits[piece->bytes[i] >> 4];
		text[2 + 2 * i] = digits[piece->bytes[i] & 15];
	}
	text[1 + 2 * piece->len] = '\0';
	*ret = text;
	return 0;
}

int rfs_kept_answer(struct rfs_state *state, const struct rfs_disk *disk,
		    const char *question, char **ret, struct rfs_error *err)
{
	RFS_CLEANUP_FREE struct rfs_kept_piece *piece = malloc(sizeof(*piece));
	const struct rfs_copy *copy = NULL;
	const char *at = question;
	struct rfs_range range;
	int r;

	if (!piece)
		return rfs_no_memory(err);
	if (read_number(&at, &range.off) && read_number(&at, &range.len))
		copy = find_copy(disk, at);
	if (!copy || range.len == 0 || range.len > RFS_KEPT_PIECE ||
	    !rfs_range_fits(range, RFS_SIZE_MAX))
		return rfs_fail(err, EINVAL,
				"that is no place in a copy of this disk");
	r = rfs_kept_read(state, copy, range, piece, err);
	return r < 0 ? r : write_answer(piece, ret, err);
}

static int digit_of(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
				      : -1;
}

static bool read_bytes(const char *hex, struct rfs_kept_piece *ret)
{
	int high, low;

	for (uint64_t i = 0; i < ret->len; i++) {
		high = digit_of(hex[2 * i]);
		low = digit_of(hex[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		ret->bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

int rfs_kept_understand(const char *answer, struct rfs_range range,
			struct rfs_kept_piece *ret, struct rfs_error *err)
{
	char *end = NULL;
	bool fits;

	ret->is_kept = answer[0] == '+';
	if (ret->is_kept)
		ret->len = strlen(answer + 1) / 2;
	else if (answer[0] == '-' && isdigit((unsigned char)answer[1]))
		ret->len = strtoull(answer + 1, &end, 10);
	else
		ret->len = 0;
	fits = ret->len > 0 && ret->len <= range.len &&
	       ret->len <= RFS_KEPT_PIECE && !(end && *end);
	if (fits && (!ret->is_kept || read_bytes(answer + 1, ret)))
		return 0;
	return rfs_fail(err, EBADMSG,
			"what the mount says of its rescued bytes makes no "
			"sense; is it of the same version?");
}
