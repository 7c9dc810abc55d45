// SPDX-License-Identifier: GPL-3.0-or-later
/* export_glance.c - which images an instance's disk is in Glance: itself, and
 * before it the kernel and the ramdisk that it was started with. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "readers/readers.h"
#include "site/hostfiles.h"
#include "tools/export_parts.h"
#include "tools/glance.h"

#define PROPERTIES 8

/* "NAME=VALUE", owned. */
struct properties {
	char *items[PROPERTIES + 1];
	size_t count;
};

static int add(struct properties *p, const char *name, const char *value,
	       struct rfs_error *err)
{
	if (p->count == PROPERTIES ||
	    asprintf(&p->items[p->count], "%s=%s", name, value) < 0)
		return rfs_no_memory(err);
	p->count++;
	return 0;
}

static void properties_fini(struct properties *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->items[i]);
}

/* "bm0002 backup" */
static char *source_names(const struct rfs_disk *disk)
{
	RFS_CLEANUP_FREE char *names = NULL;
	size_t len;
	FILE *out = open_memstream(&names, &len);

	if (!out)
		return NULL;
	for (size_t i = 0; i < disk->ncopies; i++)
		fprintf(out, "%s%s", i ? " " : "",
			disk->copies[i].source->origin.name);
	return fclose(out) == 0 ? RFS_STEAL(names) : NULL;
}

/* Where it came from; 'part' is "disk", "kernel" or "ramdisk". */
static int tell(struct properties *p, const struct rfs_disk *disk,
		const char *part, struct rfs_error *err)
{
	const struct rfs_instance *in = disk->instance;
	RFS_CLEANUP_FREE char *sources = source_names(disk);
	RFS_CLEANUP_FREE char *id = NULL;
	int r;

	if (asprintf(&id, "%s/%s", in->uuid ? in->uuid : in->host->name, part) <
	    0) {
		id = NULL;
		return rfs_no_memory(err);
	}
	if (!sources)
		return rfs_no_memory(err);
	r = add(p, "rescuefs_part", id, err);
	if (r == 0)
		r = add(p, "rescuefs_host", in->host->name, err);
	if (r == 0)
		r = add(p, "rescuefs_sources", sources, err);
	return r;
}

static int open_host_file(struct rfs_target *t, const struct rfs_host *host,
			  const char *path, struct rfs_reader **ret,
			  struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *mounted = NULL;
	struct stat st;
	int fd;

	if (!t->mountpoint)
		return rfs_hostfiles_open(t->opener, host, NULL, path, ret, &st,
					  NULL, err);
	if (asprintf(&mounted, "%s/hosts/%s%s", t->mountpoint, host->name,
		     path) < 0) {
		mounted = NULL;
		return rfs_no_memory(err);
	}
	fd = open(mounted, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return rfs_fail(err, errno, "%s: %s", mounted, strerror(errno));
	return rfs_file_open(fd, false, path, NULL, ret, err);
}

/* The kernel or the ramdisk, unless Glance has it: its id becomes a property of
 * the disk's image. */
static int upload_part(const struct rfs_export_request *req,
		       struct rfs_target *t, const char *part, const char *path,
		       const char *format, struct properties *of_disk,
		       struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *file = NULL;
	RFS_CLEANUP_FREE char *name = NULL, *property = NULL;
	struct properties p = { 0 };
	struct rfs_glance_image image = {
		.disk_format = format,
		.container_format = format,
		.properties = (const char *const *)p.items,
	};
	struct rfs_export what = { .name = part, .quiet = req->quiet };
	struct rfs_exported sent;
	char id[RFS_GLANCE_ID];
	int r = open_host_file(t, t->disks[0]->instance->host, path, &file,
			       err);

	if (r == 0 && (asprintf(&name, "%s %s", req->glance, part) < 0 ||
		       asprintf(&property, "%s_id", part) < 0))
		r = rfs_no_memory(err);
	if (r == 0)
		r = tell(&p, t->disks[0], part, err);
	image.name = name;
	what.disk = file;
	if (r == 0)
		r = rfs_export_digest(file, &sent, err);
	if (r == 0 && !rfs_glance_find(format, &sent, id))
		r = rfs_glance_upload(&image, &what, &sent, id, err);
	if (r == 0)
		r = add(of_disk, property, id, err);
	properties_fini(&p);
	return r < 0 ? rfs_context(err, r, "its %s", part) : 0;
}

static int upload_boot(const struct rfs_export_request *req,
		       struct rfs_target *t, struct properties *p,
		       struct rfs_error *err)
{
	const struct rfs_instance *in = t->disks[0]->instance;
	int r = upload_part(req, t, "kernel", in->kernel, "aki", p, err);

	if (r == 0 && in->ramdisk)
		r = upload_part(req, t, "ramdisk", in->ramdisk, "ari", p, err);
	return r;
}

int rfs_export_to_glance(const struct rfs_export_request *req,
			 struct rfs_target *t, const struct rfs_export *what,
			 struct rfs_exported *ret, struct rfs_error *err)
{
	const struct rfs_disk *disk = t->disks[0];
	bool is_ami = disk->instance->kernel && strcmp(disk->name, "disk") == 0;
	struct properties p = { 0 };
	struct rfs_glance_image image = {
		.name = req->glance,
		.disk_format = is_ami ? "ami" : "raw",
		.container_format = is_ami ? "ami" : "bare",
		.properties = (const char *const *)p.items,
	};
	char id[RFS_GLANCE_ID];
	int r = tell(&p, disk, disk->name, err);

	if (r == 0 && is_ami)
		r = upload_boot(req, t, &p, err);
	if (r == 0)
		r = rfs_glance_upload(&image, what, ret, id, err);
	properties_fini(&p);
	if (r == 0 && !req->json)
		printf("%s\n", id);
	return r;
}
