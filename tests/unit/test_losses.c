// SPDX-License-Identifier: GPL-3.0-or-later
/* Whom lost and stale blocks hit: block by block against debugfs, and each kind
 * of table by itself. */
#include "ext_kit.h"

#include "ext/losses.h"

#define BS 1024u

static const struct rfs_origin damaged = { "bm0002" }, backup = { "backup" };

/* A state a block. */
struct painted {
	struct ext_image im;
	uint8_t *state;
	uint64_t blocks;
	struct rfs_losses found;
};

/* Every second block of it is a hole. */
static void make_holes(const struct ext_image *im)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/d/sub/deeper/holes", im->dir);
	f = fopen(path, "we");
	assert_non_null(f);
	for (long i = 0; i < 5000; i += 2) {
		fseek(f, i * (long)BS, SEEK_SET);
		fputc('x', f);
	}
	fclose(f);
}

static void make(struct painted *p, const char *options)
{
	ext_begin(&p->im);
	ext_run(&p->im, "mkdir -p d/sub/deeper d/many");
	make_holes(&p->im);
	ext_run(&p->im,
		"for i in $(seq 1 300); do echo $i >d/many/file$i; done && "
		"for i in 1 2 3 4 5 6 7 8 9; do "
		"head -c ${i}3000 /dev/zero | tr '\\0' $i >d/sub/f$i; done && "
		"head -c 3000000 /dev/zero | tr '\\0' x >d/sub/deeper/big && "
		"ln -s /etc/passwd d/short && "
		"ln -s /$(printf '%%0200d' 1) d/long && "
		"mke2fs -q -F -b 1024 -d d %s image 32M && "
		"printf 'rm sub/f2\\nrm sub/f5\\n' >todo && "
		"debugfs -w -f todo image",
		options);
	ext_load(&p->im);
	p->blocks = p->im.disk.size / BS;
	p->state = malloc(p->blocks);
	memset(p->state, RFS_FRESH, p->blocks);
	p->found = (struct rfs_losses){ 0 };
}

static void end(struct painted *p)
{
	rfs_losses_fini(&p->found);
	free(p->state);
	ext_end(&p->im);
}

/* What is painted lost cannot be read either. */
static void look(struct painted *p)
{
	struct rfs_report report = { 0 };
	struct rfs_error err = RFS_ERROR_INIT;

	for (uint64_t b = 0; b < p->blocks; b++) {
		struct rfs_report_item item = {
			.range = rfs_range(b * BS, BS),
			.state = p->state[b],
			.was = p->state[b],
			.origin = p->state[b] == RFS_STALE  ? &backup
				  : p->state[b] == RFS_LOST ? NULL
							    : &damaged,
		};

		if (p->state[b] == RFS_LOST)
			ext_break(&p->im, b * BS, BS);
		assert_int_equal(rfs_report_add(&report, &item), 0);
	}
	rfs_losses_fini(&p->found);
	if (rfs_losses_find(p->im.reader, &report, &p->found, &err) < 0)
		fail_msg("%s", err.text);
	rfs_report_fini(&report);
}

/* The one loss of this kind, path and state; NULL if there is none. */
static const struct rfs_loss *find(const struct painted *p,
				   enum rfs_loss_kind kind, const char *path,
				   enum rfs_loss_state state)
{
	const struct rfs_loss *found = NULL;

	for (size_t i = 0; i < p->found.count; i++) {
		const struct rfs_loss *l = &p->found.items[i];

		if (l->kind != kind || l->state != state ||
		    strcmp(l->path ? l->path : "", path) != 0)
			continue;
		assert_null(found);
		found = l;
	}
	return found;
}

static uint64_t total(const struct painted *p, enum rfs_loss_state state)
{
	uint64_t n = 0;

	for (size_t i = 0; i < p->found.count; i++)
		if (p->found.items[i].state == state)
			n += p->found.items[i].bytes;
	return n;
}

