// SPDX-License-Identifier: GPL-3.0-or-later
/* The merge and the overlay, as the operator sees them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/view.h"
#include "memdisk.h"

#define SIZE ((uint64_t)256 << 10)

static const struct rfs_origin host = { "bm0002" }, backup = { "backup" };

/* A damaged disk, its backup, a state directory and the view of them. */
struct scene {
	struct memdisk now, before;
	char *dir;
	struct rfs_state *state;
	struct rfs_merge_policy policy;
	struct rfs_generation generation; /* of the damaged copy */
	bool is_now_away;		  /* it cannot be opened */
	uint64_t before_size;		  /* of the backup; 0: all of it */
	struct rfs_view *view;
};

static int try_open(struct scene *s, struct rfs_error *err)
{
	struct rfs_reader *now = memdisk_reader(&s->now, &host);
	struct rfs_reader *before;
	struct rfs_candidate candidates[] = {
		{ s->is_now_away ? NULL : now, &host, "damaged", 2,
		  s->generation, NULL, false },
		{ NULL, &backup, "backup", 1, { SIZE, 5 }, NULL, false },
	};
	struct rfs_view_config config = { 0 };
	uint64_t whole = s->before.size;
	int r = 0;

	if (s->before_size)
		s->before.size = s->before_size;
	before = memdisk_reader(&s->before, &backup);
	s->before.size = whole;
	candidates[1].reader = before;
	if (!s->state)
		r = rfs_state_open(s->dir, "test", &s->state, err);
	assert_int_equal(r, 0);
	config.id = "uuid/disk";
	config.name = "april-ci/disk";
	config.state = s->state;
	config.policy = s->policy;
	config.candidates = candidates;
	config.ncandidates = 2;
	r = rfs_view_open(&config, &s->view, err);
	rfs_reader_unref(now);
	rfs_reader_unref(before);
	return r;
}

static void scene_open(struct scene *s)
{
	struct rfs_error err = RFS_ERROR_INIT;

	assert_int_equal(try_open(s, &err), 0);
}

/* As an unmount and a mount. */
static void scene_reopen(struct scene *s)
{
	assert_int_equal(rfs_view_close(s->view, NULL), 0);
	rfs_state_close(s->state);
	s->state = NULL;
	scene_open(s);
}

static int setup(void **data)
{
	struct scene *s = calloc(1, sizeof(*s));

	memdisk_init(&s->now, SIZE, 1);
	memdisk_init(&s->before, SIZE, 2);
	s->dir = test_mkdir();
	scene_open(s);
	*data = s;
	return 0;
}

static int teardown(void **data)
{
	struct scene *s = *data;

	rfs_view_close(s->view, NULL);
	rfs_state_close(s->state);
	test_rmdir(s->dir);
	memdisk_fini(&s->now);
	memdisk_fini(&s->before);
	free(s);
	return 0;
}

static void expect_bytes(struct scene *s, uint64_t off, const uint8_t *want,
			 uint64_t len)
{
	uint8_t *buf = malloc(len);

	assert_int_equal(
		rfs_view_read(s->view, rfs_range(off, len), buf, NULL, NULL),
		0);
	assert_memory_equal(buf, want, len);
	free(buf);
}

static uint64_t total(struct scene *s, enum rfs_block_state state)
{
	uint64_t totals[RFS_BLOCK_STATES];
	struct rfs_report report = { 0 };

	assert_int_equal(rfs_view_report(s->view, &report, NULL), 0);
	rfs_report_totals(&report, totals);
	rfs_report_fini(&report);
	return totals[state];
}

/* P6: the next source stands in for what was not waited for, and P4: it stays. */
static void what_is_late_comes_from_the_next_source(void **data)
{
	struct scene *s = *data;
	uint8_t *want = malloc(SIZE);

	s->now.is_late[100] = true;
	memcpy(want, s->now.bytes, SIZE);
	memcpy(want + 51200, s->before.bytes + 51200, 512);
	expect_bytes(s, 0, want, SIZE);
	assert_int_equal(total(s, RFS_STALE), 512);
	s->now.is_late[100] = false;
	scene_reopen(s);
	expect_bytes(s, 0, want, SIZE);
	assert_int_equal(rfs_view_refresh(s->view, false, NULL), 0);
	expect_bytes(s, 0, s->now.bytes, SIZE);
	free(want);
}

