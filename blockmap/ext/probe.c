// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * libblkid reads from a file descriptor: it gets a file in memory, as large as
 * the volume and empty but for its first and last MiB, where everything that it
 * knows has its mark.
 */
#include "ext/probe.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/cleanup.h"
#include "ext/io.h"

#define LOOK ((uint64_t)1 << 20)

static int copy_part(struct rfs_ext_io *io, int fd, uint64_t off, uint64_t len,
		     struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint8_t *buf = malloc(len + 1);
	struct rfs_ranges bad = { 0 };
	int r;

	if (!buf)
		return rfs_no_memory(err);
	r = rfs_ext_read(io, rfs_range(off, len), buf, &bad, err);
	rfs_ranges_fini(&bad);
	if (r == 0 && pwrite(fd, buf, len, (off_t)off) != (ssize_t)len)
		return rfs_fail(err, errno ? errno : EIO,
				"a file in memory could not be written");
	return r;
}

static void take_value(blkid_probe probe, const char *name, char *text,
		       size_t room)
{
	const char *value;

	if (blkid_probe_lookup_value(probe, name, &value, NULL) == 0)
		snprintf(text, room, "%s", value);
}

static void ask_blkid(int fd, struct rfs_volume *v)
{
	blkid_probe probe = blkid_new_probe();

	if (!probe)
		return;
	if (blkid_probe_set_device(probe, fd, 0, 0) == 0) {
		blkid_probe_enable_superblocks(probe, 1);
		blkid_probe_set_superblocks_flags(
			probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL |
				       BLKID_SUBLKS_UUID);
		if (blkid_do_safeprobe(probe) == 0) {
			take_value(probe, "TYPE", v->type, sizeof(v->type));
			take_value(probe, "LABEL", v->label, sizeof(v->label));
			take_value(probe, "UUID", v->uuid, sizeof(v->uuid));
		}
	}
	blkid_free_probe(probe);
}

int rfs_probe(struct rfs_reader *disk, struct rfs_volume *volume,
	      struct rfs_error *err)
{
	struct rfs_ext_io io = {
		.disk = disk,
		.base = volume->range.off,
		.size = volume->range.len,
	};
	RFS_CLEANUP_FD int fd = memfd_create("volume", MFD_CLOEXEC);
	uint64_t len = io.size < LOOK ? io.size : LOOK;
	int r;

	snprintf(volume->type, sizeof(volume->type), "unknown");
	if (fd < 0 || ftruncate(fd, (off_t)io.size) < 0)
		return 0; /* only a name is missing */
	r = copy_part(&io, fd, 0, len, err);
	if (r == 0)
		r = copy_part(&io, fd, io.size - len, len, err);
	if (r == 0)
		ask_blkid(fd, volume);
	return r;
}
