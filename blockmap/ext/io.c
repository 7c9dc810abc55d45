// SPDX-License-Identifier: GPL-3.0-or-later
#include "ext/io.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t has_words = PTHREAD_ONCE_INIT;

static int clear_bad(const struct rfs_ext_io *io, struct rfs_range range,
		     uint8_t *buf, const struct rfs_ranges *bad, size_t from)
{
	struct rfs_range there = rfs_range(io->base + range.off, range.len);
	struct rfs_range cut;

	for (size_t i = from; i < bad->count; i++) {
		cut = rfs_range_cut(bad->items[i], there);
		if (cut.len)
			memset(buf + (cut.off - there.off), 0, cut.len);
	}
	return 0;
}

int rfs_ext_read(const struct rfs_ext_io *io, struct rfs_range range, void *buf,
		 struct rfs_ranges *bad, struct rfs_error *err)
{
	struct rfs_range here = range;
	size_t from = bad->count ? bad->count - 1 : 0;
	int r = 0;

	if (!rfs_range_fits(range, io->size)) {
		here = rfs_range_cut(range, rfs_range(0, io->size));
		if (range.off >= io->size)
			here = rfs_range(range.off, 0);
	}
	if (here.len)
		r = rfs_reader_read(io->disk,
				    rfs_range(io->base + here.off, here.len),
				    buf, bad, err);
	if (r < 0 && r != -EIO && r != -ETIMEDOUT)
		return r;
	clear_bad(io, here, buf, bad, from);
	if (here.len < range.len) {
		memset((uint8_t *)buf + here.len, 0, range.len - here.len);
		if (rfs_ranges_add(bad,
				   rfs_range(io->base + here.off + here.len,
					     range.len - here.len)) < 0)
			return rfs_no_memory(err);
	}
	return 0;
}

/*
 * The manager.  A channel's private data is the struct rfs_ext_io.
 */

/* io_manager's open knows a name and nothing else: what it is to open is left
 * here by the thread that asks. */
static _Thread_local struct rfs_ext_io *opening;

static errcode_t channel_close(io_channel channel)
{
	if (--channel->refcount > 0)
		return 0;
	free(channel->name);
	free(channel);
	return 0;
}

static errcode_t channel_set_blksize(io_channel channel, int block_size)
{
	channel->block_size = block_size;
	return 0;
}

static void put_super(const struct rfs_ext_io *io, struct rfs_range range,
		      uint8_t *buf)
{
	struct rfs_range super =
		rfs_range(RFS_EXT_SUPER_OFF, RFS_EXT_SUPER_LEN);
	struct rfs_range cut = rfs_range_cut(range, super);

	if (io->super && cut.len)
		memcpy(buf + (cut.off - range.off),
		       io->super + (cut.off - super.off), cut.len);
}

static errcode_t channel_read64(io_channel channel, unsigned long long block,
				int count, void *buf)
{
	struct rfs_ext_io *io = channel->private_data;
	uint64_t unit = (uint64_t)channel->block_size;
	uint64_t len = count < 0 ? (uint64_t) - (int64_t)count
				 : (uint64_t)count * unit;
	struct rfs_ranges bad = { 0 };
	struct rfs_range range;
	int r;

	/* A block number is the image's. */
	if (block > (RFS_SIZE_MAX - len) / unit ||
	    io->base > RFS_SIZE_MAX - len - block * unit) {
		memset(buf, 0, len);
		return 0;
	}
	range = rfs_range(block * unit, len);
	r = rfs_ext_read(io, range, buf, &bad, &io->why);
	rfs_ranges_fini(&bad);
	if (r < 0) {
		io->failed = r;
		return EXT2_ET_SHORT_READ;
	}
	put_super(io, range, buf);
	return 0;
}

static errcode_t channel_read(io_channel channel, unsigned long block,
			      int count, void *buf)
{
	return channel_read64(channel, block, count, buf);
}

static errcode_t refuse_write64(io_channel channel, unsigned long long block,
				int count, const void *buf)
{
	(void)channel;
	(void)block;
	(void)count;
	(void)buf;
	return EXT2_ET_RO_FILSYS;
}

static errcode_t refuse_write(io_channel channel, unsigned long block,
			      int count, const void *buf)
{
	return refuse_write64(channel, block, count, buf);
}

static errcode_t channel_flush(io_channel channel)
{
	(void)channel;
	return 0;
}

static errcode_t channel_open(const char *name, int flags, io_channel *ret);

static struct struct_io_manager manager = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER,
	.name = "rescuefs reader",
	.open = channel_open,
	.close = channel_close,
	.set_blksize = channel_set_blksize,
	.read_blk = channel_read,
	.read_blk64 = channel_read64,
	.write_blk = refuse_write,
	.write_blk64 = refuse_write64,
	.flush = channel_flush,
};

static errcode_t channel_open(const char *name, int flags, io_channel *ret)
{
	io_channel channel;

	if (flags & IO_FLAG_RW)
		return EXT2_ET_RO_FILSYS;
	channel = calloc(1, sizeof(*channel));
	if (!channel)
		return EXT2_ET_NO_MEMORY;
	channel->name = strdup(name);
	if (!channel->name) {
		free(channel);
		return EXT2_ET_NO_MEMORY;
	}
	channel->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	channel->manager = &manager;
	channel->block_size = 1024;
	channel->refcount = 1;
	channel->private_data = opening;
	*ret = channel;
	return 0;
}

static void get_words(void)
{
	initialize_ext2_error_table();
}

int rfs_ext_io_open(struct rfs_ext_io *io, blk64_t superblock,
		    unsigned int block_size, ext2_filsys *ret,
		    struct rfs_error *err)
{
	errcode_t e;

	pthread_once(&has_words, get_words);
	io->failed = 0;
	opening = io;
	e = ext2fs_open2("disk", NULL,
			 EXT2_FLAG_64BITS | EXT2_FLAG_IGNORE_CSUM_ERRORS |
				 EXT2_FLAG_SKIP_MMP,
			 (int)superblock, block_size, &manager, ret);
	opening = NULL;
	if (!e)
		return 0;
	if (io->failed)
		return rfs_fail(err, -io->failed, "%s", io->why.text);
	if (e == EXT2_ET_NO_MEMORY)
		return rfs_no_memory(err);
	return rfs_fail(err, ENOTSUP, "libext2fs: %s", error_message(e));
}
