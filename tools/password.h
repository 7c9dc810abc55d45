/* SPDX-License-Identifier: GPL-3.0-or-later */
/* password.h - passwords that the site file says to ask for. */
#ifndef RESCUEFS_TOOLS_PASSWORD_H
#define RESCUEFS_TOOLS_PASSWORD_H

#include "site/site.h"

/* Asks on the terminal, without echo, for each disk that says 'password = ask',
 * whatever standard input is.  Without a terminal, and where nothing is answered,
 * that disk has none, and says so when it is opened. */
void rfs_ask_passwords(struct rfs_site *site);

#endif /* RESCUEFS_TOOLS_PASSWORD_H */