/* Nothing was served, so nothing is remembered: it may come yet. */
static void what_is_late_is_not_lost(void **data)
{
	struct scene *s = *data;
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_ranges bad = { 0 };
	uint8_t buf[2048];

	s->now.is_late[100] = true;
	s->before.is_bad[100] = true;
	for (int i = 0; i < 2; i++) {
		rfs_ranges_clear(&bad);
		assert_int_equal(rfs_view_read(s->view, rfs_range(50688, 2048),
					       buf, &bad, &err),
				 -EIO);
		assert_int_equal(bad.count, 1);
		assert_int_equal(bad.items[0].off, 51200);
		assert_int_equal(bad.items[0].len, 512);
		assert_non_null(strstr(err.text, "for now"));
	}
	assert_int_equal(total(s, RFS_LOST), 0);
	s->now.is_late[100] = false;
	scene_reopen(s);
	expect_bytes(s, 50688, s->now.bytes + 50688, 2048);
	/* And what was served once does not turn lost for it. */
	s->now.is_late[100] = true;
	assert_int_equal(
		rfs_view_read(s->view, rfs_range(50688, 2048), buf, NULL, NULL),
		-EIO);
	s->now.is_late[100] = false;
	expect_bytes(s, 50688, s->now.bytes + 50688, 2048);
	assert_int_equal(total(s, RFS_LOST), 0);
	rfs_ranges_fini(&bad);
}

static void one_bad_sector_is_512_stale_bytes(void **data)
{
	struct scene *s = *data;
	uint8_t *want = malloc(SIZE);

	s->now.is_bad[100] = true;
	memcpy(want, s->now.bytes, SIZE);
	memcpy(want + 51200, s->before.bytes + 51200, 512);
	assert_int_equal(total(s, RFS_UNREAD), SIZE);
	expect_bytes(s, 0, want, SIZE);
	assert_int_equal(total(s, RFS_STALE), 512);
	assert_int_equal(total(s, RFS_FRESH), SIZE - 512);
	/* P4: the retry would work now, and the view stays as it was. */
	s->now.is_bad[100] = false;
	scene_reopen(s);
	expect_bytes(s, 0, want, SIZE);
	assert_int_equal(s->now.touches[100], 1);
	assert_int_equal(rfs_view_refresh(s->view, false, NULL), 0);
	expect_bytes(s, 0, s->now.bytes, SIZE);
	free(want);
}

static void what_nobody_reads_is_lost_and_not_zero(void **data)
{
	struct scene *s = *data;
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_ranges bad = { 0 };
	uint8_t buf[4096];

	s->now.is_bad[9] = s->before.is_bad[9] = true;
	assert_int_equal(
		rfs_view_read(s->view, rfs_range(4096, 4096), buf, &bad, &err),
		-EIO);
	assert_int_equal(bad.count, 1);
	assert_int_equal(bad.items[0].off, 4608);
	assert_int_equal(bad.items[0].len, 512);
	assert_memory_equal(buf, s->now.bytes + 4096, 512);
	assert_memory_equal(buf + 1024, s->now.bytes + 5120, 3072);
	assert_non_null(strstr(err.text, "april-ci/disk"));
	assert_int_equal(total(s, RFS_LOST), 512);
	rfs_ranges_fini(&bad);
}

static void lost_as_zero_is_still_called_lost(void **data)
{
	struct scene *s = *data;
	const uint8_t zeros[512] = { 0 };

	s->now.is_bad[9] = s->before.is_bad[9] = true;
	s->policy.zero_lost = true;
	scene_reopen(s);
	expect_bytes(s, 4608, zeros, 512);
	assert_int_equal(total(s, RFS_LOST), 512);
}

static const struct rfs_piece *piece_at(const struct rfs_taking *t, size_t i)
{
	assert_true(i < t->pieces.count);
	return &t->pieces.items[i];
}

static int look_for_pieces(struct scene *s, struct rfs_range range,
			   struct rfs_taking *ret)
{
	*ret = (struct rfs_taking){ 0 };
	return rfs_view_pieces(s->view, range, ret);
}

