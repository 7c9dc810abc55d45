// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/strays.h"

#include <inttypes.h>

#include "site/json_text.h"

static json_t *gaps_json(const struct rfs_strays *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->ngaps; i++)
		json_array_append_new(
			list,
			json_pack("{so so}", "first",
				  rfs_json_number(s->gaps[i].first), "last",
				  rfs_json_number(s->gaps[i].last)));
	return list;
}

static json_t *items_json(const struct rfs_strays *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->nitems; i++)
		json_array_append_new(
			list,
			json_pack("{so so so so}", "offset",
				  rfs_json_number(s->items[i].off), "clusters",
				  rfs_json_number(s->items[i].clusters),
				  "first", rfs_json_number(s->items[i].first),
				  "last", rfs_json_number(s->items[i].last)));
	return list;
}

json_t *rfs_strays_json(const struct rfs_strays *strays)
{
	if (!strays->is_known)
		return json_null();
	return json_pack(
		"{so so so so}", "entries", rfs_json_number(strays->lost),
		"lost", gaps_json(strays), "tables",
		rfs_json_number(strays->tables), "listed", items_json(strays));
}

static bool take(const json_t *object, const char *key, uint64_t *ret)
{
	const json_t *n = json_object_get(object, key);

	if (!json_is_integer(n) || json_integer_value(n) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(n);
	return true;
}

static bool read_strays(const json_t *json, struct rfs_strays *to)
{
	const json_t *gaps = json_object_get(json, "lost"), *one;
	const json_t *items = json_object_get(json, "listed");

	to->ngaps = json_array_size(gaps);
	to->nitems = json_array_size(items);
	if (!take(json, "entries", &to->lost) ||
	    !take(json, "tables", &to->tables) ||
	    to->ngaps > RFS_STRAYS_LISTED || to->nitems > RFS_STRAYS_LISTED)
		return false;
	for (size_t i = 0; i < to->ngaps; i++) {
		one = json_array_get(gaps, i);
		if (!take(one, "first", &to->gaps[i].first) ||
		    !take(one, "last", &to->gaps[i].last))
			return false;
	}
	for (size_t i = 0; i < to->nitems; i++) {
		one = json_array_get(items, i);
		if (!take(one, "offset", &to->items[i].off) ||
		    !take(one, "clusters", &to->items[i].clusters) ||
		    !take(one, "first", &to->items[i].first) ||
		    !take(one, "last", &to->items[i].last))
			return false;
	}
	return true;
}

void rfs_strays_read(const json_t *json, struct rfs_strays *ret)
{
	struct rfs_strays strays = { .is_known = true };

	*ret = (struct rfs_strays){ 0 };
	if (json_is_object(json) && read_strays(json, &strays))
		*ret = strays;
}

static void put_gaps(const struct rfs_strays *s, FILE *out)
{
	for (size_t i = 0; i < s->ngaps; i++) {
		fprintf(out, "%s%" PRIu64, i ? ", " : " (", s->gaps[i].first);
		if (s->gaps[i].last != s->gaps[i].first)
			fprintf(out, " to %" PRIu64, s->gaps[i].last);
	}
	if (s->ngaps)
		fputs(s->ngaps == RFS_STRAYS_LISTED ? ", ...)" : ")", out);
}

void rfs_strays_text(const struct rfs_strays *s, const char *indent, FILE *out)
{
	if (!s->lost)
		return;
	fprintf(out, "%sLost: %" PRIu64 " entries of the L1 table", indent,
		s->lost);
	put_gaps(s, out);
	fprintf(out, "; found: %" PRIu64 " L2 tables that nothing leads to%s\n",
		s->tables, s->tables ? ":" : "");
	for (size_t i = 0; i < s->nitems; i++)
		fprintf(out,
			"%s  at %" PRIu64 ": %" PRIu64
			" clusters, entries %" PRIu64 " to %" PRIu64 "\n",
			indent, s->items[i].off, s->items[i].clusters,
			s->items[i].first, s->items[i].last);
	if (s->tables > s->nitems)
		fprintf(out, "%s  and %" PRIu64 " more\n", indent,
			s->tables - s->nitems);
	if (s->tables)
		fprintf(out,
			"%s'table = ENTRY OFFSET' in the disk's section of the "
			"site file says where one belongs\n",
			indent);
}
