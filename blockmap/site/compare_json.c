// SPDX-License-Identifier: GPL-3.0-or-later
/* Written as it goes: there may be a million extents and files. */
#include <errno.h>
#include <inttypes.h>

#include "site/compare_text.h"
#include "site/json_text.h"

static json_t *end_of(const char *name, uint64_t size)
{
	return json_pack("{so so}", "name", rfs_json_text(name), "size",
			 rfs_json_number(size));
}

static json_t *totals_of(const struct rfs_comparison *b)
{
	json_t *o = json_object();

	for (int i = 0; i < RFS_LIKENESSES && o; i++)
		if (json_object_set_new(o,
					rfs_likeness_name((enum rfs_likeness)i),
					rfs_json_number(b->totals[i])) < 0) {
			json_decref(o);
			return NULL;
		}
	return o;
}

static json_t *kinds_of(const uint64_t kinds[RFS_LOSS_KINDS])
{
	json_t *o = json_object();

	for (int i = 0; i < RFS_LOSS_KINDS && o; i++)
		if (kinds[i] &&
		    json_object_set_new(
			    o, rfs_loss_kind_name((enum rfs_loss_kind)i),
			    rfs_json_number(kinds[i])) < 0) {
			json_decref(o);
			return NULL;
		}
	return o;
}

static json_t *pair_of(const struct rfs_volume_pair *v)
{
	return json_pack("{so so so sb so s{so so so so so} so so}", "offset",
			 rfs_json_number(v->range.off), "length",
			 rfs_json_number(v->range.len), "partition",
			 v->partition ? rfs_json_number(v->partition)
				      : json_null(),
			 "comparable", v->is_comparable, "note",
			 rfs_json_text(v->why[0] ? v->why : NULL), "files",
			 "same", rfs_json_number(v->files_same), "changed",
			 rfs_json_number(v->files_changed), "only_a",
			 rfs_json_number(v->files_only_a), "only_b",
			 rfs_json_number(v->files_only_b), "unknown",
			 rfs_json_number(v->files_unknown), "bytes_a",
			 kinds_of(v->kinds_a), "bytes_b", kinds_of(v->kinds_b));
}

static json_t *side_of(const struct rfs_file_side *s)
{
	if (!s->is_there)
		return s->is_unknown ? json_string("unreadable") : json_null();
	return json_pack("{so ss so so so}", "inode", rfs_json_number(s->inode),
			 "type", rfs_mode_name(s->mode), "size",
			 rfs_json_number(s->size), "mtime",
			 rfs_json_time(s->mtime_ns), "differs",
			 rfs_json_number(s->bytes));
}

static json_t *file_of(const struct rfs_file_difference *f)
{
	return json_pack("{so so so so}", "volume", rfs_json_number(f->volume),
			 "path", rfs_json_text(f->path), "a", side_of(&f->a),
			 "b", side_of(&f->b));
}

static int put_head(const struct rfs_compared *c, FILE *out,
		    struct rfs_error *err)
{
	const struct rfs_comparison *b = &c->blocks;
	int r;

	r = rfs_json_put(out, "{\n  \"disk\": ", rfs_json_text(c->disk), err);
	if (r == 0)
		r = rfs_json_put(out, ",\n  \"a\": ", end_of(c->a, b->size_a),
				 err);
	if (r == 0)
		r = rfs_json_put(out, ",\n  \"b\": ", end_of(c->b, b->size_b),
				 err);
	if (r == 0)
		r = rfs_json_put(out, ",\n  \"block_size\": ",
				 rfs_json_number(c->block_size), err);
	if (r == 0)
		r = rfs_json_put(out, ",\n  \"equal\": ",
				 json_boolean(rfs_comparison_is_equal(b)), err);
	if (r == 0)
		r = rfs_json_put(out, ",\n  \"totals\": ", totals_of(b), err);
	if (r == 0)
		r = rfs_json_put(out, ",\n  \"not_read\": ",
				 json_pack("{so so}", "shared",
					   rfs_json_number(b->shared), "holes",
					   rfs_json_number(b->holes)),
				 err);
	return r;
}

static void put_extents(const struct rfs_compared *c, FILE *out)
{
	uint64_t size = rfs_comparison_size(&c->blocks);
	const char *comma = "\n    ";
	struct rfs_run run;

	for (uint64_t off = 0; off < size; off = rfs_range_end(run.range)) {
		run = rfs_comparison_find(&c->blocks, off);
		if (run.value == RFS_EQUAL)
			continue;
		fprintf(out,
			"%s{\"offset\": %" PRIu64 ", \"length\": %" PRIu64
			", \"state\": \"%s\"}",
			comma, run.range.off, run.range.len,
			rfs_likeness_name(run.value));
		comma = ",\n    ";
	}
}

int rfs_compared_json(const struct rfs_compared *c, FILE *out,
		      struct rfs_error *err)
{
	int r = put_head(c, out, err);

	fputs(",\n  \"extents\": [", out);
	put_extents(c, out);
	fputs("\n  ],\n  \"volumes\": [", out);
	for (size_t i = 0; i < c->files.npairs && r == 0; i++)
		r = rfs_json_put(out, i ? ",\n    " : "\n    ",
				 pair_of(&c->files.pairs[i]), err);
	fputs("\n  ],\n  \"files\": [", out);
	for (size_t i = 0; i < c->files.count && r == 0; i++)
		r = rfs_json_put(out, i ? ",\n    " : "\n    ",
				 file_of(&c->files.items[i]), err);
	fputs("\n  ]\n}\n", out);
	if (r == 0 && (fflush(out) == EOF || ferror(out)))
		r = rfs_fail(err, EIO, "%s: its JSON could not be written",
			     c->disk);
	return r;
}
