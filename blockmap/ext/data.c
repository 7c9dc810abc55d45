// SPDX-License-Identifier: GPL-3.0-or-later
/* What of a disk may be older than the rest of it. */
#include <errno.h>

#include "ext/ext.h"
#include "ext/partitions.h"
#include "ext/walk.h"

struct finding {
	struct rfs_reader *disk;
	struct rfs_extmap natures;
	struct rfs_ranges inside; /* of the filesystems */
	struct rfs_error *err;
};

/* The filesystem in 'range', if there is one. */
static int add_volume(struct finding *f, struct rfs_range range, bool *ret_any)
{
	struct rfs_walk walk;
	struct rfs_extfs *x;
	bool is_ext;
	int r = rfs_extfs_open(f->disk, range, &x, &is_ext, f->err);

	if (r == -ENOTSUP)
		return 0;
	if (r < 0)
		return r;
	*ret_any = true;
	r = rfs_walk_natures(&walk, x, &f->natures, f->err);
	rfs_walk_fini(&walk);
	range = rfs_range_cut(range, rfs_range(range.off, rfs_extfs_size(x)));
	if (r == 0 && rfs_ranges_add(&f->inside, range) < 0)
		r = rfs_no_memory(f->err);
	rfs_extfs_close(x);
	return r;
}

static int add_volumes(struct finding *f)
{
	struct rfs_partitions parts;
	bool any = false;
	int r = rfs_partitions_read(f->disk, &parts, f->err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < parts.count && r == 0; i++)
		r = add_volume(f, parts.items[i].range, &any);
	if (r == 0 && !any)
		r = add_volume(f, rfs_range(0, rfs_reader_size(f->disk)), &any);
	for (size_t i = 0; i < parts.tables.count && r == 0 && any; i++)
		if (rfs_extmap_set(&f->natures, parts.tables.items[i],
				   RFS_IS_TABLE) < 0)
			r = rfs_no_memory(f->err);
	rfs_partitions_fini(&parts);
	return r;
}

/* What no bitmap marks, where nothing else is known of it. */
static int add_free(struct finding *f, struct rfs_range range)
{
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = range.off; off < rfs_range_end(range) && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find_in(&f->natures, off, range);
		if (!run.value)
			r = rfs_extmap_set(&f->natures, run.range, RFS_IS_DATA);
	}
	return r < 0 ? rfs_no_memory(f->err) : 0;
}

/* The gaps in 'used' that lie in 'range'. */
static int add_gaps(struct finding *f, const struct rfs_ranges *used,
		    struct rfs_range range)
{
	uint64_t at = range.off, end = rfs_range_end(range);
	int r = 0;

	for (size_t i = 0; i < used->count && at < end && r == 0; i++) {
		struct rfs_range u = used->items[i];

		if (rfs_range_end(u) <= at)
			continue;
		if (u.off > at)
			r = add_free(f, rfs_range_cut(rfs_range_to(at, u.off),
						      range));
		at = rfs_range_end(u);
	}
	return r == 0 ? add_free(f, rfs_range_to(at, end)) : r;
}

static int add_all_gaps(struct finding *f)
{
	struct rfs_ranges used = { 0 };
	int r = f->inside.count ? rfs_ext_used(f->disk, &used, f->err)
				: -ENOTSUP;

	for (size_t i = 0; i < f->inside.count && r == 0; i++)
		r = add_gaps(f, &used, f->inside.items[i]);
	rfs_ranges_fini(&used);
	return r == -ENOTSUP ? 0 : r;
}

static int take_data(struct finding *f, struct rfs_extmap *ret)
{
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = 0; off < RFS_SIZE_MAX && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_extmap_find(&f->natures, off);
		if (run.value == RFS_IS_DATA)
			r = rfs_extmap_set(ret, run.range, 1);
	}
	return r < 0 ? rfs_no_memory(f->err) : 0;
}

int rfs_ext_data(struct rfs_reader *disk, struct rfs_extmap *ret,
		 struct rfs_error *err)
{
	struct finding f = { .disk = disk, .err = err };
	int r = add_volumes(&f);

	if (r == 0)
		r = add_all_gaps(&f);
	if (r == 0)
		r = take_data(&f, ret);
	rfs_extmap_fini(&f.natures);
	rfs_ranges_fini(&f.inside);
	return r;
}
