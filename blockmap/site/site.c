// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/site.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "readers/reach.h"
#include "readers/worker.h"
#include "site/apart.h"
#include "site/ceph.h"
#include "site/password.h"
#include "site/site_naming.h"
#include "site/site_path.h"
#include "site/volumes.h"

/* How long a server may take to tell what it has, before the mount comes up
 * without it. */
#define SERVER_WAIT_MS 5000

#define DEADLINE_MIN_MS 100
#define DEADLINE_MAX_MS 600000

enum rfs_store_mode rfs_source_store(const struct rfs_site *site,
				     const struct rfs_source *source)
{
	return source->store < 0 ? site->store
				 : (enum rfs_store_mode)source->store;
}

unsigned int rfs_source_deadline(const struct rfs_site *site,
				 const struct rfs_source *source)
{
	if (source->deadline_ms)
		return source->deadline_ms;
	return site->deadline_ms ? site->deadline_ms : RFS_WORKER_DEADLINE_MS;
}

int rfs_deadline_parse(const char *text, unsigned int *ret_ms,
		       struct rfs_error *err)
{
	size_t digits = strspn(text, "0123456789");
	const char *unit = text + digits;
	unsigned long n = strtoul(text, NULL, 10);

	/* Six digits do not overflow. */
	if (!digits || digits > 6 ||
	    (*unit && strcmp(unit, "s") != 0 && strcmp(unit, "ms") != 0))
		return rfs_fail(err, EINVAL,
				"deadline: %s is no time such as 2s or 500ms",
				text);
	if (strcmp(unit, "ms") != 0)
		n *= 1000;
	if (n < DEADLINE_MIN_MS || n > DEADLINE_MAX_MS)
		return rfs_fail(err, EINVAL,
				"deadline: %s is not between 100ms and 600s",
				text);
	*ret_ms = (unsigned int)n;
	return 0;
}

static const char *const store_names[] = {
	[RFS_STORE_ON] = "on",
	[RFS_STORE_AUTO] = "auto",
	[RFS_STORE_OFF] = "off",
};

static const char *const fill_names[] = {
	[RFS_FILL_ALL] = "all",
	[RFS_FILL_DATA] = "data",
	[RFS_FILL_NONE] = "none",
};

const char *rfs_fill_name(enum rfs_fill fill)
{
	return fill_names[fill];
}

int rfs_fill_parse(const char *text)
{
	for (int i = RFS_FILL_ALL; i <= RFS_FILL_NONE; i++)
		if (strcmp(fill_names[i], text) == 0)
			return i;
	return -1;
}

static const char *const heal_names[] = {
	[RFS_HEAL_PROVED] = "proved",
	[RFS_HEAL_ALL] = "all",
	[RFS_HEAL_GUESSED] = "guessed",
	[RFS_HEAL_OFF] = "off",
};

const char *rfs_heal_name(enum rfs_heal heal)
{
	return heal_names[heal];
}

int rfs_heal_parse(const char *text)
{
	for (int i = RFS_HEAL_PROVED; i <= RFS_HEAL_OFF; i++)
		if (strcmp(heal_names[i], text) == 0)
			return i;
	return -1;
}

const char *rfs_suspect_name(enum rfs_suspect suspect)
{
	return suspect == RFS_SUSPECT_OFF ? "off" : "compare";
}

const char *rfs_store_mode_name(enum rfs_store_mode mode)
{
	return store_names[mode];
}

int rfs_store_mode_parse(const char *text)
{
	for (int i = 0; i < 3; i++)
		if (strcmp(store_names[i], text) == 0)
			return i;
	return -1;
}

const char *rfs_source_kind_name(enum rfs_source_kind kind)
{
	switch (kind) {
	case RFS_DAMAGED:
		return "damaged";
	case RFS_BACKUP:
		return "backup";
	case RFS_LIVE:
		return "live";
	}
	return "?";
}

int64_t rfs_source_as_of(const struct rfs_source *source)
{
	if (source->kind == RFS_LIVE)
		return RFS_TIME_NOW;
	if (source->taken_ns != RFS_TIME_UNKNOWN)
		return source->taken_ns;
	return source->newest_ns;
}

void rfs_site_init(struct rfs_site *site)
{
	memset(site, 0, sizeof(*site));
	rfs_notes_init(&site->notes);
	site->name_made = true;
}

static void free_source(struct rfs_source *source)
{
	if (!source)
		return;
	rfs_worker_free(source->worker);
	rfs_worker_free(source->names);
	if (source->root_fd >= 0)
		close(source->root_fd);
	free((char *)source->origin.name);
	free(source->host);
	free(source->section);
	free(source->root);
	free(source->volumes);
	free(source->nbd);
	rfs_ceph_drop(source);
	rfs_nbd_exports_fini(&source->exports);
	rfs_nbd_watch_free(source->watch);
	free(source->open_error);
	free(source);
}

