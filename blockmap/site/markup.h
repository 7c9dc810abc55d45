/* SPDX-License-Identifier: GPL-3.0-or-later */
/* markup.h - text in HTML and SVG. */
#ifndef RESCUEFS_SITE_MARKUP_H
#define RESCUEFS_SITE_MARKUP_H

#include <stdio.h>

#include "core/error.h"

/* Writes a text that a stranger may have made as one that has no meaning for a
 * browser, within elements and within attributes in quotes.  What is no UTF-8,
 * steers or disguises becomes \xHH. */
int rfs_put_markup(FILE *out, const char *text, struct rfs_error *err);

#endif /* RESCUEFS_SITE_MARKUP_H */
