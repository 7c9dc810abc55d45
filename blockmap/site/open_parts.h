/* SPDX-License-Identifier: GPL-3.0-or-later */
/* open_parts.h - what the files that open share; for them only.
 *
 * From the bottom: a file of a source, guarded against asking for a bad sector
 * twice (open_file.c); healed by files that hold the same bytes (open_members.c);
 * unpacked (open_copy.c); decoded over its backing chain, every link of which is
 * opened the same way inside the same source (open_chain.c); merged with the other
 * copies (open_view.c).
 */
#ifndef RESCUEFS_SITE_OPEN_PARTS_H
#define RESCUEFS_SITE_OPEN_PARTS_H

#include <pthread.h>

#include "site/chain.h"
#include "site/open.h"
#include "site/open_heal.h"
#include "site/shelf.h"
#include "site/unpack.h"

struct rfs_opener_texts {
	char **items;
	size_t count, room;
};

struct rfs_opener {
	const struct rfs_inventory *inv;
	struct rfs_state *state;
	struct rfs_unpacker *unpacker;
	struct rfs_given *given;
	struct rfs_shelf shelf;		/* links of chains, and exports */
	pthread_mutex_t lock;		/* guards all below */
	struct rfs_opener_texts errors; /* what candidates point to */
	struct {
		struct rfs_opener_witness **items;
		size_t count, room;
	} witnesses;
	/* A refresh: files that changed since they were rescued are taken as
	 * they are now.  Set before others know of the opener. */
	bool renews;
};

/* open.c: things that live as long as the opener; NULL without memory. */
const char *rfs_opener_keep_text(struct rfs_opener *op, const char *text);
struct rfs_opener_witness *rfs_opener_keep_witness(struct rfs_opener *op);

/* open_file.c: the file of a copy as it lies there, restricted to what its mapfile
 * says; and such a file by its path in the source's root, with the mapfile that
 * lies beside it, as an image names it. */
int rfs_opener_place(struct rfs_opener *op, const struct rfs_copy *copy,
		     struct rfs_reader **ret, struct rfs_error *err);
int rfs_opener_named(struct rfs_opener *op, const struct rfs_source *src,
		     const char *path, struct rfs_reader **ret,
		     struct rfs_error *err);

/* open_file.c: an export, or an image in a format that a program of its own reads.
 * 'rule' may be NULL. */
int rfs_opener_server(struct rfs_opener *op, const struct rfs_copy *copy,
		      const struct rfs_disk_rule *rule, struct rfs_reader **ret,
		      struct rfs_error *err);

/* open_chain.c: what 'file', the first link of 'chain', decodes to.  'header' is
 * NULL but where it stands in for the file's own. */
int rfs_opener_decode(struct rfs_opener *op, const struct rfs_chain *chain,
		      struct rfs_reader *file, struct rfs_reader *header,
		      struct rfs_reader **ret, struct rfs_error *err);

/* open_copy.c: the file of a copy, healed, and unpacked if it is packed; what it
 * decodes to, by the header in another file unless that is NULL. */
int rfs_opener_copy_file(struct rfs_opener *op, const struct rfs_disk *disk,
			 const struct rfs_copy *copy, struct rfs_reader **ret,
			 struct rfs_error *err);
int rfs_opener_copy_by(struct rfs_opener *op, const struct rfs_disk *disk,
		       const struct rfs_copy *copy, struct rfs_reader *header,
		       struct rfs_reader **ret, struct rfs_error *err);

#endif /* RESCUEFS_SITE_OPEN_PARTS_H */
