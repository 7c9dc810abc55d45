/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cleanup.h - for what lives in one function only: freed when it leaves.
 * Never together with goto in one function. */
#ifndef RESCUEFS_CORE_CLEANUP_H
#define RESCUEFS_CORE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void rfs_cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void rfs_cleanup_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void rfs_cleanup_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define RFS_CLEANUP_FREE __attribute__((cleanup(rfs_cleanup_free)))
#define RFS_CLEANUP_FD	 __attribute__((cleanup(rfs_cleanup_fd)))
#define RFS_CLEANUP_FILE __attribute__((cleanup(rfs_cleanup_file)))

/* The pointer's value, which the variable gives up. */
#define RFS_STEAL(p)                                                           \
	__extension__({                                                        \
		__typeof__(p) s_ = (p);                                        \
		(p) = NULL;                                                    \
		s_;                                                            \
	})

#endif /* RESCUEFS_CORE_CLEANUP_H */
