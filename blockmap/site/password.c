// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/password.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "site/volumes.h"

void rfs_password_free(char *password)
{
	if (password)
		explicit_bzero(password, strlen(password));
	free(password);
}

/* One read is all of a regular file as small as this. */
static int read_password(const char *path, char text[RFS_PASSWORD_MAX + 2],
			 struct rfs_error *err)
{
	RFS_CLEANUP_FD int fd = rfs_volume_open(NULL, path, err);
	ssize_t n;

	if (fd < 0)
		return rfs_context(err, fd, "password_file");
	n = read(fd, text, RFS_PASSWORD_MAX + 2);
	if (n < 0)
		return rfs_fail(err, errno, "password_file %s: %s", path,
				strerror(errno));
	if (n > 0 && text[n - 1] == '\n')
		n--;
	if (n == 0 || n > (ssize_t)RFS_PASSWORD_MAX ||
	    memchr(text, '\0', (size_t)n))
		return rfs_fail(err, EINVAL,
				"password_file %s: is empty, longer than %u "
				"bytes or no text",
				path, RFS_PASSWORD_MAX);
	text[n] = '\0';
	return 0;
}

int rfs_password_get(const struct rfs_disk_rule *rule, char **ret,
		     struct rfs_error *err)
{
	char text[RFS_PASSWORD_MAX + 2];
	int r;

	*ret = NULL;
	if (!rule || (!rule->password && !rule->password_file))
		return 0;
	if (rule->password) {
		*ret = strdup(rule->password);
		return *ret ? 0 : rfs_no_memory(err);
	}
	r = read_password(rule->password_file, text, err);
	if (r == 0)
		*ret = strdup(text);
	explicit_bzero(text, sizeof(text));
	if (r < 0)
		return r;
	return *ret ? 0 : rfs_no_memory(err);
}
