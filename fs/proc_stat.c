// SPDX-License-Identifier: GPL-3.0-or-later
#include "fs/proc_stat.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

const char *rfs_proc_stat(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const char *name_end;
	ssize_t n;

	if (fd < 0)
		return NULL;
	n = read(fd, text, size - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	/* The second field is a name in parentheses, which may hold anything. */
	name_end = strrchr(text, ')');
	return name_end && name_end[1] == ' ' ? name_end + 2 : NULL;
}
