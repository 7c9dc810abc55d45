// SPDX-License-Identifier: GPL-3.0-or-later
/* A site written back as a site file: what --write gives. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "site/site.h"

/* A value that would be read back as another: the reader trims blanks, ends a
 * value at " ;" and a line at its end. */
static int check_value(const char *key, const char *value,
		       struct rfs_error *err)
{
	size_t len = strlen(value);
	bool bad = !len || isspace((unsigned char)value[0]) ||
		   isspace((unsigned char)value[len - 1]) || value[0] == ';' ||
		   strpbrk(value, "\r\n");

	for (const char *p = value; *p && !bad; p++)
		bad = isspace((unsigned char)*p) && p[1] == ';';
	if (bad)
		return rfs_fail(err, EINVAL,
				"%s = %s: cannot be written in a site file",
				key, value);
	return 0;
}

static void print_deadline(unsigned int ms, FILE *out)
{
	if (ms)
		fprintf(out, "deadline = %u%s\n", ms % 1000 ? ms : ms / 1000,
			ms % 1000 ? "ms" : "s");
}

/* Images and users are words, as they were checked. */
static void print_cluster(const struct rfs_source *source, FILE *out)
{
	if (source->rbd)
		fprintf(out, "rbd   = %s\n", source->rbd);
	if (source->ceph_conf)
		fprintf(out, "ceph_conf = %s\n", source->ceph_conf);
	if (source->ceph_user)
		fprintf(out, "ceph_user = %s\n", source->ceph_user);
	if (source->ceph_keyring)
		fprintf(out, "ceph_keyring = %s\n", source->ceph_keyring);
}

static int print_source(const struct rfs_source *source, FILE *out,
			struct rfs_error *err)
{
	char taken[RFS_TIME_TEXT];
	int r;

	r = source->root ? check_value("root", source->root, err) : 0;
	if (r == 0 && source->volumes)
		r = check_value("volumes", source->volumes, err);
	if (r == 0 && source->nbd)
		r = check_value("nbd", source->nbd, err);
	if (r == 0 && source->ceph_conf)
		r = check_value("ceph_conf", source->ceph_conf, err);
	if (r == 0 && source->ceph_keyring)
		r = check_value("ceph_keyring", source->ceph_keyring, err);
	if (r < 0)
		return r;
	fprintf(out, "\n[source %s]\n", source->origin.name);
	fprintf(out, "kind  = %s\n", rfs_source_kind_name(source->kind));
	fprintf(out, "host  = %s\n", source->host);
	if (source->root)
		fprintf(out, "root  = %s\n", source->root);
	if (source->volumes)
		fprintf(out, "volumes = %s\n", source->volumes);
	if (source->nbd)
		fprintf(out, "nbd   = %s\n", source->nbd);
	print_cluster(source, out);
	if (source->store >= 0)
		fprintf(out, "store = %s\n",
			rfs_store_mode_name(
				(enum rfs_store_mode)source->store));
	print_deadline(source->deadline_ms, out);
	if (source->taken_ns != RFS_TIME_UNKNOWN) {
		rfs_time_print(source->taken_ns, taken);
		fprintf(out, "taken = %s\n", taken);
	}
	return 0;
}

static const char *lost_name(int lost)
{
	return lost == RFS_LOST_ZERO ? "zero" : "eio";
}

/* What names it first; 'rule' has a list that ends with NULL. */
static const char *called_first(const struct rfs_disk_rule *rule,
				const struct rfs_source *source)
{
	char **name = rule->prefer;

	while (*name && !rfs_source_is_called(source, *name))
		name++;
	return *name;
}

/* The freshest of those that 'name' stands for and that are older than 'than',
 * or as old and said after it; NULL: no more. */
static const struct rfs_source *next_called(const struct rfs_site *site,
					    const struct rfs_disk_rule *rule,
					    const char *name,
					    const struct rfs_source *than)
{
	const struct rfs_source *s, *best = NULL;
	bool is_behind = false;

	for (size_t i = 0; i < site->nsources; i++) {
		s = site->sources[i];
		if (s == than) {
			is_behind = true;
			continue;
		}
		if (called_first(rule, s) != name ||
		    (than && rfs_source_as_of(s) > rfs_source_as_of(than)) ||
		    (than && rfs_source_as_of(s) == rfs_source_as_of(than) &&
		     !is_behind))
			continue;
		if (!best || rfs_source_as_of(s) > rfs_source_as_of(best))
			best = s;
	}
	return best;
}

