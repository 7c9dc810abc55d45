// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The loop takes the order to stop before any request: so it ends although nobody
 * unmounts.  Then libfuse closes
 * the connection, at which the kernel fails whatever a program still waits for,
 * and only then is the directory unmounted, which can wait for nobody any more.
 */
#include "fs/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "fs/front.h"
#include "fs/fuse_words.h"
#include "fs/loop.h"
#include "fs/scratch_file.h"
#include "fs/thread.h"

#define PREFIX "rescuefs-scratch-"
#define TRIES  16

struct rfs_scratch {
	struct rfs_scratch_file file;
	struct rfs_reader *base;
	struct rfs_state *state;
	char *dir;  /* of our own; the mount and the state lie in it */
	int dir_fd; /* locked: it is in use; -1 until then */
	char *mountpoint;
	char *path;
	struct fuse_session *se;
	bool is_mounted;
	struct rfs_loop *loop;
	pthread_t thread; /* the loop's */
	bool is_served;
};

const char *rfs_scratch_dir(void)
{
	const char *dir = getenv("TMPDIR");

	return dir && *dir ? dir : "/var/tmp";
}

int rfs_scratch_failure(const struct rfs_scratch *s)
{
	return atomic_load(&s->file.failure);
}

static int remove_one(const char *path,
		      const struct stat *st __attribute__((unused)),
		      int kind __attribute__((unused)),
		      struct FTW *ftw __attribute__((unused)))
{
	return remove(path) < 0 ? errno : 0;
}

/* 0 or an errno. */
static int remove_tree(const char *dir, const char *mountpoint)
{
	/* It goes on where it met the mount of a connection that someone else
	 * cut off: libfuse leaves such a one, and so does a kill -9. */
	int r = rmdir(mountpoint) < 0 && errno == EBUSY &&
				umount2(mountpoint, MNT_DETACH) < 0
			? errno
			: 0;

	if (r == 0)
		r = nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	return r < 0 ? errno : r;
}

/* A directory of ours that nobody has locked; its descriptor, with the lock. */
static int lock_left(const char *dir)
{
	struct stat st;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
	    (st.st_mode & 07777) == 0700 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	close(fd);
	return -1;
}

/* What a process left that was killed.  What cannot be taken away stays; a want of
 * memory leaves it for the next time. */
static void sweep(const char *dir)
{
	RFS_CLEANUP_FREE char *pattern = NULL;
	glob_t found = { 0 };

	if (asprintf(&pattern, "%s/" PREFIX "??????", dir) < 0) {
		pattern = NULL;
		return;
	}
	if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		RFS_CLEANUP_FREE char *mountpoint = NULL;
		int fd = lock_left(found.gl_pathv[i]);

		if (fd < 0)
			continue;
		if (asprintf(&mountpoint, "%s/mnt", found.gl_pathv[i]) < 0)
			mountpoint = NULL;
		else
			remove_tree(found.gl_pathv[i], mountpoint);
		close(fd);
	}
	globfree(&found);
}

/* Whoever sweeps may have taken it for one that was left, before it was locked:
 * then it is gone, and -EAGAIN returned. */
