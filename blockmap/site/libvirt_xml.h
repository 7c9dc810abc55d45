/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libvirt_xml.h - what a domain's XML tells.
 *
 * The text comes from a broken disk, or from whoever had the host last.  It is
 * read without a network, without entities and without a DTD, which libvirt
 * never writes.
 */
#ifndef RESCUEFS_SITE_LIBVIRT_XML_H
#define RESCUEFS_SITE_LIBVIRT_XML_H

#include "site/inventory.h"

/* A domain's XML is some ten kilobytes; more than this is something else. */
#define RFS_XML_MAX (1u << 20)

/* <disk type='file'>; 'format' is NULL where the driver does not tell. */
struct rfs_domain_disk {
	char *file;
	char *format;
	/* The image lets go of clusters: discard='unmap', or detect_zeroes. */
	bool is_unmapped;
};

/* Any string may be NULL; the uuids are in the usual form. */
struct rfs_domain {
	char *name, *uuid;
	char *display_name, *flavor, *image_uuid;
	char *project, *user, *created;
	char *kernel, *ramdisk;
	uint64_t memory_kib;
	unsigned vcpus;
	struct rfs_nic *nics;
	size_t nnics;
	struct rfs_domain_disk *disks;
	size_t ndisks;
	/* Disks that are no files: volumes.  'volume' stays NULL. */
	struct rfs_attachment *attachments;
	size_t nattachments;
};

/* -EINVAL: it is not the XML of a domain. */
int rfs_domain_parse(const char *text, size_t len, struct rfs_domain *ret,
		     struct rfs_error *err);
void rfs_domain_fini(struct rfs_domain *domain);

#endif /* RESCUEFS_SITE_LIBVIRT_XML_H */