/* The sources of a pattern are sections of their own in what is written. */
static void print_prefer(const struct rfs_site *site,
			 const struct rfs_disk_rule *rule, FILE *out)
{
	const struct rfs_source *s;

	fprintf(out, "prefer =");
	for (char **name = rule->prefer; *name; name++)
		for (s = NULL; (s = next_called(site, rule, *name, s));)
			fprintf(out, " %s", s->origin.name);
	fprintf(out, "\n");
}

static void print_rule(const struct rfs_site *site,
		       const struct rfs_disk_rule *rule, FILE *out)
{
	fprintf(out, "\n[disk %s]\n", rule->disk);
	if (rule->prefer)
		print_prefer(site, rule, out);
	if (rule->format)
		fprintf(out, "format = %s\n", rule->format);
	if (rule->backing_format)
		fprintf(out, "backing_format = %s\n", rule->backing_format);
	if (rule->password_file)
		fprintf(out, "password_file = %s\n", rule->password_file);
	if (rule->asks)
		fprintf(out, "password = ask\n");
	if (rule->mapfile)
		fprintf(out, "mapfile = %s %s\n", rule->map_source,
			rule->mapfile);
	if (rule->fill >= 0)
		fprintf(out, "fill   = %s\n",
			rfs_fill_name((enum rfs_fill)rule->fill));
	if (rule->heal >= 0)
		fprintf(out, "heal   = %s\n",
			rfs_heal_name((enum rfs_heal)rule->heal));
	for (size_t i = 0; i < rule->tables.count; i++)
		fprintf(out, "table = %" PRIu64 " %" PRIu64 "\n",
			rule->tables.items[i].index, rule->tables.items[i].off);
	if (rule->lost >= 0)
		fprintf(out, "lost   = %s\n", lost_name(rule->lost));
}

static int print_base(const struct rfs_base_rule *rule, FILE *out,
		      struct rfs_error *err)
{
	fprintf(out, "\n[base %s]\nfile = %s\n", rule->name, rule->file);
	if (rule->format)
		fprintf(out, "format = %s\n", rule->format);
	for (int k = 0; k < RFS_CHECKSUMS; k++)
		if (rule->checksums[k])
			fprintf(out, "%s = %s\n",
				rfs_checksum_name((enum rfs_checksum)k),
				rule->checksums[k]);
	return check_value("file", rule->file, err);
}

static int print_site(const struct rfs_site *site, FILE *out,
		      struct rfs_error *err)
{
	int r = 0;

	fprintf(out, "[site]\n");
	if (site->state_dir) {
		r = check_value("state", site->state_dir, err);
		fprintf(out, "state = %s\n", site->state_dir);
	}
	fprintf(out, "fill  = %s\n", rfs_fill_name(site->fill));
	fprintf(out, "lost  = %s\n", lost_name((int)site->lost));
	fprintf(out, "store = %s\n", rfs_store_mode_name(site->store));
	fprintf(out, "heal  = %s\n", rfs_heal_name(site->heal));
	fprintf(out, "suspect = %s\n", rfs_suspect_name(site->suspect));
	print_deadline(site->deadline_ms, out);
	for (size_t i = 0; i < site->nsources && r == 0; i++)
		r = print_source(site->sources[i], out, err);
	for (size_t i = 0; i < site->nrules && r == 0; i++)
		print_rule(site, &site->rules[i], out);
	for (size_t i = 0; i < site->nexports && r == 0; i++)
		fprintf(out, "\n[export %s]\ndisk = %s\n",
			site->exports[i].export, site->exports[i].disk);
	for (size_t i = 0; i < site->nbases && r == 0; i++)
		r = print_base(&site->bases[i], out, err);
	return r;
}

int rfs_site_print(const struct rfs_site *site, char **ret_text,
		   struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	int r;

	if (!out)
		return rfs_no_memory(err);
	r = print_site(site, out, err);
	if (fclose(out) != 0 && r == 0)
		r = rfs_no_memory(err);
	if (r < 0)
		return r;
	*ret_text = text;
	text = NULL;
	return 0;
}