static int lock_dir(struct rfs_scratch *s, const char *made)
{
	struct stat st;

	s->dir_fd = open(made, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	if (flock(s->dir_fd, LOCK_EX) == 0 && fstat(s->dir_fd, &st) == 0 &&
	    st.st_nlink > 0)
		return 0;
	close(s->dir_fd);
	s->dir_fd = -1;
	return -EAGAIN;
}

static int make_locked(struct rfs_scratch *s, const char *dir, char **ret)
{
	int r = -EAGAIN;

	for (int tries = 0; tries < TRIES && r == -EAGAIN; tries++) {
		free(*ret);
		if (asprintf(ret, "%s/" PREFIX "XXXXXX", dir) < 0) {
			*ret = NULL;
			return -ENOMEM;
		}
		r = mkdtemp(*ret) ? lock_dir(s, *ret) : -errno;
	}
	return r;
}

static int make_dir(struct rfs_scratch *s, const char *dir,
		    struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *made = NULL;
	int r;

	if (!dir)
		dir = rfs_scratch_dir();
	sweep(dir);
	r = make_locked(s, dir, &made);
	if (r < 0)
		return rfs_fail(err, -r,
				"no room for a throw-away disk in %s: %s; "
				"TMPDIR names another directory",
				dir, strerror(-r));
	s->dir = realpath(made, NULL);
	if (!s->dir) {
		rmdir(made);
		return rfs_no_memory(err);
	}
	if (asprintf(&s->mountpoint, "%s/mnt", s->dir) < 0 ||
	    asprintf(&s->path, "%s/" RFS_SCRATCH_NAME, s->mountpoint) < 0)
		return rfs_no_memory(err);
	if (mkdir(s->mountpoint, 0700) < 0)
		return rfs_fail(err, errno, "%s: %s", s->mountpoint,
				strerror(errno));
	return 0;
}

static int open_disk(struct rfs_scratch *s, bool zero_lost,
		     struct rfs_error *err)
{
	static const struct rfs_origin nobody = { "scratch" };
	struct rfs_candidate only = {
		.reader = s->base,
		.origin = &nobody,
		.kind = "scratch",
		.as_of_ns = RFS_TIME_UNKNOWN,
		.generation = { .mtime_ns = RFS_TIME_UNKNOWN },
	};
	struct rfs_view_config config = {
		.id = RFS_SCRATCH_NAME,
		.name = rfs_reader_name(s->base),
		.policy = { .zero_lost = zero_lost },
		.candidates = &only,
		.ncandidates = 1,
	};
	RFS_CLEANUP_FREE char *dir = NULL;
	int r;

	if (asprintf(&dir, "%s/state", s->dir) < 0) {
		dir = NULL;
		return rfs_no_memory(err);
	}
	r = rfs_state_open(dir, "a throw-away disk", &s->state, err);
	if (r < 0)
		return r;
	config.state = s->state;
	return rfs_view_open(&config, &s->file.view, err);
}

static int mount_it(struct rfs_scratch *s, struct rfs_error *err)
{
	char limit[32];
	char *argv[] = { (char[]){ "rescuefs" }, (char[]){ "-o" },
			 (char[]){ "fsname=rescuefs,subtype=rescuefs-scratch,"
				   "nosuid,nodev,noexec,noatime,"
				   "default_permissions" },
			 (char[]){ "-o" }, limit };
	struct fuse_args args = FUSE_ARGS_INIT(5, argv);
	struct rfs_error words = RFS_ERROR_INIT;

	snprintf(limit, sizeof(limit), "max_read=%u", RFS_IO_MAX);
	rfs_fuse_listen(&words);
	s->se = fuse_session_new(&args, &rfs_scratch_operations,
				 sizeof(rfs_scratch_operations), &s->file);
	fuse_opt_free_args(&args);
	if (!s->se)
		return rfs_fuse_fail(&words, EINVAL, s->mountpoint, err);
	errno = 0;
	if (fuse_session_mount(s->se, s->mountpoint) != 0)
		return rfs_fuse_fail(&words, errno ? errno : EIO, s->mountpoint,
				     err);
	rfs_fuse_listen(NULL);
	s->is_mounted = true;
	return 0;
}

static void *serve(void *data)
{
	struct rfs_scratch *s = data;

	rfs_loop_run(s->loop, NULL, NULL, NULL);
	return NULL;
}

static int start(struct rfs_scratch *s, struct rfs_error *err)
{
	int r = rfs_loop_new(s->se, &s->loop, err);

	if (r < 0)
		return r;
	r = rfs_thread_start(&s->thread, serve, s);
	if (r != 0)
		return rfs_fail(err, r, "cannot start a thread: %s",
				strerror(r));
	s->is_served = true;
	return 0;
}

int rfs_scratch_open(const struct rfs_scratch_config *config,
		     struct rfs_scratch **ret, struct rfs_error *err)
{
	struct rfs_scratch *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return rfs_no_memory(err);
	s->dir_fd = -1;
	s->base = rfs_reader_ref(config->base);
	s->file.is_direct = config->is_direct;
	r = make_dir(s, config->dir, err);
	if (r == 0)
		r = open_disk(s, config->zero_lost, err);
	if (r == 0)
		r = mount_it(s, err);
	if (r == 0)
		r = start(s, err);
	if (r < 0) {
		rfs_scratch_close(s, NULL);
		return r;
	}
	*ret = s;
	return 0;
}

const char *rfs_scratch_path(const struct rfs_scratch *s)
{
	return s->path;
}

struct rfs_view *rfs_scratch_view(struct rfs_scratch *s)
{
	return s->file.view;
}

static void stop(struct rfs_scratch *s)
{
	if (s->is_served) {
		rfs_loop_stop(s->loop);
		pthread_join(s->thread, NULL);
	}
	rfs_loop_free(s->loop);
}

static int remove_dir(const struct rfs_scratch *s, struct rfs_error *err)
{
	int r = remove_tree(s->dir, s->mountpoint);

	if (r == 0)
		return 0;
	return rfs_fail(err, r,
			"%s is left behind: %s; unmount what is mounted in it "
			"and remove it",
			s->dir, strerror(r));
}

int rfs_scratch_close(struct rfs_scratch *s, struct rfs_error *err)
{
	int r = 0;

	if (!s)
		return 0;
	stop(s);
	if (s->is_mounted)
		fuse_session_unmount(s->se);
	if (s->se)
		fuse_session_destroy(s->se);
	if (s->file.view)
		rfs_view_reset(s->file.view, NULL); /* nothing to sync */
	rfs_view_close(s->file.view, NULL);
	rfs_state_close(s->state);
	if (s->dir)
		r = remove_dir(s, err);
	if (s->dir_fd >= 0)
		close(s->dir_fd);
	rfs_reader_unref(s->base);
	free(s->path);
	free(s->mountpoint);
	free(s->dir);
	free(s);
	return r;
}
