// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/verify_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "site/json_text.h"

/* People are told the first ones, programs all. */
#define SHOWN 20

static const char overlay_note[] =
	"what you wrote to the disk is not part of it: no source has that";

static bool is_unread(uint32_t likeness)
{
	return likeness == RFS_UNREADABLE_IN_A ||
	       likeness == RFS_UNREADABLE_IN_B ||
	       likeness == RFS_UNREADABLE_IN_BOTH;
}

static uint64_t unread_of(const struct rfs_comparison *b)
{
	return b->totals[RFS_UNREADABLE_IN_A] + b->totals[RFS_UNREADABLE_IN_B] +
	       b->totals[RFS_UNREADABLE_IN_BOTH];
}

/* QEMU tells sizes by the sector, and has zeros up to there. */
static bool is_rounding(const struct rfs_second_look *look)
{
	const struct rfs_comparison *b = &look->blocks;

	return strcmp(look->by, "QEMU") == 0 && b->size_b > b->size_a &&
	       b->size_b - b->size_a < RFS_SECTOR;
}

static uint64_t differing(const struct rfs_second_look *look)
{
	const struct rfs_comparison *b = &look->blocks;
	uint64_t n = b->totals[RFS_DIFFERENT] + b->totals[RFS_HOLE_IN_A] +
		     b->totals[RFS_HOLE_IN_B] + b->totals[RFS_ONLY_IN_A];

	return is_rounding(look) ? n : n + b->totals[RFS_ONLY_IN_B];
}

static uint64_t damaged_of(const struct rfs_verified *v)
{
	uint64_t n = 0;

	for (size_t i = 0; i < v->rescued.count; i++)
		n += rfs_ranges_total(&v->rescued.items[i].damaged);
	return n;
}

/* Not derived another way, for whatever reason. */
static uint64_t underived(const struct rfs_second_healed *h)
{
	return h->bytes - h->equal - rfs_ranges_total(&h->differs);
}

/* Healed by nobody whose tables could be read again. */
static uint64_t healed_alone(const struct rfs_verified *v)
{
	uint64_t n = v->healed;

	for (size_t i = 0; i < v->count; i++)
		n -= v->items[i].healed.bytes;
	return n;
}

/* Of a file that changed meanwhile the two readings are of two files. */
static bool look_differs(const struct rfs_second_look *look)
{
	return !look->is_changed &&
	       (differing(look) || look->merged_differs.count ||
		look->healed.differs.count);
}

bool rfs_verified_differs(const struct rfs_verified *v)
{
	for (size_t i = 0; i < v->count; i++)
		if (look_differs(&v->items[i]))
			return true;
	return damaged_of(v) > 0;
}

bool rfs_verified_is_whole(const struct rfs_verified *v)
{
	for (size_t i = 0; i < v->count; i++)
		if (v->items[i].why[0] || v->items[i].is_changed ||
		    unread_of(&v->items[i].blocks) ||
		    v->items[i].merged_unread || underived(&v->items[i].healed))
			return false;
	return !v->merged_why[0] && !healed_alone(v);
}

void rfs_verified_fini(struct rfs_verified *v)
{
	for (size_t i = 0; i < v->count; i++) {
		rfs_comparison_fini(&v->items[i].blocks);
		rfs_ranges_fini(&v->items[i].merged_differs);
		rfs_ranges_fini(&v->items[i].healed.differs);
	}
	free(v->items);
	rfs_digests_fini(&v->rescued);
}

/*
 * For people.
 */

static void put_bytes(FILE *out, uint64_t bytes, const char *what)
{
	char text[RFS_FORMAT_ROOM];

	rfs_format_bytes(bytes, text);
	fprintf(out, "%s %s", text, what);
}

/* The program's name follows. */
static const char *side_text(uint32_t likeness)
{
	switch (likeness) {
	case RFS_DIFFERENT:
		return "other bytes here than by";
	case RFS_HOLE_IN_A:
		return "zero here, and data by";
	case RFS_HOLE_IN_B:
		return "data here, and zero by";
	case RFS_ONLY_IN_A:
		return "behind the disk's end by";
	case RFS_ONLY_IN_B:
		return "behind the disk's end here, and not by";
	case RFS_UNREADABLE_IN_A:
		return "not readable here, though by";
	case RFS_UNREADABLE_IN_B:
		return "readable here, and not by";
	case RFS_UNREADABLE_IN_BOTH:
		return "not readable, nor by";
	default:
		return NULL;
	}
}

