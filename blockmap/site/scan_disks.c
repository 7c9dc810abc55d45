// SPDX-License-Identifier: GPL-3.0-or-later
/* scan_disks.c - the disks of one instance: their copies, formats and ages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "site/mapped.h"
#include "site/scan.h"
#include "site/site_path.h"

static bool is_nova_disk(const char *name)
{
	static const char *const names[] = { "disk", "disk.local",
					     "disk.config", "disk.swap",
					     "disk.rescue" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return !strncmp(name, "disk.eph", 8);
}

/* True if 'path' is a file of the instance: ".../DIR/NAME".  What comes before
 * may differ from host to host. */
static bool is_inside(const struct scan_group *group, const char *path)
{
	const char *name = rfs_path_last(path);

	for (size_t i = 0; i < group->dirs.count; i++) {
		const char *dir = group->dirs.items[i]->name;
		size_t len = strlen(dir);

		if ((size_t)(name - path) > len + 1 &&
		    name[-(ptrdiff_t)len - 2] == '/' &&
		    !strncmp(name - len - 1, dir, len))
			return true;
	}
	return false;
}

static const struct rfs_domain_disk *
find_described(const struct scan_group *group, const struct rfs_domain *domain,
	       const char *name)
{
	for (size_t i = 0; domain && i < domain->ndisks; i++) {
		const struct rfs_domain_disk *disk = &domain->disks[i];

		if (!strcmp(rfs_path_last(disk->file), name) &&
		    is_inside(group, disk->file))
			return disk;
	}
	return NULL;
}

static bool is_described(const struct scan_group *group, const char *name)
{
	for (size_t i = 0; i < group->dirs.count; i++)
		if (find_described(group, group->dirs.items[i]->own, name) ||
		    find_described(group, group->dirs.items[i]->defined, name))
			return true;
	return false;
}

static bool is_disk(const struct scan_group *group, const char *name)
{
	if (!strcmp(name, "disk.info") || !strcmp(name, "libvirt.xml"))
		return false;
	return (is_nova_disk(name) && !rfs_is_mapfile_name(name)) ||
	       is_described(group, name);
}

static int add_disk(struct rfs_instance *instance, const char *name)
{
	struct rfs_disk *grown;

	for (size_t i = 0; i < instance->ndisks; i++)
		if (!strcmp(instance->disks[i].name, name))
			return 0;
	grown = reallocarray(instance->disks, instance->ndisks + 1,
			     sizeof(*grown));
	if (!grown)
		return -1;
	instance->disks = grown;
	grown[instance->ndisks] = (struct rfs_disk){
		.instance = instance,
		.name = strdup(name),
	};
	return grown[instance->ndisks++].name ? 0 : -1;
}

static int add_file(struct rfs_instance *instance, const struct scan_dir *dir,
		    const char *name)
{
	struct rfs_instance_file *grown, file = { 0 };

	for (size_t i = 0; i < instance->nfiles; i++)
		if (!strcmp(instance->files[i].name, name))
			return 0;
	grown = reallocarray(instance->files, instance->nfiles + 1,
			     sizeof(*grown));
	if (!grown)
		return -1;
	instance->files = grown;
	file.name = strdup(name);
	if (asprintf(&file.path, "%s/%s", dir->path, name) < 0)
		file.path = NULL;
	grown[instance->nfiles++] = file;
	return file.name && file.path ? 0 : -1;
}

