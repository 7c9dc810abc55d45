/* SPDX-License-Identifier: GPL-3.0-or-later */
/* scan.h - what a scan holds between its steps; for scan*.c only.
 *
 *   scan_tree.c      reads one source: directories, descriptions, sizes, times
 *   scan_group.c     says which directories of a host are the same instance
 *   scan_instance.c  makes an instance of such a group: facts, disks, names
 *   scan_volumes.c   finds the volumes, and whose they are
 *   scan_exports.c   finds which disks the exports of NBD servers are
 *   scan.c           runs these for all sources
 */
#ifndef RESCUEFS_SITE_SCAN_H
#define RESCUEFS_SITE_SCAN_H

#include "site/disk_info.h"
#include "site/inventory.h"
#include "site/libvirt_xml.h"
#include "site/names.h"
#include "site/texts.h"
#include "site/volumes.h"

#define RFS_INSTANCES_DIR "/var/lib/nova/instances"
#define RFS_DOMAINS_DIR	  "/etc/libvirt/qemu"

struct scan_file {
	char *name;
	struct rfs_generation generation;
};

/* An instance's directory as one source has it. */
struct scan_dir {
	struct rfs_source *source;
	char *name;
	char *path; /* inside the source */
	struct {
		struct scan_file *items;
		size_t count, room;
	} files;
	bool partial; /* its listing broke off, or was never had */
	struct rfs_disk_info info;
	struct rfs_domain *own;	    /* its libvirt.xml, or NULL */
	struct rfs_domain *defined; /* of etc/libvirt/qemu; the tree's */
};

/* One source. */
struct scan_tree {
	struct rfs_site *site;
	struct rfs_source *source;
	struct rfs_texts *texts; /* the scan's */
	struct rfs_volumes volumes;
	struct {
		struct scan_dir **items;
		size_t count, room;
	} dirs;
	bool partial; /* the listing of the instances broke off */
	struct {
		struct rfs_domain **items;
		size_t count, room;
	} domains;
	struct {
		struct scan_file *items;
		size_t count, room;
	} bases;
};

/* The directories that are one instance: one of a source at the most,
 * freshest first. */
struct scan_group {
	struct rfs_host *host;
	char *uuid;  /* NULL: nothing tells */
	bool own_id; /* no other group has this uuid */
	struct {
		struct scan_dir **items;
		size_t count, room;
	} dirs;
};

struct scan_groups {
	struct scan_group *items;
	size_t count, room;
};

void rfs_scan_note(const struct scan_tree *tree, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Its site, source and texts are set.  Only for want of memory an error: what
 * cannot be read is noted. */
int rfs_scan_tree(struct scan_tree *tree, struct rfs_error *err);
void rfs_scan_tree_fini(struct scan_tree *tree);

/* Looks in 'tree' by name for what its broken listings did not show and
 * 'other', a source of the same host, has. */
int rfs_scan_probe(struct scan_tree *tree, const struct scan_tree *other,
		   struct rfs_error *err);

/* Reads the descriptions, once all directories and their files are known. */
int rfs_scan_describe(struct scan_tree *tree, struct rfs_error *err);

/* Adds the directories of a host's tree to the groups.  The trees come
 * freshest first. */
int rfs_scan_group(struct scan_groups *groups, struct rfs_host *host,
		   const struct scan_tree *tree, struct rfs_error *err);
/* Those that tell no uuid; after all that do. */
int rfs_scan_group_rest(struct scan_groups *groups, struct rfs_host *host,
			const struct scan_tree *tree, struct rfs_error *err);
void rfs_scan_groups_fini(struct scan_groups *groups);

/* What the sources tell of an instance, without names and disks. */
int rfs_scan_instance(const struct scan_group *group, struct rfs_instance **ret,
		      struct rfs_error *err);
/* A name for each in the tree, all different. */
int rfs_scan_name(struct rfs_inventory *inv, struct rfs_error *err);
/* Its disks and its other files. */
int rfs_scan_disks(struct rfs_site *site, const struct scan_group *group,
		   struct rfs_instance *instance, struct rfs_error *err);

/* Adds a copy to a disk, at the place that its age gives it; of 'copy' source,
 * place, path, packing, mapfile and generation are taken.  -1: no memory. */
int rfs_scan_add_copy(const struct rfs_site *site, struct rfs_disk *disk,
		      const struct rfs_copy *copy);

/* Lists the volumes of a source. */
int rfs_scan_list_volumes(struct scan_tree *tree, struct rfs_error *err);
/* Makes disks of the volumes of all sources. */
int rfs_scan_volumes(struct rfs_inventory *inv, struct scan_tree *trees,
		     size_t ntrees, struct rfs_error *err);
/* The same of the exports of NBD servers, which are disks of instances, or
 * volumes, by their names.  After the volumes. */
int rfs_scan_exports(struct rfs_inventory *inv, struct scan_tree *trees,
		     size_t ntrees, struct rfs_error *err);
/* Adds one volume's copy, to a new disk if need be. */
int rfs_scan_add_volume(struct rfs_inventory *inv, const struct rfs_site *site,
			const char *name, const struct rfs_copy *copy,
			struct rfs_error *err);
/* Names and sorts the volumes, once all are there. */
int rfs_scan_end_volumes(struct rfs_inventory *inv, struct rfs_error *err);
/* What the descriptions of a group say of volumes. */
int rfs_scan_attach(struct rfs_site *site, struct rfs_inventory *inv,
		    const struct scan_group *group,
		    struct rfs_instance *instance, struct rfs_error *err);

/* Frees what rfs_scan_instance made. */
void rfs_instance_free(struct rfs_instance *instance);

const struct scan_file *rfs_scan_file(const struct scan_dir *dir,
				      const char *name);

#endif /* RESCUEFS_SITE_SCAN_H */
