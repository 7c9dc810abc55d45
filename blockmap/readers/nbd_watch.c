// SPDX-License-Identifier: GPL-3.0-or-later
/* nbd_watch.c - how connections are, for whoever asks. */
#include <time.h>

#include "readers/nbd_parts.h"

struct rfs_nbd_watch {
	pthread_mutex_t lock; /* guards all below; a link's is taken under it */
	struct rfs_nbd_link *links;
};

const char *rfs_nbd_state_name(enum rfs_nbd_state state)
{
	static const char *const names[] = {
		[RFS_NBD_CONNECTED] = "connected",
		[RFS_NBD_CONNECTING] = "connecting",
		[RFS_NBD_LOST] = "lost",
		[RFS_NBD_ASIDE] = "aside",
	};

	return names[state];
}

static enum rfs_nbd_state state_of(const struct rfs_nbd_link *link)
{
	if (link->mood == LINK_AWAY)
		return RFS_NBD_LOST;
	if (link->mood == LINK_TRYING)
		return RFS_NBD_CONNECTING;
	return link->aside_ns ? RFS_NBD_ASIDE : RFS_NBD_CONNECTED;
}

void rfs_nbd_link_changed(struct rfs_nbd_link *link)
{
	enum rfs_nbd_state state = state_of(link);
	struct timespec now;

	if (state == link->told && link->since_ns)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	link->told = state;
	link->since_ns = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

struct rfs_nbd_watch *rfs_nbd_watch_new(void)
{
	struct rfs_nbd_watch *watch = calloc(1, sizeof(*watch));

	if (watch)
		pthread_mutex_init(&watch->lock, NULL);
	return watch;
}

void rfs_nbd_watch_free(struct rfs_nbd_watch *watch)
{
	if (!watch)
		return;
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}

void rfs_nbd_watch_add(struct rfs_nbd_link *link)
{
	struct rfs_nbd_link **at;

	if (!link->watch)
		return;
	pthread_mutex_lock(&link->watch->lock);
	for (at = &link->watch->links; *at; at = &(*at)->next)
		;
	*at = link;
	pthread_mutex_unlock(&link->watch->lock);
}

void rfs_nbd_watch_remove(struct rfs_nbd_link *link)
{
	struct rfs_nbd_link **at;

	if (!link->watch)
		return;
	pthread_mutex_lock(&link->watch->lock);
	for (at = &link->watch->links; *at && *at != link; at = &(*at)->next)
		;
	if (*at)
		*at = link->next;
	pthread_mutex_unlock(&link->watch->lock);
}

static void look_at(struct rfs_nbd_link *link, struct rfs_nbd_health *ret)
{
	int64_t until = 0, now = rfs_nbd_now_ns();

	pthread_mutex_lock(&link->lock);
	*ret = (struct rfs_nbd_health){
		.name = link->name,
		.state = state_of(link),
		.since_ns = link->since_ns,
		.drops = link->drops,
		.missed = link->missed,
	};
	if (ret->state == RFS_NBD_LOST)
		until = link->retry.at_ns;
	else if (ret->state == RFS_NBD_ASIDE)
		until = link->aside_ns;
	if (until > now)
		ret->again_ns = until - now;
	if (until)
		ret->pause_ns = link->retry.pause_ns;
	pthread_mutex_unlock(&link->lock);
}

void rfs_nbd_watch_each(struct rfs_nbd_watch *watch,
			void (*each)(const struct rfs_nbd_health *health,
				     void *data),
			void *data)
{
	struct rfs_nbd_health health;

	pthread_mutex_lock(&watch->lock);
	for (struct rfs_nbd_link *l = watch->links; l; l = l->next) {
		look_at(l, &health);
		each(&health, data);
	}
	pthread_mutex_unlock(&watch->lock);
}
