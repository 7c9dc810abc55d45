// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/manifest.h"

#include <errno.h>
#include <stdlib.h>

#include "core/cleanup.h"
#include "site/json_text.h"
#include "site/losses_text.h"

static json_t *file_of(const struct rfs_manifest *m)
{
	json_t *file;

	if (!m->format)
		return json_pack("{ss}", "format", "raw");
	file = json_pack("{ss so ss ss}", "format", m->format, "size",
			 rfs_json_number(m->file_size), "md5",
			 m->file_digests->md5, "sha512",
			 m->file_digests->sha512);
	return file;
}

/* Where all of the disk was copied, what nobody had to ask for were holes. */
static json_t *totals_of(const struct rfs_manifest *m)
{
	uint64_t totals[RFS_BLOCK_STATES];
	json_t *object = json_object();

	rfs_report_totals(m->report, totals);
	if (!m->minimum) {
		totals[RFS_ZERO] += totals[RFS_UNREAD];
		totals[RFS_UNREAD] = 0;
	}
	for (int s = 0; s < RFS_BLOCK_STATES; s++)
		json_object_set_new(
			object, rfs_block_state_name((enum rfs_block_state)s),
			rfs_json_number(totals[s]));
	return object;
}

static uint64_t bytes_of(const struct rfs_report *report,
			 const struct rfs_origin *origin)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < report->count; i++)
		if (report->items[i].origin == origin)
			sum += report->items[i].range.len;
	return sum;
}

static json_t *sources_of(const struct rfs_manifest *m)
{
	json_t *list = json_array();

	for (size_t i = 0; i < m->disk->ncopies; i++) {
		const struct rfs_copy *copy = &m->disk->copies[i];
		const struct rfs_source *source = copy->source;

		json_array_append_new(
			list,
			json_pack("{so ss so so}", "name",
				  rfs_json_text(source->origin.name), "kind",
				  rfs_source_kind_name(source->kind), "as_of",
				  rfs_json_time(copy->as_of_ns), "bytes",
				  rfs_json_number(bytes_of(m->report,
							   &source->origin))));
	}
	return list;
}

/* As rescuefs losses --json has them. */
static int losses_of(const struct rfs_manifest *m, json_t **ret,
		     struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	int r;

	if (!out)
		return rfs_no_memory(err);
	r = rfs_losses_json(m->disk, m->losses, out, err);
	if (fclose(out) != 0 && r == 0)
		r = rfs_no_memory(err);
	if (r < 0)
		return r;
	*ret = json_loadb(text, len, 0, NULL);
	return *ret ? 0 : rfs_no_memory(err);
}

int rfs_manifest_json(const struct rfs_manifest *m, FILE *out,
		      struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *path = rfs_disk_path(m->disk);
	RFS_CLEANUP_FREE char *text = NULL;
	json_t *losses, *root;
	int r = losses_of(m, &losses, err);

	if (r < 0)
		return r;
	root = json_pack(
		"{so so ss ss so so so so so so so so}", "disk",
		rfs_json_text(path), "size", rfs_json_number(m->size), "md5",
		m->digests->md5, "sha512", m->digests->sha512, "file",
		file_of(m), "zeroed", rfs_json_number(m->zeroed), "minimum",
		rfs_json_text(m->minimum), "totals", totals_of(m), "healed",
		rfs_json_number(rfs_report_healed(m->report)), "guessed",
		rfs_json_number(rfs_report_guessed(m->report)), "sources",
		sources_of(m), "losses", losses);
	r = root ? rfs_json_dump(root, &text, err) : rfs_no_memory(err);
	if (r == 0 && (fputs(text, out) < 0 || fflush(out) != 0))
		r = rfs_fail(err, EIO, "the manifest cannot be written");
	return r;
}
