// SPDX-License-Identifier: GPL-3.0-or-later
/* open_base.c - a base image that the user gives by hand.
 *
 * Its name is the SHA-1 of the image's id and tells nothing of the content.  So
 * all that can be held against it is told by others: its size, by the sources'
 * directories and the disks above it, and its checksum, by Glance.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "core/cleanup.h"
#include "site/given.h"
#include "site/open_place.h"

static struct rfs_base_rule *find_rule(const struct rfs_site *site,
				       const char *name)
{
	for (size_t i = 0; name && i < site->nbases; i++)
		if (!strcmp(site->bases[i].name, name))
			return &site->bases[i];
	return NULL;
}

/* Glance's own image, of which nova's base image is the raw form. */
static int unpack_image(const struct rfs_base_rule *rule,
			struct rfs_notes *notes, struct rfs_reader **file,
			struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *image = RFS_STEAL(*file);
	struct rfs_qcow2_parts parts = { .file = image, .notes = notes };
	struct rfs_qcow2_info info;
	bool is_alone;
	int r = rfs_qcow2_info(image, &info, err);

	if (r < 0)
		return r;
	is_alone = !info.backing_file && !info.has_data_file;
	rfs_qcow2_info_fini(&info);
	if (!is_alone)
		return rfs_fail(err, EINVAL,
				"%s needs another file, and a base image "
				"stands on none",
				rule->file);
	return rfs_qcow2_open(&parts, file, err);
}

/* The sources may tell the size of a file that they cannot open. */
static int check_listed(const struct rfs_inventory *inv,
			const struct rfs_base_rule *rule, uint64_t size,
			struct rfs_error *err)
{
	const struct rfs_base *other = NULL;

	for (size_t i = 0; i < inv->nhosts; i++)
		for (size_t j = 0; j < inv->hosts[i]->nbases; j++) {
			const struct rfs_base *b = &inv->hosts[i]->bases[j];

			if (strcmp(b->name, rule->name) != 0)
				continue;
			if (b->generation.size == size)
				return 0;
			other = b;
		}
	if (!other)
		return 0;
	return rfs_fail(err, EINVAL,
			"%s has %" PRIu64 " bytes, and the base image in "
			"source %s %" PRIu64,
			rule->file, size, other->source->origin.name,
			other->generation.size);
}

static int check_size(const struct rfs_inventory *inv,
		      const struct rfs_base_rule *rule,
		      const struct rfs_chain *link,
		      const struct rfs_reader *have,
		      const struct rfs_reader *file, struct rfs_error *err)
{
	uint64_t size = rfs_reader_size(file);
	uint64_t disk = link->above ? link->above->virtual_size : 0;

	if (have && rfs_reader_size(have) != size)
		return rfs_fail(err, EINVAL,
				"%s has %" PRIu64 " bytes, and the sources' "
				"base image %" PRIu64,
				rule->file, size, rfs_reader_size(have));
	if (!link->is_qcow2 && disk && size > disk)
		return rfs_fail(err, EINVAL,
				"%s has %" PRIu64 " bytes, more than the disk "
				"above it, %s, which has %" PRIu64,
				rule->file, size, link->above->path, disk);
	return check_listed(inv, rule, size, err);
}

static const struct rfs_disk *find_in(const struct rfs_instance *instance,
				      const struct rfs_chain *top)
{
	for (size_t i = 0; i < instance->ndisks; i++) {
		const struct rfs_disk *disk = &instance->disks[i];

		for (size_t j = 0; j < disk->ncopies; j++)
			if (disk->copies[j].source == top->source &&
			    !strcmp(disk->copies[j].path, top->path))
				return disk;
	}
	return NULL;
}

void rfs_opener_note_base(struct rfs_opener *op, const struct rfs_chain *link)
{
	const struct rfs_inventory *inv = rfs_opener_inventory(op);
	struct rfs_base_rule *rule = find_rule(inv->site, rfs_chain_base(link));
	const struct rfs_disk *disk = NULL;
	const struct rfs_chain *top = link;

	if (!rule)
		return;
	while (top->above)
		top = top->above;
	for (size_t i = 0; i < inv->ninstances && !disk; i++)
		disk = find_in(inv->instances[i], top);
	for (size_t i = 0; i < inv->nvolumes && !disk; i++)
		disk = find_in(inv->volumes[i], top);
	if (disk)
		rfs_given_note_use(rfs_opener_given(op), rule, disk);
}

int rfs_opener_base(struct rfs_opener *op, const struct rfs_chain *link,
		    const struct rfs_reader *have, struct rfs_reader **ret,
		    struct rfs_error *err)
{
	const struct rfs_inventory *inv = rfs_opener_inventory(op);
	struct rfs_base_rule *rule = find_rule(inv->site, rfs_chain_base(link));
	RFS_CLEANUP_READER struct rfs_reader *file = NULL;
	struct rfs_generation generation;
	bool unpack;
	int r;

	if (!rule)
		return -ENODATA;
	unpack = rule->format && !strcmp(rule->format, "qcow2");
	if (link->is_qcow2 && rule->format && !unpack)
		return rfs_fail(err, EINVAL,
				"%s is raw, and %s says that its base image "
				"is qcow2",
				rule->file, link->above->path);
	r = rfs_given_open(rule, &file, &generation, err);
	/* The sizes first: they cost nothing. */
	if (r == 0 && (!unpack || link->is_qcow2))
		r = check_size(inv, rule, link, have, file, err);
	if (r == 0)
		r = rfs_given_check(rfs_opener_given(op), rule, file,
				    generation, err);
	if (r == 0 && unpack && !link->is_qcow2) {
		r = unpack_image(rule, &inv->site->notes, &file, err);
		if (r == 0)
			r = check_size(inv, rule, link, have, file, err);
	}
	if (r == 0)
		*ret = RFS_STEAL(file);
	return r;
}
