// SPDX-License-Identifier: GPL-3.0-or-later
#include "tools/password.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "site/password.h"

/* One line of the terminal, which gives no more than that at a time. */
static char *read_answer(int tty)
{
	char text[RFS_PASSWORD_MAX + 2], *answer = NULL;
	ssize_t n = read(tty, text, sizeof(text));

	if (n > 0 && text[n - 1] == '\n')
		n--;
	if (n > 0 && n <= (ssize_t)RFS_PASSWORD_MAX &&
	    !memchr(text, '\0', (size_t)n))
		answer = strndup(text, (size_t)n);
	explicit_bzero(text, sizeof(text));
	return answer;
}

static char *ask(int tty, const char *disk)
{
	struct termios was, quiet;
	sigset_t signals, before;
	char *answer;

	if (tcgetattr(tty, &was) < 0)
		return NULL;
	quiet = was;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	quiet.c_lflag |= ICANON | ISIG;
	/* They come when the terminal is as it was. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGTSTP);
	if (tcsetattr(tty, TCSAFLUSH, &quiet) < 0)
		return NULL;
	sigprocmask(SIG_BLOCK, &signals, &before);
	dprintf(tty, "Password of %s: ", disk);
	answer = read_answer(tty);
	dprintf(tty, "\n");
	tcsetattr(tty, TCSAFLUSH, &was);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return answer;
}

void rfs_ask_passwords(struct rfs_site *site)
{
	RFS_CLEANUP_FD int tty = -1;

	for (size_t i = 0; i < site->nrules; i++) {
		struct rfs_disk_rule *rule = &site->rules[i];

		if (!rule->asks || rule->password)
			continue;
		if (tty < 0)
			tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (tty < 0)
			return;
		rule->password = ask(tty, rule->disk);
	}
}