static void expect_nothing_else(const struct painted *p, size_t n)
{
	if (p->found.count == n)
		return;
	for (size_t i = 0; i < p->found.count; i++)
		printf("# %s %s %s %zu\n",
		       rfs_loss_kind_name(p->found.items[i].kind),
		       rfs_loss_state_name(p->found.items[i].state),
		       p->found.items[i].path ? p->found.items[i].path : "-",
		       (size_t)p->found.items[i].bytes);
	fail_msg("%zu losses, not %zu", p->found.count, n);
}

/* What debugfs answers, a number at its end. */
static uint64_t ask(struct painted *p, const char *request)
{
	char text[4096], command[512];
	const char *at;

	snprintf(command, sizeof(command), "debugfs -R '%s' image", request);
	ext_ask(&p->im, text, sizeof(text), command);
	at = text + strlen(text);
	while (at > text && (at[-1] < '0' || at[-1] > '9'))
		at--;
	while (at > text && at[-1] >= '0' && at[-1] <= '9')
		at--;
	return strtoull(at, NULL, 10);
}

static uint64_t block_of(struct painted *p, const char *path, unsigned int n)
{
	char request[256];

	snprintf(request, sizeof(request), "bmap %s %u", path, n);
	return ask(p, request);
}

/* The number behind 'words' in what dumpe2fs says of group 0. */
static uint64_t of_group(struct painted *p, const char *words)
{
	static char text[1 << 18];
	const char *at;

	ext_ask(&p->im, text, sizeof(text), "dumpe2fs image");
	at = strstr(text, "\nGroup 0:");
	assert_non_null(at);
	at = strstr(at, words);
	assert_non_null(at);
	return strtoull(at + strlen(words), NULL, 10);
}

/*
 * Against debugfs.
 */

/* "BLOCK\tINODE" for every block; 0: nobody's. */
static uint32_t *ask_owners(struct painted *p)
{
	uint32_t *owner = calloc(p->blocks, sizeof(*owner));
	char *line = NULL;
	size_t room = 0;
	unsigned long blk, ino;
	FILE *f;

	ext_run(&p->im,
		"for from in $(seq 1 8000 %zu); do "
		"debugfs -R \"icheck $(seq $from $((from + 7999)) | "
		"tr '\\n' ' ')\" image; done | grep '^[0-9]' >owners",
		(size_t)p->blocks - 1);
	snprintf(p->im.path, sizeof(p->im.path), "%s/owners", p->im.dir);
	f = fopen(p->im.path, "re");
	assert_non_null(f);
	while (getline(&line, &room, f) > 0)
		if (sscanf(line, "%lu %lu", &blk, &ino) == 2 && blk < p->blocks)
			owner[blk] = (uint32_t)ino;
	free(line);
	fclose(f);
	return owner;
}

static void expect_owners(struct painted *p, const uint32_t *owner)
{
	uint64_t *want = calloc(65536, sizeof(*want)), rest = 0;

	for (uint64_t b = 0; b < p->blocks; b++) {
		if (p->state[b] == RFS_STALE)
			want[owner[b]] += BS;
	}
	for (size_t i = 0; i < p->found.count; i++) {
		const struct rfs_loss *l = &p->found.items[i];

		assert_int_equal(l->state, RFS_LOSS_STALE);
		assert_ptr_equal(l->origin, &backup);
		assert_true(l->inode < 65536);
		/* Slots of an inode table: debugfs calls them nobody's. */
		if (l->inode && l->kind != RFS_LOSS_INODE)
			want[l->inode] -= l->bytes;
		else
			rest += l->bytes;
	}
	/* What the resize inode has are spare descriptors. */
	want[0] += want[7];
	want[7] = 0;
	for (uint32_t i = 1; i < 65536; i++)
		if (want[i])
			fail_msg("inode %u: %zd bytes differ", i,
				 (ssize_t)want[i]);
	assert_int_equal(rest, want[0]);
	free(want);
}

