// SPDX-License-Identifier: GPL-3.0-or-later
#include "tools/target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "readers/readers.h"
#include "site/texts.h"
#include "tools/mounted.h"
#include "tools/password.h"
#include "tools/place.h"
#include "tools/verbs.h"

static bool is_file(const char *word)
{
	struct stat st;

	return stat(word, &st) == 0 && S_ISREG(st.st_mode);
}

/* The first word is the site file where nothing else says the sources, or where
 * it is a file. */
static bool begins_with_site(const struct rfs_target_words *words)
{
	return words->nwords > 0 &&
	       (!rfs_settings_has_source(words->settings) ||
		is_file(words->words[0]));
}

static int check_count(const struct rfs_target_words *words, size_t ndisks,
		       struct rfs_error *err)
{
	if (words->all && ndisks)
		return rfs_fail(err, EINVAL,
				"either --all or disks by name, not both");
	if (!words->all && ndisks < words->min_disks)
		return rfs_fail(err, EINVAL,
				"the disk is missing; rescuefs %s --help says "
				"more",
				words->verb);
	if (ndisks > words->max_disks)
		return rfs_fail(err, EINVAL,
				"one site file and %zu disk%s is all that can "
				"be named; rescuefs %s --help says more",
				words->max_disks,
				words->max_disks == 1 ? "" : "s", words->verb);
	return 0;
}

/* All disks of an instance; false if none has that name. */
static bool add_instance(struct rfs_target *t, const char *name)
{
	const struct rfs_instance *instance;

	if (rfs_inventory_find_instance(&t->inv, name, &instance, NULL) < 0)
		return false;
	for (size_t i = 0; i < instance->ndisks; i++)
		t->disks[t->ndisks++] = &instance->disks[i];
	return true;
}

static int find_disks(struct rfs_target *t,
		      const struct rfs_target_words *words, char **names,
		      size_t n, struct rfs_error *err)
{
	int r = 0;

	size_t all = rfs_inventory_disks(&t->inv, NULL, 0);
	size_t room = words->all ? all : words->whole ? n * all : n;

	t->disks = calloc(room + 1, sizeof(*t->disks));
	if (!t->disks)
		return rfs_no_memory(err);
	if (words->all)
		t->ndisks = rfs_inventory_disks(&t->inv, t->disks, room);
	for (size_t i = 0; i < n && r == 0; i++) {
		if (words->whole && add_instance(t, names[i]))
			continue;
		r = rfs_inventory_find_disk(&t->inv, names[i],
					    &t->disks[t->ndisks], err);
		t->ndisks += r == 0;
	}
	return r;
}

/* A mistyped --state must not make a new one. */
static int check_state(const char *dir, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *db = NULL;

	if (asprintf(&db, "%s/known.db", dir) < 0) {
		db = NULL;
		return rfs_no_memory(err);
	}
	if (access(db, F_OK) < 0)
		return rfs_fail(err, errno,
				"there is no state in %s (%s); name it with "
				"--state",
				dir, strerror(errno));
	return 0;
}

static bool is_mounted(const char *mountpoint)
{
	struct statfs fs;

	return statfs(mountpoint, &fs) == 0 && fs.f_type == FUSE_SUPER_MAGIC;
}

static int use_mount(struct rfs_target *t, char *mountpoint,
		     struct rfs_error *err)
{
	t->mountpoint = mountpoint;
	if (is_mounted(mountpoint))
		return RFS_EXIT_FINE;
	rfs_fail(err, EBUSY,
		 "the mount at %s is just beginning or ending; try again in a "
		 "moment",
		 mountpoint);
	return RFS_EXIT_BUSY;
}

/* Sets t->mountpoint if a mount holds the state. */
static int find_mount(struct rfs_target *t, const char *dir,
		      struct rfs_error *err)
{
	char *holder;
	int pid;

	if (rfs_state_holder(dir, &pid, &holder, NULL) < 0)
		return RFS_EXIT_FINE;
	/* A mount says where it is; another verb does not. */
	if (holder[0] == '/')
		return use_mount(t, holder, err);
	free(holder);
	return RFS_EXIT_FINE;
}

/* Before anything of a source is opened: one that hangs is waited for there. */
static int find_mount_alone(struct rfs_target *t, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *dir = NULL;

	if (rfs_site_state_dir(&t->site, &dir, err) < 0)
		return RFS_EXIT_USE;
	return find_mount(t, dir, err);
}

