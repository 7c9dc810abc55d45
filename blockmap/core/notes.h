/* SPDX-License-Identifier: GPL-3.0-or-later */
/* notes.h - what is odd but no error: sentences kept for whoever asks.
 *
 * A dirty mark in an image, a table that reads as zeros, a directory that
 * could be listed only in part.  The core does not print; it notes, and scan,
 * instance.json and the log of the mount show the notes.
 *
 * Safe from many threads.  A sentence that is already there is not added
 * twice, and after RFS_NOTES_MAX one last note says that there were more.
 */
#ifndef RESCUEFS_CORE_NOTES_H
#define RESCUEFS_CORE_NOTES_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define RFS_NOTES_MAX 1000

struct rfs_notes {
	pthread_mutex_t lock; /* guards all below */
	char **items;
	size_t count;
	size_t room;
};

void rfs_notes_init(struct rfs_notes *notes);
void rfs_notes_fini(struct rfs_notes *notes);

/* NULL 'notes' is accepted: the sentence is dropped. */
void rfs_notes_add(struct rfs_notes *notes, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Calls 'each' for the notes from index 'from' on, under the lock; returns the
 * count, so that a caller can ask for what is new since. */
size_t rfs_notes_each(struct rfs_notes *notes, size_t from,
		      void (*each)(const char *text, void *data), void *data);

#endif /* RESCUEFS_CORE_NOTES_H */
