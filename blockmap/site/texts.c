// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A text is a fact: "SIZE MTIME\n" and what the file holds, under the source's
 * name and the path.  Most files have no bad sector, and leave nothing else in
 * the state; one that has is read as any file of a dying disk is, so that the
 * rescued store keeps the rest of it and the state which sectors are bad.
 */
#include "site/texts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/vec.h"
#include "readers/reach.h"
#include "readers/rescue.h"
#include "site/rooted.h"

/* The facts' object.  It is none of the source's files, all of which begin
 * with its name. */
static char *object_of(const struct rfs_source *source)
{
	char *object;

	return asprintf(&object, "texts of %s", source->origin.name) < 0
		       ? NULL
		       : object;
}

static char *head_of(struct rfs_generation generation)
{
	char *head;

	return asprintf(&head, "%" PRIu64 " %" PRId64 "\n", generation.size,
			generation.mtime_ns) < 0
		       ? NULL
		       : head;
}

/* A file that a scan asks for, as it is now. */
struct wanted {
	struct rfs_texts *texts;
	struct rfs_site *site;
	const struct rfs_source *source;
	const char *path;
	struct rfs_generation generation;
};

/* What is kept of the file as it is now: 0, -ENOENT, or an error. */
static int recall(struct rfs_state *state, const struct rfs_source *source,
		  const char *path, struct rfs_generation generation,
		  char **ret, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *object = object_of(source);
	RFS_CLEANUP_FREE char *head = head_of(generation);
	RFS_CLEANUP_FREE char *value = NULL;
	size_t len;
	int r;

	if (!object || !head)
		return rfs_no_memory(err);
	r = rfs_state_fact(state, object, path, &value, err);
	if (r < 0)
		return r;
	len = strlen(head);
	if (strncmp(value, head, len) != 0 ||
	    strlen(value) - len != generation.size)
		return -ENOENT;
	*ret = strdup(value + len);
	return *ret ? 0 : rfs_no_memory(err);
}

/* What has a zero byte in it is no text, and is read each time. */
static int add_news(const struct wanted *w, const char *text,
		    struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *object = object_of(w->source);
	RFS_CLEANUP_FREE char *key = strdup(w->path);
	RFS_CLEANUP_FREE char *head = head_of(w->generation);
	struct rfs_texts *texts = w->texts;
	char *value;

	if (strlen(text) != w->generation.size)
		return 0;
	if (!object || !key || !head || RFS_VEC_ROOM(&texts->news) < 0 ||
	    asprintf(&value, "%s%s", head, text) < 0)
		return rfs_no_memory(err);
	texts->news.items[texts->news.count++] = (struct rfs_fact){
		.object = RFS_STEAL(object),
		.key = RFS_STEAL(key),
		.value = value,
	};
	return 0;
}

/* What was too late once is asked for at each scan: it was neither delivered nor
 * found bad. */
static int forgive_late(struct rfs_rescue *rescue, struct rfs_error *err)
{
	struct rfs_range all = rfs_range(0, rfs_rescue_size(rescue));
	struct rfs_run run;
	int r = 0;

	for (uint64_t off = 0; off < all.len && r == 0;
	     off = rfs_range_end(run.range)) {
		run = rfs_rescue_find(rescue, off, all);
		if (run.value == RFS_RESCUE_LATE)
			r = rfs_rescue_set(rescue, run.range, RFS_RESCUE_NOT,
					   err);
	}
	return r;
}

static int open_rescue(const struct wanted *w, struct rfs_rescue **ret,
		       struct rfs_error *err)
{
	const struct rfs_source *source = w->source;
	RFS_CLEANUP_FREE char *name = NULL;
	struct rfs_rescue_config config = {
		.state = w->texts->memory.state,
		.worker = source->worker,
		.names = source->names,
		.origin = &source->origin,
		.notes = &w->site->notes,
		.store = rfs_source_store(w->site, source),
		.renew = w->texts->memory.renew,
	};
	int fd;

