// SPDX-License-Identifier: GPL-3.0-or-later
/* Damaged qcow2 images: what is lost is said exactly, and no more is lost. */
#include "qcow2_kit.h"

#define CLUSTER 65536ull
#define SIZE	(8ull << 20)

/* An image in memory, with what its tables say. */
struct scene {
	struct kit_disk *disk;
	struct rfs_reader *file, *backing, *rd;
	struct rfs_notes notes;
	struct rfs_error err;
	struct rfs_ranges bad;
	uint8_t *want, *buf;
	uint64_t size; /* of want and buf */
};

static void scene_load(struct scene *s, const char *name)
{
	memset(s, 0, sizeof(*s));
	kit_must("qemu-img convert -f qcow2 -O raw %s want", name);
	s->want = kit_slurp("want", &s->size);
	s->buf = malloc(s->size);
	assert_non_null(s->buf);
	s->file = kit_file(name, &s->disk);
	rfs_notes_init(&s->notes);
}

static int scene_open(struct scene *s)
{
	struct rfs_qcow2_parts parts = { .file = s->file,
					 .backing = s->backing,
					 .notes = &s->notes };

	return rfs_qcow2_open(&parts, &s->rd, &s->err);
}

/* The image cut to 'size' bytes. */
static void scene_cut(struct scene *s, uint64_t size)
{
	uint8_t *bytes = malloc(size + 1);

	assert_non_null(bytes);
	memcpy(bytes, s->disk->bytes, size);
	rfs_reader_unref(s->file);
	s->file = kit_reader(bytes, size, "cut", &s->disk);
}

static void scene_fini(struct scene *s)
{
	rfs_reader_unref(s->rd);
	rfs_reader_unref(s->file);
	rfs_reader_unref(s->backing);
	rfs_notes_fini(&s->notes);
	rfs_ranges_fini(&s->bad);
	free(s->want);
	free(s->buf);
}

static uint64_t l1_at(const struct scene *s)
{
	return kit_get64(s->disk->bytes + 40);
}

static uint64_t l2_at(const struct scene *s, uint64_t index)
{
	return kit_get64(s->disk->bytes + l1_at(s) + 8 * index) &
	       0xfffffffffffe00;
}

/* The L2 entry of a cluster, in an image with a single L2 table. */
static uint8_t *entry(const struct scene *s, uint64_t cluster)
{
	return s->disk->bytes + l2_at(s, 0) + 8 * cluster;
}

static uint64_t host_at(const struct scene *s, uint64_t cluster)
{
	return kit_get64(entry(s, cluster)) & 0xfffffffffffe00;
}

/* Reads everything in steps: each byte that is not in 'bad' is right, 'bad' is
 * ascending, and the extents say UNKNOWN of nothing else. */
static void read_all(struct scene *s, uint64_t step)
{
	uint64_t pos = 0, len, stop, before;
	int r;

	s->bad.count = 0;
	memset(s->buf, 0x77, s->size);
	for (; pos < s->size; pos += len) {
		len = s->size - pos < step ? s->size - pos : step;
		before = rfs_ranges_total(&s->bad);
		r = rfs_reader_read(s->rd, rfs_range(pos, len), s->buf + pos,
				    &s->bad, &s->err);
		assert_int_equal(r, rfs_ranges_total(&s->bad) == before ? 0
									: -EIO);
	}
	pos = 0;
	for (size_t i = 0; i <= s->bad.count; i++) {
		stop = i < s->bad.count ? s->bad.items[i].off : s->size;
		assert_true(stop >= pos);
		assert_memory_equal(s->buf + pos, s->want + pos, stop - pos);
		pos = i < s->bad.count ? rfs_range_end(s->bad.items[i]) : 0;
	}
}

/* Everything but one range can be read, at every step. */
static void only_bad(struct scene *s, uint64_t off, uint64_t len)
{
	static const uint64_t steps[] = { 512, 5000, 65536, SIZE };

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		read_all(s, steps[i]);
		assert_int_equal(s->bad.count, len ? 1 : 0);
		if (!len)
			continue;
		assert_int_equal(s->bad.items[0].off, off);
		assert_int_equal(s->bad.items[0].len, len);
	}
}

