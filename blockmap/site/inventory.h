/* SPDX-License-Identifier: GPL-3.0-or-later */
/* inventory.h - which hosts, instances and disks there are, and where.
 *
 * Made by one scan of a site and unchanged from then on, so that any thread
 * may read it.  No image is opened for it: all comes from directory listings,
 * libvirt's XML and nova's disk.info.
 */
#ifndef RESCUEFS_SITE_INVENTORY_H
#define RESCUEFS_SITE_INVENTORY_H

#include "readers/readers.h"
#include "site/site.h"

enum rfs_format {
	RFS_FORMAT_RAW,
	RFS_FORMAT_QCOW2,
	RFS_FORMAT_FOREIGN, /* by the site file: read by qemu-nbd */
	RFS_FORMAT_OTHER,   /* named by a description, but not read here */
};

/* Where a copy is. */
enum rfs_place {
	RFS_IN_ROOT, /* a file of the source's tree; 'path' is inside its root */
	RFS_VOLUME,  /* a file or device that 'volumes' names: 'path' as the
		      * user's own system has it */
	RFS_EXPORT,  /* of the source's NBD server: 'path' is its name */
};

/* One disk as one source holds it. */
struct rfs_copy {
	const struct rfs_source *source;
	enum rfs_place place;
	char *path; /* inside the source's root: "/var/lib/nova/..." */
	enum rfs_packing packing; /* of that file, told by its name */
	char *mapfile;	   /* ddrescue's, which restricts it; NULL: none.  A
			    * path as 'path' is, or where 'mapfile_said' one
			    * of the user's own system */
	bool mapfile_said; /* by the site file */
	enum rfs_format format;
	char *format_name;     /* "qcow2", "vmdk"... as described */
	const char *format_by; /* "disk.info", "libvirt.xml", "domain XML",
				* "site file"; "layout" (disk.config, which
				* nova writes raw, and
				* volumes); "export"; "nothing": raw (P9) */
	struct rfs_generation generation; /* of the file */
	int64_t as_of_ns; /* the age of the copy (design, rule 2) */
};

/* One guest-visible block device; its copies are freshest first. */
struct rfs_disk {
	struct rfs_instance *instance;
	char *name; /* "disk", "disk.eph0" */
	char *id;   /* names it in the state: UUID/disk, or host:dir/disk */
	struct rfs_copy *copies;
	size_t ncopies;
	const struct rfs_disk_rule *rule; /* or NULL */
	/* By the domains' XML, of all sources. */
	bool is_in_domain, is_unmapped;
	/* Of a volume; each may be NULL. */
	char *uuid;			     /* by its name or a domain's XML */
	const struct rfs_instance *attached; /* whose domain has it */
};

/* Another file of an instance: merged as a file of the host. */
struct rfs_instance_file {
	char *name; /* "libvirt.xml" */
	char *path; /* in the host's tree: "/var/lib/nova/instances/..." */
};

struct rfs_nic {
	char *mac, *bridge, *ip; /* each may be NULL */
};

/* A volume that a domain says it has. */
struct rfs_attachment {
	char *uuid, *dev, *target;     /* each may be NULL; "vdb" */
	const struct rfs_disk *volume; /* NULL: no source has it */
};

/* What the sources tell of an instance; any string may be NULL.
 *
 * The volumes of a host are kept as the disks of one more, which is no instance
 * and not among the inventory's instances: 'is_volumes' is set, its tree_name
 * is "volumes", and of the rest it has only 'host'. */
struct rfs_instance {
	bool is_volumes;
	char *tree_name; /* its directory in the tree: unique and escaped */
	char *id_name;	 /* "instance-000001de" */
	char *uuid;
	char *display_name;
	char *dir; /* inside the host, "/var/lib/nova/instances/..." */
	struct rfs_host *host;
	char *flavor;
	uint64_t memory_kib; /* 0: not told */
	unsigned vcpus;	     /* 0: not told */
	char *image_uuid;
	char *kernel, *ramdisk; /* paths inside the host */
	char *project, *user;
	char *created;
	struct rfs_nic *nics;
	size_t nnics;
	struct rfs_disk *disks;
	size_t ndisks;
	struct rfs_instance_file *files;
	size_t nfiles;
	struct rfs_attachment *attachments;
	size_t nattachments;
};