static int disk_order(const void *a, const void *b)
{
	const struct rfs_disk *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int file_order(const void *a, const void *b)
{
	const struct rfs_instance_file *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* A compressed copy ("disk.gz") is one of the disk that its name without the
 * ending is.  NULL without memory. */
static char *disk_name(const char *file)
{
	return strndup(file, rfs_packed_strip(file, NULL));
}

static int add_name(const struct scan_group *group,
		    struct rfs_instance *instance, const struct scan_dir *dir,
		    const char *file)
{
	char *name = disk_name(file);
	int r = -1;

	if (name && is_disk(group, file))
		r = add_disk(instance, file);
	else if (name && is_disk(group, name))
		r = add_disk(instance, name);
	else if (name)
		r = add_file(instance, dir, file);
	free(name);
	return r;
}

/* Each name that any source has, as a disk or as another file. */
static int collect(const struct scan_group *group,
		   struct rfs_instance *instance)
{
	int r = 0;

	for (size_t i = 0; i < group->dirs.count; i++) {
		const struct scan_dir *dir = group->dirs.items[i];

		for (size_t j = 0; j < dir->files.count && r == 0; j++)
			r = add_name(group, instance, dir,
				     dir->files.items[j].name);
	}
	if (instance->ndisks)
		qsort(instance->disks, instance->ndisks,
		      sizeof(*instance->disks), disk_order);
	if (instance->nfiles)
		qsort(instance->files, instance->nfiles,
		      sizeof(*instance->files), file_order);
	return r;
}

/* A disk that a description names and nobody has must not just be absent. */
static void note_missing(struct rfs_notes *notes,
			 const struct rfs_instance *instance,
			 const struct scan_group *group,
			 const struct rfs_domain *domain)
{
	for (size_t i = 0; domain && i < domain->ndisks; i++) {
		const char *name = rfs_path_last(domain->disks[i].file);
		bool found = false;

		for (size_t j = 0; j < instance->ndisks; j++)
			found |= !strcmp(instance->disks[j].name, name);
		if (!found && is_inside(group, domain->disks[i].file))
			rfs_notes_add(notes,
				      "%s/%s: its domain has this disk, and no "
				      "source can find the file",
				      instance->tree_name, name);
	}
}

/* UUID/disk where the uuid is this instance's alone; else the place. */
static int make_id(const struct scan_group *group, struct rfs_disk *disk)
{
	const struct rfs_instance *instance = disk->instance;
	int n;

	if (instance->uuid && group->own_id)
		n = asprintf(&disk->id, "%s/%s", instance->uuid, disk->name);
	else
		n = asprintf(&disk->id, "%s:%s/%s", instance->host->name,
			     rfs_path_last(instance->dir), disk->name);
	if (n < 0)
		disk->id = NULL;
	return disk->id ? 0 : -1;
}

static bool is_rule_for(const struct rfs_disk_rule *rule,
			const struct rfs_disk *disk)
{
	const struct rfs_instance *instance = disk->instance;
	const char *names[] = { instance->tree_name, instance->id_name,
				instance->uuid };
	const char *last = rfs_path_last(rule->disk);
	size_t len = last > rule->disk ? (size_t)(last - rule->disk) - 1 : 0;

	if (!strcmp(rule->disk, disk->id))
		return true;
	if (instance->is_volumes)
		return !strcmp(rule->disk, disk->name) ||
		       (disk->uuid && !strcasecmp(rule->disk, disk->uuid));
	if (!len) {
		/* "[disk april-ci]" will do where it has one disk only. */
		len = strlen(rule->disk);
		last = instance->ndisks == 1 ? disk->name : "";
	}
	if (strcmp(last, disk->name) != 0)
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i] && strlen(names[i]) == len &&
		    !strncasecmp(names[i], rule->disk, len))
			return true;
	return false;
}

static const struct rfs_disk_rule *find_rule(const struct rfs_site *site,
					     const struct rfs_disk *disk)
{
	for (size_t i = 0; i < site->nrules; i++)
		if (is_rule_for(&site->rules[i], disk))
			return &site->rules[i];
	return NULL;
}

/* What one source's descriptions say. */
static const char *format_in(const struct scan_group *group,
			     const struct scan_dir *dir, const char *name,
			     const char **ret_by)
{
	const struct rfs_domain_disk *own, *defined;
	const char *format = rfs_disk_info_find(&dir->info, name);

	*ret_by = "disk.info";
	if (format)
		return format;
	own = find_described(group, dir->own, name);
	*ret_by = "libvirt.xml";
	if (own && own->format)
		return own->format;
	defined = find_described(group, dir->defined, name);
	*ret_by = "domain XML";
	return defined ? defined->format : NULL;
}

static void see_domain(struct rfs_disk *disk,
		       const struct rfs_domain_disk *said)
{
	if (!said)
		return;
	disk->is_in_domain = true;
	disk->is_unmapped = disk->is_unmapped || said->is_unmapped;
}

/* What the domains say of the disk's driver. */
static void see_domains(const struct scan_group *group, struct rfs_disk *disk)
{
	for (size_t i = 0; i < group->dirs.count; i++) {
		const struct scan_dir *dir = group->dirs.items[i];

		see_domain(disk, find_described(group, dir->own, disk->name));
		see_domain(disk,
			   find_described(group, dir->defined, disk->name));
	}
}

/* The user, then the copy's own source, then another source of the same
 * instance, then the layout.  Never the bytes (P9). */
static const char *format_of(const struct scan_group *group,
			     const struct scan_dir *dir,
			     const struct rfs_disk *disk, const char **ret_by)
{
	const char *format;

	*ret_by = "site file";
	if (disk->rule && disk->rule->format)
		return disk->rule->format;
	format = format_in(group, dir, disk->name, ret_by);
	for (size_t i = 0; i < group->dirs.count && !format; i++)
		format = format_in(group, group->dirs.items[i], disk->name,
				   ret_by);
	if (format)
		return format;
	*ret_by = strcmp(disk->name, "disk.config") ? "nothing" : "layout";
	return "raw";
}