/* The extents say UNKNOWN of this range and of nothing else. */
static void only_unknown(struct scene *s, uint64_t off, uint64_t len)
{
	struct rfs_extents ext = { 0 };
	uint64_t pos = 0, found = 0;

	assert_int_equal(
		rfs_reader_extents(s->rd, rfs_range(0, s->size), &ext, &s->err),
		0);
	for (size_t i = 0; i < ext.count; i++) {
		assert_int_equal(ext.items[i].range.off, pos);
		pos += ext.items[i].range.len;
		if (ext.items[i].content != RFS_UNKNOWN)
			continue;
		assert_int_equal(ext.items[i].range.off, off);
		assert_int_equal(ext.items[i].range.len, len);
		found++;
	}
	assert_int_equal(pos, s->size);
	assert_int_equal(found, len ? 1 : 0);
	rfs_extents_fini(&ext);
}

static void full_image(struct scene *s, const char *options)
{
	kit_must("qemu-img convert -f raw -O qcow2 -o %s noise full", options);
	scene_load(s, "full");
}

static void opens(struct scene *s)
{
	if (scene_open(s) < 0)
		fail_msg("%s", s->err.text);
}

static void a_bad_data_sector_costs_itself(void **state)
{
	struct scene s;

	(void)state;
	full_image(&s, "cluster_size=64k");
	s.disk->bad[host_at(&s, 5) / 512 + 3] = 1;
	opens(&s);
	only_bad(&s, 5 * CLUSTER + 3 * 512, 512);
	assert_non_null(strstr(s.err.text, "is bad"));
	only_unknown(&s, 0, 0);
	scene_fini(&s);
}

static void a_bad_l2_sector_costs_64_clusters(void **state)
{
	struct scene s;

	(void)state;
	full_image(&s, "cluster_size=64k");
	s.disk->bad[l2_at(&s, 0) / 512 + 1] = 1;
	opens(&s);
	only_bad(&s, 64 * CLUSTER, 64 * CLUSTER);
	only_unknown(&s, 64 * CLUSTER, 64 * CLUSTER);
	assert_int_equal(
		kit_noted(&s.notes, "1 of 128 sectors of the L2 table"), 1);
	assert_non_null(strstr(s.err.text, "entry"));
	scene_fini(&s);
}

static void a_bad_extended_l2_sector_costs_32_clusters(void **state)
{
	struct scene s;

	(void)state;
	full_image(&s, "cluster_size=64k,extended_l2=on");
	s.disk->bad[l2_at(&s, 0) / 512 + 2] = 1;
	opens(&s);
	only_bad(&s, 64 * CLUSTER, 32 * CLUSTER);
	only_unknown(&s, 64 * CLUSTER, 32 * CLUSTER);
	scene_fini(&s);
}

/* Clusters of 512 bytes: a table maps 32 KiB, 64 of them 2 MiB. */
static void a_bad_l1_sector_costs_64_tables(void **state)
{
	struct scene s;

	(void)state;
	full_image(&s, "cluster_size=512");
	s.disk->bad[l1_at(&s) / 512 + 1] = 1;
	opens(&s);
	only_bad(&s, 2 << 20, 2 << 20);
	only_unknown(&s, 2 << 20, 2 << 20);
	assert_int_equal(kit_noted(&s.notes, "1 sectors of the L1 table"), 1);
	scene_fini(&s);
}

/* A hole would be asked of the backing file: unknown is not empty (P3). */
static void a_bad_l2_sector_does_not_show_the_backing(void **state)
{
	struct scene s;

	(void)state;
	kit_must("qemu-img create -q -f qcow2 -b noise -F raw over 8M");
	kit_must("qemu-io -f qcow2 -c 'write -P 1 0 64k' over >/dev/null");
	scene_load(&s, "over");
	s.backing = kit_file("noise", NULL);
	s.disk->bad[l2_at(&s, 0) / 512 + 1] = 1;
	opens(&s);
	only_bad(&s, 64 * CLUSTER, 64 * CLUSTER);
	scene_fini(&s);
}