/* Their paths as ncheck has them. */
static void expect_paths(struct painted *p)
{
	char request[128], text[1024], line[600];

	for (size_t i = 0; i < p->found.count; i += 1 + i / 8) {
		const struct rfs_loss *l = &p->found.items[i];

		if (l->kind > RFS_LOSS_XATTR || l->inode < 11)
			continue;
		snprintf(request, sizeof(request),
			 "debugfs -R 'ncheck %u' image", l->inode);
		ext_ask(&p->im, text, sizeof(text), request);
		snprintf(line, sizeof(line), "\n%u\t%s\n", l->inode, l->path);
		/* What is in the root has two slashes there. */
		if (strchr(l->path + 1, '/') == NULL)
			snprintf(line, sizeof(line), "\n%u\t/%s\n", l->inode,
				 l->path);
		if (!strstr(text, line))
			fail_msg("%s is not in %s", line, text);
	}
}

static void each_block_has_the_owner_that_debugfs_says(void **state)
{
	static const char *const options[] = {
		"-t ext4 -g 4096",
		"-t ext3",
		"-t ext2 -I 128",
		"-t ext4 -O bigalloc,^resize_inode -C 4096",
		"-t ext4 -O inline_data,meta_bg,^resize_inode",
	};
	uint64_t seed = test_seed();

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		struct painted p;
		uint32_t *owner;

		printf("# mke2fs %s\n", options[i]);
		make(&p, options[i]);
		owner = ask_owners(&p);
		for (uint64_t b = 0; b < p.blocks; b++)
			if (test_random(&seed) % 3 == 0)
				p.state[b] = RFS_STALE;
		look(&p);
		expect_owners(&p, owner);
		expect_paths(&p);
		free(owner);
		end(&p);
	}
}

/*
 * One by one.
 */

static void a_healthy_disk_lost_nothing(void **state)
{
	struct painted p;

	(void)state;
	make(&p, "-t ext4");
	look(&p);
	expect_nothing_else(&p, 0);
	assert_int_equal(p.found.nvolumes, 1);
	assert_string_equal(p.found.volumes[0].type, "ext4");
	assert_int_equal(p.found.unread_used + p.found.unread_free, 0);
	end(&p);
}

static void lost_data_is_its_file(void **state)
{
	const struct rfs_loss *l;
	struct painted p;

	(void)state;
	make(&p, "-t ext4");
	p.state[block_of(&p, "/sub/f9", 3)] = RFS_LOST;
	p.state[block_of(&p, "/sub/f9", 7)] = RFS_LOST;
	p.state[block_of(&p, "/sub/f9", 8)] = RFS_STALE;
	p.state[block_of(&p, "/long", 0)] = RFS_STALE;
	look(&p);
	l = find(&p, RFS_LOSS_DATA, "/sub/f9", RFS_LOSS_LOST);
	assert_non_null(l);
	assert_int_equal(l->bytes, 2 * BS);
	assert_null(l->origin);
	assert_true(rfs_loss_matters(l));
	l = find(&p, RFS_LOSS_DATA, "/sub/f9", RFS_LOSS_STALE);
	assert_int_equal(l->bytes, BS);
	assert_ptr_equal(l->origin, &backup);
	assert_non_null(find(&p, RFS_LOSS_DATA, "/long", RFS_LOSS_STALE));
	expect_nothing_else(&p, 3);
	end(&p);
}

static void a_lost_directory_leaves_its_files_without_a_name(void **state)
{
	struct painted p;

	(void)state;
	make(&p, "-t ext4");
	p.state[block_of(&p, "/sub", 0)] = RFS_LOST;
	p.state[block_of(&p, "/sub/f9", 3)] = RFS_LOST;
	look(&p);
	assert_non_null(find(&p, RFS_LOSS_DIRECTORY, "/sub", RFS_LOSS_LOST));
	assert_int_equal(p.found.items[0].kind, RFS_LOSS_DATA);
	assert_int_equal(p.found.items[0].path[0], '#');
	expect_nothing_else(&p, 2);
	end(&p);
}

