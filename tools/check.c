// SPDX-License-Identifier: GPL-3.0-or-later
#include "tools/check.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "fs/scratch.h"
#include "tools/program.h"
#include "tools/progress.h"

/* By the bits of e2fsck(8): it could not do its work. */
#define E2FSCK_FAILED (8 | 16 | 32 | 128)

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
	interrupted = number;
}

/* A signal ends the program that runs, and everything is taken away. */
struct signals {
	struct sigaction before[3];
};

static const int caught[] = { SIGINT, SIGTERM, SIGHUP };

static void catch_signals(struct signals *s)
{
	struct sigaction sa = { .sa_handler = interrupt };

	interrupted = 0;
	for (int i = 0; i < 3; i++)
		sigaction(caught[i], &sa, &s->before[i]);
}

static void release_signals(const struct signals *s)
{
	for (int i = 0; i < 3; i++)
		sigaction(caught[i], &s->before[i], NULL);
}

static void count_line(const char *line, struct rfs_advice_check *c)
{
	for (const char *p = line; (p = strstr(p, "? yes")); p++)
		c->fixed++;
	if (strstr(line, "Connect to /lost+found? yes"))
		c->found++;
}

/* "Pass 2: Checking directory structure"; other lines have names in them. */
static void show_pass(struct rfs_progress *p, const char *line)
{
	char text[128];

	if (strncmp(line, "Pass ", 5) != 0)
		return;
	snprintf(text, sizeof(text), "%s: e2fsck, pass %.1s", p->what,
		 line + 5);
	rfs_progress_say(p, text);
}

/* Reads what it says until it ends; 'c' may be NULL. */
static void listen_to(struct rfs_program *e2fsck, struct rfs_advice_check *c,
		      struct rfs_progress *p)
{
	RFS_CLEANUP_FILE FILE *in = fdopen(e2fsck->out, "r");
	RFS_CLEANUP_FREE char *line = NULL;
	size_t room = 0;

	if (!in) {
		close(e2fsck->out);
		kill(e2fsck->pid, SIGKILL);
		return;
	}
	e2fsck->out = -1; /* the stream's from here on */
	while (!interrupted && getline(&line, &room, in) > 0) {
		show_pass(p, line);
		if (c)
			count_line(line, c);
	}
	if (interrupted)
		kill(e2fsck->pid, SIGKILL);
}

/* Its exit status, or a negative errno. */
static int run(const char *how, const char *disk, struct rfs_advice_check *c,
	       struct rfs_progress *p, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *file = strdup(disk);
	char flags[8];
	/* What it would read ahead nobody asked for (P5). */
	char *argv[] = { (char[]){ "/sbin/e2fsck" },   flags, (char[]){ "-E" },
			 (char[]){ "readahead_kb=0" }, file,  NULL };
	struct rfs_program e2fsck;
	int r, status = -1;

	snprintf(flags, sizeof(flags), "%s", how);
	if (!file)
		return rfs_no_memory(err);
	r = rfs_program_start_plain(&e2fsck, argv, NULL);
	if (r < 0)
		return rfs_fail(err, -r,
				"%s: %s; it is in the package e2fsprogs",
				argv[0], strerror(-r));
	listen_to(&e2fsck, c, p);
	while (waitpid(e2fsck.pid, &status, 0) < 0 && errno == EINTR)
		if (interrupted)
			kill(e2fsck.pid, SIGKILL);
	if (interrupted)
		return rfs_fail(err, EINTR, "interrupted");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 8;
}

static int worse(int a, int b)
{
	return (a & E2FSCK_FAILED) > (b & E2FSCK_FAILED) || a > b ? a : b;
}

static int check_volume(const char *path, const struct rfs_volume *v,
			struct rfs_advice_check *c, struct rfs_progress *p,
			struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *spec = NULL;
	int r;

	r = v->partition
		    ? asprintf(&spec, "%s?offset=%" PRIu64, path, v->range.off)
		    : asprintf(&spec, "%s", path);
	if (r < 0) {
		spec = NULL;
		return rfs_no_memory(err);
	}
	r = run("-fy", spec, c, p, err);
	if (r < 0)
		return r;
	c->first = worse(c->first, r);
	r = run("-fn", spec, NULL, p, err);
	if (r < 0)
		return r;
	c->final = worse(c->final, r);
	c->is_done = true;
	return 0;
}

/* e2fsck goes on where a write fails, and means another disk. */
static int check_writes(const struct rfs_scratch *s, struct rfs_error *err)
{
	int r = rfs_scratch_failure(s);

	return r == 0 ? 0
		      : rfs_fail(err, -r,
				 "what e2fsck writes has no room in %s: %s; "
				 "TMPDIR names another directory",
				 rfs_scratch_dir(), strerror(-r));
}

static int count_unreadable(struct rfs_scratch *s, struct rfs_advice_check *c,
			    struct rfs_error *err)
{
	struct rfs_report report = { 0 };
	int r = rfs_view_report(rfs_scratch_view(s), &report, err);

	for (size_t i = 0; i < report.count && r == 0; i++)
		if (report.items[i].was == RFS_LOST)
			c->unreadable += report.items[i].range.len;
	rfs_report_fini(&report);
	return r;
}

int rfs_check_disk(struct rfs_reader *disk, const struct rfs_losses *losses,
		   struct rfs_advice_check *ret, struct rfs_error *err)
{
	struct rfs_scratch_config config = { .base = disk, .is_direct = true };
	struct rfs_advice_check c = { 0 };
	struct signals signals;
	struct rfs_scratch *s = NULL;
	struct rfs_progress progress;
	int r, closed;

	rfs_progress_begin(&progress, rfs_reader_name(disk), 0, false);
	catch_signals(&signals);
	r = rfs_scratch_open(&config, &s, err);
	for (size_t i = 0; i < losses->nvolumes && r == 0; i++)
		if (losses->volumes[i].is_ext)
			r = check_volume(rfs_scratch_path(s),
					 &losses->volumes[i], &c, &progress,
					 err);
	rfs_progress_clear(&progress);
	if (r == 0)
		r = check_writes(s, err);
	if (r == 0)
		r = count_unreadable(s, &c, err);
	closed = rfs_scratch_close(s, r < 0 ? NULL : err);
	release_signals(&signals);
	if (r == 0 && closed == 0)
		*ret = c;
	return r < 0 ? r : closed;
}
