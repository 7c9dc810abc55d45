// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Twice through the inodes: first for what differs by its inode, so that its
 * name is known to be wanted; then, after the walks have said whose blocks
 * differ, for what goes into the list.
 */
#include "ext/differences.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/vec.h"
#include "ext/inode_pair.h"
#include "ext/partitions.h"
#include "ext/walk.h"

/* Blocks of one inode that differ. */
struct tally {
	uint32_t ino;
	uint64_t bytes;
};

struct side {
	struct rfs_reader *disk;
	struct rfs_extfs *x;
	struct rfs_walk walk;
	struct tally *tallies; /* by inode */
	size_t ntallies, at;
};

struct finding {
	struct side a, b;
	const struct rfs_comparison *compared;
	struct rfs_differences *out;
	struct rfs_error *err;
	struct rfs_asks asks;
	uint8_t *listed; /* a bit an inode: it differs */
	uint32_t volume;
};

/*
 * What is asked.
 */

static int make_asks(struct finding *f)
{
	uint64_t size = rfs_comparison_size(f->compared);
	struct rfs_run run;

	for (uint64_t off = 0; off < size; off = rfs_range_end(run.range)) {
		run = rfs_comparison_find(f->compared, off);
		if (run.value == RFS_EQUAL)
			continue;
		if (RFS_VEC_ROOM(&f->asks) < 0)
			return rfs_no_memory(f->err);
		f->asks.items[f->asks.count++] =
			(struct rfs_ask){ .range = run.range };
	}
	return 0;
}

static bool is_blocks(enum rfs_loss_kind kind)
{
	return kind == RFS_LOSS_DATA || kind == RFS_LOSS_UNWRITTEN ||
	       kind == RFS_LOSS_DIRECTORY || kind == RFS_LOSS_EXTENTS ||
	       kind == RFS_LOSS_XATTR;
}

static bool is_file(uint16_t mode)
{
	return LINUX_S_ISREG(mode) || LINUX_S_ISLNK(mode);
}

/*
 * The first time.
 */

static void count(struct rfs_volume_pair *v, const struct rfs_inode_pair *p)
{
	bool a = p->a.is_there && is_file(p->a.mode);
	bool b = p->b.is_there && is_file(p->b.mode);

	if (p->a.is_unknown || p->b.is_unknown) {
		v->files_unknown +=
			a || b || (p->a.is_unknown && p->b.is_unknown);
		return;
	}
	if (a && b && !p->is_replaced) {
		v->files_changed += p->is_changed;
		v->files_same += !p->is_changed;
		return;
	}
	v->files_only_a += a;
	v->files_only_b += b;
}

static bool differs(const struct rfs_inode_pair *p)
{
	return p->is_replaced || p->is_changed ||
	       p->a.is_there != p->b.is_there;
}

static int see_inode(void *data, const struct rfs_inode_pair *p)
{
	struct finding *f = data;

	count(&f->out->pairs[f->volume], p);
	if (f->listed && differs(p))
		rfs_set_bit(f->listed, p->ino);
	return 0;
}

/*
 * The second time.
 */

/* Inodes come in ascending order, as the tallies are. */
static uint64_t bytes_of(struct side *s, uint32_t ino)
{
	while (s->at < s->ntallies && s->tallies[s->at].ino < ino)
		s->at++;
	return s->at < s->ntallies && s->tallies[s->at].ino == ino
		       ? s->tallies[s->at].bytes
		       : 0;
}

static int add(struct finding *f, const struct rfs_file_side *a,
	       const struct rfs_file_side *b)
{
	struct rfs_differences *out = f->out;
	struct rfs_file_difference item = { .volume = f->volume };

	if (a) {
		item.a = *a;
		item.path = rfs_walk_path(&f->a.walk, a->inode);
	}
	if (b) {
		item.b = *b;
		if (!a)
			item.path = rfs_walk_path(&f->b.walk, b->inode);
	}
	if (!item.path || RFS_VEC_ROOM(out) < 0) {
		free(item.path);
		return rfs_no_memory(f->err);
	}
	out->items[out->count++] = item;
	return 0;
}

