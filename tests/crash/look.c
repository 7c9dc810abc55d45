// SPDX-License-Identifier: GPL-3.0-or-later
/* look.c - opens a state directory and says what is in it, for tests that make
 * many of them.
 *
 *   look DISK BASE [OBJECT TRUTH]...
 *
 * DISK is the id of a disk that was written to, and BASE a file with what its
 * sources hold.  Of each OBJECT, a file of a source ("bm:/path") or a disk, the
 * maps "bad" and "choices" are told; what the rescued store has of it is read and
 * compared with the file TRUTH.
 *
 * Each line of the standard input is "STATE OUT": what was written to DISK by that
 * state goes into the file OUT, one run after the other, and the rest is one line
 * of JSON on the standard output, {"failed": TEXT} or {"size": N, "runs": [[OFF,
 * LEN, VALUE]...], "objects": [{"bad": [[OFF, LEN, VALUE]...], "choices": [...],
 * "kept": [[OFF, LEN]...]}...]}.  A VALUE of the runs is enum rfs_overlay_value; the
 * bytes of those that are DATA are in OUT, and those of NONE in BASE.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/keptmap.h"
#include "core/overlay.h"
#include "core/store.h"

struct file {
	const uint8_t *bytes;
	uint64_t size;
};

struct look {
	const char *disk;
	struct file base;
	char **objects; /* OBJECT TRUTH pairs */
	int nobjects;
	struct rfs_state *state;
};

/* Mapped for the life of the program. */
static int map_file(const char *path, struct file *ret, struct rfs_error *err)
{
	RFS_CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) < 0)
		return rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	*ret = (struct file){ p, (uint64_t)st.st_size };
	return 0;
}

/* Tells a run, and puts what it has into 'data'. */
static int tell_run(struct look *l, struct rfs_overlay *o, struct rfs_run run,
		    FILE *data, FILE *out, struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *buf = NULL;
	int r;

	fprintf(out, "%s[%" PRIu64 ", %" PRIu64 ", %u]",
		run.range.off ? ", " : "", run.range.off, run.range.len,
		run.value);
	if (run.value == RFS_OVERLAY_NONE &&
	    !rfs_range_fits(run.range, l->base.size))
		return rfs_fail(err, EIO, "the base ends before %" PRIu64,
				rfs_range_end(run.range));
	if (run.value != RFS_OVERLAY_DATA)
		return 0;
	buf = malloc(run.range.len);
	r = buf ? rfs_overlay_read(o, run.range, buf, err) : rfs_no_memory(err);
	if (r == 0 && fwrite(buf, 1, run.range.len, data) != run.range.len)
		r = rfs_fail(err, EIO, "the disk's file cannot be written");
	return r;
}

static int tell_runs(struct look *l, struct rfs_overlay *o, FILE *data,
		     FILE *out, struct rfs_error *err)
{
	const struct rfs_range all = rfs_range(0, rfs_overlay_size(o));
	struct rfs_run run;
	int r = 0;

	fprintf(out, "\"size\": %" PRIu64 ", \"runs\": [", all.len);
	for (uint64_t off = 0; off < all.len && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_overlay_find(o, off, all);
		r = tell_run(l, o, run, data, out, err);
	}
	fputs("], ", out);
	return r;
}

static int tell_disk(struct look *l, const char *path, FILE *out,
		     struct rfs_error *err)
{
	FILE *data = fopen(path, "we");
	struct rfs_overlay *o;
	int r;

	if (!data)
		return rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	r = rfs_overlay_open(l->disk, l->state, l->base.size, &o, err);
	if (r == 0) {
		r = tell_runs(l, o, data, out, err);
		rfs_overlay_close(o);
	}
	if (fclose(data) != 0 && r == 0)
		r = rfs_fail(err, EIO, "the disk's file cannot be written");
	return r;
}

