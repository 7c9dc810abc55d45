/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vec.h - one more item in a growing array. */
#ifndef RESCUEFS_CORE_VEC_H
#define RESCUEFS_CORE_VEC_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Makes room for item number 'count' (from 0) in an array of 'room' items of
 * 'size' bytes.  Returns 0, or -ENOMEM with the array as it was. */
static inline int rfs_vec_room(void *items, size_t count, size_t *room,
			       size_t size)
{
	void **array = items, *grown;
	size_t want = *room ? *room * 2 : 8;

	if (count < *room)
		return 0;
	if (want > SIZE_MAX / size)
		return -ENOMEM;
	grown = realloc(*array, want * size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*room = want;
	return 0;
}

/* The array is reached through a pointer to it, whatever its type. */
#define RFS_VEC_ROOM(v)                                                        \
	rfs_vec_room(&(v)->items, (v)->count, &(v)->room, sizeof(*(v)->items))

#endif /* RESCUEFS_CORE_VEC_H */
