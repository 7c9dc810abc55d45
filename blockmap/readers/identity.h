/* SPDX-License-Identifier: GPL-3.0-or-later */
/* identity.h - which block device it is that a name leads to.
 *
 * A device's name and size say little: /dev/sdb is /dev/sdc after a reboot, and a
 * logical volume that was made anew has the name and the size of the old one.  The
 * kernel knows more, though not of every device, and not by every way to it: a disk
 * in a dock may hide its WWN and tell its serial number.  So all that is known is
 * kept, and two devices are held for different only if something says so and
 * nothing says otherwise.
 */
#ifndef RESCUEFS_READERS_IDENTITY_H
#define RESCUEFS_READERS_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define RFS_IDENTITY_MAX 1024

/* Lines "KEY VALUE\n" of printable characters; empty if nothing is known. */
struct rfs_identity {
	char text[RFS_IDENTITY_MAX];
};

/* Of the block device 'device', which 'fd' has open.  Nothing of the disk itself is
 * read; safe from many threads. */
void rfs_identity_of(int fd, dev_t device, struct rfs_identity *ret);

/* What a copy of sysfs says of it, for tests. */
void rfs_identity_in(const char *sys, dev_t device, struct rfs_identity *ret);

/* True if these are two devices: what both tell of differs, all of it.  'ret_why'
 * then says what ("its wwid was A and is B"). */
bool rfs_identity_differs(const char *was, const char *is, char *ret_why,
			  size_t size);

#endif /* RESCUEFS_READERS_IDENTITY_H */
