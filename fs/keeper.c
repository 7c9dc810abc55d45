// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/front.h"
#include "fs/image.h"
#include "fs/keeper.h"
#include "fs/log.h"
#include "fs/thread.h"

/* "\\040" and the like, as the kernel writes odd characters of a path, back to
 * these; in place. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++, to++) {
		*to = *text;
		if (*text != '\\' || strspn(text + 1, "01234567") < 3)
			continue;
		*to = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 |
			     (text[3] - '0'));
		text += 3;
	}
	*to = '\0';
}

/* The device number of the mount, without asking the mount: who does that keeps
 * it busy, and an umount(8) at that moment would fail. */
static bool find_device(const char *mountpoint, unsigned *ret_major,
			unsigned *ret_minor)
{
	FILE *in = fopen("/proc/self/mountinfo", "re");
	unsigned major, minor;
	char *line = NULL;
	size_t room = 0;
	bool found = false;
	int at;

	while (in && getline(&line, &room, in) >= 0) {
		/* Number, parent's, device, root, mount point; see proc(5). */
		at = 0;
		if (sscanf(line, "%*u %*u %u:%u %*s %n", &major, &minor, &at) !=
			    2 ||
		    !at)
			continue;
		line[at + (int)strcspn(line + at, " \n")] = '\0';
		unescape(line + at);
		if (strcmp(line + at, mountpoint) != 0)
			continue;
		*ret_major = major; /* the last one is on top */
		*ret_minor = minor;
		found = true;
	}
	free(line);
	if (in)
		fclose(in);
	return found;
}

/* The kernel reads 128 KiB ahead for a new mount, whatever it is told when the
 * mount begins; an image is read in windows of RFS_WINDOW.  Only root may
 * say so, and for others it is but slower.  Damaged disks are not read ahead at
 * all: their files bypass the page cache. */
static void read_further_ahead(const char *mountpoint)
{
	unsigned major, minor;
	char path[64];
	FILE *file;

	if (!find_device(mountpoint, &major, &minor))
		return;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb",
		 major, minor);
	file = fopen(path, "we");
	if (!file)
		return;
	fprintf(file, "%u\n", RFS_WINDOW / 1024);
	fclose(file);
}

static void log_note(const char *text, void *data __attribute__((unused)))
{
	rfs_log("note: %s", text);
}

static void keep_all(struct rfs_keeper *keeper)
{
	const struct rfs_tree *tree = keeper->tree;
	struct rfs_error err = RFS_ERROR_INIT;

	if (rfs_opener_sync(tree->op, &err) < 0)
		rfs_log_often("%s", err.text);
	for (size_t i = 0; i < tree->nimages; i++)
		if (rfs_image_keep(tree->images[i], &err) < 0)
			rfs_log_often("%s", err.text);
	keeper->notes_seen = rfs_notes_each(&tree->inv->site->notes,
					    keeper->notes_seen, log_note, NULL);
}

/* A request that waits for a pass over a compressed copy would hold up the end
 * by minutes, and so would a fetch. */
static void stop_all(const struct rfs_tree *tree)
{
	rfs_opener_stop(tree->op);
	for (size_t i = 0; i < tree->nimages; i++)
		rfs_image_stop_fetch(tree->images[i]);
}

enum keeper_word { KEEPER_GOES_ON, KEEPER_HURRIES, KEEPER_ENDS };

/* Waits a second, unless there is an order that was not there before. */
static enum keeper_word wait_a_second(struct rfs_keeper *keeper,
				      enum keeper_word last)
{
	enum keeper_word word = last;
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 1;
	pthread_mutex_lock(&keeper->lock);
	for (;;) {
		word = keeper->ends	 ? KEEPER_ENDS
		       : keeper->hurries ? KEEPER_HURRIES
					 : KEEPER_GOES_ON;
		if (word != last || r == ETIMEDOUT)
			break;
		r = pthread_cond_timedwait(&keeper->changed, &keeper->lock,
					   &until);
	}
	pthread_mutex_unlock(&keeper->lock);
	return word;
}

static void *keeper_main(void *data)
{
	struct rfs_keeper *keeper = data;
	enum keeper_word word = KEEPER_GOES_ON;

	read_further_ahead(keeper->mountpoint);
	for (unsigned i = 1;; i++) {
		word = wait_a_second(keeper, word);
		if (word == KEEPER_ENDS)
			return NULL;
		if (word == KEEPER_HURRIES)
			stop_all(keeper->tree);
		if (i % RFS_KEEPER_SECONDS == 0)
			keep_all(keeper);
	}
	return NULL;
}

int rfs_keeper_start(struct rfs_keeper *keeper, const struct rfs_tree *tree,
		     const char *mountpoint, struct rfs_error *err)
{
	pthread_condattr_t attr;
	int r;

	*keeper = (struct rfs_keeper){ .tree = tree, .mountpoint = mountpoint };
	pthread_mutex_init(&keeper->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&keeper->changed, &attr);
	pthread_condattr_destroy(&attr);
	/* The loop alone takes signals: only there do they end it at once. */
	r = rfs_thread_start(&keeper->thread, keeper_main, keeper);
	if (r == 0) {
		keeper->is_started = true;
		return 0;
	}
	pthread_cond_destroy(&keeper->changed);
	pthread_mutex_destroy(&keeper->lock);
	return rfs_fail(err, r, "cannot start a thread: %s", strerror(r));
}

void rfs_keeper_hurry(struct rfs_keeper *keeper)
{
	pthread_mutex_lock(&keeper->lock);
	keeper->hurries = true;
	pthread_cond_signal(&keeper->changed);
	pthread_mutex_unlock(&keeper->lock);
}

void rfs_keeper_stop(struct rfs_keeper *keeper)
{
	if (!keeper->is_started)
		return;
	pthread_mutex_lock(&keeper->lock);
	keeper->ends = true;
	pthread_cond_signal(&keeper->changed);
	pthread_mutex_unlock(&keeper->lock);
	pthread_join(keeper->thread, NULL);
	pthread_cond_destroy(&keeper->changed);
	pthread_mutex_destroy(&keeper->lock);
	keeper->is_started = false;
}
