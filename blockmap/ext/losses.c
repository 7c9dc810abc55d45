// SPDX-License-Identifier: GPL-3.0-or-later
#include "ext/losses.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/vec.h"
#include "ext/ext.h"
#include "ext/partitions.h"
#include "ext/probe.h"
#include "ext/walk.h"

/* What a label stands for. */
struct class
{
	enum rfs_loss_state state;
	const struct rfs_origin *origin;
};

struct finding {
	struct rfs_reader *disk;
	const struct rfs_report *report;
	struct rfs_losses *out;
	struct rfs_error *err;
	struct rfs_asks asks;
	struct {
		struct class *items;
		size_t count, room;
	} classes;
	struct rfs_partitions parts;
};

/*
 * What is asked.
 */

static int class_of(struct finding *f, const struct rfs_report_item *item,
		    uint32_t *ret)
{
	struct class c = {
		/* Unproved is no better than stale: it may be wrong. */
		.state = item->state == RFS_LOST ? RFS_LOSS_LOST
						 : RFS_LOSS_STALE,
		.origin = item->origin,
	};

	for (size_t i = 0; i < f->classes.count; i++) {
		if (f->classes.items[i].state == c.state &&
		    f->classes.items[i].origin == c.origin) {
			*ret = (uint32_t)i;
			return 0;
		}
	}
	if (RFS_VEC_ROOM(&f->classes) < 0)
		return rfs_no_memory(f->err);
	*ret = (uint32_t)f->classes.count;
	f->classes.items[f->classes.count++] = c;
	return 0;
}

static int ask(struct finding *f, const struct rfs_report_item *item)
{
	struct rfs_losses *out = f->out;
	uint32_t label = 0;
	int r;

	if (item->state == RFS_LOCAL && item->was == RFS_LOST)
		out->overwritten_lost += item->range.len;
	if (item->state == RFS_LOCAL &&
	    (item->was == RFS_STALE || item->was == RFS_UNPROVED))
		out->overwritten_stale += item->range.len;
	if (item->state != RFS_LOST && item->state != RFS_STALE &&
	    item->state != RFS_UNPROVED)
		return 0;
	r = class_of(f, item, &label);
	if (r < 0)
		return r;
	if (RFS_VEC_ROOM(&f->asks) < 0)
		return rfs_no_memory(f->err);
	f->asks.items[f->asks.count++] = (struct rfs_ask){
		.range = item->range,
		.label = label,
	};
	return 0;
}

/* Who gave the byte at 'off'. */
static const struct rfs_origin *origin_at(const struct finding *f, uint64_t off)
{
	size_t lo = 0, hi = f->report->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (rfs_range_end(f->report->items[mid].range) > off)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo < f->report->count ? f->report->items[lo].origin : NULL;
}

/*
 * What is found.
 */

static int add_loss(struct finding *f, const struct rfs_loss *loss)
{
	struct rfs_losses *out = f->out;

	if (RFS_VEC_ROOM(out) < 0)
		return rfs_no_memory(f->err);
	out->items[out->count++] = *loss;
	return 0;
}

static bool is_of_group(enum rfs_loss_kind kind)
{
	return kind == RFS_LOSS_DESCRIPTORS || kind == RFS_LOSS_BLOCK_BITMAP ||
	       kind == RFS_LOSS_INODE_BITMAP;
}

static bool is_of_inode(enum rfs_loss_kind kind)
{
	return kind <= RFS_LOSS_JOURNAL || kind == RFS_LOSS_SYSTEM;
}

/* The filesystem's own have no names. */
static char *path_of(const struct rfs_walk *w, const struct rfs_hit *hit)
{
	const struct ext2_super_block *sb = w->x->fs->super;

	if (hit->kind == RFS_LOSS_JOURNAL || hit->id == EXT2_JOURNAL_INO)
		return strdup("<journal>");
	if (hit->id == EXT2_RESIZE_INO)
		return strdup("<resize inode>");
	if (hit->id == EXT2_BAD_INO)
		return strdup("<bad blocks>");
	if (hit->id == sb->s_usr_quota_inum ||
	    hit->id == sb->s_grp_quota_inum || hit->id == sb->s_prj_quota_inum)
		return strdup("<quota>");
	if (hit->id == sb->s_orphan_file_inum)
		return strdup("<orphan file>");
	return rfs_walk_path(w, hit->id);
}

