// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "core/cleanup.h"
#include "readers/device.h"
#include "readers/rescue.h"
#include "readers/worker.h"
#include "site/given_json.h"
#include "site/strays.h"

static void set_bytes(json_t *object, const char *key, uint64_t bytes)
{
	json_object_set_new(object, key, json_integer((json_int_t)bytes));
}

static uint64_t whole_ms(int64_t ns)
{
	return ((uint64_t)ns + 999999) / 1000000;
}

/*
 * Disks.
 */

struct looking {
	struct rfs_opener *op;
	rfs_status_look *look; /* or NULL */
	void *data;
};

static int find_known(const struct looking *l, const struct rfs_disk *disk,
		      struct rfs_known *known, char **ret_failure,
		      struct rfs_error *err)
{
	int r = -ENOENT;

	if (l->look)
		r = l->look(l->data, disk, known, ret_failure, err);
	return r == -ENOENT ? rfs_known_disk(rfs_opener_state(l->op), disk->id,
					     known, err)
			    : r;
}

static json_t *disk_states(const struct rfs_known *known)
{
	json_t *states = json_object();

	for (int s = 0; s < RFS_BLOCK_STATES; s++)
		set_bytes(states, rfs_block_state_name((enum rfs_block_state)s),
			  known->bytes[s]);
	return states;
}

static json_t *disk_json(const struct looking *l, const struct rfs_disk *disk)
{
	RFS_CLEANUP_FREE char *failure = NULL;
	RFS_CLEANUP_FREE char *path = rfs_disk_path(disk);
	struct rfs_error why = RFS_ERROR_INIT;
	struct rfs_known known = { 0 };
	struct rfs_orphans orphans = { 0 };
	struct rfs_strays strays = { 0 };
	int r = find_known(l, disk, &known, &failure, &why);
	json_t *object = json_object();

	json_object_set_new(object, "disk", rfs_json_text(path));
	json_object_set_new(object, "id", rfs_json_text(disk->id));
	json_object_set_new(object, "known",
			    json_boolean(r == 0 && known.is_known));
	json_object_set_new(object, "size", rfs_json_count(known.size));
	json_object_set_new(object, "states", disk_states(&known));
	set_bytes(object, "healed", known.healed);
	set_bytes(object, "guessed", known.guessed);
	if (r == 0)
		r = rfs_known_orphans(rfs_opener_state(l->op), disk->id,
				      &orphans, &why);
	json_object_set_new(object, "orphans", rfs_json_orphans(&orphans));
	if (r == 0)
		r = rfs_known_strays(rfs_opener_state(l->op), disk->id, &strays,
				     &why);
	json_object_set_new(object, "strays", rfs_strays_json(&strays));
	json_object_set_new(object, "error",
			    rfs_json_text(r < 0 ? why.text : failure));
	return object;
}

static json_t *disks_json(const struct looking *l, const struct rfs_disk **all,
			  size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, disk_json(l, all[i]));
	return list;
}

/*
 * Sources.
 */

/* The counters of the process that reads it, with what the one that looks up
 * its names did not wait for. */
static json_t *reading_json(const struct rfs_source *source)
{
	struct rfs_worker_counts counts, names;
	json_t *object;

	if (!source->worker)
		return json_null();
	rfs_worker_counts(source->worker, &counts);
	rfs_worker_counts(source->names, &names);
	counts.missed += names.missed;
	counts.stuck += names.stuck;
	if (names.aside_ns > counts.aside_ns)
		counts.aside_ns = names.aside_ns;
	object = json_object();
	set_bytes(object, "reads", counts.reads);
	set_bytes(object, "bytes", counts.bytes);
	set_bytes(object, "errors", counts.errors);
	set_bytes(object, "missed", counts.missed);
	set_bytes(object, "aside_ms", whole_ms(counts.aside_ns));
	set_bytes(object, "stuck", counts.stuck);
	return object;
}

static void add_connection(const struct rfs_nbd_health *health, void *list)
{
	json_t *object = json_object();

	json_object_set_new(object, "name", rfs_json_text(health->name));
	json_object_set_new(object, "state",
			    json_string(rfs_nbd_state_name(health->state)));
	json_object_set_new(object, "since", rfs_json_time(health->since_ns));
	set_bytes(object, "again_ms", whole_ms(health->again_ns));
	set_bytes(object, "pause_ms", whole_ms(health->pause_ns));
	set_bytes(object, "drops", health->drops);
	set_bytes(object, "missed", health->missed);
	json_array_append_new(list, object);
}

static json_t *connections_json(const struct rfs_source *source)
{
	json_t *list = json_array();

	rfs_nbd_watch_each(source->watch, add_connection, list);
	return list;
}

/* Nothing is asked of the file system, which may hang. */
static bool is_gone(struct rfs_state *state, const struct rfs_source *source)
{
	struct statx stx;

	if (source->root_fd >= 0 &&
	    statx(source->root_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0,
		  &stx) == 0 &&
	    rfs_device_is_gone(makedev(stx.stx_dev_major, stx.stx_dev_minor)))
		return true;
	return rfs_rescue_source_is_gone(state, &source->origin);
}

struct rescued {
	uint64_t files;
	uint64_t bytes[RFS_RESCUE_SPOILT + 1], suspect;
	json_t *errors;
};

static void add_file(struct rescued *sum, struct rfs_state *state,
		     const char *object)
{
	struct rfs_error why = RFS_ERROR_INIT;
	struct rfs_rescue_totals totals;
	int r = rfs_rescue_known(state, object, &totals, &why);

	if (r == -ENOENT)
		return;
	sum->files++;
	if (r < 0) {
		json_array_append_new(sum->errors, rfs_json_text(why.text));
		return;
	}
	for (int i = 0; i <= RFS_RESCUE_SPOILT; i++)
		sum->bytes[i] += totals.bytes[i];
	sum->suspect += totals.suspect;
}

