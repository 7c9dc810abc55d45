// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/given_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/format.h"
#include "site/given_parts.h"
#include "site/names.h"

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* What the checksums of a [base] come to. */
static const char *verdict(const json_t *checksums)
{
	const char *said, *computed, *is = "not said";

	for (size_t i = 0; i < json_array_size(checksums); i++) {
		said = text_of(json_array_get(checksums, i), "said");
		computed = text_of(json_array_get(checksums, i), "computed");
		if (computed && !rfs_checksum_is_same(said, computed))
			return "differs";
		if (!computed)
			is = "not computed";
		else if (strcmp(is, "not said") == 0)
			is = "agrees";
	}
	return is;
}

static json_t *checksums_json(const struct rfs_base_rule *rule,
			      const struct rfs_checksums *known)
{
	json_t *list = json_array(), *one;

	for (int k = 0; k < RFS_CHECKSUMS; k++) {
		const char *name = rfs_checksum_name((enum rfs_checksum)k);

		if (!rule->checksums[k])
			continue;
		one = json_object();
		json_object_set_new(one, "kind", json_string(name));
		json_object_set_new(one, "said",
				    json_string(rule->checksums[k]));
		json_object_set_new(one, "computed",
				    *known->hex[k] ? json_string(known->hex[k])
						   : json_null());
		json_array_append_new(list, one);
	}
	return list;
}

/* "SHA1" or, where nova made it larger, "SHA1_20", of the id of the image that
 * the instance was made of. */
static bool is_of_image(const struct rfs_base_rule *rule,
			const struct rfs_disk *disk)
{
	const char *image = disk->instance->image_uuid;
	const size_t len = RFS_SHA1_TEXT - 1;
	char sha1[RFS_SHA1_TEXT];
	bool is_image = false;

	if (!image || strcmp(disk->name, "disk") != 0)
		return false;
	for (size_t i = 0; i < disk->ncopies; i++)
		is_image |= disk->copies[i].format == RFS_FORMAT_QCOW2;
	if (!is_image)
		return false;
	rfs_checksum_sha1(image, sha1);
	return strncmp(rule->name, sha1, len) == 0 &&
	       (!rule->name[len] || rule->name[len] == '_');
}

static void add_disk(struct rfs_given *g, const struct rfs_base_rule *rule,
		     const struct rfs_disk *disk, json_t *list)
{
	RFS_CLEANUP_FREE char *path = NULL;
	const char *by = NULL;
	json_t *one;

	if (rfs_given_is_used(g, rule, disk))
		by = "header";
	else if (is_of_image(rule, disk))
		by = "image id";
	if (!by)
		return;
	path = rfs_disk_path(disk);
	one = json_object();
	json_object_set_new(one, "disk", rfs_json_text(path));
	json_object_set_new(one, "by", json_string(by));
	json_array_append_new(list, one);
}

static json_t *disks_json(struct rfs_given *g, const struct rfs_base_rule *rule)
{
	const struct rfs_inventory *inv = g->inv;
	json_t *list = json_array();

	for (size_t i = 0; i < inv->ninstances; i++)
		for (size_t j = 0; j < inv->instances[i]->ndisks; j++)
			add_disk(g, rule, &inv->instances[i]->disks[j], list);
	for (size_t i = 0; i < inv->nvolumes; i++)
		for (size_t j = 0; j < inv->volumes[i]->ndisks; j++)
			add_disk(g, rule, &inv->volumes[i]->disks[j], list);
	return list;
}

static json_t *rule_json(struct rfs_given *g, const struct rfs_base_rule *rule)
{
	struct rfs_generation generation = { 0, RFS_TIME_UNKNOWN };
	struct rfs_checksums known = { 0 };
	json_t *root = json_object(), *checksums;
	int r = rfs_given_stat(rule, &generation);

	if (r == 0)
		rfs_given_known(g, rule, generation, &known);
	checksums = checksums_json(rule, &known);
	json_object_set_new(root, "name", rfs_json_text(rule->name));
	json_object_set_new(root, "file", rfs_json_text(rule->file));
	json_object_set_new(root, "format", rfs_json_text(rule->format));
	json_object_set_new(root, "size", rfs_json_count(generation.size));
	json_object_set_new(root, "last_changed",
			    rfs_json_time(generation.mtime_ns));
	json_object_set_new(root, "error",
			    r < 0 ? rfs_json_text(strerror(-r)) : json_null());
	json_object_set_new(root, "checksum", json_string(verdict(checksums)));
	json_object_set_new(root, "checksums", checksums);
	json_object_set_new(root, "disks", disks_json(g, rule));
	return root;
}

/*
 * What another process knows.
 */

static bool agree_in(const json_t *a, const json_t *b, const char *key)
{
	return json_equal(json_object_get(a, key), json_object_get(b, key));
}