static int list_inode(void *data, const struct rfs_inode_pair *p)
{
	struct finding *f = data;
	struct rfs_file_side a = p->a, b = p->b;
	int r = 0;

	if (!rfs_bit(f->listed, p->ino))
		return 0;
	a.bytes = bytes_of(&f->a, p->ino);
	b.bytes = bytes_of(&f->b, p->ino);
	if (!p->is_replaced && a.is_there)
		return add(f, &a, &b);
	if (a.is_there)
		r = add(f, &a, NULL);
	return r == 0 && b.is_there ? add(f, NULL, &b) : r;
}

static int compare_items(const void *a, const void *b)
{
	const struct rfs_file_difference *x = a, *y = b;
	int d;

	if (x->volume != y->volume)
		return x->volume < y->volume ? -1 : 1;
	d = strcmp(x->path, y->path);
	if (d)
		return d;
	/* What is on the one side before what is on the other. */
	return y->a.is_there - x->a.is_there;
}

/* A file that was written anew has another inode, and the same name. */
static void join_names(struct rfs_differences *out)
{
	struct rfs_file_difference *last, *now;
	size_t kept = 0;

	if (out->count)
		qsort(out->items, out->count, sizeof(*out->items),
		      compare_items);
	for (size_t i = 0; i < out->count; i++) {
		last = kept ? &out->items[kept - 1] : NULL;
		now = &out->items[i];
		if (last && last->volume == now->volume &&
		    strcmp(last->path, now->path) == 0 &&
		    last->path[0] == '/' && !last->b.is_there &&
		    !now->a.is_there) {
			last->b = now->b;
			free(now->path);
		} else {
			out->items[kept++] = *now;
		}
	}
	out->count = kept;
}

/*
 * Volumes.
 */

static int compare_tallies(const void *a, const void *b)
{
	const struct tally *x = a, *y = b;

	return (x->ino > y->ino) - (x->ino < y->ino);
}

/* One for each inode. */
static void join_tallies(struct side *s)
{
	size_t kept = 0;

	if (s->ntallies)
		qsort(s->tallies, s->ntallies, sizeof(*s->tallies),
		      compare_tallies);
	for (size_t i = 0; i < s->ntallies; i++) {
		if (kept && s->tallies[kept - 1].ino == s->tallies[i].ino)
			s->tallies[kept - 1].bytes += s->tallies[i].bytes;
		else
			s->tallies[kept++] = s->tallies[i];
	}
	s->ntallies = kept;
}

static int take_hits(struct finding *f, struct side *s,
		     uint64_t kinds[RFS_LOSS_KINDS])
{
	const struct rfs_walk *w = &s->walk;

	s->at = s->ntallies = 0;
	s->tallies = calloc(w->hits.count + 1, sizeof(*s->tallies));
	if (!s->tallies)
		return rfs_no_memory(f->err);
	for (size_t i = 0; i < w->hits.count; i++) {
		const struct rfs_hit *hit = &w->hits.items[i];

		if (hit->label != 0)
			continue;
		kinds[hit->kind] += hit->bytes;
		if (!is_blocks(hit->kind) || !hit->id || hit->id > w->inodes)
			continue;
		rfs_set_bit(f->listed, hit->id);
		s->tallies[s->ntallies++] =
			(struct tally){ hit->id, hit->bytes };
	}
	join_tallies(s);
	return 0;
}

static int list_volume(struct finding *f)
{
	struct rfs_volume_pair *v = &f->out->pairs[f->volume];
	int r;

	r = rfs_walk_run_for(&f->a.walk, f->a.x, &f->asks, f->listed, f->err);
	if (r == 0)
		r = rfs_walk_run_for(&f->b.walk, f->b.x, &f->asks, f->listed,
				     f->err);
	if (r == 0)
		r = take_hits(f, &f->a, v->kinds_a);
	if (r == 0)
		r = take_hits(f, &f->b, v->kinds_b);
	if (r < 0)
		return r;
	return rfs_inode_pairs(f->a.x, f->b.x, list_inode, f, f->err);
}

static uint32_t inodes_of(const struct rfs_extfs *x)
{
	return x->fs->group_desc_count * x->fs->super->s_inodes_per_group;
}

static void end_side(struct side *s)
{
	rfs_walk_fini(&s->walk);
	free(s->tallies);
	s->tallies = NULL;
}

