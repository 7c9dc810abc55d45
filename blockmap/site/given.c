// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/given.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "site/given_parts.h"
#include "site/json_text.h"
#include "site/volumes.h"

int rfs_given_new(const struct rfs_inventory *inv, struct rfs_state *state,
		  struct rfs_given **ret, struct rfs_error *err)
{
	struct rfs_given *g = calloc(1, sizeof(*g));

	if (!g)
		return rfs_no_memory(err);
	g->kept = calloc(inv->site->nbases + 1, sizeof(*g->kept));
	if (!g->kept) {
		free(g);
		return rfs_no_memory(err);
	}
	g->inv = inv;
	g->state = state;
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->changed, NULL);
	*ret = g;
	return 0;
}

void rfs_given_free(struct rfs_given *g)
{
	if (!g)
		return;
	pthread_cond_destroy(&g->changed);
	pthread_mutex_destroy(&g->lock);
	json_decref(g->theirs);
	free(g->kept);
	free(g);
}

void rfs_given_tell(struct rfs_given *g, const struct rfs_given_watch *watch)
{
	g->watch = watch ? *watch : (struct rfs_given_watch){ 0 };
}

void rfs_given_stop(struct rfs_given *g)
{
	pthread_mutex_lock(&g->lock);
	g->is_over = true;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

static struct rfs_generation generation_of(const struct stat *st)
{
	/* A device tells nothing of when it was written last. */
	return (struct rfs_generation){
		.size = (uint64_t)st->st_size,
		.mtime_ns = S_ISREG(st->st_mode) ? rfs_time_of(st->st_mtim)
						 : RFS_TIME_UNKNOWN,
	};
}

static bool is_same(struct rfs_generation a, struct rfs_generation b)
{
	return a.size == b.size && a.mtime_ns == b.mtime_ns;
}

int rfs_given_open(struct rfs_base_rule *rule, struct rfs_reader **ret,
		   struct rfs_generation *ret_generation, struct rfs_error *err)
{
	int fd = rfs_volume_open(NULL, rule->file, err), r;
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0) {
		r = rfs_fail(err, errno, "%s: %s", rule->file, strerror(errno));
		close(fd);
		return r;
	}
	r = rfs_file_open(fd, false, rule->file, &rule->origin, ret, err);
	if (r == 0)
		*ret_generation = generation_of(&st);
	return r;
}

/*
 * What is kept.
 */

/* No source's name has a blank. */
static char *object_of(const struct rfs_base_rule *rule)
{
	char *object;

	return asprintf(&object, "by hand:%s", rule->file) < 0 ? NULL : object;
}

/* "SIZE MTIME HEX"; anything else is as if it were not there. */
static void take_fact(const char *text, struct rfs_generation generation,
		      enum rfs_checksum kind, struct rfs_checksums *ret)
{
	struct rfs_generation was;
	int at = -1;

	if (sscanf(text, "%" SCNu64 " %" SCNd64 " %n", &was.size, &was.mtime_ns,
		   &at) == 2 &&
	    at > 0 && is_same(was, generation) &&
	    rfs_checksum_is_text(kind, text + at))
		strcpy(ret->hex[kind], text + at);
}

static void load(struct rfs_given *g, const struct rfs_base_rule *rule,
		 struct rfs_generation generation, struct rfs_checksums *ret)
{
	RFS_CLEANUP_FREE char *object = object_of(rule);

	for (int k = 0; k < RFS_CHECKSUMS && object && g->state; k++) {
		RFS_CLEANUP_FREE char *text = NULL;

		if (rfs_state_fact(g->state, object,
				   rfs_checksum_name((enum rfs_checksum)k),
				   &text, NULL) == 0)
			take_fact(text, generation, (enum rfs_checksum)k, ret);
	}
}

static bool is_kept(const struct rfs_given *g, struct rfs_generation generation)
{
	return g->state && generation.mtime_ns != RFS_TIME_UNKNOWN;
}

/* If it cannot be kept, it is computed again another time. */
static void save(struct rfs_given *g, const struct rfs_base_rule *rule,
		 struct rfs_generation generation,
		 const struct rfs_checksums *sums)
{
	RFS_CLEANUP_FREE char *object = object_of(rule);
	char text[RFS_CHECKSUM_TEXT + 48];

	if (!object || !is_kept(g, generation))
		return;
	for (int k = 0; k < RFS_CHECKSUMS; k++) {
		if (!*sums->hex[k])
			continue;
		snprintf(text, sizeof(text), "%" PRIu64 " %" PRId64 " %s",
			 generation.size, generation.mtime_ns, sums->hex[k]);
		rfs_state_set_fact(g->state, object,
				   rfs_checksum_name((enum rfs_checksum)k),
				   text, NULL);
	}
}

/* The lock is held. */
static void look_up(struct rfs_given *g, const struct rfs_base_rule *rule,
		    struct rfs_generation generation, struct rfs_checksums *ret)
{
	struct rfs_given_kept *kept = &g->kept[rule - g->inv->site->bases];

	if (!is_same(kept->generation, generation)) {
		*kept = (struct rfs_given_kept){ .generation = generation };
		load(g, rule, generation, &kept->sums);
	}
	*ret = kept->sums;
}

void rfs_given_known(struct rfs_given *g, const struct rfs_base_rule *rule,
		     struct rfs_generation generation,
		     struct rfs_checksums *ret)
{
	pthread_mutex_lock(&g->lock);
	look_up(g, rule, generation, ret);
	pthread_mutex_unlock(&g->lock);
}

int rfs_given_stat(const struct rfs_base_rule *rule, struct rfs_generation *ret)
{
	struct stat st;

	if (stat(rule->file, &st) < 0)
		return -errno;
	*ret = generation_of(&st);
	return 0;
}

