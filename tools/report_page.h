/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report_page.h - one page of HTML about a site.
 *
 * It needs nothing but itself: no network, no scripts, no fonts.  Whatever comes
 * out of a disk is text in it and never markup.
 */
#ifndef RESCUEFS_TOOLS_REPORT_PAGE_H
#define RESCUEFS_TOOLS_REPORT_PAGE_H

#include <stdio.h>

#include "tools/report_facts.h"

/* -EIO if 'out' failed. */
int rfs_report_page(const struct rfs_inventory *inv,
		    const struct rfs_site_facts *facts, FILE *out,
		    struct rfs_error *err);

#endif /* RESCUEFS_TOOLS_REPORT_PAGE_H */
