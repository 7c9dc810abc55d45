// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/mapfile.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/vec.h"

/* Longer than any line that is no comment; of a longer comment the rest is
 * passed over. */
#define LINE_ROOM 1024

#define MAP_STATUSES   "?*/-FG+"
#define BLOCK_STATUSES "?*/-+"

int rfs_mapfile_add(struct rfs_mapfile *map, struct rfs_range range,
		    char status)
{
	struct rfs_mapfile_block *last;
	int r;

	if (!range.len)
		return 0;
	if (map->count) {
		last = &map->items[map->count - 1];
		if (last->status == status &&
		    rfs_range_end(last->range) == range.off) {
			last->range.len += range.len;
			return 0;
		}
	}
	r = RFS_VEC_ROOM(map);
	if (r < 0)
		return r;
	map->items[map->count++] = (struct rfs_mapfile_block){ range, status };
	return 0;
}

void rfs_mapfile_fini(struct rfs_mapfile *map)
{
	free(map->items);
	*map = (struct rfs_mapfile){ 0 };
}

static void write_comment(const char *comment, FILE *out)
{
	size_t len;

	while (*comment) {
		len = strcspn(comment, "\n");
		fprintf(out, "# %.*s\n", (int)len, comment);
		comment += len + (comment[len] == '\n');
	}
}

/* The columns and their headings are ddrescue's, so that a person who knows
 * those finds the way. */
int rfs_mapfile_write(const struct rfs_mapfile *map, const char *comment,
		      FILE *out, struct rfs_error *err)
{
	fputs("# Mapfile. Created by rescuefs\n", out);
	if (comment)
		write_comment(comment, out);
	fputs("# current_pos  current_status  current_pass\n", out);
	fprintf(out, "0x%08" PRIX64 "     %c               1\n",
		map->current_pos,
		map->current_status ? map->current_status : '+');
	fputs("#      pos        size  status\n", out);
	for (size_t i = 0; i < map->count; i++)
		fprintf(out, "0x%08" PRIX64 "  0x%08" PRIX64 "  %c\n",
			map->items[i].range.off, map->items[i].range.len,
			map->items[i].status);
	if (fflush(out) == EOF || ferror(out))
		return rfs_fail(err, EIO, "the mapfile could not be written");
	return 0;
}

struct scan {
	FILE *in;
	const char *name;
	unsigned long line;
	char text[LINE_ROOM];
};

static int fail_here(const struct scan *s, struct rfs_error *err,
		     const char *what)
{
	return rfs_fail(err, EINVAL, "%s:%lu: %s", s->name, s->line, what);
}

static void skip_line(FILE *in)
{
	int c;

	do
		c = getc(in);
	while (c != '\n' && c != EOF);
}

/* The next line that says something: 1 and its first word at *ret, or 0 at the
 * end of the file. */
static int next_line(struct scan *s, char **ret, struct rfs_error *err)
{
	char *p;
	bool is_whole;

	while (fgets(s->text, sizeof(s->text), s->in)) {
		s->line++;
		is_whole = strchr(s->text, '\n') || feof(s->in);
		p = s->text + strspn(s->text, " \t\r\n\v\f");
		if (*p == '#' && !is_whole)
			skip_line(s->in);
		else if (!is_whole)
			return fail_here(s, err, "the line is too long");
		if (!*p || *p == '#')
			continue;
		*ret = p;
		return 1;
	}
	if (ferror(s->in))
		return rfs_fail(err, EIO, "%s: cannot be read", s->name);
	return 0;
}

/* A number and the blanks behind it. */
static bool take_number(char **p, uint64_t *ret)
{
	unsigned long long n;
	char *end;

	if (!isdigit((unsigned char)**p))
		return false;
	errno = 0;
	n = strtoull(*p, &end, 0);
	if (errno || n > RFS_SIZE_MAX ||
	    (*end && !isspace((unsigned char)*end)))
		return false;
	*ret = n;
	*p = end + strspn(end, " \t");
	return true;
}

static bool take_status(char **p, const char *allowed, char *ret)
{
	char c = **p;

	if (!c || !strchr(allowed, c))
		return false;
	if ((*p)[1] && !isspace((unsigned char)(*p)[1]))
		return false;
	*ret = c;
	*p += 1 + strspn(*p + 1, " \t");
	return true;
}

static bool is_line_end(const char *p)
{
	p += strspn(p, " \t\r\n");
	return !*p || *p == '#';
}

/* Before version 1.22 ddrescue wrote no number of the pass. */
static int read_status_line(struct scan *s, struct rfs_mapfile *map,
			    struct rfs_error *err)
{
	uint64_t pass;
	char *p;
	int r;

	r = next_line(s, &p, err);
	if (r < 0)
		return r;
	if (r == 0)
		return fail_here(s, err, "there is no status line");
	if (!take_number(&p, &map->current_pos) ||
	    !take_status(&p, MAP_STATUSES, &map->current_status))
		return fail_here(s, err,
				 "this is no status line: a position "
				 "and one of " MAP_STATUSES);
	if (!is_line_end(p) && (!take_number(&p, &pass) || !is_line_end(p)))
		return fail_here(s, err, "the number of the pass is none");
	return 0;
}

static int read_block(struct scan *s, char *p, struct rfs_mapfile *map,
		      uint64_t *end, struct rfs_error *err)
{
	struct rfs_range range;
	char status;

	if (!take_number(&p, &range.off) || !take_number(&p, &range.len) ||
	    !take_status(&p, BLOCK_STATUSES, &status) || !is_line_end(p))
		return fail_here(s, err,
				 "this is no block: a position, a size "
				 "and one of " BLOCK_STATUSES);
	if (!rfs_range_fits(range, RFS_SIZE_MAX))
		return fail_here(s, err, "the block ends too far away");
	if (*end != UINT64_MAX && range.off < *end)
		return fail_here(s, err,
				 "the block begins before the last one "
				 "ends");
	if (*end != UINT64_MAX && range.off > *end)
		return fail_here(s, err, "there is a gap before this block");
	*end = rfs_range_end(range);
	if (rfs_mapfile_add(map, range, status) < 0)
		return rfs_no_memory(err);
	return 0;
}

int rfs_mapfile_read(FILE *in, const char *name, struct rfs_mapfile *ret,
		     struct rfs_error *err)
{
	struct rfs_mapfile map = { 0 };
	struct scan s = { .in = in, .name = name };
	uint64_t end = UINT64_MAX; /* nothing yet: a map may begin anywhere */
	char *p;
	int r;

	r = read_status_line(&s, &map, err);
	while (r == 0) {
		r = next_line(&s, &p, err);
		if (r <= 0)
			break;
		r = read_block(&s, p, &map, &end, err);
	}
	if (r < 0)
		rfs_mapfile_fini(&map);
	else
		*ret = map;
	return r;
}
