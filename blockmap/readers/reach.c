// SPDX-License-Identifier: GPL-3.0-or-later
#include "readers/reach.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "readers/reach_here.h"
#include "readers/worker.h"

/* A rename beside the lookup makes the kernel give up with EAGAIN; a tree that
 * stands still never does, so a few turns are plenty. */
#define LOOKUP_TURNS 16

#define FIRST_ROOM ((size_t)64 << 10)
#define DENTS_ROOM ((size_t)32 << 10)

static int open_once(struct rfs_worker *w, int dir_fd, const char *path,
		     uint64_t flags, uint64_t resolve, struct stat *ret)
{
	struct rfs_patience patience;

	if (!w)
		return rfs_here_open(dir_fd, path, flags, resolve, ret);
	patience = rfs_worker_patience(w);
	return rfs_worker_openat2(w, dir_fd, path, flags, resolve, ret,
				  &patience);
}

int rfs_reach_open(struct rfs_worker *w, int dir_fd, const char *path,
		   uint64_t flags, uint64_t resolve, struct stat *ret)
{
	int fd = -EAGAIN;

	for (int turn = 0; turn < LOOKUP_TURNS; turn++) {
		fd = open_once(w, dir_fd, path, flags, resolve, ret);
		if (fd != -EAGAIN && fd != -EINTR)
			break;
	}
	return fd;
}

int rfs_reach_reopen(struct rfs_worker *w, int path_fd)
{
	struct rfs_patience patience;

	if (!w)
		return rfs_here_reopen(path_fd);
	patience = rfs_worker_patience(w);
	return rfs_worker_reopen(w, path_fd, &patience);
}

int rfs_reach_stat(struct rfs_worker *w, int fd, struct stat *ret)
{
	struct rfs_patience patience;

	if (!w)
		return rfs_here_stat(fd, ret);
	patience = rfs_worker_patience(w);
	return rfs_worker_fstat(w, fd, ret, &patience);
}

ssize_t rfs_reach_readlink(struct rfs_worker *w, int fd, char *buf, size_t room)
{
	struct rfs_patience patience;
	ssize_t n;

	if (w) {
		patience = rfs_worker_patience(w);
		return rfs_worker_readlinkat(w, fd, buf, room, &patience);
	}
	n = readlinkat(fd, "", buf, room);
	return n < 0 ? -errno : n;
}

int64_t rfs_reach_fs_type(struct rfs_worker *w, int fd)
{
	struct rfs_patience patience;

	if (!w)
		return rfs_here_fs_type(fd);
	patience = rfs_worker_patience(w);
	return rfs_worker_fs_type(w, fd, &patience);
}

/*
 * Small files.
 */

static ssize_t read_part(int fd, struct rfs_worker_file *file, char *buf,
			 size_t len, uint64_t off,
			 struct rfs_patience *patience)
{
	ssize_t n;

	if (file)
		return rfs_worker_pread(file, buf,
					len < RFS_WORKER_ROOM ? len
							      : RFS_WORKER_ROOM,
					off, patience);
	do
		n = pread(fd, buf, len, (off_t)off);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int grow(char **text, size_t *room, size_t most)
{
	size_t wanted = *room ? 2 * *room : FIRST_ROOM;
	char *grown;

	if (wanted > most)
		wanted = most;
	grown = realloc(*text, wanted);
	if (!grown)
		return -ENOMEM;
	*text = grown;
	*room = wanted;
	return 0;
}

static int read_whole(int fd, struct rfs_worker_file *file,
		      struct rfs_patience *patience, size_t max, char **ret,
		      size_t *ret_len)
{
	RFS_CLEANUP_FREE char *text = NULL;
	size_t len = 0, room = 0;
	ssize_t n;

	for (;; len += (size_t)n) {
		if (len > max)
			return -EFBIG;
		if (len + 1 >= room && grow(&text, &room, max + 2) < 0)
			return -ENOMEM;
		n = read_part(fd, file, text + len, room - 1 - len, len,
			      patience);
		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
	}
	text[len] = '\0';
	*ret = RFS_STEAL(text);
	*ret_len = len;
	return 0;
}

int rfs_reach_whole(struct rfs_worker *w, int fd, size_t max, char **ret,
		    size_t *ret_len)
{
	struct rfs_worker_file *file = NULL;
	struct rfs_patience patience = { 0 };
	int r;

	if (w) {
		r = rfs_worker_file_new(w, fd, &file, NULL);
		if (r < 0)
			return r;
		patience = rfs_worker_patience(w);
	}
	r = read_whole(fd, file, &patience, max, ret, ret_len);
	if (file)
		rfs_worker_file_free(file);
	else
		close(fd);
	return r;
}

/*
 * Directories.
 */

struct rfs_reach_dir {
	struct rfs_worker *w;
	int fd;
	size_t at, len; /* of what is in the buffer */
	_Alignas(struct dirent64) char buf[DENTS_ROOM];
};

int rfs_reach_dir_open(struct rfs_worker *w, int fd, struct rfs_reach_dir **ret)
{
	struct rfs_reach_dir *dir = malloc(sizeof(*dir));

	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	dir->w = w;
	dir->fd = fd;
	dir->at = dir->len = 0;
	*ret = dir;
	return 0;
}

static ssize_t fill(struct rfs_reach_dir *dir)
{
	struct rfs_patience patience;
	ssize_t n;

	if (dir->w) {
		patience = rfs_worker_patience(dir->w);
		n = rfs_worker_getdents(dir->w, dir->fd, dir->buf,
					sizeof(dir->buf), &patience);
	} else {
		n = getdents64(dir->fd, dir->buf, sizeof(dir->buf));
		n = n < 0 ? -errno : n;
	}
	dir->at = 0;
	dir->len = n > 0 ? (size_t)n : 0;
	return n;
}

int rfs_reach_dir_next(struct rfs_reach_dir *dir, const char **ret_name,
		       unsigned char *ret_type)
{
	const struct dirent64 *entry;
	ssize_t n;

	for (;;) {
		n = dir->at < dir->len ? 1 : fill(dir);
		if (n <= 0)
			return (int)n;
		entry = (const struct dirent64 *)(void *)(dir->buf + dir->at);
		dir->at += entry->d_reclen;
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		*ret_name = entry->d_name;
		*ret_type = entry->d_type;
		return 1;
	}
}

void rfs_reach_dir_close(struct rfs_reach_dir *dir)
{
	if (!dir)
		return;
	close(dir->fd);
	free(dir);
}
