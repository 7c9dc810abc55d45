// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/copyfile.h"
#include "fs/log.h"

int rfs_copyfile_new(const struct rfs_disk *disk, const struct rfs_copy *copy,
		     struct rfs_opener *op, struct rfs_copyfile **ret)
{
	struct rfs_copyfile *cf = calloc(1, sizeof(*cf));

	if (!cf)
		return -ENOMEM;
	cf->disk = disk;
	cf->copy = copy;
	cf->op = op;
	pthread_mutex_init(&cf->lock, NULL);
	*ret = cf;
	return 0;
}

void rfs_copyfile_free(struct rfs_copyfile *cf)
{
	if (!cf)
		return;
	rfs_reader_unref(cf->reader);
	pthread_mutex_destroy(&cf->lock);
	free(cf->failure);
	free(cf);
}

static int open_locked(struct rfs_copyfile *cf, struct rfs_error *err)
{
	struct rfs_reader *rd;
	struct rfs_error why = RFS_ERROR_INIT;
	int r;

	if (cf->failed)
		return rfs_fail(err, -cf->failed, "%s",
				cf->failure ? cf->failure : cf->disk->name);
	r = rfs_opener_copy(cf->op, cf->disk, cf->copy, &rd, &why);
	if (r == 0) {
		cf->reader = rd;
		return 0;
	}
	if (r != -ENOMEM && r != -EMFILE && r != -ENFILE && r != -ETIMEDOUT) {
		cf->failed = r;
		cf->failure = strdup(why.text);
		rfs_log("%s as %s alone has it: %s", cf->disk->id,
			cf->copy->source->origin.name, why.text);
	}
	return rfs_fail(err, -r, "%s", why.text);
}

int rfs_copyfile_reader(struct rfs_copyfile *cf, struct rfs_reader **ret,
			struct rfs_error *err)
{
	int r = 0;

	if (!cf->reader) {
		pthread_mutex_lock(&cf->lock);
		if (!cf->reader)
			r = open_locked(cf, err);
		pthread_mutex_unlock(&cf->lock);
	}
	if (r == 0)
		*ret = cf->reader;
	return r;
}

void rfs_copyfile_stat(struct rfs_copyfile *cf, struct rfs_reader *rd,
		       struct stat *st)
{
	int64_t t = cf->copy->generation.mtime_ns;

	st->st_size = (off_t)rfs_reader_size(rd);
	st->st_blocks = (blkcnt_t)((rfs_reader_allocated(rd) + 511) / 512);
	if (t != RFS_TIME_UNKNOWN && t != RFS_TIME_NOW)
		st->st_mtim = rfs_time_spec(t);
	st->st_atim = st->st_ctim = st->st_mtim;
}
