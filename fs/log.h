/* SPDX-License-Identifier: GPL-3.0-or-later */
/* log.h - how the parts of the mount speak to the operator.
 *
 * To stderr in the foreground, to syslog once that leads nowhere.  Safe from
 * many threads.  Implemented in session.c, which alone prints.
 */
#ifndef RESCUEFS_FS_LOG_H
#define RESCUEFS_FS_LOG_H

void rfs_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same for what may happen at every request: after RFS_LOG_BURST of them
 * within RFS_LOG_SECONDS the rest is counted, and the count is told. */
void rfs_log_often(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define RFS_LOG_BURST	20
#define RFS_LOG_SECONDS 10

#endif /* RESCUEFS_FS_LOG_H */