static void an_unreadable_header_is_a_clear_error(void **state)
{
	struct scene s;

	(void)state;
	full_image(&s, "cluster_size=64k");
	s.disk->bad[0] = 1;
	assert_int_equal(scene_open(&s), -EIO);
	assert_non_null(strstr(s.err.text, "qcow2 header"));
	assert_non_null(strstr(s.err.text, "full"));
	scene_fini(&s);
}

static void a_missing_backing_costs_what_is_only_there(void **state)
{
	struct scene s;

	(void)state;
	kit_must("qemu-img create -q -f qcow2 -b noise -F raw over 8M");
	kit_must("qemu-io -f qcow2 -c 'write -P 1 0 2M' -c 'write -z 3M 5M' "
		 "over >/dev/null");
	scene_load(&s, "over");
	opens(&s);
	only_bad(&s, 2 << 20, 1 << 20);
	only_unknown(&s, 2 << 20, 1 << 20);
	assert_non_null(strstr(s.err.text, "backing file is missing"));
	assert_int_equal(kit_noted(&s.notes, "backing file is missing"), 1);
	scene_fini(&s);
}

static void a_backing_that_is_not_named_is_ignored(void **state)
{
	struct scene s;

	(void)state;
	kit_must("qemu-img create -q -f qcow2 over 8M");
	scene_load(&s, "over");
	s.backing = kit_file("noise", NULL);
	opens(&s);
	only_bad(&s, 0, 0);
	scene_fini(&s);
}

static void a_missing_data_file_costs_the_data(void **state)
{
	struct scene s;

	(void)state;
	kit_must("rm -f outside && qemu-img create -q -f qcow2 -o "
		 "data_file=outside over 8M");
	kit_must("qemu-io -f qcow2 -c 'write -P 1 1M 2M' over >/dev/null");
	scene_load(&s, "over");
	opens(&s);
	only_bad(&s, 1 << 20, 2 << 20);
	only_unknown(&s, 1 << 20, 2 << 20);
	assert_non_null(strstr(s.err.text, "data file is missing"));
	scene_fini(&s);
}

/* A raw data file is the disk: its tables may be lost. */
static void a_raw_data_file_needs_no_tables(void **state)
{
	struct rfs_qcow2_parts parts = { 0 };
	struct scene s;

	(void)state;
	kit_must("rm -f outside && qemu-img create -q -f qcow2 -o "
		 "data_file=outside,data_file_raw=on over 8M");
	kit_must("qemu-io -f qcow2 -c 'write -s noise 1M 5M' over >/dev/null");
	scene_load(&s, "over");
	s.disk->bad[l2_at(&s, 0) / 512] = 1;
	parts.file = s.file;
	parts.data = kit_file("outside", NULL);
	assert_int_equal(rfs_qcow2_open(&parts, &s.rd, &s.err), 0);
	rfs_reader_unref(parts.data);
	only_bad(&s, 0, 0);
	scene_fini(&s);
}

static void a_truncated_image_ends_in_errors(void **state)
{
	struct scene s;
	uint64_t cluster = 100;

	(void)state;
	full_image(&s, "cluster_size=64k");
	scene_cut(&s, host_at(&s, cluster) + 1000);
	opens(&s);
	only_bad(&s, cluster * CLUSTER + 1000, 28 * CLUSTER - 1000);
	only_unknown(&s, cluster * CLUSTER + 1000, 28 * CLUSTER - 1000);
	scene_fini(&s);
}

static void a_truncated_l2_table_keeps_its_start(void **state)
{
	struct scene s;

	(void)state;
	full_image(&s, "cluster_size=64k,preallocation=metadata");
	/* Data first, then the table, cut within entry 20. */
	scene_cut(&s, s.disk->size);
	if (l2_at(&s, 0) < host_at(&s, 0)) {
		uint64_t size = s.disk->size;
		uint8_t *bytes = calloc(1, size + CLUSTER);

		memcpy(bytes, s.disk->bytes, size);
		memcpy(bytes + size, s.disk->bytes + l2_at(&s, 0), CLUSTER);
		kit_put64(bytes + l1_at(&s), size | 1ull << 63);
		rfs_reader_unref(s.file);
		s.file = kit_reader(bytes, size + 20 * 8 + 4, "cut", &s.disk);
	}
	opens(&s);
	only_bad(&s, 20 * CLUSTER, 108 * CLUSTER);
	only_unknown(&s, 20 * CLUSTER, 108 * CLUSTER);
	assert_int_equal(kit_noted(&s.notes, "cut off by the end"), 1);
	scene_fini(&s);
}