static void a_lost_node_says_what_was_behind_it(void **state)
{
	static const char *const options[] = { "-t ext4", "-t ext2" };
	const struct rfs_loss *l;

	(void)state;
	for (int i = 0; i < 2; i++) {
		const char *path = i ? "/sub/deeper/big" : "/sub/deeper/holes";
		uint32_t *owner;
		uint64_t node = 0, hidden;
		struct painted p;
		uint32_t ino;

		make(&p, options[i]);
		owner = ask_owners(&p);
		snprintf(p.im.path, sizeof(p.im.path), "imap %s", path);
		ino = owner[block_of(&p, path, 0)];
		hidden = block_of(&p, path, i ? 20 : 0);
		/* A block of the inode that is none of the file's own. */
		for (uint64_t b = 1; b < p.blocks && !node; b++) {
			if (owner[b] != ino)
				continue;
			p.state[b] = RFS_STALE;
			look(&p);
			if (p.found.items[0].kind == RFS_LOSS_EXTENTS)
				node = b;
			p.state[b] = RFS_FRESH;
		}
		assert_true(node > 0);
		p.state[node] = RFS_LOST;
		p.state[hidden] = RFS_STALE;
		look(&p);
		l = find(&p, RFS_LOSS_EXTENTS, path, RFS_LOSS_LOST);
		assert_non_null(l);
		assert_true(l->behind > BS);
		free(owner);
		end(&p);
	}
}

/* The block of the inode table that has /many/file150: of its 4 inodes, those
 * before and behind it are of the same directory. */
static uint64_t inode_block(struct painted *p, uint32_t *ret_first)
{
	char text[4096];
	uint32_t ino;

	ext_ask(&p->im, text, sizeof(text),
		"debugfs -R 'stat /many/file150' image");
	assert_int_equal(sscanf(text, "Inode: %u", &ino), 1);
	*ret_first = (ino - 1) / 4 * 4 + 1;
	return of_group(p, "Inode table at ") + (ino - 1) / 4;
}

static void expect_inodes(struct painted *p, uint32_t first)
{
	char request[64], text[1024];
	const char *name;

	for (uint32_t ino = first; ino < first + 4; ino++) {
		const struct rfs_loss *l;

		snprintf(request, sizeof(request),
			 "debugfs -R 'ncheck %u' image", ino);
		ext_ask(&p->im, text, sizeof(text), request);
		name = strstr(text, "/many/");
		assert_non_null(name);
		text[strlen(text) - 1] = '\0';
		l = find(p, RFS_LOSS_INODE, name, RFS_LOSS_LOST);
		assert_non_null(l);
		assert_int_equal(l->inode, ino);
		assert_int_equal(l->bytes, 256);
	}
}

static void lost_inodes_are_told_by_their_names(void **state)
{
	struct painted p;
	uint32_t first;

	(void)state;
	make(&p, "-t ext4");
	p.state[inode_block(&p, &first)] = RFS_LOST;
	look(&p);
	expect_nothing_else(&p, 4);
	expect_inodes(&p, first);
	end(&p);
}

static void inodes_without_a_bitmap_count_if_they_have_a_name(void **state)
{
	struct painted p;
	uint32_t first;

	(void)state;
	make(&p, "-t ext4");
	p.state[inode_block(&p, &first)] = RFS_LOST;
	p.state[of_group(&p, "Inode bitmap at ")] = RFS_LOST;
	/* Of these nothing is in use. */
	p.state[of_group(&p, "Inode table at ") + 400] = RFS_LOST;
	look(&p);
	expect_inodes(&p, first);
	assert_non_null(find(&p, RFS_LOSS_INODE_BITMAP, "", RFS_LOSS_LOST));
	expect_nothing_else(&p, 6);
	assert_int_equal(p.found.items[5].bytes, BS);
	assert_int_equal(p.found.items[5].inode, 0);
	end(&p);
}

