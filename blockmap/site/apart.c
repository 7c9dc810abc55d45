// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/apart.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "readers/reach.h"

static bool has_roots_on_one_device(const struct rfs_source *a,
				    const struct rfs_source *b)
{
	return a->root_fd >= 0 && b->root_fd >= 0 && a->root_dev == b->root_dev;
}

/* Where both look, or NULL. */
static const char *same_place(const struct rfs_source *a,
			      const struct rfs_source *b)
{
	if (has_roots_on_one_device(a, b) && a->root_ino == b->root_ino)
		return b->root;
	if (a->volumes && b->volumes && strcmp(a->volumes, b->volumes) == 0)
		return b->volumes;
	return NULL;
}

/* Upwards as long as it is the same device: what is mounted below a directory is no
 * part of it.  A damaged disk's file system may be late to answer, or not at all:
 * then nothing is known. */
static bool lies_below(const struct rfs_source *b, const struct rfs_source *a)
{
	ino_t ino = b->root_ino;
	int fd = b->root_fd, up;
	struct stat st;
	bool is = false, goes_on = has_roots_on_one_device(a, b);

	while (goes_on) {
		up = rfs_reach_open(a->names, fd, "..",
				    O_PATH | O_DIRECTORY | O_CLOEXEC, 0, &st);
		goes_on =
			up >= 0 && st.st_dev == a->root_dev && st.st_ino != ino;
		if (goes_on) {
			ino = st.st_ino;
			is = is || ino == a->root_ino;
		}
		if (fd != b->root_fd)
			close(fd);
		fd = up;
	}
	if (fd >= 0 && fd != b->root_fd)
		close(fd);
	return is;
}

/* 'a' is damaged.  Said twice, a dying disk would be asked twice for everything, as a
 * backup without a deadline too, and heal nothing; so it would by what lies on it. */
static int check_pair(const struct rfs_source *a, const struct rfs_source *b,
		      struct rfs_error *err)
{
	const char *place = same_place(a, b);

	if (place)
		return rfs_fail(err, EINVAL,
				"source %s is the damaged source %s itself "
				"(%s), and can give nothing of it that it does "
				"not have; leave one of them out, or give what "
				"has volumes of its own a root of its own, "
				"which may be empty",
				b->origin.name, a->origin.name, place);
	if (b->kind != RFS_DAMAGED && lies_below(b, a))
		return rfs_fail(
			err, EINVAL,
			"source %s (%s) lies on the damaged disk, "
			"below %s (%s), and would be read there without "
			"care; copy it to another disk first, or name "
			"it as damaged, too",
			b->origin.name, b->root, a->origin.name, a->root);
	return 0;
}

int rfs_site_check_apart(const struct rfs_site *site, struct rfs_error *err)
{
	int r = 0;

	for (size_t i = 0; i < site->nsources; i++)
		for (size_t k = 0; k < site->nsources && r == 0; k++)
			if (k != i && site->sources[i]->kind == RFS_DAMAGED)
				r = check_pair(site->sources[i],
					       site->sources[k], err);
	return r;
}