/* A file of _base in one source: same name and size heal (rule 3). */
struct rfs_base {
	char *name;
	const struct rfs_source *source;
	struct rfs_generation generation;
};

struct rfs_host {
	char *name;
	struct rfs_source **sources; /* those opened, freshest first */
	size_t nsources;
	struct rfs_base *bases; /* by name, then as the sources */
	size_t nbases;
};

struct rfs_inventory {
	struct rfs_site *site; /* outlives the inventory */
	struct rfs_host **hosts;
	size_t nhosts;
	struct rfs_instance **instances; /* by tree_name */
	size_t ninstances;
	struct rfs_instance **volumes; /* of each host that has any */
	size_t nvolumes;
};

struct rfs_memory;

/* Scans every opened source.  What cannot be read is noted in the site's notes
 * and passed over: a damaged host is scanned as far as it goes.  What a damaged
 * source delivers of small files is not asked for again where there is a memory of
 * it (texts.h), which may be NULL. */
int rfs_inventory_scan(struct rfs_site *site, const struct rfs_memory *memory,
		       struct rfs_inventory *ret, struct rfs_error *err);
void rfs_inventory_fini(struct rfs_inventory *inv);

/* Every instance whose uuid, display name, tree name or instance-%08x name
 * contains 'part' (letters' case does not matter); returns how many, and the
 * first 'room' of them in 'ret'. */
size_t rfs_inventory_find(const struct rfs_inventory *inv, const char *part,
			  const struct rfs_instance **ret, size_t room);

/* The host of that very name, or NULL. */
struct rfs_host *rfs_inventory_find_host(const struct rfs_inventory *inv,
					 const char *name);

/* How many disks there are, volumes among them; the first 'room' in 'ret'. */
size_t rfs_inventory_disks(const struct rfs_inventory *inv,
			   const struct rfs_disk **ret, size_t room);

/* True if two copies hold the same bytes.  An image and the same one without its
 * mapfile do not: one of them calls zeros what was never copied. */
static inline bool rfs_copy_is_same(const struct rfs_copy *a,
				    const struct rfs_copy *b)
{
	return !a->mapfile == !b->mapfile &&
	       rfs_generation_is_same(a->generation, b->generation);
}

static inline bool rfs_disk_is_volume(const struct rfs_disk *disk)
{
	return disk->instance->is_volumes;
}

/* "april-ci/disk" or "volume-00000143", as verbs and people call it; and where
 * it is in the mount, "instances/april-ci/disk" or "volumes/volume-00000143".
 * The caller frees it; NULL: no memory. */
char *rfs_disk_path(const struct rfs_disk *disk);
char *rfs_disk_place(const struct rfs_disk *disk);

/* "april-ci/disk", "instance-000001de/disk" or "UUID/disk", or a name of an
 * instance that has one disk only; a volume by its name or uuid.  -ENOENT says
 * what there is instead. */
int rfs_inventory_find_disk(const struct rfs_inventory *inv, const char *name,
			    const struct rfs_disk **ret, struct rfs_error *err);

/* True if an instance of another host has its uuid, or its "instance-000001de".  A
 * migration that did not end well leaves such a one behind: two disks that went their own
 * ways from then on. */
bool rfs_instance_shares_uuid(const struct rfs_inventory *inv,
			      const struct rfs_instance *instance);
bool rfs_instance_shares_id(const struct rfs_inventory *inv,
			    const struct rfs_instance *instance);

/* By display name, "instance-000001de" or uuid.  -ENOENT says what there is. */
int rfs_inventory_find_instance(const struct rfs_inventory *inv,
				const char *name,
				const struct rfs_instance **ret,
				struct rfs_error *err);

struct rfs_given;

/* What scan prints: for people, and as JSON.  'given' may be NULL: then nothing is
 * told of base images given by hand.  'only' restricts it to some instances; NULL
 * for all.  The caller frees *ret_text. */
int rfs_inventory_print(const struct rfs_inventory *inv,
			struct rfs_given *given,
			const struct rfs_instance *const *only, size_t nonly,
			bool json, char **ret_text, struct rfs_error *err);

/* instance.json; the caller frees *ret_text. */
int rfs_instance_json(const struct rfs_inventory *inv,
		      const struct rfs_instance *instance, char **ret_text,
		      struct rfs_error *err);

#endif /* RESCUEFS_SITE_INVENTORY_H */
