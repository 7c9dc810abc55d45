// SPDX-License-Identifier: GPL-3.0-or-later
#include "tools/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/cleanup.h"

#define TEXT_MAX ((size_t)1 << 20)

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* How one is started. */
struct manner {
	bool feeds;    /* we write what it reads */
	int from;      /* what it reads, or -1: nothing */
	bool is_plain; /* see rfs_program_start_plain */
};

static void say_streams(posix_spawn_file_actions_t *actions, int in, int out,
			bool is_plain)
{
	if (in >= 0)
		posix_spawn_file_actions_adddup2(actions, in, STDIN_FILENO);
	else
		posix_spawn_file_actions_addopen(actions, STDIN_FILENO,
						 "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(actions, out, STDOUT_FILENO);
	if (is_plain)
		posix_spawn_file_actions_adddup2(actions, out, STDERR_FILENO);
}

/* We ignore SIGPIPE, and may hold back other signals; a program may count on
 * them. */
static void say_signals(posix_spawnattr_t *attr)
{
	sigset_t pipe, none;

	sigemptyset(&none);
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	posix_spawnattr_setsigmask(attr, &none);
	posix_spawnattr_setsigdefault(attr, &pipe);
	posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK |
					       POSIX_SPAWN_SETSIGDEF);
}

static int spawn(struct rfs_program *p, char *const *argv, int in, int out,
		 bool is_plain)
{
	char *const plain[] = { (char[]){ "LC_ALL=C" },
				(char[]){ "PATH=/usr/sbin:/sbin:/usr/bin:"
					  "/bin" },
				NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	say_streams(&actions, in, out, is_plain);
	say_signals(&attr);
	r = posix_spawnp(&p->pid, argv[0], &actions, &attr, argv,
			 is_plain ? plain : environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return r;
}

static int start(struct rfs_program *p, char *const *argv,
		 const struct manner *how, struct rfs_error *err)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, r = 0;

	*p = (struct rfs_program){
		.name = argv[0], .pid = -1, .in = -1, .out = -1
	};
	if ((how->feeds && pipe2(in, O_CLOEXEC) < 0) ||
	    pipe2(out, O_CLOEXEC) < 0)
		r = errno;
	if (r == 0)
		r = spawn(p, argv, how->feeds ? in[0] : how->from, out[1],
			  how->is_plain);
	close_end(&in[0]);
	close_end(&out[1]);
	p->in = in[1];
	p->out = out[0];
	if (r == 0)
		return 0;
	p->pid = -1;
	close_end(&p->in);
	close_end(&p->out);
	return rfs_fail(err, r, "%s cannot be started: %s", argv[0],
			strerror(r));
}

int rfs_program_start(struct rfs_program *p, char *const *argv, bool feeds,
		      struct rfs_error *err)
{
	return start(p, argv, &(struct manner){ .feeds = feeds, .from = -1 },
		     err);
}

int rfs_program_start_on(struct rfs_program *p, char *const *argv, int from,
			 struct rfs_error *err)
{
	return start(p, argv, &(struct manner){ .from = from }, err);
}

int rfs_program_start_plain(struct rfs_program *p, char *const *argv,
			    struct rfs_error *err)
{
	return start(p, argv, &(struct manner){ .from = -1, .is_plain = true },
		     err);
}

static char *read_text(int fd)
{
	char *text = calloc(1, TEXT_MAX + 1), rest[4096];
	size_t len = 0;
	ssize_t n;

	if (!text)
		return NULL;
	/* What is more than that is read all the same, so that it can end. */
	do {
		if (len < TEXT_MAX)
			n = read(fd, text + len, TEXT_MAX - len);
		else
			n = read(fd, rest, sizeof(rest));
		if (n > 0 && len < TEXT_MAX)
			len += (size_t)n;
	} while (n > 0);
	if (n == 0)
		return text;
	free(text);
	return NULL;
}

static int reap(struct rfs_program *p)
{
	int status = -1;

	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	p->pid = -1;
	return status;
}

int rfs_program_finish(struct rfs_program *p, char **ret_text,
		       struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	int status;

	close_end(&p->in);
	text = read_text(p->out);
	if (!text) {
		status = errno;
		rfs_program_stop(p);
		return rfs_fail(err, status, "%s was stopped: %s", p->name,
				strerror(status));
	}
	close_end(&p->out);
	status = reap(p);
	if (!WIFEXITED(status))
		return rfs_fail(err, EIO, "%s was ended by signal %d", p->name,
				WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return rfs_fail(err, EIO, "%s failed, with exit status %d",
				p->name, WEXITSTATUS(status));
	*ret_text = RFS_STEAL(text);
	return 0;
}

void rfs_program_stop(struct rfs_program *p)
{
	if (p->pid > 0) {
		kill(p->pid, SIGKILL);
		reap(p);
	}
	close_end(&p->in);
	close_end(&p->out);
}

int rfs_program_run(char *const *argv, char **ret_text, struct rfs_error *err)
{
	struct rfs_program p;
	int r = rfs_program_start(&p, argv, false, err);

	return r < 0 ? r : rfs_program_finish(&p, ret_text, err);
}

bool rfs_program_exists(const char *name)
{
	const char *path = getenv("PATH");
	RFS_CLEANUP_FREE char *list = strdup(path ? path : "/usr/bin:/bin");
	char *rest = NULL, full[4096];

	if (!list)
		return false;
	for (char *dir = strtok_r(list, ":", &rest); dir;
	     dir = strtok_r(NULL, ":", &rest))
		if (snprintf(full, sizeof(full), "%s/%s", dir, name) <
			    (int)sizeof(full) &&
		    access(full, X_OK) == 0)
			return true;
	return false;
}
