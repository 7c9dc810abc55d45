// SPDX-License-Identifier: GPL-3.0-or-later
/* site_keys.c - what each key of a site file says, by its section. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/vec.h"
#include "site/site_parse.h"
#include "site/site_path.h"

/* The place of 'value' in a blank-separated list, or an error that names it. */
static int choose(struct site_parse *p, const char *key, const char *value,
		  const char *list)
{
	char each[32];
	int n, at = 0;

	for (const char *q = list; sscanf(q, "%31s%n", each, &n) == 1;
	     q += n, at++)
		if (!strcmp(each, value))
			return at;
	return FAIL(p, p->line, "%s = %s: must be one of: %s", key, value,
		    list);
}

static int choose_fill(struct site_parse *p, const char *value)
{
	int fill = rfs_fill_parse(value);

	return fill >= 0 ? fill : choose(p, "fill", value, "all data none");
}

static int choose_heal(struct site_parse *p, const char *value)
{
	int heal = rfs_heal_parse(value);

	return heal >= 0 ? heal
			 : choose(p, "heal", value, "proved all guessed off");
}

static int choose_store(struct site_parse *p, const char *value)
{
	int mode = rfs_store_mode_parse(value);

	return mode >= 0 ? mode : choose(p, "store", value, "on auto off");
}

static int choose_deadline(struct site_parse *p, const char *value,
			   unsigned int *ret)
{
	int r = rfs_deadline_parse(value, ret, p->err);

	return r < 0 ? rfs_parse_fail_at(p, p->line, r) : 0;
}

static int site_key(struct site_parse *p, const char *key, const char *value)
{
	struct rfs_site *site = p->site;
	int chosen;

	if (!strcmp(key, "state")) {
		free(site->state_dir);
		site->state_dir = rfs_path_absolute(p->folder, value);
		return site->state_dir ? 0 : rfs_parse_no_memory(p);
	}
	if (!strcmp(key, "fill")) {
		chosen = choose_fill(p, value);
		if (chosen >= 0)
			site->fill = (enum rfs_fill)chosen;
		return chosen;
	}
	if (!strcmp(key, "heal")) {
		chosen = choose_heal(p, value);
		if (chosen >= 0)
			site->heal = (enum rfs_heal)chosen;
		return chosen;
	}
	if (!strcmp(key, "store")) {
		chosen = choose_store(p, value);
		if (chosen >= 0)
			site->store = (enum rfs_store_mode)chosen;
		return chosen;
	}
	if (!strcmp(key, "suspect")) {
		chosen = choose(p, key, value, "compare off");
		if (chosen >= 0)
			site->suspect = (enum rfs_suspect)chosen;
		return chosen;
	}
	if (!strcmp(key, "deadline"))
		return choose_deadline(p, value, &site->deadline_ms);
	chosen = choose(p, key, value, "eio zero");
	if (chosen >= 0)
		site->lost = (enum rfs_lost)chosen;
	return chosen;
}

static int source_path(struct site_parse *p, const char *key, const char *value)
{
	char **path = &p->root;

	if (!strcmp(key, "volumes"))
		path = &p->volumes;
	else if (!strcmp(key, "ceph_conf"))
		path = &p->ceph_conf;
	else if (!strcmp(key, "ceph_keyring"))
		path = &p->ceph_keyring;
	free(*path);
	*path = rfs_path_absolute(p->folder, value);
	return *path ? 0 : rfs_parse_no_memory(p);
}

static int source_key(struct site_parse *p, const char *key, const char *value)
{
	if (!strcmp(key, "kind")) {
		p->kind = choose(p, key, value, "damaged backup live");
		return p->kind;
	}
	if (!strcmp(key, "host"))
		return rfs_parse_keep(p, &p->host, value);
	if (!strcmp(key, "taken"))
		return rfs_parse_keep(p, &p->taken, value);
	if (!strcmp(key, "nbd"))
		return rfs_parse_keep(p, &p->nbd, value);
	if (!strcmp(key, "rbd"))
		return rfs_parse_keep(p, &p->rbd, value);
	if (!strcmp(key, "ceph_user"))
		return rfs_parse_keep(p, &p->ceph_user, value);
	if (!strcmp(key, "store")) {
		int r = choose_store(p, value);

		return r < 0 ? r : rfs_parse_keep(p, &p->store, value);
	}
	if (!strcmp(key, "deadline")) {
		unsigned int ms;
		int r = choose_deadline(p, value, &ms);

		return r < 0 ? r : rfs_parse_keep(p, &p->deadline, value);
	}
	return source_path(p, key, value);
}

static int prefer_key(struct site_parse *p, struct rfs_disk_rule *rule,
		      const char *value)
{
	RFS_CLEANUP_FREE char *copy = strdup(value);
	char *save = NULL;
	size_t n = 0;

	rule->prefer = calloc(strlen(value) / 2 + 2, sizeof(char *));
	if (!rule->prefer || !copy || RFS_VEC_ROOM(&p->prefers) < 0)
		return rfs_parse_no_memory(p);
	for (char *word = strtok_r(copy, " \t", &save); word;
	     word = strtok_r(NULL, " \t", &save)) {
		rule->prefer[n] = strdup(word);
		if (!rule->prefer[n++])
			return rfs_parse_no_memory(p);
	}
	p->prefers.items[p->prefers.count++] = (struct prefer_line){
		.rule = p->site->nrules - 1,
		.line = p->line,
	};
	return 0;
}