static void tables_are_told_apart(void **state)
{
	struct painted p;
	const struct rfs_loss *l;

	(void)state;
	make(&p, "-t ext4 -g 8192 -O ^flex_bg");
	p.state[of_group(&p, "Block bitmap at ")] = RFS_STALE;
	p.state[of_group(&p, "Inode bitmap at ")] = RFS_STALE;
	p.state[1] = RFS_STALE;
	p.state[2] = RFS_STALE;
	p.state[8193] = RFS_STALE;
	p.state[p.blocks - 1] = RFS_STALE;
	p.state[ask(&p, "bmap <8> 5")] = RFS_STALE;
	look(&p);
	assert_non_null(find(&p, RFS_LOSS_BLOCK_BITMAP, "", RFS_LOSS_STALE));
	assert_non_null(find(&p, RFS_LOSS_INODE_BITMAP, "", RFS_LOSS_STALE));
	assert_non_null(find(&p, RFS_LOSS_SUPER, "", RFS_LOSS_STALE));
	assert_non_null(find(&p, RFS_LOSS_DESCRIPTORS, "", RFS_LOSS_STALE));
	assert_non_null(
		find(&p, RFS_LOSS_JOURNAL, "<journal>", RFS_LOSS_STALE));
	l = find(&p, RFS_LOSS_SPARE, "", RFS_LOSS_STALE);
	assert_non_null(l);
	assert_false(rfs_loss_matters(l));
	l = find(&p, RFS_LOSS_FREE, "", RFS_LOSS_STALE);
	assert_non_null(l);
	assert_false(rfs_loss_matters(l));
	expect_nothing_else(&p, 7);
	end(&p);
}

/* Whatever is lost is told of once, and every byte of it. */
static void no_lost_byte_goes_missing(void **state)
{
	uint64_t seed = test_seed(), lost;
	struct painted p;

	(void)state;
	for (int round = 0; round < 12; round++) {
		make(&p, round % 2 ? "-t ext4" : "-t ext3");
		lost = 0;
		for (uint64_t b = 0; b < p.blocks; b++) {
			if (test_random(&seed) % (5u << round) == 0) {
				p.state[b] = RFS_LOST;
				lost += BS;
			}
		}
		look(&p);
		if (p.found.volumes[0].is_ext)
			assert_int_equal(total(&p, RFS_LOSS_LOST), lost);
		end(&p);
	}
}

/*
 * Checksums.
 */

static void flip(struct painted *p, uint64_t blk, unsigned int at)
{
	p->im.disk.bytes[blk * BS + at] ^= 0x40;
}

static void what_fails_its_checksum_is_told(void **state)
{
	const struct rfs_loss *l;
	struct painted p;

	(void)state;
	make(&p, "-t ext4 -O ^flex_bg");
	flip(&p, block_of(&p, "/many", 1), 500);
	flip(&p, of_group(&p, "Block bitmap at "), 900);
	flip(&p, of_group(&p, "Inode bitmap at "), 7);
	flip(&p, of_group(&p, "Inode table at ") + 3, 2 * 256 + 8);
	flip(&p, 2, 64 + 12); /* free blocks of group 1 */
	look(&p);
	l = find(&p, RFS_LOSS_DIRECTORY, "/many", RFS_LOSS_WRONG);
	assert_non_null(l);
	assert_ptr_equal(l->origin, &damaged);
	assert_int_equal(l->bytes, BS);
	l = find(&p, RFS_LOSS_DESCRIPTORS, "", RFS_LOSS_WRONG);
	assert_non_null(l);
	assert_int_equal(l->group, 1);
	l = find(&p, RFS_LOSS_BLOCK_BITMAP, "", RFS_LOSS_WRONG);
	assert_non_null(l);
	assert_int_equal(l->group, 0);
	assert_non_null(find(&p, RFS_LOSS_INODE_BITMAP, "", RFS_LOSS_WRONG));
	assert_int_equal(p.found.items[1].kind, RFS_LOSS_INODE);
	assert_int_equal(p.found.items[1].inode, 15);
	expect_nothing_else(&p, 5);
	end(&p);
}

static void a_wrong_superblock_is_told(void **state)
{
	struct painted p;

	(void)state;
	make(&p, "-t ext4");
	flip(&p, 1, 0x2c); /* the mount time */
	p.state[block_of(&p, "/sub/f9", 3)] = RFS_LOST;
	look(&p);
	assert_non_null(find(&p, RFS_LOSS_SUPER, "", RFS_LOSS_WRONG));
	assert_non_null(find(&p, RFS_LOSS_DATA, "/sub/f9", RFS_LOSS_LOST));
	assert_true(p.found.volumes[0].is_super_spare);
	expect_nothing_else(&p, 2);
	end(&p);
}

