/* SPDX-License-Identifier: GPL-3.0-or-later */
/* texts.h - the small files that tell a scan of disks: libvirt.xml, disk.info,
 * and the domains that libvirt keeps.
 *
 * Every mount and every verb scans, and would ask a dying disk for the same
 * sectors each time.  So what a damaged source delivered of them is kept in the
 * state, all of a scan in one transaction, and goes into the rescued store when
 * the file is opened as one of the host's.  A file of another size or time is
 * asked for anew.
 */
#ifndef RESCUEFS_SITE_TEXTS_H
#define RESCUEFS_SITE_TEXTS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "core/state.h"
#include "site/site.h"

/* Larger files are not kept here, in bytes. */
#define RFS_TEXT_MAX ((size_t)1 << 20)

struct rfs_rescue;

/* Where a scan finds what was delivered before; both NULL: nowhere. */
struct rfs_memory {
	struct rfs_state *state; /* held here: what is read now is kept in it */
	const char *mountpoint;	 /* of the mount that holds it */
	/* The operator orders that what failed, or has changed, be tried anew. */
	bool renew;
};

/* One scan's texts.  Set 'memory', zero the rest. */
struct rfs_texts {
	struct rfs_memory memory;
	struct {
		struct rfs_fact *items; /* their texts are owned here */
		size_t count, room;
	} news; /* read now, not kept yet */
};

/* The whole of a regular file, with a zero byte behind it; the caller frees
 * *ret.  As rfs_rooted_read, but what a damaged source delivered before is not
 * asked for again, nor what was found bad. */
int rfs_texts_read(struct rfs_texts *texts, struct rfs_site *site,
		   const struct rfs_source *source, const char *path,
		   size_t max, char **ret, size_t *ret_len,
		   struct rfs_error *err);

/* Keeps what was read.  A state that takes nothing is no reason to fail. */
void rfs_texts_save(struct rfs_texts *texts);
void rfs_texts_fini(struct rfs_texts *texts);

/* Puts what a scan has read of the file into its rescued store, if nothing is
 * known there.  'state' may be NULL. */
void rfs_texts_hand_over(struct rfs_state *state,
			 const struct rfs_source *source,
			 struct rfs_rescue *rescue);

#endif /* RESCUEFS_SITE_TEXTS_H */
