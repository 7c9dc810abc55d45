// SPDX-License-Identifier: GPL-3.0-or-later
#include "tools/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/vec.h"
#include "site/names.h"
#include "site/site_path.h"

enum key {
	KEY_DAMAGED,
	KEY_BACKUP,
	KEY_LIVE,
	KEY_STATE,
	KEY_FILL,
	KEY_LOST,
	KEY_STORE,
	KEY_VOLUMES,
	KEY_HEAL,
	KEY_DEADLINE,
	KEYS,
};

static const char *const key_name[KEYS] = {
	[KEY_DAMAGED] = "damaged", [KEY_BACKUP] = "backup",
	[KEY_LIVE] = "live",	   [KEY_STATE] = "state",
	[KEY_FILL] = "fill",	   [KEY_LOST] = "lost",
	[KEY_STORE] = "store",	   [KEY_VOLUMES] = "volumes",
	[KEY_HEAL] = "heal",	   [KEY_DEADLINE] = "deadline",
};

struct rfs_setting {
	enum key key;
	char *value;
};

int rfs_settings_add(struct rfs_settings *settings, const char *name,
		     const char *value, struct rfs_error *err)
{
	struct rfs_setting *s;
	enum key key = 0;

	if (strcmp(name, "no-heal") == 0) {
		name = "heal";
		value = "off";
	}
	while (key < KEYS && strcmp(key_name[key], name) != 0)
		key++;
	if (key == KEYS)
		return rfs_fail(err, ENOENT, "%s: there is no such setting",
				name);
	if (!*value)
		return rfs_fail(err, EINVAL, "%s: a value is missing", name);
	if (RFS_VEC_ROOM(settings) < 0)
		return rfs_no_memory(err);
	s = &settings->items[settings->count];
	s->key = key;
	s->value = strdup(value);
	if (!s->value)
		return rfs_no_memory(err);
	settings->count++;
	return 0;
}

bool rfs_settings_has_source(const struct rfs_settings *settings)
{
	for (size_t i = 0; i < settings->count; i++)
		if (settings->items[i].key <= KEY_LIVE)
			return true;
	return false;
}

static int set_fill(struct rfs_site *site, const char *value,
		    struct rfs_error *err)
{
	int fill = rfs_fill_parse(value);

	if (fill < 0)
		return rfs_fail(err, EINVAL,
				"fill: %s is not one of all, data, none",
				value);
	site->fill = (enum rfs_fill)fill;
	return 0;
}

static int set_lost(struct rfs_site *site, const char *value,
		    struct rfs_error *err)
{
	if (strcmp(value, "eio") == 0)
		site->lost = RFS_LOST_EIO;
	else if (strcmp(value, "zero") == 0)
		site->lost = RFS_LOST_ZERO;
	else
		return rfs_fail(err, EINVAL, "lost: %s is not one of eio, zero",
				value);
	return 0;
}

static int set_store(struct rfs_site *site, const char *value,
		     struct rfs_error *err)
{
	int mode = rfs_store_mode_parse(value);

	if (mode < 0)
		return rfs_fail(err, EINVAL,
				"store: %s is not one of on, auto, off", value);
	site->store = (enum rfs_store_mode)mode;
	return 0;
}

static int set_heal(struct rfs_site *site, const char *value,
		    struct rfs_error *err)
{
	int heal = rfs_heal_parse(value);

	if (heal < 0)
		return rfs_fail(
			err, EINVAL,
			"heal: %s is not one of proved, all, guessed, off",
			value);
	site->heal = (enum rfs_heal)heal;
	return 0;
}

static int set_state(struct rfs_site *site, const char *value,
		     struct rfs_error *err)
{
	char *dir = rfs_path_absolute(NULL, value);

	if (!dir)
		return rfs_no_memory(err);
	free(site->state_dir);
	site->state_dir = dir;
	return 0;
}

static int apply(struct rfs_site *site, const struct rfs_setting *s,
		 struct rfs_error *err)
{
	switch (s->key) {
	case KEY_DAMAGED:
		return rfs_site_add_option(site, RFS_DAMAGED, s->value, err);
	case KEY_BACKUP:
		return rfs_site_add_option(site, RFS_BACKUP, s->value, err);
	case KEY_LIVE:
		return rfs_site_add_option(site, RFS_LIVE, s->value, err);
	case KEY_STATE:
		return set_state(site, s->value, err);
	case KEY_FILL:
		return set_fill(site, s->value, err);
	case KEY_HEAL:
		return set_heal(site, s->value, err);
	case KEY_STORE:
		return set_store(site, s->value, err);
	case KEY_DEADLINE:
		return rfs_deadline_parse(s->value, &site->deadline_ms, err);
	case KEY_VOLUMES:
		return rfs_site_add_volumes(site, s->value, err);
	default:
		return set_lost(site, s->value, err);
	}
}

/* Of the options that say a source, one must stand before it. */
static int check_order(const struct rfs_settings *settings, size_t i,
		       struct rfs_error *err)
{
	if (settings->items[i].key != KEY_VOLUMES)
		return 0;
	for (size_t j = 0; j < i; j++)
		if (settings->items[j].key <= KEY_LIVE)
			return 0;
	return rfs_fail(err, EINVAL,
			"--volumes %s: stands behind the source whose they "
			"are, as in --damaged DIR --volumes %s",
			settings->items[i].value, settings->items[i].value);
}

/* The same again, in the order it was said. */
static char *say(const struct rfs_settings *settings, const char *file)
{
	RFS_CLEANUP_FREE char *site = file ? rfs_text_shell(file) : NULL;
	char *text = NULL, *value;
	size_t len;
	FILE *out = file && !site ? NULL : open_memstream(&text, &len);

	if (!out)
		return NULL;
	if (site)
		fprintf(out, " %s", site);
	for (size_t i = 0; i < settings->count; i++) {
		value = rfs_text_shell(settings->items[i].value);
		fprintf(out, " --%s %s", key_name[settings->items[i].key],
			value ? value : "");
		free(value);
	}
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

int rfs_settings_apply(const struct rfs_settings *settings, const char *file,
		       struct rfs_site *site, struct rfs_error *err)
{
	int r = file ? rfs_site_load(site, file, err) : 0;

	if (r == 0 && !file && !rfs_settings_has_source(settings))
		r = rfs_fail(err, EINVAL,
			     "no source: name a site file, or say --damaged "
			     "DIR and --backup DIR");
	for (size_t i = 0; i < settings->count && r == 0; i++) {
		r = check_order(settings, i, err);
		if (r == 0)
			r = apply(site, &settings->items[i], err);
	}
	if (r == 0) {
		site->said = say(settings, file);
		r = site->said ? 0 : rfs_no_memory(err);
	}
	return r;
}

void rfs_settings_fini(struct rfs_settings *settings)
{
	for (size_t i = 0; i < settings->count; i++)
		free(settings->items[i].value);
	free(settings->items);
	*settings = (struct rfs_settings){ 0 };
}
