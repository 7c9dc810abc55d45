// SPDX-License-Identifier: GPL-3.0-or-later
/* nbd_program.c - the end of a qemu-nbd that libnbd has started for us.
 *
 * libnbd asks it to end and waits until it has.  One that waits for a cluster
 * which does not answer hears nothing for minutes, so that it is killed first;
 * it writes nothing that could be torn by that.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "readers/nbd_parts.h"

/* libnbd does not tell it.  The thread has no other child. */
void rfs_nbd_program_find(struct rfs_nbd_link *link)
{
	FILE *file = fopen("/proc/thread-self/children", "re");
	int pid = 0;

	if (file && fscanf(file, "%d", &pid) != 1)
		pid = 0;
	if (file)
		fclose(file);
	link->program = pid;
}

void rfs_nbd_program_end(struct rfs_nbd_link *link)
{
	RFS_CLEANUP_FD int fd = -1;
	struct pollfd end = { .events = POLLIN };

	if (link->program <= 0)
		return;
	/* Until it is waited for, the number is no one else's. */
	fd = pidfd_open(link->program, 0);
	end.fd = fd;
	kill(link->program, SIGTERM);
	if (fd < 0 || poll(&end, 1, PROGRAM_END_MS) != 1)
		kill(link->program, SIGKILL);
	link->program = 0;
}