	if (asprintf(&name, "%s:%s", source->origin.name, w->path) < 0) {
		name = NULL;
		return rfs_no_memory(err);
	}
	config.object = config.name = name;
	/* All of it is kept here, if it can be had: the store begins where some
	 * of it cannot. */
	if (config.store == RFS_STORE_ON)
		config.store = RFS_STORE_AUTO;
	fd = rfs_rooted_open(source, w->path, err);
	return fd < 0 ? fd : rfs_rescue_open(&config, fd, ret, err);
}

/* What came of it beside what is bad is not asked for again. */
static void keep_rest(struct rfs_rescue *rescue, const char *text,
		      struct rfs_ranges *bad)
{
	uint64_t size = rfs_rescue_size(rescue), off = 0;

	rfs_ranges_sort(bad);
	for (size_t i = 0; i < bad->count; i++) {
		if (bad->items[i].off > off)
			rfs_rescue_put(rescue,
				       rfs_range_to(off, bad->items[i].off),
				       text + off, NULL);
		off = rfs_range_end(bad->items[i]);
	}
	if (bad->count && off < size)
		rfs_rescue_put(rescue, rfs_range_to(off, size), text + off,
			       NULL);
}

static int read_through(struct rfs_rescue *rescue, char *text, bool keeps,
			struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *rd = NULL;
	struct rfs_ranges bad = { 0 };
	int r;

	r = rfs_rescue_reader(rescue, &rd, err);
	if (r == 0)
		r = rfs_reader_read(rd, rfs_range(0, rfs_reader_size(rd)), text,
				    &bad, err);
	if (keeps && rfs_read_is_partial(r))
		keep_rest(rescue, text, &bad);
	rfs_ranges_fini(&bad);
	return r;
}

static bool keeps(const struct wanted *w)
{
	return rfs_source_store(w->site, w->source) == RFS_STORE_ON;
}

static int read_rescued(const struct wanted *w, char **ret,
			struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = calloc(1, w->generation.size + 1);
	struct rfs_rescue *rescue;
	int r;

	if (!text)
		return rfs_no_memory(err);
	r = open_rescue(w, &rescue, err);
	if (r < 0)
		return r;
	if (rfs_rescue_size(rescue) != w->generation.size)
		r = rfs_fail(err, ESTALE, "%s: changed while it was opened",
			     w->path);
	if (r == 0)
		r = forgive_late(rescue, err);
	if (r == 0)
		r = read_through(rescue, text, keeps(w), err);
	rfs_rescue_unref(rescue);
	if (r == 0)
		*ret = RFS_STEAL(text);
	return r;
}

/* A file that has changed since parts of it were rescued is another one, whose
 * sectors were not asked for: it is read past the store of the old one. */
static int read_new(const struct wanted *w, size_t max, char **ret,
		    size_t *ret_len, struct rfs_error *err)
{
	int r = read_rescued(w, ret, err);

	*ret_len = w->generation.size;
	if (r == -ESTALE)
		r = rfs_rooted_read(w->source, w->path, max, ret, ret_len, err);
	if (r < 0 || *ret_len != w->generation.size || !keeps(w))
		return r;
	r = add_news(w, *ret, err);
	if (r < 0)
		free(*ret);
	return r;
}

static bool is_wanted(const struct wanted *w, const struct stat *st)
{
	struct rfs_generation it = {
		.size = (uint64_t)st->st_size,
		.mtime_ns = rfs_time_of(st->st_mtim),
	};

	return S_ISREG(st->st_mode) &&
	       rfs_generation_is_same(it, w->generation);
}

/* The mount reads a file of the host for everyone, each sector once.  'fd' is
 * closed. */
static int read_in_mount(const struct wanted *w, int fd, char **ret,
			 struct rfs_error *err)
{
	struct stat st;
	size_t len;
	int r;

	if (fstat(fd, &st) < 0 || !is_wanted(w, &st)) {
		close(fd);
		return -ENOENT;
	}
	r = rfs_reach_whole(NULL, fd, RFS_TEXT_MAX, ret, &len);
	if (r < 0)
		return rfs_fail(err, -r, "%s: %s", w->path, strerror(-r));
	if (len == w->generation.size)
		return 0;
	free(*ret);
	return -ENOENT;
}