static void pieces_are_what_a_read_would_serve(void **data)
{
	struct scene *s = *data;
	struct rfs_range all = rfs_range(0, SIZE);
	struct rfs_taking t;
	uint8_t buf[512];

	s->now.fd = 7;
	s->before.fd = 8;
	assert_int_equal(look_for_pieces(s, all, &t), 0);
	assert_int_equal(t.pieces.count, 1);
	assert_int_equal(piece_at(&t, 0)->fd, 7);
	/* Nothing is chosen before it is taken. */
	assert_int_equal(total(s, RFS_UNREAD), SIZE);
	s->now.is_bad[100] = true;
	assert_int_equal(
		rfs_view_read(s->view, rfs_range(51200, 512), buf, NULL, NULL),
		0);
	/* P4: what was stale once comes from there. */
	s->now.is_bad[100] = false;
	assert_int_equal(look_for_pieces(s, all, &t), 0);
	assert_int_equal(t.pieces.count, 3);
	assert_int_equal(piece_at(&t, 0)->fd, 7);
	assert_int_equal(piece_at(&t, 1)->fd, 8);
	assert_int_equal(piece_at(&t, 1)->range.off, 51200);
	assert_int_equal(piece_at(&t, 1)->range.len, 512);
	assert_int_equal(piece_at(&t, 2)->fd, 7);
	assert_int_equal(rfs_view_taken(s->view, &t, NULL), 0);
	assert_int_equal(total(s, RFS_FRESH), SIZE - 512);
	assert_int_equal(total(s, RFS_STALE), 512);
	/* And is known in the next mount, without a look at the bytes. */
	scene_reopen(s);
	assert_int_equal(total(s, RFS_FRESH), SIZE - 512);
	assert_int_equal(s->now.touches[99], 0);
}

/* P4: two readers never see one block from two sources. */
static void who_is_outrun_serves_nothing(void **data)
{
	struct scene *s = *data;
	struct rfs_taking t;
	uint8_t buf[512];

	s->now.fd = 7;
	assert_int_equal(look_for_pieces(s, rfs_range(0, SIZE), &t), 0);
	s->now.is_bad[100] = true;
	assert_int_equal(
		rfs_view_read(s->view, rfs_range(51200, 512), buf, NULL, NULL),
		0);
	assert_int_equal(rfs_view_taken(s->view, &t, NULL), -EAGAIN);
	assert_int_equal(total(s, RFS_STALE), 512);
}

static void what_must_be_looked_at_is_no_piece(void **data)
{
	struct scene *s = *data;
	struct rfs_taking t;
	uint8_t buf[512] = { 1 };

	/* The first has none: the second must not stand in for it unasked. */
	s->before.fd = 8;
	assert_true(look_for_pieces(s, rfs_range(0, 4096), &t) < 0);
	s->now.fd = 7;
	assert_int_equal(look_for_pieces(s, rfs_range(0, SIZE), &t), 0);
	/* Written by the user. */
	assert_int_equal(
		rfs_view_write(s->view, rfs_range(4096, 512), buf, NULL), 0);
	assert_true(look_for_pieces(s, rfs_range(0, 8192), &t) < 0);
	assert_int_equal(look_for_pieces(s, rfs_range(4608, 512), &t), 0);
	/* Known to be zero. */
	s->now.is_hole[20] = true;
	assert_int_equal(
		rfs_view_read(s->view, rfs_range(10240, 512), buf, NULL, NULL),
		0);
	assert_true(look_for_pieces(s, rfs_range(9728, 1024), &t) < 0);
	/* Lost. */
	s->now.is_bad[30] = s->before.is_bad[30] = true;
	assert_int_equal(
		rfs_view_read(s->view, rfs_range(15360, 512), buf, NULL, NULL),
		-EIO);
	assert_true(look_for_pieces(s, rfs_range(14848, 1024), &t) < 0);
	assert_true(look_for_pieces(s, rfs_range(SIZE, 512), &t) < 0);
}

static void an_older_source_is_no_piece_unasked(void **data)
{
	struct scene *s = *data;
	struct rfs_taking t;

	s->before.fd = 8;
	s->is_now_away = true;
	s->policy.withhold_stale = true;
	scene_reopen(s);
	assert_true(look_for_pieces(s, rfs_range(0, 4096), &t) < 0);
}

static void fill_none_gives_no_stale_block(void **data)
{
	struct scene *s = *data;
	uint8_t buf[512];

	s->now.is_bad[9] = true;
	s->policy.withhold_stale = true;
	scene_reopen(s);
	assert_int_equal(
		rfs_view_read(s->view, rfs_range(4608, 512), buf, NULL, NULL),
		-EIO);
	assert_int_equal(total(s, RFS_LOST), 512);
	assert_int_equal(s->before.touches[9], 0);
	s->policy.withhold_stale = false;
	scene_reopen(s);
	expect_bytes(s, 4608, s->before.bytes + 4608, 512);
	assert_int_equal(total(s, RFS_STALE), 512);
}