/* No program is started for what a source says (P9). */
static enum rfs_format format_kind(const char *name, const char *by)
{
	if (!strcmp(name, "raw"))
		return RFS_FORMAT_RAW;
	if (!strcmp(name, "qcow2") || !strcmp(name, "qcow"))
		return RFS_FORMAT_QCOW2;
	if (!strcmp(by, "site file") && rfs_is_foreign_format(name))
		return RFS_FORMAT_FOREIGN;
	return RFS_FORMAT_OTHER;
}

/* Design, rule 2. */
static int64_t age_of(const struct rfs_source *source,
		      struct rfs_generation generation)
{
	int64_t age = rfs_source_as_of(source);

	if (source->kind == RFS_BACKUP &&
	    generation.mtime_ns != RFS_TIME_UNKNOWN &&
	    generation.mtime_ns < age)
		age = generation.mtime_ns;
	return age;
}

/* The file that a source has of a disk: itself, or else a compressed copy.  Of
 * several the first is read, as they are listed. */
static const struct scan_file *find_file(struct rfs_notes *notes,
					 const struct scan_dir *dir,
					 const struct rfs_disk *disk)
{
	const struct scan_file *file = rfs_scan_file(dir, disk->name);
	size_t len = strlen(disk->name);

	for (size_t i = 0; i < dir->files.count; i++) {
		const struct scan_file *other = &dir->files.items[i];

		if (other == file || strncmp(other->name, disk->name, len) ||
		    !other->name[len] ||
		    rfs_packed_strip(other->name, NULL) != len)
			continue;
		if (file)
			rfs_notes_add(notes,
				      "%s/%s: source %s has %s and %s; the "
				      "first is read",
				      disk->instance->tree_name, disk->name,
				      dir->source->origin.name, file->name,
				      other->name);
		else
			file = other;
	}
	return file;
}

static bool is_listed(const void *data, const char *path)
{
	return rfs_scan_file(data, rfs_path_last(path)) != NULL;
}

/* What the site file says of a copy's mapfile stands above what is found. */
static int say_mapfile(const struct rfs_disk_rule *rule, struct rfs_copy *copy)
{
	if (!rule || !rule->mapfile ||
	    strcmp(rule->map_source, copy->source->origin.name) != 0)
		return 0;
	free(copy->mapfile);
	copy->mapfile_said = true;
	copy->mapfile = NULL;
	if (!strcmp(rule->mapfile, "none"))
		return 0;
	copy->mapfile = strdup(rule->mapfile);
	return copy->mapfile ? 0 : -1;
}

static int add_copy(struct rfs_notes *notes, const struct scan_group *group,
		    const struct scan_dir *dir, struct rfs_disk *disk)
{
	const struct scan_file *file = find_file(notes, dir, disk);
	struct rfs_copy *grown, copy = { .source = dir->source };
	int r = 0;

	if (!file)
		return 0;
	grown = reallocarray(disk->copies, disk->ncopies + 1, sizeof(*grown));
	if (!grown)
		return -1;
	disk->copies = grown;
	copy.generation = file->generation;
	copy.as_of_ns = age_of(dir->source, file->generation);
	copy.format_name = strdup(format_of(group, dir, disk, &copy.format_by));
	if (asprintf(&copy.path, "%s/%s", dir->path, file->name) < 0)
		copy.path = NULL;
	if (strcmp(file->name, disk->name) != 0)
		rfs_packed_strip(file->name, &copy.packing);
	if (copy.format_name)
		copy.format = format_kind(copy.format_name, copy.format_by);
	if (!copy.path || !copy.format_name ||
	    rfs_mapfile_find(copy.path, is_listed, dir, notes, &copy.mapfile,
			     NULL) < 0 ||
	    say_mapfile(disk->rule, &copy) < 0)
		r = -1;
	disk->copies[disk->ncopies++] = copy;
	return r;
}

/* The place that the user gave a source, by its own name or its pattern's; those
 * not named come behind. */
static size_t preference(const struct rfs_disk_rule *rule,
			 const struct rfs_copy *copy)
{
	size_t i = 0;

	if (!rule || !rule->prefer)
		return 0;
	while (rule->prefer[i] &&
	       !rfs_source_is_called(copy->source, rule->prefer[i]))
		i++;
	return i;
}

/* A device of the damaged host: nothing tells when it was written last, and it
 * went on after its backups were taken. */
static bool is_timeless(const struct rfs_copy *copy)
{
	return copy->source->kind == RFS_DAMAGED && copy->place == RFS_VOLUME &&
	       copy->generation.mtime_ns == RFS_TIME_UNKNOWN;
}