static const json_t *find_kind(const json_t *checksums, const char *kind)
{
	const char *is;

	for (size_t i = 0; i < json_array_size(checksums); i++) {
		is = text_of(json_array_get(checksums, i), "kind");
		if (is && kind && strcmp(is, kind) == 0)
			return json_array_get(checksums, i);
	}
	return NULL;
}

/* The site file may say another checksum by now: what was computed counts. */
static void adopt_checksums(json_t *mine, const json_t *theirs)
{
	json_t *own = json_object_get(mine, "checksums"), *one;
	const json_t *list = json_object_get(theirs, "checksums");
	const char *computed;

	for (size_t i = 0; i < json_array_size(own); i++) {
		one = json_array_get(own, i);
		computed = text_of(find_kind(list, text_of(one, "kind")),
				   "computed");
		if (computed)
			json_object_set_new(one, "computed",
					    json_string(computed));
	}
	json_object_set_new(mine, "checksum", json_string(verdict(own)));
}

static void adopt_one(json_t *mine, const json_t *theirs)
{
	json_t *disks = json_object_get(theirs, "disks");

	if (!agree_in(mine, theirs, "name"))
		return;
	if (json_is_array(disks))
		json_object_set(mine, "disks", disks);
	if (agree_in(mine, theirs, "file") && agree_in(mine, theirs, "size") &&
	    agree_in(mine, theirs, "last_changed"))
		adopt_checksums(mine, theirs);
}

void rfs_given_adopt(struct rfs_given *g, const char *status)
{
	json_t *root = json_loads(status, 0, NULL);

	g->theirs = json_incref(json_object_get(root, RFS_GIVEN_KEY));
	json_decref(root);
}

json_t *rfs_given_json(struct rfs_given *g)
{
	const struct rfs_site *site = g->inv->site;
	json_t *list = json_array(), *one;

	for (size_t i = 0; i < site->nbases; i++) {
		one = rule_json(g, &site->bases[i]);
		for (size_t j = 0; j < json_array_size(g->theirs); j++)
			adopt_one(one, json_array_get(g->theirs, j));
		json_array_append_new(list, one);
	}
	return list;
}

/*
 * For people.
 */

static void print_checksums(const json_t *one, FILE *out)
{
	static const struct {
		const char *verdict, *text;
	} texts[] = {
		{ "agrees", "is what it should be" },
		{ "differs", "DIFFERS: not used" },
		{ "not computed", "not computed yet" },
	};
	const json_t *list = json_object_get(one, "checksums");
	const char *is = text_of(one, "checksum");

	if (!json_array_size(list))
		fputs("no checksum is said", out);
	for (size_t i = 0; i < json_array_size(list); i++)
		rfs_text_put(out, i ? ", " : "",
			     text_of(json_array_get(list, i), "kind"));
	for (size_t i = 0; i < 3; i++)
		if (is && strcmp(is, texts[i].verdict) == 0)
			fprintf(out, " %s", texts[i].text);
}

static void print_disks(const json_t *one, FILE *out)
{
	const json_t *list = json_object_get(one, "disks"), *disk;
	const char *by;

	for (size_t i = 0; i < json_array_size(list); i++) {
		disk = json_array_get(list, i);
		by = text_of(disk, "by");
		rfs_text_put(out, i ? ", " : "; of ", text_of(disk, "disk"));
		if (by && strcmp(by, "image id") == 0)
			fputs(" (by its image's id)", out);
	}
	if (!json_array_size(list))
		fputs("; of no disk that was opened", out);
	fputc('\n', out);
}

static void print_one(const json_t *one, void (*print_size)(uint64_t, char *),
		      FILE *out)
{
	json_int_t size = json_integer_value(json_object_get(one, "size"));
	char text[RFS_FORMAT_ROOM];

	rfs_text_put(out, "  base     ", text_of(one, "name"));
	rfs_text_put(out, "  ", text_of(one, "file"));
	if (text_of(one, "error"))
		rfs_text_put(out, "  NOT USED: ", text_of(one, "error"));
	if (size > 0) {
		print_size((uint64_t)size, text);
		fprintf(out, " %s", text);
	}
	rfs_text_put(out, "  last changed ", text_of(one, "last_changed"));
	fputs("\n           ", out);
	print_checksums(one, out);
	print_disks(one, out);
}

void rfs_given_print(const json_t *all, void (*size)(uint64_t, char *),
		     FILE *out)
{
	if (json_array_size(all))
		fputs("given by hand\n", out);
	for (size_t i = 0; i < json_array_size(all); i++)
		print_one(json_array_get(all, i), size, out);
}

bool rfs_given_has_failed(const json_t *all)
{
	const json_t *one;
	const char *is;

	for (size_t i = 0; i < json_array_size(all); i++) {
		one = json_array_get(all, i);
		is = text_of(one, "checksum");
		if (text_of(one, "error") || (is && !strcmp(is, "differs")))
			return true;
	}
	return false;
}