static void an_l1_beyond_the_end_is_unknown(void **state)
{
	struct scene s;

	(void)state;
	full_image(&s, "cluster_size=512");
	kit_put64(s.disk->bytes + 40, s.disk->size + 512 - s.disk->size % 512);
	opens(&s);
	only_bad(&s, 0, SIZE);
	only_unknown(&s, 0, SIZE);
	assert_int_equal(kit_noted(&s.notes, "cut off by the end"), 1);
	scene_fini(&s);
}

/* Entries that make no sense cost their clusters. */
static void a_senseless_entry_costs_its_cluster(void **state)
{
	static const struct {
		uint64_t entry;
		const char *note;
	} cases[] = {
		{ 1ull << 63 | 1ull << 40, "beyond the end" },
		{ 1ull << 63 | 0x20200, "start of a cluster" },
		{ 1ull << 63, "points to the header" },
		{ 1ull << 63 | 1ull << 60 | 0x50000, "reserved bits" },
		{ 1ull << 63 | 2 | 0x50000, "reserved bits" },
		{ 1ull << 62 | 1ull << 50, "beyond the end" },
		{ 1ull << 62 | 100, "points to the header" },
	};
	struct scene s;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		full_image(&s, "cluster_size=64k");
		kit_put64(entry(&s, 7), cases[i].entry);
		opens(&s);
		only_bad(&s, 7 * CLUSTER, CLUSTER);
		only_unknown(&s, 7 * CLUSTER, CLUSTER);
		assert_int_equal(kit_noted(&s.notes, cases[i].note), 1);
		scene_fini(&s);
	}
}

static void a_zero_flag_in_version_2_is_senseless(void **state)
{
	struct scene s;

	(void)state;
	full_image(&s, "cluster_size=64k,compat=0.10");
	kit_put64(entry(&s, 7), kit_get64(entry(&s, 7)) | 1);
	opens(&s);
	only_bad(&s, 7 * CLUSTER, CLUSTER);
	assert_int_equal(kit_noted(&s.notes, "version 2"), 1);
	scene_fini(&s);
}

static void subclusters_that_contradict_are_senseless(void **state)
{
	struct scene s;

	(void)state;
	full_image(&s, "cluster_size=64k,extended_l2=on");
	/* Cluster 7: stored and zero at once. */
	kit_put64(entry(&s, 15), 0x00000001ffffffff);
	opens(&s);
	only_bad(&s, 7 * CLUSTER, CLUSTER);
	assert_int_equal(kit_noted(&s.notes, "subclusters"), 1);
	scene_fini(&s);
}

static void a_senseless_l1_entry_costs_its_table(void **state)
{
	static const uint64_t entries[] = {
		1ull << 63 | 1ull << 40,
		1ull << 63 | 0x201,
		1ull << 60 | 0x2000,
		1ull << 63,
	};
	struct scene s;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		full_image(&s, "cluster_size=512");
		kit_put64(s.disk->bytes + l1_at(&s) + 8 * 9, entries[i]);
		opens(&s);
		only_bad(&s, 9 * 32768, 32768);
		only_unknown(&s, 9 * 32768, 32768);
		assert_int_equal(kit_noted(&s.notes, "an L1 entry"), 1);
		scene_fini(&s);
	}
}

/* Of a packed cluster, what comes before the bad sector is kept. */
static void a_bad_sector_leaves_the_start_of_a_packed_cluster(void **state)
{
	static const char *const options[] = { "cluster_size=64k",
					       "compression_type=zstd,"
					       "cluster_size=2M" };
	uint64_t desc, host, cluster, shift;
	struct scene s;

	(void)state;
	for (int i = 0; i < 2; i++) {
		cluster = i ? 2 << 20 : CLUSTER;
		shift = i ? 49 : 54;
		kit_must("qemu-img convert -c -f raw -O qcow2 -o %s words "
			 "packed",
			 options[i]);
		scene_load(&s, "packed");
		desc = kit_get64(entry(&s, 1));
		assert_true(desc >> 62 & 1);
		host = desc & ((1ull << shift) - 1);
		s.disk->bad[(host + cluster / 4) / 512] = 1;
		opens(&s);
		read_all(&s, SIZE);
		assert_int_equal(s.bad.count, 1);
		assert_int_equal(rfs_range_end(s.bad.items[0]), 2 * cluster);
		/* The words pack to a half or so. */
		assert_true(s.bad.items[0].off > cluster + cluster / 8);
		only_bad(&s, s.bad.items[0].off, s.bad.items[0].len);
		only_unknown(&s, 0, 0);
		scene_fini(&s);
	}
}