static bool comes_before(const struct rfs_disk_rule *rule,
			 const struct rfs_copy *a, const struct rfs_copy *b)
{
	size_t pa = preference(rule, a), pb = preference(rule, b);

	if (pa != pb)
		return pa < pb;
	if (is_timeless(a) && b->source->kind == RFS_BACKUP)
		return true;
	if (is_timeless(b) && a->source->kind == RFS_BACKUP)
		return false;
	if (a->as_of_ns != b->as_of_ns)
		return a->as_of_ns > b->as_of_ns;
	return a->source->kind == RFS_DAMAGED && b->source->kind == RFS_BACKUP;
}

/* By insertion: few, and those that tie keep their order. */
static void sort_copies(struct rfs_disk *disk)
{
	for (size_t i = 1; i < disk->ncopies; i++) {
		struct rfs_copy copy = disk->copies[i];
		size_t at = i;

		for (; at > 0 &&
		       comes_before(disk->rule, &copy, &disk->copies[at - 1]);
		     at--)
			disk->copies[at] = disk->copies[at - 1];
		disk->copies[at] = copy;
	}
}

int rfs_scan_add_copy(const struct rfs_site *site, struct rfs_disk *disk,
		      const struct rfs_copy *copy)
{
	struct rfs_copy *grown, *added;

	disk->rule = find_rule(site, disk);
	grown = reallocarray(disk->copies, disk->ncopies + 1, sizeof(*grown));
	if (!grown)
		return -1;
	disk->copies = grown;
	added = &grown[disk->ncopies];
	*added = *copy;
	added->path = strdup(copy->path);
	added->format_by = "layout";
	/* What a server exports it has decoded. */
	if (copy->place == RFS_EXPORT)
		added->format_by = "export";
	else if (disk->rule && disk->rule->format)
		added->format_by = "site file";
	added->format_name = strdup(strcmp(added->format_by, "site file")
					    ? "raw"
					    : disk->rule->format);
	added->mapfile = copy->mapfile ? strdup(copy->mapfile) : NULL;
	if (!added->path || !added->format_name ||
	    !added->mapfile != !copy->mapfile ||
	    say_mapfile(disk->rule, added) < 0) {
		free(added->path);
		free(added->mapfile);
		free(added->format_name);
		return -1;
	}
	added->format = format_kind(added->format_name, added->format_by);
	added->as_of_ns = age_of(copy->source, copy->generation);
	disk->ncopies++;
	sort_copies(disk);
	return 0;
}

static void note_formats(struct rfs_notes *notes, const struct rfs_disk *disk)
{
	const char *name = disk->instance->tree_name;

	for (size_t i = 0; i < disk->ncopies; i++) {
		const struct rfs_copy *copy = &disk->copies[i];

		if (!strcmp(copy->format_by, "nothing"))
			rfs_notes_add(notes,
				      "%s/%s: nothing describes its format, so "
				      "it is read as raw; say 'format' in a "
				      "[disk] section if that is wrong",
				      name, disk->name);
		if (copy->format == RFS_FORMAT_OTHER)
			rfs_notes_add(notes,
				      "%s/%s: its format is %s by %s, which "
				      "this version does not read",
				      name, disk->name, copy->format_name,
				      copy->format_by);
		if (strcmp(copy->format_name, disk->copies[0].format_name))
			rfs_notes_add(notes,
				      "%s/%s: %s in source %s and %s in %s",
				      name, disk->name, copy->format_name,
				      copy->source->origin.name,
				      disk->copies[0].format_name,
				      disk->copies[0].source->origin.name);
	}
}

int rfs_scan_disks(struct rfs_site *site, const struct scan_group *group,
		   struct rfs_instance *instance, struct rfs_error *err)
{
	int r;

	r = collect(group, instance);
	for (size_t i = 0; i < instance->ndisks && r == 0; i++) {
		struct rfs_disk *disk = &instance->disks[i];

		r = make_id(group, disk);
		if (r < 0)
			break;
		disk->rule = find_rule(site, disk);
		see_domains(group, disk);
		for (size_t j = 0; j < group->dirs.count && r == 0; j++)
			r = add_copy(&site->notes, group, group->dirs.items[j],
				     disk);
		sort_copies(disk);
		if (r == 0)
			note_formats(&site->notes, disk);
	}
	if (r < 0)
		return rfs_no_memory(err);
	for (size_t i = 0; i < group->dirs.count; i++) {
		const struct scan_dir *dir = group->dirs.items[i];

		note_missing(&site->notes, instance, group, dir->own);
		note_missing(&site->notes, instance, group, dir->defined);
	}
	return 0;
}