static void a_fresh_block_never_turns_stale(void **data)
{
	struct scene *s = *data;
	uint8_t buf[512];

	expect_bytes(s, 4608, s->now.bytes + 4608, 512);
	s->now.is_bad[9] = true;
	assert_int_equal(
		rfs_view_read(s->view, rfs_range(4608, 512), buf, NULL, NULL),
		-EIO);
	assert_int_equal(total(s, RFS_LOST), 512);
	assert_int_equal(total(s, RFS_STALE), 0);
	scene_reopen(s);
	assert_int_equal(
		rfs_view_read(s->view, rfs_range(4608, 512), buf, NULL, NULL),
		-EIO);
}

static void a_source_that_changed_needs_a_refresh(void **data)
{
	struct scene *s = *data;
	struct rfs_error err = RFS_ERROR_INIT;
	uint8_t note[100] = { 1 };

	assert_int_equal(rfs_view_write(s->view, rfs_range(0, 100), note, NULL),
			 0);
	assert_int_equal(rfs_view_close(s->view, NULL), 0);
	s->view = NULL;
	s->generation.mtime_ns++;
	assert_int_equal(try_open(s, &err), -ESTALE);
	assert_non_null(strstr(err.text, "bm0002"));
	/* A refresh that is refused takes nothing over. */
	s->policy.take_changed = true;
	scene_open(s);
	assert_int_equal(rfs_view_refresh(s->view, false, NULL), -EBUSY);
	assert_int_equal(rfs_view_close(s->view, NULL), 0);
	s->view = NULL;
	s->policy.take_changed = false;
	assert_int_equal(try_open(s, &err), -ESTALE);
	s->policy.take_changed = true;
	scene_open(s);
	/* One that is told to is done, and keeps what was written. */
	assert_int_equal(rfs_view_refresh(s->view, true, NULL), 0);
	assert_true(rfs_view_is_written(s->view));
	assert_int_equal(rfs_view_reset(s->view, NULL), 0);
	assert_int_equal(rfs_view_refresh(s->view, false, NULL), 0);
	s->policy.take_changed = false;
	scene_reopen(s);
	expect_bytes(s, 0, s->now.bytes, SIZE);
}

static void holes_are_known_zero(void **data)
{
	struct scene *s = *data;
	struct rfs_extents extents = { 0 };

	memset(s->now.bytes + 8192, 0, 4096);
	for (int i = 16; i < 24; i++)
		s->now.is_hole[i] = true;
	expect_bytes(s, 0, s->now.bytes, SIZE);
	assert_int_equal(total(s, RFS_ZERO), 4096);
	assert_int_equal(
		rfs_view_extents(s->view, rfs_range(0, SIZE), &extents, NULL),
		0);
	assert_int_equal(extents.count, 3);
	assert_int_equal(extents.items[1].content, RFS_HOLE);
	assert_int_equal(extents.items[1].range.off, 8192);
	rfs_extents_fini(&extents);
}

static void a_write_covers_exactly_its_bytes(void **data)
{
	struct scene *s = *data;
	uint8_t *want = malloc(SIZE), note[1000];

	s->now.is_bad[20] = true;
	memset(note, 0xa5, sizeof(note));
	memcpy(want, s->now.bytes, SIZE);
	memcpy(want + 10240, s->before.bytes + 10240, 512);
	expect_bytes(s, 0, want, SIZE);
	assert_int_equal(
		rfs_view_write(s->view, rfs_range(10001, 1000), note, NULL), 0);
	memcpy(want + 10001, note, 1000);
	expect_bytes(s, 0, want, SIZE);
	assert_int_equal(total(s, RFS_LOCAL), 1000);
	scene_reopen(s);
	expect_bytes(s, 0, want, SIZE);
	/* Writing over it does not make the report forget. */
	struct rfs_report report = { 0 };
	uint64_t was_stale = 0;

	assert_int_equal(rfs_view_report(s->view, &report, NULL), 0);
	for (size_t i = 0; i < report.count; i++)
		if (report.items[i].state == RFS_LOCAL &&
		    report.items[i].was == RFS_STALE)
			was_stale += report.items[i].range.len;
	assert_int_equal(was_stale, 512);
	rfs_report_fini(&report);
	assert_int_equal(rfs_view_refresh(s->view, false, NULL), -EBUSY);
	assert_int_equal(rfs_view_reset(s->view, NULL), 0);
	memcpy(want + 10001, s->now.bytes + 10001, 1000);
	memcpy(want + 10240, s->before.bytes + 10240, 512);
	expect_bytes(s, 0, want, SIZE);
	free(want);
}