static int compare_volume(struct finding *f)
{
	uint32_t n = inodes_of(f->a.x), m = inodes_of(f->b.x);
	int r;

	if (f->compared) {
		f->listed = calloc((size_t)(n > m ? n : m) / 8 + 1, 1);
		if (!f->listed)
			return rfs_no_memory(f->err);
	}
	r = rfs_inode_pairs(f->a.x, f->b.x, see_inode, f, f->err);
	if (r == 0 && f->compared)
		r = list_volume(f);
	end_side(&f->a);
	end_side(&f->b);
	free(f->listed);
	f->listed = NULL;
	return r;
}

static bool is_one(const struct rfs_extfs *a, const struct rfs_extfs *b)
{
	const struct ext2_super_block *x = a->fs->super, *y = b->fs->super;

	return memcmp(x->s_uuid, y->s_uuid, sizeof(x->s_uuid)) == 0 &&
	       x->s_inodes_per_group == y->s_inodes_per_group &&
	       EXT2_INODE_SIZE(x) == EXT2_INODE_SIZE(y);
}

static int open_side(struct side *s, struct rfs_range range, const char *name,
		     char why[RFS_ERROR_MAX], struct rfs_error *err)
{
	struct rfs_error text = RFS_ERROR_INIT;
	bool looks_ext;
	int r;

	range = rfs_range_cut(range, rfs_range(0, rfs_reader_size(s->disk)));
	r = range.len ? rfs_extfs_open(s->disk, range, &s->x, &looks_ext, &text)
		      : -ENOTSUP;
	if (r == -ENOTSUP)
		snprintf(why, RFS_ERROR_MAX, "%s has no ext filesystem there",
			 name);
	else if (r < 0)
		rfs_fail(err, -r, "%s", text.text);
	return r;
}

static int find_volume(struct finding *f, struct rfs_range range,
		       unsigned int partition)
{
	struct rfs_volume_pair *v = &f->out->pairs[f->out->npairs];
	int r;

	f->volume = (uint32_t)f->out->npairs++;
	v->range = range;
	v->partition = partition;
	r = open_side(&f->a, range, "A", v->why, f->err);
	if (r == 0)
		r = open_side(&f->b, range, "B", v->why, f->err);
	if (r == 0) {
		v->is_comparable = is_one(f->a.x, f->b.x);
		if (v->is_comparable)
			r = compare_volume(f);
		else
			strcpy(v->why, "the two filesystems there were never "
				       "one: their uuids or layouts differ");
	}
	rfs_extfs_close(f->a.x);
	rfs_extfs_close(f->b.x);
	f->a.x = f->b.x = NULL;
	return r == -ENOTSUP ? 0 : r;
}

/* As A's table has them; without filesystems there the disk may be one, whatever
 * its first sector looks like. */
static int find_volumes(struct finding *f, const struct rfs_partitions *parts)
{
	bool any = false;
	int r = 0;

	f->out->pairs = calloc(parts->count + 1, sizeof(*f->out->pairs));
	if (!f->out->pairs)
		return rfs_no_memory(f->err);
	for (size_t i = 0; i < parts->count && r == 0; i++) {
		r = find_volume(f, parts->items[i].range,
				parts->items[i].number);
		any = any || f->out->pairs[i].is_comparable;
	}
	if (r < 0 || any)
		return r;
	r = find_volume(f, rfs_range(0, rfs_reader_size(f->a.disk)), 0);
	if (r == 0 && parts->count &&
	    !f->out->pairs[f->out->npairs - 1].is_comparable)
		f->out->npairs--;
	return r;
}

int rfs_differences_find(struct rfs_reader *a, struct rfs_reader *b,
			 const struct rfs_comparison *compared,
			 struct rfs_differences *ret, struct rfs_error *err)
{
	struct rfs_differences out = { 0 };
	struct rfs_partitions parts = { 0 };
	struct finding f = { .a.disk = a,
			     .b.disk = b,
			     .compared = compared,
			     .out = &out,
			     .err = err };
	int r = compared ? make_asks(&f) : 0;

	if (r == 0)
		r = rfs_partitions_read(a, &parts, err);
	if (r == 0)
		r = find_volumes(&f, &parts);
	rfs_partitions_fini(&parts);
	free(f.asks.items);
	join_names(&out);
	if (r < 0)
		rfs_differences_fini(&out);
	else
		*ret = out;
	return r;
}

void rfs_differences_fini(struct rfs_differences *d)
{
	for (size_t i = 0; i < d->count; i++)
		free(d->items[i].path);
	free(d->items);
	free(d->pairs);
	*d = (struct rfs_differences){ 0 };
}
