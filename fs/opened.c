// SPDX-License-Identifier: GPL-3.0-or-later
#include "fs/opened.h"

#include <stddef.h>

void rfs_opened_init(struct rfs_opened_list *list)
{
	pthread_mutex_init(&list->lock, NULL);
	list->first = NULL;
}

void rfs_opened_fini(struct rfs_opened_list *list)
{
	while (list->first)
		rfs_opened_close(list, list->first);
	pthread_mutex_destroy(&list->lock);
}

void rfs_opened_add(struct rfs_opened_list *list, struct rfs_opened *o,
		    void (*close)(struct rfs_opened *o))
{
	o->close = close;
	o->prev = NULL;
	pthread_mutex_lock(&list->lock);
	o->next = list->first;
	if (o->next)
		o->next->prev = o;
	list->first = o;
	pthread_mutex_unlock(&list->lock);
}

void rfs_opened_close(struct rfs_opened_list *list, struct rfs_opened *o)
{
	pthread_mutex_lock(&list->lock);
	if (o->prev)
		o->prev->next = o->next;
	else
		list->first = o->next;
	if (o->next)
		o->next->prev = o->prev;
	pthread_mutex_unlock(&list->lock);
	o->close(o);
}