/* 0, -ENOENT if the mount does not show this very file, or why it could not be
 * read there. */
static int ask_mount(const struct wanted *w, char **ret, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *place = NULL;
	int fd;

	if (asprintf(&place, "%s/hosts/%s%s", w->texts->memory.mountpoint,
		     w->source->host, w->path) < 0) {
		place = NULL;
		return rfs_no_memory(err);
	}
	fd = open(place, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	return fd < 0 ? -ENOENT : read_in_mount(w, fd, ret, err);
}

static int read_wanted(const struct wanted *w, size_t max, char **ret,
		       size_t *ret_len, struct rfs_error *err)
{
	struct rfs_state *state = w->texts->memory.state;
	int r;

	*ret_len = w->generation.size;
	if (state)
		r = recall(state, w->source, w->path, w->generation, ret, err);
	else
		r = ask_mount(w, ret, err);
	if (r != -ENOENT)
		return r;
	return state ? read_new(w, max, ret, ret_len, err)
		     : rfs_rooted_read(w->source, w->path, max, ret, ret_len,
				       err);
}

int rfs_texts_read(struct rfs_texts *texts, struct rfs_site *site,
		   const struct rfs_source *source, const char *path,
		   size_t max, char **ret, size_t *ret_len,
		   struct rfs_error *err)
{
	const struct rfs_memory *memory = &texts->memory;
	struct wanted w = {
		.texts = texts, .site = site, .source = source, .path = path
	};
	struct stat st;
	int r;

	if (source->kind != RFS_DAMAGED ||
	    (!memory->state && !memory->mountpoint))
		return rfs_rooted_read(source, path, max, ret, ret_len, err);
	r = rfs_rooted_stat(source, path, &st, err);
	if (r < 0)
		return r;
	/* Reading tells what is wrong with what is no text. */
	if (!S_ISREG(st.st_mode) || st.st_size == 0 ||
	    (uint64_t)st.st_size > max || (uint64_t)st.st_size > RFS_TEXT_MAX)
		return rfs_rooted_read(source, path, max, ret, ret_len, err);
	w.generation.size = (uint64_t)st.st_size;
	w.generation.mtime_ns = rfs_time_of(st.st_mtim);
	return read_wanted(&w, max, ret, ret_len, err);
}

void rfs_texts_save(struct rfs_texts *texts)
{
	if (texts->memory.state && texts->news.count)
		rfs_state_set_facts(texts->memory.state, texts->news.items,
				    texts->news.count, NULL);
}

void rfs_texts_fini(struct rfs_texts *texts)
{
	for (size_t i = 0; i < texts->news.count; i++) {
		free((char *)texts->news.items[i].object);
		free((char *)texts->news.items[i].key);
		free((char *)texts->news.items[i].value);
	}
	free(texts->news.items);
}

/* The path of a file of the source by its object, "SOURCE:PATH", or NULL. */
static const char *path_in(const struct rfs_source *source, const char *object)
{
	size_t len = strlen(source->origin.name);

	return strncmp(object, source->origin.name, len) == 0 &&
			       object[len] == ':'
		       ? object + len + 1
		       : NULL;
}

void rfs_texts_hand_over(struct rfs_state *state,
			 const struct rfs_source *source,
			 struct rfs_rescue *rescue)
{
	const char *path = path_in(source, rfs_rescue_object(rescue));
	struct rfs_range all = rfs_range(0, rfs_rescue_size(rescue));
	RFS_CLEANUP_FREE char *text = NULL;
	struct rfs_run run;

	if (!state || !path || !all.len || all.len > RFS_TEXT_MAX)
		return;
	run = rfs_rescue_find(rescue, 0, all);
	if (run.value != RFS_RESCUE_NOT || run.range.len != all.len ||
	    recall(state, source, path, rfs_rescue_generation(rescue), &text,
		   NULL) < 0)
		return;
	/* If it cannot be kept, the file is read as any other. */
	rfs_rescue_put(rescue, all, text, NULL);
}
