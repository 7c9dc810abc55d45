// SPDX-License-Identifier: GPL-3.0-or-later
#include "tools/ask.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/cleanup.h"
#include "site/status.h"

/* Of thousands of disks and notes it is a few megabytes. */
#define TEXT_MAX ((size_t)64 << 20)

static int read_all(FILE *in, const char *path, char **ret,
		    struct rfs_error *err)
{
	size_t len = 0, room;
	FILE *out = open_memstream(ret, &room);
	char buf[4096];
	size_t n;

	if (!out)
		return rfs_no_memory(err);
	while (len < TEXT_MAX && (n = fread(buf, 1, sizeof(buf), in)) > 0)
		len += fwrite(buf, 1, n, out);
	if (fclose(out) != 0)
		return rfs_no_memory(err);
	if (ferror(in))
		return rfs_fail(err, EIO, "%s cannot be read", path);
	return 0;
}

int rfs_ask_status(const char *mountpoint, char **ret, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *path = NULL;
	FILE *in;
	int r;

	if (asprintf(&path, "%s/" RFS_STATUS_FILE, mountpoint) < 0) {
		path = NULL;
		return rfs_no_memory(err);
	}
	in = fopen(path, "re");
	if (!in)
		return rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	r = read_all(in, path, ret, err);
	fclose(in);
	return r;
}