static void packed_bytes_that_are_wrong_are_not_used(void **state)
{
	struct scene s;
	uint64_t host;

	(void)state;
	kit_must("qemu-img convert -c -f raw -O qcow2 words packed");
	scene_load(&s, "packed");
	host = kit_get64(entry(&s, 1)) & ((1ull << 54) - 1);
	/* A block of the reserved type. */
	s.disk->bytes[host] |= 6;
	opens(&s);
	only_bad(&s, CLUSTER, CLUSTER);
	assert_int_equal(kit_noted(&s.notes, "does not decompress"), 1);
	scene_fini(&s);
}

static void a_packed_cluster_may_end_with_the_file(void **state)
{
	struct scene s;
	uint64_t desc, host;

	(void)state;
	kit_must("head -c 65536 words > one && qemu-img convert -c -f raw -O "
		 "qcow2 one packed");
	scene_load(&s, "packed");
	desc = kit_get64(entry(&s, 0));
	host = desc & ((1ull << 54) - 1);
	/* A descriptor that claims ever more sectors than the file has. */
	kit_put64(entry(&s, 0), desc | 0xffull << 54);
	opens(&s);
	only_bad(&s, 0, 0);
	rfs_reader_unref(s.rd);
	s.rd = NULL;
	scene_cut(&s, host + 4096);
	opens(&s);
	read_all(&s, SIZE);
	assert_int_equal(s.bad.count, 1);
	assert_true(s.bad.items[0].off > 4096);
	assert_non_null(strstr(s.err.text, "ends at"));
	scene_fini(&s);
}

/* One field of the header, and what must be said of it. */
static void headers_are_refused_by_what_is_wrong(void **state)
{
	static const struct {
		unsigned int at, bytes;
		uint64_t value;
		int error;
		const char *says;
	} cases[] = {
		{ 0, 4, 0x514649fa, -EINVAL, "not a qcow2 image" },
		{ 4, 4, 1, -EINVAL, "no version 1 has that" },
		{ 4, 4, 0, -ENOTSUP, "qcow version 0" },
		{ 4, 4, 4, -ENOTSUP, "qcow version 4" },
		{ 16, 4, 1024, -EINVAL, "1023" },
		{ 20, 4, 8, -EINVAL, "2^8" },
		{ 20, 4, 22, -EINVAL, "2^22" },
		{ 20, 4, 0xffffffff, -EINVAL, "clusters" },
		{ 24, 8, 1ull << 63, -EFBIG, "more than a file can have" },
		{ 24, 8, 1ull << 62, -EINVAL, "the L1 table has" },
		{ 32, 4, 1, -ENOTSUP, "AES" },
		{ 32, 4, 2, -ENOTSUP, "LUKS" },
		{ 32, 4, 3, -ENOTSUP, "unknown method 3" },
		{ 36, 4, 0, -EINVAL, "the L1 table has 0" },
		{ 36, 4, 4194305, -EFBIG, "32 MiB" },
		{ 36, 4, 0xffffffff, -EFBIG, "32 MiB" },
		{ 40, 8, 0, -EINVAL, "L1 table's offset" },
		{ 40, 8, 0x30200, -EINVAL, "L1 table's offset" },
		{ 40, 8, 1ull << 63, -EINVAL, "L1 table's offset" },
		{ 40, 8, ~0xffffull, -EINVAL, "L1 table's offset" },
		{ 72, 8, 1ull << 5, -ENOTSUP, "feature 5" },
		{ 72, 8, 1ull << 63, -ENOTSUP, "feature 63" },
		{ 96, 4, 7, -EINVAL, "2^7" },
		{ 100, 4, 96, -EINVAL, "header length" },
		{ 100, 4, 0xfffffff8, -EINVAL, "header length" },
		{ 104, 1, 2, -ENOTSUP, "unknown method 2" },
	};
	struct scene s;
	int r;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		kit_must("qemu-img create -q -f qcow2 -b noise -F raw over 8M");
		scene_load(&s, "over");
		if (cases[i].bytes == 8)
			kit_put64(s.disk->bytes + cases[i].at, cases[i].value);
		else if (cases[i].bytes == 4)
			kit_put32(s.disk->bytes + cases[i].at,
				  (uint32_t)cases[i].value);
		else
			s.disk->bytes[cases[i].at] = (uint8_t)cases[i].value;
		r = scene_open(&s);
		if (r != cases[i].error || !strstr(s.err.text, cases[i].says))
			fail_msg("case %zu: %d, %s", i, r, s.err.text);
		assert_non_null(strstr(s.err.text, "over"));
		scene_fini(&s);
	}
}

