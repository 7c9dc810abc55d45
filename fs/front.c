// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/copyfile.h"
#include "fs/front.h"
#include "fs/image.h"
#include "fs/pipe.h"
#include "fs/text.h"
#include "site/hostfiles.h"

/* What direct I/O to a source wants of memory. */
#define BUFFER_ALIGN 4096

int rfs_front_init(struct rfs_front *front, const struct rfs_inventory *inv,
		   struct rfs_opener *op, struct rfs_error *err)
{
	int r;

	memset(front, 0, sizeof(*front));
	front->op = op;
	front->uid = getuid();
	front->gid = getgid();
	front->mounted_ns = rfs_now_ns();
	r = rfs_tree_build(&front->tree, inv, op, err);
	if (r < 0)
		return r;
	if (rfs_hostnodes_init(&front->hostnodes) < 0) {
		rfs_tree_fini(&front->tree, NULL, NULL);
		return rfs_no_memory(err);
	}
	r = pthread_key_create(&front->buffers, free);
	if (r == 0) {
		r = pthread_key_create(&front->pipes, rfs_pipe_close);
		if (r != 0)
			pthread_key_delete(front->buffers);
	}
	if (r != 0) {
		rfs_hostnodes_fini(&front->hostnodes);
		rfs_tree_fini(&front->tree, NULL, NULL);
		return rfs_fail(err, r, "thread-local storage: %s",
				strerror(r));
	}
	pthread_mutex_init(&front->control, NULL);
	rfs_opened_init(&front->opened);
	return 0;
}

int rfs_front_fini(struct rfs_front *front, void (*each)(const char *text),
		   struct rfs_error *err)
{
	int r;

	rfs_opened_fini(&front->opened);
	r = rfs_tree_fini(&front->tree, each, err);
	rfs_hostnodes_fini(&front->hostnodes);
	pthread_key_delete(front->buffers);
	pthread_key_delete(front->pipes);
	pthread_mutex_destroy(&front->control);
	return r;
}

void *rfs_front_buffer(struct rfs_front *front)
{
	void *buf = pthread_getspecific(front->buffers);

	if (buf)
		return buf;
	buf = aligned_alloc(BUFFER_ALIGN, RFS_READ_MAX);
	if (buf && pthread_setspecific(front->buffers, buf) != 0) {
		free(buf);
		return NULL;
	}
	return buf;
}

static void set_times(struct stat *st, int64_t time_ns)
{
	st->st_mtim = st->st_ctim = st->st_atim = rfs_time_spec(time_ns);
}

/* What cannot be opened is there all the same: empty, to be seen by ls and
 * refused by open. */
static void stat_broken(struct stat *st)
{
	st->st_mode = S_IFREG | 0400;
	st->st_size = 0;
	st->st_blocks = 0;
}

static void stat_image(struct rfs_image *img, struct stat *st)
{
	struct rfs_view *view;

	st->st_mode = S_IFREG | 0600;
	if (rfs_image_view(img, &view, NULL) < 0)
		stat_broken(st);
	else
		rfs_image_stat(img, view, st);
}

static void stat_copy(struct rfs_copyfile *cf, struct stat *st)
{
	struct rfs_reader *rd;

	st->st_mode = S_IFREG | 0400;
	if (rfs_copyfile_reader(cf, &rd, NULL) < 0)
		stat_broken(st);
	else
		rfs_copyfile_stat(cf, rd, st);
}

static void stat_text(struct rfs_text *text, struct stat *st)
{
	struct rfs_rendering *now;

	st->st_mode = S_IFREG | 0444;
	if (rfs_text_get(text, &now, NULL) < 0) {
		stat_broken(st);
		return;
	}
	st->st_size = (off_t)now->len;
	st->st_blocks = (blkcnt_t)((now->len + 511) / 512);
	set_times(st, now->made_ns);
	rfs_rendering_unref(now);
}

static int stat_host(struct rfs_front *front, const struct rfs_node *node,
		     struct stat *st, struct rfs_error *err)
{
	return rfs_hostfiles_stat(front->op, node->host.host, NULL,
				  node->host.path, st, NULL, err);
}

int rfs_front_stat(struct rfs_front *front, const struct rfs_node *node,
		   struct stat *ret, double *ret_timeout, struct rfs_error *err)
{
	struct stat st = { .st_nlink = 1,
			   .st_uid = front->uid,
			   .st_gid = front->gid };
	double timeout = RFS_TIMEOUT_STATIC;
	int r = 0;

	set_times(&st, front->mounted_ns);
	switch (node->kind) {
	case RFS_NODE_DIR:
		st.st_mode = S_IFDIR | 0555;
		st.st_nlink = (nlink_t)(2 + node->children.subdirs);
		break;
	case RFS_NODE_LINK:
		st.st_mode = S_IFLNK | 0777;
		st.st_size = (off_t)strlen(node->target);
		break;
	case RFS_NODE_TEXT:
		timeout = RFS_TIMEOUT_TEXT;
		stat_text(node->text, &st);
		break;
	case RFS_NODE_IMAGE:
		timeout = RFS_TIMEOUT_IMAGE;
		stat_image(node->image, &st);
		break;
	case RFS_NODE_COPY:
		stat_copy(node->copy, &st);
		break;
	case RFS_NODE_HOST:
		timeout = RFS_TIMEOUT_HOST;
		r = stat_host(front, node, &st, err);
		break;
	}
	if (r < 0)
		return r;
	st.st_ino = node->ino;
	st.st_blksize = 4096;
	*ret = st;
	*ret_timeout = timeout;
	return 0;
}
