// SPDX-License-Identifier: GPL-3.0-or-later
/* rescuefs mount: from options to a mount that runs.
 *
 * The fork comes before anything is opened: the state's lock belongs to the
 * process that serves, and no thread is left behind in the one that waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/state.h"
#include "fs/session.h"
#include "site/inventory.h"
#include "site/open.h"
#include "site/texts.h"
#include "tools/given.h"
#include "tools/password.h"
#include "tools/place.h"
#include "tools/settings.h"
#include "tools/verbs.h"

struct mount {
	struct rfs_settings settings;
	struct rfs_site site;
	char *mountpoint; /* absolute, without symlinks */
	char *fuse;	  /* what -o said that is not ours, or NULL */
	bool stays;	  /* -f */
	int up_fd;	  /* says to the waiting process that it is up, or -1 */
};

static const char help[] =
	"usage: rescuefs mount [SITE | SOURCES] [OPTIONS] MOUNTPOINT\n"
	"       rescuefs SITE MOUNTPOINT [-o OPTIONS]\n"
	"\n"
	"Shows a damaged host, its backups and live copies as one tree.\n"
	"\n"
	"SITE is a site file, see rescuefs.conf(5); or say the sources here:\n"
	"  --damaged DIR       the failing host's root\n"
	"  --backup DIR[,taken=TIME]\n"
	"                      a backup of it; may be said several times\n"
	"  --live DIR          a copy that is in use elsewhere\n"
	"                      each takes ,name=NAME and ,host=HOST as well\n"
	"  --volumes PATTERN   of the source said before it: the directory of "
	"its\n"
	"                      volumes, or a pattern; also ,volumes=PATTERN\n"
	"\n"
	"  --state DIR         where what is known and written is kept\n"
	"  --fill all|data|none\n"
	"                      may older blocks stand in for unreadable ones, "
	"also\n"
	"                      in a filesystem's own tables (all) or not "
	"(data)\n"
	"  --lost eio|zero     what a block gives that no source can read\n"
	"  --store on|auto|off keep what is read off a damaged source\n"
	"  --heal proved|all|guessed|off\n"
	"                      may a backup's tables stand in for lost ones of "
	"qcow2\n"
	"                      images; --no-heal: off\n"
	"  --deadline TIME     how long a read of a damaged host or of an NBD "
	"server\n"
	"                      may take: 2s, 500ms; also ,deadline=TIME\n"
	"  -f, --foreground    do not go to the background\n"
	"  -o OPTIONS          a comma list: damaged=, backup=, live=, "
	"state=,\n"
	"                      volumes=, fill=, lost=, store=, heal=, "
	"deadline=;\n"
	"                      the rest goes to FUSE and mount\n";

/* What is left of -o when ours are taken out. */
static int keep_for_fuse(struct mount *m, const char *item,
			 struct rfs_error *err)
{
	char *joined;

	if (asprintf(&joined, "%s%s%s", m->fuse ? m->fuse : "",
		     m->fuse ? "," : "", item) < 0)
		return rfs_no_memory(err);
	free(m->fuse);
	m->fuse = joined;
	return 0;
}

/*
 * The process that serves.
 */

static void count_note(const char *text, void *data)
{
	(void)text;
	++*(unsigned *)data;
}

static void print_notes(struct mount *m)
{
	unsigned n = 0;

	rfs_notes_each(&m->site.notes, 0, count_note, &n);
	if (n)
		fprintf(stderr,
			"rescuefs: %u %s about the sources; rescuefs scan "
			"shows %s\n",
			n, n == 1 ? "note" : "notes", n == 1 ? "it" : "them");
}

/* Lets go of the caller's terminal and directory, then of the caller: whoever
 * waits for its output to end must not wait for us. */
static void go_to_background(struct mount *m)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	ssize_t n;

	setsid();
	if (null >= 0) {
		for (int fd = 0; fd <= 2; fd++)
			dup2(null, fd);
		close(null);
	}
	n = write(m->up_fd, "1", 1);
	(void)n; /* nobody waits any more: the mount is up all the same */
	close(m->up_fd);
}

