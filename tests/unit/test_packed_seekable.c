// SPDX-License-Identifier: GPL-3.0-or-later
/* zstd files that end with a seek table, made here by what the format's description
 * says: frames, and a skippable frame that lists them.  Whole ones are read at random
 * by it; one that lies is not believed. */
#include "packed_kit.h"

#include <zstd.h>

#define PART  100000
#define PARTS 40

struct table {
	uint32_t packed[PARTS + 4], holds[PARTS + 4];
	size_t count;
	uint32_t claims;  /* entries, as the footer says */
	uint8_t flags;	  /* the footer's */
	bool has_content; /* frames' headers say how much they hold */
	uint32_t magic, size_off;
};

static void put32(struct kit_bytes *b, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		b->bytes[b->size++] = (uint8_t)(v >> (8 * i));
}

/* The frames of 'volume', without a table; 't' is what a true one would say. */
static struct kit_bytes frames(const struct kit_bytes *volume, struct table *t,
			       bool has_content)
{
	struct kit_bytes file = { malloc(2 * volume->size + 10000), 0 };
	ZSTD_CCtx *ctx = ZSTD_createCCtx();

	assert_non_null(file.bytes);
	*t = (struct table){ .has_content = has_content, .magic = 0x8f92eab1u };
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, has_content);
	for (size_t off = 0; off < volume->size; off += PART) {
		size_t len = volume->size - off, made;

		if (len > PART)
			len = PART;
		made = ZSTD_compress2(ctx, file.bytes + file.size, len + 1000,
				      volume->bytes + off, len);
		assert_false(ZSTD_isError(made));
		t->packed[t->count] = (uint32_t)made;
		t->holds[t->count++] = (uint32_t)len;
		file.size += made;
	}
	t->claims = (uint32_t)t->count;
	ZSTD_freeCCtx(ctx);
	return file;
}

static void add_table(struct kit_bytes *file, const struct table *t)
{
	bool has_sums = t->flags & 0x80;

	put32(file, 0x184d2a5eu);
	put32(file,
	      (uint32_t)(t->count * (has_sums ? 12 : 8) + 9) + t->size_off);
	for (size_t i = 0; i < t->count; i++) {
		put32(file, t->packed[i]);
		put32(file, t->holds[i]);
		if (has_sums)
			put32(file, kit_random());
	}
	put32(file, t->claims);
	file->bytes[file->size++] = t->flags;
	put32(file, t->magic);
}

struct scene {
	struct kit_bytes volume, file;
	struct kit_disk disk;
	struct table t;
	struct rfs_packed_config config;
};

static void begin(struct scene *s, bool has_content)
{
	memset(s, 0, sizeof(*s));
	s->volume = kit_volume(PART * PARTS - 777);
	s->file = frames(&s->volume, &s->t, has_content);
	s->disk.file = &s->file;
	s->config.packing = RFS_PACKED_ZST;
	s->config.expected_size = s->volume.size;
}

static void finish(struct scene *s)
{
	kit_free(&s->volume);
	kit_free(&s->file);
}

