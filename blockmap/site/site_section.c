// SPDX-License-Identifier: GPL-3.0-or-later
/* site_section.c - the sections of a site file: what they are called, which keys
 * they have, and what each becomes when it ends. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "site/site_parse.h"
#include "site/site_words.h"

static const char *section_name(enum section section)
{
	static const char *const names[] = {
		[NO_SECTION] = "",	     [SITE_SECTION] = "site",
		[SOURCE_SECTION] = "source", [DISK_SECTION] = "disk",
		[EXPORT_SECTION] = "export", [BASE_SECTION] = "base",
	};

	return names[section];
}

static const char *section_keys(enum section section)
{
	static const char *const keys[] = {
		[NO_SECTION] = "",
		[SITE_SECTION] = "state fill lost store heal suspect deadline",
		[SOURCE_SECTION] = ("kind host root volumes nbd taken store "
				    "deadline rbd ceph_conf ceph_user "
				    "ceph_keyring"),
		[DISK_SECTION] = ("prefer format backing_format mapfile lost "
				  "fill heal password password_file table"),
		[EXPORT_SECTION] = "disk",
		[BASE_SECTION] = "file format md5 sha256 sha512",
	};

	return keys[section];
}

static int refuse_key(struct site_parse *p, const char *key)
{
	const char *section = section_name(p->section);
	char best[32];

	rfs_words_nearest(section_keys(p->section), key, best);
	return FAIL(p, p->line, "[%s] has no key '%s'; the nearest is '%s'",
		    section, key, best);
}

int rfs_parse_see_key(struct site_parse *p, const char *key)
{
	if (!rfs_words_has(section_keys(p->section), key))
		return refuse_key(p, key);
	/* The one that may be said for each of many. */
	if (!strcmp(key, "table"))
		return 0;
	for (size_t i = 0; i < p->nseen; i++)
		if (!strcmp(p->seen[i], key))
			return FAIL(p, p->line, "'%s' is said twice", key);
	/* Known keys are fewer than the room. */
	p->seen[p->nseen] = strdup(key);
	if (!p->seen[p->nseen])
		return rfs_parse_no_memory(p);
	p->nseen++;
	return 0;
}

static int finish_source(struct site_parse *p)
{
	struct rfs_source_spec spec = {
		.kind = (enum rfs_source_kind)p->kind,
		.root = p->root,
		.volumes = p->volumes,
		.nbd = p->nbd,
		.rbd = p->rbd,
		.ceph_conf = p->ceph_conf,
		.ceph_user = p->ceph_user,
		.ceph_keyring = p->ceph_keyring,
		.name = p->name,
		.host = p->host ? p->host : p->name,
		.taken = p->taken,
		.store = p->store,
		.deadline = p->deadline,
		.line = p->section_line,
	};
	int r;

	if (p->kind < 0)
		return FAIL(p, p->section_line,
			    "[source %s] needs a kind: damaged, backup or live",
			    p->name);
	r = rfs_site_add_source(p->site, &spec, p->err);
	return r < 0 ? rfs_parse_fail_at(p, p->section_line, r) : 0;
}

static void drop_source(struct site_parse *p)
{
	free(p->name);
	free(p->host);
	free(p->root);
	free(p->volumes);
	free(p->nbd);
	free(p->taken);
	free(p->store);
	free(p->deadline);
	free(p->rbd);
	free(p->ceph_conf);
	free(p->ceph_user);
	free(p->ceph_keyring);
	p->name = p->host = p->root = p->taken = p->store = NULL;
	p->volumes = p->nbd = p->deadline = NULL;
	p->rbd = p->ceph_conf = p->ceph_user = p->ceph_keyring = NULL;
	p->kind = -1;
}

void rfs_parse_drop_section(struct site_parse *p)
{
	drop_source(p);
	while (p->nseen)
		free(p->seen[--p->nseen]);
	p->section = NO_SECTION;
}

int rfs_parse_finish_section(struct site_parse *p)
{
	if (p->section == SOURCE_SECTION && p->r == 0)
		finish_source(p);
	if (p->section == EXPORT_SECTION && p->r == 0 &&
	    !p->site->exports[p->site->nexports - 1].disk)
		FAIL(p, p->section_line,
		     "[export %s] needs 'disk': which disk it is",
		     p->site->exports[p->site->nexports - 1].export);
	if (p->section == BASE_SECTION && p->r == 0 &&
	    !p->site->bases[p->site->nbases - 1].file)
		FAIL(p, p->section_line, "[base %s] needs a file",
		     p->site->bases[p->site->nbases - 1].name);
	rfs_parse_drop_section(p);
	return p->r;
}