static int run(struct mount *m, const struct rfs_inventory *inv,
	       struct rfs_opener *op)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_session *session;
	int r;

	r = rfs_session_mount(inv, op, m->mountpoint, m->fuse, &session, &err);
	if (r < 0)
		return rfs_complain(&err, RFS_EXIT_USE);
	print_notes(m);
	if (!m->stays)
		go_to_background(m);
	r = rfs_session_run(session, &err);
	rfs_session_free(session);
	return r < 0 ? rfs_complain(&err, RFS_EXIT_SOURCE) : RFS_EXIT_FINE;
}

static int with_inventory(struct mount *m, const struct rfs_inventory *inv,
			  struct rfs_state *st)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_opener *op;
	int r, status;

	r = rfs_opener_new(inv, st, &op, &err);
	if (r < 0)
		return rfs_complain(&err, RFS_EXIT_SOURCE);
	rfs_check_given(op);
	status = run(m, inv, op);
	rfs_opener_free(op);
	return status;
}

static int with_state(struct mount *m, struct rfs_state *st)
{
	const struct rfs_memory memory = { .state = st };
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_inventory inv;
	int status;

	if (rfs_inventory_scan(&m->site, &memory, &inv, &err) < 0)
		return rfs_complain(&err, RFS_EXIT_SOURCE);
	status = with_inventory(m, &inv, st);
	rfs_inventory_fini(&inv);
	return status;
}

/* The state comes before the scan, which keeps in it what a dying disk gave. */
static int with_sources(struct mount *m)
{
	RFS_CLEANUP_FREE char *dir = NULL;
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_state *st;
	int r, status;

	r = rfs_site_open(&m->site, &err);
	if (r < 0)
		return rfs_complain(&err, rfs_site_exit(r));
	r = rfs_place_state(&m->site, m->mountpoint, &dir, &err);
	if (r == 0)
		r = rfs_state_open(dir, m->mountpoint, &st, &err);
	if (r < 0)
		return rfs_complain(&err,
				    r == -EBUSY ? RFS_EXIT_BUSY : RFS_EXIT_USE);
	status = with_state(m, st);
	rfs_state_close(st);
	return status;
}

/* A site may have thousands of images and base images open at once. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int serve(struct mount *m)
{
	umask(077);
	raise_file_limit();
	signal(SIGPIPE, SIG_IGN);
	/* Nothing holds the directory that we were started in. */
	if (!m->stays && chdir("/") < 0)
		return RFS_EXIT_USE;
	return with_sources(m);
}

/*
 * The process that waits.
 */

/* Nothing of the caller's is kept open for the life of the mount. */
static int keep_only(int fd)
{
	int kept = fd == 3 ? fd : dup3(fd, 3, O_CLOEXEC);

	close_range(4, ~0U, 0);
	return kept;
}

static int wait_until_up(pid_t child, int fd)
{
	char up;
	int status;
	ssize_t n;

	while ((n = read(fd, &up, 1)) < 0 && errno == EINTR)
		;
	if (n == 1)
		return RFS_EXIT_FINE;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	fprintf(stderr,
		"rescuefs: the mount died of signal %d before it was "
		"up; -f shows more\n",
		WTERMSIG(status));
	return RFS_EXIT_SOURCE;
}

static int start(struct mount *m)
{
	struct rfs_error err = RFS_ERROR_INIT;
	int fds[2];
	pid_t child;

	if (m->stays)
		return serve(m);
	if (pipe2(fds, O_CLOEXEC) < 0) {
		rfs_fail(&err, errno, "pipe: %s", strerror(errno));
		return rfs_complain(&err, RFS_EXIT_USE);
	}
	fflush(NULL);
	child = fork();
	if (child < 0) {
		rfs_fail(&err, errno, "fork: %s", strerror(errno));
		return rfs_complain(&err, RFS_EXIT_USE);
	}
	if (child == 0) {
		m->up_fd = keep_only(fds[1]);
		return serve(m);
	}
	close(fds[1]);
	return wait_until_up(child, fds[0]);
}

/*
 * Options.
 */

static bool begins_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

/* "backup=/b,taken=T" was torn apart with the rest of the list. */
static bool is_of_source(const char *item)
{
	return begins_with(item, "taken=") || begins_with(item, "name=") ||
	       begins_with(item, "host=");
}