static int add_hit(struct finding *f, const struct rfs_walk *w,
		   const struct rfs_hit *hit, uint32_t volume)
{
	struct rfs_loss loss = {
		.volume = volume,
		.kind = hit->kind,
		.state = RFS_LOSS_WRONG,
		.group = is_of_group(hit->kind) ? hit->id : UINT32_MAX,
		.bytes = hit->bytes,
		.offset = hit->first,
		.behind = hit->behind,
	};
	int r;

	if (hit->label == RFS_LABEL_WRONG) {
		loss.origin = origin_at(f, hit->first);
	} else {
		loss.state = f->classes.items[hit->label].state;
		loss.origin = f->classes.items[hit->label].origin;
	}
	if (is_of_inode(hit->kind) && hit->id) {
		loss.inode = hit->id;
		loss.path = path_of(w, hit);
		if (!loss.path)
			return rfs_no_memory(f->err);
	}
	r = add_loss(f, &loss);
	if (r < 0)
		free(loss.path);
	return r;
}

/* Spare copies are told as one, whatever their groups. */
static void join_spares(struct rfs_walk *w)
{
	for (size_t i = 0; i < w->hits.count; i++)
		if (w->hits.items[i].kind == RFS_LOSS_SPARE)
			w->hits.items[i].id = 0;
}

static int add_walk(struct finding *f, struct rfs_walk *w, uint32_t volume)
{
	struct rfs_hit *hits = w->hits.items;
	int r = 0;

	join_spares(w);
	for (size_t i = 0; i < w->hits.count && r == 0; i++) {
		struct rfs_hit hit = hits[i];

		while (i + 1 < w->hits.count && !hit.id &&
		       hits[i + 1].kind == hit.kind && !hits[i + 1].id &&
		       hits[i + 1].label == hit.label)
			hit.bytes += hits[++i].bytes;
		r = add_hit(f, w, &hit, volume);
	}
	return r;
}

/*
 * Volumes.
 */

static void put_uuid(const uint8_t u[16], char text[37])
{
	char *p = text;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		p += sprintf(p, "%02x", u[i]);
	}
}

static const char *ext_type(const struct ext2_super_block *sb)
{
	uint32_t four = EXT3_FEATURE_INCOMPAT_EXTENTS |
			EXT4_FEATURE_INCOMPAT_64BIT |
			EXT4_FEATURE_INCOMPAT_FLEX_BG;

	if (sb->s_feature_incompat & four ||
	    sb->s_feature_ro_compat & (EXT4_FEATURE_RO_COMPAT_METADATA_CSUM |
				       EXT4_FEATURE_RO_COMPAT_GDT_CSUM |
				       EXT4_FEATURE_RO_COMPAT_HUGE_FILE))
		return "ext4";
	return sb->s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL ? "ext3"
								      : "ext2";
}

static void describe(const struct rfs_extfs *x, struct rfs_volume *v)
{
	const struct ext2_super_block *sb = x->fs->super;

	v->is_ext = true;
	v->missing = rfs_extfs_missing(x);
	strcpy(v->type, ext_type(sb));
	memcpy(v->label, sb->s_volume_name, sizeof(v->label) - 1);
	put_uuid(sb->s_uuid, v->uuid);
	v->is_dirty = sb->s_feature_incompat & EXT3_FEATURE_INCOMPAT_RECOVER;
	v->has_journal_outside = sb->s_journal_dev != 0 && !sb->s_journal_inum;
	v->is_super_spare = x->is_super_spare || x->is_super_wrong;
	for (dgrp_t g = 0; g < x->fs->group_desc_count; g++)
		v->groups_lost += x->groups[g] == RFS_GROUP_LOST;
}

static int walk_volume(struct finding *f, struct rfs_extfs *x, uint32_t volume)
{
	struct rfs_walk walk;
	int r = rfs_walk_run(&walk, x, &f->asks, f->err);

	if (r == 0)
		r = add_walk(f, &walk, volume);
	f->out->volumes[volume].is_endless = walk.is_endless;
	rfs_walk_fini(&walk);
	return r;
}