static void too_short_for_a_header_is_said(void **state)
{
	struct scene s;

	(void)state;
	full_image(&s, "cluster_size=64k");
	scene_cut(&s, 71);
	assert_int_equal(scene_open(&s), -EINVAL);
	assert_non_null(strstr(s.err.text, "71 bytes"));
	scene_cut(&s, 0);
	assert_int_equal(scene_open(&s), -EINVAL);
	scene_fini(&s);
}

/* QEMU's table names bits 0 to 4; the one of bit 3 is made bit 9's. */
static void an_unknown_feature_is_refused_by_its_name(void **state)
{
	uint8_t *p;
	struct scene s;

	(void)state;
	kit_must("qemu-img create -q -f qcow2 over 8M");
	scene_load(&s, "over");
	kit_put64(s.disk->bytes + 72, 1ull << 9);
	p = memmem(s.disk->bytes, 1024, "compression type", 16);
	assert_non_null(p);
	p[-1] = 9;
	assert_int_equal(scene_open(&s), -ENOTSUP);
	assert_non_null(strstr(s.err.text, "feature 9 (compression type)"));
	scene_fini(&s);
}

static void other_features_are_ignored(void **state)
{
	struct scene s;

	(void)state;
	full_image(&s, "cluster_size=64k");
	kit_put64(s.disk->bytes + 80, ~0ull);
	kit_put64(s.disk->bytes + 88, ~3ull);
	kit_put64(s.disk->bytes + 72, 3); /* dirty and corrupt */
	opens(&s);
	only_bad(&s, 0, 0);
	assert_int_equal(kit_noted(&s.notes, "marked dirty"), 1);
	assert_int_equal(kit_noted(&s.notes, "marked corrupt"), 1);
	scene_fini(&s);
}

/* The format of a backing file that cannot be read is not "not said". */
static void lost_extensions_do_not_pass_for_none(void **state)
{
	struct rfs_qcow2_info info;
	struct scene s;

	(void)state;
	kit_must("qemu-img create -q -f qcow2 -b noise -F raw over 8M");
	scene_load(&s, "over");
	kit_put32(s.disk->bytes + kit_get32(s.disk->bytes + 100) + 4, 1 << 20);
	assert_int_equal(rfs_qcow2_info(s.file, &info, &s.err), 0);
	assert_string_equal(info.backing_file, "noise");
	assert_string_equal(info.backing_format, "");
	rfs_qcow2_info_fini(&info);
	opens(&s);
	assert_int_equal(kit_noted(&s.notes, "extensions are damaged"), 1);
	scene_fini(&s);
}

static void zeroed_tables_are_suspect(void **state)
{
	struct scene s;
	char where[64];

	(void)state;
	for (int l1 = 0; l1 < 2; l1++) {
		full_image(&s, "cluster_size=64k");
		snprintf(where, sizeof(where),
			 "suspect: the L%d table at %" PRIu64, l1 ? 1 : 2,
			 l1 ? l1_at(&s) : l2_at(&s, 0));
		if (l1)
			memset(s.disk->bytes + l1_at(&s), 0, 8);
		else
			memset(entry(&s, 0), 0, CLUSTER);
		opens(&s);
		assert_int_equal(kit_noted(&s.notes, "suspect"), 0);
		rfs_reader_read(s.rd, rfs_range(0, 512), s.buf, NULL, NULL);
		assert_int_equal(s.buf[0], 0);
		assert_int_equal(kit_noted(&s.notes, where), 1);
		rfs_reader_read(s.rd, rfs_range(0, SIZE), s.buf, NULL, NULL);
		assert_int_equal(kit_noted(&s.notes, "suspect"), 1);
		scene_fini(&s);
	}
}