static int begin_rule(struct site_parse *p, const char *disk)
{
	struct rfs_site *site = p->site;
	struct rfs_disk_rule *grown;

	for (size_t i = 0; i < site->nrules; i++)
		if (!strcmp(site->rules[i].disk, disk))
			return FAIL(p, p->line, "[disk %s] is said twice",
				    disk);
	grown = reallocarray(site->rules, site->nrules + 1, sizeof(*grown));
	if (!grown)
		return rfs_parse_no_memory(p);
	site->rules = grown;
	grown[site->nrules] = (struct rfs_disk_rule){
		.disk = strdup(disk),
		.lost = -1,
		.fill = -1,
		.heal = -1,
	};
	if (!grown[site->nrules].disk)
		return rfs_parse_no_memory(p);
	site->nrules++;
	p->section = DISK_SECTION;
	return 0;
}

static int begin_export(struct site_parse *p, const char *name)
{
	struct rfs_site *site = p->site;
	struct rfs_export_rule *grown;

	for (size_t i = 0; i < site->nexports; i++)
		if (!strcmp(site->exports[i].export, name))
			return FAIL(p, p->line, "[export %s] is said twice",
				    name);
	grown = reallocarray(site->exports, site->nexports + 1, sizeof(*grown));
	if (!grown)
		return rfs_parse_no_memory(p);
	site->exports = grown;
	grown[site->nexports] = (struct rfs_export_rule){ strdup(name), NULL };
	if (!grown[site->nexports].export)
		return rfs_parse_no_memory(p);
	site->nexports++;
	p->section = EXPORT_SECTION;
	return 0;
}

static int begin_base(struct site_parse *p, const char *name)
{
	struct rfs_site *site = p->site;
	struct rfs_base_rule *grown;

	for (size_t i = 0; i < site->nbases; i++)
		if (!strcmp(site->bases[i].name, name))
			return FAIL(p, p->line, "[base %s] is said twice",
				    name);
	grown = reallocarray(site->bases, site->nbases + 1, sizeof(*grown));
	if (!grown)
		return rfs_parse_no_memory(p);
	site->bases = grown;
	grown[site->nbases] = (struct rfs_base_rule){
		.name = strdup(name),
		.origin = { "by hand" },
	};
	if (!grown[site->nbases].name)
		return rfs_parse_no_memory(p);
	site->nbases++;
	p->section = BASE_SECTION;
	return 0;
}

/* A source of a pattern is called otherwise than its section. */
static bool is_source_said(const struct rfs_site *site, const char *name)
{
	const struct rfs_source *s;

	for (size_t i = 0; i < site->nsources; i++) {
		s = site->sources[i];
		if (!strcmp(s->section ? s->section : s->origin.name, name))
			return true;
	}
	return false;
}

static int begin_source(struct site_parse *p, const char *name)
{
	if (is_source_said(p->site, name))
		return FAIL(p, p->line, "[source %s] is said twice", name);
	p->section = SOURCE_SECTION;
	return rfs_parse_keep(p, &p->name, name);
}

static int begin_site(struct site_parse *p)
{
	if (p->site_seen)
		return FAIL(p, p->line, "[site] is said twice");
	p->site_seen = true;
	p->section = SITE_SECTION;
	return 0;
}

int rfs_parse_begin_section(struct site_parse *p, const char *text)
{
	size_t word = strcspn(text, " \t");
	const char *name = text + word + strspn(text + word, " \t");
	char first[32], best[32];

	snprintf(first, sizeof(first), "%.*s", (int)word, text);
	p->section_line = p->line;
	if (!strcmp(first, "site") && !*name)
		return begin_site(p);
	if (!strcmp(first, "site"))
		return FAIL(p, p->line, "[site] has no name: [%s]", text);
	if ((!strcmp(first, "source") || !strcmp(first, "disk") ||
	     !strcmp(first, "base")) &&
	    !*name)
		return FAIL(p, p->line, "[%s NAME] needs a name", first);
	if (!strcmp(first, "source"))
		return begin_source(p, name);
	if (!strcmp(first, "disk"))
		return begin_rule(p, name);
	if (!strcmp(first, "base"))
		return begin_base(p, name);
	if (!strcmp(first, "export"))
		return begin_export(p, name);
	rfs_words_nearest("site source disk export base", first, best);
	return FAIL(p, p->line, "there is no section [%s]; the nearest is [%s]",
		    text, best);
}
