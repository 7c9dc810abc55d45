// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "fs/scratch.h"
#include "tools/export_parts.h"
#include "tools/program.h"

/* By the bits of e2fsck(8): all is mended, and no reboot is of interest. */
static int mend(const char *path, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	/* The shell turns 1 and 2 into 0: of these nothing more is to be known. */
	char *const argv[] = { (char[]){ "sh" }, (char[]){ "-c" },
			       (char[]){ "PATH=/usr/sbin:/sbin:$PATH; "
					 "e2fsck -fy -E readahead_kb=0 \"$0\" "
					 ">&2; s=$?; [ $s -lt 4 ]" },
			       (char *)path, NULL };

	return rfs_program_run(argv, &text, err);
}

static int shrink(const char *path, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	char *const argv[] = { (char[]){ "sh" }, (char[]){ "-c" },
			       (char[]){ "PATH=/usr/sbin:/sbin:$PATH; "
					 "exec resize2fs -M \"$0\" >&2" },
			       (char *)path, NULL };
	int r = rfs_program_run(argv, &text, err);

	return r < 0 ? rfs_context(err, r, "resize2fs -M") : 0;
}

int rfs_minimum_lost(const struct rfs_minimum *m, struct rfs_ranges *ret,
		     struct rfs_error *err)
{
	struct rfs_report report = { 0 };
	int r = rfs_view_report(rfs_scratch_view(m->scratch), &report, err);

	for (size_t i = 0; i < report.count && r == 0; i++)
		if (report.items[i].was == RFS_LOST &&
		    rfs_ranges_add(ret, report.items[i].range) < 0)
			r = rfs_no_memory(err);
	rfs_report_fini(&report);
	return r;
}

/* Why it could not be mended: for want of blocks, or it is nothing to be mended. */
static int check(struct rfs_minimum *m, struct rfs_error *err)
{
	struct rfs_ranges lost = { 0 };
	uint64_t bytes;
	int r = mend(rfs_scratch_path(m->scratch), err), told;

	if (r != -EIO)
		return r;
	told = rfs_minimum_lost(m, &lost, err);
	bytes = rfs_ranges_total(&lost);
	rfs_ranges_fini(&lost);
	if (told < 0)
		return told;
	if (bytes)
		return rfs_fail(err, EIO,
				"%" PRIu64 " bytes that e2fsck wants are lost; "
				"--lost zero makes them zeros, and it mends "
				"what it can",
				bytes);
	return rfs_fail(err, EINVAL,
			"e2fsck could not mend it on a throw-away disk; "
			"--minimum is for an ext filesystem without "
			"partitions");
}

int rfs_minimum_open(struct rfs_minimum *m, struct rfs_reader *disk,
		     const char *name, bool zero_lost, struct rfs_error *err)
{
	struct rfs_scratch_config config = { .base = disk,
					     .zero_lost = zero_lost,
					     .is_direct = true };
	int r = rfs_scratch_open(&config, &m->scratch, err);

	if (r < 0)
		return r;
	r = check(m, err);
	if (r == 0)
		r = shrink(rfs_scratch_path(m->scratch), err);
	if (r == 0)
		r = rfs_view_reader(rfs_scratch_view(m->scratch), name,
				    &m->disk, err);
	if (r < 0)
		rfs_minimum_close(m, NULL);
	return r;
}

int rfs_minimum_close(struct rfs_minimum *m, struct rfs_error *err)
{
	int r;

	if (!m->scratch)
		return 0;
	rfs_reader_unref(m->disk);
	r = rfs_scratch_close(m->scratch, err);
	*m = (struct rfs_minimum){ 0 };
	return r;
}