/* What the state has of the files of a source that were ever read. */
static int sum_files(struct rfs_state *state, const struct rfs_source *source,
		     struct rescued *sum, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *prefix = NULL;
	struct rfs_names names = { 0 };
	int r;

	if (asprintf(&prefix, "%s:/", source->origin.name) < 0) {
		prefix = NULL;
		return rfs_no_memory(err);
	}
	r = rfs_state_objects(state, prefix, &names, err);
	for (size_t i = 0; i < names.count && r == 0; i++)
		add_file(sum, state, names.items[i]);
	rfs_names_fini(&names);
	return r;
}

static int rescued_json(struct rfs_state *state,
			const struct rfs_source *source, json_t **ret,
			struct rfs_error *err)
{
	static const char *const names[] = {
		[RFS_RESCUE_NOT] = "untried",	 [RFS_RESCUE_BAD] = "bad",
		[RFS_RESCUE_LATE] = "late",	 [RFS_RESCUE_NEAR] = "near",
		[RFS_RESCUE_EDGED] = "edged",	 [RFS_RESCUE_DONE] = "kept",
		[RFS_RESCUE_SPOILT] = "damaged",
	};
	struct rescued sum = { .errors = json_array() };
	int r;

	if (source->kind != RFS_DAMAGED) {
		json_decref(sum.errors);
		*ret = json_null();
		return 0;
	}
	r = sum_files(state, source, &sum, err);
	if (r < 0) {
		json_decref(sum.errors);
		return r;
	}
	*ret = json_object();
	set_bytes(*ret, "files", sum.files);
	for (int i = 0; i <= RFS_RESCUE_SPOILT; i++)
		set_bytes(*ret, names[i], sum.bytes[i]);
	set_bytes(*ret, "suspect", sum.suspect);
	json_object_set_new(*ret, "errors", sum.errors);
	return 0;
}

static int source_json(const struct looking *l, const struct rfs_source *source,
		       json_t *list, struct rfs_error *err)
{
	const struct rfs_site *site = rfs_opener_inventory(l->op)->site;
	enum rfs_store_mode store = rfs_source_store(site, source);
	json_t *rescued, *object;
	int r = rescued_json(rfs_opener_state(l->op), source, &rescued, err);

	if (r < 0)
		return r;
	object = json_object();
	json_object_set_new(object, "source",
			    rfs_json_text(source->origin.name));
	json_object_set_new(object, "kind",
			    json_string(rfs_source_kind_name(source->kind)));
	json_object_set_new(object, "host", rfs_json_text(source->host));
	json_object_set_new(object, "place",
			    rfs_json_text(rfs_source_place(source)));
	json_object_set_new(object, "as_of",
			    rfs_json_time(rfs_source_as_of(source)));
	json_object_set_new(object, "open",
			    json_boolean(rfs_source_is_open(source)));
	json_object_set_new(
		object, "gone",
		json_boolean(is_gone(rfs_opener_state(l->op), source)));
	json_object_set_new(object, "error", rfs_json_text(source->open_error));
	json_object_set_new(object, "store",
			    source->kind == RFS_DAMAGED
				    ? json_string(rfs_store_mode_name(store))
				    : json_null());
	/* Without a mount nobody has read but to answer this. */
	json_object_set_new(object, "reading",
			    l->look ? reading_json(source) : json_null());
	json_object_set_new(object, "connections",
			    l->look ? connections_json(source) : json_null());
	json_object_set_new(object, "rescued", rescued);
	json_array_append_new(list, object);
	return 0;
}

static void add_note(const char *text, void *data)
{
	json_array_append_new(data, rfs_json_text(text));
}

static int sources_json(const struct looking *l, json_t **ret,
			struct rfs_error *err)
{
	const struct rfs_site *site = rfs_opener_inventory(l->op)->site;
	json_t *list = json_array();
	int r = 0;

	for (size_t i = 0; i < site->nsources && r == 0; i++)
		r = source_json(l, site->sources[i], list, err);
	if (r < 0)
		json_decref(list);
	else
		*ret = list;
	return r;
}

int rfs_status_json(struct rfs_opener *op, rfs_status_look *look, void *data,
		    char **ret, struct rfs_error *err)
{
	const struct looking l = { op, look, data };
	const struct rfs_inventory *inv = rfs_opener_inventory(op);
	size_t n = rfs_inventory_disks(inv, NULL, 0);
	RFS_CLEANUP_FREE const struct rfs_disk **all = NULL;
	json_t *root, *sources, *notes;
	int r;

	all = calloc(n + 1, sizeof(struct rfs_disk *));
	if (!all)
		return rfs_no_memory(err);
	n = rfs_inventory_disks(inv, all, n);
	r = sources_json(&l, &sources, err);
	if (r < 0)
		return r;
	root = json_object();
	json_object_set_new(root, "site", rfs_json_text(inv->site->name));
	json_object_set_new(root, "mounted", json_boolean(look != NULL));
	json_object_set_new(root, "disks", disks_json(&l, all, n));
	json_object_set_new(root, "sources", sources);
	json_object_set_new(root, RFS_GIVEN_KEY,
			    rfs_given_json(rfs_opener_given(op)));
	notes = json_array();
	rfs_notes_each(&inv->site->notes, 0, add_note, notes);
	json_object_set_new(root, "notes", notes);
	return rfs_json_dump(root, ret, err);
}
