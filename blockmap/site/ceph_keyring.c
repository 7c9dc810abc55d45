// SPDX-License-Identifier: GPL-3.0-or-later
/* A keyring is a file of sections, "[client.NAME]", with a line "key = ..." and
 * lines that are indented or not. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "site/ceph.h"
#include "site/password.h"
#include "site/volumes.h"

#define KEYRING_MAX (64u << 10)
#define KEY_MAX	    256

#define BASE64                                                                 \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

/* The caller frees it with rfs_password_free. */
static int read_keyring(const char *path, char **ret, struct rfs_error *err)
{
	RFS_CLEANUP_FD int fd = rfs_volume_open(NULL, path, err);
	char *text;
	ssize_t n;

	if (fd < 0)
		return rfs_context(err, fd, "ceph_keyring");
	text = calloc(1, KEYRING_MAX + 1);
	if (!text)
		return rfs_no_memory(err);
	n = read(fd, text, KEYRING_MAX);
	if (n > 0) {
		*ret = text;
		return 0;
	}
	free(text);
	return rfs_fail(err, n < 0 ? errno : EINVAL,
			"ceph_keyring %s: is empty or cannot be read", path);
}

/* What stands behind "key =", which ends with the line; NULL: it is another. */
static const char *key_of(const char *line)
{
	line += strspn(line, " \t");
	if (strncmp(line, "key", 3) != 0)
		return NULL;
	line += 3;
	line += strspn(line, " \t");
	if (*line != '=')
		return NULL;
	return line + 1 + strspn(line + 1, " \t");
}

static bool begins_section(const char *line, const char *user)
{
	size_t len = strlen(user);

	line += strspn(line, " \t");
	return !strncmp(line, "[client.", 8) && !strncmp(line + 8, user, len) &&
	       line[8 + len] == ']';
}

static const char *find_key(const char *text, const char *user)
{
	bool is_ours = false;

	for (const char *line = text; *line; line += *line == '\n') {
		const char *key = key_of(line);

		if (line[strspn(line, " \t")] == '[')
			is_ours = begins_section(line, user);
		if (is_ours && key)
			return key;
		line += strcspn(line, "\n");
	}
	return NULL;
}

int rfs_ceph_key(const char *keyring, const char *user, char **ret,
		 struct rfs_error *err)
{
	char *text = NULL;
	const char *key;
	size_t len;
	int r = read_keyring(keyring, &text, err);

	if (r < 0)
		return r;
	key = find_key(text, user);
	len = key ? strspn(key, BASE64) : 0;
	if (!len || len > KEY_MAX || !strchr(" \t\r\n", key[len]))
		r = rfs_fail(err, EINVAL,
			     "ceph_keyring %s: has no key of client.%s",
			     keyring, user);
	else if (!(*ret = strndup(key, len)))
		r = rfs_no_memory(err);
	explicit_bzero(text, KEYRING_MAX);
	free(text);
	return r;
}
