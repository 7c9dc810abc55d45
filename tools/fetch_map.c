// SPDX-License-Identifier: GPL-3.0-or-later
/* From and to GNU ddrescue: a mapfile and an image of the damaged file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/format.h"
#include "readers/rescue_map.h"
#include "tools/fetch.h"
#include "tools/verbs.h"

static int check_use(const struct rfs_fetch_maps *m, const struct rfs_target *t,
		     struct rfs_error *err)
{
	if (t->ndisks != 1)
		return rfs_fail(err, EINVAL,
				"maps and images are of one disk at a time");
	if (!m->import_map != !m->import_image)
		return rfs_fail(err, EINVAL,
				"--import-map and --import-image go together: "
				"the map says what of the image is good");
	return 0;
}

static int print_taken(const struct rfs_fetch_maps *m,
		       const struct rfs_rescue_taken *taken)
{
	char kept[RFS_FORMAT_ROOM], bad[RFS_FORMAT_ROOM];
	char pending[RFS_FORMAT_ROOM];

	rfs_format_bytes(taken->kept, kept);
	rfs_format_bytes(taken->bad, bad);
	rfs_format_bytes(taken->pending, pending);
	printf("%s: %s taken from %s, %s bad, %s near errors\n", m->import_map,
	       kept, m->import_image, bad, pending);
	return 0;
}

static int read_map(const char *path, struct rfs_mapfile *ret,
		    struct rfs_error *err)
{
	RFS_CLEANUP_FILE FILE *in = fopen(path, "re");

	if (!in)
		return rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	return rfs_mapfile_read(in, path, ret, err);
}

static int import(const struct rfs_fetch_maps *m, struct rfs_reader *file,
		  struct rfs_error *err)
{
	RFS_CLEANUP_FD int fd = open(m->import_image, O_RDONLY | O_CLOEXEC);
	struct rfs_rescue_taken taken = { 0 };
	struct rfs_mapfile map = { 0 };
	int r;

	if (fd < 0)
		return rfs_fail(err, errno, "%s: %s", m->import_image,
				strerror(errno));
	r = read_map(m->import_map, &map, err);
	if (r < 0)
		return r;
	r = rfs_rescue_take(file, &map, fd, m->import_image, &taken, err);
	rfs_mapfile_fini(&map);
	return r < 0 ? r : print_taken(m, &taken);
}

/* Whole or not at all: a half-written map would be taken for the truth. */
static int export_map(const struct rfs_fetch_maps *m, struct rfs_target *t,
		      struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	int r;

	if (!out)
		return rfs_no_memory(err);
	r = rfs_fetching_map(t->opener, t->disks[0], m->file, out, err);
	if (fclose(out) != 0 && r == 0)
		r = rfs_no_memory(err);
	if (r < 0)
		return r;
	out = fopen(m->export_map, "we");
	if (!out)
		return rfs_fail(err, errno, "%s: %s", m->export_map,
				strerror(errno));
	if (fwrite(text, 1, len, out) != len)
		r = rfs_fail(err, EIO, "%s: cannot be written", m->export_map);
	if (fclose(out) != 0 && r == 0)
		r = rfs_fail(err, errno, "%s: %s", m->export_map,
			     strerror(errno));
	return r;
}

static int export_image(const struct rfs_fetch_maps *m, struct rfs_reader *file,
			struct rfs_error *err)
{
	RFS_CLEANUP_FD int fd = open(
		m->export_image, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST)
		return rfs_fail(err, EEXIST,
				"%s: is there already, and is not written over",
				m->export_image);
	if (fd < 0)
		return rfs_fail(err, errno, "%s: %s", m->export_image,
				strerror(errno));
	return rfs_rescue_write_image(file, fd, m->export_image, err);
}

static int exchange(const struct rfs_fetch_maps *m, struct rfs_target *t,
		    struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *file = NULL;
	int r;

	r = rfs_fetching_file(t->opener, t->disks[0], m->file, &file, err);
	if (r == 0 && m->import_map)
		r = import(m, file, err);
	if (r == 0 && m->export_image)
		r = export_image(m, file, err);
	if (r == 0 && m->export_map)
		r = export_map(m, t, err);
	return r;
}

int rfs_fetch_exchange(const struct rfs_fetch_maps *m, struct rfs_target *t)
{
	struct rfs_error err = RFS_ERROR_INIT;
	int r = check_use(m, t, &err);

	if (r < 0)
		return rfs_complain(&err, RFS_EXIT_USE);
	if (t->mountpoint) {
		rfs_fail(&err, EBUSY,
			 "the mount at %s holds the state: unmount it first; "
			 "the map alone is there as rescue/DISK.damaged.map",
			 t->mountpoint);
		return rfs_complain(&err, RFS_EXIT_BUSY);
	}
	r = exchange(m, t, &err);
	if (r == -EINVAL || r == -ENOENT || r == -EEXIST)
		return rfs_complain(&err, RFS_EXIT_USE);
	return r < 0 ? rfs_complain(&err, RFS_EXIT_SOURCE) : RFS_EXIT_FINE;
}