static void fini_rule(struct rfs_disk_rule *rule)
{
	free(rule->backing_format);
	free(rule->password_file);
	rfs_password_free(rule->password);
	for (char **name = rule->prefer; name && *name; name++)
		free(*name);
	free(rule->prefer);
	free(rule->disk);
	free(rule->format);
	free(rule->map_source);
	free(rule->mapfile);
	free(rule->tables.items);
}

void rfs_site_fini(struct rfs_site *site)
{
	for (size_t i = 0; i < site->nsources; i++)
		free_source(site->sources[i]);
	for (size_t i = 0; i < site->nrules; i++)
		fini_rule(&site->rules[i]);
	free(site->sources);
	for (size_t i = 0; i < site->nexports; i++) {
		free(site->exports[i].export);
		free(site->exports[i].disk);
	}
	free(site->exports);
	for (size_t i = 0; i < site->nbases; i++) {
		free(site->bases[i].name);
		free(site->bases[i].file);
		free(site->bases[i].format);
		for (int k = 0; k < RFS_CHECKSUMS; k++)
			free(site->bases[i].checksums[k]);
	}
	free(site->bases);
	free(site->rules);
	free(site->name);
	free(site->state_dir);
	free(site->said);
	rfs_notes_fini(&site->notes);
	memset(site, 0, sizeof(*site));
}

bool rfs_source_is_open(const struct rfs_source *source)
{
	return source->root_fd >= 0 || source->has_volumes ||
	       source->has_exports;
}

const char *rfs_source_place(const struct rfs_source *source)
{
	if (source->root)
		return source->root;
	if (source->volumes)
		return source->volumes;
	return source->nbd ? source->nbd : source->rbd;
}

struct rfs_source *rfs_site_find_source(const struct rfs_site *site,
					const char *name)
{
	for (size_t i = 0; i < site->nsources; i++)
		if (!strcmp(site->sources[i]->origin.name, name))
			return site->sources[i];
	return NULL;
}

/* A date in the path tells when a backup was taken.  For a damaged host it
 * would tell nothing: its clock went on until it died. */
static int date_source(struct rfs_source *source, const char *taken,
		       struct rfs_error *err)
{
	const char *place;

	source->taken_ns = source->newest_ns = RFS_TIME_UNKNOWN;
	if (taken && source->kind == RFS_LIVE)
		return rfs_fail(err, EINVAL,
				"a live source is as fresh as can be: "
				"'taken' is for a backup");
	if (taken && !rfs_time_parse(taken, &source->taken_ns))
		return rfs_fail(err, EINVAL,
				"taken = %s: not a time; write it as "
				"2013-05-10T03:00:00Z",
				taken);
	if (taken || source->kind != RFS_BACKUP)
		return 0;
	place = rfs_source_place(source);
	/* Eight digits of an image's uuid are no date. */
	if (place == source->rbd)
		place = rfs_ceph_snapshot(source);
	rfs_path_date(place, &source->taken_ns);
	return 0;
}

static bool is_said(const char *text)
{
	return text && *text;
}

static int check_spec(const struct rfs_source_spec *spec, struct rfs_error *err)
{
	int r = 0;

	if (!is_said(spec->root) && !is_said(spec->volumes) &&
	    !is_said(spec->nbd) && !is_said(spec->rbd))
		return rfs_fail(err, EINVAL,
				"a %s source needs a root, the directory "
				"where it is mounted, or volumes, nbd or rbd",
				rfs_source_kind_name(spec->kind));
	if (is_said(spec->nbd) && !rfs_is_nbd_uri(spec->nbd))
		return rfs_fail(err, EINVAL,
				"nbd = %s: must begin with nbd://, nbds://, "
				"nbd+unix:// or nbds+unix://",
				spec->nbd);
	if (is_said(spec->nbd) && rfs_nbd_uri_relative(spec->nbd))
		return rfs_fail(err, EINVAL,
				"nbd = %s: the path of '%s' must begin with "
				"a slash",
				spec->nbd, rfs_nbd_uri_relative(spec->nbd));
	if (is_said(spec->nbd) && spec->kind == RFS_DAMAGED)
		return rfs_fail(err, EINVAL,
				"%s: a damaged source is read directly, so "
				"that its disk can be spared; an NBD server "
				"is a live source or a backup",
				spec->nbd);
	if ((spec->root && strpbrk(spec->root, "\n\r")) ||
	    (spec->volumes && strpbrk(spec->volumes, "\n\r")) ||
	    (spec->nbd && strpbrk(spec->nbd, "\n\r")))
		return rfs_fail(err, EINVAL, "a path has no line breaks");
	r = rfs_ceph_check(spec, err);
	if (r == 0 && spec->name)
		r = rfs_name_check("source", spec->name, err);
	if (r == 0 && spec->host)
		r = rfs_name_check("host", spec->host, err);
	return r;
}

