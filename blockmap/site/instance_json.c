// SPDX-License-Identifier: GPL-3.0-or-later
/* instance_json.c - all that the sources tell of an instance.
 *
 * Jansson drops a member whose value could not be made, and gives NULL for an
 * object that it found no memory for; so a want of memory shows at the end.
 */
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "site/json_text.h"
#include "site/names.h"

json_t *rfs_json_text(const char *text)
{
	RFS_CLEANUP_FREE char *fit = NULL;
	json_t *value;

	if (!text)
		return json_null();
	/* Most is UTF-8 already, and stays as it is. */
	value = json_string(text);
	if (value)
		return value;
	fit = rfs_text_escape(text);
	return fit ? json_string(fit) : NULL;
}

json_t *rfs_json_time(int64_t time_ns)
{
	char text[RFS_TIME_TEXT];

	if (time_ns == RFS_TIME_UNKNOWN)
		return json_null();
	rfs_time_print(time_ns, text);
	return json_string(text);
}

json_t *rfs_json_count(uint64_t count)
{
	return count ? json_integer((json_int_t)count) : json_null();
}

const struct rfs_copy *rfs_copy_twin(const struct rfs_disk *disk, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (rfs_copy_is_same(&disk->copies[j], &disk->copies[i]))
			return &disk->copies[j];
	return NULL;
}

static json_t *copy_json(const struct rfs_disk *disk, size_t i)
{
	const struct rfs_copy *copy = &disk->copies[i];
	const struct rfs_copy *twin = rfs_copy_twin(disk, i);
	json_t *root = json_object();

	json_object_set_new(root, "source",
			    rfs_json_text(copy->source->origin.name));
	json_object_set_new(
		root, "kind",
		json_string(rfs_source_kind_name(copy->source->kind)));
	json_object_set_new(root, "path", rfs_json_text(copy->path));
	json_object_set_new(root, "format", rfs_json_text(copy->format_name));
	json_object_set_new(root, "format_by", json_string(copy->format_by));
	json_object_set_new(
		root, "packed",
		rfs_json_text(
			copy->packing
				? copy->path +
					  rfs_packed_strip(copy->path, NULL) + 1
				: NULL));
	json_object_set_new(root, "mapfile", rfs_json_text(copy->mapfile));
	json_object_set_new(root, "size",
			    json_integer((json_int_t)copy->generation.size));
	json_object_set_new(root, "mtime",
			    rfs_json_time(copy->generation.mtime_ns));
	json_object_set_new(root, "as_of", rfs_json_time(copy->as_of_ns));
	json_object_set_new(
		root, "same_as",
		rfs_json_text(twin ? twin->source->origin.name : NULL));
	return root;
}

static json_t *disk_json(const struct rfs_disk *disk)
{
	json_t *root = json_object(), *copies = json_array();

	json_object_set_new(root, "name", rfs_json_text(disk->name));
	json_object_set_new(root, "id", rfs_json_text(disk->id));
	for (size_t i = 0; i < disk->ncopies; i++)
		json_array_append_new(copies, copy_json(disk, i));
	json_object_set_new(root, "copies", copies);
	return root;
}

void rfs_json_volumes(const struct rfs_instance *volumes, json_t *list)
{
	for (size_t i = 0; i < volumes->ndisks; i++) {
		const struct rfs_disk *disk = &volumes->disks[i];
		json_t *root = disk_json(disk);
		const char *owner =
			disk->attached ? disk->attached->tree_name : NULL;

		json_object_set_new(root, "host",
				    rfs_json_text(volumes->host->name));
		json_object_set_new(root, "uuid", rfs_json_text(disk->uuid));
		json_object_set_new(root, "attached_to", rfs_json_text(owner));
		json_array_append_new(list, root);
	}
}