static int open_state(struct rfs_target *t,
		      const struct rfs_target_words *words,
		      struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *dir = NULL;
	int r, status;

	r = rfs_place_state(&t->site, NULL, &dir, err);
	if (r == 0 && words->needs_state)
		r = check_state(dir, err);
	if (r < 0)
		return RFS_EXIT_USE;
	status = find_mount(t, dir, err);
	if (status != RFS_EXIT_FINE || t->mountpoint)
		return status;
	r = rfs_state_open(dir, words->verb, &t->state, err);
	if (r < 0)
		return r == -EBUSY ? RFS_EXIT_BUSY : RFS_EXIT_USE;
	return RFS_EXIT_FINE;
}

static int make_opener(struct rfs_target *t,
		       const struct rfs_target_words *words,
		       struct rfs_error *err)
{
	rfs_ask_passwords(&t->site);
	if (rfs_opener_new(&t->inv, t->state, &t->opener, err) < 0)
		return RFS_EXIT_SOURCE;
	t->given.quiet = words->quiet;
	rfs_show_given(t->opener, &t->given);
	return RFS_EXIT_FINE;
}

static int scan(struct rfs_target *t, const struct rfs_target_words *words,
		struct rfs_error *err)
{
	const struct rfs_memory memory = { .state = t->state,
					   .mountpoint = t->mountpoint,
					   .renew = words->renews };
	int r = rfs_inventory_scan(&t->site, &memory, &t->inv, err);

	t->is_scanned = r == 0;
	return r;
}

/* The state is open before the disks are looked for, as a scan keeps in it what
 * it reads of a damaged source. */
static int open_disks(struct rfs_target *t,
		      const struct rfs_target_words *words, char **names,
		      size_t n, struct rfs_error *err)
{
	int status = RFS_EXIT_FINE;

	if (scan(t, words, err) < 0)
		status = RFS_EXIT_SOURCE;
	else if (find_disks(t, words, names, n, err) < 0)
		status = RFS_EXIT_USE;
	if (status != RFS_EXIT_FINE) {
		rfs_state_close_unused(t->state);
		t->state = NULL;
	}
	return status;
}

int rfs_target_open(struct rfs_target *t, const struct rfs_target_words *words,
		    struct rfs_error *err)
{
	bool has_site = begins_with_site(words);
	char **names = words->words + has_site;
	size_t n = (size_t)(words->nwords - has_site);
	int r, status = RFS_EXIT_FINE;

	*t = (struct rfs_target){ 0 };
	rfs_site_init(&t->site);
	r = rfs_settings_apply(words->settings,
			       has_site ? words->words[0] : NULL, &t->site,
			       err);
	if (r == 0)
		r = check_count(words, n, err);
	if (r < 0)
		return RFS_EXIT_USE;
	if (words->asks_mount && !n)
		status = find_mount_alone(t, err);
	if (status != RFS_EXIT_FINE || t->mountpoint)
		return status;
	r = rfs_site_open(&t->site, err);
	if (r < 0)
		return rfs_site_exit(r);
	status = open_state(t, words, err);
	if (status == RFS_EXIT_FINE)
		status = open_disks(t, words, names, n, err);
	if (status == RFS_EXIT_FINE && t->state)
		status = make_opener(t, words, err);
	return status;
}

void rfs_target_close(struct rfs_target *t)
{
	rfs_opener_free(t->opener);
	rfs_state_close(t->state);
	free(t->mountpoint);
	free(t->disks);
	if (t->is_scanned)
		rfs_inventory_fini(&t->inv);
	rfs_site_fini(&t->site);
}

int rfs_target_image(const struct rfs_target *t, const struct rfs_disk *disk,
		     char **ret, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *place = rfs_disk_place(disk);

	if (!place || asprintf(ret, "%s/%s", t->mountpoint, place) < 0) {
		*ret = NULL;
		return rfs_no_memory(err);
	}
	if (access(*ret, F_OK) < 0)
		return rfs_fail(err, errno,
				"%s: %s; does the mount show the same site?",
				*ret, strerror(errno));
	return 0;
}

int rfs_target_copy(const struct rfs_target *t, const struct rfs_disk *disk,
		    const struct rfs_copy *copy, struct rfs_reader **ret,
		    struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *place = NULL, *path = NULL, *name = NULL;
	const struct rfs_origin *origin = &copy->source->origin;

	if (t->opener)
		return rfs_opener_copy(t->opener, disk, copy, ret, err);
	place = rfs_disk_place(disk);
	if (!place || asprintf(&path, "%s/sources/%s/%s", t->mountpoint,
			       origin->name, place) < 0)
		path = NULL;
	if (!path || asprintf(&name, "%s:%s", origin->name, place) < 0) {
		name = NULL;
		return rfs_no_memory(err);
	}
	return rfs_mounted_open(path, name, origin, ret, err);
}