static int set_store(struct rfs_source *source, const char *text,
		     struct rfs_error *err)
{
	source->store = -1;
	if (!text)
		return 0;
	source->store = rfs_store_mode_parse(text);
	if (source->store < 0)
		return rfs_fail(err, EINVAL,
				"store: %s is not one of on, auto, off", text);
	if (source->kind != RFS_DAMAGED)
		return rfs_fail(err, EINVAL,
				"store: only what is read off a damaged source "
				"is kept, and this one is %s",
				rfs_source_kind_name(source->kind));
	return 0;
}

static int set_deadline(struct rfs_source *source, const char *text,
			struct rfs_error *err)
{
	if (!text)
		return 0;
	return rfs_deadline_parse(text, &source->deadline_ms, err);
}

static int fill_source(const struct rfs_site *site, struct rfs_source *source,
		       const struct rfs_source_spec *spec,
		       struct rfs_error *err)
{
	int r;

	source->root_fd = -1;
	source->kind = spec->kind;
	source->of_pattern = spec->of_pattern;
	r = set_store(source, spec->store, err);
	if (r < 0)
		return r;
	if (is_said(spec->root))
		source->root = rfs_path_absolute(NULL, spec->root);
	if (is_said(spec->volumes))
		source->volumes = rfs_path_absolute(NULL, spec->volumes);
	if (is_said(spec->nbd))
		source->nbd = strdup(spec->nbd);
	if (spec->section)
		source->section = strdup(spec->section);
	source->line = spec->line;
	source->host_made = !spec->host;
	source->host = strdup(spec->host ? spec->host : "");
	if (!source->root != !is_said(spec->root) ||
	    !source->volumes != !is_said(spec->volumes) ||
	    !source->nbd != !is_said(spec->nbd) ||
	    !source->section != !spec->section || !source->host ||
	    rfs_ceph_take(source, spec) < 0)
		return rfs_no_memory(err);
	r = set_deadline(source, spec->deadline, err);
	if (r == 0)
		r = date_source(source, spec->taken, err);
	if (r < 0)
		return r;
	return rfs_site_name_source(site, source, spec->name, err);
}

int rfs_site_add_source(struct rfs_site *site,
			const struct rfs_source_spec *spec,
			struct rfs_error *err)
{
	struct rfs_source *source, **grown;
	int r;

	r = check_spec(spec, err);
	if (r == 0 && rfs_site_is_pattern(spec))
		return rfs_site_add_pattern(site, spec, err);
	if (r < 0)
		return r;
	grown = reallocarray(site->sources, site->nsources + 1,
			     sizeof(*site->sources));
	if (!grown)
		return rfs_no_memory(err);
	site->sources = grown;
	source = calloc(1, sizeof(*source));
	if (!source)
		return rfs_no_memory(err);
	source->watch = rfs_nbd_watch_new();
	r = source->watch ? fill_source(site, source, spec, err)
			  : rfs_no_memory(err);
	if (r < 0) {
		free_source(source);
		return r;
	}
	site->sources[site->nsources++] = source;
	return rfs_site_settle(site, err);
}

int rfs_site_add_volumes(struct rfs_site *site, const char *path,
			 struct rfs_error *err)
{
	struct rfs_source *last =
		site->nsources ? site->sources[site->nsources - 1] : NULL;

	if (!last)
		return rfs_fail(err, EINVAL,
				"volumes: %s: there is no source yet whose "
				"they could be",
				path);
	if (last->of_pattern)
		return rfs_fail(err, EINVAL,
				"volumes: %s: the source before it is one of "
				"several of a pattern; give the volumes a "
				"source of their own",
				path);
	if (last->volumes)
		return rfs_fail(err, EINVAL,
				"volumes: %s: source %s has %s already; one "
				"pattern can name several directories",
				path, last->origin.name, last->volumes);
	if (strpbrk(path, "\n\r"))
		return rfs_fail(err, EINVAL, "a path has no line breaks");
	last->volumes = rfs_path_absolute(NULL, path);
	return last->volumes ? 0 : rfs_no_memory(err);
}

/* The first thing that fails is what people are told of the source. */
static void keep_open_error(struct rfs_site *site, struct rfs_source *source,
			    const char *why)
{
	rfs_notes_add(&site->notes, "source %s: not opened: %s",
		      source->origin.name, why);
	if (!source->open_error)
		source->open_error = strdup(why);
}

