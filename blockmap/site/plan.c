// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "site/names.h"

static const char *const common[] = {
#include "plan_common.inc"
};
static const char *const today[] = {
#include "plan_today.inc"
};
static const char *const essex[] = {
#include "plan_essex.inc"
};

#define NLINES(lines) (sizeof(lines) / sizeof(*(lines)))

static const char unknown[] = "FILL-IN";

/* A variable, with a word about it; without a value it is to be filled in. */
static void set(FILE *out, const char *indent, const char *name,
		const char *value, const char *about)
{
	fprintf(out, "%s%s=", indent, name);
	rfs_text_quote(value ? value : unknown, out);
	fprintf(out, about ? "  # %s\n" : "\n", about);
}

static void fact(FILE *out, const char *name, const char *value,
		 const char *about)
{
	set(out, "\t", name, value, about);
}

/* Of an instance's own kernel or ramdisk, a place in the mount; "" where it has
 * none. */
static int host_file(FILE *out, const char *name,
		     const struct rfs_instance *instance, const char *path)
{
	RFS_CLEANUP_FREE char *place = NULL;

	if (!path) {
		fact(out, name, "", NULL);
		return 0;
	}
	if (asprintf(&place, "hosts/%s/%s", instance->host->name,
		     path + strspn(path, "/")) < 0) {
		place = NULL;
		return -ENOMEM;
	}
	fact(out, name, place, "the instance's own");
	return 0;
}

/* The steps move and delete by uuid: of one that a migration left on two hosts that
 * may be the other one, which lives on there. */
static int uuid_fact(const struct rfs_plan *plan, const struct rfs_instance *in,
		     FILE *out)
{
	RFS_CLEANUP_FREE char *about = NULL;

	if (!rfs_instance_shares_uuid(plan->inv, in)) {
		fact(out, "UUID", in->uuid, NULL);
		return 0;
	}
	if (asprintf(&about,
		     "another host has %s too; fill it in if the one on %s "
		     "is what nova ran last",
		     in->uuid, in->host->name) < 0) {
		about = NULL;
		return -ENOMEM;
	}
	fact(out, "UUID", NULL, about);
	return 0;
}

static int instance_facts(const struct rfs_plan *plan,
			  const struct rfs_instance *in, FILE *out)
{
	const char *name = in->display_name ? in->display_name : in->tree_name;
	int r;

	fact(out, "NAME", name,
	     in->display_name ? NULL : "its display name is not on the host");
	if (uuid_fact(plan, in, out) < 0)
		return -ENOMEM;
	fact(out, "FLAVOR", in->flavor,
	     in->flavor ? NULL : "step list shows the instance as nova has it");
	if (!in->flavor && in->memory_kib)
		fprintf(out, "\t# it has %" PRIu64 " MiB of memory, %u vcpus\n",
			in->memory_kib / 1024, in->vcpus);
	fact(out, "KEY", NULL, "its key pair, by name: step list");
	fact(out, "ZONE", NULL, "its availability zone: step list");
	fact(out, "NETWORK", NULL, "its network: step list");
	r = host_file(out, "KERNEL", in, in->kernel);
	return r < 0 ? r : host_file(out, "RAMDISK", in, in->ramdisk);
}

/* The number of "volume-00000143", or NULL; Essex's volumes have no other id. */
static char *volume_number(const char *name)
{
	static const char prefix[] = "volume-";
	unsigned long n;
	char *end, *text;

	if (strncmp(name, prefix, strlen(prefix)) != 0 ||
	    strspn(name + strlen(prefix), "0123456789abcdef") != 8)
		return NULL;
	n = strtoul(name + strlen(prefix), &end, 16);
	if (*end || asprintf(&text, "%lu", n) < 0)
		return NULL;
	return text;
}