/*
 * Computing.
 */

static unsigned missing(const struct rfs_base_rule *rule,
			const struct rfs_checksums *have)
{
	unsigned kinds = 0;

	for (int k = 0; k < RFS_CHECKSUMS; k++)
		if (rule->checksums[k] && !*have->hex[k])
			kinds |= 1u << k;
	return kinds;
}

/* "md5 and sha512" */
static void print_kinds(unsigned kinds, char text[64])
{
	const char *before = "";

	*text = '\0';
	for (int k = 0; k < RFS_CHECKSUMS; k++) {
		if (!(kinds & 1u << k))
			continue;
		kinds &= ~(1u << k);
		strcat(text, before);
		strcat(text, rfs_checksum_name((enum rfs_checksum)k));
		before = kinds & (kinds - 1) ? ", " : " and ";
	}
}

static void tell_begin(struct rfs_given *g, const struct rfs_base_rule *rule,
		       uint64_t size, unsigned kinds, bool is_kept)
{
	RFS_CLEANUP_FREE char *text = NULL;
	char names[64];

	print_kinds(kinds, names);
	if (asprintf(&text,
		     "base %s: all %" PRIu64 " MiB of %s are read for its %s%s",
		     rule->name, (size + (1 << 20) - 1) >> 20, rule->file,
		     names,
		     is_kept ? "; that is kept until the file changes" : "") <
	    0) {
		text = NULL;
		return;
	}
	if (g->watch.begin)
		g->watch.begin(g->watch.data, rule, size, text);
	else
		rfs_notes_add(&g->inv->site->notes, "%s", text);
}

static int go_on(void *data, uint64_t done)
{
	struct rfs_given *g = data;

	if (g->watch.step)
		g->watch.step(g->watch.data, done);
	return atomic_load(&g->is_over) ? -EINTR : 0;
}

static int compute(struct rfs_given *g, const struct rfs_base_rule *rule,
		   struct rfs_reader *file, struct rfs_generation generation,
		   struct rfs_checksums *sums, struct rfs_error *err)
{
	unsigned kinds = missing(rule, sums);
	struct rfs_generation after;
	int r;

	tell_begin(g, rule, rfs_reader_size(file), kinds,
		   is_kept(g, generation));
	r = rfs_checksum_compute(file, kinds, go_on, g, sums, err);
	if (g->watch.end)
		g->watch.end(g->watch.data);
	if (r < 0)
		return r;
	if (rfs_given_stat(rule, &after) == 0 && is_same(after, generation)) {
		save(g, rule, generation, sums);
		return 0;
	}
	return rfs_fail(err, ESTALE,
			"%s changed while its checksum was computed",
			rule->file);
}

/* One thread computes, and who comes meanwhile finds what it found. */
static int get(struct rfs_given *g, const struct rfs_base_rule *rule,
	       struct rfs_reader *file, struct rfs_generation generation,
	       struct rfs_checksums *ret, struct rfs_error *err)
{
	struct rfs_given_kept *kept = &g->kept[rule - g->inv->site->bases];
	int r = 0;

	pthread_mutex_lock(&g->lock);
	while (g->is_computing && !g->is_over)
		pthread_cond_wait(&g->changed, &g->lock);
	look_up(g, rule, generation, ret);
	if (g->is_over) {
		r = rfs_fail(err, EINTR, "%s: its checksum is not done",
			     rule->file);
	} else if (missing(rule, ret)) {
		g->is_computing = true;
		pthread_mutex_unlock(&g->lock);
		r = compute(g, rule, file, generation, ret, err);
		pthread_mutex_lock(&g->lock);
		g->is_computing = false;
		if (r == 0)
			*kept = (struct rfs_given_kept){ generation, *ret };
		pthread_cond_broadcast(&g->changed);
	}
	pthread_mutex_unlock(&g->lock);
	return r;
}

int rfs_given_check(struct rfs_given *g, const struct rfs_base_rule *rule,
		    struct rfs_reader *file, struct rfs_generation generation,
		    struct rfs_error *err)
{
	struct rfs_checksums none = { 0 }, have;
	int r;

	if (!missing(rule, &none))
		return 0;
	r = get(g, rule, file, generation, &have, err);
	for (int k = 0; k < RFS_CHECKSUMS && r == 0; k++)
		if (rule->checksums[k] &&
		    !rfs_checksum_is_same(rule->checksums[k], have.hex[k]))
			r = rfs_fail(err, EBADMSG,
				     "%s: its %s is %s, and not %s", rule->file,
				     rfs_checksum_name((enum rfs_checksum)k),
				     have.hex[k], rule->checksums[k]);
	return r;
}

/*
 * Which disks.
 */

static char *use_key(const struct rfs_base_rule *rule)
{
	char *key;

	return asprintf(&key, "base %s", rule->name) < 0 ? NULL : key;
}

bool rfs_given_is_used(struct rfs_given *g, const struct rfs_base_rule *rule,
		       const struct rfs_disk *disk)
{
	RFS_CLEANUP_FREE char *key = use_key(rule);
	RFS_CLEANUP_FREE char *value = NULL;

	return key && g->state &&
	       rfs_state_fact(g->state, disk->id, key, &value, NULL) == 0;
}

void rfs_given_note_use(struct rfs_given *g, const struct rfs_base_rule *rule,
			const struct rfs_disk *disk)
{
	RFS_CLEANUP_FREE char *key = use_key(rule);

	if (!key || !g->state || rfs_given_is_used(g, rule, disk))
		return;
	/* If it cannot be kept, it is said again when the disk is opened. */
	rfs_state_set_fact(g->state, disk->id, key, "1", NULL);
}
