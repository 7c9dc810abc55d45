// SPDX-License-Identifier: GPL-3.0-or-later
/* How a fetch is told of in text, between a mount and who asks it, and to the
 * user. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "site/fetching.h"
#include "site/json_text.h"

#define SECOND INT64_C(1000000000)

uint64_t rfs_fetching_average(const struct rfs_fetching_news *news)
{
	if (news->elapsed_ns <= 0)
		return 0;
	return (uint64_t)((double)news->progress.fetched * (double)SECOND /
			  (double)news->elapsed_ns);
}

uint64_t rfs_fetching_left(const struct rfs_fetching_news *news)
{
	uint64_t average = rfs_fetching_average(news);

	return average ? (news->progress.untried + news->progress.pending) /
				 average
		       : 0;
}

/* The figures that are bytes or counts, by their names. */
static const struct figure {
	const char *name;
	size_t at;
} figures[] = {
#define FIGURE(m)                                                              \
	{                                                                      \
#m, offsetof(struct rfs_fetch_progress, m)                     \
	}
	FIGURE(total),	 FIGURE(rescued), FIGURE(untried),
	FIGURE(pending), FIGURE(bad),	  FIGURE(late),
	FIGURE(areas),	 FIGURE(fetched), FIGURE(pos),
#undef FIGURE
};

#define NFIGURES (sizeof(figures) / sizeof(*figures))

int rfs_fetching_json(const char *disk, const struct rfs_fetching_news *news,
		      char **ret, struct rfs_error *err)
{
	const struct rfs_fetch_progress *p = &news->progress;
	json_t *root = json_object();
	uint64_t value;

	json_object_set_new(root, "disk", rfs_json_text(disk));
	json_object_set_new(root, "running", json_boolean(news->is_running));
	json_object_set_new(root, "stopped", json_boolean(news->is_stopped));
	json_object_set_new(root, "pass",
			    json_string(rfs_fetch_pass_name(p->pass)));
	json_object_set_new(root, "tier",
			    json_string(rfs_fetch_tier_name(p->tier)));
	json_object_set_new(root, "retry", json_integer(p->round));
	json_object_set_new(root, "file", rfs_json_text(p->file));
	for (size_t i = 0; i < NFIGURES; i++) {
		memcpy(&value, (const char *)p + figures[i].at, sizeof(value));
		json_object_set_new(root, figures[i].name,
				    json_integer((json_int_t)value));
	}
	json_object_set_new(root, "rate", json_integer((json_int_t)news->rate));
	json_object_set_new(
		root, "average",
		json_integer((json_int_t)rfs_fetching_average(news)));
	json_object_set_new(root, "left_seconds",
			    rfs_json_count(rfs_fetching_left(news)));
	json_object_set_new(root, "elapsed_ms",
			    json_integer(news->elapsed_ns / 1000000));
	json_object_set_new(root, "aside_ms",
			    json_integer(p->aside_ns / 1000000));
	json_object_set_new(root, "errno", json_integer(-news->result));
	json_object_set_new(root, "error",
			    rfs_json_text(*news->error ? news->error : NULL));
	*ret = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	return *ret ? 0 : rfs_no_memory(err);
}

static uint64_t number(const json_t *root, const char *name)
{
	json_int_t n = json_integer_value(json_object_get(root, name));

	return n > 0 ? (uint64_t)n : 0;
}

static void take_text(const json_t *root, const char *name, char *to,
		      size_t room)
{
	const char *text = json_string_value(json_object_get(root, name));

	snprintf(to, room, "%s", text ? text : "");
}

static void take_progress(const json_t *root, struct rfs_fetch_progress *p)
{
	char text[64];
	uint64_t value;

	take_text(root, "pass", text, sizeof(text));
	for (int i = 0; i < RFS_FETCH_PASSES; i++)
		if (strcmp(text, rfs_fetch_pass_name(i)) == 0)
			p->pass = i;
	take_text(root, "tier", text, sizeof(text));
	for (int i = RFS_FETCH_TABLES; i <= RFS_FETCH_REST; i++)
		if (strcmp(text, rfs_fetch_tier_name(i)) == 0)
			p->tier = i;
	value = number(root, "retry");
	p->round = value < UINT32_MAX ? (unsigned int)value : 0;
	take_text(root, "file", p->file, sizeof(p->file));
	for (size_t i = 0; i < NFIGURES; i++) {
		value = number(root, figures[i].name);
		memcpy((char *)p + figures[i].at, &value, sizeof(value));
	}
	value = number(root, "aside_ms");
	p->aside_ns = value < INT32_MAX ? (int64_t)value * 1000000 : 0;
}

int rfs_fetching_parse(const char *json, struct rfs_fetching_news *ret,
		       struct rfs_error *err)
{
	json_t *root = json_loads(json, 0, NULL);
	uint64_t ms;

	if (!json_is_object(root) || !json_object_get(root, "running")) {
		json_decref(root);
		return rfs_fail(err, EINVAL,
				"what the mount tells of the fetch makes no "
				"sense; is it of the same version?");
	}
	*ret = (struct rfs_fetching_news){
		.is_running = json_is_true(json_object_get(root, "running")),
		.is_stopped = json_is_true(json_object_get(root, "stopped")),
		.result = -(int)(number(root, "errno") % 4096),
	};
	take_progress(root, &ret->progress);
	ms = number(root, "elapsed_ms");
	ret->elapsed_ns =
		ms < INT32_MAX * INT64_C(1000) ? (int64_t)ms * 1000000 : 0;
	take_text(root, "error", ret->error, sizeof(ret->error));
	json_decref(root);
	return 0;
}

char *rfs_fetching_order_text(const struct rfs_fetching_order *order)
{
	char *text;

	if (asprintf(&text, "fetch%s retries=%u patience=%u",
		     order->used_only ? " used-only" : "", order->retries,
		     order->patience_ms) < 0)
		return NULL;
	return text;
}

/* "NAME=N" */
static bool take_number(const char *word, const char *name, unsigned int most,
			unsigned int *ret)
{
	size_t len = strlen(name);
	unsigned int n;
	int end = 0;

	if (strncmp(word, name, len) != 0 ||
	    sscanf(word + len, "%9u%n", &n, &end) != 1 || word[len + end] ||
	    n > most)
		return false;
	*ret = n;
	return true;
}

static bool take_word(const char *word, struct rfs_fetching_order *order)
{
	if (strcmp(word, "used-only") == 0) {
		order->used_only = true;
		return true;
	}
	return take_number(word, "retries=", RFS_FETCHING_RETRIES_MAX,
			   &order->retries) ||
	       take_number(word, "patience=", RFS_FETCHING_PATIENCE_MAX,
			   &order->patience_ms);
}

bool rfs_fetching_order_parse(const char *text, size_t len,
			      struct rfs_fetching_order *ret)
{
	RFS_CLEANUP_FREE char *copy = strndup(text, len);
	struct rfs_fetching_order order = { 0 };
	char *save = NULL, *word;
	bool ok;

	word = copy ? strtok_r(copy, " ", &save) : NULL;
	ok = word && strcmp(word, "fetch") == 0;
	while (ok && (word = strtok_r(NULL, " ", &save)))
		ok = take_word(word, &order);
	if (ok)
		*ret = order;
	return ok;
}
