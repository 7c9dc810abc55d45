/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qcow2_kit.h - what the qcow2 tests share: images made by qemu-img, held in
 * memory behind a reader whose sectors can be made unreadable. */
#ifndef RESCUEFS_TESTS_QCOW2_KIT_H
#define RESCUEFS_TESTS_QCOW2_KIT_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "readers/readers.h"

#define KIT_LATE 2

/* A file's bytes, some sectors of which fail. */
struct kit_disk {
	uint8_t *bytes;
	uint64_t size;
	uint8_t *bad; /* a byte a sector; KIT_LATE: not waited for */
	atomic_uint reads;
	void (*on_read)(struct kit_disk *); /* after each, or NULL */
	int fd; /* of kit_disks; no descriptor, but it names the file */
};

#define KIT_DISKS 256
static struct kit_disk *kit_disks[KIT_DISKS];

static char kit_dir[64];
static uint64_t kit_seed;

static inline uint64_t kit_random(void)
{
	kit_seed ^= kit_seed << 13;
	kit_seed ^= kit_seed >> 7;
	kit_seed ^= kit_seed << 17;
	return kit_seed;
}

/* A printed seed; RFS_SEED repeats a run. */
static inline void kit_seed_init(void)
{
	const char *s = getenv("RFS_SEED");

	kit_seed =
		s ? strtoull(s, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;
	kit_seed |= 1;
	printf("RFS_SEED=%" PRIu64 "\n", kit_seed);
}

static inline int kit_run(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
static inline int kit_run(const char *fmt, ...)
{
	char cmd[16384];
	va_list ap;
	int n = snprintf(cmd, sizeof(cmd), "cd %s && ", kit_dir);

	va_start(ap, fmt);
	n += vsnprintf(cmd + n, sizeof(cmd) - (size_t)n, fmt, ap);
	va_end(ap);
	assert_true(n < (int)sizeof(cmd));
	return system(cmd);
}

#define kit_must(...) assert_int_equal(kit_run(__VA_ARGS__), 0)

/* Leaves with 77 where the oracle is missing. */
static inline void kit_begin(void)
{
	if (system("qemu-img --version >/dev/null 2>&1") != 0 ||
	    system("qemu-io --version >/dev/null 2>&1") != 0) {
		puts("skipped: qemu-img and qemu-io are not installed");
		exit(77);
	}
	kit_seed_init();
	strcpy(kit_dir, "/tmp/rfs-qcow2-XXXXXX");
	if (!mkdtemp(kit_dir))
		exit(1);
}

static inline void kit_end(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", kit_dir);
	if (system(cmd) != 0)
		puts("the test's directory was not removed");
}

static inline int kit_read(void *state, struct rfs_range range, void *buf,
			   struct rfs_ranges *bad, struct rfs_error *err)
{
	struct kit_disk *d = state;
	uint64_t pos = range.off, end = rfs_range_end(range), next;
	bool late = false;
	int r = 0;

	atomic_fetch_add(&d->reads, 1);
	for (; pos < end; pos = next) {
		next = (pos / RFS_SECTOR + 1) * RFS_SECTOR;
		if (next > end)
			next = end;
		if (!d->bad[pos / RFS_SECTOR]) {
			memcpy((uint8_t *)buf + (pos - range.off),
			       d->bytes + pos, next - pos);
			continue;
		}
		/* What was not read is whatever it likes to be. */
		memset((uint8_t *)buf + (pos - range.off), 0xee, next - pos);
		late = late || d->bad[pos / RFS_SECTOR] == KIT_LATE;
		r = rfs_fail(err, late ? ETIMEDOUT : EIO,
			     "sector %" PRIu64 " is bad", pos / RFS_SECTOR);
		assert_int_equal(rfs_ranges_add(bad, rfs_range_to(pos, next)),
				 0);
	}
	if (d->on_read)
		d->on_read(d);
	return r;
}

static inline int kit_pieces(void *state, struct rfs_range range,
			     struct rfs_pieces *out)
{
	const struct kit_disk *d = state;

	return rfs_pieces_add(out, d->fd, range);
}

/* The pieces of a range, if it has any, are its bytes, and all of them. */
static inline bool kit_has_pieces(struct rfs_reader *rd, struct rfs_range range,
				  const uint8_t *want)
{
	struct rfs_pieces pieces = { 0 };
	uint64_t done = 0;

	if (rfs_reader_pieces(rd, range, &pieces) < 0)
		return false;
	for (size_t i = 0; i < pieces.count; i++) {
		const struct rfs_piece *p = &pieces.items[i];
		const struct kit_disk *d = kit_disks[p->fd];

		assert_non_null(d);
		assert_true(rfs_range_fits(p->range, d->size));
		assert_true(p->range.len <= range.len - done);
		assert_memory_equal(d->bytes + p->range.off, want + done,
				    p->range.len);
		done += p->range.len;
	}
	assert_int_equal(done, range.len);
	return true;
}

static inline void kit_free(void *state)
{
	struct kit_disk *d = state;

	kit_disks[d->fd] = NULL;
	free(d->bytes);
	free(d->bad);
	free(d);
}

static const struct rfs_reader_ops kit_ops = {
	.kind = "kit",
	.read = kit_read,
	.pieces = kit_pieces,
	.close = kit_free,
};

static inline uint8_t *kit_slurp(const char *file, uint64_t *ret_size)
{
	char path[512];
	struct stat st;
	uint8_t *p;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", kit_dir, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	p = malloc((size_t)st.st_size + 1);
	assert_non_null(p);
	for (off_t at = 0; at < st.st_size;) {
		ssize_t n = pread(fd, p + at, (size_t)(st.st_size - at), at);

		assert_true(n > 0);
		at += n;
	}
	close(fd);
	*ret_size = (uint64_t)st.st_size;
	return p;
}

static const struct rfs_origin kit_origin = { "kit" };

/* Takes 'bytes'; *ret_disk stays valid as long as the reader. */
static inline struct rfs_reader *kit_reader(uint8_t *bytes, uint64_t size,
					    const char *name,
					    struct kit_disk **ret_disk)
{
	struct kit_disk *d = calloc(1, sizeof(*d));
	struct rfs_reader *rd;

	assert_non_null(d);
	d->bytes = bytes;
	d->size = size;
	d->bad = calloc(1, size / RFS_SECTOR + 1);
	assert_non_null(d->bad);
	while (kit_disks[d->fd]) {
		d->fd++;
		assert_true(d->fd < KIT_DISKS);
	}
	kit_disks[d->fd] = d;
	assert_int_equal(
		rfs_reader_new(&kit_ops, d, size, name, &kit_origin, &rd, NULL),
		0);
	if (ret_disk)
		*ret_disk = d;
	return rd;
}

static inline struct rfs_reader *kit_file(const char *name,
					  struct kit_disk **ret_disk)
{
	uint64_t size;
	uint8_t *bytes = kit_slurp(name, &size);

	return kit_reader(bytes, size, name, ret_disk);
}

/* Opens an image of kit_dir with all that it names, as the site would. */
static inline struct rfs_reader *kit_chain(const char *name, bool raw,
					   struct rfs_notes *notes)
{
	struct rfs_qcow2_parts parts = { .notes = notes };
	struct rfs_qcow2_info info;
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_reader *rd;

	parts.file = kit_file(name, NULL);
	if (raw)
		return parts.file;
	assert_int_equal(rfs_qcow2_info(parts.file, &info, &err), 0);
	if (info.backing_file)
		parts.backing =
			kit_chain(info.backing_file,
				  !strcmp(info.backing_format, "raw"), notes);
	if (info.data_file)
		parts.data = kit_file(info.data_file, NULL);
	if (rfs_qcow2_open(&parts, &rd, &err) < 0)
		fail_msg("%s: %s", name, err.text);
	rfs_reader_unref(parts.file);
	rfs_reader_unref(parts.backing);
	rfs_reader_unref(parts.data);
	rfs_qcow2_info_fini(&info);
	return rd;
}

/* A file of random bytes below 'values': the fewer, the better it packs. */
static inline void kit_make(const char *name, uint64_t size,
			    unsigned int values)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", kit_dir, name);
	f = fopen(path, "w");
	if (!f)
		exit(1);
	for (uint64_t i = 0; i < size; i++)
		fputc((int)((kit_random() >> 20) % values), f);
	fclose(f);
}

static inline uint64_t kit_get64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

static inline uint32_t kit_get32(const uint8_t *p)
{
	return (uint32_t)(kit_get64(p) >> 32);
}

static inline void kit_put64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static inline void kit_put32(uint8_t *p, uint32_t v)
{
	for (int i = 3; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

struct kit_search {
	const char *text;
	size_t hits;
};

static inline void kit_search_one(const char *text, void *data)
{
	struct kit_search *s = data;

	s->hits += strstr(text, s->text) != NULL;
}

/* How many notes hold 'text'. */
static inline size_t kit_noted(struct rfs_notes *notes, const char *text)
{
	struct kit_search s = { .text = text };

	rfs_notes_each(notes, 0, kit_search_one, &s);
	return s.hits;
}

#endif /* RESCUEFS_TESTS_QCOW2_KIT_H */