/* Zeros that are right: nothing written, or all of it discarded, with
 * snapshots and dirty bitmaps in use beside. */
static void honest_zeros_are_not_suspect(void **state)
{
	static const char *const makings[] = {
		"qemu-img create -q -f qcow2 over 8M",
		"qemu-img create -q -f qcow2 -o compat=0.10 over 8M && qemu-io "
		"-f qcow2 -c 'write 0 8M' -c 'discard 0 8M' over >/dev/null",
		"qemu-img create -q -f qcow2 over 8M && qemu-io -f qcow2 -c "
		"'write -s noise 0 8M' over >/dev/null && qemu-img snapshot -c "
		"s over && qemu-io -f qcow2 -c 'discard 0 8M' over >/dev/null",
		"qemu-img create -q -f qcow2 over 8M && qemu-img bitmap --add "
		"over b && qemu-io -f qcow2 -c 'write 0 8M' -c 'discard 0 8M' "
		"over >/dev/null",
	};
	struct scene s;

	(void)state;
	for (size_t i = 0; i < sizeof(makings) / sizeof(*makings); i++) {
		kit_must("rm -f over && %s", makings[i]);
		scene_load(&s, "over");
		/* Discards leave zero marks; take them for a table of zeros. */
		if (i > 1 && l2_at(&s, 0))
			memset(entry(&s, 0), 0, 1024);
		opens(&s);
		read_all(&s, SIZE);
		if (kit_noted(&s.notes, "reads as zeros"))
			fail_msg("image %zu is wrongly suspected", i);
		scene_fini(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bad_data_sector_costs_itself),
		cmocka_unit_test(a_bad_l2_sector_costs_64_clusters),
		cmocka_unit_test(a_bad_extended_l2_sector_costs_32_clusters),
		cmocka_unit_test(a_bad_l1_sector_costs_64_tables),
		cmocka_unit_test(a_bad_l2_sector_does_not_show_the_backing),
		cmocka_unit_test(an_unreadable_header_is_a_clear_error),
		cmocka_unit_test(a_missing_backing_costs_what_is_only_there),
		cmocka_unit_test(a_backing_that_is_not_named_is_ignored),
		cmocka_unit_test(a_missing_data_file_costs_the_data),
		cmocka_unit_test(a_raw_data_file_needs_no_tables),
		cmocka_unit_test(a_truncated_image_ends_in_errors),
		cmocka_unit_test(a_truncated_l2_table_keeps_its_start),
		cmocka_unit_test(an_l1_beyond_the_end_is_unknown),
		cmocka_unit_test(a_senseless_entry_costs_its_cluster),
		cmocka_unit_test(a_zero_flag_in_version_2_is_senseless),
		cmocka_unit_test(subclusters_that_contradict_are_senseless),
		cmocka_unit_test(a_senseless_l1_entry_costs_its_table),
		cmocka_unit_test(
			a_bad_sector_leaves_the_start_of_a_packed_cluster),
		cmocka_unit_test(packed_bytes_that_are_wrong_are_not_used),
		cmocka_unit_test(a_packed_cluster_may_end_with_the_file),
		cmocka_unit_test(headers_are_refused_by_what_is_wrong),
		cmocka_unit_test(too_short_for_a_header_is_said),
		cmocka_unit_test(an_unknown_feature_is_refused_by_its_name),
		cmocka_unit_test(other_features_are_ignored),
		cmocka_unit_test(lost_extensions_do_not_pass_for_none),
		cmocka_unit_test(zeroed_tables_are_suspect),
		cmocka_unit_test(honest_zeros_are_not_suspect),
	};
	int failed;

	kit_begin();
	kit_make("noise", SIZE, 256);
	kit_make("words", SIZE, 16);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	kit_end();
	return failed;
}
