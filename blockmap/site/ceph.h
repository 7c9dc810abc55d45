/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ceph.h - disks that are images in a Ceph cluster (RBD).
 *
 * A qemu-nbd of ours reads each, started because the site file names the image
 * and never else.  It is told what to open by JSON made here of parts that were
 * checked, so that no name becomes an option of it, and gets the key of the user
 * as an open file of no directory.
 *
 * It opens an image without a lock.  Its library watches the image's header,
 * which the cluster keeps while it is open; what holds the data is never written.
 */
#ifndef RESCUEFS_SITE_CEPH_H
#define RESCUEFS_SITE_CEPH_H

#include "site/site.h"

/* -EINVAL: what is said of a cluster does not fit.  Images are "POOL/IMAGE" or
 * "POOL/NAMESPACE/IMAGE", with "@SNAPSHOT" behind it for that one, apart by
 * blanks. */
int rfs_ceph_check(const struct rfs_source_spec *spec, struct rfs_error *err);

/* Copies what was checked into the source; -1: no memory. */
int rfs_ceph_take(struct rfs_source *source,
		  const struct rfs_source_spec *spec);
void rfs_ceph_drop(struct rfs_source *source);

/* The snapshot's name where the source has one image alone, else "". */
const char *rfs_ceph_snapshot(const struct rfs_source *source);

/* What the disk is called whose image this is: the image's own name, or of those
 * that nova makes, "UUID_disk", UUID/disk.  The caller frees it; NULL: no
 * memory. */
char *rfs_ceph_disk_name(const char *image);

/* Opens each image of the source, for its size.  One that is not there is noted;
 * an error if there is none, or once the cluster does not answer. */
int rfs_ceph_list(struct rfs_site *site, const struct rfs_source *source,
		  struct rfs_nbd_exports *ret, struct rfs_error *err);

/* Opens an image of the source.  Of 'config' the name, the origin, the notes and
 * the deadline are taken. */
int rfs_ceph_open(const struct rfs_source *source, const char *image,
		  const struct rfs_nbd_config *config, struct rfs_reader **ret,
		  struct rfs_error *err);

/* The key of a user in a keyring, as it stands there; the caller frees it with
 * rfs_password_free. */
int rfs_ceph_key(const char *keyring, const char *user, char **ret,
		 struct rfs_error *err);

#endif /* RESCUEFS_SITE_CEPH_H */
