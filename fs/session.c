// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "fs/front.h"
#include "fs/fuse_words.h"
#include "fs/keeper.h"
#include "fs/log.h"
#include "fs/loop.h"
#include "fs/options.h"
#include "fs/session.h"

struct rfs_session {
	struct rfs_front front; /* has libfuse's session as well */
	struct rfs_keeper keeper;
	struct rfs_loop *loop; /* to the end: a signal handler may have it */
	char *mountpoint;
	bool is_mounted;
};

/*
 * The log.
 */

/* One for the process, as stderr and syslog are. */
static struct {
	pthread_mutex_t lock; /* guards all below */
	time_t since;
	unsigned count;
} often = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Where libfuse's own messages go while a mount is being prepared. */
static _Thread_local struct rfs_error *fuse_words;

/* A process in the background has sent its stderr to where nobody reads. */
static bool is_stderr_lost(void)
{
	struct stat st;

	return fstat(STDERR_FILENO, &st) < 0 ||
	       (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
}

static void vlog(const char *fmt, va_list ap)
{
	char text[RFS_ERROR_MAX + 64];

	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	if (is_stderr_lost())
		syslog(LOG_DAEMON | LOG_NOTICE, "%s", text);
	else
		fprintf(stderr, "rescuefs: %s\n", text);
}

void rfs_log(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(fmt, ap);
	va_end(ap);
}

/* True if one more may be said; *ret_held is how many were not, and are to be
 * told of first. */
static bool may_say(unsigned *ret_held)
{
	struct timespec now;
	bool may;

	*ret_held = 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&often.lock);
	if (now.tv_sec - often.since >= RFS_LOG_SECONDS) {
		if (often.count > RFS_LOG_BURST)
			*ret_held = often.count - RFS_LOG_BURST;
		often.since = now.tv_sec;
		often.count = 0;
	}
	may = ++often.count <= RFS_LOG_BURST;
	pthread_mutex_unlock(&often.lock);
	return may;
}

void rfs_log_often(const char *fmt, ...)
{
	unsigned held;
	va_list ap;

	if (!may_say(&held))
		return;
	if (held)
		rfs_log("%u more messages like the last ones were left out",
			held);
	va_start(ap, fmt);
	vlog(fmt, ap);
	va_end(ap);
}

static void log_of_fuse(enum fuse_log_level level, const char *fmt, va_list ap)
{
	if (fuse_words && !fuse_words->text[0])
		vsnprintf(fuse_words->text, sizeof(fuse_words->text), fmt, ap);
	else if (!fuse_words && level <= FUSE_LOG_WARNING)
		vlog(fmt, ap);
}

/*
 * The mount.
 */

void rfs_fuse_listen(struct rfs_error *words)
{
	fuse_set_log_func(log_of_fuse);
	fuse_words = words;
}

int rfs_fuse_fail(struct rfs_error *words, int errnum, const char *mountpoint,
		  struct rfs_error *err)
{
	char *text = words->text;

	fuse_words = NULL;
	text[strcspn(text, "\n")] = '\0';
	if (strncmp(text, "fuse: ", 6) == 0)
		text += 6;
	return rfs_fail(err, errnum, "cannot mount at %s: %s", mountpoint,
			*text ? text : strerror(errnum));
}

static int mount_session(struct rfs_session *s, struct fuse_args *args,
			 struct rfs_error *err)
{
	struct rfs_error words = RFS_ERROR_INIT;

	rfs_fuse_listen(&words);
	s->front.se = fuse_session_new(args, &rfs_operations,
				       sizeof(rfs_operations), &s->front);
	if (!s->front.se)
		return rfs_fuse_fail(&words, EINVAL, s->mountpoint, err);
	errno = 0;
	if (fuse_session_mount(s->front.se, s->mountpoint) != 0)
		return rfs_fuse_fail(&words, errno ? errno : EIO, s->mountpoint,
				     err);
	rfs_fuse_listen(NULL);
	s->is_mounted = true;
	return 0;
}