static void open_root(struct rfs_site *site, struct rfs_source *source)
{
	struct rfs_error why = RFS_ERROR_INIT;
	struct stat st;
	int fd = rfs_reach_open(source->names, AT_FDCWD, source->root,
				O_PATH | O_DIRECTORY | O_CLOEXEC, 0, &st);

	if (fd >= 0) {
		source->root_fd = fd;
		source->root_dev = st.st_dev;
		source->root_ino = st.st_ino;
		return;
	}
	rfs_fail(&why, -fd, "%s: %s%s", source->root, strerror(-fd),
		 fd == -ENOTDIR ? "; mount it read-only and name that directory"
		 : fd == -ENOENT && source->of_pattern
			 ? "; no directory matches"
			 : "");
	keep_open_error(site, source, why.text);
}

static void open_volumes(struct rfs_site *site, struct rfs_source *source)
{
	struct rfs_error why = RFS_ERROR_INIT;

	source->has_volumes =
		rfs_volumes_check(source->names, source->volumes, &why) == 0;
	if (!source->has_volumes)
		keep_open_error(site, source, why.text);
}

static void open_server(struct rfs_site *site, struct rfs_source *source)
{
	struct rfs_error why = RFS_ERROR_INIT;

	source->has_exports = rfs_nbd_list(source->nbd, SERVER_WAIT_MS,
					   &source->exports, &why) == 0;
	if (!source->has_exports)
		keep_open_error(site, source, why.text);
}

static void open_cluster(struct rfs_site *site, struct rfs_source *source)
{
	struct rfs_error why = RFS_ERROR_INIT;

	source->has_exports =
		rfs_ceph_list(site, source, &source->exports, &why) == 0;
	if (!source->has_exports)
		keep_open_error(site, source, why.text);
}

static int hire(const struct rfs_site *site, struct rfs_source *source,
		struct rfs_error *err)
{
	unsigned int ms = rfs_source_deadline(site, source);
	const char *name = source->origin.name;
	int r = 0;

	if (!source->worker)
		r = rfs_worker_new(name, ms, &source->worker, err);
	if (r == 0 && !source->names)
		r = rfs_worker_new(name, ms, &source->names, err);
	return r;
}

/* A dying disk is, and a healthy copy where the operator says so; a server's
 * exports are not read by a worker. */
static bool is_waited_for(const struct rfs_source *source)
{
	return source->kind == RFS_DAMAGED ||
	       (source->deadline_ms && (source->root || source->volumes));
}

static int open_source(struct rfs_site *site, struct rfs_source *source,
		       struct rfs_error *err)
{
	if (is_waited_for(source) && hire(site, source, err) < 0)
		return -ENOMEM;
	free(source->open_error);
	source->open_error = NULL;
	if (source->root && source->root_fd < 0)
		open_root(site, source);
	if (source->volumes && !source->has_volumes)
		open_volumes(site, source);
	if (source->nbd && !source->has_exports)
		open_server(site, source);
	if (source->rbd && !source->has_exports)
		open_cluster(site, source);
	return 0;
}

int rfs_site_open(struct rfs_site *site, struct rfs_error *err)
{
	const char *why = NULL;
	size_t opened = 0;

	if (!site->nsources)
		return rfs_fail(err, EINVAL,
				"no source is named; give a site file, or "
				"--damaged DIR and --backup DIR");
	for (size_t i = 0; i < site->nsources; i++) {
		struct rfs_source *source = site->sources[i];

		if (open_source(site, source, err) < 0)
			return -ENOMEM;
		opened += rfs_source_is_open(source);
		if (!why)
			why = source->open_error;
	}
	if (!opened)
		return rfs_fail(err, ENOENT, "no source could be opened: %s",
				why ? why : "out of memory");
	return rfs_site_check_apart(site, err);
}

int rfs_site_state_dir(const struct rfs_site *site, char **ret_dir,
		       struct rfs_error *err)
{
	const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	const char *name = site->name ? site->name : "site";
	int n;

	if (site->state_dir)
		n = asprintf(ret_dir, "%s", site->state_dir);
	else if (geteuid() == 0)
		n = asprintf(ret_dir, "/var/lib/rescuefs/%s", name);
	else if (xdg && *xdg == '/')
		n = asprintf(ret_dir, "%s/rescuefs/%s", xdg, name);
	else if (home && *home == '/')
		n = asprintf(ret_dir, "%s/.local/state/rescuefs/%s", home,
			     name);
	else
		return rfs_fail(err, ENOENT,
				"no place for the state: neither "
				"XDG_STATE_HOME nor HOME is set; give --state");
	return n < 0 ? rfs_no_memory(err) : 0;
}