static void shrunk_and_grown_reads_zero(void **data)
{
	struct scene *s = *data;
	uint8_t *want = calloc(1, SIZE * 2);

	memcpy(want, s->now.bytes, 5000);
	assert_int_equal(
		rfs_view_write(s->view, rfs_range(9000, 100), want, NULL), 0);
	assert_int_equal(rfs_view_truncate(s->view, 5000, NULL), 0);
	assert_int_equal(rfs_view_size(s->view), 5000);
	scene_reopen(s);
	assert_int_equal(rfs_view_size(s->view), 5000);
	assert_int_equal(rfs_view_truncate(s->view, SIZE * 2, NULL), 0);
	scene_reopen(s);
	expect_bytes(s, 0, want, SIZE * 2);
	assert_int_equal(rfs_view_reset(s->view, NULL), 0);
	assert_int_equal(rfs_view_size(s->view), SIZE);
	free(want);
}

static void expect_lost(struct scene *s, uint64_t off, uint64_t len)
{
	struct rfs_ranges bad = { 0 };
	uint8_t *buf = malloc(len);

	assert_int_equal(
		rfs_view_read(s->view, rfs_range(off, len), buf, &bad, NULL),
		-EIO);
	assert_int_equal(bad.count, 1);
	assert_int_equal(bad.items[0].off, off);
	assert_int_equal(bad.items[0].len, len);
	rfs_ranges_fini(&bad);
	free(buf);
}

/* A day on which the damaged host is away, and only the shorter backup there,
 * takes nothing of what was written, and invents nothing. */
static void a_shorter_base_takes_nothing_away(void **data)
{
	struct scene *s = *data;
	uint8_t note[1000];

	memset(note, 0x5a, sizeof(note));
	assert_int_equal(
		rfs_view_write(s->view, rfs_range(200000, 1000), note, NULL),
		0);
	assert_int_equal(rfs_view_sync(s->view, NULL), 0);
	s->is_now_away = true;
	s->before_size = 128 << 10;
	scene_reopen(s);
	assert_int_equal(rfs_view_size(s->view), SIZE);
	expect_bytes(s, 200000, note, 1000);
	expect_bytes(s, 0, s->before.bytes, 512);
	expect_lost(s, 128 << 10, 4096);
	assert_int_equal(rfs_view_truncate(s->view, SIZE + 4096, NULL), 0);
	memset(note, 0, sizeof(note));
	expect_bytes(s, SIZE, note, 1000);
	expect_lost(s, SIZE - 4096, 4096);
	s->is_now_away = false;
	s->before_size = 0;
	scene_reopen(s);
	memset(note, 0x5a, sizeof(note));
	expect_bytes(s, 200000, note, 1000);
	expect_bytes(s, 128 << 10, s->now.bytes + (128 << 10), 4096);
	assert_int_equal(rfs_view_size(s->view), SIZE + 4096);
	assert_int_equal(rfs_view_reset(s->view, NULL), 0);
	assert_int_equal(rfs_view_refresh(s->view, false, NULL), 0);
	scene_reopen(s);
	assert_int_equal(rfs_view_size(s->view), SIZE);
}

/* Without a written byte, too, the size is of when blocks were first chosen. */
static void the_size_stays_as_it_was_first_read(void **data)
{
	struct scene *s = *data;

	expect_bytes(s, 0, s->now.bytes, 512);
	s->is_now_away = true;
	s->before_size = 128 << 10;
	scene_reopen(s);
	assert_int_equal(rfs_view_size(s->view), SIZE);
	expect_bytes(s, 4096, s->before.bytes + 4096, 512);
	expect_lost(s, 128 << 10, 512);
	assert_int_equal(rfs_view_refresh(s->view, false, NULL), 0);
	scene_reopen(s);
	assert_int_equal(rfs_view_size(s->view), 128 << 10);
}