/* Those that its domain says it has. */
static json_t *attachments_json(const struct rfs_instance *instance)
{
	json_t *list = json_array();

	for (size_t i = 0; i < instance->nattachments; i++) {
		const struct rfs_attachment *a = &instance->attachments[i];
		json_t *root = json_object();

		json_object_set_new(
			root, "name",
			rfs_json_text(a->volume ? a->volume->name : NULL));
		json_object_set_new(root, "uuid",
				    rfs_json_text(a->uuid || !a->volume
							  ? a->uuid
							  : a->volume->uuid));
		json_object_set_new(root, "device", rfs_json_text(a->dev));
		json_object_set_new(root, "target", rfs_json_text(a->target));
		json_array_append_new(list, root);
	}
	return list;
}

static json_t *nics_json(const struct rfs_instance *instance)
{
	json_t *list = json_array();

	for (size_t i = 0; i < instance->nnics; i++) {
		const struct rfs_nic *nic = &instance->nics[i];
		json_t *root = json_object();

		json_object_set_new(root, "mac", rfs_json_text(nic->mac));
		json_object_set_new(root, "bridge", rfs_json_text(nic->bridge));
		json_object_set_new(root, "ip", rfs_json_text(nic->ip));
		json_array_append_new(list, root);
	}
	return list;
}

static json_t *files_json(const struct rfs_instance *instance)
{
	json_t *list = json_array();

	for (size_t i = 0; i < instance->nfiles; i++) {
		json_t *root = json_object();

		json_object_set_new(root, "name",
				    rfs_json_text(instance->files[i].name));
		json_object_set_new(root, "path",
				    rfs_json_text(instance->files[i].path));
		json_array_append_new(list, root);
	}
	return list;
}

json_t *rfs_json_instance(const struct rfs_instance *instance)
{
	const struct {
		const char *key, *value;
	} texts[] = {
		{ "name", instance->tree_name },
		{ "id_name", instance->id_name },
		{ "display_name", instance->display_name },
		{ "uuid", instance->uuid },
		{ "host", instance->host->name },
		{ "dir", instance->dir },
		{ "flavor", instance->flavor },
		{ "image_uuid", instance->image_uuid },
		{ "kernel", instance->kernel },
		{ "ramdisk", instance->ramdisk },
		{ "project", instance->project },
		{ "user", instance->user },
		{ "created", instance->created },
	};
	json_t *root = json_object(), *disks = json_array();

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		json_object_set_new(root, texts[i].key,
				    rfs_json_text(texts[i].value));
	json_object_set_new(root, "memory_kib",
			    rfs_json_count(instance->memory_kib));
	json_object_set_new(root, "vcpus", rfs_json_count(instance->vcpus));
	json_object_set_new(root, "networks", nics_json(instance));
	for (size_t i = 0; i < instance->ndisks; i++)
		json_array_append_new(disks, disk_json(&instance->disks[i]));
	json_object_set_new(root, "disks", disks);
	json_object_set_new(root, "volumes", attachments_json(instance));
	json_object_set_new(root, "files", files_json(instance));
	return root;
}

json_t *rfs_json_orphans(const struct rfs_orphans *orphans)
{
	if (!orphans->is_known)
		return json_null();
	return json_pack("{so so sb}", "clusters",
			 rfs_json_number(orphans->clusters), "bytes",
			 rfs_json_number(orphans->bytes), "partial",
			 orphans->is_partial);
}

json_t *rfs_json_number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

int rfs_json_put(FILE *out, const char *before, json_t *value,
		 struct rfs_error *err)
{
	int r;

	if (!value)
		return rfs_no_memory(err);
	fputs(before, out);
	r = json_dumpf(value, out, JSON_ENCODE_ANY);
	json_decref(value);
	return r < 0 && !ferror(out) ? rfs_no_memory(err) : 0;
}

int rfs_json_dump(json_t *root, char **ret_text, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	int n;

	if (root)
		text = json_dumps(root, JSON_INDENT(2));
	json_decref(root);
	if (!text)
		return rfs_no_memory(err);
	n = asprintf(ret_text, "%s\n", text);
	return n < 0 ? rfs_no_memory(err) : 0;
}

int rfs_instance_json(const struct rfs_inventory *inv,
		      const struct rfs_instance *instance, char **ret_text,
		      struct rfs_error *err)
{
	(void)inv;
	return rfs_json_dump(rfs_json_instance(instance), ret_text, err);
}