static int prepare(struct rfs_session *s, const struct rfs_inventory *inv,
		   const char *mountpoint, const char *options,
		   struct rfs_error *err)
{
	struct rfs_mount_options opts;
	int r;

	r = rfs_mount_options_parse(options, inv->site->name, &opts, err);
	if (r < 0)
		return r;
	r = rfs_mountpoint_check(mountpoint, opts.may_cover, err);
	if (r == 0) {
		/* Absolute: the process may leave its directory. */
		s->mountpoint = realpath(mountpoint, NULL);
		r = s->mountpoint ? mount_session(s, &opts.args, err)
				  : rfs_no_memory(err);
	}
	rfs_mount_options_fini(&opts);
	return r;
}

int rfs_session_mount(const struct rfs_inventory *inv, struct rfs_opener *op,
		      const char *mountpoint, const char *options,
		      struct rfs_session **ret, struct rfs_error *err)
{
	struct rfs_session *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return rfs_no_memory(err);
	r = rfs_front_init(&s->front, inv, op, err);
	if (r < 0) {
		free(s);
		return r;
	}
	r = prepare(s, inv, mountpoint, options, err);
	if (r < 0) {
		rfs_session_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

static void unmount(struct rfs_session *s)
{
	if (s->is_mounted)
		fuse_session_unmount(s->front.se);
	s->is_mounted = false;
}

static void log_text(const char *text)
{
	rfs_log("%s", text);
}

/* Of two failures the first is told, the second was logged. */
static int finish(struct rfs_session *s, int r, struct rfs_error *err)
{
	struct rfs_error why = RFS_ERROR_INIT;
	int closed = rfs_tree_fini(&s->front.tree, log_text, &why);

	if (r == 0 && closed < 0)
		return rfs_fail(err, -closed, "%s", why.text);
	return r;
}

/*
 * Signals.
 */

/* Of the one session that runs; for the handler. */
static struct rfs_loop *_Atomic signalled;

static void take_signal(int number __attribute__((unused)))
{
	struct rfs_loop *loop = atomic_load(&signalled);

	if (loop)
		rfs_loop_stop(loop);
}

/* What was to be ignored (nohup) still is. */
static void catch_signals(struct rfs_loop *loop)
{
	static const int numbers[] = { SIGHUP, SIGINT, SIGTERM };
	struct sigaction sa = { .sa_handler = take_signal }, old;

	atomic_store(&signalled, loop);
	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (sigaction(numbers[i], NULL, &old) == 0 &&
		    old.sa_handler != SIG_IGN)
			sigaction(numbers[i], &sa, NULL);
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
}

static void hurry(void *data)
{
	rfs_keeper_hurry(data);
}

/* The handlers stay: a second signal must not end the process while it closes
 * the disks. */
static int serve(struct rfs_session *s, struct rfs_error *err)
{
	int r = rfs_loop_new(s->front.se, &s->loop, err);

	if (r < 0)
		return r;
	catch_signals(s->loop);
	r = rfs_loop_run(s->loop, hurry, &s->keeper, err);
	atomic_store(&signalled, NULL);
	return r;
}

int rfs_session_run(struct rfs_session *s, struct rfs_error *err)
{
	int r = rfs_keeper_start(&s->keeper, &s->front.tree, s->mountpoint,
				 err);

	if (r == 0)
		r = serve(s, err);
	/* In this order: no request may come once the disks are closed, and the
	 * keeper may wait for an answer from the mount. */
	unmount(s);
	rfs_keeper_stop(&s->keeper);
	return finish(s, r, err);
}

void rfs_session_free(struct rfs_session *s)
{
	if (!s)
		return;
	unmount(s);
	rfs_front_fini(&s->front, log_text, NULL);
	if (s->front.se)
		fuse_session_destroy(s->front.se);
	rfs_loop_free(s->loop);
	free(s->mountpoint);
	free(s);
}
