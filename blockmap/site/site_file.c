// SPDX-License-Identifier: GPL-3.0-or-later
/* site_file.c - reading a site file.
 *
 * inih splits the lines, but it forgets what this needs: it cuts a section's
 * name at 50 bytes (a uuid and "/disk.local" are 52), passes over a section
 * without keys, and does not tell the line.  So the lines pass through a
 * reader of our own on their way to it, which counts them and sees each
 * section begin.
 */
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/vec.h"
#include "site/site.h"
#include "site/site_path.h"
#include "site/site_words.h"

/* Room for a path as long as the kernel takes, and its key. */
#define LINE_MAX_LEN 4352

enum section {
	NO_SECTION,
	SITE_SECTION,
	SOURCE_SECTION,
	DISK_SECTION,
	EXPORT_SECTION,
	BASE_SECTION,
};

struct prefer_line {
	size_t rule;
	unsigned line;
};

struct parse {
	struct rfs_site *site;
	const char *path;
	char *folder; /* of the site file, absolute */
	FILE *file;
	unsigned line;
	enum section section;
	unsigned section_line;
	bool site_seen;
	char *seen[16]; /* keys of this section */
	size_t nseen;
	/* The [source] being read; the strings are owned here. */
	int kind;
	char *name, *host, *root, *volumes, *nbd, *taken, *store, *deadline;
	char *rbd, *ceph_conf, *ceph_user, *ceph_keyring;
	/* Where each rule's 'prefer' stands. */
	struct {
		struct prefer_line *items;
		size_t count, room;
	} prefers;
	int r; /* the first failure; nothing is done after it */
	struct rfs_error *err;
};

#define FAIL(p, at, ...) fail_at(p, at, rfs_fail((p)->err, EINVAL, __VA_ARGS__))

static int fail_at(struct parse *p, unsigned line, int r)
{
	p->r = rfs_context(p->err, r, "%s:%u", p->path, line);
	return p->r;
}

static int no_memory(struct parse *p)
{
	p->r = rfs_no_memory(p->err);
	return p->r;
}

static const char *section_name(enum section section)
{
	static const char *const names[] = { "",     "site",   "source",
					     "disk", "export", "base" };

	return names[section];
}

static const char *section_keys(enum section section)
{
	static const char *const keys[] = {
		"",
		"state fill lost store heal suspect deadline",
		("kind host root volumes nbd taken store deadline rbd "
		 "ceph_conf "
		 "ceph_user ceph_keyring"),
		("prefer format backing_format mapfile lost fill heal password "
		 "password_file table"),
		"disk",
		"file format md5 sha256 sha512"
	};

	return keys[section];
}

/* Keys that the format has, and this version does not read. */
static const char *section_later(enum section section)
{
	static const char *const keys[] = { "", "", "", "", "", "" };

	return keys[section];
}

static int refuse_key(struct parse *p, const char *key)
{
	const char *section = section_name(p->section);
	char best[32];

	if (rfs_words_has(section_later(p->section), key))
		return FAIL(p, p->line, "'%s' is not supported by this version",
			    key);
	rfs_words_nearest(section_keys(p->section), key, best);
	return FAIL(p, p->line, "[%s] has no key '%s'; the nearest is '%s'",
		    section, key, best);
}

static int see_key(struct parse *p, const char *key)
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
		return no_memory(p);
	p->nseen++;
	return 0;
}