static void put_blocks(FILE *out, const struct rfs_second_look *look)
{
	const struct rfs_comparison *b = &look->blocks;
	uint64_t size = rfs_comparison_size(b), shown = 0;
	struct rfs_run run;

	for (uint64_t off = 0; off < size; off = rfs_range_end(run.range)) {
		run = rfs_comparison_find(b, off);
		if (!side_text(run.value) ||
		    (run.value == RFS_ONLY_IN_B && is_rounding(look)))
			continue;
		if (shown++ == SHOWN) {
			fputs("    and more; --json lists all\n", out);
			return;
		}
		fprintf(out, "    %" PRIu64 " bytes at %" PRIu64 ": %s %s\n",
			run.range.len, run.range.off, side_text(run.value),
			look->by);
	}
}

static void put_ranges(FILE *out, const struct rfs_ranges *ranges,
		       const char *what)
{
	for (size_t i = 0; i < ranges->count && i < SHOWN; i++)
		fprintf(out, "    %" PRIu64 " bytes at %" PRIu64 ": %s\n",
			ranges->items[i].len, ranges->items[i].off, what);
	if (ranges->count > SHOWN)
		fputs("    and more; --json lists all\n", out);
}

static void put_some(FILE *out, uint64_t bytes, const char *what)
{
	if (!bytes)
		return;
	fputs("    ", out);
	put_bytes(out, bytes, what);
}

static void put_healed(FILE *out, const struct rfs_second_healed *h)
{
	uint64_t seen = h->equal + rfs_ranges_total(&h->differs) + h->packed +
			h->unkept + h->unread;

	put_some(out, h->equal,
		 "healed by its tables, which lead QEMU to the same\n");
	put_ranges(out, &h->differs,
		   "healed, other bytes than where its tables lead QEMU");
	put_some(out, h->packed,
		 "healed and not verified: compressed since that copy was "
		 "taken\n");
	put_some(out, h->unkept,
		 "healed and not verified: not among what is rescued\n");
	put_some(out, h->unread,
		 "healed and not verified: could not be read\n");
	put_some(out, h->bytes - seen, "healed and not verified");
	if (h->bytes > seen)
		fprintf(out, "%s%s\n", h->why[0] ? ": " : "", h->why);
}

static void put_look(FILE *out, const struct rfs_second_look *look)
{
	const char *name = look->copy->source->origin.name;
	uint64_t differs = differing(look);
	uint64_t unread = unread_of(&look->blocks);

	if (look->why[0]) {
		fprintf(out, "  %s: not verified: %s\n", name, look->why);
		return;
	}
	if (look->is_changed) {
		fprintf(out,
			"  %s: not verified: its file changed while it was "
			"read; verify it again\n",
			name);
		return;
	}
	fprintf(out, "  %s: ", name);
	put_bytes(out, look->blocks.totals[RFS_EQUAL], "as");
	fprintf(out, " %s reads them", look->by);
	if (differs)
		put_bytes(out, differs, "not");
	if (unread)
		put_bytes(out, unread, "not verified");
	fputs("\n", out);
	put_blocks(out, look);
	if (look->merged) {
		fputs("    ", out);
		put_bytes(out, look->merged,
			  "of the merged disk came from it\n");
	}
	put_ranges(out, &look->merged_differs,
		   "merged, other bytes than in the source");
	if (look->merged_unread)
		fprintf(out,
			"    %" PRIu64 " bytes of that could not be compared\n",
			look->merged_unread);
	put_healed(out, &look->healed);
}

static bool is_anything_verified(const struct rfs_verified *v)
{
	for (size_t i = 0; i < v->count; i++)
		if (!v->items[i].why[0])
			return true;
	for (size_t i = 0; i < v->rescued.count; i++)
		if (v->rescued.items[i].checked)
			return true;
	return false;
}

int rfs_verified_text(const struct rfs_verified *v, FILE *out,
		      struct rfs_error *err)
{
	const struct rfs_digests_file *f;

	fprintf(out, "%s: %s\n", v->name,
		rfs_verified_differs(v)	   ? "NOT EQUAL"
		: !is_anything_verified(v) ? "nothing of it could be verified"
		: rfs_verified_is_whole(v) ? "equal"
					   : "equal as far as it was verified");
	for (size_t i = 0; i < v->count; i++)
		put_look(out, &v->items[i]);
	if (v->merged_why[0])
		fprintf(out, "  merged: not verified: %s\n", v->merged_why);
	if (healed_alone(v)) {
		fputs("  healed: ", out);
		put_bytes(out, healed_alone(v),
			  "not verified: no other reading leads there\n");
	}
	for (size_t i = 0; i < v->rescued.count; i++) {
		f = &v->rescued.items[i];
		fprintf(out, "  rescued of %s: ", f->name);
		put_bytes(out, f->checked, "checked\n");
		put_ranges(out, &f->damaged,
			   "kept bytes do not agree with their digest");
	}
	fprintf(out, "  %s\n", overlay_note);
	if (fflush(out) == EOF || ferror(out))
		return rfs_fail(err, EIO, "%s: it could not be written",
				v->name);
	return 0;
}

