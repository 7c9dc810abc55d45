/* SPDX-License-Identifier: GPL-3.0-or-later */
/* proc_stat.h - what the kernel says of a thread in /proc/PID/stat; see proc(5). */
#ifndef RESCUEFS_FS_PROC_STAT_H
#define RESCUEFS_FS_PROC_STAT_H

#include <stddef.h>

/* Reads 'path' into 'text', as far as it has room.  The fields from the third on, the
 * state, within 'text', or NULL if there are none.  Any thread. */
const char *rfs_proc_stat(const char *path, char *text, size_t size);

#endif /* RESCUEFS_FS_PROC_STAT_H */
