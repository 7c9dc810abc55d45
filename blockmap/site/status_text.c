// SPDX-License-Identifier: GPL-3.0-or-later
/* The status for people, from the JSON of here or of a mount. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/format.h"
#include "core/report.h"
#include "site/given_json.h"
#include "site/status.h"
#include "site/strays.h"

static uint64_t number(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n > 0 ? (uint64_t)n : 0;
}

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* ", 12.3 MB WHAT", where there is any. */
static void print_bytes(FILE *out, uint64_t bytes, const char *what)
{
	char size[RFS_FORMAT_ROOM];

	if (!bytes)
		return;
	rfs_format_bytes(bytes, size);
	fprintf(out, ", %s %s", size, what);
}

static bool is_named(const json_t *disk, char *const *only, size_t nonly)
{
	const char *name = text(disk, "disk");

	for (size_t i = 0; i < nonly; i++)
		if (name && strcmp(name, only[i]) == 0)
			return true;
	return nonly == 0;
}

static void keep_named(json_t *disks, char *const *only, size_t nonly)
{
	for (size_t i = json_array_size(disks); i-- > 0;)
		if (!is_named(json_array_get(disks, i), only, nonly))
			json_array_remove(disks, i);
}

/*
 * What it comes to.
 */

static enum rfs_status_verdict disk_verdict(const json_t *disk)
{
	static const enum rfs_block_state losses[] = { RFS_LOST, RFS_STALE,
						       RFS_UNPROVED };
	const json_t *states = json_object_get(disk, "states");

	if (text(disk, "error"))
		return RFS_STATUS_FAILED;
	for (size_t i = 0; i < 3; i++)
		if (number(states, rfs_block_state_name(losses[i])))
			return RFS_STATUS_LOSSES;
	return RFS_STATUS_FINE;
}

/* It is not asked now. */
static bool is_away(const json_t *connection)
{
	const char *state = text(connection, "state");

	return state && (!strcmp(state, "lost") || !strcmp(state, "aside"));
}

static bool any_away(const json_t *connections)
{
	for (size_t i = 0; i < json_array_size(connections); i++)
		if (is_away(json_array_get(connections, i)))
			return true;
	return false;
}

static enum rfs_status_verdict source_verdict(const json_t *source)
{
	const json_t *rescued = json_object_get(source, "rescued");
	const json_t *reading = json_object_get(source, "reading");

	if (text(source, "error") || number(rescued, "damaged") ||
	    json_array_size(json_object_get(rescued, "errors")) ||
	    number(reading, "aside_ms") ||
	    any_away(json_object_get(source, "connections")) ||
	    json_is_true(json_object_get(source, "gone")))
		return RFS_STATUS_FAILED;
	return number(rescued, "suspect") ? RFS_STATUS_LOSSES : RFS_STATUS_FINE;
}

static enum rfs_status_verdict
worst(const json_t *list, enum rfs_status_verdict (*verdict)(const json_t *),
      enum rfs_status_verdict is)
{
	enum rfs_status_verdict v;

	for (size_t i = 0; i < json_array_size(list); i++) {
		v = verdict(json_array_get(list, i));
		if (v > is)
			is = v;
	}
	return is;
}

/*
 * For people.
 */

static void print_orphans(const json_t *orphans, FILE *out)
{
	char size[RFS_FORMAT_ROOM];

	if (!number(orphans, "clusters"))
		return;
	rfs_format_bytes(number(orphans, "bytes"), size);
	fprintf(out,
		"  orphans: %s in %" PRIu64 " clusters in use that no readable "
		"table claims%s\n",
		size, number(orphans, "clusters"),
		json_is_true(json_object_get(orphans, "partial"))
			? ", some of them healed perhaps"
			: "");
}

static void print_disk(const json_t *disk, FILE *out)
{
	const json_t *states = json_object_get(disk, "states");
	char size[RFS_FORMAT_ROOM];
	struct rfs_strays strays;
	const char *name;

	fprintf(out, "%s: ", text(disk, "disk") ? text(disk, "disk") : "?");
	if (number(disk, "size")) {
		rfs_format_bytes(number(disk, "size"), size);
		fputs(size, out);
		for (int s = RFS_BLOCK_STATES - 1; s >= 0; s--) {
			name = rfs_block_state_name((enum rfs_block_state)s);
			print_bytes(out, number(states, name), name);
		}
		print_bytes(out, number(disk, "healed"), "of these healed");
		print_bytes(out, number(disk, "guessed"), "of these guessed");
		fputc('\n', out);
	} else {
		fputs("not read yet\n", out);
	}
	print_orphans(json_object_get(disk, "orphans"), out);
	rfs_strays_read(json_object_get(disk, "strays"), &strays);
	rfs_strays_text(&strays, "  ", out);
	if (text(disk, "error"))
		fprintf(out, "  cannot be used: %s\n", text(disk, "error"));
}

static void print_reading(const json_t *reading, FILE *out)
{
	char size[RFS_FORMAT_ROOM];

	if (!json_is_object(reading))
		return;
	rfs_format_bytes(number(reading, "bytes"), size);
	fprintf(out,
		"  since the mount: %" PRIu64 " reads, %s, %" PRIu64
		" errors, %" PRIu64 " deadlines missed\n",
		number(reading, "reads"), size, number(reading, "errors"),
		number(reading, "missed"));
	if (number(reading, "aside_ms"))
		fprintf(out, "  SET ASIDE for %" PRIu64 " ms more\n",
			number(reading, "aside_ms"));
	if (number(reading, "stuck"))
		fprintf(out, "  %" PRIu64 " reads have not come back\n",
			number(reading, "stuck"));
}