/*
 * For programs.
 */

static json_t *extent_json(struct rfs_range range, const char *state)
{
	return json_pack("{so so ss}", "offset", rfs_json_number(range.off),
			 "length", rfs_json_number(range.len), "state", state);
}

static json_t *blocks_json(const struct rfs_second_look *look)
{
	const struct rfs_comparison *b = &look->blocks;
	uint64_t size = rfs_comparison_size(b);
	json_t *list = json_array();
	struct rfs_run run;

	for (uint64_t off = 0; off < size; off = rfs_range_end(run.range)) {
		run = rfs_comparison_find(b, off);
		if (run.value != RFS_EQUAL &&
		    !(run.value == RFS_ONLY_IN_B && is_rounding(look)))
			json_array_append_new(
				list,
				extent_json(run.range,
					    is_unread(run.value)
						    ? "unreadable"
						    : rfs_likeness_name(
							      run.value)));
	}
	return list;
}

static json_t *ranges_json(const struct rfs_ranges *ranges, const char *state)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ranges->count; i++)
		json_array_append_new(list,
				      extent_json(ranges->items[i], state));
	return list;
}

static json_t *healed_json(const struct rfs_second_healed *h)
{
	return json_pack("{so so so so so so so so}", "bytes",
			 rfs_json_number(h->bytes), "equal",
			 rfs_json_number(h->equal), "packed_since",
			 rfs_json_number(h->packed), "not_kept",
			 rfs_json_number(h->unkept), "unreadable",
			 rfs_json_number(h->unread), "not_derived",
			 rfs_json_number(underived(h)), "not_verified",
			 rfs_json_text(h->why[0] ? h->why : NULL), "extents",
			 ranges_json(&h->differs, "different"));
}

static json_t *look_json(const struct rfs_second_look *l)
{
	const struct rfs_comparison *b = &l->blocks;

	return json_pack(
		"{so ss so sb so so so so s{so so so} so}", "source",
		rfs_json_text(l->copy->source->origin.name), "by", l->by,
		"not_verified", rfs_json_text(l->why[0] ? l->why : NULL),
		"changed", l->is_changed, "equal",
		rfs_json_number(b->totals[RFS_EQUAL]), "differing",
		rfs_json_number(differing(l)), "unreadable",
		rfs_json_number(unread_of(b)), "extents", blocks_json(l),
		"merged", "bytes", rfs_json_number(l->merged), "unreadable",
		rfs_json_number(l->merged_unread), "extents",
		ranges_json(&l->merged_differs, "different"), "healed",
		healed_json(&l->healed));
}

static json_t *rescued_json(const struct rfs_digests_file *f)
{
	return json_pack("{so so so}", "file", rfs_json_text(f->name),
			 "checked", rfs_json_number(f->checked), "extents",
			 ranges_json(&f->damaged, "damaged"));
}

int rfs_verified_json(const struct rfs_verified *v, FILE *out,
		      struct rfs_error *err)
{
	json_t *sources = json_array(), *rescued = json_array();
	int r;

	for (size_t i = 0; i < v->count; i++)
		json_array_append_new(sources, look_json(&v->items[i]));
	for (size_t i = 0; i < v->rescued.count; i++)
		json_array_append_new(rescued,
				      rescued_json(&v->rescued.items[i]));
	r = rfs_json_put(
		out, "",
		json_pack(
			"{so sb sb ss s{so} so s{so so} so}", "disk",
			rfs_json_text(v->name), "equal",
			!rfs_verified_differs(v), "whole",
			rfs_verified_is_whole(v), "overlay", overlay_note,
			"merged", "not_verified",
			rfs_json_text(v->merged_why[0] ? v->merged_why : NULL),
			"sources", sources, "healed", "bytes",
			rfs_json_number(v->healed), "not_looked_at",
			rfs_json_number(healed_alone(v)), "rescued", rescued),
		err);
	fputs("\n", out);
	if (r == 0 && (fflush(out) == EOF || ferror(out)))
		r = rfs_fail(err, EIO, "%s: its JSON could not be written",
			     v->name);
	return r;
}