/* 'range' without a name: so many bytes of each label. */
static int add_plain(struct finding *f, struct rfs_range range,
		     enum rfs_loss_kind kind, uint32_t volume)
{
	for (uint32_t label = 0; label < f->classes.count; label++) {
		struct rfs_loss loss = {
			.volume = volume,
			.kind = kind,
			.state = f->classes.items[label].state,
			.origin = f->classes.items[label].origin,
			.group = UINT32_MAX,
		};

		for (size_t i = 0; i < f->asks.count; i++) {
			struct rfs_range cut =
				rfs_range_cut(f->asks.items[i].range, range);

			if (f->asks.items[i].label != label || !cut.len)
				continue;
			if (!loss.bytes)
				loss.offset = cut.off;
			loss.bytes += cut.len;
		}
		if (loss.bytes && add_loss(f, &loss) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Room for one more; it is filled in by find_volume. */
static struct rfs_volume *next_volume(struct finding *f, struct rfs_range range,
				      unsigned int partition)
{
	struct rfs_volume *v = &f->out->volumes[f->out->nvolumes++];

	v->range = range;
	v->partition = partition;
	return v;
}

static int find_volume(struct finding *f, struct rfs_range range,
		       unsigned int partition, bool *ret_is_ext)
{
	uint32_t at = (uint32_t)f->out->nvolumes;
	struct rfs_volume *v = next_volume(f, range, partition);
	struct rfs_error why = RFS_ERROR_INIT;
	struct rfs_extfs *x;
	bool looks_ext;
	int r = rfs_extfs_open(f->disk, range, &x, &looks_ext, &why);

	*ret_is_ext = r == 0;
	if (r == 0) {
		describe(x, v);
		r = walk_volume(f, x, at);
		rfs_extfs_close(x);
		return r;
	}
	if (r != -ENOTSUP)
		return rfs_fail(f->err, -r, "%s", why.text);
	r = rfs_probe(f->disk, v, f->err);
	if (looks_ext)
		memcpy(v->why, why.text, sizeof(v->why));
	return r == 0 ? add_plain(f, range, RFS_LOSS_OTHER, at) : r;
}

/*
 * Disks.
 */

/* One for each kind, state and source, not for each gap. */
static void join_from(struct rfs_losses *out, size_t from)
{
	struct rfs_loss *a, *b;

	for (size_t i = from; i < out->count; i++) {
		a = &out->items[i];
		for (size_t k = out->count; k-- > i + 1;) {
			b = &out->items[k];
			if (a->kind != b->kind || a->state != b->state ||
			    a->origin != b->origin)
				continue;
			a->bytes += b->bytes;
			if (b->offset < a->offset)
				a->offset = b->offset;
			*b = out->items[--out->count];
		}
	}
}

/* What lies in no partition. */
static int add_outside(struct finding *f, struct rfs_ranges *inside)
{
	struct rfs_losses *out = f->out;
	uint64_t at = 0;
	size_t from = out->count;
	int r = 0;

	for (size_t i = 0; i < f->parts.tables.count && r == 0; i++) {
		r = add_plain(f, f->parts.tables.items[i],
			      RFS_LOSS_PARTITION_TABLE, UINT32_MAX);
		if (rfs_ranges_add(inside, f->parts.tables.items[i]) < 0)
			return rfs_no_memory(f->err);
	}
	rfs_ranges_sort(inside);
	for (size_t i = 0; i <= inside->count && r == 0; i++) {
		uint64_t next =
			i < inside->count ? inside->items[i].off : out->size;

		if (next > at)
			r = add_plain(f, rfs_range_to(at, next),
				      RFS_LOSS_OUTSIDE, UINT32_MAX);
		if (i < inside->count && rfs_range_end(inside->items[i]) > at)
			at = rfs_range_end(inside->items[i]);
	}
	join_from(out, from);
	return r;
}

static int find_partitions(struct finding *f, bool *ret_any)
{
	struct rfs_ranges inside = { 0 };
	bool is_ext;
	int r = 0;

	for (size_t i = 0; i < f->parts.count && r == 0; i++) {
		r = find_volume(f, f->parts.items[i].range,
				f->parts.items[i].number, &is_ext);
		*ret_any = *ret_any || is_ext;
		if (r == 0 &&
		    rfs_ranges_add(&inside, f->parts.items[i].range) < 0)
			r = rfs_no_memory(f->err);
	}
	if (r == 0)
		r = add_outside(f, &inside);
	rfs_ranges_fini(&inside);
	return r;
}

static void forget(struct rfs_losses *out)
{
	for (size_t i = 0; i < out->count; i++)
		free(out->items[i].path);
	out->count = 0;
	out->nvolumes = 0;
}

/* A filesystem may fill a disk whose first sector looks like a table, and a
 * table may be on a disk that a filesystem once filled: what has filesystems in
 * it is believed. */
static int find_volumes(struct finding *f)
{
	struct rfs_range whole = rfs_range(0, f->out->size);
	struct rfs_extfs *x;
	bool any = false, is_ext;
	int r;

	f->out->volumes = calloc(f->parts.count + 1, sizeof(*f->out->volumes));
	if (!f->out->volumes)
		return rfs_no_memory(f->err);
	if (f->parts.kind != RFS_TABLE_NONE) {
		f->out->missing = f->parts.end > f->out->size
					  ? f->parts.end - f->out->size
					  : 0;
		r = find_partitions(f, &any);
		if (r < 0 || any)
			return r;
		r = rfs_extfs_open(f->disk, whole, &x, &is_ext, f->err);
		if (r == -ENOTSUP)
			return 0;
		if (r < 0)
			return r;
		rfs_extfs_close(x);
		f->out->missing = 0;
		forget(f->out);
		memset(f->out->volumes, 0, sizeof(*f->out->volumes));
	}
	f->out->is_table_partial = f->parts.is_partial;
	return whole.len ? find_volume(f, whole, 0, &is_ext) : 0;
}

/* Bytes of the unread runs that are in use. */
static int count_unread(struct finding *f)
{
	struct rfs_ranges used = { 0 };
	uint64_t in_use = 0, all = 0;
	size_t at = 0;
	int r = rfs_ext_used(f->disk, &used, f->err);
	bool known = r == 0;

	if (r < 0 && r != -ENOTSUP)
		return r;
	for (size_t i = 0; i < f->report->count; i++) {
		struct rfs_range range = f->report->items[i].range;

		if (f->report->items[i].state != RFS_UNREAD)
			continue;
		all += range.len;
		while (at < used.count &&
		       rfs_range_end(used.items[at]) <= range.off)
			at++;
		for (size_t k = at;
		     k < used.count && used.items[k].off < rfs_range_end(range);
		     k++)
			in_use += rfs_range_cut(used.items[k], range).len;
	}
	rfs_ranges_fini(&used);
	f->out->unread_used = known ? in_use : all;
	f->out->unread_free = known ? all - in_use : 0;
	return 0;
}

static int compare_losses(const void *a, const void *b)
{
	const struct rfs_loss *x = a, *y = b;
	int d;

	if (x->volume != y->volume)
		return x->volume < y->volume ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	d = strcmp(x->path ? x->path : "", y->path ? y->path : "");
	if (d)
		return d;
	return (x->offset > y->offset) - (x->offset < y->offset);
}

static int find(struct finding *f)
{
	struct rfs_losses *out = f->out;
	int r = 0;

	out->size = rfs_reader_size(f->disk);
	out->healed = rfs_report_healed(f->report);
	out->guessed = rfs_report_guessed(f->report);
	for (size_t i = 0; i < f->report->count && r == 0; i++)
		r = ask(f, &f->report->items[i]);
	if (r == 0)
		r = rfs_partitions_read(f->disk, &f->parts, f->err);
	out->is_table_partial = f->parts.is_partial;
	if (r == 0)
		r = find_volumes(f);
	if (r == 0)
		r = count_unread(f);
	if (out->count)
		qsort(out->items, out->count, sizeof(*out->items),
		      compare_losses);
	return r;
}

int rfs_losses_find(struct rfs_reader *disk, const struct rfs_report *report,
		    struct rfs_losses *ret, struct rfs_error *err)
{
	struct rfs_losses out = { .orphans = report->orphans,
				  .strays = report->strays };
	struct finding f = {
		.disk = disk,
		.report = report,
		.out = &out,
		.err = err,
	};
	int r = find(&f);

	free(f.asks.items);
	free(f.classes.items);
	rfs_partitions_fini(&f.parts);
	if (r < 0)
		rfs_losses_fini(&out);
	else
		*ret = out;
	return r;
}

void rfs_losses_fini(struct rfs_losses *losses)
{
	forget(losses);
	free(losses->items);
	free(losses->volumes);
	*losses = (struct rfs_losses){ 0 };
}

/*
 * Words.
 */

const char *rfs_loss_kind_name(enum rfs_loss_kind kind)
{
	static const char *const names[RFS_LOSS_KINDS] = {
		[RFS_LOSS_DATA] = "data",
		[RFS_LOSS_UNWRITTEN] = "unwritten",
		[RFS_LOSS_DIRECTORY] = "directory",
		[RFS_LOSS_INODE] = "inode",
		[RFS_LOSS_EXTENTS] = "extents",
		[RFS_LOSS_XATTR] = "xattr",
		[RFS_LOSS_JOURNAL] = "journal",
		[RFS_LOSS_SUPER] = "superblock",
		[RFS_LOSS_DESCRIPTORS] = "descriptors",
		[RFS_LOSS_BLOCK_BITMAP] = "block bitmap",
		[RFS_LOSS_INODE_BITMAP] = "inode bitmap",
		[RFS_LOSS_SYSTEM] = "system",
		[RFS_LOSS_SPARE] = "spare",
		[RFS_LOSS_UNOWNED] = "unowned",
		[RFS_LOSS_FREE] = "free",
		[RFS_LOSS_PARTITION_TABLE] = "partition table",
		[RFS_LOSS_OTHER] = "other",
		[RFS_LOSS_OUTSIDE] = "outside",
	};

	return names[kind];
}

const char *rfs_loss_state_name(enum rfs_loss_state state)
{
	static const char *const names[] = {
		[RFS_LOSS_LOST] = "lost",
		[RFS_LOSS_STALE] = "stale",
		[RFS_LOSS_WRONG] = "checksum",
	};

	return names[state];
}

bool rfs_loss_matters(const struct rfs_loss *loss)
{
	switch (loss->kind) {
	case RFS_LOSS_UNWRITTEN:
	case RFS_LOSS_SPARE:
	case RFS_LOSS_FREE:
	case RFS_LOSS_OUTSIDE:
		return false;
	default:
		return true;
	}
}