/* One small read near the end; compressed bytes that it took. */
static uint64_t touch(struct scene *s)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_reader *rd;

	s->disk.asked = 0;
	if (kit_open(&s->disk, &s->config, &rd, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(kit_compare(rd, &s->volume,
				     rfs_range(s->volume.size - 9000, 4096),
				     NULL),
			 0);
	rfs_reader_unref(rd);
	return s->disk.asked;
}

/* Bytes that are not served; none that is may be wrong. */
static uint64_t unserved(struct scene *s)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_reader *rd;
	uint64_t n;

	if (kit_open(&s->disk, &s->config, &rd, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(rfs_reader_size(rd), s->volume.size);
	n = kit_compare_all(rd, &s->volume, NULL);
	rfs_reader_unref(rd);
	return n;
}

/* With a table a small read takes a small part of the file, of both kinds of
 * tables and of frames; without one nothing tells where its frame is. */
static void is_used(void **state)
{
	struct scene s;

	(void)state;
	for (int i = 0; i < 4; i++) {
		uint64_t without;

		begin(&s, i & 1);
		without = touch(&s);
		s.t.flags = i & 2 ? 0x80 : 0;
		add_table(&s.file, &s.t);
		if (!(i & 1))
			assert_true(without >= s.file.size);
		/* A page around each frame's header, and some frames. */
		assert_true(touch(&s) < s.file.size * 3 / 4);
		assert_int_equal(unserved(&s), 0);
		/* The size is told by the table, if by no one else. */
		s.config.expected_size = 0;
		assert_int_equal(unserved(&s), 0);
		finish(&s);
	}
}

/* A lie that keeps the sum: the frames' headers deny it, or their checksums. */
static void lie_of_sizes(struct scene *s)
{
	s->t.holds[3] += 4096;
	s->t.holds[4] -= 4096;
}

static void lie_of_places(struct scene *s)
{
	s->t.packed[3] += 10;
	s->t.packed[4] -= 10;
}

/* Two frames are one, in the table. */
static void leave_one_out(struct scene *s)
{
	s->t.packed[5] += s->t.packed[6];
	s->t.holds[5] += s->t.holds[6];
	memmove(s->t.packed + 6, s->t.packed + 7, 4 * (s->t.count - 7));
	memmove(s->t.holds + 6, s->t.holds + 7, 4 * (s->t.count - 7));
	s->t.count--;
	s->t.claims--;
}

static void hold_far_too_much(struct scene *s)
{
	s->t.holds[7] = 0xffffffffu;
}

static void hold_nothing(struct scene *s)
{
	s->t.holds[8] = 0;
}

static void begin_before_the_file(struct scene *s)
{
	s->t.packed[0] = 0xfffffff0u;
}

static void claim_too_many(struct scene *s)
{
	s->t.claims = 0xffffffffu;
}

static void claim_one_more(struct scene *s)
{
	s->t.claims++;
}

static void claim_none(struct scene *s)
{
	s->t.claims = 0;
}

static void use_reserved_bits(struct scene *s)
{
	s->t.flags = 0x7c;
}

static void size_is_wrong(struct scene *s)
{
	s->t.size_off = 1u << 30;
}

static void no_magic(struct scene *s)
{
	s->t.magic++;
}

/* Whatever the table says, no byte is wrong; and what the frames hold is served all
 * the same, since a lie costs the table and no data, where anything denies it. */
static void is_not_trusted(void **state)
{
	static void (*const lies[])(struct scene *) = {
		lie_of_sizes,	   lie_of_places,  leave_one_out,
		hold_far_too_much, hold_nothing,   begin_before_the_file,
		claim_too_many,	   claim_one_more, claim_none,
		use_reserved_bits, size_is_wrong,  no_magic,
	};
	struct scene s;

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies) * 4; i++) {
		char what[40];
		uint64_t most;

		snprintf(what, sizeof(what), "lie %zu of kind %zu", i / 4,
			 i % 4);
		kit_what = what;
		begin(&s, i & 1);
		lies[i / 4](&s);
		add_table(&s.file, &s.t);
		if (i & 2)
			s.config.expected_size = 0;
		/* One that keeps the sum costs the frames that it is of. */
		most = lies[i / 4] == lie_of_sizes ||
				       lies[i / 4] == lie_of_places
			       ? 4 * PART
			       : 0;
		if (unserved(&s) > most)
			fail_msg("%s: not all of it is served", what);
		finish(&s);
	}
	kit_what = "";
}

/* A table of noise, bit by bit. */
static void flipped(void **state)
{
	struct scene s;

	(void)state;
	for (int i = 0; i < 60; i++) {
		size_t from;

		begin(&s, i & 1);
		from = s.file.size;
		add_table(&s.file, &s.t);
		from += kit_random() % (s.file.size - from);
		s.file.bytes[from] ^= (uint8_t)(1u << kit_random() % 8);
		unserved(&s);
		finish(&s);
	}
}

/* Damage in a frame costs that frame, and what it stands together with: the table
 * tells where the next one is. */
static void behind_damage(void **state)
{
	struct scene s;

	(void)state;
	for (int i = 0; i < 2; i++) {
		uint64_t at = 0, lost;

		begin(&s, i);
		add_table(&s.file, &s.t);
		for (int k = 0; k < 10; k++)
			at += s.t.packed[k];
		/* In the middle of the eleventh. */
		at += s.t.packed[10] / 2;
		for (int k = 0; k < 8; k++)
			s.file.bytes[at + (size_t)k] ^= 0x55;
		lost = unserved(&s);
		assert_true(lost > 0 && lost <= 2 * PART);
		finish(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_used),
		cmocka_unit_test(is_not_trusted),
		cmocka_unit_test(flipped),
		cmocka_unit_test(behind_damage),
	};
	int r;

	kit_state = test_seed();
	kit_dir = test_mkdir();
	r = cmocka_run_group_tests(tests, NULL, NULL);
	test_rmdir(kit_dir);
	return r;
}