static void print_connection(const json_t *connection, FILE *out)
{
	const char *state = text(connection, "state");
	const char *name = text(connection, "name");
	const char *since = text(connection, "since");

	if (!state)
		return;
	fprintf(out, "  %s: %s", name ? name : "?",
		!strcmp(state, "lost")	  ? "CONNECTION LOST"
		: !strcmp(state, "aside") ? "SET ASIDE"
					  : state);
	fprintf(out, " since %s", since ? since : "?");
	if (number(connection, "again_ms"))
		fprintf(out, ", tried again in %.1f s",
			(double)number(connection, "again_ms") / 1000);
	else if (is_away(connection))
		fputs(", tried again now", out);
	if (number(connection, "drops"))
		fprintf(out, ", dropped %" PRIu64 " times",
			number(connection, "drops"));
	if (number(connection, "missed"))
		fprintf(out, ", %" PRIu64 " deadlines missed",
			number(connection, "missed"));
	fputc('\n', out);
}

static void print_rescued(const json_t *rescued, const char *store, FILE *out)
{
	const json_t *errors = json_object_get(rescued, "errors");
	char size[RFS_FORMAT_ROOM];

	if (!json_is_object(rescued))
		return;
	rfs_format_bytes(number(rescued, "kept"), size);
	fprintf(out, "  rescued (store = %s): %s of %" PRIu64 " file%s",
		store ? store : "?", size, number(rescued, "files"),
		number(rescued, "files") == 1 ? "" : "s");
	print_bytes(out, number(rescued, "bad"), "bad");
	print_bytes(out, number(rescued, "late"), "too late");
	print_bytes(out, number(rescued, "near") + number(rescued, "edged"),
		    "near errors and not tried singly");
	print_bytes(out, number(rescued, "untried"), "not tried");
	fputc('\n', out);
	if (number(rescued, "damaged")) {
		rfs_format_bytes(number(rescued, "damaged"), size);
		fprintf(out,
			"  DAMAGED: %s of what was rescued fail their digest "
			"and are not served; rescuefs refresh asks the source "
			"again\n",
			size);
	}
	if (number(rescued, "suspect")) {
		rfs_format_bytes(number(rescued, "suspect"), size);
		fprintf(out,
			"  SUSPECT: %s that it delivered are not what other "
			"copies have; rescuefs map tells whose are taken\n",
			size);
	}
	for (size_t i = 0; i < json_array_size(errors); i++)
		fprintf(out, "  DAMAGED: %s\n",
			json_string_value(json_array_get(errors, i)));
}

static void print_source(const json_t *source, FILE *out)
{
	const char *fields[] = { text(source, "source"), text(source, "kind"),
				 text(source, "host"), text(source, "place") };
	const json_t *connections = json_object_get(source, "connections");

	for (size_t i = 0; i < 4; i++)
		fields[i] = fields[i] ? fields[i] : "?";
	fprintf(out, "\n%s: %s of %s, %s\n", fields[0], fields[1], fields[2],
		fields[3]);
	if (text(source, "error"))
		fprintf(out, "  NOT USED: %s\n", text(source, "error"));
	if (json_is_true(json_object_get(source, "gone")))
		fputs("  GONE: its device was removed or disconnected; what "
		      "cannot be read since is not taken for bad\n",
		      out);
	print_reading(json_object_get(source, "reading"), out);
	for (size_t i = 0; i < json_array_size(connections); i++)
		print_connection(json_array_get(connections, i), out);
	print_rescued(json_object_get(source, "rescued"), text(source, "store"),
		      out);
}

static void print_all(const json_t *root, FILE *out)
{
	const json_t *disks = json_object_get(root, "disks");
	const json_t *sources = json_object_get(root, "sources");
	const json_t *given = json_object_get(root, RFS_GIVEN_KEY);
	const json_t *notes = json_object_get(root, "notes");

	for (size_t i = 0; i < json_array_size(disks); i++)
		print_disk(json_array_get(disks, i), out);
	for (size_t i = 0; i < json_array_size(sources); i++)
		print_source(json_array_get(sources, i), out);
	if (json_array_size(given))
		fputc('\n', out);
	rfs_given_print(given, rfs_format_bytes, out);
	for (size_t i = 0; i < json_array_size(notes); i++)
		fprintf(out, "%snote: %s\n", i ? "" : "\n",
			json_string_value(json_array_get(notes, i)));
}

int rfs_status_print(const char *json, char *const *only, size_t nonly,
		     bool as_json, FILE *out,
		     enum rfs_status_verdict *ret_verdict,
		     struct rfs_error *err)
{
	json_t *root = json_loads(json, 0, NULL), *disks, *sources;
	char *again = NULL;
	int r = 0;

	disks = json_object_get(root, "disks");
	sources = json_object_get(root, "sources");
	if (!json_is_array(disks) || !json_is_array(sources)) {
		json_decref(root);
		return rfs_fail(err, EINVAL,
				"what the mount says of itself makes no sense; "
				"is it of another version?");
	}
	keep_named(disks, only, nonly);
	*ret_verdict = worst(disks, disk_verdict, RFS_STATUS_FINE);
	*ret_verdict = worst(sources, source_verdict, *ret_verdict);
	if (rfs_given_has_failed(json_object_get(root, RFS_GIVEN_KEY)))
		*ret_verdict = RFS_STATUS_FAILED;
	if (!as_json) {
		print_all(root, out);
		json_decref(root);
		return 0;
	}
	r = rfs_json_dump(root, &again, err);
	if (r == 0)
		fputs(again, out);
	free(again);
	return r;
}