static int tell_map(struct look *l, const char *object, const char *purpose,
		    FILE *out, struct rfs_error *err)
{
	const char *comma = "";
	struct rfs_kept k;
	struct rfs_run run;
	int r = rfs_kept_open(&k, l->state, object, purpose, err);

	if (r < 0)
		return r;
	fprintf(out, "\"%s\": [", purpose);
	for (uint64_t off = 0; off < RFS_SIZE_MAX;
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find(&k.map, off);
		if (!run.value)
			continue;
		fprintf(out, "%s[%" PRIu64 ", %" PRIu64 ", %u]", comma,
			run.range.off, run.range.len, run.value);
		comma = ", ";
	}
	fputs("], ", out);
	rfs_kept_close(&k);
	return 0;
}

static int compare_kept(struct rfs_store *s, struct rfs_range range,
			const struct file *truth, struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *buf = malloc(range.len);
	int r;

	if (!buf)
		return rfs_no_memory(err);
	r = rfs_store_read(s, range, buf, NULL, err);
	if (r == 0 && memcmp(buf, truth->bytes + range.off, range.len) != 0)
		r = rfs_fail(err, EIO, "the store has wrong bytes at %" PRIu64,
			     range.off);
	return r;
}

static int tell_kept(struct rfs_store *s, const struct file *truth, FILE *out,
		     struct rfs_error *err)
{
	const struct rfs_range all = rfs_range(0, truth->size);
	const char *comma = "";
	struct rfs_run run;
	int r = 0;

	fputs("\"kept\": [", out);
	for (uint64_t off = 0; off < all.len && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_store_find(s, off, all);
		if (run.value == RFS_KEPT_NOT)
			continue;
		r = compare_kept(s, run.range, truth, err);
		fprintf(out, "%s[%" PRIu64 ", %" PRIu64 "]", comma, off,
			run.range.len);
		comma = ", ";
	}
	fputs("]", out);
	return r;
}

static int tell_object(struct look *l, const char *object, const char *path,
		       FILE *out, struct rfs_error *err)
{
	RFS_CLEANUP_STORE struct rfs_store *s = NULL;
	struct file truth;
	int r = map_file(path, &truth, err);

	if (r < 0)
		return r;
	fputs("{", out);
	r = tell_map(l, object, "bad", out, err);
	if (r == 0)
		r = tell_map(l, object, "choices", out, err);
	if (r == 0)
		r = rfs_store_open(l->state, object, truth.size, &s, err);
	if (r == 0)
		r = tell_kept(s, &truth, out, err);
	fputs("}", out);
	munmap((void *)(uintptr_t)truth.bytes, truth.size);
	return r;
}

static int tell(struct look *l, const char *path, FILE *out,
		struct rfs_error *err)
{
	int r;

	fputs("{", out);
	r = tell_disk(l, path, out, err);
	fputs("\"objects\": [", out);
	for (int i = 0; i + 1 < l->nobjects && r == 0; i += 2) {
		fputs(i ? ", " : "", out);
		r = tell_object(l, l->objects[i], l->objects[i + 1], out, err);
	}
	fputs("]}", out);
	return r;
}

static void answer(struct look *l, const char *dir, const char *path)
{
	struct rfs_error err = RFS_ERROR_INIT;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int r;

	if (!out)
		exit(1);
	r = rfs_state_open(dir, "look", &l->state, &err);
	if (r == 0) {
		r = tell(l, path, out, &err);
		rfs_state_close(l->state);
	}
	fclose(out);
	for (char *p = err.text; *p; p++)
		if (*p == '"' || *p == '\\' || *p < ' ')
			*p = '\'';
	if (r < 0)
		printf("{\"failed\": \"%s\"}\n", err.text);
	else
		puts(text);
	fflush(stdout);
	free(text);
}

int main(int argc, char **argv)
{
	char dir[4096], path[4096];
	struct rfs_error err = RFS_ERROR_INIT;
	struct look l = { 0 };

	if (argc < 3 || map_file(argv[2], &l.base, &err) < 0) {
		fprintf(stderr, "look DISK BASE [OBJECT TRUTH]... %s\n",
			err.text);
		return 2;
	}
	l.disk = argv[1];
	l.objects = argv + 3;
	l.nobjects = argc - 3;
	while (scanf(" %4095s %4095s", dir, path) == 2)
		answer(&l, dir, path);
	return 0;
}
