/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ask.h - what a mount says of itself. */
#ifndef RESCUEFS_TOOLS_ASK_H
#define RESCUEFS_TOOLS_ASK_H

#include "core/error.h"

/* Its status.json; the caller frees *ret. */
int rfs_ask_status(const char *mountpoint, char **ret, struct rfs_error *err);

#endif /* RESCUEFS_TOOLS_ASK_H */
