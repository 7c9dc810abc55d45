// SPDX-License-Identifier: GPL-3.0-or-later
/* inventory_print.c - what scan shows. */
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "site/given_json.h"
#include "site/names.h"
#include "site/site_path.h"

static bool is_shown(const struct rfs_instance *instance,
		     const struct rfs_instance *const *only, size_t nonly)
{
	for (size_t i = 0; only && i < nonly; i++)
		if (only[i] == instance)
			return true;
	return !only;
}

static void print_size(uint64_t size, char *text)
{
	static const char units[] = "BKMGTPE";
	double n = (double)size;
	size_t unit = 0;

	for (; n >= 1024 && unit + 2 < sizeof(units); unit++)
		n /= 1024;
	snprintf(text, 16, n < 10 && unit ? "%.1f%c" : "%.0f%c", n,
		 units[unit]);
}

static void print_source(FILE *out, const struct rfs_source *source)
{
	char age[RFS_TIME_TEXT];
	const char *what = "last change seen";

	if (source->taken_ns != RFS_TIME_UNKNOWN)
		what = "taken";
	if (source->kind == RFS_LIVE)
		what = "as of";
	rfs_time_print(rfs_source_as_of(source), age);
	fprintf(out, "  %-8s %-12s %s", rfs_source_kind_name(source->kind),
		source->origin.name, rfs_source_place(source));
	if (source->root && source->volumes)
		fprintf(out, "  volumes %s", source->volumes);
	if (source->nbd && source->nbd != rfs_source_place(source))
		fprintf(out, "  nbd %s", source->nbd);
	if (source->rbd && source->rbd != rfs_source_place(source))
		fprintf(out, "  rbd %s", source->rbd);
	if (source->open_error)
		fprintf(out, rfs_source_is_open(source)
				     ? "  NOT OPENED WHOLLY\n"
				     : "  NOT OPENED\n");
	else
		fprintf(out, "  %s %s\n", what, age);
}

static void print_bases(FILE *out, const struct rfs_host *host)
{
	char size[16];

	for (size_t i = 0; i < host->nbases; i++) {
		const struct rfs_base *base = &host->bases[i];

		if (i == 0 || strcmp(base[-1].name, base->name) != 0)
			rfs_text_put(out, i ? "\n  base     " : "  base     ",
				     base->name);
		print_size(base->generation.size, size);
		fprintf(out, "  %s %s", base->source->origin.name, size);
	}
	if (host->nbases)
		fprintf(out, "\n");
}

static bool is_first_of_host(const struct rfs_site *site, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (!strcmp(site->sources[j]->host, site->sources[i]->host))
			return false;
	return true;
}

/* By the site, not by the inventory: a source that could not be opened is part
 * of the picture. */
static void print_hosts(FILE *out, const struct rfs_inventory *inv)
{
	const struct rfs_site *site = inv->site;

	for (size_t i = 0; i < site->nsources; i++) {
		const char *name = site->sources[i]->host;
		const struct rfs_host *host =
			rfs_inventory_find_host(inv, name);

		if (!is_first_of_host(site, i))
			continue;
		fprintf(out, "host %s\n", name);
		for (size_t j = i; j < site->nsources; j++)
			if (!strcmp(site->sources[j]->host, name))
				print_source(out, site->sources[j]);
		if (host)
			print_bases(out, host);
	}
}

static void print_copies(FILE *out, const struct rfs_disk *disk)
{
	char age[RFS_TIME_TEXT], size[16];

	for (size_t i = 0; i < disk->ncopies; i++) {
		const struct rfs_copy *copy = &disk->copies[i];
		const struct rfs_copy *twin = rfs_copy_twin(disk, i);

		rfs_time_print(copy->as_of_ns, age);
		fprintf(out, "%s%s %s", i ? ", " : "  ",
			copy->source->origin.name, age);
		if (copy->packing)
			fprintf(out, " packed (%s)",
				copy->path +
					rfs_packed_strip(copy->path, NULL));
		print_size(copy->generation.size, size);
		if (copy->generation.size != disk->copies[0].generation.size)
			fprintf(out, " %s", size);
		if (copy->mapfile)
			rfs_text_put(out, " as far as ",
				     rfs_path_last(copy->mapfile));
		if (twin)
			fprintf(out, " same as %s", twin->source->origin.name);
	}
	fprintf(out, "\n");
}

