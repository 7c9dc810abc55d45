// SPDX-License-Identifier: GPL-3.0-or-later
/* Directories, in the order of the disk: their checksums, and the names of the
 * inodes that are wanted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/vec.h"
#include "ext/walk.h"

#define PIECE	       ((uint64_t)1 << 20)
#define ARENA_MAX      ((size_t)1 << 30)
#define PATH_DEPTH_MAX 1024

static int compare_runs(const void *a, const void *b)
{
	const struct rfs_dir_run *x = a, *y = b;

	return (x->blk > y->blk) - (x->blk < y->blk);
}

/* Room for more text than one, as vec.h makes it. */
static int keep_text(struct rfs_walk *w, const char *name, size_t len,
		     uint64_t *ret)
{
	size_t room = w->arena.room ? w->arena.room : 1 << 16;
	char *grown;

	while (room - w->arena.count < len + 1)
		room *= 2;
	if (room > ARENA_MAX)
		return rfs_no_memory(w->err);
	if (room != w->arena.room) {
		grown = realloc(w->arena.items, room);
		if (!grown)
			return rfs_no_memory(w->err);
		w->arena.items = grown;
		w->arena.room = room;
	}
	*ret = w->arena.count;
	memcpy(w->arena.items + w->arena.count, name, len);
	w->arena.items[w->arena.count + len] = '\0';
	w->arena.count += len + 1;
	return 0;
}

static int take_name(struct rfs_walk *w, uint32_t parent, uint32_t ino,
		     const char *name, size_t len)
{
	uint64_t text = 0;
	int r;

	if (!ino || ino > w->inodes || !len || memchr(name, '\0', len) ||
	    (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'))) ||
	    !rfs_bit(w->wanted, ino) || rfs_bit(w->named, ino))
		return 0;
	if (RFS_VEC_ROOM(&w->names) < 0)
		return rfs_no_memory(w->err);
	r = keep_text(w, name, len, &text);
	if (r < 0)
		return r;
	rfs_set_bit(w->named, ino);
	w->names.items[w->names.count++] = (struct rfs_name){
		.ino = ino,
		.parent = parent,
		.text = text,
	};
	return 0;
}

/* The entries of a block, or of what is in an inode: they end where they make
 * no sense. */
static int take_entries(struct rfs_walk *w, uint32_t parent, uint8_t *buf,
			size_t len)
{
	struct ext2_dir_entry_2 *e;
	size_t at = 0;
	unsigned int rec;
	int r = 0;

	while (r == 0 && len - at >= EXT2_DIR_REC_LEN(1)) {
		e = (struct ext2_dir_entry_2 *)(buf + at);
		rec = ext2fs_le16_to_cpu(e->rec_len);
		/* A block of 64 KiB is longer than the field can say. */
		if (len >= 65536 && (rec == 65535 || rec == 0))
			rec = 65536;
		if (rec % 4 || rec < 8 || rec > len - at ||
		    e->name_len + 8u > rec)
			break;
		r = take_name(w, parent, ext2fs_le32_to_cpu(e->inode), e->name,
			      e->name_len);
		at += rec;
	}
	return r;
}

static int take_block(struct rfs_walk *w, uint64_t blk, uint32_t ino,
		      uint8_t *buf)
{
	ext2_filsys fs = w->x->fs;
	int r = 0;

	if (!ext2fs_dir_block_csum_verify(fs, ino,
					  (struct ext2_dir_entry *)buf))
		r = rfs_walk_wrong(w, rfs_extfs_blocks(w->x, blk, 1),
				   RFS_LOSS_DIRECTORY, ino);
	return r < 0 ? r : take_entries(w, ino, buf, fs->blocksize);
}

static int take_run(struct rfs_walk *w, const struct rfs_dir_run *run,
		    uint64_t from, uint64_t n, uint8_t *piece)
{
	uint64_t bs = w->x->fs->blocksize, off;
	struct rfs_ranges bad = { 0 };
	size_t b = 0;
	int r = rfs_ext_read(&w->x->io,
			     rfs_range((run->blk + from) * bs, n * bs), piece,
			     &bad, w->err);

	for (uint64_t i = 0; i < n && r == 0; i++) {
		off = w->x->io.base + (run->blk + from + i) * bs;
		while (b < bad.count && rfs_range_end(bad.items[b]) <= off)
			b++;
		if (b == bad.count || bad.items[b].off >= off + bs)
			r = take_block(w, run->blk + from + i, run->ino,
				       piece + i * bs);
	}
	rfs_ranges_fini(&bad);
	return r;
}

/* A directory so small that it is in its inode: the number of its parent, then
 * entries. */
static int take_inline(struct rfs_walk *w, uint32_t ino, uint8_t *piece)
{
	size_t len = 0;
	errcode_t e = ext2fs_inline_data_size(w->x->fs, ino, &len);

	if (e || len <= 4 || len > w->x->fs->blocksize ||
	    ext2fs_inline_data_get(w->x->fs, ino, NULL, piece, &len))
		return 0;
	return take_entries(w, ino, piece + 4, len - 4);
}

static int compare_names(const void *a, const void *b)
{
	const struct rfs_name *x = a, *y = b;

	return (x->ino > y->ino) - (x->ino < y->ino);
}

int rfs_walk_dirs(struct rfs_walk *w)
{
	RFS_CLEANUP_FREE uint8_t *piece = malloc(PIECE);
	uint64_t each = PIECE / w->x->fs->blocksize, n;
	int r = 0;

	if (!piece)
		return rfs_no_memory(w->err);
	if (w->dirs.count)
		qsort(w->dirs.items, w->dirs.count, sizeof(*w->dirs.items),
		      compare_runs);
	for (size_t i = 0; i < w->dirs.count && r == 0; i++) {
		const struct rfs_dir_run *run = &w->dirs.items[i];

		if (!run->nblk)
			r = take_inline(w, run->ino, piece);
		for (uint64_t at = 0; at < run->nblk && r == 0; at += n) {
			n = run->nblk - at < each ? run->nblk - at : each;
			r = take_run(w, run, at, n, piece);
		}
	}
	if (w->names.count)
		qsort(w->names.items, w->names.count, sizeof(*w->names.items),
		      compare_names);
	return r;
}

/*
 * Paths.
 */

static const struct rfs_name *find_name(const struct rfs_walk *w, uint32_t ino)
{
	struct rfs_name key = { .ino = ino };

	return w->names.count ? bsearch(&key, w->names.items, w->names.count,
					sizeof(key), compare_names)
			      : NULL;
}

char *rfs_walk_path(const struct rfs_walk *w, uint32_t ino)
{
	const struct rfs_name *names[PATH_DEPTH_MAX];
	size_t depth = 0, len;
	char *text = NULL;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	while (ino != EXT2_ROOT_INO && depth < PATH_DEPTH_MAX) {
		names[depth] = find_name(w, ino);
		if (!names[depth])
			break;
		ino = names[depth++]->parent;
	}
	if (ino != EXT2_ROOT_INO)
		fprintf(out, "#%u", ino);
	else if (!depth)
		fputc('/', out);
	while (depth)
		fprintf(out, "/%s", w->arena.items + names[--depth]->text);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}
