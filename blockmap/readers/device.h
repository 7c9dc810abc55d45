/* SPDX-License-Identifier: GPL-3.0-or-later */
/* device.h - whether a block device is still there.
 *
 * A disk that was pulled out, or whose connection is lost, fails every read below a
 * file system with EIO, as a bad sector does.  The kernel tells the two apart
 * elsewhere: what is gone is not in sysfs, or has no size there, or is offline.
 */
#ifndef RESCUEFS_READERS_DEVICE_H
#define RESCUEFS_READERS_DEVICE_H

#include <stdbool.h>
#include <sys/types.h>

/* True if it is known to be gone, or one that it stands on is.  False for what is
 * no block device of the kernel's (NFS, FUSE, btrfs): there it cannot be told.
 * Reads from sysfs and from nothing else; safe from many threads. */
bool rfs_device_is_gone(dev_t device);

/* The same by a copy of sysfs, for tests. */
bool rfs_device_is_gone_in(const char *sys, dev_t device);

#endif /* RESCUEFS_READERS_DEVICE_H */