static void print_disk(FILE *out, const struct rfs_disk *disk)
{
	RFS_CLEANUP_FREE char *name = rfs_text_escape(disk->name);
	const struct rfs_copy *copy = &disk->copies[0];
	RFS_CLEANUP_FREE char *format = rfs_text_escape(copy->format_name);
	char size[16];

	print_size(copy->generation.size, size);
	fprintf(out, "  %-11s %5s  %s by %s", name ? name : "", size,
		format ? format : "", copy->format_by);
	print_copies(out, disk);
}

static void print_facts(FILE *out, const struct rfs_instance *instance)
{
	const char *before = "  flavor ";

	rfs_text_put(out, before, instance->flavor);
	if (instance->flavor)
		before = ", image ";
	else
		before = "  image ";
	rfs_text_put(out, before, instance->image_uuid);
	if (instance->flavor || instance->image_uuid)
		fprintf(out, "\n");
	for (size_t i = 0; i < instance->nnics; i++) {
		fprintf(out, "  net");
		rfs_text_put(out, " ", instance->nics[i].mac);
		rfs_text_put(out, " on ", instance->nics[i].bridge);
		rfs_text_put(out, " ", instance->nics[i].ip);
		fprintf(out, "\n");
	}
}

static void print_instance(FILE *out, const struct rfs_instance *instance)
{
	const char *name = instance->tree_name;

	fprintf(out, "\n%s", name);
	if (instance->id_name && strcmp(instance->id_name, name) != 0)
		fprintf(out, "  %s", instance->id_name);
	if (instance->uuid && strcmp(instance->uuid, name) != 0)
		fprintf(out, "  %s", instance->uuid);
	fprintf(out, "  on %s\n", instance->host->name);
	print_facts(out, instance);
	for (size_t i = 0; i < instance->ndisks; i++)
		print_disk(out, &instance->disks[i]);
	if (!instance->ndisks)
		fprintf(out, "  no disks\n");
	for (size_t i = 0; i < instance->nattachments; i++) {
		const struct rfs_attachment *a = &instance->attachments[i];

		rfs_text_put(out, "  ", a->target ? a->target : "volume");
		rfs_text_put(out, "  ",
			     a->volume ? a->volume->name
			     : a->uuid ? a->uuid
				       : a->dev);
		fprintf(out, "%s\n", a->volume ? "" : ", which no source has");
	}
}

static void print_volumes(FILE *out, const struct rfs_instance *volumes)
{
	fprintf(out, "\nvolumes of %s\n", volumes->host->name);
	for (size_t i = 0; i < volumes->ndisks; i++) {
		const struct rfs_disk *disk = &volumes->disks[i];

		print_disk(out, disk);
		if (disk->attached || disk->uuid)
			fprintf(out, "             ");
		rfs_text_put(out, " uuid ", disk->uuid);
		if (disk->attached)
			rfs_text_put(out, " attached to ",
				     disk->attached->tree_name);
		if (disk->attached || disk->uuid)
			fprintf(out, "\n");
	}
}

static void print_note(const char *text, void *data)
{
	rfs_text_put(data, "note: ", text);
	fprintf(data, "\n");
}

static int print_text(const struct rfs_inventory *inv, const json_t *given,
		      const struct rfs_instance *const *only, size_t nonly,
		      char **ret_text, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return rfs_no_memory(err);
	if (!only) {
		print_hosts(out, inv);
		rfs_given_print(given, print_size, out);
	}
	for (size_t i = 0; i < inv->ninstances; i++)
		if (is_shown(inv->instances[i], only, nonly))
			print_instance(out, inv->instances[i]);
	for (size_t i = 0; i < inv->nvolumes && !only; i++)
		print_volumes(out, inv->volumes[i]);
	if (!only && inv->site->notes.count) {
		fprintf(out, "\n");
		rfs_notes_each(&inv->site->notes, 0, print_note, out);
	}
	if (fclose(out) != 0)
		return rfs_no_memory(err);
	*ret_text = text;
	text = NULL;
	return 0;
}