static void a_lost_superblock_is_replaced(void **state)
{
	struct painted p;

	(void)state;
	make(&p, "-t ext4");
	p.state[1] = RFS_LOST;
	p.state[2] = RFS_LOST;
	p.state[block_of(&p, "/sub/f9", 3)] = RFS_LOST;
	look(&p);
	assert_non_null(find(&p, RFS_LOSS_SUPER, "", RFS_LOSS_LOST));
	assert_non_null(find(&p, RFS_LOSS_DESCRIPTORS, "", RFS_LOSS_LOST));
	assert_non_null(find(&p, RFS_LOSS_DATA, "/sub/f9", RFS_LOSS_LOST));
	expect_nothing_else(&p, 3);
	end(&p);
}

/*
 * Others.
 */

static void something_else_is_told_by_the_block(void **state)
{
	const struct rfs_loss *l;
	struct painted p = { 0 };

	(void)state;
	ext_begin(&p.im);
	ext_run(&p.im, "truncate -s 8M image && mkswap -L moor image");
	ext_load(&p.im);
	p.blocks = p.im.disk.size / BS;
	p.state = malloc(p.blocks);
	memset(p.state, RFS_FRESH, p.blocks);
	p.state[1000] = RFS_LOST;
	p.state[4000] = RFS_UNREAD;
	look(&p);
	l = find(&p, RFS_LOSS_OTHER, "", RFS_LOSS_LOST);
	assert_non_null(l);
	assert_int_equal(l->bytes, BS);
	assert_false(p.found.volumes[0].is_ext);
	assert_string_equal(p.found.volumes[0].type, "swap");
	assert_string_equal(p.found.volumes[0].label, "moor");
	assert_int_equal(p.found.unread_used, BS);
	expect_nothing_else(&p, 1);
	end(&p);
}

static void partitions_each_have_their_files(void **state)
{
	const struct rfs_loss *l;
	struct painted p;
	uint64_t blk;

	(void)state;
	make(&p, "-t ext4");
	blk = block_of(&p, "/sub/f9", 3);
	ext_run(&p.im,
		"mv image one && truncate -s 100M image && "
		"printf 'label: gpt\\n2048,65536\\n67584,4096\\n71680,65536\\n'"
		" | sfdisk -q image && "
		"dd if=one of=image bs=1M seek=1 conv=notrunc && "
		"dd if=one of=image bs=1M seek=35 conv=notrunc");
	rfs_reader_unref(p.im.reader);
	memdisk_fini(&p.im.disk);
	snprintf(p.im.path, sizeof(p.im.path), "%s/image", p.im.dir);
	ext_load(&p.im);
	free(p.state);
	p.blocks = p.im.disk.size / BS;
	p.state = malloc(p.blocks);
	memset(p.state, RFS_FRESH, p.blocks);
	p.state[0] = RFS_STALE;
	p.state[500] = RFS_STALE;
	p.state[33 * 1024 + 7] = RFS_STALE;
	p.state[35 * 1024 + blk] = RFS_LOST;
	look(&p);
	assert_int_equal(p.found.nvolumes, 3);
	l = find(&p, RFS_LOSS_DATA, "/sub/f9", RFS_LOSS_LOST);
	assert_non_null(l);
	assert_int_equal(l->volume, 2);
	assert_int_equal(p.found.volumes[2].partition, 3);
	l = find(&p, RFS_LOSS_OTHER, "", RFS_LOSS_STALE);
	assert_non_null(l);
	assert_int_equal(l->volume, 1);
	l = find(&p, RFS_LOSS_OUTSIDE, "", RFS_LOSS_STALE);
	assert_non_null(l);
	assert_int_equal(l->bytes, BS);
	assert_non_null(find(&p, RFS_LOSS_PARTITION_TABLE, "", RFS_LOSS_STALE));
	end(&p);
}

