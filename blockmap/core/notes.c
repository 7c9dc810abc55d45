// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/notes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/vec.h"

void rfs_notes_init(struct rfs_notes *notes)
{
	memset(notes, 0, sizeof(*notes));
	pthread_mutex_init(&notes->lock, NULL);
}

void rfs_notes_fini(struct rfs_notes *notes)
{
	for (size_t i = 0; i < notes->count; i++)
		free(notes->items[i]);
	free(notes->items);
	pthread_mutex_destroy(&notes->lock);
}

static bool is_known(const struct rfs_notes *notes, const char *text)
{
	for (size_t i = 0; i < notes->count; i++)
		if (strcmp(notes->items[i], text) == 0)
			return true;
	return false;
}

/* A note that finds no memory is lost: it is advice, not state. */
static void append(struct rfs_notes *notes, const char *text)
{
	char *copy;

	if (notes->count == RFS_NOTES_MAX)
		text = "there is more to note than is kept here";
	if (notes->count > RFS_NOTES_MAX || is_known(notes, text) ||
	    RFS_VEC_ROOM(notes) < 0)
		return;
	copy = strdup(text);
	if (copy)
		notes->items[notes->count++] = copy;
}

void rfs_notes_add(struct rfs_notes *notes, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (!notes)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&notes->lock);
	append(notes, text);
	pthread_mutex_unlock(&notes->lock);
}

size_t rfs_notes_each(struct rfs_notes *notes, size_t from,
		      void (*each)(const char *text, void *data), void *data)
{
	size_t count;

	pthread_mutex_lock(&notes->lock);
	count = notes->count;
	for (size_t i = from; i < count; i++)
		each(notes->items[i], data);
	pthread_mutex_unlock(&notes->lock);
	return count;
}
