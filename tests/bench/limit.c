// SPDX-License-Identifier: GPL-3.0-or-later
/* What FUSE allows: one raw file served, each read answered by one pread and one
 * write to the kernel, and nothing else done.
 *
 *   limit FILE MOUNTPOINT     serves MOUNTPOINT/disk until it is unmounted
 */
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IO_MAX (1u << 20)
#define DISK   2

static int file;
static off_t file_size;

static void say_what(fuse_ino_t ino, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_nlink = 1;
	st->st_mode = ino == DISK ? S_IFREG | 0444 : S_IFDIR | 0555;
	st->st_size = ino == DISK ? file_size : 0;
	st->st_blocks = st->st_size / 512;
}

static void limit_init(void *data, struct fuse_conn_info *conn)
{
	(void)data;
	conn->max_read = IO_MAX;
	conn->max_readahead = IO_MAX;
	conn->want &= ~(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
			FUSE_CAP_SPLICE_MOVE);
}

static void limit_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .ino = DISK,
				      .attr_timeout = 3600,
				      .entry_timeout = 3600 };

	(void)parent;
	if (strcmp(name, "disk") != 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	say_what(DISK, &e.attr);
	fuse_reply_entry(req, &e);
}

static void limit_getattr(fuse_req_t req, fuse_ino_t ino,
			  struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	say_what(ino, &st);
	fuse_reply_attr(req, &st, 3600);
}

static void limit_open(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	(void)ino;
	fi->keep_cache = 1;
	fi->direct_io = (fi->flags & O_DIRECT) != 0;
	fuse_reply_open(req, fi);
}

static void limit_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	static _Thread_local char *buf;
	ssize_t n;

	(void)ino;
	(void)fi;
	if (!buf && posix_memalign((void **)&buf, 4096, IO_MAX) != 0)
		buf = NULL;
	if (!buf || size > IO_MAX) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	n = pread(file, buf, size, off);
	if (n < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

static const struct fuse_lowlevel_ops operations = {
	.init = limit_init,
	.lookup = limit_lookup,
	.getattr = limit_getattr,
	.open = limit_open,
	.read = limit_read,
};

static int serve(const char *mountpoint)
{
	char name[] = "limit", option[] = "-omax_read=1048576";
	char *argv[] = { name, option, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(2, argv);
	struct fuse_session *se =
		fuse_session_new(&args, &operations, sizeof(operations), NULL);
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int r = 1;

	if (!se || !config || fuse_set_signal_handlers(se) < 0)
		return 1;
	if (fuse_session_mount(se, mountpoint) == 0) {
		r = fuse_session_loop_mt(se, config);
		fuse_session_unmount(se);
	}
	fuse_remove_signal_handlers(se);
	fuse_session_destroy(se);
	fuse_loop_cfg_destroy(config);
	return r != 0;
}

int main(int argc, char **argv)
{
	struct stat st;

	if (argc != 3) {
		fprintf(stderr, "usage: limit FILE MOUNTPOINT\n");
		return 2;
	}
	file = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (file < 0 || fstat(file, &st) < 0) {
		perror(argv[1]);
		return 1;
	}
	file_size = st.st_size;
	return serve(argv[2]);
}