/* Would be 2^41 pages of the map, if each were kept. */
static void growing_costs_nothing(void **data)
{
	struct scene *s = *data;
	const uint64_t huge = RFS_SIZE_MAX;
	uint8_t zeros[512] = { 0 };

	assert_int_equal(rfs_view_truncate(s->view, huge, NULL), 0);
	assert_int_equal(rfs_view_punch(s->view, rfs_range(0, huge), NULL), 0);
	assert_int_equal(rfs_view_sync(s->view, NULL), 0);
	scene_reopen(s);
	assert_int_equal(rfs_view_size(s->view), huge);
	expect_bytes(s, huge - 512, zeros, 512);
	expect_bytes(s, SIZE - 256, zeros, 512);
	assert_int_equal(total(s, RFS_LOCAL), huge);
}

static void grown_reads_zero_behind_the_base(void **data)
{
	struct scene *s = *data;
	uint8_t *want = calloc(1, SIZE * 2);

	memcpy(want, s->now.bytes, SIZE);
	assert_int_equal(rfs_view_truncate(s->view, SIZE * 2, NULL), 0);
	expect_bytes(s, 0, want, SIZE * 2);
	free(want);
}

/* Random writes, punches, truncations, syncs and reopenings against a copy, to
 * twice the size of the disk. */
static void model(void **data)
{
	enum { MAX = 1 << 19, STEPS = 3000 };
	struct scene *s = *data;
	uint64_t seed = test_seed(), size = SIZE, off, len;
	uint8_t *want = calloc(1, MAX * 2), *buf = malloc(MAX * 2);

	memcpy(want, s->now.bytes, SIZE);
	for (int i = 0; i < STEPS; i++) {
		off = test_random(&seed) % size;
		len = 1 + test_random(&seed) % 9000;
		switch (test_random(&seed) % 16) {
		case 0:
			off = 1 + test_random(&seed) % MAX;
			assert_int_equal(rfs_view_truncate(s->view, off, NULL),
					 0);
			if (off > size)
				memset(want + size, 0, off - size);
			size = off;
			break;
		case 1:
			scene_reopen(s);
			break;
		case 2:
			assert_int_equal(rfs_view_sync(s->view, NULL), 0);
			if (i % 8)
				break;
			assert_int_equal(rfs_view_reset(s->view, NULL), 0);
			memcpy(want, s->now.bytes, SIZE);
			size = SIZE;
			break;
		case 3:
		case 4:
			assert_int_equal(rfs_view_punch(s->view,
							rfs_range(off, len),
							NULL),
					 0);
			if (len > size - off)
				len = size - off;
			memset(want + off, 0, len);
			break;
		case 5: /* beyond the end */
			off += len;
			/* fall through */
		default:
			if (off > size)
				memset(want + size, 0, off - size);
			memset(want + off, i, len);
			assert_int_equal(rfs_view_write(s->view,
							rfs_range(off, len),
							want + off, NULL),
					 0);
			if (off + len > size)
				size = off + len;
		}
		assert_int_equal(rfs_view_size(s->view), size);
		if (size > MAX)
			continue;
		assert_int_equal(rfs_view_read(s->view, rfs_range(0, size), buf,
					       NULL, NULL),
				 0);
		assert_memory_equal(buf, want, size);
	}
	free(want);
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(one_bad_sector_is_512_stale_bytes),
		T(what_is_late_comes_from_the_next_source),
		T(what_is_late_is_not_lost),
		T(what_nobody_reads_is_lost_and_not_zero),
		T(lost_as_zero_is_still_called_lost),
		T(pieces_are_what_a_read_would_serve),
		T(who_is_outrun_serves_nothing),
		T(what_must_be_looked_at_is_no_piece),
		T(an_older_source_is_no_piece_unasked),
		T(fill_none_gives_no_stale_block),
		T(a_fresh_block_never_turns_stale),
		T(a_source_that_changed_needs_a_refresh),
		T(holes_are_known_zero),
		T(a_write_covers_exactly_its_bytes),
		T(shrunk_and_grown_reads_zero),
		T(a_shorter_base_takes_nothing_away),
		T(the_size_stays_as_it_was_first_read),
		T(growing_costs_nothing),
		T(grown_reads_zero_behind_the_base),
		T(model),
	};

	return cmocka_run_group_tests_name("view", tests, NULL, NULL);
}
