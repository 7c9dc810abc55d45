// SPDX-License-Identifier: GPL-3.0-or-later
/* scan_tree.c - reading what one source has of nova and libvirt.
 *
 * A dying source fails anywhere.  Each failure is noted and costs no more than
 * the name that it stands for; the rest is still found.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "core/vec.h"
#include "site/mapped.h"
#include "site/rooted.h"
#include "site/scan.h"
#include "site/site_path.h"

void rfs_scan_note(const struct scan_tree *tree, const char *fmt, ...)
{
	char text[900];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	rfs_notes_add(&tree->site->notes, "source %s: %s",
		      tree->source->origin.name, text);
}

static void see_time(struct scan_tree *tree, const struct stat *st)
{
	int64_t ns = rfs_time_of(st->st_mtim);

	if (ns > tree->source->newest_ns)
		tree->source->newest_ns = ns;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A listing: names in order, so that a scan finds the same each time. */
struct listing {
	char **items;
	size_t count, room;
	bool partial;
};

static void listing_fini(struct listing *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
}

#define CLEANUP_LISTING __attribute__((cleanup(listing_fini)))

/* A directory whose index leads in a circle never ends. */
#define ENTRIES_MAX 1000000

static int read_names(struct listing *list, struct rfs_reach_dir *dir)
{
	unsigned char type;
	const char *name;
	int r;

	while ((r = rfs_reach_dir_next(dir, &name, &type)) > 0) {
		if (list->count == ENTRIES_MAX)
			return -ELOOP;
		if (RFS_VEC_ROOM(list) < 0)
			return -ENOMEM;
		list->items[list->count] = strdup(name);
		if (!list->items[list->count])
			return -ENOMEM;
		list->count++;
	}
	return r;
}

/* The names in 'path'.  What is not there at all is no failure: a source need
 * not have everything. */
static int list_dir(struct scan_tree *tree, const char *path,
		    struct listing *list, struct rfs_error *err)
{
	struct rfs_error why = RFS_ERROR_INIT;
	struct rfs_reach_dir *dir;
	int r;

	r = rfs_rooted_opendir(tree->source, path, &dir, &why);
	if (r == -ENOENT)
		return 0;
	if (r < 0) {
		list->partial = true;
		rfs_scan_note(tree, "%s", why.text);
		return 0;
	}
	r = read_names(list, dir);
	rfs_reach_dir_close(dir);
	if (r == -ENOMEM)
		return rfs_no_memory(err);
	if (r < 0) {
		list->partial = true;
		rfs_scan_note(tree, "%s: listed in part only: %s", path,
			      strerror(-r));
	}
	if (list->count)
		qsort(list->items, list->count, sizeof(char *), by_name);
	return 0;
}

/* As stat inside the source: symlinks that lead to something count as it.  Its
 * time is seen, and what fails is noted unless 'quiet'. */
static int look(struct scan_tree *tree, const char *path, bool quiet,
		struct stat *ret)
{
	struct rfs_error why = RFS_ERROR_INIT;
	int r;

	r = rfs_rooted_stat(tree->source, path, ret, &why);
	if (r == 0)
		see_time(tree, ret);
	else if (!quiet)
		rfs_scan_note(tree, "%s", why.text);
	return r;
}