static json_t *source_json(const struct rfs_source *source)
{
	json_t *root = json_object();

	json_object_set_new(root, "name", rfs_json_text(source->origin.name));
	json_object_set_new(root, "kind",
			    json_string(rfs_source_kind_name(source->kind)));
	json_object_set_new(root, "root", rfs_json_text(source->root));
	json_object_set_new(root, "volumes", rfs_json_text(source->volumes));
	json_object_set_new(root, "nbd", rfs_json_text(source->nbd));
	if (source->rbd)
		json_object_set_new(root, "rbd", rfs_json_text(source->rbd));
	json_object_set_new(root, "taken", rfs_json_time(source->taken_ns));
	json_object_set_new(root, "as_of",
			    rfs_json_time(rfs_source_as_of(source)));
	json_object_set_new(root, "error", rfs_json_text(source->open_error));
	return root;
}

static json_t *bases_json(const struct rfs_host *host)
{
	json_t *list = json_array();

	for (size_t i = 0; host && i < host->nbases; i++) {
		const struct rfs_base *base = &host->bases[i];
		json_t *root = json_object();

		json_object_set_new(root, "name", rfs_json_text(base->name));
		json_object_set_new(root, "source",
				    rfs_json_text(base->source->origin.name));
		json_object_set_new(
			root, "size",
			json_integer((json_int_t)base->generation.size));
		json_array_append_new(list, root);
	}
	return list;
}

static json_t *hosts_json(const struct rfs_inventory *inv)
{
	const struct rfs_site *site = inv->site;
	json_t *list = json_array();

	for (size_t i = 0; i < site->nsources; i++) {
		const char *name = site->sources[i]->host;
		json_t *root, *sources;

		if (!is_first_of_host(site, i))
			continue;
		root = json_object();
		sources = json_array();
		json_object_set_new(root, "name", rfs_json_text(name));
		for (size_t j = i; j < site->nsources; j++)
			if (!strcmp(site->sources[j]->host, name))
				json_array_append_new(
					sources, source_json(site->sources[j]));
		json_object_set_new(root, "sources", sources);
		json_object_set_new(
			root, "base_images",
			bases_json(rfs_inventory_find_host(inv, name)));
		json_array_append_new(list, root);
	}
	return list;
}

static void note_json(const char *text, void *data)
{
	json_array_append_new(data, rfs_json_text(text));
}

static json_t *inventory_json(const struct rfs_inventory *inv, json_t *given,
			      const struct rfs_instance *const *only,
			      size_t nonly)
{
	json_t *root = json_object(), *instances = json_array();
	json_t *notes = json_array(), *volumes = json_array();

	json_object_set_new(root, "site", rfs_json_text(inv->site->name));
	json_object_set_new(root, "hosts", hosts_json(inv));
	json_object_set(root, RFS_GIVEN_KEY, given);
	for (size_t i = 0; i < inv->ninstances; i++)
		if (is_shown(inv->instances[i], only, nonly))
			json_array_append_new(
				instances,
				rfs_json_instance(inv->instances[i]));
	json_object_set_new(root, "instances", instances);
	for (size_t i = 0; i < inv->nvolumes && !only; i++)
		rfs_json_volumes(inv->volumes[i], volumes);
	json_object_set_new(root, "volumes", volumes);
	rfs_notes_each(&inv->site->notes, 0, note_json, notes);
	json_object_set_new(root, "notes", notes);
	return root;
}

int rfs_inventory_print(const struct rfs_inventory *inv,
			struct rfs_given *given,
			const struct rfs_instance *const *only, size_t nonly,
			bool json, char **ret_text, struct rfs_error *err)
{
	json_t *bases = given ? rfs_given_json(given) : json_array();
	int r;

	if (json)
		r = rfs_json_dump(inventory_json(inv, bases, only, nonly),
				  ret_text, err);
	else
		r = print_text(inv, bases, only, nonly, ret_text, err);
	json_decref(bases);
	return r;
}