/* The place of 'value' in a blank-separated list, or an error that names it. */
static int choose(struct parse *p, const char *key, const char *value,
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

static int choose_fill(struct parse *p, const char *value)
{
	int fill = rfs_fill_parse(value);

	return fill >= 0 ? fill : choose(p, "fill", value, "all data none");
}

static int choose_heal(struct parse *p, const char *value)
{
	int heal = rfs_heal_parse(value);

	return heal >= 0 ? heal
			 : choose(p, "heal", value, "proved all guessed off");
}

static int keep(struct parse *p, char **field, const char *value)
{
	free(*field);
	*field = strdup(value);
	return *field ? 0 : no_memory(p);
}

static int choose_store(struct parse *p, const char *value)
{
	int mode = rfs_store_mode_parse(value);

	return mode >= 0 ? mode : choose(p, "store", value, "on auto off");
}

static int choose_deadline(struct parse *p, const char *value,
			   unsigned int *ret)
{
	int r = rfs_deadline_parse(value, ret, p->err);

	return r < 0 ? fail_at(p, p->line, r) : 0;
}

static int site_key(struct parse *p, const char *key, const char *value)
{
	struct rfs_site *site = p->site;
	int chosen;

	if (!strcmp(key, "state")) {
		free(site->state_dir);
		site->state_dir = rfs_path_absolute(p->folder, value);
		return site->state_dir ? 0 : no_memory(p);
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

static int source_path(struct parse *p, const char *key, const char *value)
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
	return *path ? 0 : no_memory(p);
}

static int source_key(struct parse *p, const char *key, const char *value)
{
	if (!strcmp(key, "kind")) {
		p->kind = choose(p, key, value, "damaged backup live");
		return p->kind;
	}
	if (!strcmp(key, "host"))
		return keep(p, &p->host, value);
	if (!strcmp(key, "taken"))
		return keep(p, &p->taken, value);
	if (!strcmp(key, "nbd"))
		return keep(p, &p->nbd, value);
	if (!strcmp(key, "rbd"))
		return keep(p, &p->rbd, value);
	if (!strcmp(key, "ceph_user"))
		return keep(p, &p->ceph_user, value);
	if (!strcmp(key, "store")) {
		int r = choose_store(p, value);

		return r < 0 ? r : keep(p, &p->store, value);
	}
	if (!strcmp(key, "deadline")) {
		unsigned int ms;
		int r = choose_deadline(p, value, &ms);

		return r < 0 ? r : keep(p, &p->deadline, value);
	}
	return source_path(p, key, value);
}

static int prefer_key(struct parse *p, struct rfs_disk_rule *rule,
		      const char *value)
{
	RFS_CLEANUP_FREE char *copy = strdup(value);
	char *save = NULL;
	size_t n = 0;

	rule->prefer = calloc(strlen(value) / 2 + 2, sizeof(char *));
	if (!rule->prefer || !copy || RFS_VEC_ROOM(&p->prefers) < 0)
		return no_memory(p);
	for (char *word = strtok_r(copy, " \t", &save); word;
	     word = strtok_r(NULL, " \t", &save)) {
		rule->prefer[n] = strdup(word);
		if (!rule->prefer[n++])
			return no_memory(p);
	}
	p->prefers.items[p->prefers.count++] = (struct prefer_line){
		.rule = p->site->nrules - 1,
		.line = p->line,
	};
	return 0;
}

/* "SOURCE PATH", or "SOURCE none". */
static int mapfile_key(struct parse *p, struct rfs_disk_rule *rule,
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
	return rule->map_source && rule->mapfile ? 0 : no_memory(p);
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
static int table_key(struct parse *p, struct rfs_disk_rule *rule,
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
		return no_memory(p);
	rule->tables.items[rule->tables.count++] = place;
	return 0;
}

/* What was written in its place may be a password: it is not printed. */
static int password_key(struct parse *p, struct rfs_disk_rule *rule,
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
	return rule->password_file ? 0 : no_memory(p);
}

static int disk_key(struct parse *p, const char *key, const char *value)
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

		return r < 0 ? r : keep(p, &rule->format, value);
	}
	if (!strcmp(key, "backing_format")) {
		int r = choose(p, key, value, "raw qcow2 qcow");

		return r < 0 ? r : keep(p, &rule->backing_format, value);
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

static int base_key(struct parse *p, const char *key, const char *value)
{
	struct rfs_base_rule *rule = &p->site->bases[p->site->nbases - 1];

	if (!strcmp(key, "file")) {
		rule->file = rfs_path_absolute(p->folder, value);
		return rule->file ? 0 : no_memory(p);
	}
	if (!strcmp(key, "format"))
		return choose(p, key, value, "raw qcow2") < 0
			       ? p->r
			       : keep(p, &rule->format, value);
	for (int k = 0; k < RFS_CHECKSUMS; k++) {
		if (strcmp(key, rfs_checksum_name((enum rfs_checksum)k)) != 0)
			continue;
		if (!rfs_checksum_is_text((enum rfs_checksum)k, value))
			return FAIL(p, p->line, "%s = %s: is no such checksum",
				    key, value);
		return keep(p, &rule->checksums[k], value);
	}
	return 0;
}

/* inih's handler: its section may be cut short, ours is not. */
static int handle(void *data, const char *section, const char *key,
		  const char *value)
{
	struct parse *p = data;

	(void)section;
	if (p->r < 0)
		return 0;
	if (p->section == NO_SECTION)
		FAIL(p, p->line, "'%s' stands before any section", key);
	else if (!*value)
		FAIL(p, p->line, "'%s' has no value", key);
	if (p->r < 0 || see_key(p, key) < 0)
		return 0;
	if (p->section == SITE_SECTION)
		site_key(p, key, value);
	else if (p->section == SOURCE_SECTION)
		source_key(p, key, value);
	else if (p->section == BASE_SECTION)
		base_key(p, key, value);
	else if (p->section == EXPORT_SECTION)
		keep(p, &p->site->exports[p->site->nexports - 1].disk, value);
	else
		disk_key(p, key, value);
	return p->r == 0;
}

static int finish_source(struct parse *p)
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
	return r < 0 ? fail_at(p, p->section_line, r) : 0;
}

static void drop_source(struct parse *p)
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

static void drop_section(struct parse *p)
{
	drop_source(p);
	while (p->nseen)
		free(p->seen[--p->nseen]);
	p->section = NO_SECTION;
}

static int finish_section(struct parse *p)
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
	drop_section(p);
	return p->r;
}

static int begin_rule(struct parse *p, const char *disk)
{
	struct rfs_site *site = p->site;
	struct rfs_disk_rule *grown;

	for (size_t i = 0; i < site->nrules; i++)
		if (!strcmp(site->rules[i].disk, disk))
			return FAIL(p, p->line, "[disk %s] is said twice",
				    disk);
	grown = reallocarray(site->rules, site->nrules + 1, sizeof(*grown));
	if (!grown)
		return no_memory(p);
	site->rules = grown;
	grown[site->nrules] = (struct rfs_disk_rule){
		.disk = strdup(disk),
		.lost = -1,
		.fill = -1,
		.heal = -1,
	};
	if (!grown[site->nrules].disk)
		return no_memory(p);
	site->nrules++;
	p->section = DISK_SECTION;
	return 0;
}

static int begin_export(struct parse *p, const char *name)
{
	struct rfs_site *site = p->site;
	struct rfs_export_rule *grown;

	for (size_t i = 0; i < site->nexports; i++)
		if (!strcmp(site->exports[i].export, name))
			return FAIL(p, p->line, "[export %s] is said twice",
				    name);
	grown = reallocarray(site->exports, site->nexports + 1, sizeof(*grown));
	if (!grown)
		return no_memory(p);
	site->exports = grown;
	grown[site->nexports] = (struct rfs_export_rule){ strdup(name), NULL };
	if (!grown[site->nexports].export)
		return no_memory(p);
	site->nexports++;
	p->section = EXPORT_SECTION;
	return 0;
}

static int begin_base(struct parse *p, const char *name)
{
	struct rfs_site *site = p->site;
	struct rfs_base_rule *grown;

	for (size_t i = 0; i < site->nbases; i++)
		if (!strcmp(site->bases[i].name, name))
			return FAIL(p, p->line, "[base %s] is said twice",
				    name);
	grown = reallocarray(site->bases, site->nbases + 1, sizeof(*grown));
	if (!grown)
		return no_memory(p);
	site->bases = grown;
	grown[site->nbases] = (struct rfs_base_rule){
		.name = strdup(name),
		.origin = { "by hand" },
	};
	if (!grown[site->nbases].name)
		return no_memory(p);
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

static int begin_source(struct parse *p, const char *name)
{
	if (is_source_said(p->site, name))
		return FAIL(p, p->line, "[source %s] is said twice", name);
	p->section = SOURCE_SECTION;
	return keep(p, &p->name, name);
}

static int begin_site(struct parse *p)
{
	if (p->site_seen)
		return FAIL(p, p->line, "[site] is said twice");
	p->site_seen = true;
	p->section = SITE_SECTION;
	return 0;
}

static int begin_section(struct parse *p, const char *text)
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
	if (!strcmp(first, "others") || !strcmp(first, "volume"))
		return FAIL(p, p->line, "[%s] is not supported by this version",
			    first);
	rfs_words_nearest("site source disk export base", first, best);
	return FAIL(p, p->line, "there is no section [%s]; the nearest is [%s]",
		    text, best);
}

/* "[disk x]" with blanks and a comment behind it. */
static int see_section(struct parse *p, char *line)
{
	char *end = strchr(line, ']'), *text = line + 1;

	if (finish_section(p) < 0)
		return p->r;
	if (!end)
		return FAIL(p, p->line, "a section's name ends with ']'");
	*end = '\0';
	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	while (isspace((unsigned char)*text))
		text++;
	return begin_section(p, text);
}

/* inih's reader.  Blanks in front are taken off, which would make a line the
 * continuation of the one before: there is no such thing here. */
static char *next_line(char *buf, int room, void *data)
{
	struct parse *p = data;
	size_t blanks, len;

	if (p->r < 0 || !fgets(buf, room, p->file))
		return NULL;
	p->line++;
	len = strlen(buf);
	if (len + 1 >= (size_t)room && buf[len - 1] != '\n') {
		FAIL(p, p->line, "the line is too long");
		return NULL;
	}
	blanks = strspn(buf, " \t");
	/* A byte order mark is no text. */
	if (p->line == 1 && !strncmp(buf, "\xEF\xBB\xBF", 3))
		blanks = 3;
	memmove(buf, buf + blanks, len - blanks + 1);
	if (*buf == '[') {
		char copy[LINE_MAX_LEN];

		snprintf(copy, sizeof(copy), "%s", buf);
		if (see_section(p, copy) < 0)
			return NULL;
		/* Whatever its length, inih sees a section that it can keep. */
		snprintf(buf, (size_t)room, "[s]\n");
	}
	return buf;
}

/* By its own name or that of its pattern. */
static const struct rfs_source *find_called(const struct rfs_site *site,
					    const char *name)
{
	for (size_t i = 0; i < site->nsources; i++)
		if (rfs_source_is_called(site->sources[i], name))
			return site->sources[i];
	return NULL;
}

/* A mapfile is of one copy, so a pattern's name is not enough. */
static int check_map_source(struct parse *p, const struct rfs_disk_rule *rule)
{
	const char *name = rule->map_source;
	const struct rfs_source *one;

	if (!name || rfs_site_find_source(p->site, name))
		return 0;
	one = find_called(p->site, name);
	if (one)
		return FAIL(p, p->line,
			    "[disk %s]: mapfile: '%s' is a pattern of several "
			    "sources; name one, such as '%s'",
			    rule->disk, name, one->origin.name);
	return FAIL(p, p->line, "[disk %s]: mapfile: there is no source '%s'",
		    rule->disk, name);
}

static int check_sources(struct parse *p)
{
	for (size_t i = 0; i < p->site->nrules; i++)
		if (check_map_source(p, &p->site->rules[i]) < 0)
			return p->r;
	for (size_t i = 0; i < p->prefers.count; i++) {
		struct prefer_line at = p->prefers.items[i];
		char **name = p->site->rules[at.rule].prefer;

		for (; *name; name++)
			if (!find_called(p->site, *name))
				return FAIL(p, at.line,
					    "prefer: there is no source '%s'",
					    *name);
	}
	return 0;
}

static int parse_all(struct parse *p)
{
	int at;

	/* Debian's inih takes these at run time; its default of 200 bytes a
	 * line is too few for a path. */
	ini_max_line = LINE_MAX_LEN;
	ini_use_stack = true;
	at = ini_parse_stream(next_line, p, handle, p);
	if (p->r == 0 && at > 0)
		FAIL(p, (unsigned)at, "neither a [section] nor 'key = value'");
	if (p->r == 0 && at < 0)
		no_memory(p);
	if (p->r == 0 && ferror(p->file))
		p->r = rfs_fail(p->err, EIO, "%s: cannot be read", p->path);
	if (finish_section(p) == 0)
		check_sources(p);
	return p->r;
}

/* "/etc/rescuefs/bm0002.conf" is the site bm0002. */
static int name_site(struct parse *p)
{
	const char *last = rfs_path_last(p->path);
	size_t len = strlen(last);

	if (len > 5 && !strcmp(last + len - 5, ".conf"))
		len -= 5;
	free(p->site->name);
	p->site->name = strndup(last, len);
	p->site->name_made = false;
	return p->site->name ? 0 : no_memory(p);
}

static int find_folder(struct parse *p)
{
	RFS_CLEANUP_FREE char *path = rfs_path_absolute(NULL, p->path);
	size_t len;

	if (!path)
		return no_memory(p);
	len = (size_t)(rfs_path_last(path) - path);
	p->folder = strndup(path, len > 1 ? len - 1 : len);
	return p->folder ? 0 : no_memory(p);
}

int rfs_site_load(struct rfs_site *site, const char *path,
		  struct rfs_error *err)
{
	RFS_CLEANUP_FILE FILE *file = fopen(path, "re");
	struct parse p = {
		.site = site,
		.path = path,
		.file = file,
		.kind = -1,
		.err = err,
	};

	if (!file)
		return rfs_fail(err, errno, "%s: %s", path, strerror(errno));
	if (find_folder(&p) == 0 && name_site(&p) == 0)
		parse_all(&p);
	drop_section(&p);
	free(p.prefers.items);
	free(p.folder);
	return p.r;
}
