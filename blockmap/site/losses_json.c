// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A badly hit filesystem has a million losses, so the document is written as it
 * goes: one value at a time, never a tree of all.
 */
#include <errno.h>
#include <string.h>

#include "core/cleanup.h"
#include "site/json_text.h"
#include "site/losses_text.h"
#include "site/strays.h"

struct document {
	FILE *out;
	const struct rfs_disk *disk;
	const struct rfs_losses *losses;
	struct rfs_error *err;
};

static int put(struct document *d, const char *before, json_t *value)
{
	return rfs_json_put(d->out, before, value, d->err);
}

static json_t *sources_of(const struct rfs_disk *disk)
{
	json_t *list = json_array();

	for (size_t i = 0; i < disk->ncopies && list; i++) {
		const struct rfs_copy *c = &disk->copies[i];

		if (json_array_append_new(
			    list,
			    json_pack("{so ss so}", "name",
				      rfs_json_text(c->source->origin.name),
				      "kind",
				      rfs_source_kind_name(c->source->kind),
				      "as_of", rfs_json_time(c->as_of_ns))) <
		    0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *sum_of(struct document *d, enum rfs_loss_state state)
{
	struct rfs_losses_sum s;

	if (rfs_losses_sum(d->losses, state, &s, d->err) < 0)
		return NULL;
	return json_pack(
		"{so so so so so}", "inodes", rfs_json_number(s.inodes), "data",
		rfs_json_number(s.data), "tables", rfs_json_number(s.tables),
		"unknown", rfs_json_number(s.unknown), "harmless",
		rfs_json_number(s.harmless));
}

static json_t *volume_of(const struct rfs_losses *losses,
			 const struct rfs_volume *v)
{
	char doubt[RFS_ERROR_MAX + 100];

	rfs_volume_doubt(losses, v, doubt, sizeof(doubt));
	return json_pack(
		"{so so so so so so sb sb sb so so}", "offset",
		rfs_json_number(v->range.off), "length",
		rfs_json_number(v->range.len), "partition",
		v->partition ? rfs_json_number(v->partition) : json_null(),
		"type", rfs_json_text(v->type), "label",
		rfs_json_text(v->label[0] ? v->label : NULL), "uuid",
		rfs_json_text(v->uuid[0] ? v->uuid : NULL), "ext", v->is_ext,
		"dirty", v->is_dirty, "spare_superblock", v->is_super_spare,
		"missing", rfs_json_number(v->missing), "note",
		rfs_json_text(doubt[0] ? doubt : NULL));
}

static json_t *alarm_of(struct document *d, uint32_t volume)
{
	RFS_CLEANUP_FREE char *text =
		rfs_losses_alarm_text(d->disk, d->losses, volume);

	if (!text)
		return NULL;
	return json_pack("{ss so sb so}", "kind", "journal", "volume",
			 rfs_json_number(volume), "dirty",
			 rfs_losses_journal(d->losses, volume) ==
				 RFS_JOURNAL_HIT_DIRTY,
			 "text", rfs_json_text(text));
}

static json_t *loss_of(struct document *d, const struct rfs_loss *l)
{
	return json_pack(
		"{so ss ss sb so so so so so so so so}", "volume",
		l->volume == UINT32_MAX ? json_null()
					: rfs_json_number(l->volume),
		"state", rfs_loss_state_name(l->state), "kind",
		rfs_loss_kind_name(l->kind), "matters", rfs_loss_matters(l),
		"path", rfs_json_text(l->path), "inode",
		rfs_json_count(l->inode), "group",
		l->group == UINT32_MAX ? json_null()
				       : rfs_json_number(l->group),
		"bytes", rfs_json_number(l->bytes), "offset",
		rfs_json_number(l->offset), "behind",
		rfs_json_number(l->behind), "source",
		rfs_json_text(l->origin ? l->origin->name : NULL), "as_of",
		l->origin ? rfs_json_time(rfs_disk_age(d->disk, l->origin))
			  : json_null());
}

static int put_head(struct document *d)
{
	const struct rfs_losses *l = d->losses;
	RFS_CLEANUP_FREE char *name = rfs_disk_path(d->disk);
	int r;

	if (!name)
		return rfs_no_memory(d->err);
	r = put(d, "{\n  \"disk\": ", rfs_json_text(name));
	if (r == 0)
		r = put(d, ",\n  \"size\": ", rfs_json_number(l->size));
	if (r == 0)
		r = put(d, ",\n  \"sources\": ", sources_of(d->disk));
	if (r == 0)
		r = put(d, ",\n  \"matters\": ",
			json_boolean(rfs_losses_matter(l)));
	if (r == 0)
		r = put(d, ",\n  \"missing\": ", rfs_json_number(l->missing));
	if (r == 0)
		r = put(d, ",\n  \"unread\": ",
			json_pack("{so so so}", "used",
				  rfs_json_number(l->unread_used), "free",
				  rfs_json_number(l->unread_free), "tables",
				  rfs_json_number(l->unread_tables)));
	if (r == 0)
		r = put(d, ",\n  \"overwritten\": ",
			json_pack("{so so}", "stale",
				  rfs_json_number(l->overwritten_stale), "lost",
				  rfs_json_number(l->overwritten_lost)));
	if (r == 0)
		r = put(d, ",\n  \"healed\": ", rfs_json_number(l->healed));
	if (r == 0)
		r = put(d, ",\n  \"guessed\": ", rfs_json_number(l->guessed));
	if (r == 0)
		r = put(d, ",\n  \"orphans\": ", rfs_json_orphans(&l->orphans));
	if (r == 0)
		r = put(d, ",\n  \"strays\": ", rfs_strays_json(&l->strays));
	return r;
}

static int put_sums(struct document *d)
{
	int r = 0;

	fputs(",\n  \"sums\": {", d->out);
	for (int s = RFS_LOSS_LOST; s <= RFS_LOSS_WRONG && r == 0; s++) {
		fprintf(d->out, "%s\n    \"%s\": ", s ? "," : "",
			rfs_loss_state_name((enum rfs_loss_state)s));
		r = put(d, "", sum_of(d, (enum rfs_loss_state)s));
	}
	fputs("\n  }", d->out);
	return r;
}

static int put_lists(struct document *d)
{
	const char *comma = "\n    ";
	int r = 0;

	fputs(",\n  \"volumes\": [", d->out);
	for (size_t i = 0; i < d->losses->nvolumes && r == 0; i++)
		r = put(d, i ? ",\n    " : "\n    ",
			volume_of(d->losses, &d->losses->volumes[i]));
	fputs("\n  ],\n  \"alarms\": [", d->out);
	for (uint32_t i = 0; i < d->losses->nvolumes && r == 0; i++) {
		if (rfs_losses_journal(d->losses, i) == RFS_JOURNAL_GOOD)
			continue;
		r = put(d, comma, alarm_of(d, i));
		comma = ",\n    ";
	}
	fputs("\n  ],\n  \"losses\": [", d->out);
	for (size_t i = 0; i < d->losses->count && r == 0; i++)
		r = put(d, i ? ",\n    " : "\n    ",
			loss_of(d, &d->losses->items[i]));
	fputs("\n  ]\n}\n", d->out);
	return r;
}

int rfs_losses_json(const struct rfs_disk *disk,
		    const struct rfs_losses *losses, FILE *out,
		    struct rfs_error *err)
{
	struct document d = { out, disk, losses, err };
	int r = put_head(&d);

	if (r == 0)
		r = put_sums(&d);
	if (r == 0)
		r = put_lists(&d);
	if (r == 0 && (fflush(out) == EOF || ferror(out)))
		r = rfs_fail(err, EIO, "%s: its JSON could not be written",
			     disk->id);
	return r;
}