/* "SOURCE PATH", or "SOURCE none". */
static int mapfile_key(struct site_parse *p, struct rfs_disk_rule *rule,
		       const char *value)
{
	size_t word = strcspn(value, " \t");
	const char *path = value + word + strspn(value + word, " \t");

	if (!*path)
		return FAIL(p, p->line,
			    "mapfile = %s: must be a source and a path, or a "
			    "source and none",
			    value);
	rule->map_source = strndup(value, word);
	rule->mapfile = strcmp(path, "none")
				? rfs_path_absolute(p->folder, path)
				: strdup(path);
	return rule->map_source && rule->mapfile ? 0 : rfs_parse_no_memory(p);
}

/* False: there is no number, or it is too large.  *at is moved behind it. */
static bool take_number(const char **at, uint64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)**at))
		return false;
	errno = 0;
	*ret = strtoull(*at, &end, 0);
	*at = end;
	return errno == 0;
}

/* "INDEX OFFSET". */
static int table_key(struct site_parse *p, struct rfs_disk_rule *rule,
		     const char *value)
{
	struct rfs_qcow2_place place;
	const char *at = value;

	if (!take_number(&at, &place.index) || !isblank((unsigned char)*at))
		at = "?";
	at += strspn(at, " \t");
	if (!take_number(&at, &place.off) || *at ||
	    place.index >= RFS_QCOW2_PLACE_MAX || !place.off ||
	    place.off % RFS_SECTOR || place.off > RFS_SIZE_MAX)
		return FAIL(p, p->line,
			    "table = %s: must be the index of an L1 entry and "
			    "the offset of its L2 table in the image, in "
			    "bytes",
			    value);
	for (size_t i = 0; i < rule->tables.count; i++)
		if (rule->tables.items[i].index == place.index ||
		    rule->tables.items[i].off == place.off)
			return FAIL(p, p->line,
				    "table = %s: that entry or that table is "
				    "said twice",
				    value);
	if (RFS_VEC_ROOM(&rule->tables) < 0)
		return rfs_parse_no_memory(p);
	rule->tables.items[rule->tables.count++] = place;
	return 0;
}

/* What was written in its place may be a password: it is not printed. */
static int password_key(struct site_parse *p, struct rfs_disk_rule *rule,
			const char *key, const char *value)
{
	bool is_file = !strcmp(key, "password_file");

	if (!is_file && strcmp(value, "ask") != 0)
		return FAIL(p, p->line,
			    "password: a password does not stand in a site "
			    "file; say 'password_file = PATH' or 'password = "
			    "ask'");
	if (is_file ? rule->asks : rule->password_file != NULL)
		return FAIL(p, p->line,
			    "'password' and 'password_file' are both said");
	rule->asks = !is_file;
	if (!is_file)
		return 0;
	rule->password_file = rfs_path_absolute(p->folder, value);
	return rule->password_file ? 0 : rfs_parse_no_memory(p);
}

static int disk_key(struct site_parse *p, const char *key, const char *value)
{
	struct rfs_disk_rule *rule = &p->site->rules[p->site->nrules - 1];

	if (!strcmp(key, "prefer"))
		return prefer_key(p, rule, value);
	if (!strcmp(key, "mapfile"))
		return mapfile_key(p, rule, value);
	if (!strcmp(key, "table"))
		return table_key(p, rule, value);
	if (!strcmp(key, "format")) {
		int r = choose(p, key, value,
			       "raw qcow2 qcow vmdk vdi vhdx luks qcow2-luks");

		return r < 0 ? r : rfs_parse_keep(p, &rule->format, value);
	}
	if (!strcmp(key, "backing_format")) {
		int r = choose(p, key, value, "raw qcow2 qcow");

		return r < 0 ? r
			     : rfs_parse_keep(p, &rule->backing_format, value);
	}
	if (!strncmp(key, "password", 8))
		return password_key(p, rule, key, value);
	if (!strcmp(key, "fill")) {
		rule->fill = choose_fill(p, value);
		return rule->fill;
	}
	if (!strcmp(key, "heal")) {
		rule->heal = choose_heal(p, value);
		return rule->heal;
	}
	rule->lost = choose(p, key, value, "eio zero");
	return rule->lost;
}

static int base_key(struct site_parse *p, const char *key, const char *value)
{
	struct rfs_base_rule *rule = &p->site->bases[p->site->nbases - 1];

	if (!strcmp(key, "file")) {
		rule->file = rfs_path_absolute(p->folder, value);
		return rule->file ? 0 : rfs_parse_no_memory(p);
	}
	if (!strcmp(key, "format"))
		return choose(p, key, value, "raw qcow2") < 0
			       ? p->r
			       : rfs_parse_keep(p, &rule->format, value);
	for (int k = 0; k < RFS_CHECKSUMS; k++) {
		if (strcmp(key, rfs_checksum_name((enum rfs_checksum)k)) != 0)
			continue;
		if (!rfs_checksum_is_text((enum rfs_checksum)k, value))
			return FAIL(p, p->line, "%s = %s: is no such checksum",
				    key, value);
		return rfs_parse_keep(p, &rule->checksums[k], value);
	}
	return 0;
}

int rfs_parse_key(struct site_parse *p, const char *key, const char *value)
{
	if (p->section == SITE_SECTION)
		site_key(p, key, value);
	else if (p->section == SOURCE_SECTION)
		source_key(p, key, value);
	else if (p->section == BASE_SECTION)
		base_key(p, key, value);
	else if (p->section == EXPORT_SECTION)
		rfs_parse_keep(p, &p->site->exports[p->site->nexports - 1].disk,
			       value);
	else
		disk_key(p, key, value);
	return p->r;
}