static int add_item(struct mount *m, char *item, struct rfs_error *err)
{
	char *value = strchr(item, '=');
	int r;

	if (!value)
		return keep_for_fuse(m, item, err);
	*value = '\0';
	r = rfs_settings_add(&m->settings, item, value + 1, err);
	*value = '=';
	return r == -ENOENT ? keep_for_fuse(m, item, err) : r;
}

/* Puts the commas back that belong to a source, and adds what is ours. */
static int add_list(struct mount *m, const char *list, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *copy = strdup(list);
	char *item, *next;
	int r = copy ? 0 : rfs_no_memory(err);

	for (item = copy; r == 0 && item; item = next) {
		next = strchr(item, ',');
		while (next && is_of_source(next + 1))
			next = strchr(next + 1, ',');
		if (next)
			*next++ = '\0';
		if (*item)
			r = add_item(m, item, err);
	}
	return r;
}

static const struct option long_options[] = {
	RFS_SETTINGS_OPTIONS,
	{ "foreground", no_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* 0, or -EINVAL with a text, or -ECANCELED if only help was asked for. */
static int read_options(struct mount *m, int argc, char **argv,
			struct rfs_error *err)
{
	int c, at = 0, r = 0;

	while (r == 0 && (c = getopt_long(argc, argv, ":fho:", long_options,
					  &at)) != -1) {
		if (c == RFS_SETTINGS_OPTION)
			r = rfs_settings_add(&m->settings,
					     long_options[at].name, optarg,
					     err);
		else if (c == 'o')
			r = add_list(m, optarg, err);
		else if (c == 'f')
			m->stays = true;
		else if (c == 'h')
			r = -ECANCELED;
		else
			r = rfs_fail(err, EINVAL,
				     c == ':' ? "%s needs a value"
					      : "%s is no option of mount; "
						"rescuefs mount --help",
				     argv[optind - 1]);
	}
	return r;
}

static int read_mountpoint(struct mount *m, const char *path,
			   struct rfs_error *err)
{
	struct stat st;

	m->mountpoint = realpath(path, NULL);
	if (!m->mountpoint || stat(m->mountpoint, &st) < 0)
		return rfs_fail(err, errno, "mount point %s: %s%s", path,
				strerror(errno),
				errno == ENOENT ? "; make the directory first"
				: errno == ENOTCONN ? ": a mount that died is "
						      "in the way; umount it"
						    : "");
	if (!S_ISDIR(st.st_mode))
		return rfs_fail(err, ENOTDIR, "mount point %s: is no directory",
				path);
	return 0;
}

/* [SITE] MOUNTPOINT.  fstab has to have a first field: "none" stands for no
 * site file where -o says the sources. */
static int read_words(struct mount *m, int argc, char **argv,
		      struct rfs_error *err)
{
	const char *file = argc == 2 ? argv[0] : NULL;
	int r;

	if (argc < 1 || argc > 2)
		return rfs_fail(err, EINVAL,
				"%s; rescuefs mount --help says more",
				argc ? "one site file and one mount point is "
				       "all that can be named"
				     : "the mount point is missing");
	if (file && strcmp(file, "none") == 0 &&
	    rfs_settings_has_source(&m->settings))
		file = NULL;
	r = rfs_settings_apply(&m->settings, file, &m->site, err);
	if (r == 0)
		r = read_mountpoint(m, argv[argc - 1], err);
	/* While there is a terminal. */
	if (r == 0)
		rfs_ask_passwords(&m->site);
	return r;
}

int rfs_verb_mount(int argc, char **argv)
{
	struct mount m = { .up_fd = -1 };
	struct rfs_error err = RFS_ERROR_INIT;
	int r, status;

	rfs_site_init(&m.site);
	r = read_options(&m, argc, argv, &err);
	if (r == 0)
		r = read_words(&m, argc - optind, argv + optind, &err);
	if (r == 0)
		status = start(&m);
	else if (r == -ECANCELED)
		status = fputs(help, stdout) < 0 ? RFS_EXIT_USE : RFS_EXIT_FINE;
	else
		status = rfs_complain(&err, RFS_EXIT_USE);
	rfs_site_fini(&m.site);
	rfs_settings_fini(&m.settings);
	free(m.mountpoint);
	free(m.fuse);
	return status;
}