static void load_again(struct painted *p)
{
	rfs_reader_unref(p->im.reader);
	memdisk_fini(&p->im.disk);
	ext_load(&p->im);
	free(p->state);
	p->blocks = p->im.disk.size / BS;
	p->state = malloc(p->blocks + 1);
	memset(p->state, RFS_FRESH, p->blocks);
}

/* No source has what was cut off, so that no map speaks of it. */
static void a_disk_that_was_cut_short_is_not_whole(void **state)
{
	struct painted p;

	(void)state;
	make(&p, "-t ext4");
	ext_run(&p.im, "cp image whole && truncate -s 20M image");
	load_again(&p);
	look(&p);
	assert_true(p.found.volumes[0].is_ext);
	assert_int_equal(p.found.volumes[0].missing, 12 << 20);
	assert_true(rfs_losses_matter(&p.found));
	/* Of the last partition a part is there, or nothing. */
	for (int mb = 40; mb > 30; mb -= 8) {
		ext_run(&p.im,
			"rm image && truncate -s 80M image && "
			"printf 'label: dos\n2048,65536\n71680,65536\n' | "
			"sfdisk -q image && "
			"dd if=whole of=image bs=1M seek=1 conv=notrunc && "
			"truncate -s %dM image",
			mb);
		load_again(&p);
		look(&p);
		assert_int_equal(p.found.nvolumes, mb == 40 ? 2 : 1);
		assert_int_equal(p.found.volumes[0].missing,
				 mb == 40 ? 0 : 1 << 20);
		assert_int_equal(p.found.missing, (67 - mb) << 20);
		assert_true(rfs_losses_matter(&p.found));
	}
	ext_run(&p.im, "truncate -s 0 image");
	load_again(&p);
	look(&p);
	assert_int_equal(p.found.nvolumes, 0);
	assert_false(p.found.is_table_partial);
	end(&p);
}

/* Any bytes of its tables set to anything: it ends, and what it tells of is on
 * the disk. */
static void hostile_tables_end(void **state)
{
	uint64_t seed = test_seed(), at;
	struct painted p;
	uint8_t *kept;

	(void)state;
	make(&p, "-t ext4 -O ^metadata_csum");
	kept = malloc(p.im.disk.size);
	memcpy(kept, p.im.disk.bytes, p.im.disk.size);
	for (uint64_t b = 0; b < p.blocks; b++)
		if (b % 7 == 0)
			p.state[b] = RFS_STALE;
	for (int round = 0; round < 60; round++) {
		memcpy(p.im.disk.bytes, kept, p.im.disk.size);
		for (int i = 0; i < 400; i++) {
			at = test_random(&seed) % (2u << 20);
			if (kept[at])
				p.im.disk.bytes[at] =
					(uint8_t)test_random(&seed);
		}
		look(&p);
		for (size_t i = 0; i < p.found.count; i++)
			assert_true(p.found.items[i].offset < p.im.disk.size);
	}
	free(kept);
	end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_block_has_the_owner_that_debugfs_says),
		cmocka_unit_test(a_healthy_disk_lost_nothing),
		cmocka_unit_test(lost_data_is_its_file),
		cmocka_unit_test(
			a_lost_directory_leaves_its_files_without_a_name),
		cmocka_unit_test(a_lost_node_says_what_was_behind_it),
		cmocka_unit_test(lost_inodes_are_told_by_their_names),
		cmocka_unit_test(
			inodes_without_a_bitmap_count_if_they_have_a_name),
		cmocka_unit_test(tables_are_told_apart),
		cmocka_unit_test(no_lost_byte_goes_missing),
		cmocka_unit_test(what_fails_its_checksum_is_told),
		cmocka_unit_test(a_wrong_superblock_is_told),
		cmocka_unit_test(a_lost_superblock_is_replaced),
		cmocka_unit_test(something_else_is_told_by_the_block),
		cmocka_unit_test(partitions_each_have_their_files),
		cmocka_unit_test(a_disk_that_was_cut_short_is_not_whole),
		cmocka_unit_test(hostile_tables_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