static char *path_of(const char *dir, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

const struct scan_file *rfs_scan_file(const struct scan_dir *dir,
				      const char *name)
{
	for (size_t i = 0; i < dir->files.count; i++)
		if (!strcmp(dir->files.items[i].name, name))
			return &dir->files.items[i];
	return NULL;
}

static int add_file(struct scan_tree *tree, struct scan_dir *dir,
		    const char *name, bool quiet, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *path = path_of(dir->path, name);
	struct scan_file *file;
	struct stat st;
	int r;

	if (!path || RFS_VEC_ROOM(&dir->files) < 0)
		return rfs_no_memory(err);
	r = look(tree, path, quiet, &st);
	/* A mapfile that cannot be looked at is there all the same: without it
	 * its image would be taken for whole. */
	if (r < 0 && (r == -ENOENT || !rfs_is_mapfile_name(name)))
		return 0;
	if (r < 0)
		st = (struct stat){ .st_mode = S_IFREG };
	if (S_ISDIR(st.st_mode))
		return 0;
	if (!S_ISREG(st.st_mode)) {
		rfs_scan_note(tree, "%s: is no regular file, passed over",
			      path);
		return 0;
	}
	file = &dir->files.items[dir->files.count];
	file->name = strdup(name);
	if (!file->name)
		return rfs_no_memory(err);
	file->generation.size = (uint64_t)st.st_size;
	file->generation.mtime_ns = rfs_time_of(st.st_mtim);
	dir->files.count++;
	return 0;
}

static void free_dir(struct scan_dir *dir)
{
	for (size_t i = 0; i < dir->files.count; i++)
		free(dir->files.items[i].name);
	free(dir->files.items);
	rfs_disk_info_fini(&dir->info);
	if (dir->own)
		rfs_domain_fini(dir->own);
	free(dir->own);
	free(dir->name);
	free(dir->path);
	free(dir);
}

static int list_files(struct scan_tree *tree, struct scan_dir *dir,
		      struct rfs_error *err)
{
	CLEANUP_LISTING struct listing list = { 0 };
	int r;

	r = list_dir(tree, dir->path, &list, err);
	dir->partial = list.partial;
	for (size_t i = 0; i < list.count && r == 0; i++)
		r = add_file(tree, dir, list.items[i], false, err);
	return r;
}

/* Files beside the instances, and directories that are known to be no
 * instance: their times count, and nothing is to be said of them. */
static bool is_known_other(const char *name)
{
	return *name == '_' || !strcmp(name, "locks") ||
	       !strcmp(name, "snapshots") || !strcmp(name, "compute_nodes");
}

static bool is_instance_name(const char *name)
{
	char uuid[RFS_UUID_TEXT];

	return rfs_is_essex_name(name) || (strlen(name) == RFS_UUID_TEXT - 1 &&
					   rfs_uuid_normal(name, uuid));
}

/* Takes 'path' over, also when it fails. */
static int new_dir(struct scan_tree *tree, const char *name, char *path,
		   struct rfs_error *err)
{
	struct scan_dir *dir = calloc(1, sizeof(*dir));

	if (!dir || RFS_VEC_ROOM(&tree->dirs) < 0) {
		free(dir);
		free(path);
		return rfs_no_memory(err);
	}
	tree->dirs.items[tree->dirs.count++] = dir;
	dir->source = tree->source;
	dir->path = path;
	dir->name = strdup(name);
	if (!dir->name)
		return rfs_no_memory(err);
	return list_files(tree, dir, err);
}

static int add_dir(struct scan_tree *tree, const char *name, bool quiet,
		   struct rfs_error *err)
{
	char *path = path_of(RFS_INSTANCES_DIR, name);
	struct stat st;

	if (!path)
		return rfs_no_memory(err);
	if (look(tree, path, quiet, &st) == 0 && S_ISDIR(st.st_mode)) {
		if (is_instance_name(name))
			return new_dir(tree, name, path, err);
		if (!is_known_other(name))
			rfs_scan_note(tree,
				      "%s: not the directory of an instance "
				      "as nova names them, passed over",
				      path);
	}
	free(path);
	return 0;
}

static int list_instances(struct scan_tree *tree, struct rfs_error *err)
{
	CLEANUP_LISTING struct listing list = { 0 };
	int r;

	r = list_dir(tree, RFS_INSTANCES_DIR, &list, err);
	tree->partial = list.partial;
	for (size_t i = 0; i < list.count && r == 0; i++)
		r = add_dir(tree, list.items[i], false, err);
	return r;
}

static int list_bases(struct scan_tree *tree, struct rfs_error *err)
{
	/* The same step as for an instance: a directory of files. */
	struct scan_dir base = { .source = tree->source };
	int r;

	base.path = path_of(RFS_INSTANCES_DIR, "_base");
	if (!base.path)
		return rfs_no_memory(err);
	r = list_files(tree, &base, err);
	tree->bases.items = base.files.items;
	tree->bases.count = base.files.count;
	free(base.path);
	return r;
}

/* The whole of a small file, or NULL with a note. */
static char *read_small(struct scan_tree *tree, const char *path, size_t max,
			size_t *ret_len)
{
	struct rfs_error why = RFS_ERROR_INIT;
	char *text;
	int r = rfs_texts_read(tree->texts, tree->site, tree->source, path, max,
			       &text, ret_len, &why);

	if (r == 0)
		return text;
	rfs_scan_note(tree, "%s%s", why.text,
		      r == -EFBIG ? ", passed over" : "");
	return NULL;
}

/* NULL: it cannot be read or is none, which is noted. */
static struct rfs_domain *read_domain_file(struct scan_tree *tree,
					   const char *path)
{
	struct rfs_error why = RFS_ERROR_INIT;
	RFS_CLEANUP_FREE char *text = NULL;
	struct rfs_domain *domain;
	size_t len;

	text = read_small(tree, path, RFS_XML_MAX, &len);
	domain = text ? calloc(1, sizeof(*domain)) : NULL;
	if (!domain)
		return NULL;
	if (rfs_domain_parse(text, len, domain, &why) == 0)
		return domain;
	rfs_scan_note(tree, "%s: %s", path, why.text);
	free(domain);
	return NULL;
}

static int add_domain(struct scan_tree *tree, const char *name,
		      struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *path = path_of(RFS_DOMAINS_DIR, name);
	struct rfs_domain *domain;
	size_t len = strlen(name);
	struct stat st;

	if (!path || RFS_VEC_ROOM(&tree->domains) < 0)
		return rfs_no_memory(err);
	if (len < 5 || strcmp(name + len - 4, ".xml") != 0 ||
	    look(tree, path, false, &st) < 0 || S_ISDIR(st.st_mode))
		return 0;
	domain = read_domain_file(tree, path);
	if (domain)
		tree->domains.items[tree->domains.count++] = domain;
	return 0;
}

static int list_domains(struct scan_tree *tree, struct rfs_error *err)
{
	CLEANUP_LISTING struct listing list = { 0 };
	int r;

	r = list_dir(tree, RFS_DOMAINS_DIR, &list, err);
	for (size_t i = 0; i < list.count && r == 0; i++)
		r = add_domain(tree, list.items[i], err);
	return r;
}

/* A host without readable instances still has a time: of its logs, or of its
 * root.  Without one the dead host would seem older than any backup. */
static void see_other_times(struct scan_tree *tree)
{
	static const char *const paths[] = { "/var/log/syslog",
					     "/var/log/messages", "/var/log",
					     "/etc", "/" };
	struct stat st;

	if (tree->source->newest_ns != RFS_TIME_UNKNOWN)
		return;
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		look(tree, paths[i], true, &st);
}

int rfs_scan_tree(struct scan_tree *tree, struct rfs_error *err)
{
	int r;

	r = list_instances(tree, err);
	if (r == 0)
		r = list_bases(tree, err);
	if (r == 0)
		r = list_domains(tree, err);
	see_other_times(tree);
	return r;
}

static struct scan_dir *find_dir(const struct scan_tree *tree, const char *name)
{
	for (size_t i = 0; i < tree->dirs.count; i++)
		if (!strcmp(tree->dirs.items[i]->name, name))
			return tree->dirs.items[i];
	return NULL;
}

/* A listing ends at the first bad block of a directory; the names behind it
 * can still be looked up, where another source knows them. */
static int probe_files(struct scan_tree *tree, struct scan_dir *dir,
		       const struct scan_dir *other, struct rfs_error *err)
{
	int r = 0;

	for (size_t i = 0; i < other->files.count && r == 0; i++)
		if (!rfs_scan_file(dir, other->files.items[i].name))
			r = add_file(tree, dir, other->files.items[i].name,
				     true, err);
	return r;
}

int rfs_scan_probe(struct scan_tree *tree, const struct scan_tree *other,
		   struct rfs_error *err)
{
	int r = 0;

	for (size_t i = 0; i < other->dirs.count && r == 0; i++) {
		const struct scan_dir *theirs = other->dirs.items[i];
		struct scan_dir *dir = find_dir(tree, theirs->name);

		if (!dir && tree->partial) {
			r = add_dir(tree, theirs->name, true, err);
			dir = find_dir(tree, theirs->name);
		}
		if (r == 0 && dir && dir->partial)
			r = probe_files(tree, dir, theirs, err);
	}
	return r;
}

/* By uuid, or by name where the directory is called as the domain is. */
static struct rfs_domain *find_domain(const struct scan_tree *tree,
				      const struct scan_dir *dir)
{
	char uuid[RFS_UUID_TEXT];

	if (!rfs_uuid_normal(dir->name, uuid))
		snprintf(uuid, sizeof(uuid), "%s",
			 dir->own && dir->own->uuid ? dir->own->uuid : "");
	for (size_t i = 0; i < tree->domains.count; i++) {
		struct rfs_domain *d = tree->domains.items[i];

		if (*uuid && d->uuid && !strcmp(d->uuid, uuid))
			return d;
		if (!*uuid && d->name && !strcmp(d->name, dir->name))
			return d;
	}
	return NULL;
}

static void read_info(struct scan_tree *tree, struct scan_dir *dir,
		      const char *path)
{
	struct rfs_error why = RFS_ERROR_INIT;
	RFS_CLEANUP_FREE char *text = NULL;
	size_t len;

	text = read_small(tree, path, RFS_DISK_INFO_MAX, &len);
	if (text && rfs_disk_info_parse(text, len, &dir->info, &why) < 0)
		rfs_scan_note(tree, "%s: %s", path, why.text);
}

int rfs_scan_describe(struct scan_tree *tree, struct rfs_error *err)
{
	for (size_t i = 0; i < tree->dirs.count; i++) {
		struct scan_dir *dir = tree->dirs.items[i];
		RFS_CLEANUP_FREE char *xml = path_of(dir->path, "libvirt.xml");
		RFS_CLEANUP_FREE char *info = path_of(dir->path, "disk.info");

		if (!xml || !info)
			return rfs_no_memory(err);
		if (rfs_scan_file(dir, "libvirt.xml"))
			dir->own = read_domain_file(tree, xml);
		if (rfs_scan_file(dir, "disk.info"))
			read_info(tree, dir, info);
		dir->defined = find_domain(tree, dir);
	}
	return 0;
}

void rfs_scan_tree_fini(struct scan_tree *tree)
{
	for (size_t i = 0; i < tree->dirs.count; i++)
		free_dir(tree->dirs.items[i]);
	for (size_t i = 0; i < tree->domains.count; i++) {
		rfs_domain_fini(tree->domains.items[i]);
		free(tree->domains.items[i]);
	}
	for (size_t i = 0; i < tree->bases.count; i++)
		free(tree->bases.items[i].name);
	rfs_volumes_fini(&tree->volumes);
	free(tree->dirs.items);
	free(tree->domains.items);
	free(tree->bases.items);
}
