// SPDX-License-Identifier: GPL-3.0-or-later
/* A fetch that the mount carries out, as it alone may write to the state. */
#include <errno.h>
#include <pthread.h>

#include "fs/image.h"

static bool is_running(struct rfs_fetching *f)
{
	struct rfs_fetching_news news;

	if (!f)
		return false;
	rfs_fetching_look(f, &news);
	return news.is_running;
}

int rfs_image_fetch(struct rfs_image *img,
		    const struct rfs_fetching_order *order,
		    struct rfs_error *err)
{
	int r;

	pthread_mutex_lock(&img->fetch_lock);
	if (is_running(img->fetching)) {
		r = rfs_fail(err, EBUSY, "%s: is being fetched already",
			     img->name);
	} else {
		rfs_fetching_free(img->fetching);
		img->fetching = NULL;
		r = rfs_fetching_start(img->op, img->disk, order,
				       &img->fetching, err);
	}
	pthread_mutex_unlock(&img->fetch_lock);
	return r;
}

void rfs_image_stop_fetch(struct rfs_image *img)
{
	pthread_mutex_lock(&img->fetch_lock);
	if (img->fetching)
		rfs_fetching_stop(img->fetching);
	pthread_mutex_unlock(&img->fetch_lock);
}

int rfs_image_fetch_news(struct rfs_image *img, char **ret,
			 struct rfs_error *err)
{
	struct rfs_fetching_news news;
	bool is_there;

	pthread_mutex_lock(&img->fetch_lock);
	is_there = img->fetching;
	if (is_there)
		rfs_fetching_look(img->fetching, &news);
	pthread_mutex_unlock(&img->fetch_lock);
	return is_there ? rfs_fetching_json(img->name, &news, ret, err)
			: -ENODATA;
}