static int volume_facts(const struct rfs_plan *plan,
			const struct rfs_disk *disk, FILE *out)
{
	RFS_CLEANUP_FREE char *number = volume_number(disk->name);
	RFS_CLEANUP_FREE char *name = NULL;
	bool is_essex = plan->era == RFS_ERA_ESSEX;
	const struct rfs_instance *server = disk->attached;

	if (asprintf(&name, "rescued-%s%s%s",
		     rfs_disk_is_volume(disk) ? "" : disk->instance->tree_name,
		     rfs_disk_is_volume(disk) ? "" : "-", disk->name) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	fact(out, "NEW_NAME", name, NULL);
	if (rfs_disk_is_volume(disk)) {
		fact(out, "OLD_VOLUME", is_essex ? number : disk->uuid, NULL);
		fact(out, "SERVER", server && server->uuid ? server->uuid : "",
		     server ? "it was attached to this one" : NULL);
		fact(out, "CINDER_SERVICE", NULL,
		     "HOST@BACKEND: openstack volume service list");
	}
	fact(out, "ZONE", NULL, "the volume's availability zone");
	fact(out, "VOLUME_HOST", NULL,
	     "where new volumes lie, for ssh; localhost: here");
	fact(out, "VOLUME_GROUP", is_essex ? "nova-volumes" : "cinder-volumes",
	     "there");
	if (is_essex)
		fact(out, "NEW_VOLUME", NULL, "step create says it");
	return 0;
}

static void size_fact(const struct rfs_plan_item *item, FILE *out)
{
	const uint64_t gib = UINT64_C(1) << 30;
	char text[24];

	if (!item->size) {
		fact(out, "VOLUME_GB", NULL,
		     "the disk is empty, or could not be opened");
		return;
	}
	snprintf(text, sizeof(text), "%" PRIu64,
		 item->size / gib + (item->size % gib != 0));
	fprintf(out, "\t# %" PRIu64 " bytes\n", item->size);
	fact(out, "VOLUME_GB", text, NULL);
}

static const char *kind_of(const struct rfs_plan_item *item)
{
	if (item->is_root)
		return "instance";
	return rfs_disk_is_volume(item->disk) ? "volume" : "data";
}

static int print_item(const struct rfs_plan *plan, size_t i, FILE *out)
{
	const struct rfs_plan_item *item = &plan->items[i];
	const struct rfs_instance *in = item->disk->instance;
	RFS_CLEANUP_FREE char *place = rfs_disk_place(item->disk);
	RFS_CLEANUP_FREE char *label = rfs_disk_path(item->disk);
	int r;

	if (!place || !label)
		return -ENOMEM;
	fprintf(out, "item_%zu()\n{\n", i + 1);
	fact(out, "LABEL", label, NULL);
	fact(out, "KIND", kind_of(item), NULL);
	fact(out, "DISK", place, "in the mount");
	fact(out, "HOST", in->host->name, "as its services are named");
	size_fact(item, out);
	r = item->is_root ? instance_facts(plan, in, out)
			  : volume_facts(plan, item->disk, out);
	if (r == 0 && item->is_root && plan->era == RFS_ERA_ESSEX)
		fact(out, "NEW_IMAGE", NULL, "step upload says it");
	fputs("}\n\n", out);
	return r;
}

static void print_head(const struct rfs_plan *plan, FILE *out)
{
	fprintf(out,
		"#!/usr/bin/env bash\n"
		"# shellcheck disable=SC2034,SC2153,SC2154,SC2317\n"
		"# The recovery of what is named below, in %s dialect of "
		"OpenStack.\n"
		"# Written by rescuefs plan, which has run nothing of it.  "
		"Read "
		"it first.\n"
		"#\n"
		"# Each FILL-IN is what the sources do not tell; a step that "
		"needs one stops\n"
		"# and says so.  Without arguments the steps are listed.  A "
		"step asks before\n"
		"# it takes anything away, and looks whether it did what it "
		"should.\n"
		"set -euo pipefail\n"
		"shopt -s inherit_errexit\n\n",
		plan->era == RFS_ERA_ESSEX ? "the Essex" : "today's");
	set(out, "", "MOUNT", plan->mountpoint,
	    "where rescuefs mount shows these disks");
	set(out, "", "REASON", "its disk fails; see the plan of recovery",
	    NULL);
	set(out, "", "NEW_HOST", NULL, "a host that lives, for step rehome");
	if (plan->era == RFS_ERA_TODAY)
		set(out, "", "NEW_ZONE", NULL, "its availability zone");
	set(out, "", "NOVA_DB", "nova", "the database of the host's cell");
	if (plan->era == RFS_ERA_TODAY)
		set(out, "", "CINDER_DB", "cinder", NULL);
	fprintf(out, "ITEMS=%zu\n\n", plan->count);
}

static void print_lines(const char *const *lines, size_t n, FILE *out)
{
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s\n", lines[i]);
	fputc('\n', out);
}

int rfs_plan_print(const struct rfs_plan *plan, FILE *out,
		   struct rfs_error *err)
{
	int r = 0;

	print_head(plan, out);
	for (size_t i = 0; i < plan->count && r == 0; i++)
		r = print_item(plan, i, out);
	if (r < 0)
		return rfs_no_memory(err);
	print_lines(common, NLINES(common), out);
	if (plan->era == RFS_ERA_ESSEX)
		print_lines(essex, NLINES(essex), out);
	else
		print_lines(today, NLINES(today), out);
	fputs("main \"$@\"\n", out);
	if (fflush(out) != 0 || ferror(out))
		return rfs_fail(err, EIO, "the plan cannot be written");
	return 0;
}
